//! The encoder library as its clients load it: dlopen, function list, versioned structures. What is called across the C
//! interface is called here.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::ffi::c_void;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use libloading::Library;
use nvsim::nvenc::abi::*;
use nvsim::nvenc::versions::{Api, Struct};

/// A structure with room behind it: some declarations cover only the part that all versions share.
#[repr(C)]
pub struct Block<T> {
    value: T,
    rest: [u64; 512],
}

impl<T: Plain> Block<T> {
    pub fn new() -> Box<Self> {
        Box::new(Self { value: T::zeroed(), rest: [0; 512] })
    }

    pub fn pointer(&mut self) -> usize {
        std::ptr::from_mut(self) as usize
    }

    /// Numbers at an offset in bytes, for fields that lie at other places in each version.
    pub fn numbers<const N: usize>(&self, offset: usize) -> [u32; N] {
        assert!(offset + 4 * N <= size_of::<Self>());
        // SAFETY: inside of the structure, which was zeroed; what the driver wrote over it are numbers.
        unsafe { std::ptr::from_ref(self).byte_add(offset).cast::<[u32; N]>().read_unaligned() }
    }
}

impl<T> Deref for Block<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Block<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// Places in the function list.
pub mod at {
    pub const OPEN_OLD: usize = 0;
    pub const GUID_COUNT: usize = 1;
    pub const PROFILE_COUNT: usize = 2;
    pub const PROFILES: usize = 3;
    pub const GUIDS: usize = 4;
    pub const FORMAT_COUNT: usize = 5;
    pub const FORMATS: usize = 6;
    pub const CAPS: usize = 7;
    pub const PRESET_COUNT: usize = 8;
    pub const PRESETS: usize = 9;
    pub const PRESET_CONFIG: usize = 10;
    pub const INITIALIZE: usize = 11;
    pub const CREATE_INPUT: usize = 12;
    pub const DESTROY_INPUT: usize = 13;
    pub const CREATE_OUTPUT: usize = 14;
    pub const DESTROY_OUTPUT: usize = 15;
    pub const ENCODE: usize = 16;
    pub const LOCK: usize = 17;
    pub const UNLOCK: usize = 18;
    pub const LOCK_INPUT: usize = 19;
    pub const UNLOCK_INPUT: usize = 20;
    pub const SEQUENCE_PARAMS: usize = 22;
    pub const MAP: usize = 25;
    pub const UNMAP: usize = 26;
    pub const DESTROY: usize = 27;
    pub const OPEN: usize = 29;
    pub const REGISTER: usize = 30;
    pub const UNREGISTER: usize = 31;
    pub const RECONFIGURE: usize = 32;
    pub const LAST_ERROR: usize = 37;
    pub const IO_STREAMS: usize = 38;
    pub const PRESET_CONFIG_EX: usize = 39;
    pub const SEQUENCE_PARAMS_EX: usize = 40;
}

/// The loaded libraries and a context.
pub struct Driver {
    pub cuda: Library,
    pub nvenc: Library,
    pub api: Api,
    pub list: Box<[usize; 319]>,
    pub context: usize,
}

impl Driver {
    pub fn new(api: Api) -> Self {
        // SAFETY: loading the simulated driver runs no code of its own.
        let (cuda, nvenc) = unsafe {
            (Library::new("libcuda.so.1").unwrap(), Library::new("libnvidia-encode.so.1").unwrap())
        };
        let mut driver = Self { cuda, nvenc, api, list: Box::new([0; 319]), context: 0 };
        assert_eq!(driver.cuda_call("cuInit", [0, 0, 0, 0]), 0);
        driver.context = driver.new_context();
        assert_eq!(driver.create_instance(api.struct_word(Struct::FunctionList)), NvStatus::SUCCESS);
        driver
    }

    pub fn create_instance(&mut self, word: u32) -> NvStatus {
        self.list[0] = word as usize;
        type Create = unsafe extern "C" fn(*mut c_void) -> NvStatus;
        // SAFETY: the function has this form, and the list has the size of the newest version's.
        unsafe {
            let create = self.nvenc.get::<Create>(b"NvEncodeAPICreateInstance\0").unwrap();
            create(self.list.as_mut_ptr().cast())
        }
    }

    /// The newest version that the driver speaks; with `room` false the driver has nowhere to put it.
    pub fn newest_version(&self, room: bool) -> Result<u32, NvStatus> {
        type Get = unsafe extern "C" fn(*mut u32) -> NvStatus;
        let mut version = 0;
        let out = if room { &raw mut version } else { std::ptr::null_mut() };
        // SAFETY: the function has this form; it writes to the variable or is told that there is none.
        let status = unsafe {
            let get = self.nvenc.get::<Get>(b"NvEncodeAPIGetMaxSupportedVersion\0").unwrap();
            get(out)
        };
        if status == NvStatus::SUCCESS { Ok(version) } else { Err(status) }
    }

