//! The few things the encoder wants from the CUDA part, with its errors turned into this library's.

use std::ffi::c_void;

use super::abi::NvStatus;
use crate::cuda::driver;

pub(super) use crate::cuda::driver::{ContextId, Reservation};

/// Takes device memory of the driver's own off what is free; the answer is the encoder's.
pub(super) fn reserve(device: usize, bytes: usize) -> Result<Reservation, NvStatus> {
    driver::reserve(device, bytes as u64).map_err(|_| NvStatus::OUT_OF_MEMORY)
}

/// The context behind a client's handle, and its device.
pub(super) fn context(handle: usize) -> Option<(ContextId, usize)> {
    driver::context_from_handle(handle as *mut c_void).map(|id| (id, driver::device_of(id)))
}

/// True when another context than `own` is current on this thread.
pub(super) fn foreign_context_current(own: ContextId) -> bool {
    driver::current_context().is_some_and(|current| current != own)
}

/// Host address of device memory, if the whole range lies inside one live allocation.
pub(super) fn view(address: u64, len: u64) -> Option<*mut u8> {
    driver::host_view(address, len).ok()
}

/// True when a stream other than the default one may still write the range.
pub(super) fn pending_write(address: u64, len: u64) -> bool {
    driver::pending_write(address, len)
}

/// Waits for the work of a stream; none is the default stream of the session's context.
pub(super) fn wait_stream(context: ContextId, stream: Option<usize>) -> Result<(), NvStatus> {
    match stream {
        Some(stream) => driver::stream_wait_idle(stream as *mut c_void),
        None => driver::default_stream_wait_idle(context),
    }
    .map_err(|_| NvStatus::INVALID_PARAM)
}
