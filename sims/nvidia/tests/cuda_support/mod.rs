//! The driver API as a test client sees it: opened by name, functions looked up by symbol.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unreachable_pub, reason = "a module of test files")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(non_snake_case, reason = "names of the driver API")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;

pub type Handle = *mut c_void;

/// Keys of the `extra` list of a launch.
pub const BUFFER_POINTER: *mut c_void = std::ptr::without_provenance_mut(1);
pub const BUFFER_SIZE: *mut c_void = std::ptr::without_provenance_mut(2);

macro_rules! functions {
    ($($name:ident($($arg:ident: $kind:ty),*);)*) => {
        /// The functions of `libcuda.so.1`.
        pub struct Cuda {
            $($name: unsafe extern "C" fn($($kind),*) -> u32,)*
            library: &'static libloading::Library,
        }

        impl Cuda {
            /// Opens the driver without `cuInit`.
            pub fn open() -> Self {
                // SAFETY: the simulated driver runs nothing when it is loaded.
                let library = Box::leak(Box::new(unsafe { libloading::Library::new("libcuda.so.1") }.unwrap()));
                // SAFETY: the types are those of the driver API.
                $(let $name = *unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) }.unwrap();)*
                Self { $($name,)* library }
            }

            $(
                pub fn $name(&self, $($arg: $kind),*) -> u32 {
                    // SAFETY: the tests pass valid pointers, or the wrong ones that they are about.
                    unsafe { (self.$name)($($arg),*) }
                }
            )*
        }
    };
}

