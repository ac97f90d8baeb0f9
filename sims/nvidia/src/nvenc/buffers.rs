//! Input buffers, bitstream buffers and registered device memory.

use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::abi::{self, CreateBitstream, CreateInput, LockInput, Map, NvStatus, Register};
use super::caps::Cap;
use super::input::{self, Layout};
use super::session::{Session, check_context, new_handle};
use super::versions::{self, Struct};
use super::{gpu, lock, presets, rules};
use crate::core::clock::wait_until;
use crate::core::{Call, fault};
use crate::policy;

/// Memory that the client writes to through a pointer.
#[derive(Debug)]
pub(super) struct Memory {
    start: NonNull<u8>,
    layout: std::alloc::Layout,
}

// SAFETY: the memory is plain bytes; the driver only reads it, and the client's writes are its own business.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(bytes: usize) -> Option<Arc<Self>> {
        let layout = std::alloc::Layout::from_size_align(bytes.max(1), 256).ok()?;
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })?;
        Some(Arc::new(Self { start, layout }))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Where the samples of an input lie.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// An input buffer.
    Buffer(Arc<Memory>),
    /// Device memory.
    Device(u64),
}

impl Source {
    /// Runs `look` on the bytes; `None` when device memory is gone.
    pub(super) fn with<T>(&self, bytes: usize, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let start = match self {
            Self::Buffer(memory) if bytes <= memory.layout.size() => memory.start.as_ptr(),
            Self::Buffer(_) => return None,
            Self::Device(address) => gpu::view(*address, bytes as u64)?,
        };
        // SAFETY: the buffer is as long as was checked, or the CUDA part says that the range lies in one live
        // allocation. A client that writes at the same time breaks a rule, and gets what it gets.
        Some(look(unsafe { std::slice::from_raw_parts(start, bytes) }))
    }
}

/// An input buffer.
#[derive(Debug)]
pub(super) struct InputBuffer {
    pub memory: Arc<Memory>,
    pub _device_memory: gpu::Reservation,
    pub layout: Layout,
    pub width: u32,
    pub locked: bool,
}

/// Registered device memory.
#[derive(Debug)]
pub(super) struct Resource {
    pub address: u64,
    pub layout: Layout,
    pub width: u32,
    /// Handle of the mapping.
    pub mapped: Option<usize>,
}

/// A bitstream buffer.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub state: OutputState,
}

