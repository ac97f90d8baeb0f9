//! How much device memory a session will take, before it takes any.
//!
//! A driver that runs out of memory while it makes buffers has made half of them by then, and what its code means is hard
//! to tell from the session limit. So what is certain is counted beforehand: the buffers that are asked for, the pictures
//! that the codec refers to, and what lookahead keeps. What is not known (the driver's own state, statistics, motion
//! vectors) is a margin: an eighth, and what a session takes by itself. The rule is drawn from the interface and held
//! against the simulated driver; no card with an encoder was at hand to measure it on. Where it says too little, the
//! driver's refusal is told as before.

use std::sync::Arc;

use super::capability::Caps;
use super::settings::{MOST_HELD, Settings, negotiate};
use super::upload;
use crate::backend::BackendKind;
use crate::backend::nvidia::decode::make_room;
use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::driver::nvenc::OWN_MEMORY;
use crate::backend::nvidia::driver::nvenc_names::{PRESETS, format, rate, tuning};
use crate::backend::nvidia::driver::nvenc_version::Api;
use crate::codec::Codec;
use crate::config::{CommonEncodeConfig, NvidiaEncodeConfig};
use crate::error::{Error, Remedy, Result};
use crate::pixel::PlaneLayout;

/// Rows of an input begin at multiples of this, or of less.
const PITCH: u64 = 256;
/// Pictures that may be referred to by default, and the one that is being coded.
const REFERENCES: u64 = 5;
/// Larger pictures are no chip's, and are refused as such.
const LARGEST: u64 = 8192 * 8192;

