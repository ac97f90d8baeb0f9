//! Page-locked host memory, and copies into it.

use std::ffi::c_void;
use std::sync::Arc;

use super::cuda::{Context, Copy2D, Stream};
use crate::error::{Error, Result};

/// Page-locked host memory: copies to and from the device run at full speed and without staging.
#[derive(Debug)]
pub(crate) struct PinnedMemory {
    context: Arc<Context>,
    pointer: *mut u8,
    bytes: usize,
}

// SAFETY: plain memory, owned; the driver only touches it inside copies that this module enqueues.
unsafe impl Send for PinnedMemory {}
// SAFETY: shared access only reads.
unsafe impl Sync for PinnedMemory {}

impl PinnedMemory {
    pub(crate) fn new(context: &Arc<Context>, bytes: usize) -> Result<Self> {
        let _current = context.enter()?;
        let mut pointer = std::ptr::null_mut();
        // Flags 0: cached memory. Write-combined memory would be slow to read back.
        // SAFETY: writes one pointer.
        unsafe { (context.functions().host_alloc)(&raw mut pointer, bytes, 0) }.ok("cuMemHostAlloc")?;
        // Uninitialised memory must not be read as bytes.
        // SAFETY: the allocation has `bytes` bytes.
        unsafe { std::ptr::write_bytes(pointer.cast::<u8>(), 0, bytes) };
        Ok(Self { context: Arc::clone(context), pointer: pointer.cast(), bytes })
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: initialised memory of that length, and nothing writes it while it is shared: copies into it take
        // it by `&mut`, and are waited for before it is handed on.
        unsafe { std::slice::from_raw_parts(self.pointer, self.bytes) }
    }
}

impl AsRef<[u8]> for PinnedMemory {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        if let Ok(_current) = self.context.enter() {
            // SAFETY: allocated by `new`, freed once.
            unsafe { (self.context.functions().host_free)(self.pointer.cast()) };
        }
    }
}

/// Rows in device memory that are to be copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceRows {
    pub(crate) address: u64,
    pub(crate) pitch: usize,
}

/// Enqueues a copy of rows from device memory into page-locked memory, packed at `offset`.
///
/// # Errors
/// [`Error::InvalidInput`] when the rows do not fit into `to`.
///
/// # Safety
/// The range must be valid device memory of the stream's context, and `to` must be neither read nor dropped, until
/// the copy is done.
pub(super) unsafe fn copy_to_host(
    stream: &Stream,
    from: DeviceRows,
    to: &mut PinnedMemory,
    offset: usize,
    row_bytes: usize,
    rows: usize,
) -> Result<()> {
    let end = row_bytes.checked_mul(rows).and_then(|bytes| bytes.checked_add(offset));
    if end.is_none_or(|end| end > to.bytes) {
        return Err(Error::invalid(format!(
            "{rows} rows of {row_bytes} bytes at {offset} do not fit into {}",
            to.bytes
        )));
    }
    // SAFETY: the offset lies inside the allocation.
    let target = unsafe { to.pointer.add(offset) };
    let copy = Copy2D::device_to_host(from, target.cast::<c_void>(), row_bytes, rows);
    // SAFETY: promised by the caller; the target range was checked.
    unsafe { enqueue(stream, &copy) }
}

/// # Safety
/// The ranges of `copy` must be valid until it is done.
unsafe fn enqueue(stream: &Stream, copy: &Copy2D) -> Result<()> {
    let _current = stream.context().enter()?;
    // SAFETY: the driver copies the description before it returns; the ranges are the caller's promise.
    unsafe { (stream.context().functions().copy_2d)(copy, stream.handle()) }.ok("cuMemcpy2DAsync")
}
