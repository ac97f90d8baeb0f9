//! The order in which pictures are shown, as the headers of codecs that reorder them say.

use super::annexb::nal_units;
use super::convert::length_prefixed_units;
use super::{h264, hevc};
use crate::codec::Codec;
use crate::packet::BitstreamLayout;

/// Follows a stream in decoding order.
pub(crate) struct DisplayOrder(State);

enum State {
    H264(Box<(h264::ParameterSets, h264::poc::PocDecoder)>),
    Hevc(Box<HevcOrder>),
    Mpeg2 {
        groups: u64,
    },
    /// Every packet shows its picture before the next, as far as its headers say.
    InOrder,
}

impl DisplayOrder {
    /// At the start of a stream.
    pub(crate) fn new(codec: Codec) -> Self {
        Self(match codec {
            Codec::H264 => State::H264(Box::default()),
            Codec::Hevc => State::Hevc(Box::default()),
            Codec::Mpeg2 => State::Mpeg2 { groups: 0 },
            _ => State::InOrder,
        })
    }

    /// Where the picture of the next unit stands: pictures of a period are shown in the order of their counts, and all of them
    /// before those of the next period. `None` where the headers do not say it.
    pub(crate) fn of_unit(&mut self, layout: BitstreamLayout, unit: &[u8]) -> Option<(u64, i32)> {
        let length_size = match layout {
            BitstreamLayout::Avcc { length_size } | BitstreamLayout::Hvcc { length_size } => {
                Some(length_size)
            }
            _ => None,
        };
        let lengths = length_size.map(|size| length_prefixed_units(unit, size).map_while(Result::ok));
        match (&mut self.0, lengths) {
            (State::H264(state), Some(nals)) => h264_count(&mut state.0, &mut state.1, nals),
            (State::H264(state), None) => h264_count(&mut state.0, &mut state.1, nal_units(unit)),
            (State::Hevc(state), Some(nals)) => state.count(nals),
            (State::Hevc(state), None) => state.count(nal_units(unit)),
            (State::Mpeg2 { groups }, _) => mpeg2_count(groups, unit),
            (State::InOrder, _) => None,
        }
    }
}

fn h264_count<'a>(
    sets: &mut h264::ParameterSets,
    order: &mut h264::poc::PocDecoder,
    nals: impl Iterator<Item = &'a [u8]>,
) -> Option<(u64, i32)> {
    let mut first = None;
    let mut previous: Option<h264::SliceIdentity> = None;
    for nal in nals {
        match h264::nal_type(nal) {
            Some(h264::NAL_SPS | h264::NAL_PPS) => {
                // One that cannot be read leaves the one before in force; a decoder says what it thinks of it.
                let _ = sets.insert(nal);
            }
            Some(h264::NAL_SLICE | h264::NAL_PARTITION_A | h264::NAL_IDR) => {
                let Ok(header) = h264::SliceHeader::parse(nal, sets) else { continue };
                let same = previous.as_ref().is_some_and(|p| !header.identity.starts_new_picture(p));
                if !same && let Some((sps, _)) = sets.active(header.identity.pps_id) {
                    // Of two fields, the one that comes first names the frame.
                    let key = order.next_picture(sps, &header).key();
                    first.get_or_insert(key);
                }
                previous = Some(header.identity);
            }
            _ => {}
        }
    }
    first
}

/// Picture order counts of H.265 (8.3.1).
#[derive(Default)]
struct HevcOrder {
    sets: hevc::ParameterSets,
    period: u64,
    /// `PicOrderCntVal` of the last picture with TemporalId 0 that others may refer to.
    previous: i32,
    began: bool,
}

impl HevcOrder {
    fn count<'a>(&mut self, nals: impl Iterator<Item = &'a [u8]>) -> Option<(u64, i32)> {
        for nal in nals {
            let Some(header) = hevc::NalHeader::parse(nal).filter(|header| header.layer_id == 0) else {
                continue;
            };
            match header.nal_type {
                hevc::NAL_VPS | hevc::NAL_SPS | hevc::NAL_PPS => {
                    // As above.
                    let _ = self.sets.insert(nal);
                }
                0..=31 => {
                    let slice = hevc::SliceSegment::parse(nal, &self.sets).ok()?;
                    return self.next(&slice);
                }
                _ => {}
            }
        }
        None
    }

    fn next(&mut self, slice: &hevc::SliceSegment) -> Option<(u64, i32)> {
        let kind = slice.nal.nal_type;
        let lsb = slice.independent?.poc_lsb as i32;
        let (sps, _) = self.sets.active(slice.pps_id)?;
        let range = 1_i32.checked_shl(u32::from(sps.poc_lsb_bits)).filter(|range| *range > 0)?;
        // IDR and BLA pictures start anew, and so does whatever comes first.
        let anew = !self.began || hevc::is_idr(kind) || (16..=18).contains(&kind);
        self.began = true;
        let msb = if anew {
            self.period += 1;
            0
        } else {
            let before = self.previous.rem_euclid(range);
            let msb = self.previous.wrapping_sub(before);
            if lsb < before && before - lsb >= range / 2 {
                msb.wrapping_add(range)
            } else if lsb > before && lsb - before > range / 2 {
                msb.wrapping_sub(range)
            } else {
                msb
            }
        };
        let count = msb.wrapping_add(lsb);
        let sub_layer_non_reference = kind <= 14 && kind.is_multiple_of(2);
        let leading = hevc::is_rasl(kind) || hevc::is_radl(kind);
        if slice.nal.temporal_id_plus1 == 1 && !leading && !sub_layer_non_reference {
            self.previous = count;
        }
        Some((self.period, count))
    }
}

/// `temporal_reference` counts from each group of pictures header on.
fn mpeg2_count(groups: &mut u64, unit: &[u8]) -> Option<(u64, i32)> {
    const PICTURE: u8 = 0;
    const GROUP: u8 = 0xB8;
    for nal in nal_units(unit) {
        match *nal.first()? {
            GROUP => *groups += 1,
            PICTURE => {
                let bits = nal.get(1..3)?;
                return Some((*groups, i32::from(bits[0]) << 2 | i32::from(bits[1] >> 6)));
            }
            _ => {}
        }
    }
    None
}
