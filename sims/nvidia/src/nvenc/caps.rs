//! What the encode engines can do, as `nvEncGetEncodeCaps` tells it: a table of defaults for each codec and
//! generation, and the configuration on top of it.

use crate::codec::encoder::EncoderCodec;
use crate::core::config::Device;

macro_rules! caps {
    ($($variant:ident $name:literal),* $(,)?) => {
        /// `NV_ENC_CAPS`, all versions; the discriminant is the number the client asks with.
        #[allow(missing_docs, reason = "the names are those of the API")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Cap { $($variant),* }

        /// Names as the configuration spells them, by number.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

caps! {
    NumMaxBframes "num_max_bframes", RateControlModes "supported_ratecontrol_modes",
    FieldEncoding "support_field_encoding", Monochrome "support_monochrome", Fmo "support_fmo",
    Qpelmv "support_qpelmv", BdirectMode "support_bdirect_mode", Cabac "support_cabac",
    AdaptiveTransform "support_adaptive_transform", StereoMvc "support_stereo_mvc",
    MaxTemporalLayers "num_max_temporal_layers", HierarchicalP "support_hierarchical_pframes",
    HierarchicalB "support_hierarchical_bframes", LevelMax "level_max", LevelMin "level_min",
    SeparateColourPlane "separate_colour_plane", WidthMax "width_max", HeightMax "height_max",
    TemporalSvc "support_temporal_svc", DynRes "support_dyn_res_change",
    DynBitrate "support_dyn_bitrate_change", DynForceConstQp "support_dyn_force_constqp",
    DynRcMode "support_dyn_rcmode_change", SubframeReadback "support_subframe_readback",
    ConstrainedEncoding "support_constrained_encoding", IntraRefresh "support_intra_refresh",
    CustomVbv "support_custom_vbv_buf_size", DynamicSlice "support_dynamic_slice_mode",
    RefPicInvalidation "support_ref_pic_invalidation", Preproc "preproc_support",
    AsyncEncode "async_encode_support", MbNumMax "mb_num_max", MbPerSecMax "mb_per_sec_max",
    Yuv444 "support_yuv444_encode", Lossless "support_lossless_encode", Sao "support_sao",
    MeOnly "support_meonly_mode", Lookahead "support_lookahead", TemporalAq "support_temporal_aq",
    TenBit "support_10bit_encode", MaxLtrFrames "num_max_ltr_frames",
    WeightedPrediction "support_weighted_prediction", Capacity "dynamic_query_encoder_capacity",
    BframeRefMode "support_bframe_ref_mode", EmphasisLevelMap "support_emphasis_level_map",
    WidthMin "width_min", HeightMin "height_min", MultipleRefFrames "support_multiple_ref_frames",
    AlphaLayer "support_alpha_layer_encoding", NumEngines "num_encoder_engines",
    SingleSliceIntraRefresh "single_slice_intra_refresh", DisableStateAdvance "disable_enc_state_advance",
    OutputRecon "output_recon_surface", OutputBlockStats "output_block_stats",
    OutputRowStats "output_row_stats", TemporalFilter "support_temporal_filter",
    LookaheadLevel "support_lookahead_level", UnidirectionalB "support_unidirectional_b",
    MvHevc "support_mvhevc_encode", Yuv422 "support_yuv422_encode",
}

/// The capabilities for one codec on one device.
#[derive(Debug, Clone)]
pub struct Caps(Vec<i32>);

impl Caps {
    /// Value of one capability.
    pub fn get(&self, cap: Cap) -> i32 {
        self.0[cap as usize]
    }

    /// Value by the number a client asks with.
    pub fn by_number(&self, number: u32) -> Option<i32> {
        self.0.get(number as usize).copied()
    }

    /// True when the capability is there in some form.
    pub fn has(&self, cap: Cap) -> bool {
        self.get(cap) > 0
    }
}

/// Key of a codec in the configuration.
pub fn key(codec: EncoderCodec) -> &'static str {
    match codec {
        EncoderCodec::H264 => "h264",
        EncoderCodec::Hevc => "hevc",
        EncoderCodec::Av1 => "av1",
    }
}

/// The capabilities of `device` for `codec`; `None` when the codec is not offered. An unknown name in the
/// configuration is an error: a test that believes it switched something off proves nothing.
pub fn of(device: &Device, codec: EncoderCodec) -> Result<Option<Caps>, String> {
    if device.nvenc_engines == 0 {
        return Ok(None);
    }
    let Some(settings) = device.nvenc.get(key(codec)) else { return Ok(None) };
    let mut caps = defaults(codec, device.compute, device.nvenc_engines);
    for (name, value) in &settings.caps {
        let number = NAMES.iter().position(|known| known == name).ok_or_else(|| {
            format!(
                "configuration: device {:?}: nvenc.{}.caps: no capability {name:?}",
                device.name,
                key(codec)
            )
        })?;
        caps.0[number] = *value;
    }
    Ok(Some(caps))
}

fn defaults(codec: EncoderCodec, compute: [i32; 2], engines: usize) -> Caps {
    let mut values = vec![0; NAMES.len()];
    let mut set = |cap: Cap, value: i32| values[cap as usize] = value;
    // The larger codecs have much in common.
    let hevc = codec != EncoderCodec::H264;
    let av1 = codec == EncoderCodec::Av1;
    let turing = compute >= [7, 5];
    let ampere = compute >= [8, 0];
    let blackwell = compute >= [10, 0];

    // CONSTQP is mode 0; bits for VBR, CBR and the three modes of older clients.
    set(Cap::RateControlModes, 0x3f);
    for cap in [
        Cap::Cabac,
        Cap::DynRes,
        Cap::DynBitrate,
        Cap::DynForceConstQp,
        Cap::DynRcMode,
        Cap::SubframeReadback,
        Cap::IntraRefresh,
        Cap::CustomVbv,
        Cap::DynamicSlice,
        Cap::RefPicInvalidation,
        Cap::Yuv444,
        Cap::Lossless,
        Cap::MeOnly,
        Cap::Lookahead,
        Cap::TemporalAq,
        Cap::WeightedPrediction,
        Cap::EmphasisLevelMap,
        Cap::SingleSliceIntraRefresh,
        Cap::DisableStateAdvance,
        Cap::OutputRecon,
        Cap::OutputBlockStats,
        Cap::OutputRowStats,
    ] {
        set(cap, 1);
    }
    set(Cap::MultipleRefFrames, i32::from(turing));
    set(Cap::BframeRefMode, if turing { 2 } else { 0 });
    set(Cap::Capacity, 100);
    set(Cap::NumEngines, i32::try_from(engines).unwrap_or(i32::MAX));
    set(Cap::MaxLtrFrames, if hevc { 7 } else { 8 });
    set(Cap::MbPerSecMax, 983_040);
    set(Cap::MaxTemporalLayers, 4);
    set(Cap::TemporalSvc, 1);
    if hevc {
        set(Cap::NumMaxBframes, if turing { 5 } else { 0 });
        set(Cap::LevelMin, 30);
        set(Cap::LevelMax, 186);
        set(Cap::WidthMax, 8192);
        set(Cap::HeightMax, 8192);
        set(Cap::MbNumMax, 262_144);
        set(Cap::WidthMin, 129);
        set(Cap::HeightMin, 33);
        set(Cap::Sao, 1);
        set(Cap::TenBit, 1);
        set(Cap::AlphaLayer, 1);
        set(Cap::TemporalFilter, i32::from(ampere));
        set(Cap::LookaheadLevel, i32::from(turing));
        set(Cap::UnidirectionalB, i32::from(ampere));
        set(Cap::MvHevc, i32::from(blackwell));
    } else {
        set(Cap::NumMaxBframes, 4);
        set(Cap::LevelMin, 10);
        set(Cap::LevelMax, 62);
        set(Cap::WidthMax, 4096);
        set(Cap::HeightMax, 4096);
        set(Cap::MbNumMax, 65_536);
        set(Cap::WidthMin, 145);
        set(Cap::HeightMin, 49);
        set(Cap::Qpelmv, 1);
        set(Cap::BdirectMode, 1);
        set(Cap::AdaptiveTransform, 1);
        set(Cap::HierarchicalP, 1);
        set(Cap::HierarchicalB, 1);
        set(Cap::ConstrainedEncoding, 1);
        // The last generation with interlaced encoding came before Turing.
        set(Cap::FieldEncoding, if turing { 0 } else { 2 });
        set(Cap::TenBit, i32::from(blackwell));
        set(Cap::TemporalFilter, i32::from(blackwell));
    }
    set(Cap::Yuv422, i32::from(blackwell));
    if av1 {
        set(Cap::LevelMin, 0);
        set(Cap::LevelMax, 23);
        for cap in [Cap::Yuv444, Cap::Yuv422, Cap::Lossless, Cap::MeOnly, Cap::AlphaLayer, Cap::MvHevc] {
            set(cap, 0);
        }
    }
    Caps(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::load;

    fn device(set: &str) -> Device {
        load(&|name| (name == "NVSIM_SET").then(|| set.to_owned())).unwrap().device.remove(0)
    }

    #[test]
    fn numbers_are_those_of_the_api() {
        assert_eq!(NAMES.len(), 60);
        assert_eq!((Cap::WidthMax as u32, Cap::MbNumMax as u32, Cap::TenBit as u32), (16, 31, 39));
        assert_eq!((Cap::SingleSliceIntraRefresh as u32, Cap::Yuv422 as u32), (50, 59));
        assert_eq!(NAMES[Cap::NumEngines as usize], "num_encoder_engines");
    }

    #[test]
    fn the_configuration_wins_over_the_table() {
        let device = device("device.0.nvenc.h264.caps.num_max_bframes=1");
        let caps = of(&device, EncoderCodec::H264).unwrap().unwrap();
        assert_eq!((caps.get(Cap::NumMaxBframes), caps.get(Cap::Cabac)), (1, 1));
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let error = of(&device("device.0.nvenc.hevc.caps.num_bframes=1"), EncoderCodec::Hevc).unwrap_err();
        assert!(error.contains("num_bframes"), "{error}");
    }

    #[test]
    fn a_codec_that_is_not_listed_is_not_offered() {
        let mut device = device("");
        device.nvenc.remove("hevc");
        assert!(of(&device, EncoderCodec::Hevc).unwrap().is_none());
    }
}
