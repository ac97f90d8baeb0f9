//! Finding Intel's runtime for GPUs at run time. Intel's dispatcher is not used: it looks for runtimes in the current directory
//! too, and loads every file there whose name looks like one.

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

/// The runtime for GPUs from 2021 on. Older ones (`libmfxhw64`) have an interface before 2.0.
const FILE: &str = if cfg!(windows) { "libmfx64-gen.dll" } else { "libmfx-gen.so.1.2" };

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

/// Loads a library from where the system keeps its own: by a name without a folder, which glibc and musl look up in the folders
/// of their configuration, and never in the current directory unless `LD_LIBRARY_PATH` says so.
#[cfg(not(any(windows, target_vendor = "apple")))]
pub(super) fn open(file: &str) -> Result<Library, libloading::Error> {
    // SAFETY: loading runs the initialisers of the system's own library, found by the system's own search path.
    unsafe { Library::new(file) }
}

/// Loads a library by an absolute path: dyld looks up a name alone in the current directory too. No Mac has these libraries.
#[cfg(target_vendor = "apple")]
pub(super) fn open(file: &str) -> Result<Library, libloading::Error> {
    // SAFETY: loading runs the initialisers of a library where administrators alone write.
    unsafe { Library::new(std::path::Path::new("/usr/lib").join(file)) }
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
            fn load(library: &Library) -> Result<Self, Missing> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the signature is the one of the header, and the library is never unloaded, so that the
                        // pointer stays valid.
                        match unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) } {
                            Ok(symbol) => *symbol,
                            Err(_) => return Err(Missing::new(
                                format!("{FILE} has no {}: it is too old", stringify!($name)),
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
    /// The functions that find GPUs and open sessions.
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

/// oneVPL.
pub(crate) struct Api {
    pub(super) runtime: Runtime,
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
    fn find() -> Result<Self, Missing> {
        let library = open(FILE)
            .map_err(|error| nodes::why_none(&[format!("{FILE} cannot be loaded: {}", last_line(&error))]))?;
        let loaded = Runtime::load(&library).and_then(|runtime| Ok((runtime, Functions::load(&library)?)));
        let (runtime, functions) = loaded.map_err(|missing| nodes::why_none(&[missing.reason]))?;
        Ok(Self { runtime, functions, _library: library })
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
    fn the_library_is_looked_for_by_name_alone() {
        assert!(!FILE.contains(['/', '\\']) && !FILE.starts_with('.'), "{FILE}");
    }
}
