//! In which order the frames of a batch are decoded: as they lie in the file, each group of pictures once.

use super::index::{Index, KEY};
use crate::error::Result;
use crate::memory;

/// Packets that are decoded one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Where decoding begins.
    pub(super) start: u32,
    /// The first and the last packet of a frame that is wanted.
    pub(super) first: u32,
    pub(super) last: u32,
}

/// The spans that hold these packets, which ascend and differ.
pub(super) fn spans(index: &Index, packets: &[u32]) -> Result<Vec<Span>> {
    let keys = (0..index.packets()).filter(|packet| index.flags(*packet) & KEY != 0);
    let keys = memory::collected(keys.clone().count(), keys)?;
    let mut spans: Vec<Span> = Vec::new();
    for &packet in packets {
        let begun = keys.partition_point(|key| *key <= packet);
        let start = keys
            .get(..begun)
            .and_then(|keys| keys.iter().rev().find(|key| index.key(**key) <= index.key(packet)).copied());
        let mut span = Span { start: start.unwrap_or(0), first: packet, last: packet };
        // One that goes on, overlaps or begins in the middle of those before is decoded with them.
        while let Some(before) = spans.pop_if(|before| span.start <= before.last.saturating_add(1)) {
            span = Span { start: before.start.min(span.start), first: before.first, last: span.last };
        }
        memory::grow(&mut spans, 1)?;
        spans.push(span);
    }
    Ok(spans)
}

/// Whether decoding of these begins, or may begin anew, in several places.
pub(super) fn has_several_groups(index: &Index, spans: &[Span]) -> bool {
    let in_span = |span: &Span| (span.start..=span.last).filter(|packet| index.flags(*packet) & KEY != 0);
    spans.len() > 1 || spans.iter().flat_map(in_span).nth(1).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::of;
    use super::super::index::{KEY, OPEN};
    use super::*;

    fn span(start: u32, first: u32, last: u32) -> Span {
        Span { start, first, last }
    }

    #[test]
    fn groups_of_pictures_are_decoded_once_and_only_where_frames_are_wanted() {
        let packets: Vec<(i64, u8)> = (0..30).map(|at| (at, if at % 10 == 0 { KEY } else { 0 })).collect();
        let index = of(&packets);
        assert_eq!(spans(&index, &[2, 7, 25]).unwrap(), [span(0, 2, 7), span(20, 25, 25)]);
        // The second group begins where the first ends.
        assert_eq!(spans(&index, &[9, 11]).unwrap(), [span(0, 9, 11)]);
        assert_eq!(spans(&index, &[]).unwrap(), []);
        assert!(has_several_groups(&index, &[span(0, 9, 11)]));
        assert!(!has_several_groups(&index, &[span(10, 15, 18)]));
    }

    #[test]
    fn leading_pictures_are_decoded_with_the_group_before_them() {
        let index = of(&[(0, KEY), (1, 0), (4, KEY | OPEN), (2, 0), (3, 0), (5, 0)]);
        assert_eq!(spans(&index, &[2, 5]).unwrap(), [span(2, 2, 5)]);
        assert_eq!(spans(&index, &[2, 3]).unwrap(), [span(0, 2, 3)]);
        assert_eq!(spans(&index, &[3, 5]).unwrap(), [span(0, 3, 5)]);
    }

    #[test]
    fn without_a_place_to_begin_it_is_the_first_packet() {
        let index = of(&[(0, 0), (1, 0), (2, 0)]);
        assert_eq!(spans(&index, &[2]).unwrap(), [span(0, 2, 2)]);
    }
}
