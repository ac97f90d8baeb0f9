//! What a preset means: the configuration that `nvEncGetEncodePresetConfig(Ex)` fills in.

use super::abi::{
    Config, Guid, INFINITE_GOP, Plain, Qp, av1_bits, formats, guids, h264_bits, hevc_bits, rc_bits, rc_modes,
    tunings,
};
use super::versions::{Api, Struct};
use crate::codec::encoder::EncoderCodec;
use crate::policy;

/// A preset and a tuning, the legacy presets translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// 1 to 7.
    pub level: u8,
    /// One of [`tunings`].
    pub tuning: u32,
}

/// The presets that a client of this API is offered.
pub fn offered(api: Api) -> Vec<Guid> {
    let legacy = if api.has_legacy_presets() { &guids::LEGACY_PRESETS[..] } else { &[] };
    legacy.iter().chain(&guids::PRESETS).copied().collect()
}

/// Finds a preset. `tuning` 0 is what the older query implies: high quality, or what a legacy preset stands for.
pub fn find(api: Api, codec: EncoderCodec, guid: Guid, tuning: u32) -> Option<Preset> {
    if let Some(at) = guids::PRESETS.iter().position(|known| *known == guid) {
        let tuning = match tuning {
            0 => tunings::HIGH_QUALITY,
            tunings::HIGH_QUALITY..=tunings::LOSSLESS => tuning,
            tunings::ULTRA_HIGH_QUALITY if api >= Api::V12_2 && codec == EncoderCodec::Hevc => tuning,
            tunings::ULTRA_HIGH_QUALITY if api >= Api::V13_0 && codec == EncoderCodec::Av1 => tuning,
            _ => return None,
        };
        return Some(Preset { level: at as u8 + 1, tuning });
    }
    if !api.has_legacy_presets() {
        return None;
    }
    let at = guids::LEGACY_PRESETS.iter().position(|known| *known == guid)?;
    let (level, tuning) = policy::LEGACY_PRESETS[at];
    Some(Preset { level, tuning })
}

impl Preset {
    /// B pictures between two anchors.
    fn b_frames(self, codec: EncoderCodec) -> i32 {
        match (self.tuning, self.level, codec) {
            // See `policy::AV1_B_PICTURES`.
            (.., EncoderCodec::Av1) => 0,
            (tunings::LOW_LATENCY | tunings::ULTRA_LOW_LATENCY, ..) => 0,
            (tunings::ULTRA_HIGH_QUALITY, ..) => 5,
            (_, 1, _) | (_, 2, EncoderCodec::H264) => 0,
            (_, 2, EncoderCodec::Hevc) | (_, 3, _) => 1,
            _ => 3,
        }
    }

    /// The whole configuration, in the layout of `api`, with its version words.
    pub fn config(self, api: Api, codec: EncoderCodec) -> Config {
        let mut config = Config::zeroed();
        let low_latency = matches!(self.tuning, tunings::LOW_LATENCY | tunings::ULTRA_LOW_LATENCY);
        let lossless = self.tuning == tunings::LOSSLESS;
        let gop = if low_latency { INFINITE_GOP } else { 250 };
        config.version = api.struct_word(Struct::Config);
        config.profile = guids::PROFILE_AUTO;
        config.gop_length = gop;
        config.frame_interval_p = self.b_frames(codec) + 1;
        config.frame_field_mode = 1;
        config.mv_precision = 3;

        let rc = &mut config.rc;
        rc.version = api.struct_word(Struct::RcParams);
        rc.const_qp = if lossless { Qp { p: 0, b: 0, i: 0 } } else { Qp { p: 28, b: 31, i: 25 } };
        rc.mode = match (lossless, low_latency) {
            (true, _) => rc_modes::CONSTQP,
            (_, true) => rc_modes::CBR,
            _ => rc_modes::VBR,
        };
        rc.average_bit_rate = policy::PRESET_BIT_RATE;
        rc.low_delay_key_frame_scale = match self.tuning {
            tunings::LOW_LATENCY => 2,
            tunings::ULTRA_LOW_LATENCY => 1,
            _ => 0,
        };
        rc.multi_pass = u32::from(
            self.tuning == tunings::ULTRA_LOW_LATENCY || self.level >= 5 && !lossless && !low_latency,
        );
        let lookahead = match (self.tuning, self.level) {
            (tunings::HIGH_QUALITY, 6) => 16,
            (tunings::HIGH_QUALITY, 7) | (tunings::ULTRA_HIGH_QUALITY, _) => 31 - self.b_frames(codec) as u16,
            _ => 0,
        };
        if lookahead > 0 {
            rc.bits |= rc_bits::LOOKAHEAD;
            rc.lookahead_depth = lookahead;
        }

        match codec {
            EncoderCodec::H264 => {
                let h264 = config.h264();
                h264.idr_period = gop;
                h264.chroma_format_idc = 1;
                h264.slice_mode = 3;
                h264.slice_mode_data = 1;
                h264.entropy = 1;
                if lossless {
                    h264.bits |= h264_bits::LOSSLESS;
                }
                if api >= Api::V13_0 {
                    (h264.output_bit_depth, h264.input_bit_depth) = (8, 8);
                }
            }
            EncoderCodec::Hevc => {
                let hevc = config.hevc();
                hevc.idr_period = gop;
                hevc.bits |= 1 << hevc_bits::CHROMA_SHIFT;
                hevc.slice_mode = 3;
                hevc.slice_mode_data = 1;
                if !api.hevc_depth_in_bits() {
                    (hevc.output_bit_depth, hevc.input_bit_depth) = (8, 8);
                }
            }
            EncoderCodec::Av1 => {
                let av1 = config.av1();
                // The driver chooses.
                av1.level = 24;
                av1.idr_period = gop;
                av1.bits |= 1 << av1_bits::CHROMA_SHIFT;
                if !api.hevc_depth_in_bits() {
                    (av1.output_bit_depth, av1.input_bit_depth) = (8, 8);
                }
            }
        }
        config
    }
}

