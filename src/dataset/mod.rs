//! An encoder for programs that turn logs of raw pictures into video: bytes of a picture in, coded chunks out.
//!
//! A thin layer over [`SwitchingEncoder`](crate::control::SwitchingEncoder): it numbers pictures, converts them to what the
//! encoder takes, tries encoders in the order of [`EncoderType::ORDER`] and says which one runs and why, puts a
//! [ring](crate::pipeline::frame_ring) between the program and the encoder where one is asked for, and goes on with the next
//! encoder, without losing a picture, when one dies.
//!
//! ```
//! # fn main() -> video_hw::Result<()> {
//! use video_hw::codec::Codec;
//! use video_hw::dataset::{EncoderConfig, GpuEncoderConfig, SessionVideoEncoder, VideoEncoder};
//! use video_hw::dimensions::Dimensions;
//! use video_hw::pixel::PixelFormat;
//!
//! let size = Dimensions::new(320, 240).ok_or_else(|| video_hw::Error::invalid("size"))?;
//! let config = EncoderConfig::new(Codec::H264, PixelFormat::Rgb24, size);
//! let mut encoder = SessionVideoEncoder::open(&config, &GpuEncoderConfig::default())?;
//! let mut chunks = Vec::new();
//! for shade in [40, 90, 140] {
//!     chunks.extend(encoder.encode_frame(&vec![shade; 320 * 240 * 3])?);
//! }
//! chunks.extend(encoder.flush()?);
//! assert_eq!(chunks.len(), 3);
//! println!("encoded by {}", encoder.encoder_type());
//! # Ok(()) }
//! ```

mod chain;
mod encoder;
mod pump;
mod times;

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::codec::Codec;
use crate::color::ColorInfo;
use crate::config::setters::setters;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::packet::{BitstreamLayout, Packet};
use crate::pixel::PixelFormat;
use crate::probing::Candidate;
use crate::time::{Rational, Timestamp};

pub use chain::{Probe, detect_available_encoders, probe_encoders};
pub use encoder::{EncoderSummary, SessionVideoEncoder};
pub use times::{TimeCorrections, TimeRun};

/// A kind of encoder, as people know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncoderType {
    /// NVIDIA's hardware, by the driver's own interface.
    Nvenc,
    /// Intel's hardware, by oneVPL.
    Qsv,
    /// Intel's hardware, through an installed ffmpeg.
    FfmpegQsv,
    /// Apple's hardware, by VideoToolbox's own interface.
    VideoToolbox,
    /// Apple's hardware, through an installed ffmpeg.
    FfmpegVideoToolbox,
    /// Hardware of AMD or Intel by VA-API, through an installed ffmpeg.
    Vaapi,
    /// libx264 (libx265, SVT-AV1) on the CPU, through an installed ffmpeg.
    X264,
    /// The encoder inside this library, on the CPU: H.264, always there.
    Embedded,
}

/// How dataset programs call each engine.
const NAMES: [(EncoderType, &str, Candidate); Candidate::ORDER.len()] = [
    (EncoderType::Nvenc, "nvenc", Candidate::Nvidia),
    (EncoderType::Qsv, "qsv", Candidate::Qsv),
    (EncoderType::FfmpegQsv, "ffmpeg-qsv", Candidate::FfmpegQsv),
    (EncoderType::VideoToolbox, "videotoolbox", Candidate::VideoToolbox),
    (EncoderType::FfmpegVideoToolbox, "ffmpeg-videotoolbox", Candidate::FfmpegVideoToolbox),
    (EncoderType::Vaapi, "vaapi", Candidate::Vaapi),
    (EncoderType::X264, "x264", Candidate::Ffmpeg),
    (EncoderType::Embedded, "embedded", Candidate::Embedded),
];

impl EncoderType {
    /// From the one that is tried first to the one that always works: [`Candidate::ORDER`], as everywhere.
    pub const ORDER: [Self; Candidate::ORDER.len()] = {
        let mut order = [Self::Embedded; Candidate::ORDER.len()];
        let mut at = 0;
        while at < order.len() {
            let mut row = 0;
            while NAMES[row].2 as usize != Candidate::ORDER[at] as usize {
                row += 1;
            }
            order[at] = NAMES[row].0;
            at += 1;
        }
        order
    };

    /// A short name, for settings and for people. The label `encoder_type` of metrics names the encoder itself.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// Whether it is hardware made for the purpose.
    pub const fn is_hardware(self) -> bool {
        !self.candidate().engine().on_cpu
    }

    /// Who is tried.
    const fn candidate(self) -> Candidate {
        NAMES[self as usize].2
    }

    /// What the configuration says for it alone.
    fn preset_and_tuning(
        self,
        config: &EncoderConfig,
        gpu: &GpuEncoderConfig,
    ) -> (Option<String>, Option<String>) {
        match self {
            Self::Nvenc => (Some(gpu.nvenc_preset.clone()), Some(gpu.nvenc_tune.clone())),
            Self::X264 => (config.preset.clone(), None),
            _ => (None, None),
        }
    }
}

impl fmt::Display for EncoderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EncoderType {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let known = Self::ORDER.into_iter().find(|kind| s.eq_ignore_ascii_case(kind.name()));
        known.ok_or_else(|| {
            let names = Self::ORDER.map(Self::name).join(", ");
            Error::invalid(format!("there is no encoder type {s:?}; known: {names}"))
        })
    }
}

