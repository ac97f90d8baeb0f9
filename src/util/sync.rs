//! What [`crate::queue`] and the memory of rings need of threads, in one place: `models/` puts a checker's in its stead.
//! And for all others, locks that a panic does not take away.

use std::sync::LockResult;

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Locks, whatever became of who held it last. What is behind this library's locks is whole after every statement, so a
/// thread that has panicked, in a codec library as a rule, ends its own work and nobody else's.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    whole(mutex.lock())
}

/// The same of other ways to what is behind a lock.
pub(crate) fn whole<G>(held: LockResult<G>) -> G {
    held.unwrap_or_else(PoisonError::into_inner)
}
