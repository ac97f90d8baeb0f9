//! Types of the driver API as they cross the boundary.

use std::ffi::c_void;
use std::fmt;

use crate::core::Status;
use crate::policy;

/// Any opaque handle: context, stream, event, module, function, array.
pub type Handle = *mut c_void;
/// A device address. In the simulation it is an address of this process.
pub type DevicePtr = u64;
/// `CUdevice`: the ordinal.
pub type Device = i32;

/// `CUresult`.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CuResult(pub u32);

macro_rules! codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        impl CuResult {
            $(#[doc = concat!("`CUDA_", stringify!($name), "`: ", $text, ".")] pub const $name: Self = Self($code);)*
        }

        /// Every code with its name and text, both ending in a NUL byte.
        pub(super) const CODES: &[(u32, &str, &str)] =
            &[$(($code, concat!("CUDA_", stringify!($name), "\0"), concat!($text, "\0")),)*];
    };
}

// Numbers and names are the driver's; the texts are ours.
codes! {
    SUCCESS = 0, "no error";
    ERROR_INVALID_VALUE = 1, "invalid argument";
    ERROR_OUT_OF_MEMORY = 2, "out of memory";
    ERROR_NOT_INITIALIZED = 3, "driver not initialized";
    ERROR_DEINITIALIZED = 4, "driver shutting down";
    ERROR_PROFILER_DISABLED = 5, "profiler disabled";
    ERROR_PROFILER_NOT_INITIALIZED = 6, "profiler not initialized";
    ERROR_PROFILER_ALREADY_STARTED = 7, "profiler already started";
    ERROR_PROFILER_ALREADY_STOPPED = 8, "profiler already stopped";
    ERROR_STUB_LIBRARY = 34, "the library is a stub";
    ERROR_DEVICE_UNAVAILABLE = 46, "device busy or unavailable";
    ERROR_NO_DEVICE = 100, "no CUDA device found";
    ERROR_INVALID_DEVICE = 101, "invalid device ordinal";
    ERROR_DEVICE_NOT_LICENSED = 102, "device without a valid licence";
    ERROR_INVALID_IMAGE = 200, "invalid kernel image";
    ERROR_INVALID_CONTEXT = 201, "invalid device context";
    ERROR_CONTEXT_ALREADY_CURRENT = 202, "context already current";
    ERROR_MAP_FAILED = 205, "mapping failed";
    ERROR_UNMAP_FAILED = 206, "unmapping failed";
    ERROR_ARRAY_IS_MAPPED = 207, "array is mapped";
    ERROR_ALREADY_MAPPED = 208, "resource already mapped";
    ERROR_NO_BINARY_FOR_GPU = 209, "no kernel image for this device";
    ERROR_ALREADY_ACQUIRED = 210, "resource already acquired";
    ERROR_NOT_MAPPED = 211, "resource not mapped";
    ERROR_NOT_MAPPED_AS_ARRAY = 212, "resource not mapped as an array";
    ERROR_NOT_MAPPED_AS_POINTER = 213, "resource not mapped as a pointer";
    ERROR_ECC_UNCORRECTABLE = 214, "uncorrectable memory error";
    ERROR_UNSUPPORTED_LIMIT = 215, "limit not supported by the device";
    ERROR_CONTEXT_ALREADY_IN_USE = 216, "context bound to another thread";
    ERROR_PEER_ACCESS_UNSUPPORTED = 217, "peer access not supported between these devices";
    ERROR_INVALID_PTX = 218, "PTX cannot be compiled";
    ERROR_INVALID_GRAPHICS_CONTEXT = 219, "invalid graphics context";
    ERROR_NVLINK_UNCORRECTABLE = 220, "uncorrectable NVLink error";
    ERROR_JIT_COMPILER_NOT_FOUND = 221, "PTX compiler not found";
    ERROR_UNSUPPORTED_PTX_VERSION = 222, "PTX newer than the driver";
    ERROR_JIT_COMPILATION_DISABLED = 223, "PTX compilation disabled";
    ERROR_UNSUPPORTED_EXEC_AFFINITY = 224, "execution affinity not supported";
    ERROR_UNSUPPORTED_DEVSIDE_SYNC = 225, "device side synchronization not supported";
    ERROR_INVALID_SOURCE = 300, "invalid kernel source";
    ERROR_FILE_NOT_FOUND = 301, "file not found";
    ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND = 302, "shared object symbol not found";
    ERROR_SHARED_OBJECT_INIT_FAILED = 303, "shared object cannot be initialised";
    ERROR_OPERATING_SYSTEM = 304, "operating system call failed";
    ERROR_INVALID_HANDLE = 400, "invalid resource handle";
    ERROR_ILLEGAL_STATE = 401, "resource in the wrong state";
    ERROR_LOSSY_QUERY = 402, "the answer would lose information";
    ERROR_NOT_FOUND = 500, "name not found";
    ERROR_NOT_READY = 600, "work not finished";
    ERROR_ILLEGAL_ADDRESS = 700, "illegal memory access";
    ERROR_LAUNCH_OUT_OF_RESOURCES = 701, "too many resources asked for a launch";
    ERROR_LAUNCH_TIMEOUT = 702, "launch timed out";
    ERROR_LAUNCH_INCOMPATIBLE_TEXTURING = 703, "incompatible texturing mode";
    ERROR_PEER_ACCESS_ALREADY_ENABLED = 704, "peer access already enabled";
    ERROR_PEER_ACCESS_NOT_ENABLED = 705, "peer access not enabled";
    ERROR_PRIMARY_CONTEXT_ACTIVE = 708, "primary context already active";
    ERROR_CONTEXT_IS_DESTROYED = 709, "context is destroyed";
    ERROR_ASSERT = 710, "device side assertion";
    ERROR_TOO_MANY_PEERS = 711, "peer mappings exhausted";
    ERROR_HOST_MEMORY_ALREADY_REGISTERED = 712, "host memory already registered";
    ERROR_HOST_MEMORY_NOT_REGISTERED = 713, "host memory not registered";
    ERROR_HARDWARE_STACK_ERROR = 714, "hardware stack error";
    ERROR_ILLEGAL_INSTRUCTION = 715, "illegal instruction";
    ERROR_MISALIGNED_ADDRESS = 716, "misaligned address";
    ERROR_INVALID_ADDRESS_SPACE = 717, "wrong address space";
    ERROR_INVALID_PC = 718, "invalid program counter";
    ERROR_LAUNCH_FAILED = 719, "launch failed";
    ERROR_COOPERATIVE_LAUNCH_TOO_LARGE = 720, "cooperative launch too large";
    ERROR_NOT_PERMITTED = 800, "operation not permitted";
    ERROR_NOT_SUPPORTED = 801, "operation not supported";
    ERROR_SYSTEM_NOT_READY = 802, "system not ready";
    ERROR_SYSTEM_DRIVER_MISMATCH = 803, "driver parts of different versions";
    ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE = 804, "compatibility mode not supported on this device";
    ERROR_MPS_CONNECTION_FAILED = 805, "MPS connection failed";
    ERROR_MPS_RPC_FAILURE = 806, "MPS call failed";
    ERROR_MPS_SERVER_NOT_READY = 807, "MPS server not ready";
    ERROR_MPS_MAX_CLIENTS_REACHED = 808, "too many MPS clients";
    ERROR_MPS_MAX_CONNECTIONS_REACHED = 809, "too many MPS connections";
    ERROR_MPS_CLIENT_TERMINATED = 810, "MPS client terminated";
    ERROR_CDP_NOT_SUPPORTED = 811, "dynamic parallelism not supported";
    ERROR_CDP_VERSION_MISMATCH = 812, "dynamic parallelism of another version";
    ERROR_STREAM_CAPTURE_UNSUPPORTED = 900, "not permitted while a stream is captured";
    ERROR_STREAM_CAPTURE_INVALIDATED = 901, "stream capture invalidated";
    ERROR_STREAM_CAPTURE_MERGE = 902, "capture would merge";
    ERROR_STREAM_CAPTURE_UNMATCHED = 903, "capture not begun on this stream";
    ERROR_STREAM_CAPTURE_UNJOINED = 904, "captured fork not joined";
    ERROR_STREAM_CAPTURE_ISOLATION = 905, "dependency crosses the capture";
    ERROR_STREAM_CAPTURE_IMPLICIT = 906, "implicit dependency on the default stream in a capture";
    ERROR_CAPTURED_EVENT = 907, "not permitted on a captured event";
    ERROR_STREAM_CAPTURE_WRONG_THREAD = 908, "capture ended on another thread";
    ERROR_TIMEOUT = 909, "timeout";
    ERROR_GRAPH_EXEC_UPDATE_FAILURE = 910, "graph update failed";
    ERROR_EXTERNAL_DEVICE = 911, "error of an external device";
    ERROR_INVALID_CLUSTER_SIZE = 912, "invalid cluster size";
    ERROR_FUNCTION_NOT_LOADED = 913, "function not loaded";
    ERROR_INVALID_RESOURCE_TYPE = 914, "invalid resource type";
    ERROR_INVALID_RESOURCE_CONFIGURATION = 915, "invalid resource configuration";
    ERROR_UNKNOWN = 999, "unknown error";
}

