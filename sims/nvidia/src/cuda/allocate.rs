//! The functions that give and take memory.

use std::ffi::c_void;

use super::abi::{CuResult, DevicePtr, Done, Handle, put, put_optional};
use super::memory::{self, Block, PITCH, Place, Use};
use super::{context, rules, stream, stream_calls};
use crate::core::Call;
use crate::policy;

/// Largest width of a pitched allocation.
const WIDEST: usize = i32::MAX as usize;

pub(super) unsafe fn alloc(call: &Call, out: *mut DevicePtr, bytes: usize) -> Done {
    let context = context::current(call)?;
    if out.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let block = context::allocate(&context, bytes as u64, Use::Device, 0)?;
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, block.address) }
}

pub(super) unsafe fn alloc_pitch(
    call: &Call,
    out: *mut DevicePtr,
    out_pitch: *mut usize,
    width: usize,
    height: usize,
    element: u32,
) -> Done {
    let context = context::current(call)?;
    if out.is_null() || out_pitch.is_null() || !matches!(element, 4 | 8 | 16) || width > WIDEST {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let pitch = (width as u64).next_multiple_of(PITCH);
    let bytes = pitch.checked_mul(height as u64).ok_or(CuResult::ERROR_OUT_OF_MEMORY)?;
    let block = context::allocate(&context, bytes, Use::Device, 0)?;
    // SAFETY: not null; the client promises the rest.
    unsafe {
        put(out_pitch, pitch as usize)?;
        put(out, block.address)
    }
}

pub(super) unsafe fn alloc_managed(call: &Call, out: *mut DevicePtr, bytes: usize, flags: u32) -> Done {
    let context = context::current(call)?;
    // Attached to all streams or to the host.
    if out.is_null() || !matches!(flags, 1 | 2) {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let block = context::allocate(&context, bytes as u64, Use::Managed, 0)?;
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, block.address) }
}

/// The block that a client wants to free, or the breach that it cannot.
fn to_free(call: &Call, address: u64, kind: fn(Use) -> bool) -> Result<std::sync::Arc<Block>, CuResult> {
    match memory::locate(address, 1) {
        Place::Inside(block) if block.address == address && kind(block.purpose) => return Ok(block),
        Place::Inside(block) | Place::Beyond(block) if block.address == address => {
            call.breach(&rules::BAD_FREE, format!("{address:#x} is {}", block.purpose.name()));
        }
        Place::Inside(block) | Place::Beyond(block) => {
            call.breach(
                &rules::BAD_FREE,
                format!("{address:#x} is inside the block at {:#x}", block.address),
            );
        }
        Place::Freed(start, size, _) if start == address => {
            call.breach(&rules::DOUBLE_FREE, format!("{size} bytes at {start:#x} were freed before"));
        }
        Place::Freed(..) | Place::Unknown => {
            call.breach(&rules::BAD_FREE, format!("{address:#x} was never allocated"));
        }
    }
    Err(CuResult::ERROR_INVALID_VALUE)
}

