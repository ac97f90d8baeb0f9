//! What crosses the border to the client: status codes, GUIDs, constants and the memory layout of the structures.
//!
//! Five API versions are spoken (11.1 to 13.0). Nearly every field that matters lies at the same place in all of
//! them, so there is one declaration per structure; where versions differ the difference is in [`super::versions`]
//! (sizes, version words, places) and nowhere else.

use std::ffi::c_void;
use std::mem::size_of;

use crate::core;

/// `NVENCSTATUS`.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NvStatus(pub u32);

macro_rules! statuses {
    ($($name:ident = $code:literal),* $(,)?) => {
        #[allow(missing_docs, reason = "the names are the documentation")]
        impl NvStatus {
            $(pub const $name: Self = Self($code);)*

            /// The name, and a text with a terminating zero for `nvEncGetLastErrorString`.
            pub fn text(self) -> (&'static str, &'static std::ffi::CStr) {
                match self.0 {
                    $($code => {
                        let text = concat!(stringify!($name), "\0").as_bytes();
                        (stringify!($name), std::ffi::CStr::from_bytes_with_nul(text).unwrap_or_default())
                    })*
                    _ => ("UNKNOWN", c"UNKNOWN"),
                }
            }
        }
    };
}

statuses! {
    SUCCESS = 0, NO_ENCODE_DEVICE = 1, UNSUPPORTED_DEVICE = 2, INVALID_ENCODERDEVICE = 3, INVALID_DEVICE = 4,
    DEVICE_NOT_EXIST = 5, INVALID_PTR = 6, INVALID_EVENT = 7, INVALID_PARAM = 8, INVALID_CALL = 9,
    OUT_OF_MEMORY = 10, ENCODER_NOT_INITIALIZED = 11, UNSUPPORTED_PARAM = 12, LOCK_BUSY = 13,
    NOT_ENOUGH_BUFFER = 14, INVALID_VERSION = 15, MAP_FAILED = 16, NEED_MORE_INPUT = 17, ENCODER_BUSY = 18,
    EVENT_NOT_REGISTERED = 19, GENERIC = 20, INCOMPATIBLE_CLIENT_KEY = 21, UNIMPLEMENTED = 22,
    RESOURCE_REGISTER_FAILED = 23, RESOURCE_NOT_REGISTERED = 24, RESOURCE_NOT_MAPPED = 25, NEED_MORE_OUTPUT = 26,
}

impl std::fmt::Debug for NvStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text().0)
    }
}

impl core::Status for NvStatus {
    const INTERNAL: Self = Self::GENERIC;
    const DEVICE_LOST: Self = Self::DEVICE_NOT_EXIST;

    fn from_code(code: u32) -> Self {
        Self(code)
    }

    fn code(self) -> u32 {
        self.0
    }
}

/// A GUID as Windows and the driver lay it out.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct Guid {
    pub data1: u32,
    pub data2: u16,
    pub data3: u16,
    pub data4: [u8; 8],
}

/// A GUID from its usual text order: 8, 4, 4 and 16 hexadecimal digits.
const fn guid(data1: u32, data2: u16, data3: u16, rest: u64) -> Guid {
    Guid { data1, data2, data3, data4: rest.to_be_bytes() }
}

#[allow(missing_docs, reason = "the names are those of the API")]
pub mod guids {
    use super::{Guid, guid};

    pub const H264: Guid = guid(0x6bc8_2762, 0x4e63, 0x4ca4, 0xaa85_1e50_f321_f6bf);
    pub const HEVC: Guid = guid(0x790c_dc88, 0x4522, 0x4d7b, 0x9425_bda9_975f_7603);

    pub const AV1: Guid = guid(0x0a35_2289, 0x0aa7, 0x4759, 0x862d_5d15_cd16_d254);