/// What is to be encoded, and how.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EncoderConfig {
    /// Codec to produce.
    pub codec: Codec,
    /// Layout of the pictures that will be given; any that the library converts.
    pub pixel_format: PixelFormat,
    /// Their size.
    pub resolution: Dimensions,
    /// Pictures a second: numbers pictures that come without a time, and tells rate control.
    pub frame_rate: Rational,
    /// Colour of the pictures, as far as it is known; what is not is filled by
    /// [`ColorInfo::resolve`](crate::color::ColorInfo::resolve).
    pub color: ColorInfo,
    /// Constant quality, lower is better, on each encoder's own scale: 1 to 51 (AV1: 63), 10 to 51 where the embedded
    /// encoder is taken. An encoder that does not have it refuses it, and the next is tried.
    pub crf: u8,
    /// Pictures from one key frame to the next; `None`: the encoder's choice.
    pub gop_size: Option<u32>,
    /// Speed against size by the CPU encoder's name for it (`veryfast`, `medium` ...); hardware has
    /// [`GpuEncoderConfig::nvenc_preset`].
    pub preset: Option<String>,
    /// Keep pauses between pictures that MP4 cannot state: more than 2^31 ticks of the pictures' time base, about 35 minutes in
    /// microseconds and 2 seconds in nanoseconds. Otherwise they are closed ([`TimeCorrections`]).
    pub keep_long_pauses: bool,
}

setters!(EncoderConfig {
    codec: Codec, pixel_format: PixelFormat, resolution: Dimensions, frame_rate: Rational,
    color: ColorInfo, crf: u8, keep_long_pauses: bool,
} option { gop_size: u32, preset: String });

impl EncoderConfig {
    /// Defaults: 30 pictures a second, quality 23, everything else the encoder's choice.
    pub fn new(codec: Codec, pixel_format: PixelFormat, resolution: Dimensions) -> Self {
        Self {
            codec,
            pixel_format,
            resolution,
            frame_rate: Rational::new(30, 1).unwrap_or(Rational::ONE),
            color: ColorInfo::UNSPECIFIED,
            crf: 23,
            gop_size: None,
            preset: None,
            keep_long_pauses: false,
        }
    }
}

/// Which encoder, and what lies in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuEncoderConfig {
    /// Tried before all others; the others are tried in their order where it does not work.
    pub preferred_encoder: Option<EncoderType>,
    /// Refuse instead of taking another encoder than the preferred one.
    pub strict: bool,
    /// Encode on a thread of its own behind a ring of pictures, so that uneven input does not wait for the encoder.
    pub enable_ring_buffer: bool,
    /// Pictures that the ring holds.
    pub ring_buffer_size: usize,
    /// `p1` (fastest) to `p7`.
    pub nvenc_preset: String,
    /// `hq`, `ll`, `ull`.
    pub nvenc_tune: String,
}

setters!(GpuEncoderConfig { strict: bool, enable_ring_buffer: bool, ring_buffer_size: usize } into { nvenc_preset: String, nvenc_tune: String } option { preferred_encoder: EncoderType });

impl Default for GpuEncoderConfig {
    fn default() -> Self {
        Self {
            preferred_encoder: None,
            strict: false,
            enable_ring_buffer: true,
            ring_buffer_size: 32,
            nvenc_preset: "p4".to_owned(),
            nvenc_tune: "hq".to_owned(),
        }
    }
}

/// One coded picture, in decoding order.
#[derive(Clone, Debug)]
pub struct EncodedChunk {
    /// Codec.
    pub codec: Codec,
    /// Framing of the data.
    pub layout: BitstreamLayout,
    /// The coded bytes.
    pub data: Bytes,
    /// Presentation time, in the unit of the first picture's time.
    pub pts: Timestamp,
    /// The time that was given for its picture; not `pts` where that could not follow the time before.
    pub given: Timestamp,
    /// When it is decoded.
    pub dts: Timestamp,
    /// Whether decoding can start here.
    pub is_keyframe: bool,
    /// Counts the encoders that made the stream, from 1: it rises when another takes over.
    pub generation: u64,
}

impl EncodedChunk {
    fn of(packet: Packet) -> Result<Self> {
        let (Some(codec), Some(pts), Some(dts)) = (packet.codec, packet.pts, packet.dts) else {
            return Err(Error::invalid("an encoder gave a packet without codec or times"));
        };
        Ok(Self {
            codec,
            layout: packet.layout,
            data: packet.data,
            pts,
            given: pts,
            dts,
            is_keyframe: packet.keyframe,
            generation: packet.generation,
        })
    }

    /// As a packet, for a muxer.
    pub fn into_packet(self) -> Packet {
        Packet {
            keyframe: self.is_keyframe,
            generation: self.generation,
            ..Packet::new(self.codec, self.layout, self.data).at(self.pts, self.dts)
        }
    }
}

/// Pictures in, coded chunks out.
pub trait VideoEncoder {
    /// Encodes the next picture, in the layout and size of the configuration, one frame interval after the one before.
    /// Gives a chunk that is ready, of this picture or an earlier one.
    ///
    /// # Errors
    /// A picture of another size; an encoder that can do no more, and none that can take over.
    fn encode_frame(&mut self, frame: &[u8]) -> Result<Option<EncodedChunk>>;

    /// Encodes the next picture at a stated time. A time that is not later than that of the picture before is corrected, and the
    /// picture is kept: see [`TimeCorrections`].
    ///
    /// # Errors
    /// As [`Self::encode_frame`].
    fn encode_frame_at(&mut self, frame: &[u8], pts: Timestamp) -> Result<Option<EncodedChunk>>;

    /// Every chunk that is left. The encoder stays usable; the next picture is a key frame.
    ///
    /// # Errors
    /// As [`Self::encode_frame`].
    fn flush(&mut self) -> Result<Vec<EncodedChunk>>;
}
