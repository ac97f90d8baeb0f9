//! Apple's structures and numbers, as the 64-bit systems lay them out.

use std::ffi::c_void;

/// A pointer to an object of CoreFoundation, whoever owns it.
pub(crate) type Ref = *const c_void;

/// Four characters as a number.
pub(crate) const fn four(code: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*code)
}

/// `CMTime`. Apple packs the structures of CoreMedia to four bytes.
#[repr(C, packed(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) value: i64,
    pub(crate) scale: i32,
    pub(crate) flags: u32,
    pub(crate) epoch: i64,
}

impl Time {
    /// `kCMTimeInvalid`.
    pub(crate) const INVALID: Self = Self { value: 0, scale: 0, flags: 0, epoch: 0 };
    /// Ticks of `TICKS` a second.
    pub(crate) const TICKS: i32 = 1_000_000_000;

    /// A time in nanoseconds.
    pub(crate) const fn nanoseconds(value: i64) -> Self {
        // kCMTimeFlags_Valid.
        Self { value, scale: Self::TICKS, flags: 1, epoch: 0 }
    }
}

/// `VTDecompressionOutputCallback`: refcon of the session and of the frame, status, flags, image, times.
pub(crate) type DecompressionCallback =
    unsafe extern "C" fn(*mut c_void, *mut c_void, i32, u32, Ref, Time, Time);

/// `VTDecompressionOutputCallbackRecord`.
#[repr(C, packed(4))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecompressionCallbackRecord {
    pub(crate) callback: DecompressionCallback,
    pub(crate) refcon: *mut c_void,
}

/// `VTCompressionOutputCallback`: refcon of the session and of the frame, status, flags, sample buffer.
pub(crate) type CompressionCallback = unsafe extern "C" fn(*mut c_void, *mut c_void, i32, u32, Ref);

const _: () = {
    assert!(size_of::<Time>() == 24 && align_of::<Time>() == 4);
    assert!(size_of::<DecompressionCallbackRecord>() == 2 * size_of::<usize>());
};

/// `CMVideoCodecType`.
pub(crate) mod codec_type {
    use super::four;

    pub(crate) const H264: u32 = four(b"avc1");
    pub(crate) const HEVC: u32 = four(b"hvc1");
    pub(crate) const VP9: u32 = four(b"vp09");
    pub(crate) const AV1: u32 = four(b"av01");
    pub(crate) const MPEG2: u32 = four(b"mp2v");
    pub(crate) const MPEG4: u32 = four(b"mp4v");
}

/// `kCVPixelFormatType_*`: two planes, Y and Cb Cr, with 10 bits in the high bits of 16; but for BGRA.
pub(crate) mod pixel_format {
    use super::four;

    pub(crate) const NV12_VIDEO: u32 = four(b"420v");
    pub(crate) const NV12_FULL: u32 = four(b"420f");
    pub(crate) const P010_VIDEO: u32 = four(b"x420");
    pub(crate) const P010_FULL: u32 = four(b"xf20");
    pub(crate) const BGRA: u32 = four(b"BGRA");
    /// 4:2:2 with 8 and 10 bits, video range and full.
    pub(crate) const YUV422: [[u32; 2]; 2] = [[four(b"422v"), four(b"422f")], [four(b"x422"), four(b"xf22")]];
    /// The same of 4:4:4.
    pub(crate) const YUV444: [[u32; 2]; 2] = [[four(b"444v"), four(b"444f")], [four(b"x444"), four(b"xf44")]];
}

/// `MTLPixelFormat`: one sample and two, with 8 bits and with 16.
pub(crate) mod texture_format {
    pub(crate) const R8: usize = 13;
    pub(crate) const RG8: usize = 33;
    pub(crate) const R16: usize = 23;
    pub(crate) const RG16: usize = 63;
}

/// `MTLSize`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) depth: usize,
}

/// `MTLCommandBufferStatusCompleted`.
pub(crate) const COMMANDS_COMPLETED: usize = 4;
/// `MTLResourceStorageModeShared`.
pub(crate) const STORAGE_SHARED: usize = 0;
/// `kVTDecodeFrame_EnableAsynchronousDecompression`.
pub(crate) const DECODE_ASYNCHRONOUSLY: u32 = 1;
/// `kVTEncodeInfo_FrameDropped`, and that of decoding.
pub(crate) const FRAME_DROPPED: u32 = 1 << 1;
/// `kCMBlockBufferAssureMemoryNowFlag`.
pub(crate) const ASSURE_MEMORY: u32 = 1;
/// `kCVPixelBufferLock_ReadOnly`.
pub(crate) const LOCK_READ_ONLY: u64 = 1;
/// `kCVAttachmentMode_ShouldPropagate`.
pub(crate) const ATTACH_PROPAGATING: u32 = 1;
/// `kCFStringEncodingUTF8`.
pub(crate) const UTF8: u32 = 0x0800_0100;
/// `kCFNumberSInt64Type`.
pub(crate) const NUMBER_I64: isize = 4;
/// `kCFNumberFloat64Type`.
pub(crate) const NUMBER_F64: isize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_lie_as_in_the_headers_of_apple() {
        assert_eq!(std::mem::offset_of!(Time, scale), 8);
        assert_eq!(std::mem::offset_of!(Time, flags), 12);
        assert_eq!(std::mem::offset_of!(Time, epoch), 16);
        assert_eq!(codec_type::H264, 0x6176_6331);
        assert_eq!(pixel_format::NV12_VIDEO, 0x3432_3076);
    }
}
