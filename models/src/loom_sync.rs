//! loom's primitives in the place of those that the library's `sync.rs` names.

pub(super) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
pub(super) use loom::thread::JoinHandle;
pub(super) use std::sync::PoisonError;

pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    loom::thread::Builder::new().name(name.to_owned()).spawn(work)
}
