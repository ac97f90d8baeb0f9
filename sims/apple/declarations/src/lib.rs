//! The declarations of the VideoToolbox backend, held against those that objc2 generates from Apple's headers. All of it happens while
//! this is compiled for Apple's target (`scripts/apple.sh`); nothing of it runs.
//!
//! New functions in `functions! { .. }`, quoted names of constants and status codes are found by the build script, wherever they are in the
//! backend, and compared without a line here. A number in `driver/abi.rs` has one line below; without it the compiler says that it is never
//! used. A new type of object has its name in the list of `shapes!`.

#![cfg(target_vendor = "apple")]
#![allow(unsafe_code, reason = "functions are declared, and never called")]
#![allow(deprecated, reason = "objc2 would have its methods called; what is compared are the functions of C")]
#![deny(dead_code)]

mod shape;

#[allow(unused_imports, reason = "all that there is in the header is at hand")]
use {
    objc2::ffi::{class_respondsToSelector, objc_autoreleasePoolPop, objc_autoreleasePoolPush, objc_release},
    objc2_core_foundation::*,
    objc2_core_media::*,
    objc2_core_video::*,
    objc2_metal::*,
    objc2_video_toolbox::*,
};

use shape::{Shape, Shaped, agree, of, shapes};

/// The backend's numbers and structures.
#[allow(clippy::pedantic, reason = "judged where it stands")]
mod abi {
    include!(concat!(env!("OUT_DIR"), "/abi.rs"));
}
use abi::Ref;
use objc2::runtime::{AnyClass, AnyObject, Bool, ProtocolObject, Sel};

shapes! {
    CFAllocator => Shape::Object;
    CFBoolean => Shape::Object;
    CFData => Shape::Object;
    CFDictionary => Shape::Object;
    CFMutableDictionary => Shape::Object;
    CFNumber => Shape::Object;
    CFString => Shape::Object;
    CFType => Shape::Object;
    CMBlockBuffer => Shape::Object;
    CMFormatDescription => Shape::Object;
    CMSampleBuffer => Shape::Object;
    CVBuffer => Shape::Object;
    CVPixelBufferPool => Shape::Object;
    VTCompressionSession => Shape::Object;
    VTDecompressionSession => Shape::Object;
    VTPixelTransferSession => Shape::Object;
    // Numbers with a type of their own.
    CFNumberType => isize::SHAPE;
    CVAttachmentMode => u32::SHAPE;
    CVPixelBufferLockFlags => u64::SHAPE;
    VTDecodeFrameFlags => u32::SHAPE;
    VTDecodeInfoFlags => u32::SHAPE;
    VTEncodeInfoFlags => u32::SHAPE;
    // What only Apple's side knows the inside of, or the backend never passes.
    CFArrayCallBacks => Shape::Object;
    CFDictionaryKeyCallBacks => Shape::Object;
    CFDictionaryValueCallBacks => Shape::Object;
    CMBlockBufferCustomBlockSource => Shape::Object;
    CMSampleTimingInfo => Shape::Object;
    // Metal and Objective-C.
    CVMetalTextureCache => Shape::Object;
    ProtocolObject<dyn MTLDevice> => Shape::Object;
    ProtocolObject<dyn MTLTexture> => Shape::Object;
    AnyObject => Shape::Object;
    AnyClass => Shape::Object;
    Sel => <*const AnyObject>::SHAPE;
    Bool => u8::SHAPE;
    MTLPixelFormat => usize::SHAPE;
}

