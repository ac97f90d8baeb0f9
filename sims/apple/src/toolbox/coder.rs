//! From pictures to samples: what VideoToolbox's encoders do, by libx264 and libx265.

use std::collections::VecDeque;
use std::sync::Arc;

use super::machine::Encoder;
use super::properties::Properties;
use super::status;
use crate::Status;
use crate::codec::encoder::{self, Coded, Settings, SoftEncoder, Wish};
use crate::foundation::collection::{Array, Dictionary};
use crate::foundation::constants::truth;
use crate::foundation::object::Held;
use crate::foundation::value::{Number, Text};
use crate::media::block::Block;
use crate::media::format::{Format, H264};
use crate::media::parameter_sets::{Syntax, split_annex_b};
use crate::media::sample::Sample;
use crate::media::time::{Time, Timing};
use crate::video::colours;
use crate::video::convert::Picture;
use crate::video::pixels::{Pixels, Samples};

/// B pictures between others.
const B_PICTURES: i32 = 2;
/// Frames between key frames where nobody asks for any.
const KEY_INTERVAL: i64 = 240;

/// How to code, as the properties stand when a frame is given.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    syntax: Syntax,
    /// Coded size.
    pub width: usize,
    /// Coded size.
    pub height: usize,
    /// Bits.
    pub depth: u32,
    /// All values, and not the video range.
    pub full: bool,
    /// Frames between key frames; 0: whatever time says.
    pub key_interval: i64,
    /// Seconds between key frames; 0: whatever the count says.
    pub key_seconds: f64,
    /// Frames may depend on others.
    pub temporal: bool,
    settings: Settings,
}

impl Plan {
    /// What the properties, the first source frame and the encoder come to.
    pub fn of(
        properties: &Properties,
        encoder: &Encoder,
        size: (usize, usize),
        source_depth: u32,
        source: &Pixels,
        low_latency: bool,
    ) -> Self {
        let number = |key: &str| properties.number(key);
        let level = properties.text("ProfileLevel").unwrap_or_default();
        let syntax = if encoder.codec == H264 { Syntax::H264 } else { Syntax::Hevc };
        let depth = match (level.as_str(), syntax) {
            (_, Syntax::H264) | ("HEVC_Main_AutoLevel", _) => 8,
            ("HEVC_Main10_AutoLevel", _) => 10,
            _ => source_depth.min(encoder.depth),
        };
        let full = matches!(source.samples, Samples::Biplanar { full: true, .. });
        let temporal = properties.truth("AllowTemporalCompression").unwrap_or(true);
        let delay = number("MaxFrameDelayCount").map_or(-1, Number::int);
        let reorders = encoder.reorders
            && properties.truth("AllowFrameReordering").unwrap_or(false)
            && temporal
            && !low_latency
            && !level.contains("Baseline");
        let b_frames = match delay {
            _ if !reorders => 0,
            // With B pictures libx265 keeps more frames than that inside, however few are asked for.
            0.. if syntax == Syntax::Hevc => 0,
            0.. => B_PICTURES.min(delay as i32),
            _ => B_PICTURES,
        };
        // What the session is told, and else what comes with the frame.
        let named = |property: &str, attachment: &str, list| {
            let of_source = || source.attachment(attachment)?.0.get::<Text>().map(|text| text.0.clone());
            let name = properties.text(property).or_else(of_source);
            name.and_then(|name| colours::code(list, &name)).unwrap_or(2) as i32
        };
        let aspect = properties.value("PixelAspectRatio").and_then(|value| value.get::<Dictionary>());
        let spacing = |key: &str| {
            aspect.as_ref().and_then(|all| all.number(key)).map_or(0, |number| number.int() as i32)
        };
        let (max_rate, buffer) = limits(properties);
        let constant = number("ConstantBitRate").map_or(0, Number::int);
        let average = number("AverageBitRate").map_or(0, Number::int);
        let fps = number("ExpectedFrameRate").map_or(0.0, Number::float);
        let fps = if (1.0..=960.0).contains(&fps) { fps } else { 30.0 };
        let quality = number("Quality").map_or(0.65, Number::float);
        let settings = Settings {
            codec: if syntax == Syntax::Hevc { encoder::HEVC } else { encoder::H264 },
            width: size.0 as i32,
            height: size.1 as i32,
            depth: depth as i32,
            fps_num: (fps * 1000.0).round() as i32,
            fps_den: 1000,
            bit_rate: if constant > 0 { constant } else { average },
            max_rate: if constant > 0 { constant } else { max_rate },
            buffer: if constant > 0 { constant } else { buffer },
            // Of 1 nothing is lost that can be seen; of 0 little is left.
            quality: (48.0 - 40.0 * quality).round() as i32,
            qp_min: number("MinAllowedFrameQP").map_or(-1, |number| number.int() as i32),
            qp_max: number("MaxAllowedFrameQP").map_or(-1, |number| number.int() as i32),
            // Key frames are decided here, frame by frame.
            gop: 1 << 20,
            b_frames,
            profile: h264_profile(&level),
            level: h264_level(&level),
            cavlc: (properties.text("H264EntropyMode").as_deref() == Some("CAVLC")).into(),
            slice_bytes: number("MaxH264SliceBytes").map_or(0, |number| number.int() as i32),
            full_range: full.into(),
            primaries: named("ColorPrimaries", "CVImageBufferColorPrimaries", colours::PRIMARIES),
            transfer: named("TransferFunction", "CVImageBufferTransferFunction", colours::TRANSFERS),
            matrix: named("YCbCrMatrix", "CVImageBufferYCbCrMatrix", colours::MATRICES),
            sar_width: spacing("HorizontalSpacing"),
            sar_height: spacing("VerticalSpacing"),
            ..Settings::default()
        };
        let key_seconds =
            if low_latency { 0.0 } else { number("MaxKeyFrameIntervalDuration").map_or(0.0, Number::float) };
        let key_interval = match number("MaxKeyFrameInterval").map_or(0, Number::int) {
            // Nothing but what is forced begins anew.
            _ if low_latency => 0,
            0 if key_seconds == 0.0 => KEY_INTERVAL,
            interval => interval,
        };
        let (width, height) = size;
        Self { syntax, width, height, depth, full, key_interval, key_seconds, temporal, settings }
    }
}

