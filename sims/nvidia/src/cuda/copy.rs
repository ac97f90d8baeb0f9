//! Copies. Each becomes a piece of work with two sides, whose ranges were checked and whose memory it holds on to.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Instant;

use super::abi::{CuResult, DevicePtr, Done, Handle, Memcpy2D, memory_type};
use super::context::{self, Context};
use super::memory::{self, Block, Place, Use};
use super::stream::Stream;
use super::{array, engines, rules, stream_calls};
use crate::core::{Call, clock};

/// What one side of a copy lies in. The work holds the block, so that it outlives a free in between.
#[expect(dead_code, reason = "held, never looked into")]
enum Memory {
    Device(Arc<Block>),
    Pinned(Arc<Block>),
    /// Ordinary memory of the client.
    Pageable,
    /// Bytes taken over when the call was made.
    Staged(Vec<u8>),
}

struct Side {
    memory: Memory,
    address: u64,
    pitch: u64,
}

struct Copy {
    to: Side,
    from: Side,
    width: u64,
    height: u64,
}

/// Bytes from the first to the last of `height` rows.
fn span(width: u64, height: u64, pitch: u64) -> Result<u64, CuResult> {
    (height.max(1) - 1)
        .checked_mul(pitch)
        .and_then(|rows| rows.checked_add(width))
        .ok_or(CuResult::ERROR_INVALID_VALUE)
}

fn of_block(block: Arc<Block>) -> Memory {
    match block.purpose {
        Use::Host | Use::Registered => Memory::Pinned(block),
        _ => Memory::Device(block),
    }
}

/// A side given as a device address.
fn device_side(call: &Call, address: u64, length: u64) -> Result<Memory, CuResult> {
    memory::device_range(call, address, length).map(of_block)
}

/// A side given as a host address.
fn host_side(call: &Call, address: u64, length: u64) -> Result<Memory, CuResult> {
    if address == 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    match memory::locate(address, length) {
        Place::Inside(block) if block.purpose.is_host() => Ok(Memory::Pinned(block)),
        Place::Beyond(block) if block.purpose.is_host() => {
            let left = block.end() - address;
            call.breach(
                &rules::OUT_OF_RANGE,
                format!("{length} bytes, where {left} of pinned memory are left"),
            );
            Err(CuResult::ERROR_INVALID_VALUE)
        }
        Place::Inside(block) | Place::Beyond(block) => {
            call.breach(&rules::DEVICE_POINTER, format!("{address:#x} is {}", block.purpose.name()));
            Err(CuResult::ERROR_INVALID_VALUE)
        }
        // Freed pages that went back to the system may be the client's own by now.
        Place::Freed(start, size, _) if memory::in_quarantine(address) => {
            call.breach(&rules::USE_AFTER_FREE, format!("{address:#x} in {size} freed bytes at {start:#x}"));
            Err(CuResult::ERROR_INVALID_VALUE)
        }
        Place::Freed(..) | Place::Unknown => Ok(Memory::Pageable),
    }
}

/// A side that the driver is to make out itself.
fn unified_side(call: &Call, address: u64, length: u64) -> Result<Memory, CuResult> {
    match memory::locate(address, length) {
        Place::Unknown if memory::is_mapped(address) => Ok(Memory::Pageable),
        _ => device_side(call, address, length),
    }
}

impl Copy {
    fn device_to_device(&self) -> bool {
        matches!((&self.to.memory, &self.from.memory), (Memory::Device(_), Memory::Device(_)))
    }

