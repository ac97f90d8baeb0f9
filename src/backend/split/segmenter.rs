//! Where a stream is cut. Pure bookkeeping over units in decoding order; no threads.

use crate::backend::CodedUnit;
use crate::bitstream::{ActiveParameterSets, UnitRole};
use crate::codec::Codec;

/// Pictures below which a segment is not worth a decoder's start and drain.
const MIN_PICTURES: usize = 32;

/// A unit for a decoder.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) unit: CodedUnit,
    /// Decoded only because the leading pictures behind it refer to it; the next segment gives its picture.
    pub(super) echo: bool,
}

/// What the cutter does with a unit.
#[derive(Debug)]
pub(super) enum Step {
    /// The unit belongs to the newest segment.
    Append(Piece),
    /// A new segment begins with it. The segment before stays open: leading pictures may follow.
    Begin(Piece),
    /// It belongs to the segment before the newest.
    AppendToPrevious(Piece),
    /// The segment before the newest is complete.
    ClosePrevious,
}

/// Cuts a stream into segments that can be decoded one without the other.
pub(super) struct Segmenter {
    codec: Codec,
    sets: ActiveParameterSets,
    /// Pictures in the newest segment.
    pictures: usize,
    /// The open start of the newest segment while leading pictures may still follow it.
    open: Option<Open>,
    /// Nothing has come since the beginning or a flush.
    fresh: bool,
}

struct Open {
    start: CodedUnit,
    /// The segment before has it too.
    echoed: bool,
}

impl Segmenter {
    pub(super) const fn new(codec: Codec) -> Self {
        Self { codec, sets: ActiveParameterSets::new(codec), pictures: 0, open: None, fresh: true }
    }

    /// Decides about the next unit in decoding order.
    pub(super) fn push(&mut self, unit: CodedUnit) -> Vec<Step> {
        let role = UnitRole::of(self.codec, &unit.packet.data);
        let mut steps = Vec::with_capacity(2);
        if role == UnitRole::Leading {
            if let Some(open) = &mut self.open {
                if !open.echoed {
                    open.echoed = true;
                    steps.push(Step::AppendToPrevious(Piece { unit: open.start.clone(), echo: true }));
                }
                self.sets.observe(&unit.packet.data);
                steps.push(Step::AppendToPrevious(Piece { unit, echo: false }));
                return steps;
            }
        } else if self.open.take().is_some() {
            steps.push(Step::ClosePrevious);
        }
        let starts = matches!(role, UnitRole::Closed | UnitRole::Open);
        if self.fresh || (starts && self.pictures >= MIN_PICTURES) {
            let whole = self.with_sets(unit.clone());
            steps.push(Step::Begin(Piece { unit: whole, echo: false }));
            if !self.fresh {
                if role == UnitRole::Open {
                    self.open = Some(Open { start: unit.clone(), echoed: false });
                } else {
                    steps.push(Step::ClosePrevious);
                }
            }
            self.fresh = false;
            self.pictures = 1;
        } else {
            self.pictures += 1;
            steps.push(Step::Append(Piece { unit: unit.clone(), echo: false }));
        }
        self.sets.observe(&unit.packet.data);
        steps
    }

    /// The stream ends, or jumps: what comes next begins a segment. Parameter sets stay in force.
    pub(super) fn end(&mut self) {
        self.open = None;
        self.fresh = true;
        self.pictures = 0;
    }

    /// The unit with the parameter sets that a decoder needs to start with it.
    fn with_sets(&self, mut unit: CodedUnit) -> CodedUnit {
        let mut data = self.sets.missing_from(&unit.packet.data);
        if !data.is_empty() {
            data.extend_from_slice(&unit.packet.data);
            unit.packet.data = data.into();
        }
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{BitstreamLayout, Packet};

    fn hevc(serial: u64, nal_type: u8) -> CodedUnit {
        let data = vec![0, 0, 1, nal_type << 1, 1, 0x80];
        CodedUnit { serial, packet: Packet::new(Codec::Hevc, BitstreamLayout::AnnexB, data) }
    }

    /// The serials of each segment; echoes in brackets are negative.
    fn segments(types: &[u8]) -> Vec<Vec<i64>> {
        let mut segmenter = Segmenter::new(Codec::Hevc);
        let mut segments: Vec<Vec<i64>> = Vec::new();
        let mut closed = 0;
        for (serial, kind) in types.iter().enumerate() {
            for step in segmenter.push(hevc(serial as u64, *kind)) {
                let number = |piece: &Piece| piece.unit.serial as i64 * if piece.echo { -1 } else { 1 };
                let last = segments.len().wrapping_sub(1);
                match step {
                    Step::Begin(piece) => segments.push(vec![number(&piece)]),
                    Step::Append(piece) => segments[last].push(number(&piece)),
                    Step::AppendToPrevious(piece) => {
                        assert!(closed < last, "the part before is open");
                        segments[last - 1].push(number(&piece));
                    }
                    Step::ClosePrevious => closed = last,
                }
            }
        }
        segments
    }

    fn run(start: u8, length: usize) -> Vec<u8> {
        std::iter::once(start).chain(std::iter::repeat_n(1, length - 1)).collect()
    }

    #[test]
    fn closed_groups_are_cut_and_short_ones_kept_together() {
        let stream = [run(19, 40), run(20, 10), run(19, 30), run(19, 5)].concat();
        let lengths: Vec<_> = segments(&stream).iter().map(Vec::len).collect();
        assert_eq!(lengths, [40, 40, 5]);
    }

    #[test]
    fn leading_pictures_stay_with_the_part_before_and_bring_their_start() {
        let stream = [run(19, 40), vec![21, 9, 8, 7, 1, 1]].concat();
        let segments = segments(&stream);
        assert_eq!(segments[0][40..], [-40, 41, 42, 43]);
        assert_eq!(segments[1], [40, 44, 45]);
    }

    #[test]
    fn an_open_start_without_leading_pictures_costs_nothing() {
        let stream = [run(19, 40), run(21, 3)].concat();
        let segments = segments(&stream);
        assert_eq!(segments[0].len(), 40);
        assert_eq!(segments[1], [40, 41, 42]);
    }

    #[test]
    fn a_start_inside_a_short_part_keeps_its_leading_pictures() {
        let stream = [run(19, 10), vec![21, 9, 1]].concat();
        assert_eq!(segments(&stream).len(), 1);
        assert_eq!(segments(&stream)[0].len(), 13);
    }

    #[test]
    fn what_precedes_the_first_start_is_a_part_too() {
        let stream = [vec![1; 50], run(19, 2)].concat();
        let lengths: Vec<_> = segments(&stream).iter().map(Vec::len).collect();
        assert_eq!(lengths, [50, 2]);
    }

    #[test]
    fn after_the_end_a_part_begins_whatever_comes() {
        let mut segmenter = Segmenter::new(Codec::Hevc);
        segmenter.push(hevc(0, 19));
        segmenter.end();
        assert!(matches!(segmenter.push(hevc(1, 1))[..], [Step::Begin(_)]));
    }
}