fn free_block(call: &Call, address: u64, kind: fn(Use) -> bool) -> Done {
    context::current(call)?;
    let block = to_free(call, address, kind)?;
    // As on a card: memory is not given back while work may use it.
    stream::wait_context(block.context);
    if memory::forget(address).is_none() {
        call.breach(
            &rules::DOUBLE_FREE,
            format!("{address:#x} was freed by another thread at the same time"),
        );
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    Ok(())
}

pub(super) fn free(call: &Call, address: DevicePtr) -> Done {
    if address == 0 {
        context::current(call)?;
        return Ok(());
    }
    free_block(call, address, |purpose| matches!(purpose, Use::Device | Use::Managed))
}

pub(super) fn free_async(call: &Call, address: DevicePtr, stream: Handle) -> Done {
    let context = context::current(call)?;
    let stream = stream_calls::for_work(call, &context, stream)?;
    if address == 0 {
        return Ok(());
    }
    let block = to_free(call, address, |purpose| purpose == Use::Device)?;
    memory::forget(address);
    // The memory itself goes when the stream gets there: this work holds the last reference.
    stream.issue(Vec::new(), &[], Box::new(move || drop(block))).map(|_| ())
}

pub(super) unsafe fn get_info(call: &Call, free: *mut usize, total: *mut usize) -> Done {
    let context = context::current(call)?;
    let all = memory::total(context.device);
    // SAFETY: the client's promise.
    unsafe {
        put(free, all.saturating_sub(memory::used(context.device)) as usize)?;
        put(total, all as usize)
    }
}

pub(super) unsafe fn get_address_range(
    call: &Call,
    base: *mut DevicePtr,
    size: *mut usize,
    address: DevicePtr,
) -> Done {
    context::current(call)?;
    let Place::Inside(block) = memory::locate(address, 1) else { return Err(CuResult::ERROR_NOT_FOUND) };
    // SAFETY: the client's promise.
    unsafe {
        put_optional(base, block.address);
        put_optional(size, block.size as usize);
    }
    Ok(())
}

pub(super) unsafe fn alloc_host(call: &Call, out: *mut *mut c_void, bytes: usize) -> Done {
    // SAFETY: the client's promise is passed on.
    unsafe { host_alloc(call, out, bytes, 0) }
}

/// Portable, mapped, write combined.
const HOST_ALLOC_FLAGS: u32 = 7;
/// Portable, mapped, I/O memory, read only.
const HOST_REGISTER_FLAGS: u32 = 15;

pub(super) unsafe fn host_alloc(call: &Call, out: *mut *mut c_void, bytes: usize, flags: u32) -> Done {
    let context = context::current(call)?;
    if out.is_null() || flags & !HOST_ALLOC_FLAGS != 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    if bytes == 0 && policy::CUDA_NO_HOST_BYTES_IS_NULL {
        // SAFETY: not null; the client promises the rest.
        return unsafe { put(out, std::ptr::null_mut()) };
    }
    let block = context::allocate(&context, bytes as u64, Use::Host, flags)?;
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, block.address as usize as *mut c_void) }
}

pub(super) fn free_host(call: &Call, address: *mut c_void) -> Done {
    if address.is_null() {
        context::current(call)?;
        return Ok(());
    }
    free_block(call, address as usize as u64, |purpose| purpose == Use::Host)
}

pub(super) fn host_register(call: &Call, address: *mut c_void, bytes: usize, flags: u32) -> Done {
    let context = context::current(call)?;
    if address.is_null() || bytes == 0 || flags & !HOST_REGISTER_FLAGS != 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let address = address as usize as u64;
    let done = memory::register(context.id, context.device, address, bytes as u64, flags);
    if done == Err(CuResult::ERROR_HOST_MEMORY_ALREADY_REGISTERED) {
        call.breach(&rules::REGISTRATION, format!("{address:#x} is pinned already"));
    }
    done
}

pub(super) fn host_unregister(call: &Call, address: *mut c_void) -> Done {
    context::current(call)?;
    let address = address as usize as u64;
    match memory::locate(address, 1) {
        Place::Inside(block) if block.address == address && block.purpose == Use::Registered => {
            stream::wait_context(block.context);
            memory::forget(address);
            Ok(())
        }
        _ => {
            call.breach(&rules::REGISTRATION, format!("{address:#x} is not registered"));
            Err(CuResult::ERROR_HOST_MEMORY_NOT_REGISTERED)
        }
    }
}

/// The pinned block at a host address.
fn pinned(address: *mut c_void) -> Result<std::sync::Arc<Block>, CuResult> {
    match memory::locate(address as usize as u64, 1) {
        Place::Inside(block) if matches!(block.purpose, Use::Host | Use::Registered) => Ok(block),
        _ => Err(CuResult::ERROR_INVALID_VALUE),
    }
}

pub(super) unsafe fn host_device_pointer(
    call: &Call,
    out: *mut DevicePtr,
    address: *mut c_void,
    flags: u32,
) -> Done {
    context::current(call)?;
    if flags != 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    pinned(address)?;
    // One address space: the host's address is the device's.
    // SAFETY: the client's promise.
    unsafe { put(out, address as usize as u64) }
}

pub(super) unsafe fn host_flags(call: &Call, out: *mut u32, address: *mut c_void) -> Done {
    context::current(call)?;
    // Mapped, as everything is with one address space.
    let flags = pinned(address)?.flags | 2;
    // SAFETY: the client's promise.
    unsafe { put(out, flags) }
}
