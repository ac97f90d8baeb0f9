//! NVIDIA: NVDEC and NVENC by the driver's own libraries, opened at run time.

mod decode;
mod driver;
mod encode;
#[cfg(test)]
mod simulated;
mod transform;

pub(crate) use decode::{Downloads, engine_count};
pub(crate) use driver::cuda::leave_to_exit;
pub(crate) use driver::process::ask_for_one_channel;

use std::sync::Arc;

use crate::backend::admission::SessionRequest;
use crate::backend::{DecodeSink, DecoderBackend, Download, EncodeSink, EncoderBackend, Job};
use crate::capability::{
    DecodeCapability, DeviceInfo, DeviceMemory, EncodeCapability, HostSessions, Utilization,
};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonDecodeConfig, CommonEncodeConfig};
use crate::error::{Error, Result};
use crate::hang;
use crate::pixel::PixelFormat;

/// Opens the driver's libraries for a job, and calls nothing in them.
///
/// # Errors
/// The first that is missing.
pub(crate) fn libraries(job: Job) -> Result<()> {
    driver::library::present(driver::library::Name::Cuda)?;
    driver::library::present(match job {
        Job::Decode => driver::library::Name::Cuvid,
        Job::Encode => driver::library::Name::Encode,
    })
}

/// Names and values of what the driver tells after a job was tried; what fails is left out.
pub(crate) fn facts(job: Job) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut tell = |name: &str, value: String| facts.push((name.to_owned(), value));
    match job {
        Job::Decode => {
            if let Ok(cuda) = driver::cuda::cuda() {
                tell("cuda", format!("{}.{}", cuda.version / 1000, cuda.version % 1000 / 10));
            }
            for DeviceInfo { ordinal, name, id, memory } in devices().unwrap_or_default() {
                tell(&format!("device {ordinal}"), format!("{ordinal}: {name}, {} MiB, {id}", memory >> 20));
            }
            let engines = [Codec::H264, Codec::Hevc, Codec::Av1].map(|codec| engine_count(0, codec).ok());
            if let Some(engines) = engines.into_iter().flatten().max().filter(|engines| *engines > 0) {
                tell("decode-engines", engines.to_string());
            }
        }
        Job::Encode => {
            if let Ok(api) = driver::nvenc::spoken() {
                tell("nvenc-api", api.name().to_owned());
            }
            if let Ok(Some(engines)) = find_device(None).and_then(encode::engine_count) {
                tell("encode-engines", engines.to_string());
            }
        }
    }
    facts
}

/// Makes a card's context, or takes part in the one that is there.
pub(crate) fn hold(device: Option<&str>) -> Result<Arc<driver::cuda::Context>> {
    let device = device.map(str::to_owned);
    hang::watched("vhw-context", move || driver::cuda::Context::of(find_device(device.as_deref())?))
}

/// The cards that the driver shows to this process.
pub(crate) fn devices() -> Result<Vec<DeviceInfo>> {
    let cuda = driver::cuda::cuda()?;
    (0..cuda.device_count()).map(|ordinal| cuda.device(ordinal)).collect()
}

/// The cards of a list with commas, or `all`; the first when nothing is asked for.
pub(crate) fn device_list(wanted: Option<&str>) -> Result<Vec<DeviceInfo>> {
    let all = devices()?;
    let Some(wanted) = wanted else { return Ok(all.into_iter().take(1).collect()) };
    if wanted.eq_ignore_ascii_case("all") {
        return Ok(all);
    }
    let mut list: Vec<DeviceInfo> = Vec::new();
    for name in wanted.split(',') {
        let ordinal = find_device(Some(name.trim()))?;
        let known = list.iter().any(|device| device.ordinal as i32 == ordinal);
        list.extend(all.iter().filter(|device| device.ordinal as i32 == ordinal && !known).cloned());
    }
    Ok(list)
}

/// What a card's decoder can do with a codec; `None`: nothing.
pub(crate) fn decode_capability(device: Option<&str>, codec: Codec) -> Result<Option<DecodeCapability>> {
    let device = device.map(str::to_owned);
    hang::watched("vhw-ask", move || decode::decode_capability(find_device(device.as_deref())?, codec))
}

/// What a card's encoder can do with a codec, for a job that asks for its session as `request` says; `None`: nothing.
///
/// # Errors
/// No driver, no encoder library, a card without encoder, the session limit.
pub(crate) fn encode_capability(
    device: Option<&str>,
    codec: Codec,
    special: &BackendEncodeConfig,
    request: &SessionRequest<'_>,
) -> Result<Option<EncodeCapability>> {
    encode::encode_capability(find_device(device)?, codec, &encode::request(*request, special))
}

/// Encode sessions that are open on a card and on those that share its limit.
///
/// # Errors
/// No driver, no such card.
pub(crate) fn encode_sessions(device: Option<&str>) -> Result<HostSessions> {
    encode::sessions(find_device(device)?)
}

/// What is free of a card's memory.
///
/// # Errors
/// No driver, no such card, a lost device.
pub(crate) fn device_memory(device: Option<&str>) -> Result<DeviceMemory> {
    hold(device)?.memory()
}

/// How busy a card is, and its identifier; `None`: nobody here knows.
///
/// # Errors
/// No driver, no such card, a lost device.
pub(crate) fn utilization(device: Option<&str>) -> Result<Option<(String, Utilization)>> {
    let id = driver::cuda::cuda()?.device(find_device(device)?)?.id;
    Ok(driver::nvml::utilization(&id)?.map(|busy| (id, busy)))
}

/// Whether frames of a format can be encoded where they are, in device memory.
pub(crate) const fn encodes_from_device(format: PixelFormat) -> bool {
    encode::reads_as_it_lies(format)
}

/// Opens an encode session on the card that is asked for.
pub(crate) fn open_encoder(
    config: &CommonEncodeConfig,
    special: &BackendEncodeConfig,
    sink: EncodeSink,
) -> Result<Box<dyn EncoderBackend>> {
    let (config, special) = (config.clone(), special.clone());
    hang::watched("vhw-open", move || {
        encode::open_encoder(find_device(config.device.as_deref())?, &config, &special, sink)
    })
}

/// Opens a decoder on the card that is asked for.
pub(crate) fn open_decoder(
    config: &CommonDecodeConfig,
    download: Download,
    sink: DecodeSink,
) -> Result<Box<dyn DecoderBackend>> {
    let config = config.clone();
    hang::watched("vhw-open", move || {
        decode::open_decoder(find_device(config.device.as_deref())?, &config, download, sink)
    })
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
    if wanted == "all" || wanted.contains(',') {
        return Err(Error::invalid(format!(
            "device {wanted:?} names several cards, which need several engines"
        )));
    }
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
