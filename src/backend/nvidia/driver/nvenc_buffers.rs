//! The encoder's buffers, and the pictures that go through them. A buffer holds its encoder, and memory that is locked
//! is borrowed from its buffer: nothing can be destroyed while it is in use, in whatever order things are dropped.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::calling;
use super::nvenc::Encoder;
use super::nvenc_abi::{CreateBitstream, CreateInput, Handle, LockBitstream, LockInput, NvStatus, PicParams};
use super::nvenc_messages::Messages;
use super::nvenc_names::FRAME;
use super::nvenc_version::Shape;
use crate::backend::BackendKind;
use crate::error::{Error, Result};

/// Memory of the driver that a picture is written to.
#[derive(Debug)]
pub(crate) struct InputBuffer {
    encoder: Arc<Encoder>,
    handle: Handle,
    format: u32,
    /// Width and height of its pictures.
    size: (u32, u32),
    /// Rows of all planes together.
    rows: usize,
    /// Bytes of samples in a row.
    row_bytes: usize,
}

// SAFETY: buffers are not bound to a thread; the library locks inside.
unsafe impl Send for InputBuffer {}

impl InputBuffer {
    /// A buffer for pictures of this size, which may have become smaller since the encoder was opened; `rows` of `row_bytes` bytes are what a picture of this format has,
    /// all planes together.
    ///
    /// # Errors
    /// No memory, or a format that the driver does not take.
    pub(crate) fn new(
        encoder: &Arc<Encoder>,
        size: (u32, u32),
        format: u32,
        rows: usize,
        row_bytes: usize,
    ) -> Result<Self> {
        let session = &encoder.session;
        let mut params = CreateInput {
            version: session.nvenc.api.of(Shape::CreateInput),
            width: size.0,
            height: size.1,
            format,
            ..CreateInput::default()
        };
        let _current = session.context.enter()?;
        // SAFETY: a whole structure of the asserted size; the session is initialised.
        let status = unsafe { (session.nvenc.functions.create_input)(session.handle, &raw mut params) };
        status.ok("nvEncCreateInputBuffer")?;
        Ok(Self { encoder: Arc::clone(encoder), handle: params.buffer, format, size, rows, row_bytes })
    }

    /// For handing the picture over.
    pub(crate) fn picture(&self) -> Picture<'_> {
        Picture { encoder: &self.encoder, handle: self.handle, format: self.format, size: self.size }
    }

    /// Makes the memory accessible until the answer is dropped. Waits while the hardware reads it, which it does not
    /// when the picture's output was taken.
    ///
    /// # Errors
    /// A lost device, or the driver's refusal.
    pub(crate) fn lock(&mut self) -> Result<LockedInput<'_>> {
        let encoder = Arc::clone(&self.encoder);
        let session = &encoder.session;
        let mut params = LockInput {
            version: session.nvenc.api.of(Shape::LockInput),
            buffer: self.handle,
            ..LockInput::default()
        };
        let _current = session.context.enter()?;
        // SAFETY: a whole structure of the asserted size; the buffer is this session's.
        let status = unsafe { (session.nvenc.functions.lock_input)(session.handle, &raw mut params) };
        status.ok("nvEncLockInputBuffer")?;
        let (data, pitch) = (params.data.cast::<u8>(), params.pitch as usize);
        let locked = LockedInput { data, pitch, rows: self.rows, row_bytes: self.row_bytes, buffer: self };
        if data.is_null() || pitch < locked.row_bytes {
            return Err(Error::Backend {
                backend: BackendKind::Nvidia,
                call: "nvEncLockInputBuffer",
                code: 0,
                detail: format!("{} bytes a row were given for rows of {}", pitch, locked.row_bytes),
            });
        }
        Ok(locked)
    }
}

impl Drop for InputBuffer {
    fn drop(&mut self) {
        let session = &self.encoder.session;
        let _current = session.context.enter().ok();
        // SAFETY: made by `new`, destroyed once; it is not locked, since a lock borrows the buffer.
        unsafe { (session.nvenc.functions.destroy_input)(session.handle, self.handle) };
    }
}

/// The memory of an input buffer, for writing: what it held is not kept.
pub(crate) struct LockedInput<'a> {
    data: *mut u8,
    pitch: usize,
    rows: usize,
    row_bytes: usize,
    buffer: &'a mut InputBuffer,
}

impl LockedInput<'_> {
    /// Row `y`, counted through all planes; empty past the last.
    pub(crate) fn row(&mut self, y: usize) -> &mut [u8] {
        if y >= self.rows {
            return &mut [];
        }
        // SAFETY: the driver's memory has `rows` rows, each `pitch` bytes behind the one before, with at least
        // `row_bytes` bytes of samples; it stays until it is unlocked, and `self` is borrowed meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(y * self.pitch), self.row_bytes) }
    }
}

impl Drop for LockedInput<'_> {
    fn drop(&mut self) {
        let session = &self.buffer.encoder.session;
        let _current = session.context.enter().ok();
        // SAFETY: locked by `lock`, unlocked once.
        unsafe { (session.nvenc.functions.unlock_input)(session.handle, self.buffer.handle) };
    }
}

/// A picture where the encoder can read it.
#[derive(Clone, Copy)]
pub(crate) struct Picture<'a> {
    pub(super) encoder: &'a Arc<Encoder>,
    pub(super) handle: Handle,
    /// `NV_ENC_BUFFER_FORMAT`
    pub(super) format: u32,
    /// Width and height.
    pub(super) size: (u32, u32),
}

