//! Finding Apple's frameworks at run time, and saying what is missing.

use std::ffi::{c_int, c_void};
use std::fmt;
use std::sync::OnceLock;

use libloading::Library;

use super::abi::{CompressionCallback, DecompressionCallbackRecord, Ref, Time};
use crate::backend::BackendKind;
use crate::error::{Error, Remedy, Result};

/// What other systems are told.
const ELSEWHERE: &str = "VideoToolbox is part of macOS, and this is another system";

/// Why the frameworks cannot be used: kept for the life of the process.
#[derive(Clone, Debug)]
struct Missing {
    reason: String,
    remedy: Remedy,
}

impl Missing {
    fn new(reason: impl Into<String>) -> Self {
        let remedy: Remedy = if cfg!(target_vendor = "apple") {
            "Use a macOS that has it (10.13 and newer)".into()
        } else {
            Remedy::OtherBackend
        };
        Self { reason: reason.into(), remedy }
    }

    fn error(&self) -> Error {
        Error::Unavailable {
            backend: BackendKind::VideoToolbox,
            reason: self.reason.clone(),
            remedy: self.remedy.clone(),
        }
    }
}

/// The frameworks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framework {
    CoreFoundation,
    CoreMedia,
    CoreVideo,
    VideoToolbox,
}

impl Framework {
    const ALL: [Self; 4] = [Self::CoreFoundation, Self::CoreMedia, Self::CoreVideo, Self::VideoToolbox];

    /// Where it is. Other systems have none: there a library of this name, found where the system looks for its own, stands
    /// for all four (`sims/apple/` for tests). Windows would look in the current directory too, and is not asked.
    const fn file(self) -> Option<&'static str> {
        if cfg!(target_vendor = "apple") {
            return Some(match self {
                Self::CoreFoundation => "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation",
                Self::CoreMedia => "/System/Library/Frameworks/CoreMedia.framework/CoreMedia",
                Self::CoreVideo => "/System/Library/Frameworks/CoreVideo.framework/CoreVideo",
                Self::VideoToolbox => "/System/Library/Frameworks/VideoToolbox.framework/VideoToolbox",
            });
        }
        if cfg!(windows) { None } else { Some("libVideoToolbox.so") }
    }

    fn open(self) -> Result<Library, Missing> {
        let file = self.file().ok_or_else(|| Missing::new(ELSEWHERE))?;
        // SAFETY: loading runs the initialisers of the system's own frameworks, by their absolute paths; on other systems of
        // a library that somebody has put into the system's search path.
        unsafe { Library::new(file) }.map_err(|error| {
            if cfg!(target_vendor = "apple") {
                Missing::new(format!("{file} cannot be loaded: {error}"))
            } else {
                Missing::new(ELSEWHERE)
            }
        })
    }
}

/// Declares the table: all functions found when it is made, or the first that is missing is named.
macro_rules! functions {
    ($($framework:ident { $($name:ident($($type:ty),*) $(-> $out:ty)?;)* })*) => {
        /// The functions of the frameworks, under Apple's names.
        #[allow(non_snake_case, reason = "Apple's names")]
        pub(crate) struct Api {
            $($(pub(super) $name: unsafe extern "C" fn($($type),*) $(-> $out)?,)*)*
            /// `VTRegisterSupplementalVideoDecoderIfAvailable`: macOS 11 and newer.
            pub(super) register_decoder: Option<unsafe extern "C" fn(u32)>,
            /// `objc_autoreleasePoolPush` and `objc_autoreleasePoolPop`, where the runtime of Objective-C is.
            pub(super) pools: Option<(unsafe extern "C" fn() -> *mut c_void, unsafe extern "C" fn(*mut c_void))>,
            libraries: Vec<Library>,
        }

        impl Api {
            fn load() -> Result<Self, Missing> {
                let libraries = Framework::ALL.map(Framework::open).into_iter().collect::<Result<Vec<_>, _>>()?;
                let find = |framework: Framework, name: &str| {
                    libraries.get(framework as usize).ok_or_else(|| {
                        Missing::new(format!("{framework:?} has no {name}"))
                    })
                };
                Ok(Self {
                    $($($name: {
                        let library = find(Framework::$framework, stringify!($name))?;
                        // SAFETY: the signature is the one of Apple's documents, and the library is never unloaded, so that
                        // the pointer stays valid.
                        match unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) } {
                            Ok(symbol) => *symbol,
                            Err(_) => return Err(Missing::new(format!(
                                "{:?} has no {}: it is too old", Framework::$framework, stringify!($name)
                            ))),
                        }
                    },)*)*
                    register_decoder: {
                        let library = find(Framework::VideoToolbox, "decoders")?;
                        // SAFETY: as above.
                        unsafe { library.get(b"VTRegisterSupplementalVideoDecoderIfAvailable\0") }.ok().map(|symbol| *symbol)
                    },
                    pools: libraries.iter().find_map(|library| {
                        // SAFETY: as above. A library answers for those that it is linked with, too.
                        unsafe {
                            let push = library.get(b"objc_autoreleasePoolPush\0").ok()?;
                            Some((*push, *library.get(b"objc_autoreleasePoolPop\0").ok()?))
                        }
                    }),
                    libraries,
                })
            }
        }
    };
}

