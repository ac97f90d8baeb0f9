//! GUIDs and numbers of nvEncodeAPI.h.

/// `GUID`, as Windows lays it out.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guid {
    a: u32,
    b: u16,
    c: u16,
    d: [u8; 8],
}

impl Guid {
    /// From the number that its usual text (`01234567-89ab-cdef-0123-456789abcdef`) is without the dashes.
    const fn new(text: u128) -> Self {
        Self {
            a: (text >> 96) as u32,
            b: (text >> 80) as u16,
            c: (text >> 64) as u16,
            d: (text as u64).to_be_bytes(),
        }
    }
}

/// `NV_ENC_CODEC_H264_GUID`
pub(crate) const H264: Guid = Guid::new(0x6bc82762_4e63_4ca4_aa85_1e50f321f6bf);
/// `NV_ENC_CODEC_HEVC_GUID`
pub(crate) const HEVC: Guid = Guid::new(0x790cdc88_4522_4d7b_9425_bda9975f7603);
/// `NV_ENC_CODEC_AV1_GUID`, from API 12.0 on
pub(crate) const AV1: Guid = Guid::new(0x0a352289_0aa7_4759_862d_5d15cd16d254);

/// `NV_ENC_H264_PROFILE_BASELINE_GUID`
pub(crate) const H264_BASELINE: Guid = Guid::new(0x0727bcaa_78c4_4c83_8c2f_ef3dff267c6a);
/// `NV_ENC_H264_PROFILE_MAIN_GUID`
pub(crate) const H264_MAIN: Guid = Guid::new(0x60b5c1d4_67fe_4790_94d5_c4726d7b6e6d);
/// `NV_ENC_H264_PROFILE_HIGH_GUID`
pub(crate) const H264_HIGH: Guid = Guid::new(0xe7cbc309_4f7a_4b89_af2a_d537c92be310);
/// `NV_ENC_H264_PROFILE_HIGH_10_GUID`, from API 13.0 on
pub(crate) const H264_HIGH_10: Guid = Guid::new(0x8f0c337e_186c_48e9_a69d_7a8334089758);
/// `NV_ENC_H264_PROFILE_HIGH_444_GUID`: what lossless H.264 needs.
pub(crate) const H264_HIGH_444: Guid = Guid::new(0x7ac663cb_a598_4960_b844_339b261a7d52);
/// `NV_ENC_HEVC_PROFILE_MAIN_GUID`
pub(crate) const HEVC_MAIN: Guid = Guid::new(0xb514c39a_b55b_40fa_878f_f1253b4dfdec);
/// `NV_ENC_HEVC_PROFILE_FREXT_GUID`: 4:4:4
pub(crate) const HEVC_FREXT: Guid = Guid::new(0x51ec32b5_1b4c_453c_9cbd_b616bd621341);
/// `NV_ENC_AV1_PROFILE_MAIN_GUID`
pub(crate) const AV1_MAIN: Guid = Guid::new(0x5f2a39f5_f14e_4f95_9a9e_b76d568fcf97);
/// `NV_ENC_HEVC_PROFILE_MAIN10_GUID`
pub(crate) const HEVC_MAIN10: Guid = Guid::new(0xfa4d2b6c_3a5b_411a_8018_0a3f5e3c9be5);

/// `NV_ENC_PRESET_P1_GUID` to `NV_ENC_PRESET_P7_GUID`
pub(crate) const PRESETS: [Guid; 7] = [
    Guid::new(0xfc0a8d3e_45f8_4cf8_80c7_298871590ebf),
    Guid::new(0xf581cfb8_88d6_4381_93f0_df13f9c27dab),
    Guid::new(0x36850110_3a07_441f_94d5_3670631f91f6),
    Guid::new(0x90a7b826_df06_4862_b9d2_cd6d73a08681),
    Guid::new(0x21c6e6b4_297a_4cba_998f_b6cbde72ade3),
    Guid::new(0x8e75c279_6299_4ab6_8302_0b215a335cf5),
    Guid::new(0x84848c12_6f71_4c13_931b_53e283f57974),
];

/// `NV_ENC_TUNING_INFO`
pub(crate) mod tuning {
    pub(crate) const HIGH_QUALITY: u32 = 1;
    pub(crate) const LOW_LATENCY: u32 = 2;
    pub(crate) const ULTRA_LOW_LATENCY: u32 = 3;
    pub(crate) const LOSSLESS: u32 = 4;
    /// HEVC from API 12.2 on, AV1 from 13.0 on.
    pub(crate) const ULTRA_HIGH_QUALITY: u32 = 5;
}

/// `NV_ENC_BUFFER_FORMAT`
pub(crate) mod format {
    pub(crate) const NV12: u32 = 1;
    /// Planes Y, Cb, Cr of 8 bits.
    pub(crate) const YUV444: u32 = 0x1000;
    /// `YUV420_10BIT`: the ten bits at the top of sixteen.
    pub(crate) const P010: u32 = 0x1_0000;
    /// `YUV444_10BIT`: planes Y, Cb, Cr, the ten bits at the top of sixteen.
    pub(crate) const YUV444_10: u32 = 0x10_0000;
    /// `ARGB`, named by the word: bytes B, G, R, A.
    pub(crate) const BGRA: u32 = 0x0100_0000;
    /// `ABGR`, named by the word: bytes R, G, B, A.
    pub(crate) const RGBA: u32 = 0x1000_0000;
}

