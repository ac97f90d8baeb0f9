//! Sequences of image files: which files, in which order, shown when.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::images_order::{matches_glob, natural};
use super::images_times::{self, Listed, REORDERED, Schedule};
use crate::error::{Error, Remedy, Result};
use crate::rawvideo::PngPattern;
use crate::time::Rational;

/// Rate of images without any times, as of other streams without times.
const NOMINAL_RATE: (u32, u32) = (25, 1);

/// Missing files that a note names; the rest is counted.
const MISSING_NAMED: usize = 5;

/// Unit of a time that is written as a bare number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeUnit {
    /// Nanoseconds.
    Nanos,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    #[default]
    Seconds,
}

/// When pictures that carry no times are shown. The first is shown at zero: what is stated is taken from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PictureTimes {
    /// At a constant rate.
    #[default]
    Rate,
    /// As a text file says, one line for each picture: `TIME`, or `NAME,TIME` in either order, separated by comma, semicolon
    /// or white space. A time may end in `s`, `ms`, `us` or `ns`. Empty lines, lines that begin with `#` and a heading in the
    /// first line are passed over. Where names are given, the file also says which images there are, and their order.
    File {
        /// The text file.
        path: PathBuf,
        /// Unit of bare numbers.
        unit: TimeUnit,
    },
    /// By the number at the end of each image's name, before the extension (`left-1403636579763555584.png`).
    Names(TimeUnit),
    /// As given, one for each picture.
    List(Vec<Duration>),
}

impl PictureTimes {
    /// An error about the times, with the file that they are read from.
    pub(super) fn name_file(&self, error: Error) -> Error {
        match self {
            Self::File { path, .. } => error.about_file(path),
            _ => error,
        }
    }
}

/// How to read a sequence of images.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageOptions {
    /// When images are shown.
    pub times: PictureTimes,
    /// The constant rate, where there are no times; 25 where nothing is said.
    pub frame_rate: Option<Rational>,
    /// See [`SourceOptions::reordered`](crate::pipeline::SourceOptions::reordered).
    pub reordered: Option<u32>,
    /// Go over files that are missing or damaged.
    pub keep_going: bool,
    /// Threads that decode images; by default as many as there are processors, eight at most.
    pub threads: Option<NonZeroUsize>,
}

/// The files of a sequence in the order in which they are shown, and when.
pub(super) struct Sequence {
    pub(super) files: Vec<PathBuf>,
    pub(super) schedule: Schedule,
    pub(super) notes: Vec<String>,
}

/// Whether `path` names images: a folder, a name with a number (`frame-%06d.png`), with `*` or `?` (`left-*.jpg`, `left*`),
/// or one PNG or JPEG file by its name.
pub fn is_image_input(path: &Path) -> bool {
    let Some(name) = path.file_name() else { return path.is_dir() };
    if path.is_dir() || is_image_name(name) && path.is_file() {
        return true;
    }
    let special = |text: &OsStr| text.to_str().is_some_and(|text| text.contains(['%', '*', '?']));
    let extension = Path::new(name).extension();
    let of_images = is_image_name(name) || extension.is_none_or(special);
    // A file may be called like that.
    special(name) && of_images && !path.exists()
}

