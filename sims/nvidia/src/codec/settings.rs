//! From what the driver asks for to what the libraries are told.

use super::encoder::{Chroma, EncoderCodec, EncoderSpec, Rate};
use super::{CodecError, ffi, level};

/// Sizes outside this range are refused before a library sees them.
const SIZES: std::ops::RangeInclusive<u32> = 16..=8192;

/// The libraries count rates in kbit and hold no more than this.
const MOST_KBITS: f64 = 2_000_000.0;

/// Refuses what no library, or no standard, can do.
pub(super) fn check(spec: &EncoderSpec) -> Result<(), CodecError> {
    let refuse = |why: String| Err(CodecError(why));
    let EncoderSpec { width, height, .. } = *spec;
    if !SIZES.contains(&width) || !SIZES.contains(&height) {
        return refuse(format!("{width}x{height} is outside 16x16 to 8192x8192"));
    }
    if spec.codec == EncoderCodec::Hevc && width <= 16 {
        return refuse(format!("a width of {width} is one block, of which libx265 makes wrong pictures"));
    }
    if spec.chroma == Chroma::Yuv420 && (width % 2 != 0 || height % 2 != 0) {
        return refuse(format!("{width}x{height} is odd, and 4:2:0 needs even sizes"));
    }
    if spec.depth != 8 && spec.depth != 10 {
        return refuse(format!("{} bit", spec.depth));
    }
    if spec.codec == EncoderCodec::Av1 && (spec.chroma != Chroma::Yuv420 || spec.reorder > 0) {
        return refuse("AV1 is coded as 4:2:0 and in display order here".to_owned());
    }
    let (num, den) = spec.fps;
    if num == 0 || den == 0 || num / den > 1000 || den / num > 1000 {
        return refuse(format!("{num}/{den} frames per second"));
    }
    if spec.reorder > 15 {
        return refuse(format!("{} pictures of reordering", spec.reorder));
    }
    let plain = spec.depth == 8 && spec.chroma == Chroma::Yuv420;
    let possible = match (spec.codec, spec.profile) {
        (_, 0) => true,
        _ if spec.rate == Rate::Lossless => true,
        (EncoderCodec::H264, 66) => plain && spec.reorder == 0,
        (EncoderCodec::H264, 77 | 100) | (EncoderCodec::Hevc, 1) => plain,
        (EncoderCodec::H264, 110 | 122) | (EncoderCodec::Hevc, 2) => spec.chroma == Chroma::Yuv420,
        (EncoderCodec::Av1, _) => true,
        (EncoderCodec::H264, 244) | (EncoderCodec::Hevc, 4) => true,
        _ => false,
    };
    if !possible {
        return refuse(format!("profile {} does not hold what is asked for", spec.profile));
    }
    if spec.level != 0 && !level::holds(spec) {
        return refuse(format!("level {} does not hold {width}x{height}", spec.level));
    }
    Ok(())
}

/// The level the headers name.
pub(super) fn level_of(spec: &EncoderSpec) -> u32 {
    let bits = match spec.rate {
        Rate::Vbr { average, max, .. } => average.max(max),
        Rate::Cbr { average, .. } => average,
        Rate::Quality { max, .. } => max,
        Rate::ConstQp { .. } | Rate::Lossless => 0,
    };
    if spec.level == 0 { level::lowest(spec, u64::from(bits) / 1000) } else { spec.level }
}

