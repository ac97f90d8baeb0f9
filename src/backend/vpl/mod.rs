//! Intel's engines (Quick Sync Video) by oneVPL, opened at run time. Proved on a simulation alone (docs/intel.md).

mod decode;
mod driver;
mod encode;
mod surface;
mod transform;

pub(crate) use decode::{decode_capability, open_decoder};
pub(crate) use encode::{encode_capability, encodes_from_device, open_encoder};

use self::driver::abi::names;
use self::driver::implementations::{self, Adapter};
use crate::backend::Job;
use crate::capability::DeviceInfo;
use crate::codec::Codec;
use crate::error::{Error, Result};

const IMPLEMENTATION: &str = "oneVPL";

/// Opens the library, and looks for a GPU.
///
/// # Errors
/// Nothing of either.
pub(crate) fn library() -> Result<()> {
    implementations::adapters().map(drop)
}

/// The GPUs.
///
/// # Errors
/// As [`library`].
pub(crate) fn devices() -> Result<Vec<DeviceInfo>> {
    let adapters = implementations::adapters()?.into_iter();
    let info = |Adapter { ordinal, name, id, .. }| DeviceInfo { ordinal, name, id, memory: 0 };
    Ok(adapters.map(info).collect())
}

/// Names and values of what oneVPL tells after a job was tried.
pub(crate) fn facts(_: Job) -> Vec<(String, String)> {
    let adapters = implementations::adapters().unwrap_or_default().into_iter();
    adapters
        .map(|adapter| {
            let (major, minor) = adapter.version;
            (
                format!("gpu-{}", adapter.ordinal),
                format!("{} ({}), oneVPL {major}.{minor}", adapter.name, adapter.id),
            )
        })
        .collect()
}

/// `CodecId`.
fn codec_id(codec: Codec) -> Result<u32> {
    Ok(match codec {
        Codec::H264 => names::CODEC_AVC,
        Codec::Hevc => names::CODEC_HEVC,
        Codec::Mpeg2 => names::CODEC_MPEG2,
        Codec::Vp9 => names::CODEC_VP9,
        Codec::Av1 => names::CODEC_AV1,
        Codec::Mjpeg => names::CODEC_JPEG,
        other => return Err(Error::unsupported(format!("{other} by oneVPL"))),
    })
}
