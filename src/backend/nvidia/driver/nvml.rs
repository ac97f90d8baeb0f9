//! NVML, the driver's management library: how busy a card is. It is asked by whoever watches the process, never by a session.

use std::ffi::{CString, c_char, c_uint, c_void};
use std::sync::OnceLock;

use super::library::{self, Missing, Name, Once, functions};
use super::result::CuResult;
use crate::backend::BackendKind;
use crate::capability::{DeviceMemory, Utilization};
use crate::error::{Error, Result};

/// `nvmlDevice_t`
pub(crate) type Device = *mut c_void;

/// `nvmlUtilization_t`: percent of the last sample period.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    gpu: c_uint,
    memory: c_uint,
}

/// `nvmlMemory_t`, in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    total: u64,
    free: u64,
    used: u64,
}

functions! {
    /// The functions of NVML that are used here. Its codes are numbers of its own; the type of CUDA's only carries them.
    Functions of Name::Nvml => {
        init: "nvmlInit_v2" fn();
        by_uuid: "nvmlDeviceGetHandleByUUID" fn(*const c_char, *mut Device);
        rates: "nvmlDeviceGetUtilizationRates" fn(Device, *mut Rates);
        encoder: "nvmlDeviceGetEncoderUtilization" fn(Device, *mut c_uint, *mut c_uint);
        decoder: "nvmlDeviceGetDecoderUtilization" fn(Device, *mut c_uint, *mut c_uint);
        memory: "nvmlDeviceGetMemoryInfo" fn(Device, *mut Memory);
    }
}

/// `NVML_SUCCESS`
const SUCCESS: u32 = 0;
/// `NVML_ERROR_NOT_FOUND`
const NOT_FOUND: u32 = 6;
/// `NVML_ERROR_GPU_IS_LOST`
const GPU_IS_LOST: u32 = 15;
/// `NVML_ERROR_INVALID_ARGUMENT`: what MIG instances and some cards answer for engines that they do not have,
/// `NVML_ERROR_NOT_SUPPORTED`, `NVML_ERROR_NO_PERMISSION`, `NVML_ERROR_FUNCTION_NOT_FOUND`: there is no figure, and nothing is
/// wrong.
const NO_FIGURE: [u32; 4] = [2, 3, 4, 13];

/// How busy the card with this identifier (`GPU-` and its UUID) is. `None`: the machine has no NVML, or it does not know the
/// card.
///
/// # Errors
/// A lost card, or an answer that nobody expects.
pub(crate) fn utilization(id: &str) -> Result<Option<Utilization>> {
    static NVML: Once<Functions> = OnceLock::new();
    let Ok(nvml) = NVML.get_or_init(load) else { return Ok(None) };
    // CUDA gives the UUID of the instance on a partitioned card, which NVML knows by another prefix.
    let instance = id.replacen("GPU-", "MIG-", 1);
    let Some(device) = find(nvml, id)?.map_or_else(|| find(nvml, &instance), |device| Ok(Some(device)))?
    else {
        return Ok(None);
    };
    let (mut rates, mut memory) = (Rates::default(), Memory::default());
    // SAFETY: the handle is one of NVML's, which is never shut down; each call writes into the variables that it is given.
    let (rates_code, memory_code) =
        unsafe { ((nvml.rates)(device, &raw mut rates), (nvml.memory)(device, &raw mut memory)) };
    let engine = |call, function: unsafe extern "system" fn(Device, *mut c_uint, *mut c_uint) -> CuResult| {
        let (mut percent, mut period_us) = (0, 0);
        // SAFETY: as above.
        let code = unsafe { function(device, &raw mut percent, &raw mut period_us) };
        figure(code, call).map(|known| known.map(|()| share(percent)))
    };
    let rates_known = figure(rates_code, "nvmlDeviceGetUtilizationRates")?;
    let memory_known = figure(memory_code, "nvmlDeviceGetMemoryInfo")?;
    Ok(Some(Utilization {
        gpu: rates_known.map(|()| share(rates.gpu)),
        memory_bus: rates_known.map(|()| share(rates.memory)),
        encoder: engine("nvmlDeviceGetEncoderUtilization", nvml.encoder)?,
        decoder: engine("nvmlDeviceGetDecoderUtilization", nvml.decoder)?,
        memory: memory_known.map(|()| DeviceMemory { free: memory.free, total: memory.total }),
    }))
}

fn load() -> Result<Functions, Missing> {
    let library = library::open(Name::Nvml)?;
    let functions = Functions::load(&library);
    // As the rest of the driver, it stays loaded.
    std::mem::forget(library);
    let functions = functions?;
    // SAFETY: takes no pointer; may be called again by others in this process, NVML counts.
    match unsafe { (functions.init)() }.0 {
        SUCCESS => Ok(functions),
        code => Err(Missing::new(
            format!("nvmlInit_v2 answered {code}"),
            "Check that nvidia-smi works in this environment",
        )),
    }
}

fn find(nvml: &Functions, id: &str) -> Result<Option<Device>> {
    let Ok(text) = CString::new(id) else { return Ok(None) };
    let mut device = std::ptr::null_mut();
    // SAFETY: reads a string that ends in zero, writes one handle.
    match unsafe { (nvml.by_uuid)(text.as_ptr(), &raw mut device) } {
        CuResult(NOT_FOUND) => Ok(None),
        code => Ok(figure(code, "nvmlDeviceGetHandleByUUID")?.map(|()| device)),
    }
}

/// Whether there is a figure.
fn figure(code: CuResult, call: &'static str) -> Result<Option<()>> {
    let backend = BackendKind::Nvidia;
    match code.0 {
        SUCCESS => Ok(Some(())),
        code if NO_FIGURE.contains(&code) => Ok(None),
        GPU_IS_LOST => {
            Err(Error::DeviceLost { backend, detail: format!("{call} answered that the GPU is lost (15)") })
        }
        code => Err(Error::Backend { backend, call, code: i64::from(code), detail: "NVML error".to_owned() }),
    }
}

/// Some drivers round up beyond the whole.
fn share(percent: c_uint) -> f64 {
    f64::from(percent.min(100)) / 100.0
}
