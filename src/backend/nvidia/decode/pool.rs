//! Page-locked buffers for frames: allocating one takes milliseconds, so they come back when a frame is dropped.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::driver::memory::PinnedMemory;
use crate::error::Result;

/// Buffers kept for reuse. More than these exist only while the caller holds frames.
const KEPT: usize = 16;

/// Buffers of one size.
#[derive(Debug)]
pub(super) struct PinnedPool {
    context: Arc<Context>,
    bytes: usize,
    free: Mutex<Vec<PinnedMemory>>,
}

impl PinnedPool {
    pub(super) fn new(context: &Arc<Context>, bytes: usize) -> Arc<Self> {
        Arc::new(Self { context: Arc::clone(context), bytes, free: Mutex::new(Vec::new()) })
    }

    /// A buffer with any contents.
    pub(super) fn take(&self) -> Result<PinnedMemory> {
        let kept = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.map_or_else(|| PinnedMemory::new(&self.context, self.bytes), Ok)
    }

    /// Shares a buffer's contents; it comes back when the last share is dropped.
    pub(super) fn share(self: &Arc<Self>, memory: PinnedMemory) -> Bytes {
        Bytes::from_owner(PinnedBuffer { memory: Some(memory), pool: Arc::clone(self) })
    }
}

/// A buffer that goes back to its pool.
#[derive(Debug)]
struct PinnedBuffer {
    /// Always there until drop.
    memory: Option<PinnedMemory>,
    pool: Arc<PinnedPool>,
}

impl AsRef<[u8]> for PinnedBuffer {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], PinnedMemory::as_slice)
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
            if free.len() < KEPT {
                free.push(memory);
            }
        }
    }
}