/// `NV_ENC_CAPS`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Cap {
    MaxBFrames = 0,
    RateControlModes = 1,
    WidthMax = 16,
    HeightMax = 17,
    /// `SUPPORT_DYN_RES_CHANGE`
    DynamicSize = 19,
    /// `SUPPORT_DYN_BITRATE_CHANGE`
    DynamicBitrate = 20,
    /// `SUPPORT_DYN_RCMODE_CHANGE`
    DynamicRateMode = 22,
    IntraRefresh = 25,
    CustomVbv = 26,
    MacroblocksMax = 31,
    Yuv444 = 33,
    Lossless = 34,
    Lookahead = 37,
    TemporalAq = 38,
    TenBit = 39,
    BReferenceModes = 43,
    WidthMin = 45,
    HeightMin = 46,
    /// `NUM_ENCODER_ENGINES`
    Engines = 49,
    /// The highest level; from API 12.2 on.
    LookaheadLevel = 56,
}

/// `NV_ENC_PARAMS_RC_MODE`; all but the first are bits of [`Cap::RateControlModes`].
pub(crate) mod rate {
    pub(crate) const CONST_QP: u32 = 0;
    pub(crate) const VBR: u32 = 1;
    pub(crate) const CBR: u32 = 2;
}

/// Bits of `NV_ENC_RC_PARAMS`
pub(crate) mod rc {
    /// `enableAQ`
    pub(crate) const SPATIAL_AQ: u32 = 1 << 3;
    /// `enableLookahead`
    pub(crate) const LOOKAHEAD: u32 = 1 << 5;
    /// `enableTemporalAQ`
    pub(crate) const TEMPORAL_AQ: u32 = 1 << 8;
    /// `aqStrength`, four bits
    pub(crate) const AQ_STRENGTH_SHIFT: u32 = 12;
}

/// `NV_ENC_MULTI_PASS`
pub(crate) mod passes {
    pub(crate) const ONE: u32 = 0;
    pub(crate) const TWO_QUARTER: u32 = 1;
    pub(crate) const TWO_FULL: u32 = 2;
}

/// `NV_ENC_BFRAME_REF_MODE`
pub(crate) mod b_reference {
    pub(crate) const OFF: u32 = 0;
    pub(crate) const EACH: u32 = 1;
    pub(crate) const MIDDLE: u32 = 2;
}

/// Bits of `NV_ENC_CONFIG_H264`
pub(crate) mod h264 {
    /// `outputRecoveryPointSEI`
    pub(crate) const RECOVERY_POINTS: u32 = 1 << 9;
    /// `enableIntraRefresh`
    pub(crate) const INTRA_REFRESH: u32 = 1 << 10;
    /// `repeatSPSPPS`
    pub(crate) const REPEAT_HEADERS: u32 = 1 << 12;
    /// `qpPrimeYZeroTransformBypassFlag`
    pub(crate) const LOSSLESS: u32 = 1 << 15;
}

/// Bits of `NV_ENC_CONFIG_HEVC`
pub(crate) mod hevc {
    /// `repeatSPSPPS`
    pub(crate) const REPEAT_HEADERS: u32 = 1 << 7;
    /// `enableIntraRefresh`
    pub(crate) const INTRA_REFRESH: u32 = 1 << 8;
    /// `chromaFormatIDC`, two bits
    pub(crate) const CHROMA_SHIFT: u32 = 9;
    /// `pixelBitDepthMinus8`, three bits, before 12.2
    pub(crate) const DEPTH_MINUS8_SHIFT: u32 = 11;
}

/// Bits of `NV_ENC_CONFIG_AV1`
pub(crate) mod av1 {
    /// `outputAnnexBFormat`: the framing of annex B of AV1, where each unit has its length in front.
    pub(crate) const LENGTH_FRAMING: u32 = 1;
    /// `repeatSeqHdr`
    pub(crate) const REPEAT_HEADERS: u32 = 1 << 5;
    /// `enableIntraRefresh`
    pub(crate) const INTRA_REFRESH: u32 = 1 << 6;
    /// `inputPixelBitDepthMinus8`, three bits, before 12.2
    pub(crate) const INPUT_DEPTH_MINUS8_SHIFT: u32 = 12;
    /// `pixelBitDepthMinus8`, three bits, before 12.2
    pub(crate) const DEPTH_MINUS8_SHIFT: u32 = 15;
}

/// Metadata types of AV1 (`metadata_type`)
pub(crate) mod metadata {
    pub(crate) const CONTENT_LIGHT: u32 = 1;
    pub(crate) const MASTERING_DISPLAY: u32 = 2;
}

/// `NV_ENC_PIC_FLAGS`
pub(crate) mod picture {
    pub(crate) const FORCE_IDR: u32 = 2;
    /// `OUTPUT_SPSPPS`
    pub(crate) const OUTPUT_HEADERS: u32 = 4;
    /// End of stream.
    pub(crate) const EOS: u32 = 8;
}

/// `NV_ENC_PIC_TYPE`
pub(crate) mod kind {
    pub(crate) const P: u32 = 0;
    pub(crate) const B: u32 = 1;
    pub(crate) const I: u32 = 2;
    pub(crate) const IDR: u32 = 3;
}

/// `NVENC_INFINITE_GOPLENGTH`
pub(crate) const INFINITE_GOP: u32 = u32::MAX;
/// `NV_ENC_DEVICE_TYPE_CUDA`
pub(crate) const DEVICE_CUDA: u32 = 1;
/// `NV_ENC_PIC_STRUCT_FRAME`
pub(crate) const FRAME: u32 = 1;
/// `NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR`
pub(crate) const RESOURCE_CUDA: u32 = 1;
