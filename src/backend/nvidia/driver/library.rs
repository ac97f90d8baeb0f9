//! Finding the driver's libraries at run time, and saying what is missing and what to do about it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use libloading::Library;

use crate::backend::BackendKind;
use crate::error::{Error, Remedy};

/// Why a library cannot be used: kept for the life of the process, since a driver is not installed while we run.
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
            backend: BackendKind::Nvidia,
            reason: self.reason.clone(),
            remedy: self.remedy.clone(),
        }
    }
}

/// The libraries of the NVIDIA driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// CUDA driver API.
    Cuda,
    /// Decoder.
    Cuvid,
    /// Encoder.
    Encode,
    /// Management: how busy a card is.
    Nvml,
}

impl Name {
    /// File names to try, in order.
    const fn files(self) -> &'static [&'static str] {
        match (self, cfg!(windows)) {
            (Self::Cuda, false) => &["libcuda.so.1", "libcuda.so"],
            (Self::Cuda, true) => &["nvcuda.dll"],
            (Self::Cuvid, false) => &["libnvcuvid.so.1", "libnvcuvid.so"],
            (Self::Cuvid, true) => &["nvcuvid.dll"],
            (Self::Encode, false) => &["libnvidia-encode.so.1", "libnvidia-encode.so"],
            (Self::Encode, true) => &["nvEncodeAPI64.dll"],
            (Self::Nvml, false) => &["libnvidia-ml.so.1", "libnvidia-ml.so"],
            (Self::Nvml, true) => &["nvml.dll"],
        }
    }

    /// What to do when the library is not there.
    fn remedy(self) -> Remedy {
        if cfg!(windows) {
            return Remedy::install(
                self.files()[0],
                "Install the NVIDIA driver, which brings all of its libraries",
            );
        }
        let how = match self {
            Self::Cuda => {
                "Install the NVIDIA driver; in a container, start it with the NVIDIA runtime (--gpus all)"
            }
            // The rest of the driver is there, so this is a container without the video capability.
            Self::Cuvid => {
                "Start the container with NVIDIA_DRIVER_CAPABILITIES=compute,video,utility (or all); on Debian \
                 install libnvcuvid1"
            }
            Self::Encode => {
                "Start the container with NVIDIA_DRIVER_CAPABILITIES=compute,video,utility (or all); on Debian \
                 install libnvidia-encode1"
            }
            Self::Nvml => {
                "Start the container with NVIDIA_DRIVER_CAPABILITIES=compute,video,utility (or all); on Debian \
                 install libnvidia-ml1"
            }
        };
        Remedy::install(self.files()[0], how)
    }
}

/// Loads a library from where the system keeps its own: by a name without a folder, so that the current directory plays no
/// part in it.
#[cfg(not(any(windows, target_vendor = "apple")))]
fn load(file: &str) -> Result<Library, libloading::Error> {
    // SAFETY: loading runs the initialisers of the system's own driver, found by the system's own search path; that is what
    // every user of the driver does.
    unsafe { Library::new(file) }
}

/// Loads a library by an absolute path: dyld looks up a name alone in the current directory too. No Mac of today has these
/// libraries.
#[cfg(target_vendor = "apple")]
fn load(file: &str) -> Result<Library, libloading::Error> {
    // SAFETY: loading runs the initialisers of a library where administrators alone write.
    unsafe { Library::new(Path::new("/usr/lib").join(file)) }
}

/// As above. The usual search of this system includes the program's folder and the current directory, so it is told to look
/// in its own folder alone: drivers put their libraries there.
#[cfg(windows)]
fn load(file: &str) -> Result<Library, libloading::Error> {
    use libloading::os::windows::{LOAD_LIBRARY_SEARCH_SYSTEM32, Library as Windows};
    // SAFETY: loading runs the initialisers of the system's own driver, from the folder of the system.
    unsafe { Windows::load_with_flags(file, LOAD_LIBRARY_SEARCH_SYSTEM32) }.map(Library::from)
}

/// Opens a library by the first of its names that works.
pub(crate) fn open(name: Name) -> Result<Library, Missing> {
    let mut last = String::new();
    for file in name.files() {
        match load(file) {
            Ok(library) => return Ok(library),
            Err(error) => last = last_line(&error),
        }
    }
    Err(missing(name, &last, Path::new("/")))
}

/// Why a library is not there, on a system whose files lie below `root`.
fn missing(name: Name, last: &str, root: &Path) -> Missing {
    let file = name.files()[0];
    match jetson(root) {
        // No package and no other way to start a container brings what its system does not have.
        Some(board) if name != Name::Nvml => Missing::new(
            format!(
                "this is an NVIDIA Jetson{board}, whose decoder and encoder are reached through V4L2 alone, and not through \
                 libnvcuvid and libnvidia-encode ({file} cannot be loaded: {last})"
            ),
            Remedy::OtherBackend,
        ),
        _ => Missing::new(format!("{file} cannot be loaded: {last}"), name.remedy()),
    }
}

