//! Values as people write them: bit rates, times, frame rates, sizes.
//!
//! Arithmetic is exact (no floating point), so that what is typed is what is used, and every parser refuses
//! what it does not understand instead of reading a part of it.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use video_hw::Error;
use video_hw::backend::Backend;
use video_hw::codec::Codec;
use video_hw::config::{Crop, Engines, Profile};
use video_hw::dimensions::Dimensions;
use video_hw::hdr::{ContentLight, MasteringDisplay};
use video_hw::pixel::PixelFormat;
use video_hw::time::Rational;

/// As many as the library opens at most.
const MAX_ENGINES: usize = 64;

/// Longest time taken: a century, far from every overflow.
const MAX_SECONDS: u64 = 100 * 366 * 86_400;
/// Frame rates above this are typing errors.
const MAX_FPS: u64 = 1000;

/// Names of picture sizes, those of ffmpeg.
const SIZES: [(&str, u32, u32); 12] = [
    ("qcif", 176, 144),
    ("cif", 352, 288),
    ("qvga", 320, 240),
    ("vga", 640, 480),
    ("ntsc", 720, 480),
    ("pal", 720, 576),
    ("hd480", 852, 480),
    ("hd720", 1280, 720),
    ("hd1080", 1920, 1080),
    ("2k", 2048, 1080),
    ("uhd2160", 3840, 2160),
    ("4k", 4096, 2160),
];

/// Frame rates with a name, and the decimals that stand for thirty-thousandths and the like.
const RATES: [(&str, u32, u32); 13] = [
    ("ntsc", 30_000, 1001),
    ("pal", 25, 1),
    ("film", 24, 1),
    ("ntsc-film", 24_000, 1001),
    ("23.976", 24_000, 1001),
    ("23.98", 24_000, 1001),
    ("29.97", 30_000, 1001),
    ("47.952", 48_000, 1001),
    ("47.95", 48_000, 1001),
    ("59.94", 60_000, 1001),
    ("119.88", 120_000, 1001),
    ("14.985", 15_000, 1001),
    ("239.76", 240_000, 1001),
];

/// A decimal number without sign or exponent, as `digits / 10^places`. At most nine places.
struct Decimal {
    digits: u64,
    places: u32,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 9 {
            return None;
        }
        let mut digits: u64 = 0;
        for b in whole.bytes().chain(fraction.bytes()) {
            digits = digits.checked_mul(10)?.checked_add(u64::from(b - b'0'))?;
        }
        Some(Self { digits, places: fraction.len() as u32 })
    }

    /// `self * factor`, when that is a whole number.
    fn times(&self, factor: u64) -> Option<u64> {
        let scaled = u128::from(self.digits) * u128::from(factor);
        let divisor = 10u128.pow(self.places);
        if scaled % divisor == 0 { u64::try_from(scaled / divisor).ok() } else { None }
    }
}

/// `NAME=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("{text:?} is not of the form NAME=VALUE")),
    }
}

/// Bytes: `800M`, `20G`, `4096`; the letters are powers of 1024.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|bytes| bytes.checked_mul(1 << shift));
    bytes.ok_or_else(|| format!("{text:?} is not a size; write 800M, 20G or a number of bytes"))
}

/// Bits per second: `6M`, `800k`, `1.5M`, `6000000`.
pub fn bitrate(text: &str) -> Result<u32, String> {
    bits(text).ok_or_else(|| {
        format!("{text:?} is not a bit rate; write 6M, 800k or 6000000 (bits per second, below 4.29G)")
    })
}

/// A buffer's size, and how full it is at first, in bits: `8M`, `8M:6M`.
pub fn vbv(text: &str) -> Result<(u32, Option<u32>), String> {
    let (size, full) = text.split_once(':').map_or((text, None), |(size, full)| (size, Some(full)));
    let found = match full {
        None => bits(size).map(|size| (size, None)),
        Some(full) => bits(size).zip(bits(full)).map(|(size, full)| (size, Some(full))),
    };
    found.filter(|(size, full)| full.is_none_or(|full| full <= *size)).ok_or_else(|| {
        format!("{text:?} is not a buffer; write 8M or 8M:6M (bits; the second how full it is at first, up to the first)")
    })
}

fn bits(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let (number, factor) = match lower.strip_suffix(['k', 'm', 'g']) {
        Some(number) if lower.ends_with('k') => (number, 1_000),
        Some(number) if lower.ends_with('m') => (number, 1_000_000),
        Some(number) => (number, 1_000_000_000),
        None => (lower.as_str(), 1),
    };
    let bits = Decimal::parse(number)?.times(factor)?;
    u32::try_from(bits).ok().filter(|b| *b > 0)
}

