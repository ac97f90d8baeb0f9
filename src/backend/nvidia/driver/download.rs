//! Copying mapped pictures to the host while the next ones are decoded.

use super::cuda::{Event, Stream};
use super::cuvid::Mapped;
use super::memory::{DeviceRows, PinnedMemory, copy_to_host};
use crate::error::{Error, Result};

/// Rows of a mapped picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// First row, counted from the top of the whole mapped memory.
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// Bytes of each row to copy.
    pub(crate) row_bytes: usize,
}

/// A copy under way. Owns the picture it reads and the buffer it writes until it is done; dropping it waits.
#[derive(Debug)]
pub(crate) struct Download {
    /// Both are there until `finish` takes them.
    parts: Option<(Mapped, PinnedMemory)>,
    done: Event,
}

impl Download {
    /// Enqueues the copy of `parts`, packed one after another. `done` is an event of the same context.
    ///
    /// # Errors
    /// Rows outside the picture or too many for the buffer; a failing driver.
    pub(crate) fn start(
        stream: &Stream,
        done: Event,
        mapped: Mapped,
        buffer: PinnedMemory,
        parts: &[Rows],
    ) -> Result<Self> {
        let mut download = Self { parts: Some((mapped, buffer)), done };
        let Some((mapped, buffer)) = &mut download.parts else { return Ok(download) };
        let mut offset = 0;
        let mut enqueue = || {
            for part in parts {
                let inside = part.first.checked_add(part.count).is_some_and(|end| end <= mapped.rows());
                if !inside || part.row_bytes > mapped.pitch() {
                    return Err(Error::invalid(format!("{part:?} is not inside the mapped picture")));
                }
                let from = DeviceRows {
                    address: mapped.address() + (part.first * mapped.pitch()) as u64,
                    pitch: mapped.pitch(),
                };
                // SAFETY: the rows lie inside the mapped picture, which stays mapped, and the buffer stays
                // untouched, until the event recorded below has been waited for: by `finish` or by drop.
                unsafe { copy_to_host(stream, from, buffer, offset, part.row_bytes, part.count) }?;
                offset += part.row_bytes * part.count;
            }
            Ok(())
        };
        let enqueued = enqueue();
        // Recorded even after a failure: drop waits for what was enqueued before it.
        let recorded = download.done.record(stream);
        if recorded.is_err() {
            let _ = stream.synchronize();
        }
        enqueued.and(recorded).map(|()| download)
    }

    /// Waits for the copy, unmaps the picture, and gives the event and the buffer back.
    pub(crate) fn finish(mut self) -> (Result<()>, Option<PinnedMemory>) {
        let done = self.done.synchronize();
        let buffer = self.parts.take().map(|(_, buffer)| buffer);
        (done, buffer)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if self.parts.is_some() {
            // Where waiting fails the device is lost, and nothing copies any more.
            let _ = self.done.synchronize();
        }
    }
}