    pub const PROFILE_AUTO: Guid = guid(0xbfd6_f8e7, 0x233c, 0x4341, 0x8b3e_4818_5238_03f4);
    pub const H264_BASELINE: Guid = guid(0x0727_bcaa, 0x78c4, 0x4c83, 0x8c2f_ef3d_ff26_7c6a);
    pub const H264_MAIN: Guid = guid(0x60b5_c1d4, 0x67fe, 0x4790, 0x94d5_c472_6d7b_6e6d);
    pub const H264_HIGH: Guid = guid(0xe7cb_c309, 0x4f7a, 0x4b89, 0xaf2a_d537_c92b_e310);
    pub const H264_HIGH_10: Guid = guid(0x8f0c_337e, 0x186c, 0x48e9, 0xa69d_7a83_3408_9758);
    pub const H264_HIGH_444: Guid = guid(0x7ac6_63cb, 0xa598, 0x4960, 0xb844_339b_261a_7d52);
    pub const H264_STEREO: Guid = guid(0x4084_7bf5, 0x33f7, 0x4601, 0x9084_e8fe_3c1d_b8b7);
    pub const H264_PROGRESSIVE_HIGH: Guid = guid(0xb405_afac, 0xf32b, 0x417b, 0x89c4_9abe_ed3e_5978);
    pub const H264_CONSTRAINED_HIGH: Guid = guid(0xaec1_bd87, 0xe85b, 0x48f2, 0x84c3_98bc_a628_5072);
    pub const HEVC_MAIN: Guid = guid(0xb514_c39a, 0xb55b, 0x40fa, 0x878f_f125_3b4d_fdec);
    pub const HEVC_MAIN10: Guid = guid(0xfa4d_2b6c, 0x3a5b, 0x411a, 0x8018_0a3f_5e3c_9be5);
    pub const HEVC_FREXT: Guid = guid(0x51ec_32b5, 0x1b4c, 0x453c, 0x9cbd_b616_bd62_1341);

    pub const AV1_MAIN: Guid = guid(0x5f2a_39f5, 0xf14e, 0x4f95, 0x9a9e_b76d_568f_cf97);

    /// P1 to P7.
    pub const PRESETS: [Guid; 7] = [
        guid(0xfc0a_8d3e, 0x45f8, 0x4cf8, 0x80c7_2988_7159_0ebf),
        guid(0xf581_cfb8, 0x88d6, 0x4381, 0x93f0_df13_f9c2_7dab),
        guid(0x3685_0110, 0x3a07, 0x441f, 0x94d5_3670_631f_91f6),
        guid(0x90a7_b826, 0xdf06, 0x4862, 0xb9d2_cd6d_73a0_8681),
        guid(0x21c6_e6b4, 0x297a, 0x4cba, 0x998f_b6cb_de72_ade3),
        guid(0x8e75_c279, 0x6299, 0x4ab6, 0x8302_0b21_5a33_5cf5),
        guid(0x8484_8c12, 0x6f71, 0x4c13, 0x931b_53e2_83f5_7974),
    ];

    /// The presets of older clients, in the order default, HP, HQ, BD, low latency (default, HQ, HP), lossless
    /// (default, HP). They were dropped with API 12.1.
    pub const LEGACY_PRESETS: [Guid; 9] = [
        guid(0xb2df_b705, 0x4ebd, 0x4c49, 0x9b5f_24a7_77d3_e587),
        guid(0x60e4_c59f, 0xe846, 0x4484, 0xa56d_cd45_be9f_ddf6),
        guid(0x34db_a71d, 0xa77b, 0x4b8f, 0x9c3e_b6d5_da24_c012),
        guid(0x82e3_e450, 0xbdbb, 0x4e40, 0x989c_82a9_0df9_ef32),
        guid(0x49df_21c5, 0x6dfa, 0x4feb, 0x9787_6acc_9eff_b726),
        guid(0xc5f7_33b9, 0xea97, 0x4cf9, 0xbec2_bf78_a74f_d105),
        guid(0x6708_2a44, 0x4bad, 0x48fa, 0x98ea_9305_6d15_0a58),
        guid(0xd5bf_b716, 0xc604, 0x44e7, 0x9bb8_dea5_510f_c3ac),
        guid(0x1499_98e7, 0x2364, 0x411d, 0x82ef_1798_8809_3409),
    ];
}