impl fmt::Debug for CuResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match CODES.iter().find(|(code, _, _)| *code == self.0) {
            Some((_, name, _)) => f.write_str(name.trim_end_matches('\0')),
            None => write!(f, "CUresult({})", self.0),
        }
    }
}

impl Status for CuResult {
    const INTERNAL: Self = Self::ERROR_UNKNOWN;
    const DEVICE_LOST: Self = Self(policy::CUDA_DEVICE_LOST);

    fn from_code(code: u32) -> Self {
        Self(code)
    }

    fn code(self) -> u32 {
        self.0
    }
}

/// What the body of a driver function answers.
pub(super) type Done = Result<(), CuResult>;

/// `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "names of the driver API")]
pub struct Memcpy2D {
    pub src_x_in_bytes: usize,
    pub src_y: usize,
    pub src_memory_type: u32,
    pub src_host: *const c_void,
    pub src_device: DevicePtr,
    pub src_array: Handle,
    pub src_pitch: usize,
    pub dst_x_in_bytes: usize,
    pub dst_y: usize,
    pub dst_memory_type: u32,
    pub dst_host: *mut c_void,
    pub dst_device: DevicePtr,
    pub dst_array: Handle,
    pub dst_pitch: usize,
    pub width_in_bytes: usize,
    pub height: usize,
}

