//! Declarations of the decoder library, with the names and layouts of `cuviddec.h` and `nvcuvid.h` (13.0, which the
//! layouts of 11.1 agree with). Enumerations are plain numbers: what a client passes may be anything. The sizes
//! are asserted here, the offsets in `tests/simulation/nvdec_decoder_abi.rs` against the C headers.

#![allow(missing_docs, reason = "the names are NVIDIA's and documented in its headers")]

mod parser;
mod picture;

pub use parser::*;
pub use picture::*;

use std::ffi::{c_int, c_ulong, c_void};

/// `CUvideodecoder`.
pub type CUvideodecoder = *mut c_void;
/// `CUvideoctxlock`.
pub type CUvideoctxlock = *mut c_void;

/// `cudaVideoCodec`.
pub mod codec {
    pub const MPEG1: u32 = 0;
    pub const MPEG2: u32 = 1;
    pub const MPEG4: u32 = 2;
    pub const VC1: u32 = 3;
    pub const H264: u32 = 4;
    pub const JPEG: u32 = 5;
    pub const H264_SVC: u32 = 6;
    pub const H264_MVC: u32 = 7;
    pub const HEVC: u32 = 8;
    pub const VP8: u32 = 9;
    pub const VP9: u32 = 10;
    pub const AV1: u32 = 11;
}

/// `cudaVideoSurfaceFormat`.
pub mod surface_format {
    pub const NV12: u32 = 0;
    pub const P016: u32 = 1;
    pub const YUV444: u32 = 2;
    pub const YUV444_16BIT: u32 = 3;
    /// 13.0 and later.
    pub const NV16: u32 = 4;
    /// 13.0 and later.
    pub const P216: u32 = 5;
}

/// `cudaVideoChromaFormat`.
pub mod chroma_format {
    pub const MONOCHROME: u32 = 0;
    pub const YUV420: u32 = 1;
    pub const YUV422: u32 = 2;
    pub const YUV444: u32 = 3;
}

/// `cudaVideoDeinterlaceMode`.
pub mod deinterlace {
    pub const WEAVE: u32 = 0;
    pub const BOB: u32 = 1;
    pub const ADAPTIVE: u32 = 2;
}

/// `cudaVideoCreateFlags`.
pub mod create_flags {
    pub const PREFER_CUDA: c_flags = 1;
    pub const PREFER_DXVA: c_flags = 2;
    pub const PREFER_CUVID: c_flags = 4;
    #[allow(non_camel_case_types)]
    type c_flags = std::ffi::c_ulong;
}

/// `cuvidDecodeStatus`.
pub mod decode_status {
    pub const INVALID: u32 = 0;
    pub const IN_PROGRESS: u32 = 1;
    pub const SUCCESS: u32 = 2;
    pub const ERROR: u32 = 8;
    pub const ERROR_CONCEALED: u32 = 9;
}

