//! A number for each unit that grows in the order in which pictures are shown.
//!
//! A child ffmpeg wants times that grow so; with any others it would rather believe its own guesses. An index of a raw stream
//! has no other order to go by. The seam has no times, and raw streams have none either, but the order is in the headers of the
//! codecs that reorder.

use super::annexb::nal_units;
use super::{h264, hevc};
use crate::codec::Codec;
use crate::time::Timestamp;

/// How far below zero the counts of a coded video sequence may go: their lower 16 bits are what is written.
const BELOW: i64 = 1 << 17;
/// Numbers stay below this; ffmpeg multiplies some of them by a thousand.
const MOST: i64 = 1 << 50;

/// Numbers the units of one stream.
pub(crate) struct OutputOrder {
    codec: Codec,
    state: State,
    last: i64,
    /// The highest so far.
    highest: i64,
    /// The coded video sequence at hand, and the number of a picture in it whose count is 0.
    period: Option<(u64, i64)>,
    /// The first time of the container, and its number.
    origin: Option<i64>,
}

enum State {
    H264(Box<(h264::ParameterSets, h264::poc::PocDecoder)>),
    Hevc(Box<HevcOrder>),
    Mpeg2 {
        groups: u64,
    },
    /// Every packet shows its picture before the next, as far as its headers say.
    InOrder,
}

impl OutputOrder {
    /// At the start of a stream.
    pub(crate) fn new(codec: Codec) -> Self {
        let state = match codec {
            Codec::H264 => State::H264(Box::default()),
            Codec::Hevc => State::Hevc(Box::default()),
            Codec::Mpeg2 => State::Mpeg2 { groups: 0 },
            _ => State::InOrder,
        };
        Self { codec, state, last: -1, highest: -1, period: None, origin: None }
    }

    /// The number of the next unit in decoding order, of its data in the codec's elementary layout and the container's time:
    /// never negative.
    pub(crate) fn number(&mut self, data: &[u8], pts: Option<Timestamp>) -> i64 {
        let count = match &mut self.state {
            State::H264(state) => h264_count(&mut state.0, &mut state.1, data),
            State::Hevc(state) => state.count(data),
            State::Mpeg2 { groups } => mpeg2_count(groups, data),
            State::InOrder => None,
        };
        // Where headers do not say it, the container's times do.
        let time = pts.filter(|_| !matches!(self.codec, Codec::H264 | Codec::Hevc));
        let number = match (time, count) {
            (Some(pts), _) => {
                let origin = *self.origin.get_or_insert(pts.ticks());
                pts.ticks().saturating_sub(origin).saturating_add(MOST / 2)
            }
            (None, Some((period, count))) => {
                let base = match self.period {
                    Some((same, base)) if same == period => base,
                    // All of the sequence before is shown before this one.
                    _ => self.highest.saturating_add(BELOW),
                };
                self.period = Some((period, base));
                base.saturating_add(i64::from(count))
            }
            (None, None) => self.last.saturating_add(1),
        };
        self.last = number.clamp(0, MOST);
        self.highest = self.highest.max(self.last);
        self.last
    }
}

fn h264_count(
    sets: &mut h264::ParameterSets,
    order: &mut h264::poc::PocDecoder,
    unit: &[u8],
) -> Option<(u64, i32)> {
    let mut first = None;
    let mut previous: Option<h264::SliceIdentity> = None;
    for nal in nal_units(unit) {
        match h264::nal_type(nal) {
            Some(h264::NAL_SPS | h264::NAL_PPS) => {
                // One that cannot be read leaves the one before in force; ffmpeg says what it thinks of it.
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
    fn count(&mut self, unit: &[u8]) -> Option<(u64, i32)> {
        for nal in nal_units(unit) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::TimeBase;

    fn numbers(codec: Codec, units: &[(Vec<u8>, Option<i64>)]) -> Vec<i64> {
        let mut order = OutputOrder::new(codec);
        let base = TimeBase::new(1, 1000).unwrap();
        let number = |(data, pts): &(Vec<u8>, Option<i64>)| {
            order.number(data, pts.map(|ticks| Timestamp::new(ticks, base)))
        };
        units.iter().map(number).collect()
    }

    /// Positions in output order.
    fn ranks(numbers: &[i64]) -> Vec<usize> {
        numbers.iter().map(|number| numbers.iter().filter(|other| *other < number).count()).collect()
    }

    fn mpeg2(group: bool, reference: u16) -> Vec<u8> {
        let mut unit = if group { vec![0, 0, 1, 0xB8, 0, 8, 0, 0x40] } else { Vec::new() };
        unit.extend([0, 0, 1, 0, (reference >> 2) as u8, (reference << 6) as u8 | 0x0F, 0xFF, 0xF8]);
        unit
    }

    #[test]
    fn groups_of_pictures_follow_each_other() {
        let units = [(true, 2), (false, 0), (false, 1), (false, 4), (false, 3), (true, 1), (false, 0)];
        let units: Vec<_> = units.map(|(group, reference)| (mpeg2(group, reference), None)).into();
        assert_eq!(ranks(&numbers(Codec::Mpeg2, &units)), [2, 0, 1, 4, 3, 6, 5]);
    }

    #[test]
    fn times_of_the_container_are_taken_where_headers_do_not_say_it() {
        let units = [-1000, 80, 40, i64::MAX, i64::MIN].map(|pts| (vec![1], Some(pts)));
        let numbers = numbers(Codec::Mpeg4, &units);
        assert_eq!(ranks(&numbers), [1, 3, 2, 4, 0]);
        assert!(numbers.iter().all(|number| (0..=MOST).contains(number)));
    }

    #[test]
    fn without_anything_it_is_the_order_of_decoding() {
        for codec in Codec::ALL {
            let units = [(); 4].map(|()| (vec![0, 0, 1, 0x65, 7], None));
            let numbers = numbers(codec, &units);
            assert!(numbers.windows(2).all(|two| two[0] <= two[1]), "{codec}: {numbers:?}");
        }
    }
}
