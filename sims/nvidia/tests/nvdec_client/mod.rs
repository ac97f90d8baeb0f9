//! A client of the decoder half, as a program that opens the driver's libraries itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

use std::ffi::{c_int, c_void};

use libloading::Library;
use nvsim::nvdec::abi::*;

pub type Status = u32;
pub const SUCCESS: Status = 0;
pub const INVALID_VALUE: Status = 1;
pub const OUT_OF_MEMORY: Status = 2;
pub const INVALID_CONTEXT: Status = 201;
pub const MAP_FAILED: Status = 205;
pub const NOT_MAPPED: Status = 211;
pub const INVALID_HANDLE: Status = 400;
pub const CONTEXT_IS_DESTROYED: Status = 709;
pub const DEVICE_LOST: Status = 719;
pub const NOT_SUPPORTED: Status = 801;

/// Both libraries, with the functions used here.
pub struct Driver {
    cuda: Library,
    cuvid: Library,
}

macro_rules! functions {
    ($($library:ident $method:ident $name:literal ($($argument:ident: $kind:ty),*);)*) => { $(
        pub fn $method(&self, $($argument: $kind),*) -> Status {
            let name = concat!($name, "\0");
            // SAFETY: the declaration of the function is the driver's, and the tests pass what they own.
            unsafe {
                let function = self.$library.get::<unsafe extern "C" fn($($kind),*) -> Status>(name.as_bytes()).unwrap();
                function($($argument),*)
            }
        }
    )* };
}

impl Driver {
    pub fn open() -> Self {
        // SAFETY: loading the simulated driver runs no code of its own.
        let (cuda, cuvid) =
            unsafe { (Library::new("libcuda.so.1").unwrap(), Library::new("libnvcuvid.so.1").unwrap()) };
        Self { cuda, cuvid }
    }

    /// Opens the driver and makes a context on the first device.
    pub fn with_context() -> (Self, *mut c_void) {
        let driver = Self::open();
        assert_eq!(driver.init(0), SUCCESS);
        let mut context = std::ptr::null_mut();
        assert_eq!(driver.ctx_create(&mut context, 0, 0), SUCCESS);
        (driver, context)
    }

    functions! {
        cuda init "cuInit" (flags: u32);
        cuda ctx_create "cuCtxCreate_v2" (out: *mut *mut c_void, flags: u32, device: c_int);
        cuda ctx_destroy "cuCtxDestroy_v2" (context: *mut c_void);
        cuda ctx_push "cuCtxPushCurrent_v2" (context: *mut c_void);
        cuda ctx_pop "cuCtxPopCurrent_v2" (out: *mut *mut c_void);
        cuda copy_from "cuMemcpyDtoH_v2" (to: *mut c_void, from: u64, bytes: usize);
        cuda stream_create "cuStreamCreate" (out: *mut *mut c_void, flags: u32);
        cuda stream_synchronize "cuStreamSynchronize" (stream: *mut c_void);
        cuda stream_destroy "cuStreamDestroy_v2" (stream: *mut c_void);
        cuvid caps "cuvidGetDecoderCaps" (caps: *mut CUVIDDECODECAPS);
        cuvid create "cuvidCreateDecoder" (out: *mut CUvideodecoder, info: *mut CUVIDDECODECREATEINFO);
        cuvid destroy "cuvidDestroyDecoder" (decoder: CUvideodecoder);
        cuvid decode "cuvidDecodePicture" (decoder: CUvideodecoder, picture: *mut CUVIDPICPARAMS);
        cuvid status "cuvidGetDecodeStatus" (decoder: CUvideodecoder, index: c_int, out: *mut CUVIDGETDECODESTATUS);
        cuvid reconfigure "cuvidReconfigureDecoder" (decoder: CUvideodecoder, info: *mut CUVIDRECONFIGUREDECODERINFO);
        cuvid map "cuvidMapVideoFrame64"
            (decoder: CUvideodecoder, index: c_int, address: *mut u64, pitch: *mut u32, params: *mut CUVIDPROCPARAMS);
        cuvid unmap "cuvidUnmapVideoFrame64" (decoder: CUvideodecoder, address: u64);
        cuvid lock_create "cuvidCtxLockCreate" (out: *mut CUvideoctxlock, context: *mut c_void);
        cuvid lock_destroy "cuvidCtxLockDestroy" (lock: CUvideoctxlock);
        cuvid lock "cuvidCtxLock" (lock: CUvideoctxlock, flags: u32);
        cuvid unlock "cuvidCtxUnlock" (lock: CUvideoctxlock, flags: u32);
        cuvid source_state "cuvidGetVideoSourceState" (source: *mut c_void);
        cuvid source_destroy "cuvidDestroyVideoSource" (source: *mut c_void);
    }