/// Whose turn it is with a bitstream buffer.
#[derive(Debug, Default)]
pub(super) enum OutputState {
    /// Nobody's.
    #[default]
    Free,
    /// The encoder's: submission number.
    Pending(u64),
    /// A thread is waiting in LockBitstream.
    Waiting,
    /// The client's, who has a pointer to the bytes.
    Locked(#[allow(dead_code, reason = "kept alive until the unlock")] Arc<Vec<u8>>),
}

pub(super) unsafe fn create_input(
    call: &Call,
    session: &Session,
    params: *mut CreateInput,
) -> Result<(), NvStatus> {
    // SAFETY: null or the client's structure.
    let mut p = unsafe { abi::read::<CreateInput>(params.cast()) }.ok_or(NvStatus::INVALID_PTR)?;
    versions::check(call, session.api, Struct::CreateInput, p.version)?;
    let mut state = session.state();
    let running = state.running(call)?;
    let caps = &running.caps;
    // Clients round sizes up, to 64 at most.
    let beyond = |size: u32, cap: Cap| i64::from(size) >= i64::from(caps.get(cap)) + 64;
    if p.width == 0 || p.height == 0 || beyond(p.width, Cap::WidthMax) || beyond(p.height, Cap::HeightMax) {
        return Err(NvStatus::INVALID_PARAM);
    }
    if !presets::input_formats(caps).contains(&p.format) {
        return Err(NvStatus::INVALID_PARAM);
    }
    let row = input::row_bytes(p.format, p.width as usize).ok_or(NvStatus::INVALID_PARAM)?;
    let pitch = row.next_multiple_of(64) + policy::INPUT_PITCH_EXTRA as usize;
    let layout = Layout { format: p.format, pitch, rows: p.height as usize };
    let device_memory = gpu::reserve(session.device, layout.bytes())?;
    let memory = Memory::new(layout.bytes()).ok_or(NvStatus::OUT_OF_MEMORY)?;
    p.buffer = new_handle();
    let buffer = InputBuffer { memory, _device_memory: device_memory, layout, width: p.width, locked: false };
    state.inputs.insert(p.buffer, buffer);
    // SAFETY: as above.
    unsafe { abi::write(params.cast(), p) };
    Ok(())
}

pub(super) fn destroy_input(call: &Call, session: &Session, handle: usize) -> Result<(), NvStatus> {
    let mut state = session.state();
    let Some(buffer) = state.inputs.remove(&handle) else {
        call.breach(&rules::DEAD_BUFFER, format!("{handle:#x} is no input buffer"));
        return Err(NvStatus(policy::NVENC_BAD_HANDLE));
    };
    if (buffer.locked || state.used.contains_key(&handle)) && !fault::device_lost() {
        let why = if buffer.locked { "locked" } else { "used by a pending picture" };
        call.breach(&rules::DESTROY_IN_USE, format!("input buffer {handle:#x} is {why}"));
    }
    Ok(())
}

pub(super) unsafe fn lock_input(
    call: &Call,
    session: &Session,
    params: *mut LockInput,
) -> Result<(), NvStatus> {
    // SAFETY: null or the client's structure.
    let mut p = unsafe { abi::read::<LockInput>(params.cast()) }.ok_or(NvStatus::INVALID_PTR)?;
    versions::check(call, session.api, Struct::LockInput, p.version)?;
    let mut state = session.state();
    let Some(buffer) = state.inputs.get(&p.buffer) else {
        call.breach(&rules::DEAD_BUFFER, format!("{:#x} is no input buffer", p.buffer));
        return Err(NvStatus(policy::NVENC_BAD_HANDLE));
    };
    if buffer.locked {
        call.breach(&rules::INPUT_LOCK_STATE, "the input buffer is locked already");
        return Err(NvStatus(policy::NVENC_WRONG_STATE));
    }
    if state.used.contains_key(&p.buffer) && p.bits & 1 != 0 {
        state.figures.busy += 1;
        return Err(NvStatus::ENCODER_BUSY);
    }
    drop(state);
    wait_for_input(call, session, p.buffer)?;
    let mut state = session.state();
    let Some(buffer) = state.inputs.get_mut(&p.buffer) else { return Err(NvStatus::INVALID_PARAM) };
    buffer.locked = true;
    p.data = buffer.memory.start.as_ptr() as usize;
    p.pitch = buffer.layout.pitch as u32;
    // SAFETY: as above.
    unsafe { abi::write(params.cast(), p) };
    Ok(())
}

/// Waits until the encoder has read an input buffer.
fn wait_for_input(call: &Call, session: &Session, input: usize) -> Result<(), NvStatus> {
    let mut guard = session.state();
    while guard.used.contains_key(&input) {
        if fault::device_lost() {
            return Err(NvStatus::DEVICE_NOT_EXIST);
        }
        let state = &mut *guard;
        let running = state.running.as_mut().ok_or(NvStatus::INVALID_ENCODERDEVICE)?;
        let mut users =
            running.coded.values_mut().filter(|coded| coded.held.input == input && !coded.held.released);
        let Some(coded) = users.next() else {
            // Its picture waits for pictures that can only come after this call.
            call.breach(&rules::LOCK_BUSY_INPUT, format!("input buffer {input:#x}"));
            state.figures.busy += 1;
            return Err(NvStatus::ENCODER_BUSY);
        };
        let now = Instant::now();
        if coded.finished.is_none() {
            guard = session.wait(guard);
        } else if coded.ready_at > now {
            let until = coded.ready_at.min(now + Duration::from_millis(20));
            drop(guard);
            wait_until(until);
            guard = session.state();
        } else {
            coded.held.released = true;
            lock::check_input(call, &coded.held);
            state.release_input(input);
        }
    }
    Ok(())
}

pub(super) fn unlock_input(call: &Call, session: &Session, handle: usize) -> Result<(), NvStatus> {
    let mut state = session.state();
    let Some(buffer) = state.inputs.get_mut(&handle) else {
        call.breach(&rules::DEAD_BUFFER, format!("{handle:#x} is no input buffer"));
        return Err(NvStatus(policy::NVENC_BAD_HANDLE));
    };
    if !std::mem::take(&mut buffer.locked) {
        call.breach(&rules::INPUT_LOCK_STATE, "the input buffer is not locked");
        return Err(NvStatus(policy::NVENC_WRONG_STATE));
    }
    Ok(())
}

pub(super) unsafe fn create_output(
    call: &Call,
    session: &Session,
    params: *mut CreateBitstream,
) -> Result<(), NvStatus> {
    // SAFETY: null or the client's structure.
    let mut p = unsafe { abi::read::<CreateBitstream>(params.cast()) }.ok_or(NvStatus::INVALID_PTR)?;
    versions::check(call, session.api, Struct::CreateBitstream, p.version)?;
    let mut state = session.state();
    state.running(call)?;
    p.buffer = new_handle();
    p.pointer = 0;
    state.outputs.insert(p.buffer, Output::default());
    state.figures.reported["outputs"] = state.outputs.len().into();
    // SAFETY: as above.
    unsafe { abi::write(params.cast(), p) };
    Ok(())
}

pub(super) fn destroy_output(call: &Call, session: &Session, handle: usize) -> Result<(), NvStatus> {
    let mut state = session.state();
    let Some(output) = state.outputs.remove(&handle) else {
        call.breach(&rules::DEAD_BUFFER, format!("{handle:#x} is no bitstream buffer"));
        return Err(NvStatus(policy::NVENC_BAD_HANDLE));
    };
    if !matches!(output.state, OutputState::Free) && !fault::device_lost() {
        let why = if matches!(output.state, OutputState::Locked(_)) { "locked" } else { "pending" };
        call.breach(&rules::DESTROY_IN_USE, format!("bitstream buffer {handle:#x} is {why}"));
    }
    Ok(())
}

pub(super) unsafe fn register(call: &Call, session: &Session, params: *mut Register) -> Result<(), NvStatus> {
    // SAFETY: null or the client's structure.
    let mut p = unsafe { abi::read::<Register>(params.cast()) }.ok_or(NvStatus::INVALID_PTR)?;
    versions::check(call, session.api, Struct::Register, p.version)?;
    check_context(call, session)?;
    if gpu::foreign_context_current(session.context) {
        call.breach(&rules::CONTEXT_FOREIGN, "another context is current");
    }
    // Arrays, and outputs in device memory, are not simulated.
    if p.kind != abi::RESOURCE_CUDADEVICEPTR || p.usage != 0 {
        return Err(NvStatus::UNSUPPORTED_PARAM);
    }
    let row = input::row_bytes(p.format, p.width as usize).ok_or(NvStatus::INVALID_PARAM)?;
    if p.resource == 0 {
        return Err(NvStatus::INVALID_PTR);
    }
    if p.width == 0 || p.height == 0 || p.width > 32768 || p.height > 32768 || p.pitch > 1 << 20 {
        return Err(NvStatus::INVALID_PARAM);
    }
    if !p.pitch.is_multiple_of(4) || (p.pitch as usize) < row {
        call.breach(&rules::BAD_PITCH, format!("pitch {}, rows of {row} bytes", p.pitch));
        return Err(NvStatus(policy::NVENC_PITCH_REFUSED));
    }
    let layout = Layout { format: p.format, pitch: p.pitch as usize, rows: p.height as usize };
    let address = p.resource as u64;
    if gpu::view(address, layout.bytes() as u64).is_none() {
        call.breach(&rules::BAD_RANGE, format!("{address:#x} and {} bytes", layout.bytes()));
        return Err(NvStatus(policy::NVENC_RANGE_REFUSED));
    }
    p.registered = new_handle();
    session
        .state()
        .resources
        .insert(p.registered, Resource { address, layout, width: p.width, mapped: None });
    // SAFETY: as above.
    unsafe { abi::write(params.cast(), p) };
    Ok(())
}

pub(super) fn unregister(call: &Call, session: &Session, handle: usize) -> Result<(), NvStatus> {
    let mut state = session.state();
    let Some(resource) = state.resources.remove(&handle) else {
        call.breach(&rules::NOT_REGISTERED, format!("{handle:#x} is not registered"));
        return Err(NvStatus::RESOURCE_NOT_REGISTERED);
    };
    if let Some(mapped) = resource.mapped {
        // The call that the device was lost in may have been the one that unmaps.
        if !fault::device_lost() {
            call.breach(&rules::UNREGISTER_MAPPED, format!("{handle:#x} is mapped"));
        }
        state.mapped.remove(&mapped);
    }
    if gpu::view(resource.address, 1).is_none() && gpu::context(session.context_handle).is_some() {
        call.breach(
            &rules::FREED_INPUT,
            format!("{:#x} was freed before it was unregistered", resource.address),
        );
    }
    Ok(())
}

pub(super) unsafe fn map(call: &Call, session: &Session, params: *mut Map) -> Result<(), NvStatus> {
    // SAFETY: null or the client's structure.
    let mut p = unsafe { abi::read::<Map>(params.cast()) }.ok_or(NvStatus::INVALID_PTR)?;
    versions::check(call, session.api, Struct::Map, p.version)?;
    check_context(call, session)?;
    let stream = session.state().input_stream;
    gpu::wait_stream(session.context, stream)?;
    let mut state = session.state();
    state.running(call)?;
    let Some(resource) = state.resources.get_mut(&p.registered) else {
        call.breach(&rules::NOT_REGISTERED, format!("{:#x} is not registered", p.registered));
        return Err(NvStatus::RESOURCE_NOT_REGISTERED);
    };
    if resource.mapped.is_some() {
        call.breach(&rules::DOUBLE_MAP, format!("{:#x} is mapped already", p.registered));
        return Err(NvStatus(policy::NVENC_DOUBLE_MAP));
    }
    if gpu::view(resource.address, resource.layout.bytes() as u64).is_none() {
        call.breach(&rules::FREED_INPUT, format!("{:#x} was freed", resource.address));
        return Err(NvStatus::MAP_FAILED);
    }
    p.mapped = new_handle();
    p.format = resource.layout.format;
    resource.mapped = Some(p.mapped);
    state.mapped.insert(p.mapped, p.registered);
    // SAFETY: as above.
    unsafe { abi::write(params.cast(), p) };
    Ok(())
}

pub(super) fn unmap(call: &Call, session: &Session, handle: usize) -> Result<(), NvStatus> {
    let mut state = session.state();
    let Some(registered) = state.mapped.remove(&handle) else {
        call.breach(&rules::NOT_MAPPED, format!("{handle:#x} is not mapped"));
        return Err(NvStatus::RESOURCE_NOT_MAPPED);
    };
    if let Some(resource) = state.resources.get_mut(&registered) {
        resource.mapped = None;
    }
    if state.used.contains_key(&handle) && !fault::device_lost() {
        call.breach(&rules::UNMAP_EARLY, format!("the picture in {handle:#x} was not locked yet"));
    }
    Ok(())
}