    /// A CUDA function with at most four arguments of register size.
    pub fn cuda_call(&self, name: &str, args: [usize; 4]) -> u32 {
        type Function = unsafe extern "C" fn(usize, usize, usize, usize) -> u32;
        // SAFETY: the functions called here take up to four numbers or pointers, which travel in registers that a
        // function with fewer of them does not read; pointers are to variables of the caller that outlive the call.
        unsafe {
            let function = self.cuda.get::<Function>(name.as_bytes()).unwrap();
            function(args[0], args[1], args[2], args[3])
        }
    }

    /// Makes a stream that does not wait for the default one. The context has to be current.
    pub fn stream(&self) -> usize {
        let mut stream = 0usize;
        assert_eq!(self.cuda_call("cuStreamCreate", [&raw mut stream as usize, 1, 0, 0]), 0);
        stream
    }

    /// Keeps what comes on the stream after this waiting for as long as that.
    pub fn occupy(&self, stream: usize, time: Duration) {
        extern "C" fn sleep(milliseconds: *mut c_void) {
            std::thread::sleep(Duration::from_millis(milliseconds as u64));
        }
        // The pointer that CUDA hands through carries the number itself.
        let args = [stream, sleep as *const () as usize, time.as_millis() as usize, 0];
        assert_eq!(self.cuda_call("cuLaunchHostFunc", args), 0);
    }

    /// Has bytes written on a stream.
    pub fn set_bytes(&self, address: usize, value: u8, bytes: usize, stream: usize) {
        type Memset = unsafe extern "C" fn(u64, u8, usize, usize) -> u32;
        // SAFETY: the function has this form, and the driver checks address and stream itself.
        let status = unsafe {
            let memset = self.cuda.get::<Memset>(b"cuMemsetD8Async\0").unwrap();
            memset(address as u64, value, bytes, stream)
        };
        assert_eq!(status, 0);
    }

    /// Makes a floating context.
    pub fn new_context(&self) -> usize {
        let mut context = 0usize;
        assert_eq!(self.cuda_call("cuCtxCreate_v2", [&raw mut context as usize, 0, 0, 0]), 0);
        let mut popped = 0usize;
        assert_eq!(self.cuda_call("cuCtxPopCurrent_v2", [&raw mut popped as usize, 0, 0, 0]), 0);
        context
    }

    pub fn push(&self) {
        assert_eq!(self.cuda_call("cuCtxPushCurrent_v2", [self.context, 0, 0, 0]), 0);
    }

    pub fn pop(&self) {
        let mut popped = 0usize;
        assert_eq!(self.cuda_call("cuCtxPopCurrent_v2", [&raw mut popped as usize, 0, 0, 0]), 0);
    }

    pub fn alloc(&self, bytes: usize) -> usize {
        self.push();
        let mut address = 0usize;
        assert_eq!(self.cuda_call("cuMemAlloc_v2", [&raw mut address as usize, bytes, 0, 0]), 0);
        self.pop();
        address
    }

    pub fn free(&self, address: usize) {
        self.push();
        assert_eq!(self.cuda_call("cuMemFree_v2", [address, 0, 0, 0]), 0);
        self.pop();
    }

    pub fn upload(&self, address: usize, bytes: &[u8]) {
        self.push();
        assert_eq!(self.cuda_call("cuMemcpyHtoD_v2", [address, bytes.as_ptr() as usize, bytes.len(), 0]), 0);
        self.pop();
    }

    /// A function of the list with arguments of register size.
    pub fn call(&self, place: usize, args: [usize; 5]) -> NvStatus {
        type Function = unsafe extern "C" fn(usize, usize, usize, usize, usize) -> NvStatus;
        // SAFETY: as for `cuda_call`; functions of another form are called by methods of their own.
        unsafe { self.function::<Function>(place)(args[0], args[1], args[2], args[3], args[4]) }
    }

    /// A function of the list.
    ///
    /// # Safety
    /// `F` is a pointer to a function, of the form that the function at this place has.
    pub unsafe fn function<F: Copy>(&self, place: usize) -> F {
        let address = self.list[1 + place];
        assert_ne!(address, 0, "function {place} is not there");
        assert_eq!(size_of::<F>(), size_of::<usize>());
        // SAFETY: the caller's promise; the driver filled the list with addresses of functions.
        unsafe { std::mem::transmute_copy(&address) }
    }

    pub fn open(&self) -> (usize, NvStatus) {
        self.open_on(self.context, self.api.word())
    }

    pub fn open_on(&self, context: usize, api_word: u32) -> (usize, NvStatus) {
        let mut params = Block::<OpenSession>::new();
        params.version = self.api.struct_word(Struct::OpenSession);
        params.device_type = DEVICE_CUDA;
        params.device = context;
        params.api_version = api_word;
        let mut encoder = 0usize;
        let status = self.call(at::OPEN, [params.pointer(), &raw mut encoder as usize, 0, 0, 0]);
        (encoder, status)
    }

    pub fn destroy_context(&self) {
        assert_eq!(self.cuda_call("cuCtxDestroy_v2", [self.context, 0, 0, 0]), 0);
    }
}
