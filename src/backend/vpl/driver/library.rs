//! Finding oneVPL at run time: its dispatcher, which finds the GPU's runtime, or that runtime itself.

use std::fmt;
use std::sync::OnceLock;

use libloading::Library;

use super::abi::{Bitstream, EncodeCtrl, FrameSurface, Handle, InitializationParam, VideoParam};
use super::nodes;
use super::status::Status;
use crate::backend::BackendKind;
use crate::error::{Error, Remedy, Result};

/// Why it cannot be used: kept for the life of the process, since a driver is not installed while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    pub(crate) reason: String,
    pub(crate) remedy: Remedy,
}

impl Missing {
    pub(crate) fn new(reason: impl Into<String>, remedy: impl Into<Remedy>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }

    pub(crate) fn error(&self) -> Error {
        Error::Unavailable {
            backend: BackendKind::Qsv,
            reason: self.reason.clone(),
            remedy: self.remedy.clone(),
        }
    }
}

/// The library that all calls go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dispatcher,
    Runtime,
}

impl Kind {
    const fn file(self) -> &'static str {
        match (self, cfg!(windows)) {
            (Self::Dispatcher, false) => "libvpl.so.2",
            (Self::Dispatcher, true) => "libvpl.dll",
            (Self::Runtime, false) => "libmfx-gen.so.1.2",
            (Self::Runtime, true) => "libmfx64-gen.dll",
        }
    }
}

/// What to do where there is no runtime for the GPU.
pub(super) const fn install_runtime() -> Remedy {
    if cfg!(windows) {
        Remedy::install("driver", "Install the graphics driver of Intel, which brings the runtime")
    } else {
        Remedy::install(
            "libmfx-gen.so.1.2",
            "Install Intel's runtime and its VA-API driver (Debian and Ubuntu: libmfx-gen1.2, or libmfxgen1, and \
             intel-media-va-driver-non-free; Fedora: intel-vpl-gpu-rt and intel-media-driver)",
        )
    }
}

/// Loads a library from where the system keeps its own: by a name without a folder, so that the current directory plays no
/// part in it.
#[cfg(not(windows))]
fn open(file: &str) -> Result<Library, libloading::Error> {
    // SAFETY: loading runs the initialisers of the system's own library, found by the system's own search path.
    unsafe { Library::new(file) }
}

/// As above, in the system's folder and in those of drivers: a program lies among downloads perhaps, beside what anybody has put
/// there.
#[cfg(windows)]
fn open(file: &str) -> Result<Library, libloading::Error> {
    use libloading::os::windows::{
        LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR, LOAD_LIBRARY_SEARCH_SYSTEM32, Library as Windows,
    };
    // SAFETY: loading runs the initialisers of the system's own library, from the folder of the system.
    let in_system = unsafe { Windows::load_with_flags(file, LOAD_LIBRARY_SEARCH_SYSTEM32) };
    in_system.map(Library::from).or_else(|error| {
        for folder in super::driver_store::folders() {
            let flags = LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32;
            // SAFETY: as above, from a folder that a driver has put down where administrators alone write.
            if let Ok(library) = unsafe { Windows::load_with_flags(folder.join(file), flags) } {
                return Ok(library.into());
            }
        }
        Err(error)
    })
}

/// Declares a table of functions: all found when it is made, or the first that is missing is named.
macro_rules! functions {
    ($(#[$about:meta])* $table:ident { $($name:ident($($type:ty),* $(,)?) -> $out:ty;)* }) => {
        $(#[$about])*
        #[allow(non_snake_case, reason = "Intel's names")]
        pub(crate) struct $table {
            $(pub(super) $name: unsafe extern "C" fn($($type),*) -> $out,)*
        }

        impl $table {
            fn load(library: &Library, kind: Kind) -> Result<Self, Missing> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the signature is the one of the header, and the library is never unloaded, so that the
                        // pointer stays valid.
                        match unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) } {
                            Ok(symbol) => *symbol,
                            Err(_) => return Err(Missing::new(
                                format!("{} has no {}: it is too old", kind.file(), stringify!($name)),
                                install_runtime(),
                            )),
                        }
                    },)*
                })
            }
        }
    };
}

