//! Apple's VideoToolbox by its own C interface, opened at run time. Proved on a simulation alone (docs/videotoolbox.md).

mod decode;
mod driver;
mod encode;
mod surface;
mod transform;

pub(crate) use decode::open_decoder;
pub(crate) use encode::{encodes_from_device, open_encoder};

use self::driver::abi::codec_type as number;
use crate::backend::Job;
use crate::capability::{DecodeCapability, DeviceInfo, EncodeCapability};
use crate::codec::Codec;
use crate::config::BackendEncodeConfig;
use crate::error::{Error, Result};
use crate::hang;

/// Opens the frameworks, and calls nothing in them.
///
/// # Errors
/// Another system, or one that is too old.
pub(crate) fn frameworks() -> Result<()> {
    driver::library::api().map(drop)
}

/// What there is to choose from: VideoToolbox decides by itself which engine works.
///
/// # Errors
/// As [`frameworks`].
pub(crate) fn devices() -> Result<Vec<DeviceInfo>> {
    frameworks()?;
    Ok(vec![DeviceInfo {
        ordinal: 0,
        name: "Apple VideoToolbox".to_owned(),
        id: "videotoolbox".to_owned(),
        memory: 0,
    }])
}

/// What VideoToolbox decodes of a codec on this machine; `None`: nothing.
///
/// # Errors
/// As [`frameworks`]; a call that does not return.
pub(crate) fn decode_capability(codec: Codec) -> Result<Option<DecodeCapability>> {
    frameworks()?;
    hang::watched("vhw-ask", move || decode::capability::decode_capability(codec))
}

/// What it encodes of a codec; `None`: nothing.
///
/// # Errors
/// As [`decode_capability`]; settings of another backend.
pub(crate) fn encode_capability(
    codec: Codec,
    special: &BackendEncodeConfig,
) -> Result<Option<EncodeCapability>> {
    frameworks()?;
    let special = special.clone();
    hang::watched("vhw-ask", move || encode::capability::encode_capability(codec, &special))
}

/// Names and values of what VideoToolbox tells after a job was tried.
pub(crate) fn facts(job: Job) -> Vec<(String, String)> {
    let has_hardware = |codec: &Codec| {
        codec_type(*codec)
            .and_then(|number| driver::decompression::has_hardware(number, *codec == Codec::Vp9))
            .is_ok_and(|has| has)
    };
    match job {
        Job::Decode => {
            let names: Vec<_> = Codec::ALL.into_iter().filter(has_hardware).map(Codec::name).collect();
            vec![("hardware-decoders".to_owned(), names.join(" "))]
        }
        Job::Encode => Vec::new(),
    }
}

/// Refuses a device that is not there.
fn check_device(device: Option<&str>) -> Result<()> {
    match device {
        None | Some("0" | "videotoolbox") => Ok(()),
        Some(other) => Err(Error::invalid(format!("VideoToolbox has no device {other:?}; there is one, 0"))),
    }
}

/// `CMVideoCodecType`.
fn codec_type(codec: Codec) -> Result<u32> {
    Ok(match codec {
        Codec::H264 => number::H264,
        Codec::Hevc => number::HEVC,
        Codec::Vp9 => number::VP9,
        Codec::Av1 => number::AV1,
        Codec::Mpeg2 => number::MPEG2,
        Codec::Mpeg4 => number::MPEG4,
        other => return Err(Error::unsupported(format!("{other} by VideoToolbox"))),
    })
}