fn is_image_name(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    extension.is_some_and(|e| ["png", "jpg", "jpeg"].iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Finds the files, orders them and gives each its time.
pub(super) fn plan(input: &Path, options: &ImageOptions) -> Result<Sequence> {
    plan_of(input, options).map_err(|error| options.times.name_file(error))
}

fn plan_of(input: &Path, options: &ImageOptions) -> Result<Sequence> {
    let found = find(input)?;
    let mut notes = Vec::new();
    let listed = match &options.times {
        PictureTimes::File { path, unit } => images_times::read(path, *unit)?,
        _ => Vec::new(),
    };
    let named = listed.iter().any(|entry| entry.name.is_some());
    if !named && !matches!(options.times, PictureTimes::Names(_)) {
        found.check_gap(input, options.keep_going, &mut notes)?;
    }
    let Found { mut files, slots, .. } = found;
    let reordered = options.reordered.unwrap_or(REORDERED);
    let schedule = match &options.times {
        PictureTimes::Rate => {
            let nominal = Rational::new(NOMINAL_RATE.0, NOMINAL_RATE.1).unwrap_or(Rational::ONE);
            if options.frame_rate.is_none() && files.len() > 1 {
                notes.push(format!(
                    "no times are given for the images: {} a second are assumed",
                    nominal.num()
                ));
            }
            Schedule::at_rate(options.frame_rate.unwrap_or(nominal), slots)
        }
        PictureTimes::Names(unit) => {
            let mut timed = files
                .into_iter()
                .map(|file| Ok((images_times::of_name(&file, *unit)?, file)))
                .collect::<Result<Vec<_>>>()?;
            // Natural order would be wrong where names have fractions.
            timed.sort();
            let times: Vec<_> = timed.iter().map(|(time, _)| *time).collect();
            files = timed.into_iter().map(|(_, file)| file).collect();
            Schedule::exact(&times, reordered, |n| name(&files, n))?
        }
        PictureTimes::List(times) => {
            let times =
                times.iter().map(|time| images_times::of_duration(*time)).collect::<Result<Vec<_>>>()?;
            same_count(times.len(), files.len(), "the list of times")?;
            Schedule::exact(&times, reordered, |n| format!("time {n}"))?
        }
        PictureTimes::File { path, .. } if named => {
            let (ordered, kept) = by_name(&files, listed, path, options.keep_going, &mut notes)?;
            files = ordered;
            scheduled(&kept, options.reordered, path)?
        }
        PictureTimes::File { path, .. } => {
            same_count(listed.len(), files.len(), &path.display().to_string())?;
            scheduled(&listed, options.reordered, path)?
        }
    };
    notes.extend(schedule.notes().iter().cloned());
    Ok(Sequence { files, schedule, notes })
}

/// The schedule that a file of times gives.
pub(super) fn scheduled(listed: &[Listed], reordered: Option<u32>, path: &Path) -> Result<Schedule> {
    let times: Vec<_> = listed.iter().map(|l| l.nanos).collect();
    Schedule::exact(&times, reordered.unwrap_or(REORDERED), |n| {
        format!("{}, line {}", path.display(), listed.get(n).map_or(0, |l| l.line))
    })
}

fn name(files: &[PathBuf], number: usize) -> String {
    files.get(number).map_or_else(String::new, |file| file.display().to_string())
}

fn same_count(times: usize, images: usize, whose: &str) -> Result<()> {
    if times == images {
        return Ok(());
    }
    let which = if times < images { "fewer times than images" } else { "more times than images" };
    Err(Error::invalid(format!("{whose} has {which}: {times} times, {images} images")))
}

/// The images that a list of names and times names, in its order, and the lines that name one.
fn by_name(
    files: &[PathBuf],
    listed: Vec<Listed>,
    path: &Path,
    keep_going: bool,
    notes: &mut Vec<String>,
) -> Result<(Vec<PathBuf>, Vec<Listed>)> {
    let mut unseen: HashMap<&OsStr, &PathBuf> =
        files.iter().filter_map(|file| Some((file.file_name()?, file))).collect();
    let (mut ordered, mut kept, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for entry in listed {
        let refuse = |what: &str| Error::invalid(format!("{}, line {}: {what}", path.display(), entry.line));
        let Some(listed_name) = &entry.name else {
            return Err(refuse("it names no image, as other lines do"));
        };
        // Logs name files by a path of their own.
        let name = Path::new(listed_name).file_name().unwrap_or_default();
        match unseen.remove(name) {
            Some(file) => {
                ordered.push(file.clone());
                kept.push(entry);
            }
            None if keep_going => missing.push(listed_name.clone()),
            None => return Err(refuse(&format!("{listed_name} is not among the images, or named twice"))),
        }
    }
    note_missing(&missing, "of the list of times are missing", notes);
    if !unseen.is_empty() {
        let mut left: Vec<_> = unseen.into_values().map(|file| file.display().to_string()).collect();
        left.sort_by(|a, b| natural(a.as_ref(), b.as_ref()));
        if !keep_going {
            let what = format!(
                "has fewer times than images: it does not name {}{}",
                left.first().map_or("", String::as_str),
                if left.len() > 1 { format!(" and {} more", left.len() - 1) } else { String::new() }
            );
            return Err(Error::invalid_file(path, what));
        }
        note_missing(&left, "have no time and are left out", notes);
    }
    if ordered.is_empty() {
        return Err(Error::invalid_file(path, "names none of the images"));
    }
    Ok((ordered, kept))
}

fn note_missing(names: &[String], what: &str, notes: &mut Vec<String>) {
    if names.is_empty() {
        return;
    }
    let some: Vec<_> = names.iter().take(MISSING_NAMED).map(String::as_str).collect();
    let more = if names.len() > some.len() { ", ..." } else { "" };
    notes.push(format!("{} images {what}: {}{more}", names.len(), some.join(", ")));
}

/// What is there.
struct Found {
    files: Vec<PathBuf>,
    /// Place of each file in a sequence of constant rate.
    slots: Vec<i64>,
    /// The first name that is missing in a numbered sequence, and how many are.
    gap: Option<(String, u64)>,
}

impl Found {
    fn in_order(mut files: Vec<PathBuf>) -> Self {
        files.sort_by(|a, b| natural(a.as_os_str(), b.as_os_str()));
        let slots = (0..).take(files.len()).collect();
        Self { files, slots, gap: None }
    }

    /// Refuses, or notes, that numbers are missing. Not for images whose times come by their names: numbers that are
    /// times are no neighbours, and a list of names says itself what there is.
    fn check_gap(&self, input: &Path, keep_going: bool, notes: &mut Vec<String>) -> Result<()> {
        let Some((name, count)) = &self.gap else { return Ok(()) };
        if !keep_going {
            let what = format!("has a gap: {name} is missing ({count} missing in all)");
            return Err(Error::invalid_file(input, what).with_remedy(Remedy::KeepGoing));
        }
        notes.push(format!("{count} images of the sequence are missing, the first is {name}"));
        Ok(())
    }
}

fn find(input: &Path) -> Result<Found> {
    let nothing = |what: &str| Err(Error::invalid_file(input, what));
    if input.is_dir() {
        let files: Vec<_> =
            entries(input)?.into_iter().filter(|file| file.file_name().is_some_and(is_image_name)).collect();
        if files.is_empty() {
            return nothing("is a directory without images (.png, .jpg, .jpeg)");
        }
        return Ok(Found::in_order(files));
    }
    if input.is_file() {
        return Ok(Found::in_order(vec![input.to_owned()]));
    }
    let folder = match input.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(wanted) = input.file_name().and_then(OsStr::to_str) else {
        return nothing("is no name of images");
    };
    if wanted.contains('%') {
        let pattern = PngPattern::parse(Path::new(wanted))?;
        let numbered = entries(folder)?.into_iter().filter_map(|file| {
            let number = pattern.number_of(file.file_name()?.to_str()?)?;
            Some((number, file))
        });
        let found = numbered_in_order(&pattern, numbered.collect());
        return if found.files.is_empty() { nothing("matches no file") } else { Ok(found) };
    }
    let files: Vec<_> = entries(folder)?
        .into_iter()
        .filter(|file| {
            file.file_name().and_then(OsStr::to_str).is_some_and(|name| matches_glob(wanted, name))
        })
        .collect();
    if files.is_empty() { nothing("matches no file") } else { Ok(Found::in_order(files)) }
}

/// Numbers that are missing between the first and the last.
struct Gap {
    number: u64,
    count: u64,
}

fn numbered_in_order(pattern: &PngPattern, mut numbered: Vec<(u64, PathBuf)>) -> Found {
    numbered.sort();
    let first = numbered.first().map_or(0, |(number, _)| *number);
    let between = numbered.windows(2).filter_map(|pair| match pair {
        [(before, _), (after, _)] if after - before > 1 => Some((before + 1, after - before - 1)),
        _ => None,
    });
    let gap = between.fold(None, |gap: Option<Gap>, (number, count)| {
        let first = gap.as_ref().map_or(number, |gap| gap.number);
        Some(Gap { number: first, count: gap.map_or(0, |gap| gap.count).saturating_add(count) })
    });
    let gap = gap.map(|gap| (pattern.path(gap.number).display().to_string(), gap.count));
    let slots =
        numbered.iter().map(|(number, _)| i64::try_from(number - first).unwrap_or(i64::MAX)).collect();
    let files = numbered.into_iter().map(|(_, file)| file).collect();
    Found { files, slots, gap }
}

/// The files of a folder; hidden ones are not looked at.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io("read", folder, e);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().as_encoded_bytes().first() == Some(&b'.');
        if !hidden {
            let name = entry.file_name();
            files.push(if folder == Path::new(".") { PathBuf::from(name) } else { folder.join(name) });
        }
    }
    Ok(files)
}