functions! {
    /// What the dispatcher has besides.
    Dispatcher {
        MFXLoad() -> Handle;
        MFXEnumImplementations(Handle, u32, i32, *mut Handle) -> Status;
        MFXCreateSession(Handle, u32, *mut Handle) -> Status;
        MFXDispReleaseImplDescription(Handle, Handle) -> Status;
    }
}

functions! {
    /// What a runtime has besides.
    Runtime {
        MFXQueryImplsDescription(i32, *mut u32) -> *mut Handle;
        MFXReleaseImplDescription(Handle) -> Status;
        MFXInitialize(InitializationParam, *mut Handle) -> Status;
    }
}

functions! {
    /// What is done with a session.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "displays are handed over on Linux alone"))]
    Functions {
        MFXClose(Handle) -> Status;
        MFXVideoCORE_SetHandle(Handle, i32, Handle) -> Status;
        MFXVideoCORE_SyncOperation(Handle, Handle, u32) -> Status;
        MFXMemory_GetSurfaceForEncode(Handle, *mut *mut FrameSurface) -> Status;
        MFXVideoDECODE_Query(Handle, *const VideoParam, *mut VideoParam) -> Status;
        MFXVideoDECODE_DecodeHeader(Handle, *mut Bitstream, *mut VideoParam) -> Status;
        MFXVideoDECODE_Init(Handle, *const VideoParam) -> Status;
        MFXVideoDECODE_Reset(Handle, *const VideoParam) -> Status;
        MFXVideoDECODE_Close(Handle) -> Status;
        MFXVideoDECODE_DecodeFrameAsync(
            Handle, *mut Bitstream, *mut FrameSurface, *mut *mut FrameSurface, *mut Handle) -> Status;
        MFXVideoENCODE_Query(Handle, *const VideoParam, *mut VideoParam) -> Status;
        MFXVideoENCODE_Init(Handle, *const VideoParam) -> Status;
        MFXVideoENCODE_Reset(Handle, *const VideoParam) -> Status;
        MFXVideoENCODE_Close(Handle) -> Status;
        MFXVideoENCODE_GetVideoParam(Handle, *mut VideoParam) -> Status;
        MFXVideoENCODE_EncodeFrameAsync(
            Handle, *const EncodeCtrl, *mut FrameSurface, *mut Bitstream, *mut Handle) -> Status;
        MFXVideoVPP_Init(Handle, *const VideoParam) -> Status;
        MFXVideoVPP_Close(Handle) -> Status;
        MFXVideoVPP_ProcessFrameAsync(Handle, *mut FrameSurface, *mut *mut FrameSurface) -> Status;
    }
}

/// Where sessions come from.
pub(super) enum Entry {
    Dispatcher(Dispatcher),
    Runtime(Runtime),
}

/// oneVPL.
pub(crate) struct Api {
    pub(super) entry: Entry,
    pub(super) functions: Functions,
    /// Never unloaded: it has threads of its own.
    _library: Library,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    fn load(kind: Kind) -> Result<Self, Missing> {
        let library = open(kind.file()).map_err(|error| {
            Missing::new(
                format!("{} cannot be loaded: {}", kind.file(), last_line(&error)),
                install_runtime(),
            )
        })?;
        let entry = match kind {
            Kind::Dispatcher => Entry::Dispatcher(Dispatcher::load(&library, kind)?),
            Kind::Runtime => Entry::Runtime(Runtime::load(&library, kind)?),
        };
        Ok(Self { entry, functions: Functions::load(&library, kind)?, _library: library })
    }

    fn find() -> Result<Self, Missing> {
        Self::load(Kind::Dispatcher).or_else(|dispatcher| {
            Self::load(Kind::Runtime).map_err(|runtime| nodes::why_none(&[dispatcher.reason, runtime.reason]))
        })
    }
}

/// The loader's message, with its source where that says more.
fn last_line(error: &libloading::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The loaded library.
///
/// # Errors
/// [`Error::Unavailable`] with what is missing.
pub(crate) fn api() -> Result<&'static Api> {
    static API: OnceLock<Result<Api, Missing>> = OnceLock::new();
    API.get_or_init(Api::find).as_ref().map_err(Missing::error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name with a separator would be a path, and a path without a root is looked up in the current directory.
    #[test]
    fn libraries_are_looked_for_by_name_alone() {
        for file in [Kind::Dispatcher, Kind::Runtime].map(Kind::file) {
            assert!(!file.contains(['/', '\\']) && !file.starts_with('.'), "{file}");
        }
    }
}
