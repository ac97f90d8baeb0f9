//! NVIDIA: NVDEC by the driver's own libraries, opened at run time.

mod decode;
mod driver;
mod transform;

pub(crate) use decode::{decode_capability, open_decoder};

use crate::capability::DeviceInfo;
use crate::error::{Error, Result};

/// The cards that the driver shows to this process.
pub(crate) fn devices() -> Result<Vec<DeviceInfo>> {
    let cuda = driver::cuda::cuda()?;
    (0..cuda.device_count()).map(|ordinal| cuda.device(ordinal)).collect()
}

/// The card that is asked for by ordinal or by (the beginning of) its identifier; the first when none is.
fn find_device(wanted: Option<&str>) -> Result<i32> {
    let cuda = driver::cuda::cuda()?;
    let Some(wanted) = wanted else { return Ok(0) };
    if let Ok(ordinal) = wanted.parse() {
        cuda.check(ordinal)?;
        return Ok(ordinal);
    }
    let wanted = wanted.to_ascii_lowercase();
    let all = devices()?;
    let found: Vec<_> =
        all.iter().filter(|device| device.id.to_ascii_lowercase().starts_with(&wanted)).collect();
    match found.as_slice() {
        [device] => Ok(device.ordinal as i32),
        [] => {
            let ids: Vec<_> = all.iter().map(|device| device.id.as_str()).collect();
            Err(Error::invalid(format!("no CUDA device {wanted:?}; there are {}", ids.join(", "))))
        }
        _ => Err(Error::invalid(format!("{wanted:?} is the beginning of several devices' identifiers"))),
    }
}
