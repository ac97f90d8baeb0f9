//! The H.264 encoder behind the seam: one frame in, one access unit out, in the same order.

use crate::backend::{
    BackendKind, CopyBytes, EncodeEvent, EncodeSink, EncodeUnit, EncodedUnit, EncoderBackend, FrameCheck,
    plain_host_frames,
};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface};
use crate::hang;
use crate::memory;
use crate::packet::{BitstreamLayout, PictureType};
use crate::pixel::PixelFormat;
use crate::time::Rational;
use crate::transform::split_pairs;

use super::driver::openh264::{Coded, Encoder, Parameters};
pub(crate) use super::encode_settings::encode_capability;
use super::encode_settings::{IMPLEMENTATION, negotiate};
use super::rate_guard::{RateGuard, average_squares};
use super::sps_timing::with_frame_rate;

/// Opens an encoder, or says which setting it cannot honour.
///
/// # Errors
/// [`Error::Unsupported`] for settings, [`Error::Backend`] when the library fails.
pub(crate) fn open_encoder(
    config: &CommonEncodeConfig,
    backend: &BackendEncodeConfig,
    sink: EncodeSink,
) -> Result<Box<dyn EncoderBackend>> {
    let parameters = negotiate(config, backend)?;
    let encoder = Encoder::open(&parameters)?;
    Ok(Box::new(SoftwareEncoder {
        encoder,
        guard: RateGuard::new(&parameters, config.frame_rate),
        parameters,
        config: config.clone(),
        sink,
        closed: false,
        idr_next: false,
        count: 0,
        output: Vec::new(),
        chroma: [Vec::new(), Vec::new()],
        softened: [Vec::new(), Vec::new(), Vec::new()],
        copies: CopyBytes::default(),
    }))
}

struct SoftwareEncoder {
    encoder: Encoder,
    parameters: Parameters,
    guard: Option<RateGuard>,
    config: CommonEncodeConfig,
    sink: EncodeSink,
    /// The session is gone; nothing is worth coding any more.
    closed: bool,
    idr_next: bool,
    /// Frames given to the library, for its clock.
    count: u64,
    output: Vec<u8>,
    /// Cb and Cr of the NV12 picture at hand.
    chroma: [Vec<u8>; 2],
    /// The picture at hand with less detail.
    softened: [Vec<u8>; 3],
    copies: CopyBytes,
}

impl SoftwareEncoder {
    fn emit(&mut self, event: EncodeEvent) {
        self.closed |= !(self.sink)(event);
    }

    fn check<'a>(&self, frame: &'a Frame) -> Result<&'a HostSurface> {
        let host = in_host_memory(frame)?;
        if host.dimensions() != self.config.dimensions || host.format() != self.config.format {
            return Err(Error::invalid(format!(
                "the frame is {} {}, the encoder was opened for {} {}",
                host.dimensions(),
                host.format(),
                self.config.dimensions,
                self.config.format
            )));
        }
        Ok(host)
    }

    fn code(&mut self, frame: &Frame) -> Result<Coded> {
        let host = self.check(frame)?;
        let force = frame.force_keyframe || self.idr_next;
        if force {
            self.encoder.force_idr()?;
        }
        let first = self.count == 0;
        let milliseconds = milliseconds(self.count, self.config.frame_rate, self.parameters.frame_rate);
        self.count += 1;
        let planes = host.planes();
        let [y, chroma @ ..] = planes else {
            return Err(Error::invalid("the frame has no planes"));
        };
        let luma = (y.data().as_ref(), y.stride());
        let planes = match chroma {
            [cb, cr] if host.format() == PixelFormat::I420 => {
                [luma, (cb.data().as_ref(), cb.stride()), (cr.data().as_ref(), cr.stride())]
            }
            [interleaved] => {
                let [cb, cr] = &mut self.chroma;
                cb.clear();
                cr.clear();
                let samples = interleaved.row_bytes() / 2 * interleaved.rows();
                memory::grow(cb, samples)?;
                memory::grow(cr, samples)?;
                for row in interleaved.iter_rows() {
                    split_pairs(row, cb, cr);
                }
                self.copies.input += (cb.len() + cr.len()) as u64;
                let stride = interleaved.row_bytes() / 2;
                [luma, (cb.as_slice(), stride), (cr.as_slice(), stride)]
            }
            _ => return Err(Error::invalid("the frame has the wrong number of planes")),
        };
        let size = (usize::from(self.parameters.width), usize::from(self.parameters.height));
        let mut level = self.guard.as_ref().map_or(0, |guard| guard.level(force));
        loop {
            self.output.clear();
            let mut planes = planes;
            if level > 0 {
                for (at, (plane, soft)) in planes.iter_mut().zip(&mut self.softened).enumerate() {
                    let (width, rows) = if at == 0 { size } else { (size.0 / 2, size.1 / 2) };
                    average_squares(*plane, (width, rows), level, soft)?;
                    self.copies.input += soft.len() as u64;
                    *plane = (soft.as_slice(), width);
                }
            }
            let coded = self.encoder.encode(planes, milliseconds, &mut self.output)?;
            let Some(guard) = &mut self.guard else { return Ok(coded) };
            let (idr, bits) = (coded == Coded::Idr, self.output.len() * 8);
            if idr && let Some(again) = guard.again(bits, level) {
                level = again;
                // The discarded picture must not become a reference.
                if first {
                    // A new encoder also resets rate control.
                    self.encoder = Encoder::open(&self.parameters)?;
                } else {
                    self.encoder.force_idr()?;
                }
                continue;
            }
            guard.count(idr, bits, level, self.encoder.average_qp()?);
            return Ok(coded);
        }
    }
}