/// Two structures with as many fields in as many places.
macro_rules! structures {
    ($($ours:ty = $theirs:ty { $($field:ident = $their_field:ident),* })*) => { $(
        shapes! {
            $ours => Shape::Structure { bytes: size_of::<$ours>(), align: align_of::<$ours>() };
            $theirs => Shape::Structure { bytes: size_of::<$theirs>(), align: align_of::<$theirs>() };
        }
        const _: () = assert!(
            agree(&<$ours>::SHAPE, &<$theirs>::SHAPE)
                $(&& std::mem::offset_of!($ours, $field) == std::mem::offset_of!($theirs, $their_field))*,
            concat!(stringify!($ours), " lies otherwise than Apple's ", stringify!($theirs))
        );
    )* };
}
structures! {
    abi::Time = CMTime { value = value, scale = timescale, flags = flags, epoch = epoch }
    abi::DecompressionCallbackRecord = VTDecompressionOutputCallbackRecord {
        callback = decompressionOutputCallback, refcon = decompressionOutputRefCon
    }
    abi::Size = MTLSize { width = width, height = height, depth = depth }
}

/// Numbers that are Apple's.
macro_rules! numbers {
    ($($ours:expr, $theirs:expr;)*) => { $(
        const _: () = assert!(
            $ours as i128 == $theirs as i128,
            concat!(stringify!($ours), " is not Apple's ", stringify!($theirs))
        );
    )* };
}
numbers! {
    abi::codec_type::H264, kCMVideoCodecType_H264;
    abi::codec_type::HEVC, kCMVideoCodecType_HEVC;
    abi::codec_type::VP9, kCMVideoCodecType_VP9;
    abi::codec_type::AV1, kCMVideoCodecType_AV1;
    abi::codec_type::MPEG2, kCMVideoCodecType_MPEG2Video;
    abi::codec_type::MPEG4, kCMVideoCodecType_MPEG4Video;
    abi::pixel_format::BGRA, kCVPixelFormatType_32BGRA;
    abi::pixel_format::NV12_VIDEO, kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange;
    abi::pixel_format::NV12_FULL, kCVPixelFormatType_420YpCbCr8BiPlanarFullRange;
    abi::pixel_format::P010_VIDEO, kCVPixelFormatType_420YpCbCr10BiPlanarVideoRange;
    abi::pixel_format::P010_FULL, kCVPixelFormatType_420YpCbCr10BiPlanarFullRange;
    abi::pixel_format::YUV422[0][0], kCVPixelFormatType_422YpCbCr8BiPlanarVideoRange;
    abi::pixel_format::YUV422[0][1], kCVPixelFormatType_422YpCbCr8BiPlanarFullRange;
    abi::pixel_format::YUV422[1][0], kCVPixelFormatType_422YpCbCr10BiPlanarVideoRange;
    abi::pixel_format::YUV422[1][1], kCVPixelFormatType_422YpCbCr10BiPlanarFullRange;
    abi::pixel_format::YUV444[0][0], kCVPixelFormatType_444YpCbCr8BiPlanarVideoRange;
    abi::pixel_format::YUV444[0][1], kCVPixelFormatType_444YpCbCr8BiPlanarFullRange;
    abi::pixel_format::YUV444[1][0], kCVPixelFormatType_444YpCbCr10BiPlanarVideoRange;
    abi::pixel_format::YUV444[1][1], kCVPixelFormatType_444YpCbCr10BiPlanarFullRange;
    abi::DECODE_ASYNCHRONOUSLY, VTDecodeFrameFlags::Frame_EnableAsynchronousDecompression.bits();
    abi::FRAME_DROPPED, VTDecodeInfoFlags::FrameDropped.bits();
    abi::FRAME_DROPPED, VTEncodeInfoFlags::FrameDropped.bits();
    abi::ASSURE_MEMORY, kCMBlockBufferAssureMemoryNowFlag;
    abi::LOCK_READ_ONLY, CVPixelBufferLockFlags::ReadOnly.bits();
    abi::ATTACH_PROPAGATING, CVAttachmentMode::ShouldPropagate.0;
    abi::UTF8, CFStringBuiltInEncodings::EncodingUTF8.0;
    abi::NUMBER_I64, CFNumberType::SInt64Type.0;
    abi::NUMBER_F64, CFNumberType::Float64Type.0;
    abi::texture_format::R8, MTLPixelFormat::R8Uint.0;
    abi::texture_format::RG8, MTLPixelFormat::RG8Uint.0;
    abi::texture_format::R16, MTLPixelFormat::R16Uint.0;
    abi::texture_format::RG16, MTLPixelFormat::RG16Uint.0;
    abi::COMMANDS_COMPLETED, MTLCommandBufferStatus::Completed.0;
    abi::STORAGE_SHARED, MTLResourceOptions::StorageModeShared.0;
    abi::Time::INVALID.flags & CMTimeFlags::Valid.bits(), 0;
    abi::Time::nanoseconds(7).flags, CMTimeFlags::Valid.bits();
    abi::Time::TICKS, 1_000_000_000;
}

