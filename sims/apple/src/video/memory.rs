//! The memory behind a pixel buffer: zeroed when new, overwritten when it is let go, and used again by a pool.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, Weak};

use crate::core::report::locked;

/// Apple's rows begin at multiples of this, and so does the memory.
pub const ALIGNMENT: usize = 64;

/// What is in memory that no buffer owns: a client that reads on sees it.
const LET_GO: u8 = 0xdd;

/// Memory that goes back to its pool, if it has one that still lives, and else to the system.
#[derive(Debug)]
pub struct Memory {
    block: Option<Block>,
    pool: Weak<Free>,
}

#[derive(Debug)]
struct Block {
    at: NonNull<u8>,
    layout: Layout,
}

// SAFETY: bytes that are owned; how client and simulation take turns with them is the rule of locks, which is checked.
unsafe impl Send for Block {}
// SAFETY: as above; the simulation only copies from and to it.
unsafe impl Sync for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: from `alloc_zeroed` with this layout.
        unsafe { dealloc(self.at.as_ptr(), self.layout) };
    }
}

/// Memory that waits in a pool.
#[derive(Debug, Default)]
pub struct Free(Mutex<Vec<Block>>);

/// More than this is not kept.
const KEPT: usize = 16;

impl Memory {
    /// So many bytes: those of the pool where it has any; none where there is no memory.
    pub fn new(size: usize, pool: Option<&Arc<Free>>) -> Option<Self> {
        let kept = pool.and_then(|pool| locked(&pool.0).pop()).filter(|block| block.layout.size() == size);
        let block = match kept {
            Some(block) => block,
            None => {
                let layout = Layout::from_size_align(size.max(1), ALIGNMENT).ok()?;
                // SAFETY: the layout is not empty.
                Block { at: NonNull::new(unsafe { alloc_zeroed(layout) })?, layout }
            }
        };
        Some(Self { block: Some(block), pool: pool.map(Arc::downgrade).unwrap_or_default() })
    }

    /// Where it is.
    pub fn address(&self) -> *mut u8 {
        self.block.as_ref().map_or(std::ptr::null_mut(), |block| block.at.as_ptr())
    }

    fn size(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.layout.size())
    }

    /// Copies a row out.
    pub fn read(&self, offset: usize, row: &mut [u8]) {
        if offset.checked_add(row.len()).is_some_and(|end| end <= self.size()) {
            // SAFETY: inside the block, as was just seen.
            unsafe { std::ptr::copy_nonoverlapping(self.address().add(offset), row.as_mut_ptr(), row.len()) };
        }
    }

    /// Copies a row in.
    pub fn write(&self, offset: usize, row: &[u8]) {
        if offset.checked_add(row.len()).is_some_and(|end| end <= self.size()) {
            // SAFETY: inside the block, as was just seen.
            unsafe { std::ptr::copy_nonoverlapping(row.as_ptr(), self.address().add(offset), row.len()) };
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let Some(block) = self.block.take() else { return };
        // SAFETY: the whole block, which nothing of the simulation reads any more.
        unsafe { block.at.as_ptr().write_bytes(LET_GO, block.layout.size()) };
        if let Some(pool) = self.pool.upgrade() {
            let mut kept = locked(&pool.0);
            if kept.len() < KEPT {
                kept.push(block);
            }
        }
    }
}