/// Input formats, in the order they are listed.
pub fn input_formats(caps: &super::caps::Caps) -> Vec<u32> {
    use super::caps::Cap;
    let mut list = vec![formats::NV12, formats::YV12, formats::IYUV];
    let (full_chroma, deep) = (caps.has(Cap::Yuv444), caps.has(Cap::TenBit));
    if full_chroma {
        list.push(formats::YUV444);
    }
    if deep {
        list.push(formats::YUV420_10BIT);
    }
    if full_chroma && deep {
        list.push(formats::YUV444_10BIT);
    }
    list.extend([formats::ARGB, formats::ABGR, formats::AYUV]);
    if deep {
        list.extend([formats::ARGB10, formats::ABGR10]);
    }
    list
}

/// Name of a profile for the report.
pub fn profile_name(guid: Guid) -> &'static str {
    match guid {
        guids::PROFILE_AUTO => "auto",
        guids::H264_BASELINE => "h264 baseline",
        guids::H264_MAIN => "h264 main",
        guids::H264_HIGH => "h264 high",
        guids::H264_HIGH_10 => "h264 high 10",
        guids::H264_HIGH_444 => "h264 high 444",
        guids::HEVC_MAIN => "hevc main",
        guids::HEVC_MAIN10 => "hevc main10",
        guids::HEVC_FREXT => "hevc frext",
        guids::AV1_MAIN => "av1 main",
        _ => "another",
    }
}

/// Profiles a codec is offered with.
pub fn profiles(api: Api, codec: EncoderCodec) -> &'static [Guid] {
    match codec {
        EncoderCodec::H264 if api >= Api::V13_0 => &[
            guids::PROFILE_AUTO,
            guids::H264_BASELINE,
            guids::H264_MAIN,
            guids::H264_HIGH,
            guids::H264_HIGH_10,
            guids::H264_HIGH_444,
            guids::H264_PROGRESSIVE_HIGH,
            guids::H264_CONSTRAINED_HIGH,
        ],
        EncoderCodec::H264 => &[
            guids::PROFILE_AUTO,
            guids::H264_BASELINE,
            guids::H264_MAIN,
            guids::H264_HIGH,
            guids::H264_HIGH_444,
            guids::H264_PROGRESSIVE_HIGH,
            guids::H264_CONSTRAINED_HIGH,
        ],
        EncoderCodec::Hevc => &[guids::PROFILE_AUTO, guids::HEVC_MAIN, guids::HEVC_MAIN10, guids::HEVC_FREXT],
        EncoderCodec::Av1 => &[guids::PROFILE_AUTO, guids::AV1_MAIN],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(guid: Guid, tuning: u32) -> Config {
        let preset = find(Api::V13_0, EncoderCodec::H264, guid, tuning).unwrap();
        preset.config(Api::V13_0, EncoderCodec::H264)
    }

    #[test]
    fn quality_presets_have_b_pictures_and_latency_presets_do_not() {
        assert_eq!(config(guids::PRESETS[3], tunings::HIGH_QUALITY).frame_interval_p, 4);
        assert_eq!(config(guids::PRESETS[0], tunings::HIGH_QUALITY).frame_interval_p, 1);
        let latency = config(guids::PRESETS[3], tunings::LOW_LATENCY);
        assert_eq!((latency.frame_interval_p, latency.gop_length), (1, INFINITE_GOP));
        assert_eq!(latency.rc.mode, rc_modes::CBR);
        let lossless = config(guids::PRESETS[3], tunings::LOSSLESS);
        assert_eq!((lossless.rc.mode, lossless.rc.const_qp.i), (rc_modes::CONSTQP, 0));
    }

    #[test]
    fn legacy_presets_end_with_12_0() {
        let legacy = guids::LEGACY_PRESETS[4];
        let found = find(Api::V12_0, EncoderCodec::H264, legacy, 0).unwrap();
        assert_eq!(found.tuning, tunings::LOW_LATENCY);
        assert!(find(Api::V12_1, EncoderCodec::H264, legacy, 0).is_none());
        assert_eq!(offered(Api::V11_1).len(), 16);
        assert_eq!(offered(Api::V13_0).len(), 7);
    }

    #[test]
    fn ultra_high_quality_is_for_hevc_from_12_2_on() {
        let p4 = guids::PRESETS[3];
        assert!(find(Api::V12_2, EncoderCodec::Hevc, p4, tunings::ULTRA_HIGH_QUALITY).is_some());
        assert!(find(Api::V12_2, EncoderCodec::H264, p4, tunings::ULTRA_HIGH_QUALITY).is_none());
        assert!(find(Api::V12_1, EncoderCodec::Hevc, p4, tunings::ULTRA_HIGH_QUALITY).is_none());
    }
}
