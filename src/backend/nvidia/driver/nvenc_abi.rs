//! Declarations of nvEncodeAPI.h: structures. Names are ours, with NVIDIA's in the comments; only fields that are used
//! have meaningful ones. GUIDs and numbers are in [`super::nvenc_names`], version words in [`super::nvenc_version`].
//!
//! One declaration serves every API version: fields that are used lie at the same place in all of them, and where a
//! version's structure is shorter, it is shorter by reserved zeros at its end. So each is declared in its longest form;
//! a driver looks at as much as the version word says. Values that the driver writes are plain numbers, never Rust
//! enums: it may know more of them than we do.

use std::ffi::{c_char, c_int, c_void};

use super::nvenc_names::Guid;

pub(crate) type Handle = *mut c_void;

/// `NVENCSTATUS`: any number, known or not.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NvStatus(pub(crate) u32);

/// Declares structures that may be all zero.
macro_rules! structures {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub(crate) struct $name { $(pub(crate) $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                // SAFETY: integers, raw pointers, optional function pointers, and arrays and structures of them: zero
                // is a value of each.
                unsafe { std::mem::zeroed() }
            }
        }
    )*};
}

structures! {
    /// `NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS`
    OpenSession {
        version: u32,
        device_type: u32,
        device: Handle,
        reserved: Handle,
        api_version: u32,
        reserved1: u32,
        reserved2: [u64; 190],
    }
    /// `NV_ENC_CAPS_PARAM`
    CapsParam {
        version: u32,
        cap: u32,
        reserved: [u32; 62],
    }
    /// `NV_ENC_QP`
    Qp {
        p: u32,
        b: u32,
        i: u32,
    }
    /// `NV_ENC_RC_PARAMS`
    RcParams {
        version: u32,
        mode: u32,
        const_qp: Qp,
        average_bit_rate: u32,
        max_bit_rate: u32,
        vbv_buffer_size: u32,
        vbv_initial_delay: u32,
        flags: u32,
        min_qp: Qp,
        max_qp: Qp,
        initial_qp: Qp,
        temporal_layers: u32,
        temporal_layer_qp: [u8; 8],
        target_quality: u8,
        target_quality_fraction: u8,
        lookahead_depth: u16,
        low_delay_key_frame_scale: u8,
        dc_offsets: [i8; 3],
        qp_map_mode: u32,
        multi_pass: u32,
        alpha_ratio: u32,
        chroma_offsets: [i8; 2],
        reserved: u16,
        lookahead_level: u32,
        rest: [u32; 3],
    }
    /// `NV_ENC_CONFIG_H264_VUI_PARAMETERS`, which HEVC shares
    Vui {
        overscan_present: u32,
        overscan: u32,
        signal_type_present: u32,
        video_format: u32,
        full_range: u32,
        colour_present: u32,
        primaries: u32,
        transfer: u32,
        matrix: u32,
        rest: [u32; 19],
    }
    /// `NV_ENC_CONFIG_H264`, up to the last field used. The depths are there from 13.0 on; before, they are reserved.
    H264Config {
        flags: u32,
        level: u32,
        idr_period: u32,
        unused: [u32; 10],
        intra_refresh_period: u32,
        intra_refresh_frames: u32,
        unused1: [u32; 3],
        vui: Vui,
        long_term_frames: u32,
        long_term_trust: u32,
        chroma_format: u32,
        temporal_layers: u32,
        b_reference_mode: u32,
        references: [u32; 2],
        output_depth: u32,
        input_depth: u32,
    }
    /// `NV_ENC_CONFIG_HEVC`, up to the last field used. The depths are there from 12.2 on; before, they are reserved.
    HevcConfig {
        level: u32,
        tier: u32,
        min_coding_unit: u32,
        max_coding_unit: u32,
        flags: u32,
        idr_period: u32,
        intra_refresh_period: u32,
        intra_refresh_frames: u32,
        unused: [u32; 8],
        vui: Vui,
        long_term_trust: u32,
        b_reference_mode: u32,
        references: [u32; 2],
        temporal_filter: u32,
        deblocking: u32,
        output_depth: u32,
        input_depth: u32,
    }
    /// `NV_ENC_CONFIG_AV1`, up to the last field used. The depths are there from 12.2 on; before, they are reserved.
    Av1Config {
        level: u32,
        tier: u32,
        smallest_part: u32,
        largest_part: u32,
        flags: u32,
        idr_period: u32,
        intra_refresh_period: u32,
        intra_refresh_frames: u32,
        reference_frames: u32,
        tile_columns: u32,
        tile_rows: u32,
        reserved: u32,
        tile_widths: Handle,
        tile_heights: Handle,
        temporal_layers: u32,
        primaries: u32,
        transfer: u32,
        matrix: u32,
        full_range: u32,
        chroma_position: u32,
        b_reference_mode: u32,
        film_grain: Handle,
        references: [u32; 2],
        output_depth: u32,
        input_depth: u32,
    }
    /// `NV_ENC_CONFIG`
    Config {
        version: u32,
        profile: Guid,
        gop_length: u32,
        frame_interval_p: i32,
        monochrome: u32,
        field_mode: u32,
        motion_precision: u32,
        rc: RcParams,
        codec: CodecConfig,
        reserved: [u64; 203],
    }
    /// `NV_ENC_PRESET_CONFIG`
    PresetConfig {
        version: u32,
        reserved: u32,
        config: Config,
        reserved1: [u64; 192],
    }
    /// `NV_ENC_INITIALIZE_PARAMS`
    InitParams {
        version: u32,
        codec: Guid,
        preset: Guid,
        width: u32,
        height: u32,
        display_width: u32,
        display_height: u32,
        rate_num: u32,
        rate_den: u32,
        asynchronous: u32,
        decide_types: u32,
        flags: u32,
        private_bytes: u32,
        reserved: u32,
        private: Handle,
        config: *mut Config,
        max_width: u32,
        max_height: u32,
        motion_hints: [u32; 8],
        tuning: u32,
        buffer_format: u32,
        rest: [u64; 208],
    }
    /// `NV_ENC_RECONFIGURE_PARAMS`: two flags lie right behind `init`, which is shorter in some versions. So they are not
    /// a field: see [`Self::set_flags`].
    Reconfigure {
        version: u32,
        reserved: u32,
        init: InitParams,
        rest: [u64; 1],
    }
    /// `NV_ENC_CREATE_INPUT_BUFFER`
    CreateInput {
        version: u32,
        width: u32,
        height: u32,
        heap: u32,
        format: u32,
        reserved: u32,
        buffer: Handle,
        system_memory: Handle,
        reserved1: [u64; 92],
    }
    /// `NV_ENC_CREATE_BITSTREAM_BUFFER`
    CreateBitstream {
        version: u32,
        size: u32,
        heap: u32,
        reserved: u32,
        buffer: Handle,
        pointer: Handle,
        reserved1: [u64; 93],
    }
    /// `NV_ENC_LOCK_INPUT_BUFFER`
    LockInput {
        version: u32,
        flags: u32,
        buffer: Handle,
        data: Handle,
        pitch: u32,
        reserved: u32,
        reserved1: [u64; 189],
    }
    /// `NV_ENC_REGISTER_RESOURCE`
    RegisterResource {
        version: u32,
        kind: u32,
        width: u32,
        height: u32,
        pitch: u32,
        sub_resource: u32,
        resource: u64,
        registered: Handle,
        format: u32,
        usage: u32,
        rest: [u64; 186],
    }
    /// `NV_ENC_MAP_INPUT_RESOURCE`
    MapResource {
        version: u32,
        sub_resource: u32,
        input: Handle,
        registered: Handle,
        mapped: Handle,
        format: u32,
        reserved: u32,
        rest: [u64; 188],
    }
    /// `NV_ENC_PIC_PARAMS`
    PicParams {
        version: u32,
        width: u32,
        height: u32,
        pitch: u32,
        flags: u32,
        index: u32,
        timestamp: u64,
        duration: u64,
        input: Handle,
        output: Handle,
        event: Handle,
        format: u32,
        structure: u32,
        kind: u32,
        padding: u32,
        codec: PicCodec,
        rest: [u64; 401],
    }
    /// `NV_ENC_SEI_PAYLOAD`
    SeiPayload {
        bytes: u32,
        kind: u32,
        data: *const u8,
    }
    /// `NV_ENC_PIC_PARAMS_H264`, up to the last field used
    PicH264 {
        unused: [u64; 4],
        slice_types: u32,
        messages: u32,
        message_list: *const SeiPayload,
        unused1: [u64; 3],
    }
    /// `NV_ENC_PIC_PARAMS_HEVC`, up to the last field used
    PicHevc {
        unused: [u64; 7],
        messages: u32,
        reserved: u32,
        message_list: *const SeiPayload,
    }
    /// `NV_ENC_PIC_PARAMS_AV1`, up to the last field used
    PicAv1 {
        unused: [u64; 6],
        messages: u32,
        reserved: u32,
        message_list: *const SeiPayload,
        film_grain: Handle,
    }
    /// `NV_ENC_LOCK_BITSTREAM`
    LockBitstream {
        version: u32,
        flags: u32,
        output: Handle,
        slice_offsets: *mut u32,
        index: u32,
        status: u32,
        slices: u32,
        bytes: u32,
        timestamp: u64,
        duration: u64,
        data: Handle,
        kind: u32,
        structure: u32,
        average_qp: u32,
        rest: [u32; 369],
    }
    /// `NV_ENCODE_API_FUNCTION_LIST`, the functions that are used
    FunctionList {
        version: u32,
        reserved: u32,
        open_old: Handle,
        codec_count: Option<unsafe extern "system" fn(Handle, *mut u32) -> NvStatus>,
        profiles: [Handle; 2],
        codecs: Option<unsafe extern "system" fn(Handle, *mut Guid, u32, *mut u32) -> NvStatus>,
        format_count: Option<unsafe extern "system" fn(Handle, Guid, *mut u32) -> NvStatus>,
        formats: Option<unsafe extern "system" fn(Handle, Guid, *mut u32, u32, *mut u32) -> NvStatus>,
        caps: Option<unsafe extern "system" fn(Handle, Guid, *mut CapsParam, *mut c_int) -> NvStatus>,
        presets: [Handle; 3],
        initialize: Option<unsafe extern "system" fn(Handle, *mut InitParams) -> NvStatus>,
        create_input: Option<unsafe extern "system" fn(Handle, *mut CreateInput) -> NvStatus>,
        destroy_input: Option<unsafe extern "system" fn(Handle, Handle) -> NvStatus>,
        create_bitstream: Option<unsafe extern "system" fn(Handle, *mut CreateBitstream) -> NvStatus>,
        destroy_bitstream: Option<unsafe extern "system" fn(Handle, Handle) -> NvStatus>,
        encode: Option<unsafe extern "system" fn(Handle, *mut PicParams) -> NvStatus>,
        lock_bitstream: Option<unsafe extern "system" fn(Handle, *mut LockBitstream) -> NvStatus>,
        unlock_bitstream: Option<unsafe extern "system" fn(Handle, Handle) -> NvStatus>,
        lock_input: Option<unsafe extern "system" fn(Handle, *mut LockInput) -> NvStatus>,
        unlock_input: Option<unsafe extern "system" fn(Handle, Handle) -> NvStatus>,
        unused: [Handle; 4],
        map_resource: Option<unsafe extern "system" fn(Handle, *mut MapResource) -> NvStatus>,
        unmap_resource: Option<unsafe extern "system" fn(Handle, Handle) -> NvStatus>,
        destroy: Option<unsafe extern "system" fn(Handle) -> NvStatus>,
        invalidate: Handle,
        open: Option<unsafe extern "system" fn(*mut OpenSession, *mut Handle) -> NvStatus>,
        register_resource: Option<unsafe extern "system" fn(Handle, *mut RegisterResource) -> NvStatus>,
        unregister_resource: Option<unsafe extern "system" fn(Handle, Handle) -> NvStatus>,
        reconfigure: Option<unsafe extern "system" fn(Handle, *mut Reconfigure) -> NvStatus>,
        unused1: [Handle; 4],
        last_error: Option<unsafe extern "system" fn(Handle) -> *const c_char>,
        set_streams: Handle,
        preset_config: Option<unsafe extern "system" fn(Handle, Guid, Guid, u32, *mut PresetConfig) -> NvStatus>,
        rest: [Handle; 278],
    }
}

