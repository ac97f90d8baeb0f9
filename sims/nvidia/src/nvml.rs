//! `libnvidia-ml.so.1`, as much of it as tells how busy a card is. The figures are those of the configuration (`[nvml]`), and
//! none of them is measured.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::core::{Call, Status, config, enter};
use crate::cuda;

/// `nvmlReturn_t`
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NvmlReturn(pub u32);

impl NvmlReturn {
    /// `NVML_SUCCESS`
    pub const SUCCESS: Self = Self(0);
    /// `NVML_ERROR_UNINITIALIZED`
    pub const UNINITIALIZED: Self = Self(1);
    /// `NVML_ERROR_INVALID_ARGUMENT`
    pub const INVALID_ARGUMENT: Self = Self(2);
    /// `NVML_ERROR_NOT_SUPPORTED`
    pub const NOT_SUPPORTED: Self = Self(3);
    /// `NVML_ERROR_NOT_FOUND`
    pub const NOT_FOUND: Self = Self(6);
}

impl Status for NvmlReturn {
    /// `NVML_ERROR_UNKNOWN`
    const INTERNAL: Self = Self(999);
    /// `NVML_ERROR_GPU_IS_LOST`
    const DEVICE_LOST: Self = Self(15);

    fn from_code(code: u32) -> Self {
        Self(code)
    }

    fn code(self) -> u32 {
        self.0
    }
}

/// `nvmlDevice_t`: the index of the card, from 1, so that null is none.
pub type NvmlDevice = usize;

/// `nvmlUtilization_t`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NvmlUtilization {
    /// Percent of time that a kernel ran.
    pub gpu: u32,
    /// Percent of time that memory was read or written.
    pub memory: u32,
}

/// `nvmlMemory_t`, in bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NvmlMemory {
    /// All there is.
    pub total: u64,
    /// What is free.
    pub free: u64,
    /// What is taken.
    pub used: u64,
}

/// The period over which engines are looked at, in microseconds.
const PERIOD_US: u32 = 167_000;

static INITIALIZED: AtomicBool = AtomicBool::new(false);

type Done = Result<(), NvmlReturn>;

fn call(function: &'static str, body: impl FnOnce(&Call) -> Done) -> NvmlReturn {
    enter(function, |call| body(call).err().unwrap_or(NvmlReturn::SUCCESS))
}

/// The configuration of a card.
fn device(device: NvmlDevice) -> Result<&'static crate::core::config::Device, NvmlReturn> {
    if !INITIALIZED.load(Ordering::SeqCst) {
        return Err(NvmlReturn::UNINITIALIZED);
    }
    let index = device.checked_sub(1).ok_or(NvmlReturn::INVALID_ARGUMENT)?;
    config().device.get(index).ok_or(NvmlReturn::INVALID_ARGUMENT)
}

/// Writes an answer.
///
/// # Safety
/// `out` is null or may be written.
unsafe fn put<T>(out: *mut T, value: T) -> Done {
    if out.is_null() {
        return Err(NvmlReturn::INVALID_ARGUMENT);
    }
    // SAFETY: not null, and the caller may be believed that it is his.
    unsafe { out.write(value) };
    Ok(())
}

/// `nvmlInit_v2`
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> NvmlReturn {
    call("nvmlInit", |_| {
        INITIALIZED.store(true, Ordering::SeqCst);
        Ok(())
    })
}

/// `nvmlDeviceGetHandleByUUID`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, out: *mut NvmlDevice) -> NvmlReturn {
    call("nvmlDeviceGetHandleByUUID", |_| {
        if !INITIALIZED.load(Ordering::SeqCst) {
            return Err(NvmlReturn::UNINITIALIZED);
        }
        if uuid.is_null() {
            return Err(NvmlReturn::INVALID_ARGUMENT);
        }
        // SAFETY: the client gives a string that ends in zero.
        let uuid = unsafe { CStr::from_ptr(uuid) }.to_string_lossy();
        // A partitioned card is known by the name of its part alone.
        let uuid = if config().nvml.partitioned {
            uuid.strip_prefix("MIG-").map(|rest| format!("GPU-{rest}"))
        } else {
            Some(uuid.into_owned())
        };
        let index = uuid.and_then(|uuid| cuda::device_by_uuid(&uuid)).ok_or(NvmlReturn::NOT_FOUND)?;
        // SAFETY: the client gives room for a handle.
        unsafe { put(out, index + 1) }
    })
}

/// `nvmlDeviceGetUtilizationRates`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    card: NvmlDevice,
    out: *mut NvmlUtilization,
) -> NvmlReturn {
    call("nvmlDeviceGetUtilizationRates", |_| {
        device(card)?;
        let busy = &config().nvml;
        if busy.partitioned {
            return Err(NvmlReturn::NOT_SUPPORTED);
        }
        // SAFETY: the client gives room for it.
        unsafe { put(out, NvmlUtilization { gpu: busy.gpu, memory: busy.memory }) }
    })
}

/// # Safety
/// As the functions that call it.
unsafe fn engine(there: bool, percent: u32, out: *mut u32, period: *mut u32) -> Done {
    if !there || config().nvml.partitioned {
        return Err(NvmlReturn::NOT_SUPPORTED);
    }
    // SAFETY: the client gives room for both.
    unsafe {
        put(out, percent)?;
        put(period, PERIOD_US)
    }
}

/// `nvmlDeviceGetEncoderUtilization`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetEncoderUtilization(
    card: NvmlDevice,
    out: *mut u32,
    period: *mut u32,
) -> NvmlReturn {
    call("nvmlDeviceGetEncoderUtilization", |_| {
        let there = device(card)?.nvenc_engines > 0;
        // SAFETY: passed on.
        unsafe { engine(there, config().nvml.encoder, out, period) }
    })
}

/// `nvmlDeviceGetDecoderUtilization`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetDecoderUtilization(
    card: NvmlDevice,
    out: *mut u32,
    period: *mut u32,
) -> NvmlReturn {
    call("nvmlDeviceGetDecoderUtilization", |_| {
        let there = device(card)?.nvdec_engines > 0;
        // SAFETY: passed on.
        unsafe { engine(there, config().nvml.decoder, out, period) }
    })
}

/// `nvmlDeviceGetMemoryInfo`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo(card: NvmlDevice, out: *mut NvmlMemory) -> NvmlReturn {
    call("nvmlDeviceGetMemoryInfo", |_| {
        let total = device(card)?.memory_mib << 20;
        let used = (config().nvml.memory_used_mib << 20).min(total);
        // SAFETY: the client gives room for it.
        unsafe { put(out, NvmlMemory { total, free: total - used, used }) }
    })
}