/// `NV_ENC_BUFFER_FORMAT`.
#[allow(missing_docs, reason = "the names are those of the API")]
pub mod formats {
    pub const NV12: u32 = 0x1;
    pub const YV12: u32 = 0x10;
    pub const IYUV: u32 = 0x100;
    pub const YUV444: u32 = 0x1000;
    pub const YUV420_10BIT: u32 = 0x1_0000;
    pub const YUV444_10BIT: u32 = 0x10_0000;
    pub const ARGB: u32 = 0x100_0000;
    pub const ARGB10: u32 = 0x200_0000;
    pub const AYUV: u32 = 0x400_0000;
    pub const ABGR: u32 = 0x1000_0000;
    pub const ABGR10: u32 = 0x2000_0000;
}

/// `NV_ENC_PIC_FLAGS`.
#[allow(missing_docs, reason = "the names are those of the API")]
pub mod flags {
    pub const FORCE_INTRA: u32 = 1;
    pub const FORCE_IDR: u32 = 2;
    pub const OUTPUT_SPSPPS: u32 = 4;
    pub const EOS: u32 = 8;
}

/// `NV_ENC_PIC_TYPE`.
#[allow(missing_docs, reason = "the names are those of the API")]
pub mod types {
    pub const P: u32 = 0;
    pub const B: u32 = 1;
    pub const I: u32 = 2;
    pub const IDR: u32 = 3;
}

/// `NV_ENC_PARAMS_RC_MODE`; the three `_HQ` modes exist before API 12.1.
#[allow(missing_docs, reason = "the names are those of the API")]
pub mod rc_modes {
    pub const CONSTQP: u32 = 0;
    pub const VBR: u32 = 1;
    pub const CBR: u32 = 2;
    pub const CBR_LOWDELAY_HQ: u32 = 8;
    pub const CBR_HQ: u32 = 0x10;
    pub const VBR_HQ: u32 = 0x20;
}

/// `NV_ENC_TUNING_INFO`.
#[allow(missing_docs, reason = "the names are those of the API")]
pub mod tunings {
    pub const HIGH_QUALITY: u32 = 1;
    pub const LOW_LATENCY: u32 = 2;
    pub const ULTRA_LOW_LATENCY: u32 = 3;
    pub const LOSSLESS: u32 = 4;
    pub const ULTRA_HIGH_QUALITY: u32 = 5;
}

/// `NVENC_INFINITE_GOPLENGTH`.
pub const INFINITE_GOP: u32 = 0xffff_ffff;
/// `NV_ENC_DEVICE_TYPE_CUDA`.
pub const DEVICE_CUDA: u32 = 1;
/// `NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR`.
pub const RESOURCE_CUDADEVICEPTR: u32 = 1;

/// Structures that any bit pattern is valid for: what a client hands over can be read as it is.
///
/// # Safety
/// Only for `repr(C)` structures of integers and arrays of them.
pub unsafe trait Plain: Sized {
    /// All zero.
    fn zeroed() -> Self {
        // SAFETY: every bit pattern is valid for a `Plain` type.
        unsafe { std::mem::zeroed() }
    }
}

macro_rules! structures {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        #[allow(missing_docs, reason = "the fields are those of the API, in Rust spelling")]
        pub struct $name { $(pub $field: $type),* }
        // SAFETY: integers and arrays of integers only (pointers are kept as `usize`).
        unsafe impl Plain for $name {}
    )*};
}

