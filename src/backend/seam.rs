//! The seam behind which vendors live: what a decoder and an encoder are to a session, and what crosses between them.
//!
//! Units go in through `submit`, results come out through the sink given at creation, from whichever thread the backend
//! likes. Time never crosses the seam: units carry a serial number, and the session puts the times back on whatever carries
//! that serial. This is what keeps pts right when pictures are reordered.

use std::sync::Arc;
use std::time::Duration;

use super::cards::CardRoom;
use crate::color::ColorInfo;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::frame::{Frame, Surface};
use crate::packet::{BitstreamLayout, Packet, PictureType};
use crate::pixel::PixelFormat;
use crate::stages::{DecodeMeter, EncodeMeter};
use crate::time::Rational;

/// One access unit on its way into a decoder.
#[derive(Clone, Debug)]
pub struct CodedUnit {
    /// The session's number of this unit, strictly increasing between two flushes.
    pub serial: u64,
    /// The data, in the layout the backend asked for ([`DecoderBackend::input_layout`]).
    pub packet: Packet,
}

/// One decoded picture on its way out of a decoder, in output order.
#[derive(Clone, Debug)]
pub struct DecodedPicture {
    /// Serial of the unit that held the picture.
    pub serial: u64,
    /// Size after cropping.
    pub dimensions: Dimensions,
    /// Format of the surface (or what it would have been, in metadata-only mode).
    pub format: PixelFormat,
    /// Colour as the bitstream states it.
    pub color: ColorInfo,
    /// Sample aspect ratio, where stated.
    pub sample_aspect_ratio: Option<Rational>,
    /// Frame rate the bitstream states, where it does.
    pub frame_rate: Option<Rational>,
    /// Whether it was a random access point.
    pub keyframe: bool,
    /// Whether the decoder had to mend it.
    pub concealed: bool,
    /// Whether the crop and size that the session's configuration asks for are applied already. Where they are not, the
    /// session does it on the CPU, and so with the format, which a decoder may convert or leave.
    pub shaped: bool,
    /// Bytes of it that were copied on its way out of the decoder (see [`CopyBytes`]).
    pub copied: CopyBytes,
    /// How long a device worked on it on that way.
    pub device_times: DeviceTimes,
    /// The memory.
    pub surface: Surface,
}

/// How long the steps took that bring a decoded picture out of a device; `None`: there was no such step, or its time is not
/// known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceTimes {
    /// See [`DecodeStages::map`](crate::stages::DecodeStages::map).
    pub map: Option<Duration>,
    /// See [`DecodeStages::convert`](crate::stages::DecodeStages::convert).
    pub convert: Option<Duration>,
    /// See [`DecodeStages::download`](crate::stages::DecodeStages::download).
    pub download: Option<Duration>,
}

/// What a decoder reports through its sink.
#[derive(Debug)]
pub enum DecodeEvent {
    /// A picture, in output order.
    Picture(DecodedPicture),
    /// The unit with this serial gives no picture, rightly (parameter sets alone, a hidden frame, a
    /// leading picture that cannot be decoded after a random access).
    NoPicture {
        /// Serial of the unit.
        serial: u64,
        /// Why, for the ledger.
        reason: &'static str,
    },
    /// The unit with this serial is lost. When the error is not recoverable the session ends.
    Failed {
        /// Serial of the unit.
        serial: u64,
        /// Why.
        error: Error,
    },
    /// Something that the caller should know and that loses nothing: work that the backend does in another way than
    /// asked for. Kept for [`crate::session::DecodeSummary::notes`], unless it is empty, which only asks whether the
    /// session is still there.
    Note(String),
}

/// Where a decoder puts its results. Returns `false` once the session is gone: stop working then. May block
/// while the session's output queue is full: that is how backpressure reaches the decoder.
pub type DecodeSink = Box<dyn FnMut(DecodeEvent) -> bool + Send>;

/// A decoder of one stream. Created by a candidate of the selection table.
pub trait DecoderBackend: Send {
    /// Layout that `submit` expects; the session converts.
    fn input_layout(&self) -> BitstreamLayout;

    /// Takes one access unit. Runs on the session's worker thread and may take as long as decoding does.
    /// Every serial must be answered through the sink exactly once, at the latest during the next `flush`.
    ///
    /// # Errors
    /// Only when the decoder can do no more; per-unit failures go to the sink.
    fn submit(&mut self, unit: CodedUnit) -> Result<()>;

    /// Delivers everything still held, then is ready for a new coded sequence (starting with a random
    /// access point) with the same configuration.
    ///
    /// # Errors
    /// Only when the decoder can do no more.
    fn flush(&mut self) -> Result<()>;

    /// Name of the codec library or engine in use, for summaries.
    fn implementation(&self) -> &'static str;

    /// The meter of a backend that forwards calls to decoders on other threads. Read once, after opening; without a meter the
    /// session counts the calls itself.
    fn meter(&self) -> Option<Arc<DecodeMeter>> {
        None
    }

    /// CPU time that threads other than the caller's have decoded for so far.
    fn helper_time(&self) -> Duration {
        Duration::ZERO
    }
}

/// One picture on its way into an encoder.
#[derive(Clone, Debug)]
pub struct EncodeUnit {
    /// The session's number of this frame, strictly increasing.
    pub serial: u64,
    /// The picture.
    pub frame: Frame,
}