impl EncoderBackend for SoftwareEncoder {
    fn output_layout(&self) -> BitstreamLayout {
        BitstreamLayout::elementary(Codec::H264)
    }

    fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let serial = unit.serial;
        let coded =
            hang::during(BackendKind::Software, "openh264", hang::CODEC_CALL, || self.code(&unit.frame));
        let coded = coded.and_then(|coded| {
            if coded == Coded::Idr {
                self.output = with_frame_rate(&self.output, self.config.frame_rate)?;
            }
            Ok(coded)
        });
        match coded {
            Ok(Coded::Skipped) => {
                self.emit(EncodeEvent::Dropped { serial, reason: "skipped by the encoder's rate control" });
            }
            Ok(coded) => {
                let keyframe = coded == Coded::Idr;
                self.idr_next &= !keyframe;
                // Out of the library's memory, NAL unit by NAL unit.
                self.copies.output += self.output.len() as u64;
                let data = std::mem::take(&mut self.output).into();
                let picture_type = Some(match coded {
                    Coded::Idr => PictureType::Idr,
                    Coded::I => PictureType::I,
                    Coded::P | Coded::Skipped => PictureType::P,
                });
                self.emit(EncodeEvent::Unit(EncodedUnit { serial, data, keyframe, picture_type }));
            }
            Err(error) => {
                let fatal = matches!(error, Error::Backend { .. });
                // The picture may be coded and its packet lost: the next ones must not refer to it.
                self.idr_next |= matches!(error, Error::OutOfMemory { .. });
                self.emit(EncodeEvent::Failed { serial, error });
                if fatal {
                    // The library's context is lost with the error: go on with a new one, from an IDR.
                    self.encoder = Encoder::open(&self.parameters)?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        // Nothing is ever held back: there is no reordering and no lookahead.
        self.idr_next = true;
        Ok(())
    }

    fn copies(&self) -> CopyBytes {
        self.copies
    }

    fn admission(&self) -> FrameCheck {
        plain_host_frames("the software H.264 encoder")
    }

    fn implementation(&self) -> &'static str {
        IMPLEMENTATION
    }
}

fn in_host_memory(frame: &Frame) -> Result<&HostSurface> {
    frame
        .as_host()
        .ok_or_else(|| Error::invalid("the frame has no picture in host memory; download it before encoding"))
}

/// When frame `count` is shown, on the clock of the frame rate that rate control was told.
fn milliseconds(count: u64, rate: Rational, reported: f32) -> i64 {
    let rate =
        if (f64::from(reported) - rate.as_f64()).abs() < 0.001 { rate.as_f64() } else { f64::from(reported) };
    (count as f64 * 1000.0 / rate) as i64
}
