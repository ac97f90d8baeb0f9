//! NVENC's buffers and pictures as the traffic of a [`OutputRing`].

use std::sync::Arc;

use bytes::Bytes;

use super::input::Input;
use crate::backend::nvidia::driver::nvenc_buffers::{InputBuffer, OutputBuffer};
use crate::backend::nvidia::driver::nvenc_names::kind;
use crate::backend::ring::output_ring::{self, OutputRing, Traffic};
use crate::backend::{BackendKind, EncodeEvent, EncodeSink, EncodedUnit};
use crate::error::{Error, Result};
use crate::packet::PictureType;
use crate::stages::EncodeMeter;

/// What both threads of a session share.
pub(super) type Flow = OutputRing<Nvenc>;

/// The thread that takes outputs; ends and is waited for when dropped.
pub(super) type Reaper = output_ring::Reaper<Nvenc>;

/// Where coded pictures go.
pub(super) struct Nvenc(EncodeSink);

/// An output buffer that knows where its waiting is counted.
pub(super) struct Output {
    pub(super) buffer: OutputBuffer,
    meter: Arc<EncodeMeter>,
}

/// Starts the thread that takes outputs.
///
/// # Errors
/// No thread.
pub(super) fn start(
    outputs: Vec<OutputBuffer>,
    sink: EncodeSink,
    meter: &Arc<EncodeMeter>,
) -> Result<(Arc<Flow>, Reaper)> {
    let outputs = outputs.into_iter().map(|buffer| Output { buffer, meter: Arc::clone(meter) });
    let flow = OutputRing::new(outputs.collect(), Nvenc(sink));
    let reaper = Reaper::start(&flow, "nvenc output")
        .map_err(|source| Error::io("start a thread for", "NVENC's outputs", source))?;
    Ok((flow, reaper))
}

impl Traffic for Nvenc {
    type Spare = InputBuffer;
    type Input = Input;
    type Output = Output;
    type Picture = EncodedUnit;
    type Error = Error;
    type Event = EncodeEvent;

    fn collect(output: &mut Output) -> Result<EncodedUnit> {
        let Output { buffer, meter } = output;
        let coded = meter.lock.time(|| buffer.lock())?;
        // With its end the picture is unlocked, which belongs to the copy.
        meter.copy.time(|| {
            let coded = coded;
            meter.copied_out(coded.data().len() as u64);
            Ok(EncodedUnit {
                serial: coded.timestamp,
                data: Bytes::copy_from_slice(coded.data()),
                keyframe: coded.kind == kind::IDR,
                picture_type: match coded.kind {
                    kind::IDR => Some(PictureType::Idr),
                    kind::I => Some(PictureType::I),
                    kind::P => Some(PictureType::P),
                    kind::B => Some(PictureType::B),
                    _ => None,
                },
            })
        })
    }

    fn spare(input: Input) -> Result<InputBuffer, Input> {
        match input {
            Input::Host(buffer) => Ok(buffer),
            // Unmapped, and the frame let go of.
            device @ Input::Device { .. } => Err(device),
        }
    }

    fn serial(picture: &EncodedUnit) -> u64 {
        picture.serial
    }

    fn arrived(picture: EncodedUnit) -> EncodeEvent {
        EncodeEvent::Unit(picture)
    }

    fn lost(serial: u64, error: Error) -> EncodeEvent {
        EncodeEvent::Failed { serial, error }
    }

    fn again(error: &Error) -> Error {
        error.clone()
    }

    fn stranger(serial: u64) -> Error {
        lock_failed(format!("a picture came out with the time stamp {serial}, which none has"))
    }

    fn abandoned() -> Error {
        lock_failed("the thread that takes coded pictures has ended".to_owned())
    }

    fn deliver(&mut self, event: EncodeEvent) -> bool {
        (self.0)(event)
    }
}

fn lock_failed(detail: String) -> Error {
    Error::Backend { backend: BackendKind::Nvidia, call: "nvEncLockBitstream", code: 0, detail }
}
