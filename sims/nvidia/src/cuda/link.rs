//! The linker functions. Only PTX goes in, and the text comes out: a module is loaded from it all the same.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex};

use super::abi::{CuResult, Done, Handle, put, put_optional};
use super::handles::{Kind, Missing, Table, handle, value};
use super::{context, ptx, rules};
use crate::core::Call;
use crate::policy;

static LINKS: Table<Mutex<Vec<u8>>> = Table::new(Kind::Link);

/// `CU_JIT_INPUT_PTX`.
const INPUT_PTX: i32 = 1;
/// Most bytes that one linker takes.
const LARGEST: usize = 64 << 20;

fn find(
    call: &Call,
    state: Handle,
    found: Result<Arc<Mutex<Vec<u8>>>, Missing>,
) -> Result<Arc<Mutex<Vec<u8>>>, CuResult> {
    found.map_err(|missing| {
        match missing {
            Missing::Dead => call.breach(&rules::DEAD_HANDLE, format!("linker {state:?} was destroyed")),
            Missing::Foreign => call.breach(&rules::FOREIGN_HANDLE, format!("{state:?} is not a linker")),
        }
        CuResult(policy::CUDA_BAD_HANDLE)
    })
}

pub(super) unsafe fn create(
    call: &Call,
    _count: u32,
    _options: *mut i32,
    _values: *mut *mut c_void,
    out: *mut Handle,
) -> Done {
    context::current(call)?;
    if out.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let id = LINKS.reserve();
    LINKS.insert(id, Arc::default());
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, handle(id)) }
}

pub(super) unsafe fn add_data(
    call: &Call,
    state: Handle,
    kind: i32,
    data: *mut c_void,
    size: usize,
    _name: *const c_char,
    _count: u32,
    _options: *mut i32,
    _values: *mut *mut c_void,
) -> Done {
    context::current(call)?;
    let link = find(call, state, LINKS.get(value(state)))?;
    if data.is_null() || size == 0 || size > LARGEST {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    if kind != INPUT_PTX {
        return Err(CuResult::ERROR_NOT_SUPPORTED);
    }
    // SAFETY: the client promises `size` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) };
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    ptx::text(bytes)?;
    let mut text = link.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if text.len() + bytes.len() >= LARGEST {
        return Err(CuResult::ERROR_OUT_OF_MEMORY);
    }
    // The NUL at the end of the text so far makes room for more.
    text.pop();
    text.extend_from_slice(bytes);
    text.extend_from_slice(b"\n\0");
    Ok(())
}

pub(super) unsafe fn complete(call: &Call, state: Handle, out: *mut *mut c_void, size: *mut usize) -> Done {
    context::current(call)?;
    let link = find(call, state, LINKS.get(value(state)))?;
    let mut text = link.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if text.is_empty() {
        return Err(CuResult::ERROR_INVALID_IMAGE);
    }
    // Valid until the linker is destroyed, as documented.
    // SAFETY: the client's promise.
    unsafe {
        put(out, text.as_mut_ptr().cast())?;
        put_optional(size, text.len());
    }
    Ok(())
}

pub(super) fn destroy(call: &Call, state: Handle) -> Done {
    context::current(call)?;
    find(call, state, LINKS.remove(value(state))).map(|_| ())
}
