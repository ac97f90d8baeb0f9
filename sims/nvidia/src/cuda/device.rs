//! Devices: which there are, and what is said about them.

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::abi::{CuResult, Device, Done, Uuid, put, put_optional};
use super::{context, memory, rules};
use crate::core::{self, Call, config};

static INITIALIZED: AtomicBool = AtomicBool::new(false);

pub(super) fn init(_call: &Call, flags: u32) -> Done {
    if flags != 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    match config().driver.init_code {
        0 if visible().is_empty() => Err(CuResult::ERROR_NO_DEVICE),
        0 => {
            INITIALIZED.store(true, Ordering::SeqCst);
            Ok(())
        }
        code => Err(CuResult(code)),
    }
}

/// The answer before `cuInit`, and in callbacks of streams, where nothing may be called.
pub(super) fn initialized(call: &Call) -> Done {
    if context::is_in_callback() {
        call.breach(&rules::IN_CALLBACK, "called from a callback of a stream");
        return Err(CuResult::ERROR_NOT_PERMITTED);
    }
    if !INITIALIZED.load(Ordering::SeqCst) {
        call.breach(&rules::NOT_INITIALIZED, "cuInit has not succeeded");
        return Err(CuResult::ERROR_NOT_INITIALIZED);
    }
    Ok(())
}

/// Indices into the configuration of the devices the process may see, in the order of their ordinals.
pub(super) fn visible() -> &'static [usize] {
    static VISIBLE: OnceLock<Vec<usize>> = OnceLock::new();
    VISIBLE.get_or_init(|| {
        let count = config().device.len().min(memory::MAX_DEVICES);
        match std::env::var("CUDA_VISIBLE_DEVICES") {
            Ok(list) => choose(&list, count, &|index| uuid_text(index)),
            Err(_) => (0..count).collect(),
        }
    })
}

/// Reads `CUDA_VISIBLE_DEVICES`: indices, or `GPU-` with the beginning of a UUID. The list ends at the first entry
/// that names no device; a device named twice leaves none.
fn choose(list: &str, count: usize, uuid: &dyn Fn(usize) -> String) -> Vec<usize> {
    let mut chosen = Vec::new();
    for entry in list.split(',').map(str::trim) {
        let index = if entry.starts_with("GPU-") {
            let mut fits = (0..count).filter(|&index| uuid(index).starts_with(entry));
            // A beginning that fits several devices names none.
            fits.next().filter(|_| fits.next().is_none())
        } else {
            entry.parse().ok().filter(|&index: &usize| index < count)
        };
        let Some(index) = index else { break };
        if chosen.contains(&index) {
            return Vec::new();
        }
        chosen.push(index);
    }
    chosen
}

/// Index into the configuration for an ordinal of the client.
pub(super) fn find(call: &Call, dev: Device) -> Result<usize, CuResult> {
    initialized(call)?;
    usize::try_from(dev)
        .ok()
        .and_then(|ordinal| visible().get(ordinal).copied())
        .ok_or(CuResult::ERROR_INVALID_DEVICE)
}

/// The ordinal of a configured device.
pub(super) fn ordinal(index: usize) -> Device {
    visible().iter().position(|&visible| visible == index).unwrap_or(0) as Device
}

fn configured(index: usize) -> Result<&'static core::config::Device, CuResult> {
    config().device.get(index).ok_or(CuResult::ERROR_INVALID_DEVICE)
}

/// Sixteen bytes: those of the configuration, or some made from the index.
fn uuid(index: usize) -> [u8; 16] {
    let mut bytes = *b"nvsim simulated\0";
    bytes[15] = index as u8;
    let Ok(device) = configured(index) else { return bytes };
    let digits: Vec<u8> =
        device.uuid.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    if digits.len() == 32 {
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
    }
    bytes
}

fn uuid_text(index: usize) -> String {
    let mut text = String::from("GPU-");
    for (at, byte) in uuid(index).iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Index of the card with this UUID, whether the process may see it or not.
pub(crate) fn by_uuid(text: &str) -> Option<usize> {
    (0..config().device.len()).find(|&index| uuid_text(index) == text)
}

/// The bus number; devices sit on buses 1, 2, 3 ...
fn bus(index: usize) -> i32 {
    index as i32 + 1
}

pub(super) unsafe fn driver_version(_call: &Call, out: *mut i32) -> Done {
    // SAFETY: the client's promise.
    unsafe { put(out, config().driver.cuda) }
}

pub(super) unsafe fn count(call: &Call, out: *mut i32) -> Done {
    initialized(call)?;
    // SAFETY: the client's promise.
    unsafe { put(out, visible().len() as i32) }
}

pub(super) unsafe fn get(call: &Call, out: *mut Device, ordinal: i32) -> Done {
    find(call, ordinal)?;
    // SAFETY: the client's promise.
    unsafe { put(out, ordinal) }
}

/// Writes a text with its NUL into a buffer of the client, cut where it does not fit.
unsafe fn put_text(out: *mut c_char, room: i32, text: &str) -> Done {
    let room = usize::try_from(room).unwrap_or(0);
    if out.is_null() || room == 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let length = text.len().min(room - 1);
    // SAFETY: the client promises `room` bytes, and `length` + 1 is no more.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), out.cast(), length);
        out.add(length).write(0);
    }
    Ok(())
}