    /// Takes the bytes of ordinary memory over, so that the client may change them at once.
    fn stage(&mut self) -> Done {
        let size = self.width.checked_mul(self.height).and_then(|size| usize::try_from(size).ok());
        let size = size.ok_or(CuResult::ERROR_INVALID_VALUE)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| CuResult::ERROR_OUT_OF_MEMORY)?;
        for row in 0..self.height {
            let from = (self.from.address + row * self.from.pitch) as usize as *const u8;
            // SAFETY: the client promises that its rows are readable.
            bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(from, self.width as usize) });
        }
        self.from = Side {
            address: bytes.as_ptr() as usize as u64,
            memory: Memory::Staged(bytes),
            pitch: self.width,
        };
        Ok(())
    }

    /// Ranges that it writes, for whoever asks what is unfinished.
    fn writes(&self) -> Vec<(u64, u64)> {
        span(self.width, self.height, self.to.pitch)
            .map(|length| vec![(self.to.address, length)])
            .unwrap_or_default()
    }

    /// Does it, and takes as long as the model says.
    fn perform(self, device: usize) {
        let bytes = self.width * self.height;
        let done = engines::copy(device, self.to_host(), self.device_to_device(), bytes, Instant::now());
        let whole = self.to.pitch == self.width && self.from.pitch == self.width;
        let (length, rows) = if whole { (bytes, 1) } else { (self.width, self.height) };
        for row in 0..rows {
            let to = (self.to.address + row * self.to.pitch) as usize as *mut u8;
            let from = (self.from.address + row * self.from.pitch) as usize as *const u8;
            // SAFETY: device and pinned ranges were checked against a block that this copy holds; for ordinary memory
            // the client promises that the rows are there until the call (or, staged, are ours).
            unsafe { std::ptr::copy(from, to, length as usize) };
        }
        if let Some(done) = done {
            clock::wait_until(done);
        }
    }

    fn to_host(&self) -> bool {
        matches!(self.to.memory, Memory::Pageable | Memory::Pinned(_))
    }
}

/// How a copy function behaves towards its caller.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// On the default stream, done on return (except inside the device, where the real driver does not wait either).
    Sync,
    /// On a stream, later.
    Async(Handle),
}

fn submit(call: &Call, context: &Context, mut copy: Copy, mode: Mode) -> Done {
    let stream: Arc<Stream> = match mode {
        Mode::Sync => context.default_stream.clone(),
        Mode::Async(stream) => stream_calls::for_work(call, context, stream)?,
    };
    if copy.width == 0 || copy.height == 0 {
        return Ok(());
    }
    // Results in ordinary memory are there on return, whatever the function is called.
    let waits = match mode {
        Mode::Sync => !copy.device_to_device(),
        Mode::Async(_) => matches!(copy.to.memory, Memory::Pageable),
    };
    if !waits && matches!(copy.from.memory, Memory::Pageable) {
        copy.stage()?;
    }
    let writes = copy.writes();
    let device = context.device;
    let work = Box::new(move || copy.perform(device));
    if waits { stream.run(&writes, work) } else { stream.issue(Vec::new(), &writes, work).map(|_| ()) }
}

/// How the two sides of a flat copy are given.
#[derive(Clone, Copy)]
enum Way {
    HostToDevice,
    DeviceToHost,
    DeviceToDevice,
    Unified,
}

fn flat(call: &Call, way: Way, to: u64, from: u64, bytes: usize, mode: Mode) -> Done {
    let context = context::current(call)?;
    let length = bytes as u64;
    if length == 0 {
        return Ok(());
    }
    let find = |way: Way, address: u64, is_target: bool| match (way, is_target) {
        (Way::HostToDevice, false) | (Way::DeviceToHost, true) => host_side(call, address, length),
        (Way::Unified, _) => unified_side(call, address, length),
        _ => device_side(call, address, length),
    };
    let side = |address, memory| Side { memory, address, pitch: length };
    let from = side(from, find(way, from, false)?);
    let to = side(to, find(way, to, true)?);
    submit(call, &context, Copy { to, from, width: length, height: 1 }, mode)
}

fn address_of(pointer: *const c_void) -> u64 {
    pointer as usize as u64
}

pub(super) fn unified(call: &Call, to: DevicePtr, from: DevicePtr, bytes: usize) -> Done {
    flat(call, Way::Unified, to, from, bytes, Mode::Sync)
}

pub(super) fn unified_async(
    call: &Call,
    to: DevicePtr,
    from: DevicePtr,
    bytes: usize,
    stream: Handle,
) -> Done {
    flat(call, Way::Unified, to, from, bytes, Mode::Async(stream))
}

pub(super) fn to_device(call: &Call, to: DevicePtr, from: *const c_void, bytes: usize) -> Done {
    flat(call, Way::HostToDevice, to, address_of(from), bytes, Mode::Sync)
}

pub(super) fn to_device_async(
    call: &Call,
    to: DevicePtr,
    from: *const c_void,
    bytes: usize,
    stream: Handle,
) -> Done {
    flat(call, Way::HostToDevice, to, address_of(from), bytes, Mode::Async(stream))
}

pub(super) fn to_host(call: &Call, to: *mut c_void, from: DevicePtr, bytes: usize) -> Done {
    flat(call, Way::DeviceToHost, address_of(to), from, bytes, Mode::Sync)
}