/// A time: `12.5` and `12.5s` (seconds), `500ms`, `250us`, `1:02` (minutes), `1:02:03.5` (hours).
pub fn time(text: &str) -> Result<Duration, String> {
    let refuse = || format!("{text:?} is not a time; write 12.5, 500ms, 1:30 or 1:02:03.5");
    let (number, nanos_per_unit) = if let Some(n) = text.strip_suffix("ms") {
        (n, 1_000_000)
    } else if let Some(n) = text.strip_suffix("us") {
        (n, 1_000)
    } else if let Some(n) = text.strip_suffix('s') {
        (n, 1_000_000_000)
    } else {
        return clock(text).ok_or_else(refuse);
    };
    let nanos = Decimal::parse(number).and_then(|d| d.times(nanos_per_unit)).ok_or_else(refuse)?;
    limited(Duration::from_nanos(nanos)).ok_or_else(refuse)
}

/// `[[hours:]minutes:]seconds[.fraction]`; below the leading part, minutes and seconds stay under 60.
fn clock(text: &str) -> Option<Duration> {
    let parts: Vec<_> = text.split(':').collect();
    let (seconds, higher) = parts.split_last()?;
    if higher.len() > 2 {
        return None;
    }
    let seconds = Duration::from_nanos(Decimal::parse(seconds)?.times(1_000_000_000)?);
    let mut whole: u64 = 0;
    for (i, part) in higher.iter().enumerate() {
        if !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let value: u64 = part.parse().ok().filter(|v| i == 0 || *v < 60)?;
        whole = whole.checked_mul(60)?.checked_add(value)?;
    }
    if !higher.is_empty() && seconds >= Duration::from_secs(60) {
        return None;
    }
    let whole = whole.checked_mul(60).filter(|w| *w <= MAX_SECONDS)?;
    limited(Duration::from_secs(whole).checked_add(seconds)?)
}

fn limited(time: Duration) -> Option<Duration> {
    (time.as_secs() <= MAX_SECONDS).then_some(time)
}

/// As [`time`], and longer than nothing.
pub fn length(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if time.is_zero() { Err("a duration of 0 leaves nothing".to_owned()) } else { Ok(time) }
}

/// A number of threads. More than any machine has is refused by the codec, which knows its limit.
pub fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number of threads; write 1, 4 or 16"))
}

/// How many decoders: `auto`, `1`, `8`.
pub fn engines(text: &str) -> Result<Engines, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Engines::Auto);
    }
    match text.parse::<NonZeroUsize>() {
        Ok(NonZeroUsize::MIN) => Ok(Engines::One),
        Ok(count) if count.get() <= MAX_ENGINES => Ok(Engines::Count(count)),
        _ => Err(format!("{text:?} is not a number of decoders; write auto or 1 to {MAX_ENGINES}")),
    }
}

/// Frames per second: `30`, `30000/1001`, `12.5`, `ntsc`. `29.97` and its like mean the exact `30000/1001`.
pub fn frame_rate(text: &str) -> Result<Rational, String> {
    let refuse = || {
        format!("{text:?} is not a frame rate; write 30, 29.97, 30000/1001 or pal (above 0, up to {MAX_FPS})")
    };
    let lower = text.to_ascii_lowercase();
    if let Some((_, num, den)) = RATES.iter().find(|(name, ..)| *name == lower) {
        return Rational::new(*num, *den).ok_or_else(refuse);
    }
    let rate = match lower.split_once('/') {
        Some((num, den)) => {
            let part =
                |s: &str| Decimal::parse(s).and_then(|d| d.times(1)).and_then(|v| u32::try_from(v).ok());
            part(num).zip(part(den)).and_then(|(num, den)| Rational::new(num, den))
        }
        None => Decimal::parse(&lower).and_then(|d| {
            let den = 10u32.checked_pow(d.places)?;
            Rational::new(u32::try_from(d.digits).ok()?, den).map(Rational::reduced)
        }),
    };
    let below_limit = |r: &Rational| u64::from(r.num()) <= MAX_FPS * u64::from(r.den());
    rate.filter(below_limit).ok_or_else(refuse)
}

/// A picture size: `1280x720`, or a name such as `hd720`.
pub fn size(text: &str) -> Result<Dimensions, String> {
    let lower = text.to_ascii_lowercase();
    match SIZES.iter().find(|(name, ..)| *name == lower).and_then(|(_, w, h)| Dimensions::new(*w, *h)) {
        Some(size) => Ok(size),
        None => text.parse().map_err(|e| format!("{}; names: {}", message(e), size_names())),
    }
}

fn size_names() -> String {
    SIZES.map(|(name, ..)| name).join(", ")
}

