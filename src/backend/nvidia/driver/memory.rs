//! Memory of the device and page-locked memory of the host, and copies between them.

use std::ffi::c_void;
use std::sync::Arc;

use super::cuda::{Context, Copy2D, Stream, is_left_to_exit};
use super::nvenc_resources;
use super::planes::{Planes, lies_in};
use super::result::CuResult;
use crate::backend::BackendKind;
use crate::error::{Error, Result};
use crate::frame::DevicePlane;

/// The driver's answer to an allocation. That there is no room at the moment is no end: it says what to do.
fn allocated(code: CuResult, call: &'static str, bytes: usize, kind: &str) -> Result<()> {
    if code != CuResult::OUT_OF_MEMORY {
        return code.ok(call);
    }
    Err(Error::OutOfMemory {
        backend: BackendKind::Nvidia,
        what: format!("{bytes} bytes of {kind} memory for a frame ({call})"),
        remedy: "Hold fewer frames at a time, or run fewer sessions on this device".into(),
    })
}

/// Drivers answer a request for no bytes with an error, or with nothing.
fn not_empty(bytes: usize) -> Result<()> {
    if bytes == 0 { Err(Error::invalid("memory for a frame of 0 bytes")) } else { Ok(()) }
}

/// The driver says that it has allocated, and gives nothing.
fn nothing(call: &'static str) -> Error {
    Error::Backend {
        backend: BackendKind::Nvidia,
        call,
        code: 0,
        detail: "success, and a null pointer".to_owned(),
    }
}

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
        not_empty(bytes)?;
        let _current = context.enter()?;
        let mut pointer = std::ptr::null_mut();
        // Flags 0: cached memory. Write-combined memory would be slow to read back.
        // SAFETY: writes one pointer.
        let code = unsafe { (context.functions().host_alloc)(&raw mut pointer, bytes, 0) };
        allocated(code, "cuMemHostAlloc", bytes, "page-locked")?;
        if pointer.is_null() {
            return Err(nothing("cuMemHostAlloc"));
        }
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

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        if is_left_to_exit() {
            return;
        }
        if let Ok(_current) = self.context.enter() {
            // SAFETY: allocated by `new`, freed once.
            unsafe { (self.context.functions().host_free)(self.pointer.cast()) };
        }
    }
}

/// One allocation of the driver's, freed with the last of its parts.
#[derive(Debug)]
struct Slab {
    context: Arc<Context>,
    address: u64,
}

impl Slab {
    fn new(context: &Arc<Context>, bytes: usize) -> Result<Self> {
        not_empty(bytes)?;
        let _current = context.enter()?;
        let mut address = 0;
        // SAFETY: writes one address.
        let code = unsafe { (context.functions().device_alloc)(&raw mut address, bytes) };
        allocated(code, "cuMemAlloc", bytes, "device")?;
        if address == 0 {
            return Err(nothing("cuMemAlloc"));
        }
        Ok(Self { context: Arc::clone(context), address })
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        if is_left_to_exit() {
            return;
        }
        if let Ok(_current) = self.context.enter() {
            // SAFETY: allocated by `new`, freed once, when the last part of it is gone. On a lost device there is
            // nothing left to free: whatever it answers is all right.
            unsafe { (self.context.functions().device_free)(self.address) };
        }
    }
}

/// A part of what the driver has allocated on the device, which lives as long as its last user.
#[derive(Debug)]
pub(super) struct Allocation {
    slab: Arc<Slab>,
    address: u64,
    bytes: usize,
}

impl Allocation {
    pub(super) fn context(&self) -> &Arc<Context> {
        &self.slab.context
    }