functions! {
    cuInit(flags: u32);
    cuDriverGetVersion(out: *mut i32);
    cuDeviceGetCount(out: *mut i32);
    cuDeviceGet(out: *mut i32, ordinal: i32);
    cuDeviceGetName(out: *mut c_char, room: i32, device: i32);
    cuDeviceGetUuid_v2(out: *mut [u8; 16], device: i32);
    cuDeviceTotalMem_v2(out: *mut usize, device: i32);
    cuDeviceGetAttribute(out: *mut i32, attribute: i32, device: i32);
    cuDeviceGetPCIBusId(out: *mut c_char, room: i32, device: i32);
    cuDeviceGetByPCIBusId(out: *mut i32, text: *const c_char);
    cuDevicePrimaryCtxRetain(out: *mut Handle, device: i32);
    cuDevicePrimaryCtxRelease_v2(device: i32);
    cuDevicePrimaryCtxGetState(device: i32, flags: *mut u32, active: *mut i32);
    cuCtxCreate_v2(out: *mut Handle, flags: u32, device: i32);
    cuCtxDestroy_v2(context: Handle);
    cuCtxPushCurrent_v2(context: Handle);
    cuCtxPopCurrent_v2(out: *mut Handle);
    cuCtxSetCurrent(context: Handle);
    cuCtxGetCurrent(out: *mut Handle);
    cuCtxGetDevice(out: *mut i32);
    cuCtxSynchronize();
    cuMemAlloc_v2(out: *mut u64, bytes: usize);
    cuMemAllocPitch_v2(out: *mut u64, pitch: *mut usize, width: usize, height: usize, element: u32);
    cuMemAllocAsync(out: *mut u64, bytes: usize, stream: Handle);
    cuMemAllocFromPoolAsync(out: *mut u64, bytes: usize, pool: Handle, stream: Handle);
    cuDeviceGetDefaultMemPool(out: *mut Handle, device: i32);
    cuDeviceGetMemPool(out: *mut Handle, device: i32);
    cuDeviceSetMemPool(device: i32, pool: Handle);
    cuMemPoolCreate(out: *mut Handle, properties: *const nvsim::cuda::abi::PoolProperties);
    cuMemPoolDestroy(pool: Handle);
    cuMemPoolTrimTo(pool: Handle, bytes: usize);
    cuMemPoolGetAttribute(pool: Handle, attribute: u32, out: *mut c_void);
    cuMemPoolSetAttribute(pool: Handle, attribute: u32, from: *const c_void);
    cuMemFree_v2(address: u64);
    cuMemFreeAsync(address: u64, stream: Handle);
    cuMemGetInfo_v2(free: *mut usize, total: *mut usize);
    cuMemGetAddressRange_v2(base: *mut u64, size: *mut usize, address: u64);
    cuMemAllocHost_v2(out: *mut *mut c_void, bytes: usize);
    cuMemFreeHost(address: *mut c_void);
    cuMemHostRegister_v2(address: *mut c_void, bytes: usize, flags: u32);
    cuMemHostUnregister(address: *mut c_void);
    cuMemcpy(to: u64, from: u64, bytes: usize);
    cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize);
    cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize);
    cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize);
    cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle);
    cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: Handle);
    cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: Handle);
    cuMemcpy2D_v2(copy: *const nvsim::cuda::abi::Memcpy2D);
    cuMemcpy2DAsync_v2(copy: *const nvsim::cuda::abi::Memcpy2D, stream: Handle);
    cuMemsetD8_v2(to: u64, value: u8, count: usize);
    cuMemsetD8Async(to: u64, value: u8, count: usize, stream: Handle);
    cuMemsetD2D16_v2(to: u64, pitch: usize, value: u16, width: usize, height: usize);
    cuMemsetD2D32_v2(to: u64, pitch: usize, value: u32, width: usize, height: usize);
    cuPointerGetAttribute(out: *mut c_void, attribute: i32, address: u64);
    cuArray3DCreate_v2(out: *mut Handle, descriptor: *const nvsim::cuda::abi::Array3DDescriptor);
    cuArrayDestroy(array: Handle);
    cuStreamCreate(out: *mut Handle, flags: u32);
    cuStreamDestroy_v2(stream: Handle);
    cuStreamSynchronize(stream: Handle);
    cuStreamQuery(stream: Handle);
    cuStreamWaitEvent(stream: Handle, event: Handle, flags: u32);
    cuLaunchHostFunc(stream: Handle, function: unsafe extern "C" fn(*mut c_void), user: *mut c_void);
    cuStreamAddCallback(
        stream: Handle,
        callback: unsafe extern "C" fn(Handle, u32, *mut c_void),
        user: *mut c_void,
        flags: u32
    );
    cuEventCreate(out: *mut Handle, flags: u32);
    cuEventRecord(event: Handle, stream: Handle);
    cuEventQuery(event: Handle);
    cuEventSynchronize(event: Handle);
    cuEventDestroy_v2(event: Handle);
    cuEventElapsedTime(out: *mut f32, start: Handle, end: Handle);
    cuModuleLoadData(out: *mut Handle, image: *const c_void);
    cuModuleUnload(module: Handle);
    cuModuleGetFunction(out: *mut Handle, module: Handle, name: *const c_char);
    cuLaunchKernel(
        function: Handle,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared: u32,
        stream: Handle,
        parameters: *mut *mut c_void,
        extra: *mut *mut c_void
    );
    cuLinkCreate_v2(count: u32, options: *mut i32, values: *mut *mut c_void, out: *mut Handle);
    cuLinkAddData_v2(
        state: Handle,
        kind: i32,
        data: *mut c_void,
        size: usize,
        name: *const c_char,
        count: u32,
        options: *mut i32,
        values: *mut *mut c_void
    );
    cuLinkComplete(state: Handle, out: *mut *mut c_void, size: *mut usize);
    cuLinkDestroy(state: Handle);
    cuGetErrorName(code: u32, out: *mut *const c_char);
    cuGetProcAddress_v2(
        name: *const c_char,
        out: *mut *const c_void,
        version: i32,
        flags: u64,
        status: *mut i32
    );
}

/// A result that a function writes through a pointer, and its code.
pub fn out<T: Copy>(zero: T, call: impl FnOnce(*mut T) -> u32) -> (u32, T) {
    let mut value = zero;
    let code = call(&raw mut value);
    (code, value)
}

impl Cuda {
    /// The driver, initialised, with a context on device 0 current.
    pub fn ready() -> (Self, Handle) {
        let cuda = Self::open();
        assert_eq!(cuda.cuInit(0), 0);
        let context = cuda.context(0);
        (cuda, context)
    }

    pub fn context(&self, device: i32) -> Handle {
        let (code, context) = out(null_mut(), |out| self.cuCtxCreate_v2(out, 0, device));
        assert_eq!(code, 0);
        context
    }

    pub fn alloc(&self, bytes: usize) -> u64 {
        let (code, address) = out(0, |out| self.cuMemAlloc_v2(out, bytes));
        assert_eq!(code, 0);
        address
    }

    pub fn stream(&self, flags: u32) -> Handle {
        let (code, stream) = out(null_mut(), |out| self.cuStreamCreate(out, flags));
        assert_eq!(code, 0);
        stream
    }