/// What became of a picture that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// This output and all before it may be locked.
    Due,
    /// The picture is held until more have come: its output may not be locked yet.
    Held,
    /// The hardware's queue is full: nothing was taken, try again.
    Busy,
}

/// Memory of the driver that a coded picture comes in.
#[derive(Debug)]
pub(crate) struct OutputBuffer {
    encoder: Arc<Encoder>,
    handle: Handle,
}

// SAFETY: as for input buffers.
unsafe impl Send for OutputBuffer {}

impl OutputBuffer {
    /// A buffer for coded pictures, as large as the driver thinks right.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn new(encoder: &Arc<Encoder>) -> Result<Self> {
        let session = &encoder.session;
        let mut params = CreateBitstream {
            version: session.nvenc.api.of(Shape::CreateBitstream),
            ..CreateBitstream::default()
        };
        let _current = session.context.enter()?;
        // SAFETY: a whole structure of the asserted size; the session is initialised.
        let status = unsafe { (session.nvenc.functions.create_bitstream)(session.handle, &raw mut params) };
        status.ok("nvEncCreateBitstreamBuffer")?;
        Ok(Self { encoder: Arc::clone(encoder), handle: params.buffer })
    }

    /// Hands a picture over; never waits for the hardware. `timestamp` comes back with the coded picture, which need
    /// not come in this output: outputs are filled in coding order.
    ///
    /// # Errors
    /// A lost device, or the driver's refusal: the picture is not taken.
    pub(crate) fn encode(
        &self,
        input: Picture<'_>,
        timestamp: u64,
        flags: u32,
        messages: &Messages<'_>,
    ) -> Result<Submitted> {
        if !Arc::ptr_eq(&self.encoder, input.encoder) {
            return Err(Error::invalid("the buffers are those of two encoders"));
        }
        let session = &self.encoder.session;
        let mut params = PicParams {
            version: session.nvenc.api.of(Shape::PicParams),
            width: input.size.0,
            height: input.size.1,
            flags,
            // Lookahead with levels wants numbers that rise.
            index: timestamp as u32,
            timestamp,
            codec: messages.part(),
            input: input.handle,
            output: self.handle,
            format: input.format,
            structure: FRAME,
            ..PicParams::default()
        };
        let _current = session.context.enter()?;
        let status = calling("nvEncEncodePicture", || {
            // SAFETY: a whole structure of the asserted size; both buffers are this session's; neither is locked, since
            // a lock borrows its buffer, and memory of the device is mapped as long as its picture is borrowed. The
            // messages outlive the call.
            unsafe { (session.nvenc.functions.encode)(session.handle, &raw mut params) }
        });
        let submitted = match status {
            NvStatus::NEED_MORE_INPUT => Submitted::Held,
            NvStatus::ENCODER_BUSY => return Ok(Submitted::Busy),
            status => {
                status.ok("nvEncEncodePicture")?;
                Submitted::Due
            }
        };
        self.encoder.unended.store(true, Ordering::Release);
        Ok(submitted)
    }

    /// Waits for the picture of this output and gives access to it. Outputs have to be locked in the order in which
    /// they were handed over.
    ///
    /// # Errors
    /// A lost device, or a picture that could not be coded.
    pub(crate) fn lock(&mut self) -> Result<Coded<'_>> {
        let encoder = Arc::clone(&self.encoder);
        let session = &encoder.session;
        let mut params = LockBitstream {
            version: session.nvenc.api.of(Shape::LockBitstream),
            output: self.handle,
            ..LockBitstream::default()
        };
        let _current = session.context.enter()?;
        let status = calling("nvEncLockBitstream", || {
            // SAFETY: a whole structure of the asserted size; the buffer is this session's.
            unsafe { (session.nvenc.functions.lock_bitstream)(session.handle, &raw mut params) }
        });
        status.ok("nvEncLockBitstream")?;
        Ok(Coded {
            data: params.data.cast::<u8>(),
            bytes: if params.data.is_null() { 0 } else { params.bytes as usize },
            timestamp: params.timestamp,
            kind: params.kind,
            buffer: self,
            borrowed: PhantomData,
        })
    }
}

impl Drop for OutputBuffer {
    fn drop(&mut self) {
        let session = &self.encoder.session;
        let _current = session.context.enter().ok();
        // SAFETY: made by `new`, destroyed once; it is not locked, since a lock borrows the buffer.
        unsafe { (session.nvenc.functions.destroy_bitstream)(session.handle, self.handle) };
    }
}

/// A coded picture in its output, until it is dropped.
pub(crate) struct Coded<'a> {
    data: *const u8,
    bytes: usize,
    /// Of the picture that this is.
    pub(crate) timestamp: u64,
    /// `NV_ENC_PIC_TYPE`
    pub(crate) kind: u32,
    buffer: &'a mut OutputBuffer,
    borrowed: PhantomData<&'a [u8]>,
}

impl Coded<'_> {
    /// The coded bytes.
    pub(crate) fn data(&self) -> &[u8] {
        if self.bytes == 0 {
            return &[];
        }
        // SAFETY: not null (it would have no bytes); the driver says how long it is, and it stays until it is
        // unlocked, which borrows end before.
        unsafe { std::slice::from_raw_parts(self.data, self.bytes) }
    }
}

impl Drop for Coded<'_> {
    fn drop(&mut self) {
        let session = &self.buffer.encoder.session;
        let _current = session.context.enter().ok();
        // SAFETY: locked by `lock`, unlocked once.
        unsafe { (session.nvenc.functions.unlock_bitstream)(session.handle, self.buffer.handle) };
    }
}
