//! The encoder's buffers and pictures as the traffic of an [`OutputRing`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::input::Input;
use crate::backend::ring::output_ring::{self, OutputRing, Traffic};
use crate::backend::vpl::driver::abi::names::{FRAMETYPE_B, FRAMETYPE_I, FRAMETYPE_IDR, FRAMETYPE_P};
use crate::backend::vpl::driver::encoder;
use crate::backend::{BackendKind, EncodeEvent, EncodeSink, EncodedUnit};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::packet::PictureType;
use crate::stages::EncodeMeter;
use crate::sync::lock;

/// What both threads of a session share.
pub(super) type Flow = OutputRing<Vpl>;

/// The thread that takes outputs; ends and is waited for when dropped.
pub(super) type Reaper = output_ring::Reaper<Vpl>;

/// Numbers of the frames inside, by the time stamps of their surfaces: a surface that comes from a decoder keeps its own.
pub(super) type Stamps = Arc<Mutex<BTreeMap<u64, u64>>>;

/// Where coded pictures go.
pub(super) struct Vpl(EncodeSink);

/// An output buffer that knows what comes in it, and where its waiting is counted.
pub(super) struct Output {
    pub(super) buffer: encoder::Output,
    codec: Codec,
    stamps: Stamps,
    meter: Arc<EncodeMeter>,
}

/// Starts the thread that takes outputs.
///
/// # Errors
/// No thread.
pub(super) fn start(
    buffers: Vec<encoder::Output>,
    codec: Codec,
    stamps: &Stamps,
    sink: EncodeSink,
    meter: &Arc<EncodeMeter>,
) -> Result<(Arc<Flow>, Reaper)> {
    let output = |buffer| Output { buffer, codec, stamps: Arc::clone(stamps), meter: Arc::clone(meter) };
    let flow = OutputRing::new(buffers.into_iter().map(output).collect(), Vpl(sink));
    let reaper = Reaper::start(&flow, "vpl output")
        .map_err(|source| Error::io("start a thread for", "oneVPL's outputs", source))?;
    Ok((flow, reaper))
}

impl Traffic for Vpl {
    type Spare = Infallible;
    type Input = Input;
    type Output = Output;
    type Picture = EncodedUnit;
    type Error = Error;
    type Event = EncodeEvent;

    fn collect(output: &mut Output) -> Result<EncodedUnit> {
        let Output { buffer, codec, stamps, meter } = output;
        let coded = meter.lock.time(|| buffer.wait())?;
        let serial = lock(stamps).remove(&coded.timestamp);
        let serial = serial.ok_or_else(|| <Self as Traffic>::stranger(coded.timestamp))?;
        let picture_type = picture_type(*codec, coded.kind);
        meter.copied_out(coded.data.len() as u64);
        Ok(EncodedUnit {
            serial,
            data: meter.copy.time(|| Bytes::copy_from_slice(coded.data)),
            keyframe: picture_type == Some(PictureType::Idr),
            picture_type,
        })
    }

    fn spare(input: Input) -> Result<Infallible, Input> {
        // Surfaces go back to the runtime's pool.
        Err(input)
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

    fn stranger(stamp: u64) -> Error {
        failed(format!("a picture came out with the time stamp {stamp}, which none has"))
    }

    fn abandoned() -> Error {
        failed("the thread that takes coded pictures has ended".to_owned())
    }

    fn deliver(&mut self, event: EncodeEvent) -> bool {
        (self.0)(event)
    }
}

/// The type of a picture, from `MFX_FRAMETYPE_*`. Codecs without IDR pictures begin anew with each intra picture.
fn picture_type(codec: Codec, kind: u16) -> Option<PictureType> {
    let has_idr = matches!(codec, Codec::H264 | Codec::Hevc);
    Some(match kind {
        _ if codec == Codec::Mjpeg || kind & FRAMETYPE_IDR != 0 => PictureType::Idr,
        _ if kind & FRAMETYPE_I != 0 => {
            if has_idr {
                PictureType::I
            } else {
                PictureType::Idr
            }
        }
        _ if kind & FRAMETYPE_P != 0 => PictureType::P,
        _ if kind & FRAMETYPE_B != 0 => PictureType::B,
        _ => return None,
    })
}

fn failed(detail: String) -> Error {
    Error::Backend { backend: BackendKind::Qsv, call: "MFXVideoCORE_SyncOperation", code: 0, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_pictures_are_those_that_the_encoder_tells() {
        assert_eq!(picture_type(Codec::H264, 0xc1), Some(PictureType::Idr));
        assert_eq!(picture_type(Codec::Hevc, 0x41), Some(PictureType::I));
        assert_eq!(picture_type(Codec::Vp9, 0x41), Some(PictureType::Idr));
        assert_eq!(picture_type(Codec::H264, 0x42), Some(PictureType::P));
        assert_eq!(picture_type(Codec::H264, 0x04), Some(PictureType::B));
        assert_eq!(picture_type(Codec::Mjpeg, 0), Some(PictureType::Idr));
        assert_eq!(picture_type(Codec::Av1, 0), None);
    }
}