structures! {
    /// `NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS`.
    OpenSession {
        version: u32, device_type: u32, device: usize, reserved: usize, api_version: u32, reserved1: [u32; 253],
        reserved2: [usize; 64],
    }
    /// `NV_ENC_CAPS_PARAM`.
    CapsParam { version: u32, cap: u32, reserved: [u32; 62] }
    /// `NV_ENC_QP`.
    Qp { p: u32, b: u32, i: u32 }
    /// `NV_ENC_RC_PARAMS`. `lookahead_level` belongs to API 12.2 and is reserved before.
    RcParams {
        version: u32, mode: u32, const_qp: Qp, average_bit_rate: u32, max_bit_rate: u32, vbv_buffer_size: u32,
        vbv_initial_delay: u32, bits: u32, min_qp: Qp, max_qp: Qp, initial_qp: Qp, temporal_layer_mask: u32,
        temporal_layer_qp: [u8; 8], target_quality: u8, target_quality_lsb: u8, lookahead_depth: u16,
        low_delay_key_frame_scale: u8, reserved1: [u8; 3], qp_map_mode: u32, multi_pass: u32,
        alpha_layer_ratio: u32, chroma_qp_offsets: [i8; 2], reserved2: u16, lookahead_level: u32, reserved: [u32; 3],
    }
    /// `NV_ENC_CONFIG_H264_VUI_PARAMETERS`.
    Vui {
        overscan_present: u32, overscan: u32, signal_type_present: u32, video_format: u32, full_range: u32,
        colour_present: u32, primaries: u32, transfer: u32, matrix: u32, reserved: [u32; 19],
    }
    /// `NV_ENC_CONFIG_H264`. The three fields before `reserved1` belong to API 13.0 and are reserved before.
    ConfigH264 {
        bits: u32, level: u32, idr_period: u32, separate_planes: u32, deblocking: u32, temporal_layers: u32,
        sps_id: u32, pps_id: u32, adaptive_transform: u32, fmo: u32, bdirect: u32, entropy: u32, stereo: u32,
        intra_refresh_period: u32, intra_refresh_count: u32, max_ref_frames: u32, slice_mode: u32,
        slice_mode_data: u32, vui: Vui, ltr_frames: u32, ltr_trust: u32, chroma_format_idc: u32,
        max_temporal_layers: u32, b_ref_mode: u32, ref_l0: u32, ref_l1: u32, output_bit_depth: u32,
        input_bit_depth: u32, tf_level: u32, reserved1: [u32; 264], reserved2: [usize; 64],
    }
    /// `NV_ENC_CONFIG_HEVC`. The four fields before `reserved1` belong to API 12.2 and are reserved before.
    ConfigHevc {
        level: u32, tier: u32, min_cu: u32, max_cu: u32, bits: u32, idr_period: u32, intra_refresh_period: u32,
        intra_refresh_count: u32, max_ref_frames: u32, ltr_frames: u32, vps_id: u32, sps_id: u32, pps_id: u32,
        slice_mode: u32, slice_mode_data: u32, max_temporal_layers: u32, vui: Vui, ltr_trust: u32, b_ref_mode: u32,
        ref_l0: u32, ref_l1: u32, tf_level: u32, deblocking: u32, output_bit_depth: u32, input_bit_depth: u32,
        reserved1: [u32; 210], reserved2: [usize; 64],
    }
    /// `NV_ENC_CONFIG_AV1`. The depths belong to API 12.2 and are reserved before.
    ConfigAv1 {
        level: u32, tier: u32, min_part: u32, max_part: u32, bits: u32, idr_period: u32, intra_refresh_period: u32,
        intra_refresh_count: u32, max_ref_frames: u32, tile_columns: u32, tile_rows: u32, reserved: u32,
        tile_widths: usize, tile_heights: usize, max_temporal_layers: u32, primaries: u32, transfer: u32, matrix: u32,
        full_range: u32, chroma_position: u32, b_ref_mode: u32, reserved3: u32, film_grain: usize, fwd_refs: u32,
        bwd_refs: u32, output_bit_depth: u32, input_bit_depth: u32, reserved1: [u32; 233], reserved2: [usize; 62],
    }
    /// `NV_ENC_CONFIG`; `codec` is the union of the codec configurations.
    Config {
        version: u32, profile: Guid, gop_length: u32, frame_interval_p: i32, monochrome: u32,
        frame_field_mode: u32, mv_precision: u32, rc: RcParams, codec: [u64; 224], reserved: [u32; 278],
        reserved2: [usize; 64],
    }
    /// `NV_ENC_PRESET_CONFIG`.
    PresetConfig { version: u32, config: Config, reserved1: [u32; 255], reserved2: [usize; 64] }
    /// The part of `NV_ENC_INITIALIZE_PARAMS` that all versions share.
    InitParams {
        version: u32, encode_guid: Guid, preset_guid: Guid, width: u32, height: u32, dar_width: u32,
        dar_height: u32, fps_num: u32, fps_den: u32, enable_async: u32, enable_ptd: u32, bits: u32,
        priv_data_size: u32, priv_data: usize, config: usize, max_width: u32, max_height: u32,
        me_hints: [u32; 8], tuning: u32, buffer_format: u32,
    }
    /// `NV_ENC_INITIALIZE_PARAMS` of API 11.1, 12.0 and 12.1.
    InitParamsLong { shared: InitParams, reserved: [u32; 287], reserved2: [usize; 64] }
    /// `NV_ENC_INITIALIZE_PARAMS` of API 12.2 and 13.0.
    InitParamsShort { shared: InitParams, reserved: [u32; 286], reserved2: [usize; 64] }
    /// `NV_ENC_RECONFIGURE_PARAMS` of API 11.1, 12.0 and 12.1; bit 0 of `bits` resets, bit 1 forces an IDR.
    ReconfigureLong { version: u32, init: InitParamsLong, bits: u32 }
    /// `NV_ENC_RECONFIGURE_PARAMS` of API 12.2 and 13.0.
    ReconfigureShort { version: u32, init: InitParamsShort, bits: u32 }
    /// `NV_ENC_CREATE_INPUT_BUFFER`.
    CreateInput {
        version: u32, width: u32, height: u32, heap: u32, format: u32, reserved: u32, buffer: usize,
        system_memory: usize, reserved1: [u32; 58], reserved2: [usize; 63],
    }
    /// `NV_ENC_CREATE_BITSTREAM_BUFFER`.
    CreateBitstream {
        version: u32, size: u32, heap: u32, reserved: u32, buffer: usize, pointer: usize, reserved1: [u32; 58],
        reserved2: [usize; 64],
    }
    /// `NV_ENC_LOCK_INPUT_BUFFER`; bit 0 of `bits`: do not wait.
    LockInput {
        version: u32, bits: u32, buffer: usize, data: usize, pitch: u32, reserved1: [u32; 251],
        reserved2: [usize; 64],
    }
    /// `NV_ENC_REGISTER_RESOURCE`.
    Register {
        version: u32, kind: u32, width: u32, height: u32, pitch: u32, sub_resource: u32, resource: usize,
        registered: usize, format: u32, usage: u32, fences: [usize; 2], reserved1: [u32; 248],
        reserved2: [usize; 60],
    }
    /// `NV_ENC_MAP_INPUT_RESOURCE`.
    Map {
        version: u32, sub_resource: u32, input: usize, registered: usize, mapped: usize, format: u32,
        reserved1: [u32; 251], reserved2: [usize; 63],
    }
    /// `NV_ENC_SEI_PAYLOAD`.
    SeiPayload { size: u32, kind: u32, payload: usize }
    /// `NV_ENC_PIC_PARAMS` up to the codec's part, which follows at once.
    PicParams {
        version: u32, width: u32, height: u32, pitch: u32, flags: u32, frame_idx: u32, timestamp: u64,
        duration: u64, input: usize, output: usize, event: usize, format: u32, pic_struct: u32, pic_type: u32,
        padding: u32, codec: [u64; 16],
    }
    /// `NV_ENC_LOCK_BITSTREAM` up to `temporalId`; bits: 0 do not wait, 2 statistics.
    LockBitstream {
        version: u32, bits: u32, output: usize, slice_offsets: usize, frame_idx: u32, hw_status: u32, slices: u32,
        size: u32, timestamp: u64, duration: u64, data: usize, pic_type: u32, pic_struct: u32, average_qp: u32,
        satd: u32, ltr_index: u32, ltr_bitmap: u32, temporal_id: u32,
    }
    /// `NV_ENC_SEQUENCE_PARAM_PAYLOAD`.
    SequencePayload {
        version: u32, capacity: u32, sps_id: u32, pps_id: u32, buffer: usize, written: usize,
        reserved: [u32; 250], reserved2: [usize; 64],
    }
    /// One word, for the parts of a structure whose place depends on the version.
    Word { value: u32 }
    /// `NV_ENC_STAT`, as far as it is looked at.
    Stat { version: u32, reserved: u32, output: usize }
}

