//! NVIDIA: NVDEC by the driver's own libraries, opened at run time.

mod decode;
mod driver;

pub(crate) use decode::{decode_capability, open_decoder};