pub(super) fn to_host_async(
    call: &Call,
    to: *mut c_void,
    from: DevicePtr,
    bytes: usize,
    stream: Handle,
) -> Done {
    flat(call, Way::DeviceToHost, address_of(to), from, bytes, Mode::Async(stream))
}

pub(super) fn inside(call: &Call, to: DevicePtr, from: DevicePtr, bytes: usize) -> Done {
    flat(call, Way::DeviceToDevice, to, from, bytes, Mode::Sync)
}

pub(super) fn inside_async(
    call: &Call,
    to: DevicePtr,
    from: DevicePtr,
    bytes: usize,
    stream: Handle,
) -> Done {
    flat(call, Way::DeviceToDevice, to, from, bytes, Mode::Async(stream))
}

/// One side of a `CUDA_MEMCPY2D`.
struct Plane {
    x: u64,
    y: u64,
    kind: u32,
    host: u64,
    device: u64,
    array: Handle,
    pitch: u64,
}

fn plane_side(call: &Call, plane: &Plane, width: u64, height: u64) -> Result<Side, CuResult> {
    const BAD: CuResult = CuResult::ERROR_INVALID_VALUE;
    let right = plane.x.checked_add(width).ok_or(BAD)?;
    if plane.kind == memory_type::ARRAY {
        let array = array::find(call, plane.array)?;
        let bottom = plane.y.checked_add(height).ok_or(BAD)?;
        if right > array.row || bottom > array.rows {
            let detail =
                format!("up to ({right}, {bottom}) of an array of {} bytes x {}", array.row, array.rows);
            call.breach(&rules::OUT_OF_RANGE, detail);
            return Err(BAD);
        }
        let address = array.block.address + plane.y * array.pitch + plane.x;
        return Ok(Side { memory: Memory::Device(array.block.clone()), address, pitch: array.pitch });
    }
    // A single row needs no pitch.
    let pitch = if plane.pitch == 0 && height == 1 && plane.y == 0 { right } else { plane.pitch };
    if pitch < right {
        call.breach(&rules::PITCH, format!("rows of {right} bytes with a pitch of {pitch}"));
        return Err(BAD);
    }
    let base = if plane.kind == memory_type::HOST { plane.host } else { plane.device };
    let skip = plane.y.checked_mul(pitch).and_then(|rows| rows.checked_add(plane.x)).ok_or(BAD)?;
    if base == 0 {
        return Err(BAD);
    }
    let address = base.checked_add(skip).ok_or(BAD)?;
    let length = span(width, height, pitch)?;
    let memory = match plane.kind {
        memory_type::HOST => host_side(call, address, length)?,
        memory_type::DEVICE => device_side(call, address, length)?,
        memory_type::UNIFIED => unified_side(call, address, length)?,
        _ => return Err(BAD),
    };
    Ok(Side { memory, address, pitch })
}

unsafe fn plane_copy(call: &Call, copy: *const Memcpy2D, mode: Mode) -> Done {
    let context = context::current(call)?;
    if copy.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the client promises the rest.
    let copy = unsafe { copy.read() };
    let (width, height) = (copy.width_in_bytes as u64, copy.height as u64);
    if width == 0 || height == 0 {
        return Ok(());
    }
    let from = Plane {
        x: copy.src_x_in_bytes as u64,
        y: copy.src_y as u64,
        kind: copy.src_memory_type,
        host: address_of(copy.src_host),
        device: copy.src_device,
        array: copy.src_array,
        pitch: copy.src_pitch as u64,
    };
    let to = Plane {
        x: copy.dst_x_in_bytes as u64,
        y: copy.dst_y as u64,
        kind: copy.dst_memory_type,
        host: address_of(copy.dst_host),
        device: copy.dst_device,
        array: copy.dst_array,
        pitch: copy.dst_pitch as u64,
    };
    let from = plane_side(call, &from, width, height)?;
    let to = plane_side(call, &to, width, height)?;
    submit(call, &context, Copy { to, from, width, height }, mode)
}

pub(super) unsafe fn plane(call: &Call, copy: *const Memcpy2D) -> Done {
    // SAFETY: the client's promise is passed on.
    unsafe { plane_copy(call, copy, Mode::Sync) }
}

pub(super) unsafe fn plane_async(call: &Call, copy: *const Memcpy2D, stream: Handle) -> Done {
    // SAFETY: the client's promise is passed on.
    unsafe { plane_copy(call, copy, Mode::Async(stream)) }
}
