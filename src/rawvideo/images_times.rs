//! Times of pictures that carry none: read from text or names, and the time base in which they are exact.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use super::images::TimeUnit;
use crate::error::{Error, Result};
use crate::time::{Rational, TimeBase};

/// Nanoseconds in a second, and the finest tick.
const SECOND: i64 = 1_000_000_000;
/// Longest line of a list of times.
const MAX_LINE: u64 = 64 * 1024;
/// Most lines: a year of pictures at a hundred a second would be three thousand million, but nobody has such a folder.
const MAX_LINES: usize = 50_000_000;
/// Duration of a picture that is alone, in nanoseconds.
const ALONE: i64 = 40_000_000;
/// Time bases that are taken where they are exact, before finer ones: readers of files know them.
const USUAL: [i64; 3] = [1000, 1_000_000, SECOND];
/// Most ticks from a picture's decoding to its presentation. MP4 has room for 2^31, but ffmpeg ignores the table of these
/// distances when one is above this, and with it the order of pictures.
const MOST_OFFSET: i64 = 1 << 28;
/// Pictures from a picture's decoding to its presentation where nothing is said: three B frames that refer to each other.
pub(super) const REORDERED: u32 = 5;

impl TimeUnit {
    /// As a power of ten, in nanoseconds.
    const fn exponent(self) -> i32 {
        match self {
            Self::Nanos => 0,
            Self::Micros => 3,
            Self::Millis => 6,
            Self::Seconds => 9,
        }
    }
}

/// A line of a list of times.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) nanos: i64,
    pub(super) name: Option<String>,
    pub(super) line: usize,
}

/// Reads a list of times; see [`super::PictureTimes::File`].
pub(super) fn read(path: &Path, unit: TimeUnit) -> Result<Vec<Listed>> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let mut reader = BufReader::new(file);
    let mut listed = Vec::new();
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let refuse = |what: &str| Err(Error::invalid(format!("{}, line {line}: {what}", path.display())));
        let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut text);
        match read.map_err(|e| Error::io("read", path, e))? as u64 {
            0 => break,
            MAX_LINE => return refuse("the line is too long for a time"),
            _ if line > MAX_LINES => return refuse("that are too many lines"),
            _ => {}
        }
        // Editors of Windows begin a file with this mark.
        let content = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
        let Ok(content) = std::str::from_utf8(content) else { return refuse("it is not text") };
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        match entry(content, unit) {
            Some((nanos, name)) => listed.push(Listed { nanos, name, line }),
            // A heading: the names of the columns.
            None if line == 1 && !content.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {}
            None if parse(content, TimeUnit::Nanos).is_some() => {
                return refuse(&format!(
                    "{content} is out of range; if it counts ns, us or ms, that has to be said"
                ));
            }
            None => {
                let shown: String = content.chars().take(40).collect();
                return refuse(&format!(
                    "{shown:?} is not a time; write 12.5, 12.5s, 40ms, 17us or 1700000000123456789ns, and with names NAME,TIME"
                ));
            }
        }
    }
    if listed.is_empty() {
        return Err(Error::invalid_file(path, "holds no times"));
    }
    Ok(listed)
}

/// The time of a line, and the name if it has one. Which is which is told by the extension of an image.
fn entry(line: &str, unit: TimeUnit) -> Option<(i64, Option<String>)> {
    if let Some(nanos) = parse(line, unit) {
        return Some((nanos, None));
    }
    let separators = [',', ';', '\t', ' '];
    let separator = separators.into_iter().find(|c| line.contains(*c))?;
    // A name may hold the separator: the time is what stands before the first or behind the last.
    let time_first = line.split_once(separator);
    let name_first = line.rsplit_once(separator).map(|(name, time)| (time, name));
    [name_first, time_first].into_iter().flatten().find_map(|(time, name)| {
        let name = name.trim().trim_matches('"');
        let is_image = name.rsplit_once('.').is_some_and(|(_, extension)| {
            ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known))
        });
        let nanos = parse(time.trim().trim_matches('"'), unit).filter(|_| is_image)?;
        Some((nanos, Some(name.to_owned())))
    })
}