/// `NV_ENC_CODEC_CONFIG`
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) union CodecConfig {
    h264: H264Config,
    hevc: HevcConfig,
    av1: Av1Config,
    raw: [u64; 224],
}

/// The part of `NV_ENC_CODEC_PIC_PARAMS` that is used
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) union PicCodec {
    pub(super) h264: PicH264,
    pub(super) hevc: PicHevc,
    pub(super) av1: PicAv1,
    raw: [u64; 9],
}

impl Config {
    /// The part for H.264.
    pub(crate) fn h264(&mut self) -> &mut H264Config {
        // SAFETY: the structure was zeroed as a whole, and every bit pattern is a value of its integers.
        unsafe { &mut self.codec.h264 }
    }

    /// The part for HEVC.
    pub(crate) fn hevc(&mut self) -> &mut HevcConfig {
        // SAFETY: as above.
        unsafe { &mut self.codec.hevc }
    }

    /// The part for AV1.
    pub(crate) fn av1(&mut self) -> &mut Av1Config {
        // SAFETY: as above; its pointers are only ever handed to the driver, which wrote them or finds them null.
        unsafe { &mut self.codec.av1 }
    }
}

impl Reconfigure {
    /// Sets the flags `resetEncoder` and `forceIDR`, in an API whose `init` has this many bytes.
    pub(crate) fn set_flags(&mut self, anew: bool, init_bytes: usize) {
        const RESET_AND_IDR: u64 = 3;
        // Little endian, as all systems with this hardware: the flags are the low word of eight bytes.
        let flags = if anew { RESET_AND_IDR } else { 0 };
        if init_bytes < size_of::<InitParams>() {
            if let Some(last) = self.init.rest.last_mut() {
                *last = flags;
            }
        } else {
            self.rest = [flags];
        }
    }
}