impl Config {
    /// The H.264 member of the union.
    pub fn h264(&mut self) -> &mut ConfigH264 {
        const { assert!(size_of::<ConfigH264>() <= size_of::<[u64; 224]>()) };
        // SAFETY: the union is large enough and aligned for the member, and every bit pattern is valid.
        unsafe { &mut *self.codec.as_mut_ptr().cast::<ConfigH264>() }
    }

    /// The HEVC member of the union.
    pub fn hevc(&mut self) -> &mut ConfigHevc {
        const { assert!(size_of::<ConfigHevc>() <= size_of::<[u64; 224]>()) };
        // SAFETY: as above.
        unsafe { &mut *self.codec.as_mut_ptr().cast::<ConfigHevc>() }
    }
}

impl Config {
    /// The AV1 member of the union.
    pub fn av1(&mut self) -> &mut ConfigAv1 {
        const { assert!(size_of::<ConfigAv1>() <= size_of::<[u64; 224]>()) };
        // SAFETY: the union is large enough and aligned for the member, and every bit pattern is valid.
        unsafe { &mut *self.codec.as_mut_ptr().cast::<ConfigAv1>() }
    }
}

/// Bits of `ConfigAv1::bits`.
#[allow(missing_docs, reason = "the names are those of the API")]
pub mod av1_bits {
    pub const LENGTH_FRAMING: u32 = 1;
    pub const DISABLE_SEQUENCE_HEADER: u32 = 1 << 4;
    pub const REPEAT_SEQUENCE_HEADER: u32 = 1 << 5;
    pub const INTRA_REFRESH: u32 = 1 << 6;
    /// Two bits.
    pub const CHROMA_SHIFT: u32 = 7;
    /// Three bits, before API 12.2.
    pub const INPUT_DEPTH_SHIFT: u32 = 12;
    /// Three bits, before API 12.2.
    pub const DEPTH_SHIFT: u32 = 15;
}

