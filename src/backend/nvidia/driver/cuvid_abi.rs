//! Declarations of nvcuvid.h and cuviddec.h, API 13.0 (the layouts are those of every version since 9). Names are
//! ours, with NVIDIA's in the comments; only fields that are used have meaningful ones. Values that the driver
//! writes are plain numbers, never Rust enums: it may know more of them than we do.
//!
//! `unsigned long` is 8 bytes on Linux and 4 on Windows, so sizes differ; both are asserted.

use std::ffi::{c_int, c_ulong, c_void};

/// `CUVIDDECODECAPS`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DecodeCaps {
    pub(crate) codec: u32,
    pub(crate) chroma: u32,
    pub(crate) depth_minus8: u32,
    pub(crate) reserved1: [u32; 3],
    pub(crate) supported: u8,
    pub(crate) engines: u8,
    pub(crate) output_mask: u16,
    pub(crate) max_width: u32,
    pub(crate) max_height: u32,
    pub(crate) max_macroblocks: u32,
    pub(crate) min_width: u16,
    pub(crate) min_height: u16,
    pub(crate) histogram: u8,
    pub(crate) counter_depth: u8,
    pub(crate) histogram_bins: u16,
    pub(crate) reserved2: [u32; 10],
}

/// A rectangle as the decoder takes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShortRect {
    pub(crate) left: i16,
    pub(crate) top: i16,
    pub(crate) right: i16,
    pub(crate) bottom: i16,
}

/// `CUVIDDECODECREATEINFO`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreateInfo {
    pub(crate) width: c_ulong,
    pub(crate) height: c_ulong,
    pub(crate) decode_surfaces: c_ulong,
    pub(crate) codec: u32,
    pub(crate) chroma: u32,
    pub(crate) flags: c_ulong,
    pub(crate) depth_minus8: c_ulong,
    pub(crate) intra_only: c_ulong,
    pub(crate) max_width: c_ulong,
    pub(crate) max_height: c_ulong,
    pub(crate) reserved1: c_ulong,
    pub(crate) display_area: ShortRect,
    pub(crate) output_format: u32,
    pub(crate) deinterlace: u32,
    pub(crate) target_width: c_ulong,
    pub(crate) target_height: c_ulong,
    pub(crate) output_surfaces: c_ulong,
    pub(crate) lock: *mut c_void,
    pub(crate) target_rect: ShortRect,
    pub(crate) histogram: c_ulong,
    pub(crate) reserved2: [c_ulong; 4],
}

impl Default for CreateInfo {
    fn default() -> Self {
        Self {
            width: 0,
            height: 0,
            decode_surfaces: 0,
            codec: 0,
            chroma: 0,
            flags: 0,
            depth_minus8: 0,
            intra_only: 0,
            max_width: 0,
            max_height: 0,
            reserved1: 0,
            display_area: ShortRect::default(),
            output_format: 0,
            deinterlace: 0,
            target_width: 0,
            target_height: 0,
            output_surfaces: 0,
            lock: std::ptr::null_mut(),
            target_rect: ShortRect::default(),
            histogram: 0,
            reserved2: [0; 4],
        }
    }
}

/// `CUVIDRECONFIGUREDECODERINFO`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReconfigureInfo {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) target_width: u32,
    pub(crate) target_height: u32,
    pub(crate) decode_surfaces: u32,
    pub(crate) reserved1: [u32; 12],
    pub(crate) display_area: ShortRect,
    pub(crate) target_rect: ShortRect,
    pub(crate) reserved2: [u32; 11],
}

/// `cudaVideoCreate_PreferCUVID`: the decoder engines, not CUDA kernels.
pub(crate) const PREFER_CUVID: c_ulong = 4;

/// `CUVIDPICPARAMS`: made by the parser, handed to the decoder as it is; the codec's part is not looked into.
#[repr(C)]
pub(crate) struct PictureParams {
    pub(crate) width_mbs: c_int,
    pub(crate) height_mbs: c_int,
    pub(crate) index: c_int,
    pub(crate) field: c_int,
    pub(crate) bottom_field: c_int,
    pub(crate) second_field: c_int,
    pub(crate) data_bytes: u32,
    pub(crate) data: *const u8,
    pub(crate) slices: u32,
    pub(crate) slice_offsets: *const u32,
    pub(crate) reference: c_int,
    pub(crate) intra: c_int,
    pub(crate) reserved: [u32; 30],
    pub(crate) codec: [u64; 512],
}

/// `CUVIDPROCPARAMS`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessParams {
    pub(crate) progressive: c_int,
    pub(crate) second_field: c_int,
    pub(crate) top_field_first: c_int,
    pub(crate) unpaired_field: c_int,
    pub(crate) reserved_flags: u32,
    pub(crate) reserved_zero: u32,
    pub(crate) raw_input: u64,
    pub(crate) raw_input_pitch: u32,
    pub(crate) raw_input_format: u32,
    pub(crate) raw_output: u64,
    pub(crate) raw_output_pitch: u32,
    pub(crate) reserved1: u32,
    pub(crate) stream: *mut c_void,
    pub(crate) reserved2: [u32; 46],
    pub(crate) histogram: *mut u64,
    pub(crate) reserved3: *mut c_void,
}

impl Default for ProcessParams {
    fn default() -> Self {
        Self {
            progressive: 0,
            second_field: 0,
            top_field_first: 0,
            unpaired_field: 0,
            reserved_flags: 0,
            reserved_zero: 0,
            raw_input: 0,
            raw_input_pitch: 0,
            raw_input_format: 0,
            raw_output: 0,
            raw_output_pitch: 0,
            reserved1: 0,
            stream: std::ptr::null_mut(),
            reserved2: [0; 46],
            histogram: std::ptr::null_mut(),
            reserved3: std::ptr::null_mut(),
        }
    }
}

