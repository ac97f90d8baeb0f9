//! Device memory and clocks for tests.

use std::ffi::c_void;
use std::sync::Arc;

use super::cuda::{Context, Stream};
use super::library::{self, Name, functions};

type Handle = *mut c_void;

functions! {
    /// What only the tests call.
    Functions of Name::Cuda => {
        alloc: "cuMemAlloc_v2" fn(*mut u64, usize);
        free: "cuMemFree_v2" fn(u64);
        upload: "cuMemcpyHtoD_v2" fn(u64, *const c_void, usize);
        download: "cuMemcpyDtoH_v2" fn(*mut c_void, u64, usize);
        event_create: "cuEventCreate" fn(*mut Handle, u32);
        event_record: "cuEventRecord" fn(Handle, Handle);
        event_wait: "cuEventSynchronize" fn(Handle);
        event_elapsed: "cuEventElapsedTime" fn(*mut f32, Handle, Handle);
        event_destroy: "cuEventDestroy_v2" fn(Handle);
    }
}

fn functions() -> &'static Functions {
    static FUNCTIONS: std::sync::OnceLock<Functions> = std::sync::OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let library = library::open(Name::Cuda).unwrap();
        let functions = Functions::load(&library).unwrap();
        std::mem::forget(library);
        functions
    })
}

/// Device memory.
pub(crate) struct Scratch {
    context: Arc<Context>,
    pub(crate) address: u64,
    bytes: usize,
}

impl Scratch {
    pub(crate) fn new(context: &Arc<Context>, bytes: &[u8]) -> Self {
        let _current = context.enter().unwrap();
        let mut address = 0;
        // SAFETY: writes one address, then that many bytes.
        unsafe {
            (functions().alloc)(&raw mut address, bytes.len()).ok("cuMemAlloc").unwrap();
            (functions().upload)(address, bytes.as_ptr().cast(), bytes.len()).ok("cuMemcpyHtoD").unwrap();
        }
        Self { context: Arc::clone(context), address, bytes: bytes.len() }
    }

    pub(crate) fn read(&self) -> Vec<u8> {
        let _current = self.context.enter().unwrap();
        let mut bytes = vec![0; self.bytes];
        // SAFETY: as many bytes as there are.
        unsafe { (functions().download)(bytes.as_mut_ptr().cast(), self.address, self.bytes) }
            .ok("cuMemcpyDtoH")
            .unwrap();
        bytes
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(_current) = self.context.enter() {
            // SAFETY: allocated by `new`, freed once.
            unsafe { (functions().free)(self.address) };
        }
    }
}

/// Milliseconds that the device works on what `enqueue` puts into the stream.
pub(crate) fn milliseconds(stream: &Stream, enqueue: impl FnOnce()) -> f32 {
    let _current = stream.context().enter().unwrap();
    let (mut start, mut end, mut time) = (std::ptr::null_mut(), std::ptr::null_mut(), 0.0);
    // SAFETY: events that are made and destroyed here, in the context of the stream.
    unsafe {
        (functions().event_create)(&raw mut start, 0).ok("cuEventCreate").unwrap();
        (functions().event_create)(&raw mut end, 0).ok("cuEventCreate").unwrap();
        (functions().event_record)(start, stream.handle()).ok("cuEventRecord").unwrap();
        enqueue();
        (functions().event_record)(end, stream.handle()).ok("cuEventRecord").unwrap();
        (functions().event_wait)(end).ok("cuEventSynchronize").unwrap();
        (functions().event_elapsed)(&raw mut time, start, end).ok("cuEventElapsedTime").unwrap();
        (functions().event_destroy)(start);
        (functions().event_destroy)(end);
    }
    time
}
