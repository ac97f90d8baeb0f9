//! Cuts a byte stream at its start codes, however it is chunked.

use crate::policy::PARSER_UNIT_LIMIT;

/// One unit between two start codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// Bytes after the start code, without trailing zeros.
    pub(super) data: Vec<u8>,
    /// How many zeros followed: as a rule the first byte of a start code of four.
    pub(super) zeros: usize,
    /// Place of the three-byte start code in the whole stream.
    pub(super) at: u64,
}

/// What a chunk of the stream brings to light.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The first bytes of a unit that has not ended yet: enough to see whether a picture begins with it.
    Head(Vec<u8>),
    /// A whole unit.
    Whole(Unit),
}

/// The cutter. A unit ends where the next start code is seen, or by [`Units::finish`].
#[derive(Debug, Default)]
pub(super) struct Units {
    /// The open unit (after its start code), or the bytes before the first start code.
    buffer: Vec<u8>,
    /// Place of the open unit's start code; none before the first.
    open: Option<u64>,
    /// How far the buffer has been searched.
    searched: usize,
    /// Bytes taken in so far.
    taken: u64,
    /// Bytes of a unit after which its head is given out; 0: never.
    head: usize,
    /// The open unit's head has been given out.
    headed: bool,
}

impl Units {
    /// A cutter that shows the head of a unit as soon as `head` of its bytes (after the start code) are there.
    pub(super) fn with_heads(head: usize) -> Self {
        Self { head, ..Self::default() }
    }

    /// Takes bytes in and gives the units that they complete, and the heads of those that they do not.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Found> {
        let mut units = Vec::new();
        self.buffer.extend_from_slice(bytes);
        self.taken += bytes.len() as u64;
        let mut start = 0;
        // A start code is recognised at its 1, so the search may resume at the first byte not looked at.
        let mut at = self.searched;
        while at < self.buffer.len() {
            if self.buffer[at] == 1 && at >= start + 2 && self.buffer[at - 1] == 0 && self.buffer[at - 2] == 0
            {
                self.show_head(start, at - 2, &mut units);
                self.close(start, at - 2, &mut units);
                start = at + 1;
                self.headed = false;
                self.open = Some(self.taken - (self.buffer.len() - (at - 2)) as u64);
            }
            at += 1;
        }
        self.show_head(start, self.buffer.len(), &mut units);
        self.buffer.drain(..start);
        if self.open.is_none() {
            // Before the first start code only a beginning of one matters.
            let keep = self.buffer.len().min(2);
            self.buffer.drain(..self.buffer.len() - keep);
        } else if self.buffer.len() > PARSER_UNIT_LIMIT {
            self.buffer.clear();
            self.open = None;
        }
        self.searched = self.buffer.len();
        units
    }

    /// Ends the open unit: nothing more of it will come.
    pub(super) fn finish(&mut self) -> Option<Unit> {
        let mut units = Vec::new();
        self.close(0, self.buffer.len(), &mut units);
        self.buffer.clear();
        self.searched = 0;
        self.open = None;
        self.headed = false;
        units.into_iter().find_map(|found| match found {
            Found::Whole(unit) => Some(unit),
            Found::Head(_) => None,
        })
    }

    /// Bytes taken in so far: the place of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.taken
    }

    fn show_head(&mut self, start: usize, end: usize, units: &mut Vec<Found>) {
        if self.head > 0 && self.open.is_some() && !self.headed && end - start >= self.head {
            self.headed = true;
            units.push(Found::Head(self.buffer[start..start + self.head].to_vec()));
        }
    }

    fn close(&self, start: usize, end: usize, units: &mut Vec<Found>) {
        let Some(at) = self.open else { return };
        let data = &self.buffer[start..end];
        let length = data.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if length > 0 {
            let unit = Unit { data: data[..length].to_vec(), zeros: data.len() - length, at };
            units.push(Found::Whole(unit));
        }
    }
}

/// All units of a stream that is there as a whole.
pub(super) fn split(stream: &[u8]) -> Vec<Unit> {
    let mut units = Units::default();
    let found = units.push(stream);
    let whole = found.into_iter().filter_map(|found| match found {
        Found::Whole(unit) => Some(unit),
        Found::Head(_) => None,
    });
    whole.chain(units.finish()).collect()
}

/// What comes before the first of these units that begins with `kind`: the headers in front of a picture, as many bytes
/// of them as a header may have.
pub(super) fn before<'a>(stream: &'a [u8], units: &[Unit], kind: u8) -> &'a [u8] {
    let picture = units.iter().find(|unit| unit.data[0] == kind);
    let end = picture.and_then(|unit| usize::try_from(unit.at).ok()).unwrap_or(stream.len());
    &stream[..end.min(1024).min(stream.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = &[9, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 0, 0, 3, 0, 0, 0, 0, 1, 0x65, 0, 1];

    fn whole(found: Found) -> Option<Unit> {
        match found {
            Found::Whole(unit) => Some(unit),
            Found::Head(_) => None,
        }
    }

    #[test]
    fn a_head_is_shown_once_and_before_its_unit() {
        let mut units = Units::with_heads(2);
        assert_eq!(units.push(&[0, 0, 1, 7]), []);
        assert_eq!(units.push(&[8, 9]), [Found::Head(vec![7, 8])]);
        let unit = Unit { data: vec![7, 8, 9], zeros: 1, at: 0 };
        assert_eq!(units.push(&[0, 0, 0, 1, 5]), [Found::Whole(unit)]);
    }

    fn cut(chunk: usize) -> Vec<Unit> {
        let mut units = Units::default();
        let found = STREAM.chunks(chunk).flat_map(|bytes| units.push(bytes));
        let mut found: Vec<_> = found.filter_map(whole).collect();
        found.extend(units.finish());
        found
    }

    #[test]
    fn chunking_changes_nothing() {
        let whole = cut(STREAM.len());
        assert_eq!(whole.len(), 3);
        assert_eq!(whole[0], Unit { data: vec![0x67, 1, 2], zeros: 0, at: 2 });
        assert_eq!(whole[1], Unit { data: vec![0x68, 0, 0, 3], zeros: 2, at: 8 });
        assert_eq!(whole[2], Unit { data: vec![0x65, 0, 1], zeros: 0, at: 17 });
        for chunk in 1..STREAM.len() {
            assert_eq!(cut(chunk), whole, "chunks of {chunk}");
        }
    }

    #[test]
    fn bytes_without_a_start_code_are_not_kept() {
        let mut units = Units::default();
        for _ in 0..100 {
            assert!(units.push(&[7; 1000]).is_empty());
        }
        assert!(units.buffer.len() <= 2);
        assert!(units.finish().is_none());
    }
}