pub(super) unsafe fn name(call: &Call, out: *mut c_char, room: i32, dev: Device) -> Done {
    let device = configured(find(call, dev)?)?;
    // SAFETY: the client's promise is passed on.
    unsafe { put_text(out, room, &device.name) }
}

pub(super) unsafe fn get_uuid(call: &Call, out: *mut Uuid, dev: Device) -> Done {
    let index = find(call, dev)?;
    // SAFETY: the client's promise.
    unsafe { put(out, Uuid { bytes: uuid(index) }) }
}

pub(super) unsafe fn total_mem(call: &Call, out: *mut usize, dev: Device) -> Done {
    let index = find(call, dev)?;
    // SAFETY: the client's promise.
    unsafe { put(out, memory::total(index) as usize) }
}

pub(super) unsafe fn compute_capability(call: &Call, major: *mut i32, minor: *mut i32, dev: Device) -> Done {
    let device = configured(find(call, dev)?)?;
    // SAFETY: the client's promise.
    unsafe {
        put(major, device.compute[0])?;
        put(minor, device.compute[1])
    }
}

pub(super) unsafe fn pci_bus_id(call: &Call, out: *mut c_char, room: i32, dev: Device) -> Done {
    let index = find(call, dev)?;
    // SAFETY: the client's promise is passed on.
    unsafe { put_text(out, room, &format!("0000:{:02X}:00.0", bus(index))) }
}

pub(super) unsafe fn by_pci_bus_id(call: &Call, out: *mut Device, text: *const c_char) -> Done {
    initialized(call)?;
    if text.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: the client promises a text that ends in NUL.
    let text = unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| CuResult::ERROR_INVALID_VALUE)?;
    let wanted = parse_bus_id(text).ok_or(CuResult::ERROR_INVALID_VALUE)?;
    let ordinal = visible().iter().position(|&index| wanted == (0, bus(index) as u32, 0));
    // SAFETY: the client's promise.
    unsafe { put(out, ordinal.ok_or(CuResult::ERROR_INVALID_DEVICE)? as Device) }
}

/// `domain:bus:device.function`, `domain:bus:device` or `bus:device.function`, in hexadecimal.
fn parse_bus_id(text: &str) -> Option<(u32, u32, u32)> {
    let (place, function) = text.split_once('.').unwrap_or((text, "0"));
    if u32::from_str_radix(function, 16).ok()? != 0 {
        return None;
    }
    let parts: Option<Vec<u32>> = place.split(':').map(|part| u32::from_str_radix(part, 16).ok()).collect();
    match parts?.as_slice() {
        [bus, device] => Some((0, *bus, *device)),
        [domain, bus, device] => Some((*domain, *bus, *device)),
        _ => None,
    }
}

pub(super) unsafe fn can_access_peer(call: &Call, out: *mut i32, dev: Device, peer: Device) -> Done {
    find(call, dev)?;
    find(call, peer)?;
    // SAFETY: the client's promise.
    unsafe { put(out, 0) }
}

pub(super) unsafe fn attribute(call: &Call, out: *mut i32, attribute: i32, dev: Device) -> Done {
    let index = find(call, dev)?;
    let value = attribute_of(attribute, index)?;
    // SAFETY: the client's promise.
    unsafe { put(out, value) }
}

