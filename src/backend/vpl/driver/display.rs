//! The VA-API display of a render node, which Intel's runtime on Linux is given before anything else. libva is opened at run time.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Mutex, Weak};

use libloading::Library;

use super::abi::Handle;
use super::calling;
use super::library::{self, Missing, install_runtime};
use super::nodes;
use crate::sync::lock;

/// A display, shared by all sessions of its GPU: surfaces of one display can go from session to session.
#[derive(Debug)]
pub(super) struct Display {
    handle: Handle,
    terminate: unsafe extern "C" fn(Handle) -> c_int,
    /// The order of the fields is that of their end.
    _node: File,
    _libraries: [Library; 2],
}

// SAFETY: libva's calls on a display may come from any thread; here it is only handed on, and ended once.
unsafe impl Send for Display {}
// SAFETY: as above.
unsafe impl Sync for Display {}

static OPEN: Mutex<Vec<(u32, Weak<Display>)>> = Mutex::new(Vec::new());

impl Display {
    /// The display of a render node; `None`: there is no such node.
    ///
    /// # Errors
    /// It may not be opened, or libva or its driver is missing.
    pub(super) fn of(node: u32) -> Result<Option<Arc<Self>>, Missing> {
        // Who waits for one whose call does not return is watched as that one is.
        let mut open = calling("vaInitialize", || lock(&OPEN));
        open.retain(|(_, display)| display.strong_count() > 0);
        let known =
            open.iter().find(|(number, _)| *number == node).and_then(|(_, display)| display.upgrade());
        if let Some(display) = known {
            return Ok(Some(display));
        }
        let path = nodes::path(node);
        let file = match nodes::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(nodes::denied(&path, &error.to_string())),
        };
        let display = Self::open(file, &path).map_err(|reason| Missing::new(reason, install_runtime()))?;
        let display = Arc::new(display);
        open.push((node, Arc::downgrade(&display)));
        Ok(Some(display))
    }

    fn open(node: File, path: &Path) -> Result<Self, String> {
        let load =
            |file: &str| library::open(file).map_err(|error| format!("{file} cannot be loaded: {error}"));
        let libraries = [load("libva-drm.so.2")?, load("libva.so.2")?];
        let missing = |error: libloading::Error| format!("libva is too old: {error}");
        // SAFETY: the signatures are those of libva's headers (`VADisplay` is a pointer, `VAStatus` an int), and the libraries
        // stay loaded as long as the display is used.
        let (get, initialize, terminate) = unsafe {
            (
                *libraries[0]
                    .get::<unsafe extern "C" fn(c_int) -> Handle>(b"vaGetDisplayDRM\0")
                    .map_err(missing)?,
                *libraries[1]
                    .get::<unsafe extern "C" fn(Handle, *mut c_int, *mut c_int) -> c_int>(b"vaInitialize\0")
                    .map_err(missing)?,
                *libraries[1]
                    .get::<unsafe extern "C" fn(Handle) -> c_int>(b"vaTerminate\0")
                    .map_err(missing)?,
            )
        };
        // SAFETY: the node is open, and stays so.
        let handle = unsafe { get(node.as_raw_fd()) };
        if handle.is_null() {
            return Err(format!("vaGetDisplayDRM gives nothing for {}", path.display()));
        }
        // libva would write messages of its own to standard error.
        for name in [&b"vaSetInfoCallback\0"[..], b"vaSetErrorCallback\0"] {
            // SAFETY: the signature is that of libva's header, with pointers for the callbacks.
            let set =
                unsafe { libraries[1].get::<unsafe extern "C" fn(Handle, Handle, Handle) -> Handle>(name) };
            if let Ok(set) = set {
                // SAFETY: a display; no callback is no message.
                unsafe { set(handle, ptr::null_mut(), ptr::null_mut()) };
            }
        }
        let display = Self { handle, terminate, _node: node, _libraries: libraries };
        let (mut major, mut minor) = (0, 0);
        // SAFETY: a display, and room for two numbers.
        match calling("vaInitialize", || unsafe { initialize(handle, &raw mut major, &raw mut minor) }) {
            0 => Ok(display),
            status => Err(format!(
                "vaInitialize answered {status}: the VA-API driver of {} does not work (see vainfo)",
                path.display()
            )),
        }
    }

    pub(super) const fn handle(&self) -> Handle {
        self.handle
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more: sessions hold it.
        calling("vaTerminate", || unsafe { (self.terminate)(self.handle) });
    }
}