/// A codec by any of its names.
pub fn codec(text: &str) -> Result<Codec, String> {
    text.parse().map_err(message)
}

/// `auto` or a backend's name.
pub fn backend(text: &str) -> Result<Backend, String> {
    text.parse().map_err(message)
}

/// An encoder inside ffmpeg, and no backend.
pub fn child_encoder(text: &str) -> Result<String, String> {
    if text.parse::<Backend>().is_ok() {
        return Err(format!(
            "{text} is a backend: write --encoder-backend {text}; this is an encoder inside an installed ffmpeg, such as libx264"
        ));
    }
    Ok(text.to_owned())
}

/// A PSNR.
pub fn decibels(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| (0.0..=200.0).contains(value));
    value.ok_or_else(|| format!("{text:?} is not a PSNR; write decibels, such as 40 or 38.5"))
}

/// A part of a picture: `X:Y:W:H`.
pub fn crop(text: &str) -> Result<Crop, String> {
    let numbers: Option<Vec<u32>> = text.split(':').map(|number| number.parse().ok()).collect();
    if let Some([left, top, width, height]) = numbers.as_deref()
        && let Some(size) = Dimensions::new(*width, *height)
    {
        return Ok(Crop { left: *left, top: *top, size });
    }
    Err(format!(
        "{text:?} is not X:Y:W:H (columns and rows to leave out, then width and height, each 1 to 65535)"
    ))
}

/// A profile by ffmpeg's name.
pub fn profile(text: &str) -> Result<Profile, String> {
    text.parse().map_err(message)
}

/// The display of HDR10 as x265 takes it.
pub fn mastering_display(text: &str) -> Result<MasteringDisplay, String> {
    text.parse().map_err(message)
}

/// The light of HDR10: `maxcll,maxfall`.
pub fn content_light(text: &str) -> Result<ContentLight, String> {
    text.parse().map_err(message)
}

/// A pixel format by ffmpeg's name.
pub fn pixel_format(text: &str) -> Result<PixelFormat, String> {
    text.parse().map_err(message)
}

/// Whether an input is pictures without a header, by its name; standard input is headerless when anything is said about its layout.
pub fn is_headerless(input: &Path, stated: bool) -> bool {
    if input == Path::new("-") {
        return stated;
    }
    let extension = input.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("yuv" | "raw" | "rgb" | "rawvideo") => true,
        Some("y4m" | "mp4" | "mov" | "m4v" | "h264" | "264" | "h265" | "265" | "hevc" | "ivf") => false,
        // An unknown name: what is said about the layout decides, else the content will.
        _ => stated,
    }
}

