//! What [`crate::queue`] and the memory of rings need of threads, in one place: `models/` puts a checker's in its stead.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