/// Bytes that a backend had copied, itself or by the driver at its word. What a codec library or the hardware moves inside
/// itself is not known and not counted, and neither are conversions, which have figures of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyBytes {
    /// Of what goes in (packets of a decoder, pictures of an encoder): within the host's memory, or between it and a
    /// device's.
    pub input: u64,
    /// Of what comes out, likewise.
    pub output: u64,
    /// Of pictures, within the memory of a device.
    pub device: u64,
}

/// When pictures that are wanted in host memory leave the device that decoded them. A decoder without a device has no choice.
#[derive(Clone, Debug)]
pub(crate) enum Download {
    /// At once: what the decoder gives is what its configuration asks for.
    Now,
    /// When their turn has come: as long as there is room the decoder may leave them where they are, and whoever opened it
    /// brings them over.
    Later(Arc<CardRoom>),
}

/// One encoded access unit, in decoding order.
#[derive(Clone, Debug)]
pub struct EncodedUnit {
    /// Serial of the frame it shows.
    pub serial: u64,
    /// The coded bytes in [`EncoderBackend::output_layout`].
    pub data: bytes::Bytes,
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// Coding type.
    pub picture_type: Option<PictureType>,
}

/// What an encoder reports through its sink.
#[derive(Debug)]
pub enum EncodeEvent {
    /// An access unit, in decoding order.
    Unit(EncodedUnit),
    /// The encoder chose not to code this frame (rate control, for instance).
    Dropped {
        /// Serial of the frame.
        serial: u64,
        /// Why, for the ledger.
        reason: &'static str,
    },
    /// The frame with this serial is lost.
    Failed {
        /// Serial of the frame.
        serial: u64,
        /// Why.
        error: Error,
    },
    /// Nothing yet. Asked by an encoder that may have to wait for long: the answer tells whether the session is still
    /// there.
    Waiting,
}

/// Where an encoder puts its results; see [`DecodeSink`].
pub type EncodeSink = Box<dyn FnMut(EncodeEvent) -> bool + Send>;

/// Tells of a frame whether an encoder can read it where it is, and if not, why.
pub type FrameCheck = Arc<dyn Fn(&Frame) -> Result<()> + Send + Sync>;

/// What a running encoder can change without being opened anew. Whatever is not named here cannot be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InPlace {
    /// The numbers of the rate control, within its mode.
    pub bitrate: bool,
    /// The mode of the rate control.
    pub rate_mode: bool,
    /// The nominal frame rate.
    pub frame_rate: bool,
    /// The size, up to this one.
    pub max_dimensions: Option<Dimensions>,
}

/// An encoder of one stream.
pub trait EncoderBackend: Send {
    /// Layout of the units that come out.
    fn output_layout(&self) -> BitstreamLayout;

    /// Takes one frame; same rules as [`DecoderBackend::submit`].
    ///
    /// # Errors
    /// Only when the encoder can do no more.
    fn submit(&mut self, unit: EncodeUnit) -> Result<()>;

    /// Delivers everything still held; the next frame is coded as an IDR.
    ///
    /// # Errors
    /// Only when the encoder can do no more.
    fn flush(&mut self) -> Result<()>;

    /// What the session asks of each frame before it takes it, besides size, format and time. Frames that the caller
    /// cannot have encoded are the caller's again, and the session goes on.
    fn admission(&self) -> FrameCheck {
        Arc::new(|_| Ok(()))
    }

    /// What was copied so far.
    fn copies(&self) -> CopyBytes {
        CopyBytes::default()
    }

    /// By how many frames an output may trail its input because of reordering (the B-frame depth); what
    /// decoding times are computed from.
    fn reorder_delay(&self) -> usize {
        0
    }

    /// What [`Self::reconfigure`] can change.
    fn in_place(&self) -> InPlace {
        InPlace::default()
    }

    /// Changes settings between two frames; called only for what [`Self::in_place`] names. Frames submitted before are
    /// coded by the old settings, those after it by the new ones, from an IDR where the size or the mode of the rate
    /// control changes.
    ///
    /// # Errors
    /// When the encoder refuses, or cannot: it then goes on as it was, or fails at the next frame.
    fn reconfigure(&mut self, config: &CommonEncodeConfig, special: &BackendEncodeConfig) -> Result<()> {
        let _ = (config, special);
        Err(Error::unsupported(format!("changing settings of a running {} encoder", self.implementation())))
    }

    /// Frames from one IDR to the next, where the encoder counts so and knows.
    fn idr_interval(&self) -> Option<u32> {
        None
    }

    /// Name of the codec library or engine in use, for summaries.
    fn implementation(&self) -> &'static str;

    /// Where it counts how long its stages take, if it does; asked once, after opening.
    fn meter(&self) -> Option<Arc<EncodeMeter>> {
        None
    }

    /// What the caller should know of how it was opened, for [`Receipt::notes`](super::Receipt::notes).
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Decode or encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Decoding.
    Decode,
    /// Encoding.
    Encode,
}

/// Makes a sink for each decoder that is tried.
pub(crate) type SinkFactory = Box<dyn Fn() -> DecodeSink + Send>;

/// The check of encoders that read host memory and put no messages of the caller's into the stream.
pub(super) fn plain_host_frames(encoder: &'static str) -> FrameCheck {
    Arc::new(move |frame| {
        if let Some(message) = frame.user_sei.first() {
            return Err(Error::Unsupported {
                feature: format!("a user SEI message (payload type {}) with {encoder}", message.payload_type),
                remedy: Remedy::Allowed("none".to_owned()),
            });
        }
        if frame.as_host().is_none() {
            return Err(Error::invalid(format!(
                "{encoder} reads host memory, and the frame at {} has no picture there; download it before encoding",
                frame.pts
            )));
        }
        Ok(())
    })
}