functions! {
    CoreFoundation {
        CFRetain(Ref) -> Ref;
        CFRelease(Ref);
        CFGetTypeID(Ref) -> usize;
        CFEqual(Ref, Ref) -> u8;
        CFStringCreateWithBytes(Ref, *const u8, isize, u32, u8) -> Ref;
        CFNumberCreate(Ref, isize, *const c_void) -> Ref;
        CFBooleanGetValue(Ref) -> u8;
        CFBooleanGetTypeID() -> usize;
        CFDataCreate(Ref, *const u8, isize) -> Ref;
        CFDictionaryCreateMutable(Ref, isize, *const c_void, *const c_void) -> Ref;
        CFDictionarySetValue(Ref, Ref, Ref);
        CFDictionaryGetValue(Ref, Ref) -> Ref;
        CFArrayCreate(Ref, *const Ref, isize, *const c_void) -> Ref;
        CFArrayGetCount(Ref) -> isize;
        CFArrayGetValueAtIndex(Ref, isize) -> Ref;
    }
    CoreMedia {
        CMVideoFormatDescriptionCreate(Ref, u32, i32, i32, Ref, *mut Ref) -> i32;
        CMVideoFormatDescriptionCreateFromH264ParameterSets(
            Ref, usize, *const *const u8, *const usize, c_int, *mut Ref) -> i32;
        CMVideoFormatDescriptionCreateFromHEVCParameterSets(
            Ref, usize, *const *const u8, *const usize, c_int, Ref, *mut Ref) -> i32;
        CMVideoFormatDescriptionGetH264ParameterSetAtIndex(
            Ref, usize, *mut *const u8, *mut usize, *mut usize, *mut c_int) -> i32;
        CMVideoFormatDescriptionGetHEVCParameterSetAtIndex(
            Ref, usize, *mut *const u8, *mut usize, *mut usize, *mut c_int) -> i32;
        CMBlockBufferCreateWithMemoryBlock(
            Ref, *mut c_void, usize, Ref, *const c_void, usize, usize, u32, *mut Ref) -> i32;
        CMBlockBufferReplaceDataBytes(*const c_void, Ref, usize, usize) -> i32;
        CMBlockBufferCopyDataBytes(Ref, usize, usize, *mut c_void) -> i32;
        CMBlockBufferGetDataLength(Ref) -> usize;
        CMSampleBufferCreateReady(
            Ref, Ref, Ref, isize, isize, *const c_void, isize, *const usize, *mut Ref) -> i32;
        CMSampleBufferGetDataBuffer(Ref) -> Ref;
        CMSampleBufferGetFormatDescription(Ref) -> Ref;
        CMSampleBufferGetSampleAttachmentsArray(Ref, u8) -> Ref;
    }
    CoreVideo {
        CVPixelBufferPoolCreate(Ref, Ref, Ref, *mut Ref) -> i32;
        CVPixelBufferPoolCreatePixelBuffer(Ref, Ref, *mut Ref) -> i32;
        CVPixelBufferLockBaseAddress(Ref, u64) -> i32;
        CVPixelBufferUnlockBaseAddress(Ref, u64) -> i32;
        CVPixelBufferGetBaseAddressOfPlane(Ref, usize) -> *mut u8;
        CVPixelBufferGetBaseAddress(Ref) -> *mut u8;
        CVPixelBufferGetBytesPerRow(Ref) -> usize;
        CVPixelBufferGetBytesPerRowOfPlane(Ref, usize) -> usize;
        CVPixelBufferGetHeightOfPlane(Ref, usize) -> usize;
        CVPixelBufferGetWidth(Ref) -> usize;
        CVPixelBufferGetHeight(Ref) -> usize;
        CVPixelBufferGetPlaneCount(Ref) -> usize;
        CVPixelBufferGetPixelFormatType(Ref) -> u32;
        CVBufferGetAttachment(Ref, Ref, *mut u32) -> Ref;
        CVBufferSetAttachment(Ref, Ref, Ref, u32);
    }
    VideoToolbox {
        VTDecompressionSessionCreate(Ref, Ref, Ref, Ref, *const DecompressionCallbackRecord, *mut Ref) -> i32;
        VTDecompressionSessionDecodeFrame(Ref, Ref, u32, *mut c_void, *mut u32) -> i32;
        VTDecompressionSessionFinishDelayedFrames(Ref) -> i32;
        VTDecompressionSessionWaitForAsynchronousFrames(Ref) -> i32;
        VTDecompressionSessionCanAcceptFormatDescription(Ref, Ref) -> u8;
        VTDecompressionSessionInvalidate(Ref);
        VTCompressionSessionCreate(
            Ref, i32, i32, u32, Ref, Ref, Ref, CompressionCallback, *mut c_void, *mut Ref) -> i32;
        VTCompressionSessionPrepareToEncodeFrames(Ref) -> i32;
        VTCompressionSessionEncodeFrame(Ref, Ref, Time, Time, Ref, *mut c_void, *mut u32) -> i32;
        VTCompressionSessionCompleteFrames(Ref, Time) -> i32;
        VTCompressionSessionGetPixelBufferPool(Ref) -> Ref;
        VTCompressionSessionInvalidate(Ref);
        VTSessionSetProperty(Ref, Ref, Ref) -> i32;
        VTSessionCopyProperty(Ref, Ref, Ref, *mut Ref) -> i32;
        VTSessionCopySupportedPropertyDictionary(Ref, *mut Ref) -> i32;
        VTCopySupportedPropertyDictionaryForEncoder(i32, i32, u32, Ref, *mut Ref, *mut Ref) -> i32;
        VTIsHardwareDecodeSupported(u32) -> u8;
        VTPixelTransferSessionCreate(Ref, *mut Ref) -> i32;
        VTPixelTransferSessionTransferImage(Ref, Ref, Ref) -> i32;
        VTPixelTransferSessionInvalidate(Ref);
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    /// The address of a variable of the frameworks.
    pub(super) fn variable(&self, name: &str) -> Option<Ref> {
        let name = format!("{name}\0");
        self.libraries.iter().find_map(|library| {
            // SAFETY: the address alone is asked for; whoever reads through it knows the variable.
            let symbol = unsafe { library.get::<Ref>(name.as_bytes()) }.ok()?;
            // SAFETY: the library is never unloaded, so that the address stays valid.
            unsafe { symbol.try_as_raw_ptr() }.map(|address| address.cast_const().cast())
        })
    }
}

/// The loaded frameworks.
///
/// # Errors
/// [`Error::Unavailable`] with what is missing.
pub(crate) fn api() -> Result<&'static Api> {
    static API: OnceLock<Result<Api, Missing>> = OnceLock::new();
    API.get_or_init(Api::load).as_ref().map_err(Missing::error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path of the system, or a name without a folder: a path without a root is looked up in the current directory.
    #[test]
    fn frameworks_are_looked_for_where_the_system_keeps_them() {
        for file in Framework::ALL.into_iter().filter_map(Framework::file) {
            let is_path = file.contains('/');
            assert_eq!(is_path, file.starts_with("/System/Library/Frameworks/"), "{file}");
            assert_eq!(is_path, cfg!(target_vendor = "apple"));
        }
    }
}