/// Sizes, and places of the fields that are used, as the vendor's compiler lays them out. Sizes are the largest of the
/// versions.
macro_rules! layouts {
    ($($name:ident: $size:literal $(, $field:ident at $offset:literal)*;)*) => {
        #[cfg(target_pointer_width = "64")]
        const _: () = {
            $(
                assert!(size_of::<$name>() == $size);
                $(assert!(std::mem::offset_of!($name, $field) == $offset);)*
            )*
        };
    };
}

layouts! {
    OpenSession: 1552, device at 8, api_version at 24;
    CapsParam: 256;
    RcParams: 128, average_bit_rate at 20, flags at 36, initial_qp at 64, target_quality at 88, lookahead_depth at 90,
        qp_map_mode at 96, multi_pass at 100, lookahead_level at 112;
    Vui: 112, colour_present at 20, matrix at 32;
    H264Config: 220, idr_period at 8, intra_refresh_period at 52, vui at 72, chroma_format at 192,
        b_reference_mode at 200, output_depth at 212;
    HevcConfig: 208, flags at 16, idr_period at 20, intra_refresh_period at 24, vui at 64, b_reference_mode at 180,
        output_depth at 200;
    Av1Config: 120, flags at 16, idr_period at 20, intra_refresh_period at 24, tile_widths at 48, primaries at 68,
        full_range at 80, b_reference_mode at 88, film_grain at 96, output_depth at 112;
    CodecConfig: 1792;
    Config: 3584, profile at 4, gop_length at 20, rc at 40, codec at 168;
    PresetConfig: 5128, config at 8;
    InitParams: 1808, width at 36, decide_types at 64, config at 88, max_width at 96, tuning at 136;
    Reconfigure: 1824, init at 8, rest at 1816;
    CreateInput: 776, format at 16, buffer at 24;
    CreateBitstream: 776, buffer at 16;
    LockInput: 1544, buffer at 8, data at 16, pitch at 24;
    RegisterResource: 1536, resource at 24, registered at 32, format at 40, usage at 44;
    MapResource: 1544, registered at 16, mapped at 24, format at 32;
    PicParams: 3360, timestamp at 24, input at 40, output at 48, format at 64, kind at 72, codec at 80;
    SeiPayload: 16, kind at 4, data at 8;
    PicH264: 72, messages at 36, message_list at 40;
    PicHevc: 72, messages at 56, message_list at 64;
    PicAv1: 72, messages at 48, message_list at 56;
    PicCodec: 72;
    LockBitstream: 1552, output at 8, bytes at 36, timestamp at 40, data at 56, kind at 64;
    FunctionList: 2552, codecs at 40, initialize at 96, encode at 136, lock_bitstream at 144, map_resource at 208,
        destroy at 224, open at 240, register_resource at 248, reconfigure at 264, last_error at 304, preset_config at 320;
}
