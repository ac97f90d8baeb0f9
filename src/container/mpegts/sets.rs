//! The parameter sets of a stream by where it brings them. What is read from the middle may refer to sets that came earlier:
//! `FFmpeg` writes those of H.264 in front of IDR pictures alone, and decoding begins at other pictures too.

use bytes::Bytes;

use crate::bitstream::annexb::{START_CODE_LONG, nal_units};
use crate::bitstream::{ActiveParameterSets, is_delimiter, leading_units};
use crate::codec::Codec;
use crate::error::Result;
use crate::memory;

/// Changes that are remembered: more than recordings have.
const MOST_CHANGES: usize = 256;

/// The sets in force from each place on at which they change.
#[derive(Debug)]
pub(super) struct SetHistory {
    codec: Codec,
    changes: Vec<(u64, ActiveParameterSets)>,
    /// The sets in force behind the last key frame.
    behind: Option<ActiveParameterSets>,
}

impl SetHistory {
    pub(super) const fn new(codec: Codec) -> Self {
        Self { codec, changes: Vec::new(), behind: None }
    }

    /// Notes the sets of a key frame at this byte of the input. Those between its fields are in force behind it.
    pub(super) fn note(&mut self, at: u64, unit: &[u8]) {
        let latest = self.changes.last();
        // Read again.
        if self.changes.len() >= MOST_CHANGES || latest.is_some_and(|(last, _)| at <= *last) {
            return;
        }
        let mut sets = self.behind.take().unwrap_or_else(|| ActiveParameterSets::new(self.codec));
        sets.take(leading_units(self.codec, unit));
        if latest.is_none_or(|(_, latest)| *latest != sets) && self.changes.try_reserve(1).is_ok() {
            self.changes.push((at, sets.clone()));
        }
        sets.observe(unit);
        self.behind = Some(sets);
    }

    /// The key frame at this byte with the sets in force there that it does not bring itself, for who begins with it.
    pub(super) fn complete(&self, at: u64, unit: Bytes) -> Result<Bytes> {
        let before = self.changes.partition_point(|(place, _)| *place <= at);
        let Some((_, sets)) = before.checked_sub(1).and_then(|before| self.changes.get(before)) else {
            return Ok(unit);
        };
        let missing = sets.missing_from(&unit);
        if missing.is_empty() {
            return Ok(unit);
        }
        let mut own = nal_units(&unit).peekable();
        // An access unit delimiter stays in front.
        let delimiter = own.next_if(|nal| is_delimiter(self.codec, nal));
        let mut whole = Vec::new();
        memory::grow(&mut whole, missing.len() + unit.len() + 2 * START_CODE_LONG.len())?;
        for nal in delimiter.into_iter().chain(nal_units(&missing)).chain(own) {
            memory::grow(&mut whole, START_CODE_LONG.len() + nal.len())?;
            whole.extend_from_slice(&START_CODE_LONG);
            whole.extend_from_slice(nal);
        }
        Ok(whole.into())
    }
}
