//! The driver's functions, looked up by name.

use std::ffi::{c_char, c_int, c_uint, c_void};

use libloading::Library;

use crate::abi::*;

/// Declares a table of functions and a method for each.
macro_rules! table {
    ($(#[$doc:meta])* $table:ident: $($method:ident = $symbol:literal ($($argument:ident: $type:ty),*);)*) => {
        $(#[$doc])*
        pub struct $table {
            $($method: unsafe extern "C" fn($($type),*) -> u32,)*
            _library: Library,
        }

        impl $table {
            fn load(library: Library) -> Self {
                // SAFETY: the signatures are those of the driver's headers.
                unsafe {
                    Self {
                        $($method: *library.get(concat!($symbol, "\0").as_bytes()).expect($symbol),)*
                        _library: library,
                    }
                }
            }

            $(pub fn $method(&self, $($argument: $type),*) -> u32 {
                // SAFETY: the callers pass what the driver is meant to answer: valid memory, or a wrong value that
                // the driver checks.
                unsafe { (self.$method)($($argument),*) }
            })*
        }
    };
}

type Handle = *mut c_void;

table! {
    /// libcuda.
    Cuda:
    init = "cuInit" (flags: c_uint);
    device_get_count = "cuDeviceGetCount" (count: *mut c_int);
    device_get = "cuDeviceGet" (device: *mut c_int, ordinal: c_int);
    device_get_attribute = "cuDeviceGetAttribute" (value: *mut c_int, attribute: c_int, device: c_int);
    ctx_get_current = "cuCtxGetCurrent" (context: *mut Handle);
    ctx_set_current = "cuCtxSetCurrent" (context: Handle);
    ctx_push = "cuCtxPushCurrent_v2" (context: Handle);
    ctx_pop = "cuCtxPopCurrent_v2" (context: *mut Handle);
    ctx_destroy = "cuCtxDestroy_v2" (context: Handle);
    ctx_synchronize = "cuCtxSynchronize" ();
    ctx_get_device = "cuCtxGetDevice" (device: *mut c_int);
    primary_retain = "cuDevicePrimaryCtxRetain" (context: *mut Handle, device: c_int);
    primary_release = "cuDevicePrimaryCtxRelease_v2" (device: c_int);
    primary_get_state = "cuDevicePrimaryCtxGetState" (device: c_int, flags: *mut c_uint, active: *mut c_int);
    mem_alloc = "cuMemAlloc_v2" (address: *mut u64, bytes: usize);
    mem_alloc_pitch = "cuMemAllocPitch_v2" (address: *mut u64, pitch: *mut usize, width: usize, height: usize, element: c_uint);
    mem_free = "cuMemFree_v2" (address: u64);
    mem_alloc_host = "cuMemAllocHost_v2" (pointer: *mut Handle, bytes: usize);
    mem_free_host = "cuMemFreeHost" (pointer: Handle);
    dtoh = "cuMemcpyDtoH_v2" (to: Handle, from: u64, bytes: usize);
    stream_destroy = "cuStreamDestroy_v2" (stream: Handle);
    stream_synchronize = "cuStreamSynchronize" (stream: Handle);
    stream_query = "cuStreamQuery" (stream: Handle);
    event_destroy = "cuEventDestroy_v2" (event: Handle);
    module_load_data = "cuModuleLoadData" (module: *mut Handle, image: *const c_void);
    module_get_function = "cuModuleGetFunction" (function: *mut Handle, module: Handle, name: *const c_char);
    get_error_name = "cuGetErrorName" (code: u32, name: *mut *const c_char);
}

impl Cuda {
    pub fn open() -> Self {
        // SAFETY: loading the driver runs its initialisers, as in any client.
        Self::load(unsafe { Library::new("libcuda.so.1") }.expect("libcuda.so.1"))
    }

    /// Retains the primary context of device 0 and makes it current.
    pub fn context(&self) -> Handle {
        let mut context = std::ptr::null_mut();
        assert_eq!(self.primary_retain(&mut context, 0), 0);
        assert_eq!(self.ctx_push(context), 0);
        context
    }

    /// Undoes [`Self::context`].
    pub fn leave(&self) {
        let mut context = std::ptr::null_mut();
        self.ctx_pop(&mut context);
        self.primary_release(0);
    }

    pub fn release(&self) {
        self.leave();
    }
}

table! {
    /// libnvcuvid.
    Cuvid:
    caps = "cuvidGetDecoderCaps" (caps: *mut CUVIDDECODECAPS);
    create = "cuvidCreateDecoder" (decoder: *mut Handle, info: *mut CUVIDDECODECREATEINFO);
    destroy = "cuvidDestroyDecoder" (decoder: Handle);
    decode = "cuvidDecodePicture" (decoder: Handle, picture: *mut CUVIDPICPARAMS);
    status = "cuvidGetDecodeStatus" (decoder: Handle, index: c_int, status: *mut CUVIDGETDECODESTATUS);
    reconfigure = "cuvidReconfigureDecoder" (decoder: Handle, info: *mut CUVIDRECONFIGUREDECODERINFO);
    map = "cuvidMapVideoFrame64" (decoder: Handle, index: c_int, address: *mut u64, pitch: *mut c_uint, process: *mut CUVIDPROCPARAMS);
    unmap = "cuvidUnmapVideoFrame64" (decoder: Handle, address: u64);
    create_parser = "cuvidCreateVideoParser" (parser: *mut Handle, parameters: *mut CUVIDPARSERPARAMS);
    parse = "cuvidParseVideoData" (parser: Handle, packet: *mut CUVIDSOURCEDATAPACKET);
    destroy_parser = "cuvidDestroyVideoParser" (parser: Handle);
}

impl Cuvid {
    pub fn open() -> Self {
        // SAFETY: as for libcuda.
        Self::load(unsafe { Library::new("libnvcuvid.so.1") }.expect("libnvcuvid.so.1"))
    }
}
