//! Apple's VideoToolbox by its own C interface, opened at run time. Proved on a simulation alone (docs/videotoolbox.md).

mod decode;
mod driver;
mod encode;
mod surface;
mod transform;

pub(crate) use decode::{decode_capability, open_decoder};
pub(crate) use encode::{encode_capability, encodes_from_device, open_encoder};

use self::driver::abi::codec_type as number;
use crate::backend::Job;
use crate::capability::DeviceInfo;
use crate::codec::Codec;
use crate::error::{Error, Result};

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

/// Names and values of what VideoToolbox tells after a job was tried.
pub(crate) fn facts(job: Job) -> Vec<(String, String)> {
    let codecs = [Codec::H264, Codec::Hevc, Codec::Vp9, Codec::Av1].into_iter();
    let has_hardware = |codec: &Codec| {
        codec_type(*codec)
            .and_then(|number| driver::decompression::has_hardware(number, *codec == Codec::Vp9))
            .is_ok_and(|has| has)
    };
    match job {
        Job::Decode => {
            let names: Vec<_> = codecs.filter(has_hardware).map(Codec::name).collect();
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
        other => return Err(Error::unsupported(format!("{other} by VideoToolbox"))),
    })
}