/// Refuses a session that there is no memory for. Settings that no chip has are left to be refused as such.
///
/// # Errors
/// [`Error::OutOfMemory`] with what is needed and what is free; a lost device.
pub(super) fn check(
    config: &CommonEncodeConfig,
    own: &NvidiaEncodeConfig,
    context: &Arc<Context>,
) -> Result<()> {
    if config.dimensions.pixels() > LARGEST {
        return Ok(());
    }
    let Some(needed) = needed(config, own) else { return Ok(()) };
    if context.memory()?.free >= needed {
        return Ok(());
    }
    // Frames of decoders that nobody uses at the moment.
    make_room();
    let free = context.memory()?.free;
    if free >= needed {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    Err(Error::OutOfMemory {
        backend: BackendKind::Nvidia,
        what: format!(
            "a session for {} {} {} needs about {} MiB of device memory, {} MiB are free",
            config.codec,
            config.dimensions,
            config.format,
            mib(needed),
            free >> 20
        ),
        remedy: Remedy::LessDeviceMemory,
    })
}

/// Bytes that the session will take, margin included; `None`: there is no such session on any chip.
fn needed(config: &CommonEncodeConfig, own: &NvidiaEncodeConfig) -> Option<u64> {
    // The rules that settings are checked by: what a chip cannot, it is refused for later.
    let settings = negotiate(config, own, &any_chip()).ok()?;
    let (b_frames, lookahead) = delay(&settings);
    let (rows, row_bytes) = upload::layout(config.format, config.dimensions);
    let input = (row_bytes as u64).next_multiple_of(PITCH) * rows as u64;
    let inputs = settings.max_in_flight as u64 + b_frames + lookahead;
    // Blocks of the codec, two bytes a sample above 8 bits.
    let block = if config.codec == Codec::H264 { 16 } else { 64 };
    let side = |side: u32| u64::from(side).next_multiple_of(block);
    let luma = side(config.dimensions.width()) * side(config.dimensions.height());
    let luma = if settings.samples.ten_bit { 2 * luma } else { luma };
    let picture = if settings.samples.full_chroma { 3 * luma } else { luma + luma / 2 };
    let converted = u64::from(matches!(config.format.layout(), PlaneLayout::PackedRgb(_)));
    let certain = inputs * input
        + (REFERENCES + u64::from(b_frames > 0) + converted) * picture
        // Half as wide and high is what is looked at.
        + lookahead * luma / 4;
    Some(certain + certain / 8 + OWN_MEMORY)
}

/// B frames, and pictures that are looked ahead at: as asked for, or as the presets are published.
fn delay(settings: &Settings) -> (u64, u64) {
    let preset = PRESETS.iter().position(|preset| *preset == settings.preset).map_or(4, |at| at + 1);
    let hevc = settings.codec == Codec::Hevc;
    let usual = match (settings.tuning, preset) {
        (tuning::LOW_LATENCY | tuning::ULTRA_LOW_LATENCY, _) => 0,
        (tuning::ULTRA_HIGH_QUALITY, _) => 5,
        (_, 2) if hevc => 1,
        (_, 1 | 2) => 0,
        (_, 3) => 1,
        _ => 3,
    };
    let (b_frames, _) = settings.structure(usual, 0);
    let most = MOST_HELD.saturating_sub(b_frames);
    let lookahead = settings.tools.lookahead.unwrap_or(match (settings.tuning, preset) {
        (tuning::HIGH_QUALITY, 6) => 16,
        (tuning::HIGH_QUALITY, 7) | (tuning::ULTRA_HIGH_QUALITY, _) => most,
        _ => 0,
    });
    (u64::from(b_frames), u64::from(lookahead.min(most)))
}

/// Everything that some chip can: a session that is to be asked what its chip can takes memory by itself.
fn any_chip() -> Caps {
    Caps {
        api: Api::V13_0,
        max_b_frames: MOST_HELD,
        rate_modes: rate::CBR | rate::VBR,
        width: (1, u32::MAX),
        height: (1, u32::MAX),
        max_macroblocks: u64::MAX,
        lossless: true,
        lookahead: true,
        lookahead_level: u32::MAX,
        ten_bit: true,
        full_chroma: true,
        custom_vbv: true,
        intra_refresh: true,
        temporal_aq: true,
        b_references: u32::MAX,
        dynamic_size: true,
        dynamic_bitrate: true,
        dynamic_rate_mode: true,
        formats: vec![
            format::NV12,
            format::P010,
            format::YUV444,
            format::YUV444_10,
            format::BGRA,
            format::RGBA,
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IntraRefresh;
    use crate::dimensions::Dimensions;
    use crate::pixel::PixelFormat;
    use crate::time::Rational;

    /// Changes a configuration for 1080p HEVC by preset p4.
    type Edit = fn(&mut CommonEncodeConfig, &mut NvidiaEncodeConfig);

    fn edited(edit: Edit) -> (CommonEncodeConfig, NvidiaEncodeConfig) {
        let size = Dimensions::new(1920, 1080).unwrap();
        let mut config = CommonEncodeConfig::new(Codec::Hevc, size, Rational::ONE);
        let mut own = NvidiaEncodeConfig { max_in_flight_outputs: 6, ..Default::default() };
        edit(&mut config, &mut own);
        (config, own)
    }

    fn mib(edit: Edit) -> u64 {
        let (config, own) = edited(edit);
        needed(&config, &own).unwrap() >> 20
    }

    fn held(edit: Edit) -> (u64, u64) {
        let (config, own) = edited(edit);
        delay(&negotiate(&config, &own, &any_chip()).unwrap())
    }

    #[test]
    fn more_costs_more() {
        let plain = mib(|_, _| {});
        // Nine inputs and six references of 3.0 MiB, an eighth, and 32 MiB.
        assert_eq!(plain, 84);
        assert!(mib(|c, _| c.low_latency = true) < plain, "no B frames");
        assert!(mib(|c, _| c.format = PixelFormat::P010) > plain + 40);
        assert!(mib(|c, _| c.format = PixelFormat::Bgra) > plain + 40);
        assert!(mib(|_, o| o.max_in_flight_outputs = 64) > plain + 150);
        assert!(mib(|_, o| o.preset = Some("p7".into())) > plain + 80, "lookahead");
        // Inputs and references of 6.3 and 6.0 MiB, and of 11.9 and 12.0 MiB.
        assert_eq!(mib(|c, _| c.format = PixelFormat::I444), 136);
        assert_eq!(mib(|c, _| c.format = PixelFormat::I410), 232);
        let by_codec = mib(|_, o| o.max_in_flight_by_codec = vec![(Codec::H264, 64), (Codec::Hevc, 16)]);
        assert_eq!(by_codec, mib(|_, o| o.max_in_flight_outputs = 16));
    }

    #[test]
    fn what_is_held_back_is_what_will_be_negotiated() {
        let p7 = |o: &mut NvidiaEncodeConfig| o.preset = Some("p7".into());
        assert_eq!(held(|_, _| {}), (3, 0));
        assert_eq!(held(|_, o| o.lookahead = Some(20)), (3, 20));
        assert_eq!(held(|_, o| o.lookahead = Some(30)), (1, 30), "B frames make way");
        assert_eq!(held(|_, o| (o.preset, o.lookahead) = (Some("p7".into()), Some(0))), (3, 0));
        assert_eq!(held(|c, _| c.codec = Codec::Av1), (0, 0));
        assert_eq!(held(|c, o| (c.codec, o.preset) = (Codec::Av1, Some("p7".into()))), (0, 31));
        assert_eq!(held(|c, _| c.gop_length = Some(2)), (1, 0));
        assert_eq!(held(|c, _| c.force_idr = true), (0, 0));
        assert_eq!(held(|_, o| o.tuning = Some("lossless".into())), (3, 0));
        assert_eq!(held(|_, o| o.tuning = Some("uhq".into())), (5, 26));
        for none in [
            (|c, _| c.low_latency = true) as Edit,
            |_, o| o.tuning = Some("ull".into()),
            |_, o| o.intra_refresh = Some(IntraRefresh { period: 30, frames: 5 }),
        ] {
            let (config, mut own) = edited(none);
            p7(&mut own);
            assert_eq!(delay(&negotiate(&config, &own, &any_chip()).unwrap()), (0, 0), "{own:?}");
        }
    }

    #[test]
    fn what_no_chip_has_is_not_counted() {
        let (config, own) = edited(|c, _| (c.codec, c.b_frames) = (Codec::Av1, Some(1)));
        assert_eq!(needed(&config, &own), None);
    }
}