/// The settings for a library that was (or will be) opened at `fps` frames per second.
///
/// The libraries cannot change the frame rate of an open encoder. They only use it to turn bits per second into bits
/// per picture, so a change of it is told to them as the opposite change of the bit rate.
pub(super) fn settings(spec: &EncoderSpec, fps: (u32, u32)) -> ffi::Settings {
    let stretch = f64::from(fps.0) * f64::from(spec.fps.1) / (f64::from(fps.1) * f64::from(spec.fps.0));
    let kbits = |bits: f64| (bits / 1000.0).round().clamp(1.0, MOST_KBITS) as i32;
    let mut rate = (ffi::RATE_LOSSLESS, 0, 0, 0, 0, 0);
    match spec.rate {
        // The API has 256 quantisers for AV1, the library 64.
        Rate::ConstQp { p, .. } if spec.codec == EncoderCodec::Av1 => {
            rate = (ffi::RATE_QP, i32::from(p / 4), 0, 0, 0, 0);
        }
        Rate::ConstQp { p, .. } => rate = (ffi::RATE_QP, i32::from(p.min(51)), 0, 0, 0, 0),
        Rate::Lossless => {}
        Rate::Quality { quality, max } => {
            let size = f64::from(max);
            let limit = if max == 0 { 0 } else { kbits(size * stretch) };
            let vbv = if max == 0 { 0 } else { kbits(size) };
            let worst = if spec.codec == EncoderCodec::Av1 { 63 } else { 51 };
            rate = (ffi::RATE_QUALITY, i32::from(quality.min(worst)), 0, limit, vbv, 0);
        }
        Rate::Vbr { average, max, vbv } => {
            // Left to an average alone, the libraries need minutes to come back to it after a start or a change. A
            // buffer that fills at the average rate holds it within seconds, and its size gives the freedom.
            let second = f64::from(average);
            let peak = if max == 0 { second * 1.5 } else { f64::from(max.max(average)) };
            let buffer = if vbv == 0 { peak } else { f64::from(vbv) };
            let average = kbits(second * stretch);
            rate = (ffi::RATE_AVERAGE, 0, average, average, kbits(buffer.min(second * 1.5)), 0);
        }
        Rate::Cbr { average, vbv } => {
            let buffer = if vbv == 0 { f64::from(average) } else { f64::from(vbv) };
            let average = kbits(f64::from(average) * stretch);
            rate = (ffi::RATE_AVERAGE, 0, average, average, kbits(buffer), 1);
        }
    }
    let (rate, qp, average, max, vbv, constant) = rate;
    let step = usize::from(spec.preset.clamp(1, 7) - 1);
    let speed = match spec.codec {
        EncoderCodec::H264 => [0, 0, 1, 2, 3, 4, 5][step],
        EncoderCodec::Hevc => [0, 0, 1, 1, 2, 3, 4][step],
        // One speed: the fastest is slow enough.
        EncoderCodec::Av1 => 0,
    };
    let (primaries, transfer, matrix) = spec.colour.unwrap_or_default();
    let ceiling = if spec.rate == Rate::Lossless { 0 } else { spec.profile };
    ffi::Settings {
        width: spec.width as i32,
        height: spec.height as i32,
        chroma444: i32::from(spec.chroma == Chroma::Yuv444),
        depth: i32::from(spec.depth),
        fps_num: fps.0,
        fps_den: fps.1,
        rate,
        qp,
        average,
        max,
        vbv,
        constant,
        speed,
        slices: slices(spec) as i32,
        cabac: i32::from(!spec.cavlc && ceiling != 66),
        profile: ceiling as i32,
        level: level_of(spec) as i32,
        sar_width: spec.sar.0.min(65535) as i32,
        sar_height: spec.sar.1.min(65535) as i32,
        colour: i32::from(spec.colour.is_some()),
        primaries: i32::from(primaries),
        transfer: i32::from(transfer),
        matrix: i32::from(matrix),
        full_range: spec.full_range.map_or(-1, i32::from),
    }
}

/// As many slices as the library can make of such pictures. libx265 cuts between rows of blocks of 32, and only where
/// it can work on several rows at once, which takes three blocks in a row.
fn slices(spec: &EncoderSpec) -> u32 {
    let most = match spec.codec {
        EncoderCodec::H264 => spec.height.div_ceil(16),
        EncoderCodec::Hevc if spec.width > 64 => spec.height.div_ceil(32),
        EncoderCodec::Hevc | EncoderCodec::Av1 => 1,
    };
    spec.slices.clamp(1, most)
}

/// What it takes to go from one spec to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The library need not know: quantisers come with each picture, and a rate that is no rate has no seconds.
    Headers,
    /// The library has to be told and keeps its state.
    Rates,
    /// The encoder has to be opened anew.
    Everything,
}

/// How an open encoder goes from one spec to the other.
pub(super) fn change(from: &EncoderSpec, to: &EncoderSpec) -> Change {
    let rates = match (from.rate, to.rate) {
        (Rate::ConstQp { .. }, Rate::ConstQp { .. }) | (Rate::Lossless, Rate::Lossless) => Change::Headers,
        (Rate::Quality { max: 0, quality: old }, Rate::Quality { max: 0, quality: new }) if old == new => {
            Change::Headers
        }
        // libx265 takes new rates without a complaint and goes on with the old ones; libavcodec takes none.
        _ if to.codec != EncoderCodec::H264 => Change::Everything,
        (Rate::Vbr { .. }, Rate::Vbr { .. }) | (Rate::Cbr { .. }, Rate::Cbr { .. }) => Change::Rates,
        // A buffer model cannot come or go.
        (Rate::Quality { max: before, .. }, Rate::Quality { max: after, .. })
            if (before == 0) == (after == 0) =>
        {
            Change::Rates
        }
        _ => Change::Everything,
    };
    let same = EncoderSpec { rate: to.rate, fps: to.fps, gop: to.gop, ..from.clone() };
    if same == *to { rates } else { Change::Everything }
}