/// A rectangle of `short`s, as the decoder's structures hold it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShortRect {
    pub left: i16,
    pub top: i16,
    pub right: i16,
    pub bottom: i16,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDDECODECAPS {
    pub eCodecType: u32,
    pub eChromaFormat: u32,
    pub nBitDepthMinus8: u32,
    pub reserved1: [u32; 3],
    pub bIsSupported: u8,
    pub nNumNVDECs: u8,
    pub nOutputFormatMask: u16,
    pub nMaxWidth: u32,
    pub nMaxHeight: u32,
    pub nMaxMBCount: u32,
    pub nMinWidth: u16,
    pub nMinHeight: u16,
    pub bIsHistogramSupported: u8,
    pub nCounterBitDepth: u8,
    pub nMaxHistogramBins: u16,
    pub reserved3: [u32; 10],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDDECODECREATEINFO {
    pub ulWidth: c_ulong,
    pub ulHeight: c_ulong,
    pub ulNumDecodeSurfaces: c_ulong,
    pub CodecType: u32,
    pub ChromaFormat: u32,
    pub ulCreationFlags: c_ulong,
    pub bitDepthMinus8: c_ulong,
    pub ulIntraDecodeOnly: c_ulong,
    pub ulMaxWidth: c_ulong,
    pub ulMaxHeight: c_ulong,
    pub Reserved1: c_ulong,
    pub display_area: ShortRect,
    pub OutputFormat: u32,
    pub DeinterlaceMode: u32,
    pub ulTargetWidth: c_ulong,
    pub ulTargetHeight: c_ulong,
    pub ulNumOutputSurfaces: c_ulong,
    pub vidLock: CUvideoctxlock,
    pub target_rect: ShortRect,
    pub enableHistogram: c_ulong,
    pub Reserved2: [c_ulong; 4],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDPROCPARAMS {
    pub progressive_frame: c_int,
    pub second_field: c_int,
    pub top_field_first: c_int,
    pub unpaired_field: c_int,
    pub reserved_flags: u32,
    pub reserved_zero: u32,
    pub raw_input_dptr: u64,
    pub raw_input_pitch: u32,
    pub raw_input_format: u32,
    pub raw_output_dptr: u64,
    pub raw_output_pitch: u32,
    pub Reserved1: u32,
    pub output_stream: *mut c_void,
    pub Reserved: [u32; 46],
    pub histogram_dptr: *mut u64,
    pub Reserved2: [*mut c_void; 1],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDGETDECODESTATUS {
    pub decodeStatus: u32,
    pub reserved: [u32; 31],
    pub pReserved: [*mut c_void; 8],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDRECONFIGUREDECODERINFO {
    pub ulWidth: u32,
    pub ulHeight: u32,
    pub ulTargetWidth: u32,
    pub ulTargetHeight: u32,
    pub ulNumDecodeSurfaces: u32,
    pub reserved1: [u32; 12],
    pub display_area: ShortRect,
    pub target_rect: ShortRect,
    pub reserved2: [u32; 11],
}

/// Structures of plain numbers and pointers, for which all bytes zero is a valid value (the state every client
/// starts from).
///
/// # Safety
/// The all-zero bit pattern must be a valid value of the type.
pub unsafe trait Zeroed: Copy {
    /// All bytes zero.
    fn zeroed() -> Self {
        // SAFETY: promised by the implementation of the trait.
        unsafe { std::mem::zeroed() }
    }
}

/// Declares that structures may start as all zero, and how large they are: `unsigned long` is shorter on Windows (D-19).
macro_rules! layouts {
    ($($name:ident = $size:expr;)*) => { $(
        // SAFETY: numbers, raw pointers, `Option`s of functions and unions of these only.
        unsafe impl Zeroed for $name {}
        #[cfg(target_pointer_width = "64")]
        const _: () = assert!(size_of::<$name>() == $size);
    )* };
}

layouts! {
    CUVIDDECODECAPS = 88;
    CUVIDDECODECREATEINFO = if cfg!(windows) { 112 } else { 176 };
    CUVIDPICPARAMS = 4280;
    CUVIDPROCPARAMS = 264;
    CUVIDGETDECODESTATUS = 192;
    CUVIDRECONFIGUREDECODERINFO = 128;
    CUVIDEOFORMAT = 64;
    CUVIDEOFORMATEX = 1088;
    CUVIDOPERATINGPOINTINFO = 1028;
    CUVIDPARSERPARAMS = 136;
    CUVIDSOURCEDATAPACKET = if cfg!(windows) { 24 } else { 32 };
    CUVIDPARSERDISPINFO = 24;
    CUVIDMPEG2PICPARAMS = 192;
    CUVIDH264PICPARAMS = 984;
    CUVIDVC1PICPARAMS = 132;
    CUVIDMPEG4PICPARAMS = 220;
    CUVIDHEVCPICPARAMS = 1484;
    CUVIDVP8PICPARAMS = 32;
    CUVIDVP9PICPARAMS = 220;
    CUVIDAV1PICPARAMS = 1024;
}