/// The time that the name of a file ends in.
pub(super) fn of_name(file: &Path, unit: TimeUnit) -> Result<i64> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let start = stem
        .rfind(|c: char| !c.is_ascii_digit() && c != '.')
        .map_or(0, |at| at + stem.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
    let number = stem.get(start..).unwrap_or_default().trim_start_matches('.');
    parse(number, unit).ok_or_else(|| {
        Error::invalid(format!(
            "the name of {} does not end in a time, such as 1700000000123456789",
            file.display()
        ))
    })
}

/// A time given by a program.
pub(super) fn of_duration(time: Duration) -> Result<i64> {
    i64::try_from(time.as_nanos()).map_err(|_| Error::invalid(format!("time {time:?} is too late")))
}

/// Nanoseconds of a decimal number with or without sign, exponent and unit; what is finer is rounded to the nearest.
fn parse(text: &str, unit: TimeUnit) -> Option<i64> {
    let units = [
        ("ns", TimeUnit::Nanos),
        ("us", TimeUnit::Micros),
        ("µs", TimeUnit::Micros),
        ("ms", TimeUnit::Millis),
        ("s", TimeUnit::Seconds),
    ];
    let suffixed = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
    let (number, unit) = suffixed.unwrap_or((text, unit));
    let number = number.trim_end();
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value = value.checked_mul(10)?.checked_add(digit.into())?;
    }
    let places = i32::try_from(fraction.len()).ok()?;
    let power = exponent.checked_add(unit.exponent())?.checked_sub(places)?;
    let nanos = if value == 0 {
        0
    } else if power >= 0 {
        value.checked_mul(10_i128.checked_pow(power.unsigned_abs())?)?
    } else {
        // Beyond the range of the power nothing is left of the number.
        10_i128.checked_pow(power.unsigned_abs()).map_or(0, |divisor| (value + divisor / 2) / divisor)
    };
    i64::try_from(if negative { -nanos } else { nanos }).ok()
}

/// When each picture of a sequence is shown.
#[derive(Debug)]
pub(super) struct Schedule {
    base: TimeBase,
    rate: Rational,
    ticks: Vec<i64>,
    /// Duration of the last picture.
    last: i64,
    notes: Vec<String>,
}

impl Schedule {
    /// Pictures in the given places of a sequence of constant rate.
    pub(super) fn at_rate(rate: Rational, slots: Vec<i64>) -> Self {
        Self { base: TimeBase::from_frame_rate(rate), rate, ticks: slots, last: 1, notes: Vec::new() }
    }

    /// Pictures at these times, in nanoseconds; the first becomes zero.
    ///
    /// The time base is the coarsest of 1/1000, 1/1000000 and 1/1000000000 s that holds all times exactly, or the
    /// coarsest of all where gaps are too long for it: MP4 counts the ticks from one picture to the next with 32 bits,
    /// and there are limits to those from decoding to presentation, between which lie `reordered` pictures. Where no exact one will do, times are rounded to the nearest tick
    /// of the finest that will, and a note says so. `place` tells where picture `n` has its time from.
    pub(super) fn exact(nanos: &[i64], reordered: u32, place: impl Fn(usize) -> String) -> Result<Self> {
        let first = nanos.first().copied().unwrap_or(0);
        let mut relative = Vec::with_capacity(nanos.len());
        for (number, time) in nanos.iter().enumerate() {
            let before = number.checked_sub(1).and_then(|before| nanos.get(before));
            if before.is_some_and(|before| before >= time) {
                return Err(Error::invalid(format!(
                    "{}: times must rise, but {} s is not after {} s",
                    place(number),
                    in_seconds(*time),
                    in_seconds(before.copied().unwrap_or(0))
                )));
            }
            let since = time.checked_sub(first).ok_or_else(|| {
                Error::invalid(format!("{}: it is more than 292 years after the first time", place(number)))
            })?;
            relative.push(since);
        }
        let step = relative.iter().fold(SECOND, |step, time| gcd(step, *time));
        let coarsest = SECOND / step;
        let usual = USUAL.into_iter().find(|ticks| ticks % coarsest == 0).unwrap_or(SECOND);
        let fits = |ticks: &i64| allows(&relative, reordered, *ticks);
        let mut notes = Vec::new();
        let per_second = if let Some(ticks) = [usual, coarsest].into_iter().find(fits) {
            ticks
        } else {
            let rounded = (0..9).map(|places| SECOND / 10_i64.pow(places)).find(fits).unwrap_or(1);
            notes.push(format!(
                "times are rounded to 1/{rounded} s: MP4 cannot count finer ticks over gaps as long as these{}",
                if allows(&relative, 0, usual) { ", unless pictures stay in order (no B frames)" } else { "" }
            ));
            rounded
        };
        if first != 0 {
            notes.push(format!("time 0 of the output is {} s of the times given", in_seconds(first)));
        }
        let ticks: Vec<_> = relative.iter().map(|time| to_ticks(*time, per_second)).collect();
        if let Some(at) = ticks.windows(2).position(|pair| matches!(pair, [a, b] if a >= b)) {
            return Err(Error::invalid(format!(
                "{}: it lies less than a tick of 1/{per_second} s behind the time before, and gaps elsewhere are too long for finer ticks",
                place(at + 1)
            )));
        }
        let last = match ticks.as_slice() {
            [.., before, last] => last - before,
            _ => to_ticks(ALONE, per_second).max(1),
        };
        let span = relative.last().copied().unwrap_or(0);
        let per_second = u32::try_from(per_second).unwrap_or(u32::MAX);
        let base = TimeBase::new(1, per_second).unwrap_or(TimeBase::NANOS);
        Ok(Self { base, rate: average_rate(relative.len(), span), ticks, last, notes })
    }

