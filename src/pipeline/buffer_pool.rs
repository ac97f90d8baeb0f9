//! Memory of pictures that is used again.
//!
//! `models/` runs this file under loom, in every order of its threads, and under miri and ThreadSanitizer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Memory that nobody uses, of one size.
#[derive(Debug)]
pub(super) struct BufferPool {
    idle: Mutex<Vec<Vec<u8>>>,
    most: usize,
    made: AtomicU64,
}

impl BufferPool {
    /// A pool that keeps so many pictures at most.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::new(Vec::new()), most, made: AtomicU64::new(0) })
    }

    /// Memory of that size, with any contents.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> PooledBuffer {
        let mut idle = self.idle();
        // The size changes seldom: what does not fit is of no use any more.
        let fits = idle.last().is_none_or(|memory| memory.len() == bytes);
        let useless = if fits { Vec::new() } else { std::mem::take(&mut *idle) };
        let memory = idle.pop();
        drop(idle);
        drop(useless);
        let memory = memory.unwrap_or_else(|| {
            self.made.fetch_add(1, Ordering::Relaxed);
            vec![0; bytes]
        });
        PooledBuffer { memory, pool: Arc::clone(self) }
    }

    /// How often there was none to be used again, and memory was allocated.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    // What is guarded is whole after every statement, so a poisoned lock is still good.
    fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that goes back to its pool when the last frame over it is dropped.
#[derive(Debug)]
pub(super) struct PooledBuffer {
    memory: Vec<u8>,
    pool: Arc<BufferPool>,
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl AsMut<[u8]> for PooledBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut idle = self.pool.idle();
        if idle.len() < self.pool.most {
            idle.push(std::mem::take(&mut self.memory));
        }
    }
}