/// The first pair of `DataRateLimits`, bytes and seconds, as bits per second and a buffer.
fn limits(properties: &Properties) -> (i64, i64) {
    let list = properties.value("DataRateLimits").and_then(|value| value.get::<Array>());
    let numbers: Vec<f64> = list
        .map(|list| list.objects().iter().filter_map(|value| Some(value.get::<Number>()?.float())).collect())
        .unwrap_or_default();
    match numbers.as_slice() {
        [bytes, seconds, ..] if *seconds > 0.0 => ((bytes * 8.0 / seconds) as i64, (bytes * 8.0) as i64),
        _ => (0, 0),
    }
}

fn h264_profile(level: &str) -> i32 {
    match level.split('_').nth(1) {
        Some("Baseline" | "ConstrainedBaseline") => 66,
        Some("Main") => 77,
        Some("High" | "ConstrainedHigh") => 100,
        _ => 0,
    }
}

/// `H264_High_4_1` is 41.
fn h264_level(level: &str) -> i32 {
    let mut parts = level.split('_').skip(2);
    match (parts.next().map(str::parse::<i32>), parts.next().map(str::parse::<i32>)) {
        (Some(Ok(major)), Some(Ok(minor))) => major * 10 + minor,
        _ => 0,
    }
}

/// An open encoder with the format of its samples.
pub struct Coder {
    soft: SoftEncoder,
    syntax: Syntax,
    settings: Settings,
    format: (Held, Arc<Format>),
    /// Presentation times of frames that are not out, in display order: decoding times, as VideoToolbox makes them.
    times: VecDeque<Time>,
}

