//! Context locks: a recursive mutex that the library and its clients share, so that work of several threads on one
//! context does not mix.

use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

use super::rules;
use super::table::Table;
use crate::core::call::thread_id;
use crate::core::{Call, Status, fault};
use crate::cuda::abi::CuResult;
use crate::cuda::driver;

/// One lock.
#[derive(Default)]
pub(super) struct ContextLock {
    holder: Mutex<Holder>,
    changed: Condvar,
}

/// The holding thread and how often it took the lock.
#[derive(Default)]
struct Holder {
    thread: u64,
    depth: u32,
}

pub(super) static LOCKS: Table<ContextLock> = Table::new(0x6c6b_0000_0000);

impl fault::Waiting for ContextLock {
    fn wake(&self) {
        drop(self.holder());
        self.changed.notify_all();
    }
}

impl ContextLock {
    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes the lock, once more if this thread has it.
    pub(super) fn lock(&self) -> Result<(), CuResult> {
        let me = thread_id();
        let mut holder = self.holder();
        while holder.depth > 0 && holder.thread != me {
            if fault::device_lost() {
                return Err(CuResult::DEVICE_LOST);
            }
            holder = self.changed.wait(holder).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        holder.thread = me;
        holder.depth += 1;
        Ok(())
    }

    /// Gives the lock back; false when this thread does not have it.
    pub(super) fn unlock(&self) -> bool {
        let mut holder = self.holder();
        if holder.depth == 0 || holder.thread != thread_id() {
            return false;
        }
        holder.depth -= 1;
        if holder.depth == 0 {
            drop(holder);
            self.changed.notify_one();
        }
        true
    }
}

/// Holds a lock while it lives.
pub(super) struct Held(Arc<ContextLock>);

impl Held {
    pub(super) fn new(lock: Arc<ContextLock>) -> Result<Self, CuResult> {
        lock.lock()?;
        Ok(Self(lock))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

/// The lock of a handle.
pub(super) fn find(call: &Call, handle: *mut c_void) -> Result<Arc<ContextLock>, CuResult> {
    LOCKS.get(handle).map_err(|missing| {
        call.breach(&rules::LOCK_HANDLE, format!("{handle:?}: {missing:?}"));
        CuResult::ERROR_INVALID_HANDLE
    })
}

pub(super) fn create(call: &Call, context: *mut c_void) -> Result<*mut c_void, CuResult> {
    if driver::context_from_handle(context).is_none() {
        call.breach(&rules::LOCK_CONTEXT, format!("{context:?} is no living context"));
        return Err(CuResult::ERROR_INVALID_CONTEXT);
    }
    let lock: Arc<ContextLock> = Arc::default();
    let waiting: Weak<ContextLock> = Arc::downgrade(&lock);
    fault::wake_on_loss(waiting);
    Ok(LOCKS.insert(lock))
}

pub(super) fn destroy(call: &Call, handle: *mut c_void) -> Result<(), CuResult> {
    let lock = find(call, handle)?;
    if lock.holder().depth > 0 {
        call.breach(&rules::LOCK_DESTROYED_HELD, format!("held by thread {}", lock.holder().thread));
    }
    // Another thread may have been faster; then the lock is gone, as wanted.
    let _ = LOCKS.remove(handle);
    Ok(())
}

pub(super) fn unlock(call: &Call, handle: *mut c_void) -> Result<(), CuResult> {
    if find(call, handle)?.unlock() {
        return Ok(());
    }
    call.breach(&rules::LOCK_NOT_HELD, "this thread does not hold the lock");
    Err(CuResult::ERROR_INVALID_VALUE)
}
