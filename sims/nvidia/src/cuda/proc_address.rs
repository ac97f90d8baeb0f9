//! `cuGetProcAddress`: functions by name and version.

use std::ffi::{CStr, c_char, c_void};

use super::abi::{CuResult, Done, put, put_optional};
use super::exports;
use crate::core::{Call, config};

/// A function that can be asked for: name without suffix, version of CUDA that brought this form, address.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) since: i32,
    pub(super) address: *const c_void,
}

enum Search {
    Found(*const c_void),
    TooOld,
    Unknown,
}

/// The newest form of a function that is no newer than `version`, nor than the driver.
fn search(name: &str, version: i32) -> Search {
    let version = version.min(config().driver.cuda);
    let rows = exports::rows();
    let named = rows.iter().filter(|row| row.name == name);
    match named.clone().filter(|row| row.since <= version).max_by_key(|row| row.since) {
        Some(row) => Search::Found(row.address),
        None if named.count() > 0 => Search::TooOld,
        None => Search::Unknown,
    }
}

unsafe fn symbol<'a>(symbol: *const c_char, out: *mut *const c_void) -> Result<&'a str, CuResult> {
    if symbol.is_null() || out.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: the client promises a text that ends in NUL.
    unsafe { CStr::from_ptr(symbol) }.to_str().map_err(|_| CuResult::ERROR_NOT_FOUND)
}

pub(super) unsafe fn get(
    call: &Call,
    name: *const c_char,
    out: *mut *const c_void,
    version: i32,
    flags: u64,
) -> Done {
    // SAFETY: the client's promise is passed on.
    unsafe { get_v2(call, name, out, version, flags, std::ptr::null_mut()) }
}

pub(super) unsafe fn get_v2(
    _call: &Call,
    name: *const c_char,
    out: *mut *const c_void,
    version: i32,
    _flags: u64,
    status: *mut i32,
) -> Done {
    // SAFETY: the client's promise is passed on.
    let name = unsafe { symbol(name, out)? };
    let (address, answer) = match search(name, version) {
        Search::Found(address) => (address, 0),
        Search::Unknown => (std::ptr::null(), 1),
        Search::TooOld => (std::ptr::null(), 2),
    };
    // SAFETY: the client's promise.
    unsafe {
        put(out, address)?;
        put_optional(status, answer);
    }
    // A client that has the status asked in order to find out.
    if address.is_null() && status.is_null() { Err(CuResult::ERROR_NOT_FOUND) } else { Ok(()) }
}
