//! A number for each unit that grows in the order in which pictures are shown.
//!
//! A child ffmpeg wants times that grow so; with any others it would rather believe its own guesses. An index of a raw stream
//! has no other order to go by. The seam has no times, and raw streams have none either, but the order is in the headers of the
//! codecs that reorder.

use super::DisplayOrder;
use crate::codec::Codec;
use crate::packet::BitstreamLayout;
use crate::time::Timestamp;

/// How far below zero the counts of a coded video sequence may go: their lower 16 bits are what is written.
const BELOW: i64 = 1 << 17;
/// Numbers stay below this; ffmpeg multiplies some of them by a thousand.
const MOST: i64 = 1 << 50;

/// Numbers the units of one stream.
pub(crate) struct OutputOrder {
    codec: Codec,
    headers: DisplayOrder,
    last: i64,
    /// The highest so far.
    highest: i64,
    /// The coded video sequence at hand, and the number of a picture in it whose count is 0.
    period: Option<(u64, i64)>,
    /// The first time of the container, and its number.
    origin: Option<i64>,
}

impl OutputOrder {
    /// At the start of a stream.
    pub(crate) fn new(codec: Codec) -> Self {
        Self { codec, headers: DisplayOrder::new(codec), last: -1, highest: -1, period: None, origin: None }
    }

    /// The number of the next unit in decoding order, of its data in the codec's elementary layout and the container's time:
    /// never negative.
    pub(crate) fn number(&mut self, data: &[u8], pts: Option<Timestamp>) -> i64 {
        let count = self.headers.of_unit(BitstreamLayout::elementary(self.codec), data);
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
