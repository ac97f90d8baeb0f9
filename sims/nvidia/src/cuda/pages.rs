//! Memory from the system, page by page.

use std::ffi::c_void;

/// Pages of zeros that may be read and written.
#[cfg(unix)]
pub(super) fn take(bytes: usize) -> Option<u64> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh anonymous mapping touches no memory there is.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    (address != libc::MAP_FAILED).then_some(address as usize as u64)
}

/// Gives all pages of a [`take`] back.
///
/// # Safety
/// They came from there, and nobody looks at them any more.
#[cfg(unix)]
pub(super) unsafe fn give_back(address: u64, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(address as usize as *mut c_void, bytes) };
}

/// Whether there is anything in this process's memory at the begin of a page.
#[cfg(unix)]
pub(super) fn is_mapped(page: u64) -> bool {
    let mut state = 0_u8;
    // SAFETY: mincore reads nothing at the address; it answers ENOMEM for one that is not mapped.
    unsafe { libc::mincore(page as usize as *mut c_void, 1, &raw mut state) == 0 }
}

#[cfg(windows)]
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, MEMORY_BASIC_INFORMATION, PAGE_READWRITE, VirtualAlloc,
    VirtualFree, VirtualQuery,
};

/// Pages of zeros that may be read and written.
#[cfg(windows)]
pub(super) fn take(bytes: usize) -> Option<u64> {
    // SAFETY: fresh pages, wherever the system has room.
    let address = unsafe { VirtualAlloc(std::ptr::null(), bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) };
    (!address.is_null()).then_some(address as usize as u64)
}

/// Gives all pages of a [`take`] back.
///
/// # Safety
/// They came from there, and nobody looks at them any more.
#[cfg(windows)]
pub(super) unsafe fn give_back(address: u64, _: usize) {
    // SAFETY: the caller's promise; no size: all of it.
    unsafe { VirtualFree(address as usize as *mut c_void, 0, MEM_RELEASE) };
}

/// Whether there is anything in this process's memory at the begin of a page.
#[cfg(windows)]
pub(super) fn is_mapped(page: u64) -> bool {
    let mut facts = MEMORY_BASIC_INFORMATION::default();
    // SAFETY: reads nothing at the address, and writes a structure of this size.
    let told = unsafe {
        VirtualQuery(page as usize as *const c_void, &raw mut facts, size_of::<MEMORY_BASIC_INFORMATION>())
    };
    told != 0 && facts.State == MEM_COMMIT
}