    /// Makes a decoder that must be accepted.
    #[track_caller]
    pub fn decoder(&self, info: &CUVIDDECODECREATEINFO) -> CUvideodecoder {
        let mut decoder = std::ptr::null_mut();
        assert_eq!(self.create(&mut decoder, &mut info.clone()), SUCCESS);
        decoder
    }

    /// Decodes data into a surface.
    pub fn decode_data(&self, decoder: CUvideodecoder, index: i32, data: &[u8]) -> Status {
        let mut picture = CUVIDPICPARAMS::zeroed();
        picture.CurrPicIdx = index;
        picture.pBitstreamData = data.as_ptr();
        picture.nBitstreamDataLen = data.len() as u32;
        self.decode(decoder, &mut picture)
    }

    /// Maps a progressive frame on the default stream.
    pub fn map_frame(&self, decoder: CUvideodecoder, index: i32) -> Result<(u64, usize), Status> {
        self.map_on(decoder, index, std::ptr::null_mut())
    }

    pub fn map_on(
        &self,
        decoder: CUvideodecoder,
        index: i32,
        stream: *mut c_void,
    ) -> Result<(u64, usize), Status> {
        let mut params = CUVIDPROCPARAMS::zeroed();
        params.progressive_frame = 1;
        params.output_stream = stream;
        let (mut address, mut pitch) = (0, 0);
        match self.map(decoder, index, &mut address, &mut pitch, &mut params) {
            SUCCESS => Ok((address, pitch as usize)),
            error => Err(error),
        }
    }

    /// Copies rows of a mapped frame to the host, without the padding.
    pub fn rows(&self, address: u64, pitch: usize, bytes: usize, rows: usize) -> Vec<u8> {
        let mut memory = vec![0; pitch * rows];
        assert_eq!(self.copy_from(memory.as_mut_ptr().cast(), address, memory.len()), SUCCESS);
        memory.chunks(pitch).flat_map(|row| &row[..bytes]).copied().collect()
    }

    pub fn decode_status(&self, decoder: CUvideodecoder, index: i32) -> u32 {
        let mut status = CUVIDGETDECODESTATUS::zeroed();
        assert_eq!(self.status(decoder, index, &mut status), SUCCESS);
        status.decodeStatus
    }
}

/// A decoder of 8-bit 4:2:0 with 4 decode surfaces and 2 output surfaces.
pub fn info(codec: u32, width: u32, height: u32) -> CUVIDDECODECREATEINFO {
    CUVIDDECODECREATEINFO {
        ulWidth: width.into(),
        ulHeight: height.into(),
        ulNumDecodeSurfaces: 4,
        CodecType: codec,
        ChromaFormat: chroma_format::YUV420,
        ulTargetWidth: width.into(),
        ulTargetHeight: height.into(),
        ulNumOutputSurfaces: 2,
        ..Zeroed::zeroed()
    }
}

/// Decoding that needs no stream: the decoder shows test pictures.
pub const CANNED: (&str, &str) = ("NVSIM_SET", "canned.decode=true");