/// The message without its kind, which clap states in its own words.
fn message(error: Error) -> String {
    match error {
        Error::InvalidInput { what, .. } => what,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that no parser may take, panic at, or take long for.
    fn hostile() -> Vec<String> {
        let short = "| |.|..|-|-1|+1|1e9|0x10|NaN|inf|1,5|1 | 1|1.2.3|/|1/|/1|1/0|0/1|1//1|:|::|1:|:1|1:2:3:4|1:60|\
                     1:99:00|60:61:1|x|1x|x1|0x0|1x0|65536x1|ms|s|k|M|kM|1kk|1.5|\u{661}|1\u{2028}|\
                     9999999999999999999999999999|0.00000000000001|18446744073709551616|1_000|%n%n|'; --|\0|１２|\
                     12\u{301}";
        let mut all: Vec<_> = short.split('|').map(str::to_owned).collect();
        all.push("9".repeat(100_000));
        all.push("1:".repeat(50_000));
        all.push(format!("0.{}1", "0".repeat(100_000)));
        all
    }

    #[test]
    fn sizes_in_bytes() {
        assert_eq!((bytes("800M"), bytes("20g"), bytes("7")), (Ok(800 << 20), Ok(20 << 30), Ok(7)));
        for wrong in ["", "G", "-1", "99999999999G", "1.5G"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_backend_is_no_encoder_of_ffmpeg() {
        assert_eq!(child_encoder("libx264"), Ok("libx264".to_owned()));
        for backend in ["software", "nvidia", "auto"] {
            assert!(child_encoder(backend).unwrap_err().contains("--encoder-backend"), "{backend}");
        }
    }

    #[test]
    fn bit_rates() {
        assert_eq!(bitrate("6M"), Ok(6_000_000));
        assert_eq!(bitrate("6m"), Ok(6_000_000));
        assert_eq!(bitrate("800k"), Ok(800_000));
        assert_eq!(bitrate("1.5M"), Ok(1_500_000));
        assert_eq!(bitrate("0.064M"), Ok(64_000));
        assert_eq!(bitrate("6000000"), Ok(6_000_000));
        assert_eq!(bitrate("4G"), Ok(4_000_000_000));
        for wrong in ["5G", "4294967296", "0", "0k", "0.5", "1.0001k", "-6M", "6 M", "6MB", "M", "6e6"] {
            assert!(bitrate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn buffers() {
        assert_eq!(vbv("8M"), Ok((8_000_000, None)));
        assert_eq!(vbv("8M:6M"), Ok((8_000_000, Some(6_000_000))));
        for wrong in ["", "0", "8M:", "8M:0", "8M:9M", ":6M", "8M:6M:4M", "-8M", "5G"] {
            assert!(vbv(wrong).unwrap_err().contains("8M:6M"), "{wrong}");
        }
    }

    #[test]
    fn times() {
        let ms = Duration::from_millis;
        assert_eq!(time("12.5"), Ok(ms(12_500)));
        assert_eq!(time("12.5s"), Ok(ms(12_500)));
        assert_eq!(time("500ms"), Ok(ms(500)));
        assert_eq!(time("0.5ms"), Ok(Duration::from_micros(500)));
        assert_eq!(time("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(time("90"), Ok(ms(90_000)));
        assert_eq!(time("1:30"), Ok(ms(90_000)));
        assert_eq!(time("1:02:03.5"), Ok(ms(3_723_500)));
        assert_eq!(time("100:00:00"), Ok(Duration::from_hours(100)));
        assert_eq!(time("0"), Ok(Duration::ZERO));
        assert_eq!(time(".25"), Ok(ms(250)));
        assert_eq!(time("0.000000001"), Ok(Duration::from_nanos(1)));
        for wrong in
            ["1:60", "1:2:60", "1:60:00", "1:02:", "1.5:00", "1m", "-1", "4000000000", "99999999:00:00"]
        {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert!(length("0").is_err());
        assert_eq!(length("0.04"), Ok(ms(40)));
    }

    #[test]
    fn frame_rates_are_exact() {
        let is = |text: &str, num: u32, den: u32| {
            let rate = frame_rate(text).unwrap();
            assert_eq!((rate.num(), rate.den()), (num, den), "{text}");
        };
        is("30", 30, 1);
        is("30000/1001", 30_000, 1001);
        is("29.97", 30_000, 1001);
        is("23.976", 24_000, 1001);
        is("59.94", 60_000, 1001);
        is("NTSC", 30_000, 1001);
        is("12.5", 25, 2);
        is("29.970", 2997, 100);
        is("0.1", 1, 10);
        is("1000", 1000, 1);
        for wrong in
            ["0", "0.0", "1001", "1000001/1000", "30/0", "0/30", "-30", "30fps", "4294967296/4294967296"]
        {
            assert!(frame_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn crops() {
        let size = |w, h| Dimensions::new(w, h).unwrap();
        assert_eq!(crop("0:8:320:180"), Ok(Crop { left: 0, top: 8, size: size(320, 180) }));
        for text in ["", "1:2:3", "0:0:0:1", "0:0:1:0", "-1:0:2:2", "1:2:3:4:5", "0:0:70000:1", "a:b:c:d"] {
            assert!(crop(text).unwrap_err().contains("X:Y:W:H"), "{text}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("1280x720"), Ok(Dimensions::new(1280, 720).unwrap()));
        assert_eq!(size("HD720"), Ok(Dimensions::new(1280, 720).unwrap()));
        assert_eq!(size("uhd2160"), Ok(Dimensions::new(3840, 2160).unwrap()));
        for wrong in ["1280", "0x720", "1280x", "99999x2", "-2x720", "hd"] {
            assert!(size(wrong).unwrap_err().contains("hd1080"), "{wrong}");
        }
    }

    #[test]
    fn hostile_text_is_refused_in_words() {
        for text in hostile() {
            let shown: String = text.chars().take(40).collect();
            // Some of these are right for one parser ("1.5" is a time), none for a size or a codec.
            assert!(size(&text).is_err(), "{shown}");
            assert!(codec(&text).is_err(), "{shown}");
            assert!(backend(&text).is_err(), "{shown}");
            assert!(pixel_format(&text).is_err(), "{shown}");
            assert!(profile(&text).is_err(), "{shown}");
            assert!(mastering_display(&text).is_err(), "{shown}");
            assert!(content_light(&text).is_err() || text == "1,5", "{shown}");
            if !["1.5", "\u{661}"].contains(&text.as_str()) {
                assert!(bitrate(&text).is_err(), "{shown}");
            }
            let not_positive = |r: Result<Rational, _>| r.is_err_and(|e: String| !e.is_empty());
            if text != "1.5" {
                assert!(not_positive(frame_rate(&text)), "{shown}");
                assert!(time(&text).is_err(), "{shown}");
            }
        }
    }
}
