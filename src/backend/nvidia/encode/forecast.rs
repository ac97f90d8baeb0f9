//! How much device memory a session will take, before it takes any.
//!
//! A driver that runs out of memory while it makes buffers has made half of them by then, and what its code means is hard
//! to tell from the session limit. So what is certain is counted beforehand: the buffers that are asked for, the pictures
//! that the codec refers to, and what lookahead keeps. What is not known (the driver's own state, statistics, motion
//! vectors) is a margin: an eighth, and what a session takes by itself. The rule is drawn from the interface and held
//! against the simulated driver; no card with an encoder was at hand to measure it on. Where it says too little, the
//! driver's refusal is told as before.

use std::sync::Arc;

use super::upload;
use crate::backend::BackendKind;
use crate::backend::nvidia::decode::make_room;
use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::driver::nvenc::OWN_MEMORY;
use crate::codec::Codec;
use crate::config::{CommonEncodeConfig, NvidiaEncodeConfig};
use crate::error::{Error, Result};
use crate::pixel::{PixelFormat, PlaneLayout};

/// Rows of an input begin at multiples of this, or of less.
const PITCH: u64 = 256;
/// Pictures that may be referred to by default, and the one that is being coded.
const REFERENCES: u64 = 5;
/// Larger pictures are no chip's, and are refused as such.
const LARGEST: u64 = 8192 * 8192;

/// Refuses a session that there is no memory for.
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
    let needed = needed(config, own);
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
        remedy: "Encode smaller pictures, fewer at once (max_in_flight_outputs), without lookahead (presets p1 to p5), \
                 in fewer sessions, or on another GPU"
            .to_owned(),
    })
}

/// Bytes that the session will take, margin included.
fn needed(config: &CommonEncodeConfig, own: &NvidiaEncodeConfig) -> u64 {
    let (b_frames, lookahead) = delay(config, own);
    let (rows, row_bytes) = upload::layout(config.format, config.dimensions);
    let input = (row_bytes as u64).next_multiple_of(PITCH) * rows as u64;
    let inputs = own.max_in_flight_outputs as u64 + b_frames + lookahead;
    // Blocks of the codec, 4:2:0, two bytes a sample above 8 bits.
    let block = if config.codec == Codec::H264 { 16 } else { 64 };
    let side = |side: u32| u64::from(side).next_multiple_of(block);
    let luma = side(config.dimensions.width()) * side(config.dimensions.height());
    let luma = if config.format == PixelFormat::P010 { 2 * luma } else { luma };
    let picture = luma + luma / 2;
    let converted = u64::from(matches!(config.format.layout(), PlaneLayout::PackedRgb(_)));
    let certain = inputs * input
        + (REFERENCES + u64::from(b_frames > 0) + converted) * picture
        // Half as wide and high is what is looked at.
        + lookahead * luma / 4;
    certain + certain / 8 + OWN_MEMORY
}

/// B frames, and pictures that are looked ahead at: as asked for, or as the presets are published.
fn delay(config: &CommonEncodeConfig, own: &NvidiaEncodeConfig) -> (u64, u64) {
    let preset = own.preset.as_deref().unwrap_or("p4");
    let low_latency = config.low_latency || matches!(own.tuning.as_deref(), Some("ll" | "ull"));
    let quality = !low_latency && matches!(own.tuning.as_deref(), None | Some("hq"));
    let usual = match preset {
        _ if !quality => 0,
        "p1" | "p2" => 0,
        "p3" => 1,
        _ => 3,
    };
    let b_frames = config.requested_b_frames().unwrap_or(usual).min(31);
    let lookahead = match preset {
        "p6" if quality => 16,
        "p7" if quality => 31 - b_frames,
        _ => 0,
    };
    (u64::from(b_frames), u64::from(lookahead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dimensions::Dimensions;
    use crate::time::Rational;

    fn mib(format: PixelFormat, own: &NvidiaEncodeConfig, low_latency: bool) -> u64 {
        let size = Dimensions::new(1920, 1080).unwrap();
        let mut config = CommonEncodeConfig::new(Codec::Hevc, size, Rational::ONE);
        (config.format, config.low_latency) = (format, low_latency);
        needed(&config, own) >> 20
    }

    #[test]
    fn more_costs_more() {
        let with = |preset: &str, max_in_flight_outputs| NvidiaEncodeConfig {
            preset: Some(preset.into()),
            max_in_flight_outputs,
            ..Default::default()
        };
        let plain = mib(PixelFormat::Nv12, &with("p4", 6), false);
        // Nine inputs and six references of 3.0 MiB, an eighth, and 32 MiB.
        assert_eq!(plain, 84);
        assert!(mib(PixelFormat::Nv12, &with("p4", 6), true) < plain, "no B frames");
        assert!(mib(PixelFormat::P010, &with("p4", 6), false) > plain + 40);
        assert!(mib(PixelFormat::Bgra, &with("p4", 6), false) > plain + 40);
        assert!(mib(PixelFormat::Nv12, &with("p4", 64), false) > plain + 150);
        assert!(mib(PixelFormat::Nv12, &with("p7", 6), false) > plain + 80, "lookahead");
    }
}