/// Functions that objc2 has in other forms than as functions of C: declared here after Apple's documents, and no foreign judgement.
#[allow(non_snake_case, reason = "Apple's names")]
mod by_hand {
    use std::ffi::c_char;

    use objc2::runtime::{AnyClass, AnyObject, Sel};
    use objc2_core_foundation::{CFType, CFTypeID};
    unsafe extern "C-unwind" {
        pub(crate) fn CFRetain(object: *const CFType) -> *const CFType;
        pub(crate) fn CFRelease(object: *const CFType);
        pub(crate) fn CFBooleanGetTypeID() -> CFTypeID;
        pub(crate) fn object_getClass(object: *const AnyObject) -> *const AnyClass;
        pub(crate) fn sel_registerName(name: *const c_char) -> Option<Sel>;
        pub(crate) fn class_getMethodImplementation(
            class: *const AnyClass,
            name: Sel,
        ) -> Option<unsafe extern "C" fn()>;
    }
}
use by_hand::*;
// objc2 has these two with another word for exceptions.
const _: () = {
    let theirs = of(objc2::ffi::object_getClass as unsafe extern "C" fn(_) -> _);
    assert!(agree(&of(object_getClass as unsafe extern "C-unwind" fn(_) -> _), &theirs));
    let theirs = of(objc2::ffi::sel_registerName as unsafe extern "C" fn(_) -> _);
    assert!(agree(&of(sel_registerName as unsafe extern "C-unwind" fn(_) -> _), &theirs));
};

macro_rules! functions {
    ($($framework:ident { $($name:ident($($type:ty),* $(,)?) $(-> $out:ty)?;)* })*) => { $($(
        const _: () = {
            let theirs = of($name as unsafe extern "C-unwind" fn($(any!($type)),*) -> _);
            let ours = <unsafe extern "C" fn($($type),*) $(-> $out)? as Shaped>::SHAPE;
            assert!(agree(&ours, &theirs), concat!(stringify!($name), " is declared otherwise than in Apple's headers"));
        };
    )*)* };
}
macro_rules! any {
    ($type:ty) => {
        _
    };
}

/// The tables of functions, as they stand in the backend.
mod tables {
    use std::ffi::{c_char, c_int, c_void};

    use super::abi::{CompressionCallback, DecompressionCallbackRecord, Time};
    use super::*;
    include!(concat!(env!("OUT_DIR"), "/tables.rs"));
    // Looked for by hand, since older systems lack it.
    functions! { VideoToolbox { VTRegisterSupplementalVideoDecoderIfAvailable(u32); } }
}
const _: () = assert!(
    agree(&abi::DecompressionCallback::SHAPE, &VTDecompressionOutputCallback::SHAPE),
    "the callback of decoders has other arguments"
);

