//! Declarations of the parser half: `nvcuvid.h`.

use std::ffi::{c_int, c_ulong, c_void};

use super::CUVIDPICPARAMS;

/// `CUvideoparser`.
pub type CUvideoparser = *mut c_void;

/// `CUvideopacketflags`.
pub mod packet_flags {
    use std::ffi::c_ulong;

    pub const ENDOFSTREAM: c_ulong = 0x01;
    pub const TIMESTAMP: c_ulong = 0x02;
    pub const DISCONTINUITY: c_ulong = 0x04;
    pub const ENDOFPICTURE: c_ulong = 0x08;
    pub const NOTIFY_EOS: c_ulong = 0x10;
}

/// A fraction.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameRate {
    pub numerator: u32,
    pub denominator: u32,
}

/// A rectangle of `int`s.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntRect {
    pub left: c_int,
    pub top: c_int,
    pub right: c_int,
    pub bottom: c_int,
}

/// Display aspect ratio.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AspectRatio {
    pub x: c_int,
    pub y: c_int,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VideoSignalDescription {
    /// Bits 0 to 2 `video_format`, bit 3 `video_full_range_flag`, bits 4 to 7 zero.
    pub format_and_range: u8,
    pub color_primaries: u8,
    pub transfer_characteristics: u8,
    pub matrix_coefficients: u8,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CUVIDEOFORMAT {
    pub codec: u32,
    pub frame_rate: FrameRate,
    pub progressive_sequence: u8,
    pub bit_depth_luma_minus8: u8,
    pub bit_depth_chroma_minus8: u8,
    pub min_num_decode_surfaces: u8,
    pub coded_width: u32,
    pub coded_height: u32,
    pub display_area: IntRect,
    pub chroma_format: u32,
    pub bitrate: u32,
    pub display_aspect_ratio: AspectRatio,
    pub video_signal_description: VideoSignalDescription,
    pub seqhdr_data_length: u32,
}

/// The union holds either this many raw bytes or (AV1) `max_width`, `max_height` in the first eight.
#[repr(C, align(4))]
#[derive(Debug, Clone, Copy)]
pub struct SequenceHeaderData {
    pub raw_seqhdr_data: [u8; 1024],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDEOFORMATEX {
    pub format: CUVIDEOFORMAT,
    pub data: SequenceHeaderData,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct OperatingPointsAv1 {
    pub operating_points_cnt: u8,
    pub reserved24_bits: [u8; 3],
    pub operating_points_idc: [u16; 32],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union OperatingPointData {
    pub av1: OperatingPointsAv1,
    pub CodecReserved: [u8; 1024],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct CUVIDOPERATINGPOINTINFO {
    pub codec: u32,
    pub data: OperatingPointData,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDSOURCEDATAPACKET {
    pub flags: c_ulong,
    pub payload_size: c_ulong,
    pub payload: *const u8,
    pub timestamp: i64,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CUVIDPARSERDISPINFO {
    pub picture_index: c_int,
    pub progressive_frame: c_int,
    pub top_field_first: c_int,
    pub repeat_first_field: c_int,
    pub timestamp: i64,
}

pub type PFNVIDSEQUENCECALLBACK = Option<unsafe extern "C" fn(*mut c_void, *mut CUVIDEOFORMAT) -> c_int>;
pub type PFNVIDDECODECALLBACK = Option<unsafe extern "C" fn(*mut c_void, *mut CUVIDPICPARAMS) -> c_int>;
pub type PFNVIDDISPLAYCALLBACK = Option<unsafe extern "C" fn(*mut c_void, *mut CUVIDPARSERDISPINFO) -> c_int>;
pub type PFNVIDOPPOINTCALLBACK =
    Option<unsafe extern "C" fn(*mut c_void, *mut CUVIDOPERATINGPOINTINFO) -> c_int>;
/// `PFNVIDSEIMSGCALLBACK` (12.0 and later); the message structure is opaque here.
pub type PFNVIDSEIMSGCALLBACK = Option<unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int>;

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDPARSERPARAMS {
    pub CodecType: u32,
    pub ulMaxNumDecodeSurfaces: u32,
    pub ulClockRate: u32,
    pub ulErrorThreshold: u32,
    pub ulMaxDisplayDelay: u32,
    /// Bit 0 `bAnnexb` (AV1), bit 1 `bMemoryOptimize` (13.0), the rest zero.
    pub flags: u32,
    pub uReserved1: [u32; 4],
    pub pUserData: *mut c_void,
    pub pfnSequenceCallback: PFNVIDSEQUENCECALLBACK,
    pub pfnDecodePicture: PFNVIDDECODECALLBACK,
    pub pfnDisplayPicture: PFNVIDDISPLAYCALLBACK,
    pub pfnGetOperatingPoint: PFNVIDOPPOINTCALLBACK,
    /// Reserved (zero) before 12.0.
    pub pfnGetSEIMsg: PFNVIDSEIMSGCALLBACK,
    pub pvReserved2: [*mut c_void; 5],
    pub pExtVideoInfo: *mut CUVIDEOFORMATEX,
}
