//! The Metal framework and Objective-C's runtime, opened at run time like the others, but only when something is to be converted:
//! without them the CPU does it.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::sync::OnceLock;

use libloading::Library;

use super::abi::Ref;
use crate::backend::BackendKind;
use crate::error::{Error, Result};

/// A method of an object, before it has its type.
pub(super) type Method = unsafe extern "C" fn();

/// Where functions are; on other systems a library of the simulation's name stands for all (see [`super::library`]).
const FILES: &[&str] = if cfg!(target_vendor = "apple") {
    &[
        // Programs without a window have no device of Metal's unless this is loaded (MTLCreateSystemDefaultDevice).
        "/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics",
        "/System/Library/Frameworks/Metal.framework/Metal",
        "/System/Library/Frameworks/CoreVideo.framework/CoreVideo",
        "/usr/lib/libobjc.A.dylib",
    ]
} else if cfg!(windows) {
    &[]
} else {
    &["libVideoToolbox.so"]
};

/// As in `library`; all libraries are asked, whatever they are said to hold.
macro_rules! functions {
    ($($framework:ident { $($name:ident($($type:ty),*) $(-> $out:ty)?;)* })*) => {
        /// The functions, under Apple's names.
        #[allow(non_snake_case, reason = "Apple's names")]
        pub(super) struct Metal {
            $($(pub(super) $name: unsafe extern "C" fn($($type),*) $(-> $out)?,)*)*
            _libraries: Vec<Library>,
        }

        impl Metal {
            fn load() -> Result<Self, String> {
                let open = |file: &&str| {
                    // SAFETY: as in `library`: the system's own libraries by their absolute paths, or the simulation.
                    unsafe { Library::new(file) }.map_err(|error| format!("{file} cannot be loaded: {error}"))
                };
                let libraries = FILES.iter().map(open).collect::<Result<Vec<_>, _>>()?;
                Ok(Self {
                    $($($name: {
                        let name = concat!(stringify!($name), "\0").as_bytes();
                        let found = libraries.iter().find_map(|library| {
                            // SAFETY: the signature is the one of Apple's documents, and the library is never unloaded, so that
                            // the pointer stays valid.
                            unsafe { library.get(name) }.ok().map(|symbol| *symbol)
                        });
                        found.ok_or_else(|| format!("there is no {}", stringify!($name)))?
                    },)*)*
                    _libraries: libraries,
                })
            }
        }
    };
}

functions! {
    Metal {
        MTLCreateSystemDefaultDevice() -> Ref;
    }
    CoreVideo {
        CVMetalTextureCacheCreate(Ref, Ref, Ref, Ref, *mut Ref) -> i32;
        CVMetalTextureCacheCreateTextureFromImage(
            Ref, Ref, Ref, Ref, usize, usize, usize, usize, *mut Ref) -> i32;
        CVMetalTextureGetTexture(Ref) -> Ref;
        CVMetalTextureCacheFlush(Ref, u64);
    }
    Objc {
        object_getClass(Ref) -> Ref;
        sel_registerName(*const c_char) -> Ref;
        class_respondsToSelector(Ref, Ref) -> u8;
        class_getMethodImplementation(Ref, Ref) -> Option<unsafe extern "C" fn()>;
        objc_release(Ref);
    }
}

impl fmt::Debug for Metal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metal").finish_non_exhaustive()
    }
}

impl Metal {
    /// The method of an object by its name.
    ///
    /// # Errors
    /// An object without it: another class, or an older system.
    ///
    /// # Safety
    /// `object` is an object of Objective-C that is alive.
    pub(super) unsafe fn method(&self, object: Ref, name: &'static CStr) -> Result<(Ref, Method)> {
        // SAFETY: the object is alive, as the caller says, and so is its class; the name ends with a NUL.
        let (selector, found) = unsafe {
            let (class, selector) = ((self.object_getClass)(object), (self.sel_registerName)(name.as_ptr()));
            let responds = (self.class_respondsToSelector)(class, selector) & 1 == 1;
            (selector, responds.then(|| (self.class_getMethodImplementation)(class, selector)).flatten())
        };
        found.map(|method| (selector, method)).ok_or_else(|| unavailable(format!("no method {name:?}")))
    }
}

fn unavailable(reason: String) -> Error {
    Error::Unavailable {
        backend: BackendKind::VideoToolbox,
        reason: format!("Metal: {reason}"),
        remedy: "nothing: the CPU converts instead".into(),
    }
}

/// The loaded libraries.
///
/// # Errors
/// [`Error::Unavailable`] with what is missing.
pub(super) fn metal() -> Result<&'static Metal> {
    static METAL: OnceLock<Result<Metal, String>> = OnceLock::new();
    METAL.get_or_init(Metal::load).as_ref().map_err(|reason| unavailable(reason.clone()))
}
