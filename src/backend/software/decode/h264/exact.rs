//! `oxideav-h264` behind the rules of this backend.

use std::collections::BTreeMap;

use oxideav_core::{CodecId, Decoder, Frame, Packet, TimeBase};
use oxideav_h264::h264_decoder::H264CodecDecoder;

use bytes::Bytes;

use super::super::guard::guarded;
use super::pcm::{Chroma, may_hold_raw_macroblocks};
use super::route::raw_macroblocks;
use crate::bitstream::h264::Sps;
use crate::error::{Error, Result};
use crate::pixel::Chroma as ChromaFormat;

pub(super) const LIBRARY: &str = "oxideav-h264";

/// An access unit delimiter makes the library complete the picture before it, which it otherwise does when
/// the next one begins.
const DELIMITER: [u8; 6] = [0, 0, 0, 1, 9, 0xf0];

/// A decoder of streams with one sequence parameter set; it puts pictures into output order itself.
pub(super) struct ExactDecoder {
    library: H264CodecDecoder,
    /// Whether raw macroblocks can be found in the pictures: 8-bit 4:2:0 frames without field macroblocks.
    searchable: bool,
    /// Units whose pictures have to be searched for them once they come out.
    suspects: BTreeMap<u64, Bytes>,
}

/// A picture and the serial of the unit that began it.
pub(super) struct Finished {
    pub(super) serial: u64,
    pub(super) planes: Result<Vec<(Bytes, usize)>>,
}

impl ExactDecoder {
    pub(super) fn new(sps: &Sps) -> Self {
        let searchable =
            sps.frame_mbs_only && sps.chroma == ChromaFormat::Yuv420 && sps.bit_depth_chroma == 8;
        let library = H264CodecDecoder::new(CodecId::new("h264"));
        Self { library, searchable, suspects: BTreeMap::new() }
    }

    /// Decodes one access unit. The pictures are those that became ready for output, of any unit.
    /// `filtered`: the loop filter would be wrong around raw macroblocks.
    pub(super) fn decode(
        &mut self,
        serial: u64,
        unit: &Bytes,
        filtered: bool,
        out: &mut Vec<Finished>,
    ) -> Result<()> {
        if self.searchable && filtered {
            self.suspects.insert(serial, unit.clone());
        }
        let mut data = Vec::with_capacity(unit.len() + DELIMITER.len());
        data.extend_from_slice(unit);
        data.extend_from_slice(&DELIMITER);
        let mut packet = Packet::new(0, TimeBase::new(1, 1), data);
        packet.pts = i64::try_from(serial).ok();
        let library = &mut self.library;
        let errors = library.decode_error_count();
        let sent = guarded(LIBRARY, || library.send_packet(&packet))?;
        self.collect(out)?;
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
        self.collect(out)
    }

    fn collect(&mut self, out: &mut Vec<Finished>) -> Result<()> {
        let (library, suspects) = (&mut self.library, &mut self.suspects);
        guarded(LIBRARY, || {
            while let Ok(Frame::Video(frame)) = library.receive_frame() {
                let Some(serial) = frame.pts.and_then(|p| u64::try_from(p).ok()) else { continue };
                let count = frame.image_planes().len();
                let planes = frame.planes.into_iter().take(count);
                let planes: Vec<_> = planes.map(|p| (Bytes::from(p.data), p.stride)).collect();
                let suspect = suspects.remove(&serial);
                let raw = suspect.is_some_and(|unit| has_raw_macroblocks(&unit, &planes));
                let planes = if raw { Err(raw_macroblocks()) } else { Ok(planes) };
                out.push(Finished { serial, planes });
            }
        })
    }
}

fn has_raw_macroblocks(unit: &[u8], planes: &[(Bytes, usize)]) -> bool {
    let [_, (cb, width), (cr, _)] = planes else { return false };
    let (width, height) = (*width, cb.len().checked_div(*width).unwrap_or(0));
    may_hold_raw_macroblocks(unit, [cb, cr].map(|samples| Chroma { samples, width, height }))
}
