//! Cuts a byte stream at its start codes, however it is chunked.

use crate::policy::PARSER_UNIT_LIMIT;

/// One unit between two start codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// Bytes after the start code, without trailing zeros.
    pub(super) data: Vec<u8>,
    /// Place of the three-byte start code in the whole stream.
    pub(super) at: u64,
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
}

impl Units {
    /// Takes bytes in and gives the units that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Unit> {
        let mut units = Vec::new();
        self.buffer.extend_from_slice(bytes);
        self.taken += bytes.len() as u64;
        let mut start = 0;
        // A start code is recognised at its 1, so the search may resume at the first byte not looked at.
        let mut at = self.searched;
        while at < self.buffer.len() {
            if self.buffer[at] == 1 && at >= start + 2 && self.buffer[at - 1] == 0 && self.buffer[at - 2] == 0
            {
                self.close(start, at - 2, &mut units);
                start = at + 1;
                self.open = Some(self.taken - (self.buffer.len() - (at - 2)) as u64);
            }
            at += 1;
        }
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
        units.pop()
    }

    /// Bytes taken in so far: the place of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.taken
    }

    fn close(&self, start: usize, end: usize, units: &mut Vec<Unit>) {
        let Some(at) = self.open else { return };
        let data = &self.buffer[start..end];
        let length = data.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if length > 0 {
            units.push(Unit { data: data[..length].to_vec(), at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = &[9, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 0, 0, 3, 0, 0, 0, 0, 1, 0x65, 0, 1];

    fn cut(chunk: usize) -> Vec<Unit> {
        let mut units = Units::default();
        let mut found: Vec<_> = STREAM.chunks(chunk).flat_map(|bytes| units.push(bytes)).collect();
        found.extend(units.finish());
        found
    }

    #[test]
    fn chunking_changes_nothing() {
        let whole = cut(STREAM.len());
        assert_eq!(whole.len(), 3);
        assert_eq!(whole[0], Unit { data: vec![0x67, 1, 2], at: 2 });
        assert_eq!(whole[1], Unit { data: vec![0x68, 0, 0, 3], at: 8 });
        assert_eq!(whole[2], Unit { data: vec![0x65, 0, 1], at: 17 });
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
