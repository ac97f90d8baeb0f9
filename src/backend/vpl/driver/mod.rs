//! The only place of the oneVPL backend that talks to Intel's runtime, and the only one with `unsafe` code. Upwards it offers
//! owned, lifetime-safe objects; downwards it opens the runtime when it runs. Declarations are our own, held
//! against the headers in a test; no GPU has run them yet (docs/intel.md).
#![allow(unsafe_code, reason = "this module is the wall around oneVPL's C interface")]

pub(crate) mod abi;
pub(crate) mod decoder;
#[cfg(target_os = "linux")]
mod display;
#[cfg(windows)]
mod driver_store;
pub(crate) mod encoder;
pub(crate) mod frames;
pub(crate) mod implementations;
pub(crate) mod library;
mod nodes;
pub(crate) mod parameters;
pub(crate) mod processor;
pub(crate) mod session;
pub(crate) mod status;

use crate::backend::{BackendKind, hang};

/// Makes a call that may wait for the hardware, so that whoever waits for this thread knows what it is in.
fn calling<T>(name: &'static str, call: impl FnOnce() -> T) -> T {
    hang::during(BackendKind::Qsv, name, hang::DRIVER_CALL, call)
}
