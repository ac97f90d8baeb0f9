//! Building boxes in memory.

use crate::error::{Error, Result};
use crate::memory;

/// Writes boxes around boxes: the size of each is filled in when it is closed.
pub(super) struct Boxes(Vec<u8>);

impl Boxes {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn within(
        &mut self,
        kind: [u8; 4],
        content: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let start = self.0.len();
        self.0.extend([0; 4]);
        self.0.extend(kind);
        content(self)?;
        let size = u32::try_from(self.0.len() - start).map_err(|_| {
            Error::invalid("the movie header outgrows 4 GiB: too many samples for one MP4 file")
        })?;
        if let Some(field) = self.0.get_mut(start..start + 4) {
            field.copy_from_slice(&size.to_be_bytes());
        }
        Ok(())
    }

    /// A full box that is a table: version, no flags, the number of entries, and the entries.
    pub(super) fn table<E>(
        &mut self,
        kind: [u8; 4],
        version: u8,
        entries: impl ExactSizeIterator<Item = E>,
        mut write: impl FnMut(&mut Vec<u8>, E),
    ) -> Result<()> {
        self.within(kind, |out| {
            // The largest entry has three words.
            memory::grow(&mut out.0, 8 + entries.len() * 12)?;
            out.0.extend([version, 0, 0, 0]);
            out.0.extend((entries.len() as u32).to_be_bytes());
            for entry in entries {
                write(&mut out.0, entry);
            }
            Ok(())
        })
    }

    /// Big-endian 32 bits each.
    #[allow(clippy::unnecessary_wraps, reason = "the body of a box is a fallible closure")]
    pub(super) fn words(&mut self, words: &[u32]) -> Result<()> {
        memory::grow(&mut self.0, size_of_val(words))?;
        self.0.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        Ok(())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}
