//! What a stream is: what the runtime reads in its headers, and what we do.

use super::output::Shape;
use super::unit::Unit;
use crate::backend::demand::Demand;
use crate::backend::vpl::codec_id;
use crate::backend::vpl::driver::abi::FrameInfo;
use crate::backend::vpl::driver::abi::names::{
    CHROMAFORMAT_MONOCHROME, CHROMAFORMAT_YUV420, CHROMAFORMAT_YUV422, FOURCC_Y410,
};
use crate::backend::vpl::driver::decoder::Parameters;
use crate::backend::vpl::driver::session::Session;
use crate::bitstream::StreamInfo;
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorRange, MatrixCoefficients};
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Remedy, Result};
use crate::pixel::Chroma;
use crate::time::Rational;

/// Surfaces besides those that the stream may refer to.
const BESIDES: u64 = 8;

/// A coded video sequence.
pub(super) struct Stream {
    codec: Codec,
    pub(super) parameters: Parameters,
}

impl Stream {
    /// Of the sequence that begins with a unit; `None`: it has no headers.
    ///
    /// # Errors
    /// What is not decoded, or asks for more than the limits allow.
    pub(super) fn of(
        session: &Session,
        unit: &Unit,
        config: &CommonDecodeConfig,
        in_video_memory: bool,
        depth: u16,
    ) -> Result<Option<Self>> {
        let codec = config.codec;
        if let Some(info) = &unit.info {
            check(info, config)?;
        }
        let mut parameters = Parameters::new(codec_id(codec)?, in_video_memory, depth);
        let stream = Self { codec, parameters: Parameters::new(codec_id(codec)?, in_video_memory, depth) };
        let read = parameters.read(session, &unit.data);
        if !read.map_err(|error| stream.refusal(error, unit.info.as_ref()))? {
            return Ok(None);
        }
        let frame = parameters.frame_mut();
        // Samples of more than 8 bits are at the high end, wherever surfaces are.
        if frame.bit_depth_luma > 8 {
            frame.shift = u16::from(frame.fourcc != FOURCC_Y410);
        }
        let stream = Self { codec, parameters };
        if unit.info.is_none() {
            stream.demand().check_on_card(&config.limits, BESIDES * 2)?;
        }
        Ok(Some(stream))
    }

    const fn frame(&self) -> &FrameInfo {
        self.parameters.frame()
    }

    fn demand(&self) -> Demand {
        let frame = self.frame();
        Demand {
            width: frame.width.into(),
            height: frame.height.into(),
            chroma: chroma(frame.chroma_format),
            bit_depth: frame.bit_depth_luma.max(8) as u8,
        }
    }

    /// What pictures are like of which our own readers know nothing.
    pub(super) fn shape(&self) -> Shape {
        let frame = self.frame();
        let ratio = |num: u32, den: u32| {
            if num > 0 && den > 0 { Rational::new(num, den) } else { None }
        };
        let color = if self.codec == Codec::Mjpeg {
            // JFIF.
            ColorInfo {
                matrix: MatrixCoefficients::Smpte170M,
                range: Some(ColorRange::Full),
                ..ColorInfo::UNSPECIFIED
            }
        } else {
            ColorInfo::UNSPECIFIED
        };
        Shape {
            color,
            sample_aspect_ratio: ratio(frame.aspect_w.into(), frame.aspect_h.into()),
            frame_rate: ratio(frame.rate_num, frame.rate_den),
        }
    }

    /// A refusal, by the name of what was refused.
    pub(super) fn refusal(&self, error: Error, info: Option<&StreamInfo>) -> Error {
        let Error::Unsupported { feature: said, .. } = error else { return error };
        let what = match info {
            Some(info) => format!(
                "{} {} {} with {} bits, {}",
                info.codec,
                info.profile_name,
                info.chroma,
                info.bit_depth(),
                info.coded_dimensions
            ),
            None => self.codec.to_string(),
        };
        Error::Unsupported {
            feature: format!("{what} by oneVPL on this GPU: {said}"),
            remedy: Remedy::OtherBackend,
        }
    }
}

/// Refuses pictures that would take more than the limits allow.
///
/// # Errors
/// [`Error::LimitExceeded`].
pub(super) fn check(info: &StreamInfo, config: &CommonDecodeConfig) -> Result<()> {
    let surfaces = u64::from(info.dpb_frames) + BESIDES;
    Demand::from(info).check_on_card(&config.limits, surfaces)
}

impl From<&StreamInfo> for Shape {
    fn from(info: &StreamInfo) -> Self {
        Self { color: info.color, sample_aspect_ratio: info.sample_aspect_ratio, frame_rate: info.frame_rate }
    }
}

const fn chroma(format: u16) -> Chroma {
    match format {
        CHROMAFORMAT_MONOCHROME => Chroma::Monochrome,
        CHROMAFORMAT_YUV422 => Chroma::Yuv422,
        CHROMAFORMAT_YUV420 => Chroma::Yuv420,
        _ => Chroma::Yuv444,
    }
}
