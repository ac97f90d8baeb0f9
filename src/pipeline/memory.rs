//! Where the frames of a transcode are between decoder and encoder: on the device when both work on the same one, else
//! in host memory. Decided by rule, before anything is opened; whatever comes otherwise (a decoder that hands the stream
//! to the CPU, a card without a session left) is still brought to the encoder.

use std::fmt;

use super::filter::{FilterOptions, FilterSummary};
use super::source::SourceOptions;
use crate::backend::{Backend, FormatQuestion, device_input_formats};
use crate::bitstream::StreamInfo;
use crate::config::{DecodeOutputMode, Engines};
use crate::container::VideoTrack;
use crate::pixel::{Chroma, PixelFormat};

/// Where frames were when the encoder got them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameMemory {
    /// In host memory, all of them.
    Host,
    /// In the memory of the device that decoded and encoded them.
    Device,
    /// Some here, some there.
    Mixed,
}

impl FrameMemory {
    pub(super) const fn of(filter: &FilterSummary) -> Self {
        match filter.on_device {
            0 => Self::Host,
            n if n == filter.frames_out => Self::Device,
            _ => Self::Mixed,
        }
    }
}

impl fmt::Display for FrameMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Device => "device",
            Self::Mixed => "mixed",
        })
    }
}

/// Has frames decoded into device memory, and scaled by the decoder, where the encoder will read them there. The answer:
/// why not, where one device does both jobs all the same.
pub(super) fn choose(
    video: &VideoTrack,
    source: &mut SourceOptions,
    filter: &FilterOptions,
    encoder: Backend,
    asked: &FormatQuestion<'_>,
) -> Option<String> {
    if !source.backend.may_read_own_frames() {
        return None;
    }
    let formats = match device_input_formats(source.backend, encoder, asked) {
        Ok(formats) => formats?,
        Err(error) => return Some(format!("the encoder could not be asked what it reads: {error}")),
    };
    if source.engines != Engines::One && source.names_several_devices() {
        return Some("several cards decode and one encodes".to_owned());
    }
    if filter.deinterlace {
        return Some("pictures are deinterlaced on the CPU".to_owned());
    }
    let pictures = source.crop.map_or(video.dimensions, |crop| crop.size);
    if filter.size.is_none() && asked.size != pictures {
        return Some(format!("pictures of {pictures} are extended to {} on the CPU", asked.size));
    }
    let native = native_format(video);
    let taken = |format: &PixelFormat| formats.contains(format);
    match (native, filter.format) {
        (Some(native), Some(wanted)) if native != wanted => {
            return Some(format!("the change from {native} to {wanted} is made on the CPU"));
        }
        (Some(native), _) if !taken(&native) => {
            return Some(format!("the encoder does not take {native} as the decoder gives it"));
        }
        // What there is shows itself with the first frame; decoders give formats that encoders take.
        (None, Some(wanted)) if !matches!(wanted, PixelFormat::Nv12 | PixelFormat::P010) => {
            return Some(format!("{wanted} is made on the CPU"));
        }
        _ => {}
    }
    source.output = DecodeOutputMode::NativeSurface;
    source.size = filter.size;
    None
}

/// The format of the decoder's frames, where the container tells enough.
fn native_format(video: &VideoTrack) -> Option<PixelFormat> {
    let config = video.codec_config.as_deref()?;
    let stream = StreamInfo::from_config(video.codec, config).ok()??;
    match (stream.chroma, stream.bit_depth()) {
        (Chroma::Yuv420 | Chroma::Monochrome, 8) => Some(PixelFormat::Nv12),
        (Chroma::Yuv420 | Chroma::Monochrome, 10) => Some(PixelFormat::P010),
        (Chroma::Yuv420 | Chroma::Monochrome, 12) => Some(PixelFormat::P016),
        (chroma, depth) => PixelFormat::planar(chroma, depth),
    }
}