/// `CUmemorytype`.
pub mod memory_type {
    /// Host memory.
    pub const HOST: u32 = 1;
    /// Device memory.
    pub const DEVICE: u32 = 2;
    /// An array.
    pub const ARRAY: u32 = 3;
    /// Told from the address.
    pub const UNIFIED: u32 = 4;
}

/// `CUDA_ARRAY_DESCRIPTOR`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "names of the driver API")]
pub struct ArrayDescriptor {
    pub width: usize,
    pub height: usize,
    pub format: u32,
    pub channels: u32,
}

/// `CUDA_ARRAY3D_DESCRIPTOR`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "names of the driver API")]
pub struct Array3DDescriptor {
    pub width: usize,
    pub height: usize,
    pub depth: usize,
    pub format: u32,
    pub channels: u32,
    pub flags: u32,
}

/// `CUmemPoolProps`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "names of the driver API")]
pub struct PoolProperties {
    pub allocation_type: u32,
    pub handle_types: u32,
    pub location_type: u32,
    pub location_id: i32,
    pub security_attributes: *const c_void,
    pub max_size: usize,
    pub usage: u16,
    pub reserved: [u8; 54],
}

/// `CUuuid`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "names of the driver API")]
pub struct Uuid {
    pub bytes: [u8; 16],
}

/// `CUstreamCallback`.
pub type StreamCallback = unsafe extern "C" fn(stream: Handle, status: CuResult, user: *mut c_void);
/// `CUhostFn`.
pub type HostFn = unsafe extern "C" fn(user: *mut c_void);

/// The default stream by its two names.
pub const STREAM_LEGACY: usize = 1;
/// The default stream of the calling thread.
pub const STREAM_PER_THREAD: usize = 2;

/// Writes a result through a pointer of the client.
///
/// # Safety
/// `out` is null or valid for a write of `T`.
pub(super) unsafe fn put<T>(out: *mut T, value: T) -> Done {
    if out.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { out.write(value) };
    Ok(())
}

/// The same where null means that the client does not want the result.
///
/// # Safety
/// As [`put`].
pub(super) unsafe fn put_optional<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: not null, and the caller's promise.
        unsafe { out.write(value) };
    }
}