    pub fn event(&self, flags: u32) -> Handle {
        let (code, event) = out(null_mut(), |out| self.cuEventCreate(out, flags));
        assert_eq!(code, 0);
        event
    }

    pub fn module(&self, text: &CStr) -> Handle {
        let (code, module) = out(null_mut(), |out| self.cuModuleLoadData(out, text.as_ptr().cast()));
        assert_eq!(code, 0);
        module
    }

    pub fn function(&self, module: Handle, name: &CStr) -> Handle {
        let (code, function) = out(null_mut(), |out| self.cuModuleGetFunction(out, module, name.as_ptr()));
        assert_eq!(code, 0);
        function
    }

    /// The bytes at a device address.
    pub fn read(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut host = vec![0; bytes];
        assert_eq!(self.cuMemcpyDtoH_v2(host.as_mut_ptr().cast(), address, bytes), 0);
        host
    }

    /// Whether the library has a symbol.
    pub fn has(&self, symbol: &str) -> bool {
        // SAFETY: the address is not used.
        unsafe { self.library.get::<*const c_void>(symbol.as_bytes()) }.is_ok()
    }
}

/// Holds a stream up until it is opened.
pub struct Gate(&'static std::sync::Barrier);

impl Gate {
    pub fn on(cuda: &Cuda, stream: Handle) -> Self {
        unsafe extern "C" fn wait(user: *mut c_void) {
            // SAFETY: the barrier below, which lives for ever.
            unsafe { &*user.cast::<std::sync::Barrier>() }.wait();
        }
        let barrier: &'static _ = Box::leak(Box::new(std::sync::Barrier::new(2)));
        assert_eq!(cuda.cuLaunchHostFunc(stream, wait, std::ptr::from_ref(barrier).cast_mut().cast()), 0);
        Self(barrier)
    }

    pub fn open(self) {
        self.0.wait();
    }
}

/// A module with the sample kernel and one that has no software reference.
pub const FILL_PTX: &CStr = c".version 7.0
.target sm_52
.address_size 64
// One thread for each byte of a rectangle.
.visible .entry nvsim_fill_u8(
    .param .u64 p_address, .param .u64 p_pitch, .param .u32 p_width, .param .u32 p_height, .param .u8 p_value)
{
    .reg .pred %p<3>;
    .reg .b32 %r<12>;
    .reg .b16 %h<2>;
    .reg .b64 %d<8>;
    ld.param.u64 %d1, [p_address];
    ld.param.u64 %d2, [p_pitch];
    ld.param.u32 %r1, [p_width];
    ld.param.u32 %r2, [p_height];
    ld.param.u8 %h1, [p_value];
    mov.u32 %r3, %ctaid.x;
    mov.u32 %r4, %ntid.x;
    mov.u32 %r5, %tid.x;
    mad.lo.s32 %r6, %r3, %r4, %r5;
    mov.u32 %r7, %ctaid.y;
    mov.u32 %r8, %ntid.y;
    mov.u32 %r9, %tid.y;
    mad.lo.s32 %r10, %r7, %r8, %r9;
    setp.ge.u32 %p1, %r6, %r1;
    @%p1 ret;
    setp.ge.u32 %p2, %r10, %r2;
    @%p2 ret;
    cvta.to.global.u64 %d3, %d1;
    cvt.u64.u32 %d4, %r10;
    mad.lo.u64 %d5, %d4, %d2, %d3;
    cvt.u64.u32 %d6, %r6;
    add.u64 %d7, %d5, %d6;
    st.global.u8 [%d7], %h1;
    ret;
}
.visible .entry no_reference(.param .u64 p_address)
{
    ret;
}
";

/// Launches the sample kernel; the grid is of blocks of 16 x 16 threads.
pub fn launch_fill(
    cuda: &Cuda,
    function: Handle,
    grid: (u32, u32),
    stream: Handle,
    rectangle: (u64, u64, u32, u32),
    value: u8,
) -> u32 {
    let (mut address, mut pitch, mut width, mut height) = rectangle;
    let mut value = value;
    let mut list: [*mut c_void; 5] = [
        (&raw mut address).cast(),
        (&raw mut pitch).cast(),
        (&raw mut width).cast(),
        (&raw mut height).cast(),
        (&raw mut value).cast(),
    ];
    cuda.cuLaunchKernel(function, grid.0, grid.1, 1, 16, 16, 1, 0, stream, list.as_mut_ptr(), null_mut())
}
