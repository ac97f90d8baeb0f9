//! The only place of the VideoToolbox backend that talks to Apple's frameworks, and the only one with `unsafe` code. Upwards it
//! offers owned, lifetime-safe objects; downwards it opens the frameworks at run time. Declarations are our own, written after
//! Apple's documents; no Mac has run them yet (docs/videotoolbox.md).
#![allow(unsafe_code, reason = "this module is the wall around the frameworks' C interface")]

pub(crate) mod abi;
mod arrivals;
pub(crate) mod compression;
pub(crate) mod decompression;
pub(crate) mod foundation;
pub(crate) mod library;
pub(crate) mod media;
pub(crate) mod metal;
mod metal_library;
pub(crate) mod pixels;
mod pool;
pub(crate) mod status;
pub(crate) mod transfer;

use crate::backend::BackendKind;
use crate::hang;

/// Makes a call that may wait for the hardware, so that whoever waits for this thread knows what it is in. What the
/// frameworks leave to the thread's pool goes with the call: threads that are not Apple's have no other.
fn calling<T>(name: &'static str, call: impl FnOnce() -> T) -> T {
    let _pool = pool::Pool::push();
    hang::during(BackendKind::VideoToolbox, name, hang::DRIVER_CALL, call)
}
