//! What a client told the driver at initialisation, number by number, for the report: much of it has no effect on the
//! pictures of the software encoders, and a test still wants to see that it arrived.

use serde_json::{Value, json};

use super::abi::{Config, InitParams, av1_bits, guids, h264_bits, hevc_bits, rc_bits};
use super::presets;
use super::versions::Api;
use crate::codec::encoder::EncoderCodec;

/// The settings in the words of the API.
pub(super) fn reported(api: Api, codec: EncoderCodec, init: &InitParams, config: &mut Config) -> Value {
    let rc = config.rc;
    let bit = |bits: u32, mask: u32| u32::from(bits & mask != 0);
    let (refresh, b_ref_mode, chroma, depth) = match codec {
        EncoderCodec::H264 => {
            let h264 = config.h264();
            let refresh = (
                bit(h264.bits, h264_bits::INTRA_REFRESH),
                h264.intra_refresh_period,
                h264.intra_refresh_count,
            );
            let depth = if api >= Api::V13_0 { h264.output_bit_depth } else { 8 };
            (refresh, h264.b_ref_mode, h264.chroma_format_idc, depth)
        }
        EncoderCodec::Hevc => {
            let hevc = config.hevc();
            let refresh = (
                bit(hevc.bits, hevc_bits::INTRA_REFRESH),
                hevc.intra_refresh_period,
                hevc.intra_refresh_count,
            );
            let depth = if api.hevc_depth_in_bits() {
                8 + (hevc.bits >> hevc_bits::DEPTH_SHIFT & 7)
            } else {
                hevc.output_bit_depth
            };
            (refresh, hevc.b_ref_mode, hevc.bits >> hevc_bits::CHROMA_SHIFT & 3, depth)
        }
        EncoderCodec::Av1 => {
            let av1 = config.av1();
            let refresh =
                (bit(av1.bits, av1_bits::INTRA_REFRESH), av1.intra_refresh_period, av1.intra_refresh_count);
            let depth = if api.hevc_depth_in_bits() {
                8 + (av1.bits >> av1_bits::DEPTH_SHIFT & 7)
            } else {
                av1.output_bit_depth
            };
            (refresh, av1.b_ref_mode, av1.bits >> av1_bits::CHROMA_SHIFT & 3, depth)
        }
    };
    let preset = guids::PRESETS.iter().position(|guid| *guid == init.preset_guid).map(|at| at + 1);
    json!({
        "api": format!("{}.{}", api.numbers().0, api.numbers().1),
        "preset": preset,
        "tuning": init.tuning,
        "profile": presets::profile_name(config.profile),
        "gop": config.gop_length,
        "interval": config.frame_interval_p,
        "chroma": chroma,
        "depth": depth,
        "rate_mode": rc.mode,
        "average": rc.average_bit_rate,
        "max": rc.max_bit_rate,
        "vbv": rc.vbv_buffer_size,
        "vbv_initial": rc.vbv_initial_delay,
        "quality": rc.target_quality,
        "quantisers": format!("{} {} {}", rc.const_qp.i, rc.const_qp.p, rc.const_qp.b),
        "multi_pass": rc.multi_pass,
        "lookahead": bit(rc.bits, rc_bits::LOOKAHEAD) * u32::from(rc.lookahead_depth),
        "lookahead_level": rc.lookahead_level,
        "spatial_aq": bit(rc.bits, rc_bits::AQ),
        "aq_strength": rc.bits >> rc_bits::AQ_STRENGTH_SHIFT & 15,
        "temporal_aq": bit(rc.bits, rc_bits::TEMPORAL_AQ),
        "b_reference": b_ref_mode,
        "intra_refresh": refresh.0,
        "intra_refresh_period": refresh.1,
        "intra_refresh_count": refresh.2,
    })
}