/// Attributes by number. What no client of video asks for is answered with 0 as long as the number is one that the
/// driver's header of CUDA 13 names.
fn attribute_of(attribute: i32, index: usize) -> Result<i32, CuResult> {
    const LAST_ATTRIBUTE: i32 = 144;
    let device = configured(index)?;
    let modern = i32::from(device.compute[0] >= 7);
    Ok(match attribute {
        // Threads of a block, its three sizes, the grid's.
        1..=3 => 1024,
        4 => 64,
        5 => i32::MAX,
        6 | 7 => 65535,
        // Shared memory of a block, constant memory, warp, largest pitch, registers of a block.
        8 => 49152,
        9 => 65536,
        10 => 32,
        11 => i32::MAX,
        12 => 65536,
        // Clock in kHz, texture alignment, copy and compute at once, multiprocessors.
        13 => 1_800_000,
        14 => 512,
        15 => 1,
        16 => device.multiprocessors,
        // Time limit on kernels, integrated, maps host memory, compute mode.
        17 | 18 => 0,
        19 => 1,
        20 => 0,
        // Texture sizes: 1D, 2D, 3D.
        21 => 131_072,
        22 => 131_072,
        23 => 65536,
        24..=26 => 16384,
        27 | 28 => 32768,
        29 => 2048,
        // Surface alignment, concurrent kernels, ECC, bus, device, TCC.
        30 => 512,
        31 => 1,
        32 => 0,
        33 => bus(index),
        34 | 35 => 0,
        // Memory clock in kHz, bus width, L2, threads of a multiprocessor, copy engines, unified addressing.
        36 => 10_000_000,
        37 => 384,
        38 => 64 << 20,
        39 => 1536,
        40 => device.copy_engines,
        41 => 1,
        // Domain, texture pitch alignment.
        50 => 0,
        51 => 32,
        75 => device.compute[0],
        76 => device.compute[1],
        // Stream priorities, L1 caches, shared memory and registers of a multiprocessor, managed memory.
        78..=80 => 1,
        81 => 102_400,
        82 => 65536,
        83 => 1,
        84 => 0,
        85 => index as i32,
        // Native host atomics, single to double ratio, pageable access, concurrent managed access.
        86 => 0,
        87 => 64,
        88 | 89 => 0,
        // Compute preemption, host pointers of registered memory.
        90 | 91 => 1,
        // Cooperative launch, shared memory of a block on request.
        95 => modern,
        97 => 101_376,
        // Host registration, device memory pools.
        99 => 1,
        115 => 1,
        _ if (1..=LAST_ATTRIBUTE).contains(&attribute) => 0,
        _ => return Err(CuResult::ERROR_INVALID_VALUE),
    })
}

/// `CUdevprop`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Properties {
    pub max_threads_per_block: i32,
    pub max_threads_dim: [i32; 3],
    pub max_grid_size: [i32; 3],
    pub shared_mem_per_block: i32,
    pub total_constant_memory: i32,
    pub simd_width: i32,
    pub mem_pitch: i32,
    pub regs_per_block: i32,
    pub clock_rate: i32,
    pub texture_align: i32,
}

pub(super) unsafe fn properties(call: &Call, out: *mut Properties, dev: Device) -> Done {
    let index = find(call, dev)?;
    let get = |attribute| attribute_of(attribute, index);
    let properties = Properties {
        max_threads_per_block: get(1)?,
        max_threads_dim: [get(2)?, get(3)?, get(4)?],
        max_grid_size: [get(5)?, get(6)?, get(7)?],
        shared_mem_per_block: get(8)?,
        total_constant_memory: get(9)?,
        simd_width: get(10)?,
        mem_pitch: get(11)?,
        regs_per_block: get(12)?,
        clock_rate: get(13)?,
        texture_align: get(14)?,
    };
    // SAFETY: the client's promise.
    unsafe { put(out, properties) }
}

pub(super) unsafe fn luid(call: &Call, out: *mut c_char, mask: *mut u32, dev: Device) -> Done {
    find(call, dev)?;
    let _ = out;
    // Local ids exist only on Windows.
    // SAFETY: the client's promise.
    unsafe { put_optional(mask, 0) };
    Err(CuResult::ERROR_NOT_SUPPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_devices_follow_the_rules_of_the_variable() {
        let uuid = |index: usize| ["GPU-aa00", "GPU-ab00", "GPU-b000"][index].to_owned();
        let choose = |list| choose(list, 3, &uuid);
        assert_eq!(choose("2,0"), [2, 0]);
        assert_eq!(choose("1,-1,2"), [1]);
        assert_eq!(choose("0,7,1"), [0]);
        assert_eq!(choose("1,1"), [0; 0]);
        assert_eq!(choose(""), [0; 0]);
        assert_eq!(choose("GPU-b, GPU-ab"), [2, 1]);
        assert_eq!(choose("GPU-a"), [0; 0]);
    }

    #[test]
    fn bus_ids_are_read_in_their_three_forms() {
        assert_eq!(parse_bus_id("0000:0A:00.0"), Some((0, 10, 0)));
        assert_eq!(parse_bus_id("0:0a:1"), Some((0, 10, 1)));
        assert_eq!(parse_bus_id("0a:0.0"), Some((0, 10, 0)));
        assert_eq!(parse_bus_id("0a"), None);
    }
}