impl Coder {
    /// Opens the library.
    pub fn open(plan: &Plan) -> Result<Self, Status> {
        let soft = SoftEncoder::open(plan.settings).map_err(|_| status::ENCODER_MALFUNCTION)?;
        let sets: Vec<Vec<u8>> = split_annex_b(&soft.sets())
            .into_iter()
            .filter(|unit| plan.syntax.is_set(unit))
            .map(<[u8]>::to_vec)
            .collect();
        let s = &plan.settings;
        let colour = crate::media::parameter_sets::Colour {
            full_range: plan.full,
            primaries: s.primaries as u32,
            transfer: s.transfer as u32,
            matrix: s.matrix as u32,
        };
        let mut more = vec![("FullRangeVideo".to_owned(), truth(plan.full))];
        more.extend(
            crate::media::format::names(colour).into_iter().map(|(key, value)| (key.to_owned(), value)),
        );
        if s.sar_width > 0 && s.sar_height > 0 {
            let shape = crate::media::format::aspect(s.sar_width as u32, s.sar_height as u32);
            more.push(("CVPixelAspectRatio".into(), shape));
        }
        let format = Format::of_sets(plan.syntax, sets, 4, &more).ok_or(status::ENCODER_MALFUNCTION)?;
        let format = Held::new(format);
        let inside = format.get::<Format>().ok_or(status::ENCODER_MALFUNCTION)?;
        Ok(Self {
            soft,
            syntax: plan.syntax,
            settings: plan.settings,
            format: (format, inside),
            times: VecDeque::new(),
        })
    }

    /// Follows rates that changed.
    pub fn follow(&mut self, plan: &Plan) {
        let rates = |s: &Settings| (s.bit_rate, s.max_rate, s.buffer);
        if rates(&plan.settings) != rates(&self.settings) {
            let (bit_rate, max_rate, buffer) = rates(&plan.settings);
            self.soft.rate(bit_rate, max_rate, buffer);
            self.settings = plan.settings;
        }
    }

    /// A frame with this time is about to be coded.
    pub fn comes(&mut self, pts: Time) {
        self.times.push_back(pts);
    }

    /// Codes a frame; what is ready comes out.
    pub fn encode(&mut self, picture: &Picture, number: i64, key: bool) -> Result<Vec<Coded>, Status> {
        if picture.depth != self.settings.depth as u32 {
            return Err(status::ENCODER_MALFUNCTION);
        }
        let bytes = |samples: &Vec<u16>| -> Vec<u8> {
            match picture.depth {
                8 => samples.iter().map(|&sample| sample as u8).collect(),
                _ => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
            }
        };
        let planes = picture.planes.each_ref().map(bytes);
        let wish = if key { Wish::Key } else { Wish::Any };
        let coded = self.soft.encode(planes.each_ref().map(Vec::as_slice), number, wish);
        coded.map_err(|_| status::ENCODER_MALFUNCTION)
    }

    /// Codes what is left.
    pub fn finish(&mut self) -> Result<Vec<Coded>, Status> {
        self.soft.finish().map_err(|_| status::ENCODER_MALFUNCTION)
    }

    /// The sample of a coded frame. Decoding times are those of display in their order, so that they begin with the first frame's
    /// and may lie behind the presentation; without reordering there are none.
    pub fn sample(&mut self, coded: &Coded, pts: Time, duration: Time) -> Option<Sample> {
        let next = self.times.pop_front().unwrap_or(Time::INVALID);
        let dts = if self.settings.b_frames > 0 { next } else { Time::INVALID };
        let mut data = Vec::with_capacity(coded.data.len());
        let mut referred = false;
        for unit in split_annex_b(&coded.data) {
            if self.syntax.is_set(unit) || self.syntax.is_sei(unit) {
                continue;
            }
            referred |= match self.syntax {
                Syntax::H264 => unit[0] & 0x60 != 0,
                Syntax::Hevc => !matches!(self.syntax.kind(unit), 0 | 2 | 4 | 6 | 8 | 10 | 12 | 14),
            };
            data.extend(u32::try_from(unit.len()).ok()?.to_be_bytes());
            data.extend(unit);
        }
        let attachments = Dictionary::holding([
            ("DependsOnOthers", truth(!coded.key)),
            ("IsDependedOnByOthers", truth(referred)),
        ]);
        if !coded.key {
            attachments.get::<Dictionary>()?.set("NotSync", truth(true));
        }
        Sample::new(Block::of(&data)?, self.format.clone(), Timing { duration, pts, dts }, attachments)
    }
}
