//! What a session does to the pictures of its decoder: nothing, where the decoder did it; else on worker threads.

use std::num::NonZeroUsize;

use crate::config::{ColorRequest, CommonDecodeConfig, DecodeOutputMode};
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface, Surface};
use crate::pixel::PixelFormat;
use crate::transform::{
    ScaleFilter, Ticket, TransformDispatcher, TransformOptions, TransformRequest, TransformStats,
};

/// Pictures that are cut, scaled, converted or downloaded here leave as tickets, in the order of the decoder; the
/// consumer's end waits for each. So neither order nor a flush needs a word: both are those of the output queue.
pub(super) struct Shaping {
    metadata_only: bool,
    /// Each host frame is a copy of its own ([`CommonDecodeConfig::prefer_zero_copy`]).
    private: bool,
    /// All that is asked for.
    wanted: TransformRequest,
    /// What is left when the decoder cut and scaled the picture.
    rest: TransformRequest,
    dispatcher: TransformDispatcher,
}

impl Shaping {
    /// # Errors
    /// [`Error::InvalidInput`] for settings that contradict each other.
    pub(super) fn new(config: &CommonDecodeConfig) -> Result<Self> {
        let rgb_on_cpu = config.output == DecodeOutputMode::CpuRgb;
        if rgb_on_cpu && config.convert.format().is_some_and(|format| format != PixelFormat::Rgb24) {
            return Err(Error::invalid(format!(
                "frames cannot be both rgb24 (output CpuRgb) and {} (convert); leave one out",
                config.convert.format().map_or("", PixelFormat::name)
            )));
        }
        let rest = TransformRequest {
            host: matches!(config.output, DecodeOutputMode::HostSurface | DecodeOutputMode::CpuRgb),
            // Nothing to do where the decoder has converted too.
            convert: if rgb_on_cpu { ColorRequest::Rgb8 } else { config.convert },
            ..TransformRequest::default()
        };
        let wanted =
            TransformRequest { crop: config.crop, size: config.size, filter: ScaleFilter::default(), ..rest };
        let metadata_only = config.output == DecodeOutputMode::MetadataOnly;
        // The output queue bounds what is inside; twice its length never makes the decoder wait for a worker alone.
        let credits = NonZeroUsize::new(2 * Self::output_queue(config, 0));
        let dispatcher =
            TransformDispatcher::new(TransformOptions { credits, ..TransformOptions::default() });
        Ok(Self { metadata_only, private: !config.prefer_zero_copy, wanted, rest, dispatcher })
    }

    /// Frames that may wait for the consumer: `base`, and enough to keep all workers busy where there is work for
    /// them.
    pub(super) fn output_queue(config: &CommonDecodeConfig, base: usize) -> usize {
        let asked = config.crop.is_some() || config.size.is_some() || config.convert.format().is_some();
        let works = match config.output {
            DecodeOutputMode::MetadataOnly => false,
            DecodeOutputMode::CpuRgb => true,
            DecodeOutputMode::NativeSurface | DecodeOutputMode::HostSurface => asked,
        };
        let threads = TransformDispatcher::threads(TransformOptions::default());
        base.max(if works { threads + 2 } else { 1 })
    }

    /// The frame as asked for, now or later. `shaped`: the decoder has cut and scaled it.
    pub(super) fn begin(&self, frame: Frame, shaped: bool) -> Result<Ticket> {
        if self.metadata_only {
            let nothing = TransformRequest::default();
            let frame = if shaped { &nothing } else { &self.wanted }.outline(frame)?;
            return Ok(self.dispatcher.ticket(frame, &nothing));
        }
        Ok(self.dispatcher.ticket(frame, if shaped { &self.rest } else { &self.wanted }))
    }

    /// A copy of a host frame where it must share no memory with its decoder, and how many bytes that took.
    pub(super) fn own(&self, mut frame: Frame) -> Result<(Frame, u64)> {
        let Surface::Host(shared) = &frame.surface else { return Ok((frame, 0)) };
        if !self.private {
            return Ok((frame, 0));
        }
        let packed = shared.to_packed();
        let bytes = packed.len() as u64;
        frame.surface = Surface::Host(HostSurface::from_packed(frame.format, frame.dimensions, packed)?);
        Ok((frame, bytes))
    }

    /// Why frames were converted on the CPU that are wanted of their device.
    pub(super) fn note(&self) -> Option<String> {
        let to = self.wanted.convert.format()?;
        self.dispatcher.failure().map(|words| format!("{to} is made on the CPU: {words}"))
    }

    pub(super) fn wanted(&self) -> TransformRequest {
        self.wanted
    }

    pub(super) fn stats(&self) -> TransformStats {
        self.dispatcher.stats()
    }
}