/// A Jetson board, with its release in brackets where it tells one. From release 38 on (Thor) they have the libraries of other
/// cards, so that one which is missing there is missing as anywhere.
fn jetson(root: &Path) -> Option<String> {
    let head = |path: &str| {
        let mut bytes = Vec::new();
        let read = File::open(root.join(path)).and_then(|file| file.take(1024).read_to_end(&mut bytes));
        read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    };
    // `# R35 (release), REVISION: 4.1, GCID: ...`; not every image has it.
    let release = head("etc/nv_tegra_release");
    let mut words = release.split(['#', ' ', ',']).filter(|word| !word.is_empty());
    if let Some(number) = words.next().and_then(|word| word.strip_prefix('R')?.parse::<u32>().ok()) {
        let minor = words.skip_while(|word| *word != "REVISION:").nth(1).unwrap_or("0");
        return (number < 38).then(|| format!(" (release {number}.{minor})"));
    }
    // The names of the board and its chip, each with a zero behind it.
    let board = head("proc/device-tree/compatible");
    (board.contains("nvidia,tegra") && !board.contains("nvidia,tegra264")).then(String::new)
}

/// Whether a library can be opened. It stays open: opening it for use is then a matter of counting.
///
/// # Errors
/// As [`open`].
pub(crate) fn present(name: Name) -> crate::error::Result<()> {
    std::mem::forget(open(name).map_err(|missing| missing.error())?);
    Ok(())
}

/// The loader's message, with its source where that says more.
fn last_line(error: &libloading::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What to do when the driver is too old for anything here.
pub(crate) const UPDATE_DRIVER: Remedy =
    Remedy::install("driver", "Update the NVIDIA driver to version 470 or newer");

/// A symbol that an old driver may not have.
pub(crate) fn missing_symbol(library: Name, symbol: &str) -> Missing {
    Missing::new(format!("{} has no {symbol}: the driver is too old", library.files()[0]), UPDATE_DRIVER)
}

/// Loads once, remembers for good. A loaded driver is never unloaded: it has threads of its own.
pub(crate) type Once<T> = OnceLock<Result<T, Missing>>;

/// Declares a table of a library's functions: all found at load time, or the first that is missing is named.
macro_rules! functions {
    (
        $(#[$doc:meta])*
        $table:ident of $library:expr => {
            $($field:ident: $symbol:literal fn($($type:ty),*);)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $table {
            $(pub(crate) $field: unsafe extern "system" fn($($type),*) -> $crate::backend::nvidia::driver::result::CuResult,)*
        }

        impl $table {
            /// Looks every function up.
            pub(crate) fn load(library: &libloading::Library) -> Result<Self, $crate::backend::nvidia::driver::library::Missing> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the signature is the one of the vendor's header, and the library is never
                        // unloaded, so that the pointer stays valid.
                        match unsafe { library.get(concat!($symbol, "\0").as_bytes()) } {
                            Ok(symbol) => *symbol,
                            Err(_) => return Err($crate::backend::nvidia::driver::library::missing_symbol($library, $symbol)),
                        }
                    },)*
                })
            }
        }
    };
}
pub(crate) use functions;

#[cfg(test)]
mod tests {
    use super::*;

    /// A name with a separator would be a path, and a path without a root is looked up in the current directory.
    #[test]
    fn libraries_are_looked_for_by_name_alone() {
        for name in [Name::Cuda, Name::Cuvid, Name::Encode, Name::Nvml] {
            for file in name.files() {
                assert!(!file.contains(['/', '\\']) && !file.starts_with('.'), "{file}");
            }
        }
    }

    #[test]
    fn a_jetson_is_told_from_a_machine_that_lacks_a_driver() {
        let board = |files: &[(&str, &str)]| {
            let root = tempfile::tempdir().unwrap();
            for (path, content) in files {
                let path = root.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
            missing(Name::Cuvid, "no such file", root.path())
        };
        let orin = board(&[(
            "etc/nv_tegra_release",
            "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref",
        )]);
        assert!(orin.reason.contains("Jetson (release 35.4.1), whose decoder"), "{}", orin.reason);
        assert!(orin.reason.contains("V4L2") && orin.reason.contains("no such file"), "{}", orin.reason);
        assert_eq!(orin.remedy, Remedy::OtherBackend);
        let tree = |names| board(&[("proc/device-tree/compatible", names)]);
        assert!(tree("nvidia,p3701-0005\0nvidia,tegra234\0").reason.contains("Jetson, whose"));
        // Those that have the libraries, and those that are no Jetson.
        let plain = missing(Name::Cuvid, "no such file", Path::new("/nowhere"));
        assert!(plain.reason.contains("cannot be loaded"), "{}", plain.reason);
        for other in [
            board(&[("etc/nv_tegra_release", "# R38 (release), REVISION: 2.0, GCID: 1")]),
            board(&[("etc/nv_tegra_release", "junk")]),
            tree("nvidia,tegra264\0"),
            tree("raspberrypi,5-model-b\0brcm,bcm2712\0"),
        ] {
            assert_eq!(other.reason, plain.reason);
        }
    }
}
