//! The lowest level that fits, by size, sample rate and bit rate.

use super::encoder::{EncoderCodec, EncoderSpec};

/// `level_idc`, samples (H.264: macroblocks) of a picture, of a second, kbit of a second.
type Level = (u32, u64, u64, u64);

const H264: [Level; 19] = [
    (10, 99, 1_485, 64),
    (11, 396, 3_000, 192),
    (12, 396, 6_000, 384),
    (13, 396, 11_880, 768),
    (20, 396, 11_880, 2_000),
    (21, 792, 19_800, 4_000),
    (22, 1_620, 20_250, 4_000),
    (30, 1_620, 40_500, 10_000),
    (31, 3_600, 108_000, 14_000),
    (32, 5_120, 216_000, 20_000),
    (40, 8_192, 245_760, 20_000),
    (41, 8_192, 245_760, 50_000),
    (42, 8_704, 522_240, 50_000),
    (50, 22_080, 589_824, 135_000),
    (51, 36_864, 983_040, 240_000),
    (52, 36_864, 2_073_600, 240_000),
    (60, 139_264, 4_177_920, 240_000),
    (61, 139_264, 8_355_840, 480_000),
    (62, 139_264, 16_711_680, 800_000),
];

const HEVC: [Level; 13] = [
    (30, 36_864, 552_960, 128),
    (60, 122_880, 3_686_400, 1_500),
    (63, 245_760, 7_372_800, 3_000),
    (90, 552_960, 16_588_800, 6_000),
    (93, 983_040, 33_177_600, 10_000),
    (120, 2_228_224, 66_846_720, 12_000),
    (123, 2_228_224, 133_693_440, 20_000),
    (150, 8_912_896, 267_386_880, 25_000),
    (153, 8_912_896, 534_773_760, 40_000),
    (156, 8_912_896, 1_069_547_520, 60_000),
    (180, 35_651_584, 1_069_547_520, 60_000),
    (183, 35_651_584, 2_139_095_040, 120_000),
    (186, 35_651_584, 4_278_190_080, 240_000),
];

/// The levels of the codec, and the size of a picture in their unit.
fn table(spec: &EncoderSpec) -> (&'static [Level], u64) {
    match spec.codec {
        EncoderCodec::H264 => {
            (&H264, u64::from(spec.width.div_ceil(16)) * u64::from(spec.height.div_ceil(16)))
        }
        // AV1 names no level: its numbers are close to those of HEVC, and nobody asks.
        EncoderCodec::Hevc | EncoderCodec::Av1 => (&HEVC, u64::from(spec.width) * u64::from(spec.height)),
    }
}

/// The lowest level for pictures like these at `kbits` a second; the highest where none fits.
pub(super) fn lowest(spec: &EncoderSpec, kbits: u64) -> u32 {
    let (levels, area) = table(spec);
    let rate = area * u64::from(spec.fps.0) / u64::from(spec.fps.1.max(1));
    let found = levels.iter().find(|level| area <= level.1 && rate <= level.2 && kbits <= level.3);
    found.or(levels.last()).map_or(0, |level| level.0)
}

/// Whether pictures of this size are within the level asked for. Rates are left to the caller: a client may well send
/// fewer pictures than it says.
pub(super) fn holds(spec: &EncoderSpec) -> bool {
    // 1b stands between 1 and 1.1 and has the pictures of 1.
    let wanted = if spec.codec == EncoderCodec::H264 && spec.level == 9 { 10 } else { spec.level };
    let (levels, area) = table(spec);
    levels.iter().any(|level| level.0 == wanted && area <= level.1)
}
