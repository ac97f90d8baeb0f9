//! Sample memory that is used again.
//!
//! A 1080p picture is 3 MB; taking it fresh from the system for every picture costs a page fault per 4 KiB
//! and shows up as a tenth of the decoding time. Buffers go out inside [`Bytes`] and come back when the last
//! clone is dropped, from whichever thread that happens on.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::error::Result;
use crate::memory;
use crate::sync::lock;

/// Buffers kept for reuse; more than this many coming back at once are freed.
const KEEP: usize = 24;

/// Hands out byte buffers and takes them back.
#[derive(Clone, Debug, Default)]
pub(super) struct BufferPool {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl BufferPool {
    /// An empty buffer with room for `capacity` bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub(super) fn take(&self, capacity: usize) -> Result<Vec<u8>> {
        let mut idle = lock(&self.idle);
        let fitting = idle.iter().position(|b| b.capacity() >= capacity && b.capacity() / 2 <= capacity);
        let buffer = fitting.map(|i| idle.swap_remove(i));
        drop(idle);
        let mut buffer = buffer.unwrap_or_default();
        buffer.clear();
        memory::grow(&mut buffer, capacity)?;
        Ok(buffer)
    }

    /// Shares a filled buffer; its memory returns to this pool with the last clone.
    pub(super) fn share(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Pooled { buffer, home: self.clone() })
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut idle = lock(&self.idle);
        if idle.len() >= KEEP {
            // The stream changed its size, or the caller held many pictures: the oldest is the least useful.
            idle.remove(0);
        }
        idle.push(buffer);
    }
}

struct Pooled {
    buffer: Vec<u8>,
    home: BufferPool,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_with_the_last_clone() {
        let pool = BufferPool::default();
        let mut buffer = pool.take(4096).unwrap();
        buffer.extend_from_slice(&[7; 4096]);
        let address = buffer.as_ptr();
        let shared = pool.share(buffer);
        let slice = shared.slice(10..20);
        drop(shared);
        let other = pool.take(4096).unwrap();
        assert_ne!(other.as_ptr(), address, "a slice still reads the memory");
        drop(slice);
        let again = pool.take(4096).unwrap();
        assert_eq!(again.as_ptr(), address);
        assert!(again.is_empty());
    }

    #[test]
    fn keeps_a_bounded_number_of_buffers() {
        let pool = BufferPool::default();
        let out: Vec<_> = (0..KEEP * 2).map(|_| pool.share(vec![0; 64])).collect();
        drop(out);
        assert_eq!(pool.idle.lock().unwrap().len(), KEEP);
    }
}