    pub(super) const fn address(&self) -> u64 {
        self.address
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Memory of the device, with any contents: an allocation of its own, or an equal share of one. It has one owner; encoders
/// that know its address (see [`super::nvenc_resources`]) let go of it when that owner does.
#[derive(Debug)]
pub(crate) struct DeviceBlock(Arc<Allocation>);

impl DeviceBlock {
    /// `count` blocks in one allocation, which is freed with the last of them.
    ///
    /// # Errors
    /// No room, or a failing driver.
    pub(crate) fn several(context: &Arc<Context>, bytes: usize, count: usize) -> Result<Vec<Self>> {
        /// What the driver aligns allocations to at least, and rows of any format need no more.
        const ALIGNMENT: usize = 512;
        let stride = bytes.checked_next_multiple_of(ALIGNMENT);
        let Some((stride, all)) = stride.and_then(|stride| Some((stride, stride.checked_mul(count)?))) else {
            return Err(Error::invalid(format!("memory for {count} frames of {bytes} bytes")));
        };
        let slab = Arc::new(Slab::new(context, all)?);
        let block = |number: usize| {
            let address = slab.address + (number * stride) as u64;
            Self(Arc::new(Allocation { slab: Arc::clone(&slab), address, bytes }))
        };
        Ok((0..count).map(block).collect())
    }

    pub(crate) fn address(&self) -> u64 {
        self.0.address
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes
    }

    /// The device's number.
    pub(crate) fn device(&self) -> i32 {
        self.context().ordinal()
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        self.0.context()
    }

    pub(super) const fn allocation(&self) -> &Arc<Allocation> {
        &self.0
    }

    /// Where the driver's allocation begins that this is a share of, and how many of its shares are left: it is freed with
    /// the last of them.
    pub(crate) fn shared(&self) -> (u64, usize) {
        (self.0.slab.address, Arc::strong_count(&self.0.slab))
    }

    /// Copies a plane that lies in this memory into `to`, packed, on `stream`, and waits until it is done. Nothing may
    /// be writing the plane.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the plane is not in this memory or `to` is not of its size; a failing driver.
    pub(crate) fn download(&self, stream: &Stream, plane: &DevicePlane, to: &mut [u8]) -> Result<()> {
        let size = plane.row_bytes.checked_mul(plane.rows);
        if size != Some(to.len()) || !lies_in(plane, self.address(), self.bytes()) {
            return Err(Error::invalid(format!(
                "{plane:?} cannot be copied from {} bytes at {:#x} to {} bytes",
                self.bytes(),
                self.address(),
                to.len()
            )));
        }
        let copy = Copy2D::device_to_host(plane, to.as_mut_ptr().cast());
        // SAFETY: both ranges were checked, and are borrowed until the stream has been waited for.
        let enqueued = unsafe { enqueue(stream, &copy) };
        // Also after a failure: `to` is the caller's again.
        let done = stream.synchronize();
        enqueued.and(done)
    }
}

impl Drop for DeviceBlock {
    fn drop(&mut self) {
        if Arc::strong_count(&self.0) > 1 {
            nvenc_resources::forget(&self.0);
        }
    }
}

/// Enqueues copies of `planes` into page-locked memory, packed one after another.
///
/// # Errors
/// [`Error::InvalidInput`] when they do not fit into `to`; a failing driver.
///
/// # Safety
/// The planes must be valid device memory of the stream's context, and `to` must be neither read nor dropped, until
/// the stream has come that far.
pub(super) unsafe fn copy_to_host(
    stream: &Stream,
    planes: &[DevicePlane],
    to: &mut PinnedMemory,
) -> Result<()> {
    let mut offset: usize = 0;
    for plane in planes {
        let end = plane.row_bytes.checked_mul(plane.rows).and_then(|bytes| bytes.checked_add(offset));
        let Some(end) = end.filter(|end| *end <= to.bytes) else {
            return Err(Error::invalid(format!("{plane:?} at {offset} does not fit into {}", to.bytes)));
        };
        // SAFETY: the offset lies inside the allocation.
        let target = unsafe { to.pointer.add(offset) };
        let copy = Copy2D::device_to_host(plane, target.cast::<c_void>());
        // SAFETY: promised by the caller; the target range was checked.
        unsafe { enqueue(stream, &copy) }?;
        offset = end;
    }
    Ok(())
}

/// Enqueues copies of planes inside the device.
///
/// # Errors
/// [`Error::InvalidInput`] when the planes differ in number or size; a failing driver.
///
/// # Safety
/// All planes must be valid device memory of the stream's context, and those of `to` used by nobody else, until the
/// stream has come that far.
pub(super) unsafe fn copy_inside(stream: &Stream, from: &[DevicePlane], to: &[DevicePlane]) -> Result<()> {
    let same = from.len() == to.len()
        && from.iter().zip(to).all(|(a, b)| (a.row_bytes, a.rows) == (b.row_bytes, b.rows));
    if !same {
        return Err(Error::invalid(format!("{from:?} and {to:?} are not of one size")));
    }
    for (from, to) in from.iter().zip(to) {
        // SAFETY: promised by the caller; the sizes are the same.
        unsafe { enqueue(stream, &Copy2D::device_to_device(from, to)) }?;
    }
    Ok(())
}

/// Copies a picture from one memory to another and waits until it is done. Nothing may be writing `from`.
///
/// # Errors
/// [`Error::InvalidInput`] when the planes are not in their memory, differ in number or size; a failing driver.
pub(crate) fn copy_frame(
    stream: &Stream,
    from: &[DevicePlane],
    from_block: &DeviceBlock,
    to: &Planes,
    to_block: &DeviceBlock,
) -> Result<()> {
    if !from.iter().all(|plane| lies_in(plane, from_block.address(), from_block.bytes())) {
        return Err(Error::invalid(format!("{from:?} are not inside their memory")));
    }
    to.check(to_block.address(), to_block.bytes())?;
    // SAFETY: both ranges were checked, and are borrowed until the stream has been waited for; the target is its
    // owner's alone.
    let enqueued = unsafe { copy_inside(stream, from, to) };
    // Also after a failure: the memory is the callers' again.
    let done = stream.synchronize();
    enqueued.and(done)
}

/// # Safety
/// The ranges of `copy` must be valid until it is done.
unsafe fn enqueue(stream: &Stream, copy: &Copy2D) -> Result<()> {
    let _current = stream.context().enter()?;
    // SAFETY: the driver copies the description before it returns; the ranges are the caller's promise.
    unsafe { (stream.context().functions().copy_2d)(copy, stream.handle()) }.ok("cuMemcpy2DAsync")
}