    pub(super) fn base(&self) -> TimeBase {
        self.base
    }

    /// The rate, or the average of it.
    pub(super) fn rate(&self) -> Rational {
        self.rate
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(super) fn len(&self) -> usize {
        self.ticks.len()
    }

    /// Time and duration of picture `number`.
    pub(super) fn get(&self, number: usize) -> Option<(i64, u64)> {
        let start = *self.ticks.get(number)?;
        let length = self.ticks.get(number + 1).map_or(self.last, |next| next.saturating_sub(start));
        Some((start, u64::try_from(length).unwrap_or(1)))
    }

    /// Ticks from the first picture to the end of the last.
    pub(super) fn length(&self) -> i64 {
        self.ticks.last().map_or(0, |last| last.saturating_add(self.last))
    }
}

/// Whether MP4 can count these times in so many ticks a second.
fn allows(nanos: &[i64], reordered: u32, per_second: i64) -> bool {
    let within = |pictures: usize, most: i64| {
        let later = nanos.iter().skip(pictures);
        // Rounding moves each of the two times by half a tick at most.
        nanos.iter().zip(later).all(|(from, to)| to_ticks(to - from, per_second) < most - 1)
    };
    let reordered = usize::try_from(reordered).unwrap_or(usize::MAX).min(nanos.len().saturating_sub(1));
    within(1, u32::MAX.into()) && within(reordered, MOST_OFFSET)
}

/// The nearest tick.
fn to_ticks(nanos: i64, per_second: i64) -> i64 {
    let (scaled, second) = (i128::from(nanos) * i128::from(per_second), i128::from(SECOND));
    i64::try_from((scaled + second / 2).div_euclid(second)).unwrap_or(i64::MAX)
}

/// Pictures per second to a thousandth, for rate control.
fn average_rate(pictures: usize, span: i64) -> Rational {
    let gaps = i128::try_from(pictures.saturating_sub(1)).unwrap_or(0);
    let (gaps, span) = if gaps == 0 || span <= 0 { (1, ALONE) } else { (gaps, span) };
    let span = i128::from(span);
    let thousandths = (gaps * i128::from(SECOND) * 1000 + span / 2) / span;
    let thousandths = u32::try_from(thousandths.clamp(1, 1_000_000_000)).unwrap_or(u32::MAX);
    Rational::new(thousandths, 1000).unwrap_or(Rational::ONE).reduced()
}

fn gcd(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// All nine digits, as a person would write them.
fn in_seconds(nanos: i64) -> String {
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let text = format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
#[path = "images_times_tests.rs"]
mod tests;
