//! What probing asks of the backends before it opens a session: each step by itself, so that a driver that ends the process is
//! known by the step that did.

use std::path::PathBuf;

use super::{Job, ffmpeg, nvidia};
use crate::codec::Codec;
use crate::error::Result;

/// Opens the NVIDIA driver's libraries for a job, and calls nothing in them.
///
/// # Errors
/// The first that is missing.
pub(crate) fn nvidia_libraries(job: Job) -> Result<()> {
    nvidia::libraries(job)
}

/// What the first card decodes of a codec, asked for the answer's sake alone.
///
/// # Errors
/// A driver that does not answer.
pub(crate) fn nvidia_decode_question(codec: Codec) -> Result<()> {
    nvidia::decode_capability(None, codec).map(drop)
}

/// The ffmpeg that would be started: its version and where it is.
///
/// # Errors
/// None, or one that is of no use.
pub(crate) fn ffmpeg_program() -> Result<(String, PathBuf)> {
    ffmpeg::program_found()
}

/// Where the ffmpeg is that would be started, without starting it.
pub(crate) fn ffmpeg_path() -> Option<PathBuf> {
    ffmpeg::program_path()
}

/// Names and values of what the NVIDIA driver tells of decoding; what fails is left out.
pub(crate) fn nvidia_decode_facts() -> Vec<(String, String)> {
    let mut facts = Vec::new();
    if let Some(version) = nvidia::cuda_version() {
        facts.push(("cuda".to_owned(), version));
    }
    let devices = nvidia::devices().unwrap_or_default();
    for device in &devices {
        let value =
            format!("{}: {}, {} MiB, {}", device.ordinal, device.name, device.memory >> 20, device.id);
        facts.push((format!("device {}", device.ordinal), value));
    }
    let engines = [Codec::H264, Codec::Hevc, Codec::Av1]
        .into_iter()
        .filter_map(|codec| nvidia::engine_count(0, codec).ok())
        .max();
    if let Some(engines) = engines.filter(|engines| *engines > 0) {
        facts.push(("decode-engines".to_owned(), engines.to_string()));
    }
    facts
}

/// Names and values of what the NVIDIA driver tells of encoding; what fails is left out.
pub(crate) fn nvidia_encode_facts() -> Vec<(String, String)> {
    let mut facts = Vec::new();
    if let Ok(api) = nvidia::encoder_api() {
        facts.push(("nvenc-api".to_owned(), api.to_owned()));
    }
    if let Ok(Some(engines)) = nvidia::encoder_engines(None) {
        facts.push(("encode-engines".to_owned(), engines.to_string()));
    }
    facts
}
