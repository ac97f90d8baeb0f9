//! What the primitives of the scheduler need of threads, in one place: `models/` puts a checker's in its stead.

pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
