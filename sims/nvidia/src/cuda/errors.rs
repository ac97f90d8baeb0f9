//! Names and texts of the result codes.

use std::ffi::c_char;

use super::abi::{CODES, CuResult, Done, put};
use crate::core::Call;

unsafe fn give(out: *mut *const c_char, text: Option<&'static str>) -> Done {
    // SAFETY: the client's promise.
    unsafe { put(out, text.map_or(std::ptr::null(), |text| text.as_ptr().cast()))? };
    text.map(|_| ()).ok_or(CuResult::ERROR_INVALID_VALUE)
}

pub(super) unsafe fn name(_call: &Call, code: u32, out: *mut *const c_char) -> Done {
    // SAFETY: the client's promise is passed on.
    unsafe { give(out, CODES.iter().find(|row| row.0 == code).map(|row| row.1)) }
}

pub(super) unsafe fn text(_call: &Call, code: u32, out: *mut *const c_char) -> Done {
    // SAFETY: the client's promise is passed on.
    unsafe { give(out, CODES.iter().find(|row| row.0 == code).map(|row| row.2)) }
}
