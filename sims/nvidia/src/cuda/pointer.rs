//! Questions about addresses.

use std::ffi::c_void;

use super::abi::{CuResult, DevicePtr, Done, memory_type, put};
use super::device;
use super::handles::handle;
use super::memory::{self, Block, Place};
use crate::core::Call;

/// Writes one attribute; `block` is none for an address that CUDA does not know.
unsafe fn write(out: *mut c_void, attribute: i32, block: Option<&Block>, address: u64) -> Done {
    let host = block.is_some_and(|block| block.purpose.is_host());
    let managed = block.is_some_and(|block| block.purpose == memory::Use::Managed);
    // SAFETY: for each attribute the driver API names the type that the client's pointer has.
    unsafe {
        match attribute {
            1 => put(out.cast(), block.map_or(std::ptr::null_mut(), |block| handle(block.context))),
            2 => {
                let kind = if host && !managed { memory_type::HOST } else { memory_type::DEVICE };
                put(out.cast(), if block.is_some() { kind } else { 0 })
            }
            3 => put(out.cast(), if block.is_some() { address } else { 0 }),
            4 => put(out.cast(), if host { address } else { 0 }),
            6 => put(out.cast(), 0_i32),
            7 => put(out.cast(), block.map_or(0, |block| block.serial)),
            8 => put(out.cast(), i32::from(managed)),
            9 => put(out.cast(), block.map_or(-2, |block| device::ordinal(block.device))),
            11 => put(out.cast(), block.map_or(0, |block| block.address)),
            12 => put(out.cast(), block.map_or(0, |block| block.size as usize)),
            13 => put(out.cast(), i32::from(block.is_some())),
            _ => Err(CuResult::ERROR_INVALID_VALUE),
        }
    }
}

pub(super) unsafe fn attribute(call: &Call, out: *mut c_void, attribute: i32, address: DevicePtr) -> Done {
    device::initialized(call)?;
    let Place::Inside(block) = memory::locate(address, 1) else { return Err(CuResult::ERROR_INVALID_VALUE) };
    if attribute == 4 && !block.purpose.is_host() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: the client's promise is passed on.
    unsafe { write(out, attribute, Some(&block), address) }
}

pub(super) unsafe fn attributes(
    call: &Call,
    count: u32,
    attributes: *const i32,
    out: *const *mut c_void,
    address: DevicePtr,
) -> Done {
    device::initialized(call)?;
    if attributes.is_null() || out.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let block = match memory::locate(address, 1) {
        Place::Inside(block) => Some(block),
        _ => None,
    };
    for at in 0..count as usize {
        // SAFETY: the client promises two lists of `count` items.
        unsafe { write(out.add(at).read(), attributes.add(at).read(), block.as_deref(), address)? };
    }
    Ok(())
}

pub(super) unsafe fn set_attribute(
    call: &Call,
    value: *const c_void,
    attribute: i32,
    address: DevicePtr,
) -> Done {
    device::initialized(call)?;
    // Only CU_POINTER_ATTRIBUTE_SYNC_MEMOPS can be set; copies here are not reordered anyway.
    match memory::locate(address, 1) {
        Place::Inside(_) if attribute == 6 && !value.is_null() => Ok(()),
        _ => Err(CuResult::ERROR_INVALID_VALUE),
    }
}
