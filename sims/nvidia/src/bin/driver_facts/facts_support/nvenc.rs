//! What the encoder library says before a session can exist: versions, and the answer of a card without an encoder.

use std::ffi::c_void;

use libloading::Library;

use super::say;

/// `OpenEncodeSessionEx` is the thirtieth pointer of the function list.
const OPEN_SESSION_EX: usize = 240;
const LIST_BYTES: usize = 2552;

pub fn nvenc_facts(context: *mut c_void) {
    // SAFETY: loading the driver's encoder library, as any client does.
    let Ok(library) = (unsafe { Library::new("libnvidia-encode.so.1") }) else {
        say("libnvidia-encode.so.1", "missing");
        return;
    };
    type Version = unsafe extern "C" fn(*mut u32) -> u32;
    type Create = unsafe extern "C" fn(*mut c_void) -> u32;
    type Open = unsafe extern "C" fn(*mut c_void, *mut *mut c_void) -> u32;
    // SAFETY: the signatures are those of the programming guide; every structure passed is larger than the driver
    // reads.
    unsafe {
        let max: Version = *library.get(b"NvEncodeAPIGetMaxSupportedVersion\0").expect("entry point");
        let create: Create = *library.get(b"NvEncodeAPICreateInstance\0").expect("entry point");
        let mut version = 0;
        let code = max(&mut version);
        say("NvEncodeAPIGetMaxSupportedVersion", format!("{code} {version:#x}"));
        say("NvEncodeAPIGetMaxSupportedVersion(null)", max(std::ptr::null_mut()));
        say("NvEncodeAPICreateInstance(null)", create(std::ptr::null_mut()));
        let mut list = vec![0u64; LIST_BYTES / 8 + 64];
        for word in [
            0,
            0x7002_000b,
            0x7002_010b,
            0x7102_000b,
            0x7002_000c,
            0x7102_000c,
            0x7202_000c,
            0x7002_000d,
            0x7102_000d,
            0x7002_000e,
            0x7001_000d,
        ] {
            list.fill(0);
            list.as_mut_ptr().cast::<u32>().write(word);
            let code = create(list.as_mut_ptr().cast());
            let filled = list[1..LIST_BYTES / 8].iter().filter(|pointer| **pointer != 0).count();
            say(&format!("NvEncodeAPICreateInstance({word:#x})"), format!("{code} pointers {filled}"));
        }
        list.fill(0);
        list.as_mut_ptr().cast::<u32>().write(0x7002_000c);
        if create(list.as_mut_ptr().cast()) != 0 {
            return;
        }
        let open: Open = std::mem::transmute::<u64, Open>(list[OPEN_SESSION_EX / 8]);
        let try_open = |name: &str, version: u32, kind: u32, device: *mut c_void, api: u32| {
            // 1552 bytes: version, device type, device, reserved, API version.
            let mut parameters = vec![0u64; 1552 / 8 + 64];
            let words = parameters.as_mut_ptr().cast::<u32>();
            words.write(version);
            words.add(1).write(kind);
            parameters[1] = device as u64;
            parameters.as_mut_ptr().cast::<u32>().add(6).write(api);
            let mut session = std::ptr::null_mut();
            let code = open(parameters.as_mut_ptr().cast(), &mut session);
            say(&format!("open session: {name}"), format!("{code} handle null {}", session.is_null()));
        };
        try_open("usual", 0x7001_000c, 1, context, 0x0000_000c);
        try_open("structure version 0", 0, 1, context, 0x0000_000c);
        try_open("API version 0", 0x7001_000c, 1, context, 0);
        try_open("API version 14.0", 0x7001_000e, 1, context, 0x0000_000e);
        try_open("no device", 0x7001_000c, 1, std::ptr::null_mut(), 0x0000_000c);
        try_open("device type 9", 0x7001_000c, 9, context, 0x0000_000c);
        say("open session: null", open(std::ptr::null_mut(), std::ptr::null_mut()));
    }
}
