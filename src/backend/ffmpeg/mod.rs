//! A child `ffmpeg` process: encoders that this library has not, and decoding of what nothing else here decodes.
//!
//! Nothing has to be installed: without the program this backend is not available and says so, and nothing else
//! changes. Its encoders are taken by themselves in the order of the table of engines, its decoders only when every other
//! backend has refused.

mod child;
mod decode;
mod encode;
mod encoders;
mod feed;
mod messages;
mod nut;
mod program;
mod rate;
mod settings;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod units;

#[cfg(feature = "fuzzing")]
pub(crate) use nut::fuzz as fuzz_nut;

pub(crate) use decode::{decode_capability, open_decoder};
pub(crate) use encode::{encode_capability, open_encoder};
pub(crate) use encoders::names as encoder_names;

use std::path::PathBuf;

use crate::backend::Job;
use crate::capability::DeviceInfo;
use crate::codec::Codec;
use crate::error::Result;

/// Where the program is that would be started; it is not asked what it is.
pub(crate) fn program_path() -> Option<PathBuf> {
    program::on_path()
}

/// The version of the program, and where it is.
///
/// # Errors
/// No ffmpeg.
pub(crate) fn program_found() -> Result<(String, PathBuf)> {
    let program = program::program(None)?;
    Ok((program.version().to_owned(), program.path().to_owned()))
}

/// The program, as a fact for people; none where there is none.
pub(crate) fn facts(_job: Job) -> Vec<(String, String)> {
    let found = program_found().ok();
    let say = |(version, path): (String, PathBuf)| {
        ("program".to_owned(), format!("ffmpeg {version}, {}", path.display()))
    };
    found.map(say).into_iter().collect()
}

/// The program, as a device: its version and what of its encoders works here, and its path as the identifier.
///
/// # Errors
/// No ffmpeg.
pub(crate) fn devices() -> Result<Vec<DeviceInfo>> {
    let program = program::program(None)?;
    let usable: Vec<_> = [Codec::H264, Codec::Hevc, Codec::Av1]
        .into_iter()
        .flat_map(|codec| encode::usable(&program, codec))
        .map(|encoder| encoder.name)
        .collect();
    let encoders = if usable.is_empty() { "none".to_owned() } else { usable.join(" ") };
    Ok(vec![DeviceInfo {
        ordinal: 0,
        name: format!("ffmpeg {}; encoders: {encoders}", program.version()),
        id: program.path().display().to_string(),
        memory: 0,
    }])
}
