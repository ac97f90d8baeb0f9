//! Where Windows keeps Intel's runtime: in the folder of the driver's own package, which each display adapter's key in the registry
//! names. The system's folder has none as a rule.

use std::ffi::OsString;
use std::os::windows::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::ptr::null_mut;

use windows_sys::Win32::System::Registry::{
    HKEY_LOCAL_MACHINE, REG_ROUTINE_FLAGS, RRF_RT_REG_SZ, RegGetValueW,
};
use windows_sys::w;

/// `GUID_DEVCLASS_DISPLAY`: display adapters, which have a key each.
const ADAPTERS: &str = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}";
/// More than a machine can have; keys of adapters that were taken away stay.
const MOST: u32 = 64;

/// The folders, of adapters in the system's order, each once.
pub(super) fn folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for folder in (0..MOST).filter_map(|number| folder(&format!(r"{ADAPTERS}\{number:04}"))) {
        // Another path would be looked up in the current directory.
        if folder.is_absolute() && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// What an adapter's key says. Only administrators write there.
fn folder(key: &str) -> Option<PathBuf> {
    const TEXT: REG_ROUTINE_FLAGS = RRF_RT_REG_SZ;
    let key: Vec<u16> = key.encode_utf16().chain([0]).collect();
    let mut path = [0_u16; 1024];
    let mut bytes = size_of_val(&path) as u32;
    // SAFETY: both names end with a zero, and no more than `bytes` bytes are written, into an array of as many.
    let status = unsafe {
        let name = w!("DriverStorePathForVPL");
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            key.as_ptr(),
            name,
            TEXT,
            null_mut(),
            path.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    if status != 0 {
        return None;
    }
    let text = path.split(|unit| *unit == 0).next()?;
    Some(PathBuf::from(OsString::from_wide(text)))
}