/// Variables of the frameworks that the backend looks for by their names: pointers to objects.
macro_rules! objects {
    ($($name:ident),*) => { const _: () = { $(assert!(is_object(&raw const $name), concat!(stringify!($name), " is no object"));)* }; };
}
const fn is_object<T: Shaped>(_: *const T) -> bool {
    matches!(T::SHAPE, Shape::Pointer(Shape::Object))
}
/// The same, of the structures that are passed by their addresses.
macro_rules! records {
    ($($name:ident),*) => { const _: () = { $(let _ = &raw const $name;)* }; };
}
include!(concat!(env!("OUT_DIR"), "/names.rs"));

/// Status codes with Apple's names. Every code in the backend is one of them.
macro_rules! codes {
    ($($code:literal = $theirs:expr;)*) => {
        $(const _: () = assert!($code == $theirs, concat!(stringify!($theirs), " is not ", stringify!($code)));)*
        const NAMED: &[i32] = &[$($code),*];
    };
}
include!(concat!(env!("OUT_DIR"), "/codes.rs"));
codes! {
    -12900 = kVTPropertyNotSupportedErr;
    -12901 = kVTPropertyReadOnlyErr;
    -12902 = kVTParameterErr;
    -12903 = kVTInvalidSessionErr;
    -12904 = kVTAllocationFailedErr;
    -12905 = kVTPixelTransferNotSupportedErr;
    -12906 = kVTCouldNotFindVideoDecoderErr;
    -12907 = kVTCouldNotCreateInstanceErr;
    -12908 = kVTCouldNotFindVideoEncoderErr;
    -12909 = kVTVideoDecoderBadDataErr;
    -12910 = kVTVideoDecoderUnsupportedDataFormatErr;
    -12911 = kVTVideoDecoderMalfunctionErr;
    -12912 = kVTVideoEncoderMalfunctionErr;
    -12913 = kVTVideoDecoderNotAvailableNowErr;
    -12915 = kVTVideoEncoderNotAvailableNowErr;
    -12916 = kVTFormatDescriptionChangeNotSupportedErr;
    -12210 = kVTVideoDecoderAuthorizationErr;
    -12211 = kVTVideoEncoderAuthorizationErr;
    -17690 = kVTVideoDecoderRemovedErr;
    -17691 = kVTSessionMalfunctionErr;
    -17692 = kVTVideoDecoderNeedsRosettaErr;
    -17693 = kVTVideoEncoderNeedsRosettaErr;
    -17694 = kVTVideoDecoderReferenceMissingErr;
    -17695 = kVTVideoDecoderCallbackMessagingErr;
    -17696 = kVTVideoDecoderUnknownErr;
    -17697 = kVTExtensionDisabledErr;
    -12700 = kCMBlockBufferStructureAllocationFailedErr;
    -12701 = kCMBlockBufferBlockAllocationFailedErr;
    -12710 = kCMFormatDescriptionError_InvalidParameter;
    -12711 = kCMFormatDescriptionError_AllocationFailed;
    -12730 = kCMSampleBufferError_AllocationFailed;
    -12731 = kCMSampleBufferError_RequiredParameterMissing;
    -6660 = kCVReturnError;
    -6661 = kCVReturnInvalidArgument;
    -6662 = kCVReturnAllocationFailed;
    -6680 = kCVReturnInvalidPixelFormat;
    -6681 = kCVReturnInvalidSize;
    -6689 = kCVReturnWouldExceedAllocationThreshold;
    -6690 = kCVReturnPoolAllocationFailed;
    -6691 = kCVReturnInvalidPoolAttributes;
}
/// Older than VideoToolbox, and not in its headers: `paramErr` and `codecBadDataErr`.
const OLD: &[i32] = &[-50, -8969];

const fn has(codes: &[i32], code: i32) -> bool {
    let mut index = 0;
    while index < codes.len() {
        if codes[index] == code {
            return true;
        }
        index += 1;
    }
    false
}
const _: () = {
    let mut index = 0;
    while index < CODES.len() {
        assert!(
            has(NAMED, CODES[index]) || has(OLD, CODES[index]),
            "a status code of the backend has no name of Apple's here"
        );
        index += 1;
    }
};