/// `CUVIDGETDECODESTATUS`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodeStatus {
    pub(crate) status: u32,
    pub(crate) reserved: [u32; 31],
    pub(crate) pointers: [*mut c_void; 8],
}

impl Default for DecodeStatus {
    fn default() -> Self {
        Self { status: 0, reserved: [0; 31], pointers: [std::ptr::null_mut(); 8] }
    }
}

/// `CUVIDEOFORMAT`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VideoFormat {
    pub(crate) codec: u32,
    pub(crate) rate_num: u32,
    pub(crate) rate_den: u32,
    pub(crate) progressive: u8,
    pub(crate) luma_depth_minus8: u8,
    pub(crate) chroma_depth_minus8: u8,
    pub(crate) min_surfaces: u8,
    pub(crate) coded_width: u32,
    pub(crate) coded_height: u32,
    /// left, top, right, bottom
    pub(crate) display_area: [c_int; 4],
    pub(crate) chroma: u32,
    pub(crate) bitrate: u32,
    pub(crate) aspect: [c_int; 2],
    /// Bits 0 to 2 video_format, bit 3 full range.
    pub(crate) signal: u8,
    pub(crate) primaries: u8,
    pub(crate) transfer: u8,
    pub(crate) matrix: u8,
    pub(crate) header_bytes: u32,
}

/// `CUVIDEOFORMATEX`
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct VideoFormatEx {
    pub(crate) format: VideoFormat,
    pub(crate) header: [u8; 1024],
}

/// `CUVIDSOURCEDATAPACKET`
#[repr(C)]
pub(crate) struct SourcePacket {
    pub(crate) flags: c_ulong,
    pub(crate) bytes: c_ulong,
    pub(crate) data: *const u8,
    pub(crate) timestamp: i64,
}

/// The packet ends the stream: everything held is displayed.
pub(crate) const END_OF_STREAM: c_ulong = 1;
/// `timestamp` is valid.
pub(crate) const HAS_TIMESTAMP: c_ulong = 2;
/// The packet holds exactly one picture, which is decoded at once.
pub(crate) const END_OF_PICTURE: c_ulong = 8;

/// `CUVIDPARSERDISPINFO`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DisplayInfo {
    pub(crate) index: c_int,
    pub(crate) progressive: c_int,
    pub(crate) top_field_first: c_int,
    pub(crate) repeat_first_field: c_int,
    pub(crate) timestamp: i64,
}

/// `CUVIDPARSERPARAMS`
#[repr(C)]
pub(crate) struct ParserParams {
    pub(crate) codec: u32,
    pub(crate) surfaces: u32,
    pub(crate) clock_rate: u32,
    pub(crate) error_threshold: u32,
    pub(crate) display_delay: u32,
    /// Bit 0: AV1 in Annex B.
    pub(crate) flags: u32,
    pub(crate) reserved1: [u32; 4],
    pub(crate) user: *mut c_void,
    pub(crate) on_sequence: Option<unsafe extern "system" fn(*mut c_void, *mut VideoFormat) -> c_int>,
    pub(crate) on_decode: Option<unsafe extern "system" fn(*mut c_void, *mut PictureParams) -> c_int>,
    pub(crate) on_display: Option<unsafe extern "system" fn(*mut c_void, *mut DisplayInfo) -> c_int>,
    pub(crate) operating_point: *mut c_void,
    pub(crate) sei: *mut c_void,
    pub(crate) reserved2: [*mut c_void; 5],
    pub(crate) extended: *mut VideoFormatEx,
}

impl Default for ParserParams {
    fn default() -> Self {
        Self {
            codec: 0,
            surfaces: 0,
            clock_rate: 0,
            error_threshold: 0,
            display_delay: 0,
            flags: 0,
            reserved1: [0; 4],
            user: std::ptr::null_mut(),
            on_sequence: None,
            on_decode: None,
            on_display: None,
            operating_point: std::ptr::null_mut(),
            sei: std::ptr::null_mut(),
            reserved2: [std::ptr::null_mut(); 5],
            extended: std::ptr::null_mut(),
        }
    }
}

/// `cudaVideoCodec`
pub(crate) mod codec {
    pub(crate) const MPEG2: u32 = 1;
    pub(crate) const MPEG4: u32 = 2;
    pub(crate) const VC1: u32 = 3;
    pub(crate) const H264: u32 = 4;
    pub(crate) const JPEG: u32 = 5;
    pub(crate) const HEVC: u32 = 8;
    pub(crate) const VP8: u32 = 9;
    pub(crate) const VP9: u32 = 10;
    pub(crate) const AV1: u32 = 11;
}

/// `cudaVideoSurfaceFormat`
pub(crate) mod surface {
    pub(crate) const NV12: u32 = 0;
    pub(crate) const P016: u32 = 1;
    pub(crate) const YUV444: u32 = 2;
    pub(crate) const YUV444_16: u32 = 3;
}

/// Sizes as the vendor's compiler lays the structures out.
macro_rules! sizes {
    ($($name:ident: $linux:literal $windows:literal;)*) => {
        #[cfg(target_pointer_width = "64")]
        const _: () = {
            $(assert!(size_of::<$name>() == if cfg!(windows) { $windows } else { $linux });)*
        };
    };
}

sizes! {
    DecodeCaps: 88 88;
    CreateInfo: 176 112;
    ReconfigureInfo: 128 128;
    PictureParams: 4280 4280;
    ProcessParams: 264 264;
    DecodeStatus: 192 192;
    VideoFormat: 64 64;
    VideoFormatEx: 1088 1088;
    ParserParams: 136 136;
    SourcePacket: 32 24;
    DisplayInfo: 24 24;
}