/// Bits of `RcParams::bits`.
#[allow(missing_docs, reason = "the names are those of the API")]
pub mod rc_bits {
    pub const MIN_QP: u32 = 1;
    pub const MAX_QP: u32 = 1 << 1;
    pub const AQ: u32 = 1 << 3;
    pub const LOOKAHEAD: u32 = 1 << 5;
    pub const TEMPORAL_AQ: u32 = 1 << 8;
    /// Four bits.
    pub const AQ_STRENGTH_SHIFT: u32 = 12;
}

/// Bits of `ConfigH264::bits`.
#[allow(missing_docs, reason = "the names are those of the API")]
pub mod h264_bits {
    pub const AUD: u32 = 1 << 6;
    pub const DISABLE_SPSPPS: u32 = 1 << 7;
    pub const INTRA_REFRESH: u32 = 1 << 10;
    pub const REPEAT_SPSPPS: u32 = 1 << 12;
    pub const LTR: u32 = 1 << 14;
    pub const LOSSLESS: u32 = 1 << 15;
}

/// Bits of `ConfigHevc::bits`.
#[allow(missing_docs, reason = "the names are those of the API")]
pub mod hevc_bits {
    pub const AUD: u32 = 1 << 4;
    pub const LTR: u32 = 1 << 5;
    pub const DISABLE_SPSPPS: u32 = 1 << 6;
    pub const REPEAT_SPSPPS: u32 = 1 << 7;
    pub const INTRA_REFRESH: u32 = 1 << 8;
    /// Two bits.
    pub const CHROMA_SHIFT: u32 = 9;
    /// Three bits, before API 12.2.
    pub const DEPTH_SHIFT: u32 = 11;
}

/// Bits of `InitParams::bits`.
#[allow(missing_docs, reason = "the names are those of the API")]
pub mod init_bits {
    pub const ME_ONLY: u32 = 1 << 3;
    pub const WEIGHTED_PREDICTION: u32 = 1 << 4;
    pub const OUTPUT_IN_VIDMEM: u32 = 1 << 5;
}

/// Reads a structure that the client points to. `None` for a null pointer.
///
/// # Safety
/// `pointer` is null or points to a `T` of the client's.
pub unsafe fn read<T: Plain + Copy>(pointer: *const c_void) -> Option<T> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller vouches for the rest; alignment is not taken for granted.
    Some(unsafe { pointer.cast::<T>().read_unaligned() })
}

/// Writes back a structure that was read with [`read`].
///
/// # Safety
/// As for [`read`].
pub unsafe fn write<T: Plain>(pointer: *mut c_void, value: T) {
    // SAFETY: the caller vouches for it.
    unsafe { pointer.cast::<T>().write_unaligned(value) }
}
