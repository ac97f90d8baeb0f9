//! The only place of the NVIDIA backend that talks to the driver, and the only one with `unsafe` code. Upwards it
//! offers owned, lifetime-safe objects; downwards it opens the driver's libraries at run time.
#![allow(unsafe_code, reason = "this module is the wall around the driver's C interface")]

pub(crate) mod cuda;
pub(crate) mod cuvid;
pub(crate) mod cuvid_abi;
#[cfg(all(test, target_pointer_width = "64"))]
mod layouts;
pub(crate) mod library;
pub(crate) mod memory;
pub(crate) mod module;
pub(crate) mod nvenc;
pub(crate) mod nvenc_abi;
pub(crate) mod nvenc_buffers;
pub(crate) mod nvenc_messages;
pub(crate) mod nvenc_names;
pub(crate) mod nvenc_resources;
mod nvenc_result;
pub(crate) mod nvenc_version;
pub(crate) mod nvml;
pub(crate) mod parser;
pub(crate) mod planes;
pub(crate) mod process;
pub(crate) mod result;
#[cfg(test)]
pub(crate) mod scratch;
pub(crate) mod transfer;

use crate::backend::BackendKind;
use crate::hang;

/// Makes a call that may wait for the hardware, so that whoever waits for this thread knows what it is in.
fn calling<T>(name: &'static str, call: impl FnOnce() -> T) -> T {
    hang::during(BackendKind::Nvidia, name, hang::DRIVER_CALL, call)
}
