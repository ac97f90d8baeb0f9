//! `oxideav-h264` behind the rules of this backend.

use oxideav_core::{CodecId, Decoder, Frame, Packet, TimeBase};
use oxideav_h264::h264_decoder::H264CodecDecoder;

use bytes::Bytes;

use super::super::guard::guarded;
use super::Finished;
use crate::error::{Error, Result};

pub(super) const LIBRARY: &str = "oxideav-h264";

/// An access unit delimiter makes the library complete the picture before it, which it otherwise does when
/// the next one begins.
const DELIMITER: [u8; 6] = [0, 0, 0, 1, 9, 0xf0];

/// A decoder of streams with one sequence parameter set; it puts pictures into output order itself.
pub(super) struct ExactDecoder {
    library: H264CodecDecoder,
}

impl ExactDecoder {
    pub(super) fn new() -> Self {
        Self { library: H264CodecDecoder::new(CodecId::new("h264")) }
    }

    /// Decodes one access unit. The pictures of units from `wanted` on that became ready for output are
    /// added to `out`.
    pub(super) fn decode(
        &mut self,
        serial: u64,
        unit: &Bytes,
        wanted: u64,
        out: &mut Vec<Finished>,
    ) -> Result<()> {
        let mut data = crate::memory::room(unit.len() + DELIMITER.len())?;
        data.extend_from_slice(unit);
        data.extend_from_slice(&DELIMITER);
        let mut packet = Packet::new(0, TimeBase::new(1, 1), data);
        packet.pts = i64::try_from(serial).ok();
        let library = &mut self.library;
        let errors = library.decode_error_count();
        let sent = guarded(LIBRARY, || library.send_packet(&packet))?;
        self.collect(wanted, out)?;
        sent.map_err(|e| Error::corrupt(format!("{LIBRARY}: {e}")))?;
        if self.library.decode_error_count() > errors {
            return Err(Error::corrupt(format!("{LIBRARY} could not decode a slice of the picture")));
        }
        Ok(())
    }

    /// The pictures still held; the decoder is spent afterwards.
    pub(super) fn finish(&mut self, out: &mut Vec<Finished>) -> Result<()> {
        let library = &mut self.library;
        guarded(LIBRARY, || library.flush())?.map_err(|e| Error::corrupt(format!("{LIBRARY}: {e}")))?;
        self.collect(0, out)
    }

    fn collect(&mut self, wanted: u64, out: &mut Vec<Finished>) -> Result<()> {
        let library = &mut self.library;
        guarded(LIBRARY, || {
            while let Ok(Frame::Video(frame)) = library.receive_frame() {
                let Some(serial) = frame.pts.and_then(|p| u64::try_from(p).ok()) else { continue };
                if serial < wanted {
                    continue;
                }
                let count = frame.image_planes().len();
                let planes = frame.planes.into_iter().take(count);
                let planes = Ok(planes.map(|p| (Bytes::from(p.data), p.stride)).collect());
                out.push(Finished { serial, copied: false, planes });
            }
        })
    }
}
