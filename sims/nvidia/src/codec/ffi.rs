//! The C side (`shim.h`) seen from Rust: an owned handle and safe calls.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use super::CodecError;
use super::encoder::EncoderCodec;

pub(super) const RATE_QP: i32 = 0;
pub(super) const RATE_AVERAGE: i32 = 1;
pub(super) const RATE_QUALITY: i32 = 2;
pub(super) const RATE_LOSSLESS: i32 = 3;

/// `nvsim_settings` of the shim.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) chroma444: i32,
    pub(super) depth: i32,
    pub(super) fps_num: u32,
    pub(super) fps_den: u32,
    pub(super) rate: i32,
    pub(super) qp: i32,
    pub(super) average: i32,
    pub(super) max: i32,
    pub(super) vbv: i32,
    pub(super) constant: i32,
    pub(super) speed: i32,
    pub(super) slices: i32,
    pub(super) cabac: i32,
    pub(super) profile: i32,
    pub(super) level: i32,
    pub(super) sar_width: i32,
    pub(super) sar_height: i32,
    pub(super) colour: i32,
    pub(super) primaries: i32,
    pub(super) transfer: i32,
    pub(super) matrix: i32,
    pub(super) full_range: i32,
}

/// `nvsim_picture` of the shim.
#[repr(C)]
#[derive(Debug)]
struct RawPicture {
    planes: [*const u8; 3],
    pitches: [i32; 3],
    kind: i32,
    qp: i32,
}

/// `nvsim_coded` of the shim.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct RawCoded {
    data: *const u8,
    size: usize,
    qp: i32,
    planes: [*const u8; 3],
    pitches: [i32; 3],
    interleaved: i32,
}

impl RawCoded {
    const EMPTY: Self = Self {
        data: std::ptr::null(),
        size: 0,
        qp: -1,
        planes: [std::ptr::null(); 3],
        pitches: [0; 3],
        interleaved: 0,
    };
}

unsafe extern "C" {
    fn nvsim_x264_open(settings: *const Settings, message: *mut c_char, size: usize) -> *mut c_void;
    fn nvsim_x264_headers(handle: *mut c_void, out: *mut RawCoded) -> i32;
    fn nvsim_x264_encode(handle: *mut c_void, picture: *const RawPicture, out: *mut RawCoded) -> i32;
    fn nvsim_x264_reconfigure(handle: *mut c_void, settings: *const Settings) -> i32;
    fn nvsim_x264_message(handle: *mut c_void, message: *mut c_char, size: usize);
    fn nvsim_x264_close(handle: *mut c_void);
    fn nvsim_x265_open(settings: *const Settings, message: *mut c_char, size: usize) -> *mut c_void;
    fn nvsim_x265_headers(handle: *mut c_void, out: *mut RawCoded) -> i32;
    fn nvsim_x265_encode(handle: *mut c_void, picture: *const RawPicture, out: *mut RawCoded) -> i32;
    fn nvsim_x265_message(handle: *mut c_void, message: *mut c_char, size: usize);
    fn nvsim_x265_close(handle: *mut c_void);
    fn nvsim_av1_open(settings: *const Settings, message: *mut c_char, size: usize) -> *mut c_void;
    fn nvsim_av1_headers(handle: *mut c_void, out: *mut RawCoded) -> i32;
    fn nvsim_av1_encode(handle: *mut c_void, picture: *const RawPicture, out: *mut RawCoded) -> i32;
    fn nvsim_av1_message(handle: *mut c_void, message: *mut c_char, size: usize);
    fn nvsim_av1_close(handle: *mut c_void);
}

/// libx265 fills its process-wide function tables when the first encoder opens, without a lock of its own.
static OPENING: Mutex<()> = Mutex::new(());

/// A picture as the libraries take it; the planes are as large as pitches and height ask for.
pub(super) struct Input<'a> {
    pub(super) planes: [&'a [u8]; 3],
    pub(super) pitches: [i32; 3],
    /// 0 IDR, 1 I, 2 P.
    pub(super) kind: i32,
    /// Fixed quantiser.
    pub(super) qp: Option<i32>,
}

/// What a library made of a picture.
pub(super) struct Coded {
    pub(super) data: Vec<u8>,
    pub(super) qp: Option<i32>,
}

/// An open encoder of one of the libraries.
#[derive(Debug)]
pub(super) struct Handle {
    codec: EncoderCodec,
    raw: NonNull<c_void>,
    // What the last call gave; its pointers are good until the next one.
    last: RawCoded,
}

// SAFETY: neither library binds an encoder to the thread that opened it, and a handle is used through `&mut` only
// (`reconstruction` reads memory that no other thread writes).
unsafe impl Send for Handle {}

impl Handle {
    pub(super) fn open(codec: EncoderCodec, settings: &Settings) -> Result<Self, CodecError> {
        let mut message = [0; 256];
        let raw = match codec {
            // SAFETY: the settings and the message buffer outlive the call and have the sizes told.
            EncoderCodec::H264 => unsafe { nvsim_x264_open(settings, message.as_mut_ptr(), message.len()) },
            EncoderCodec::Hevc => {
                let _guard = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
                // SAFETY: as above.
                unsafe { nvsim_x265_open(settings, message.as_mut_ptr(), message.len()) }
            }
            // SAFETY: as above.
            EncoderCodec::Av1 => unsafe { nvsim_av1_open(settings, message.as_mut_ptr(), message.len()) },
        };
        let raw = NonNull::new(raw).ok_or_else(|| text(&message))?;
        Ok(Self { codec, raw, last: RawCoded::EMPTY })
    }

    /// The parameter sets as the library makes them.
    pub(super) fn headers(&mut self) -> Result<Vec<u8>, CodecError> {
        self.last = RawCoded::EMPTY;
        let mut out = RawCoded::EMPTY;
        let result = match self.codec {
            // SAFETY: the handle is open and `out` outlives the call.
            EncoderCodec::H264 => unsafe { nvsim_x264_headers(self.raw.as_ptr(), &mut out) },
            // SAFETY: as above.
            EncoderCodec::Hevc => unsafe { nvsim_x265_headers(self.raw.as_ptr(), &mut out) },
            // SAFETY: as above.
            EncoderCodec::Av1 => unsafe { nvsim_av1_headers(self.raw.as_ptr(), &mut out) },
        };
        if result != 0 || out.data.is_null() {
            return Err(self.message());
        }
        // SAFETY: the shim points at `size` bytes that stay until the next call.
        Ok(unsafe { std::slice::from_raw_parts(out.data, out.size) }.to_vec())
    }

    pub(super) fn encode(&mut self, input: &Input<'_>) -> Result<Coded, CodecError> {
        self.last = RawCoded::EMPTY;
        let mut out = RawCoded::EMPTY;
        let picture = RawPicture {
            planes: input.planes.map(<[u8]>::as_ptr),
            pitches: input.pitches,
            kind: input.kind,
            qp: input.qp.unwrap_or(-1),
        };
        let result = match self.codec {
            // SAFETY: the handle is open, the planes hold a whole picture (checked by the caller) and are copied
            // before the call returns.
            EncoderCodec::H264 => unsafe { nvsim_x264_encode(self.raw.as_ptr(), &picture, &mut out) },
            // SAFETY: as above.
            EncoderCodec::Hevc => unsafe { nvsim_x265_encode(self.raw.as_ptr(), &picture, &mut out) },
            // SAFETY: as above.
            EncoderCodec::Av1 => unsafe { nvsim_av1_encode(self.raw.as_ptr(), &picture, &mut out) },
        };
        if result != 0 || out.data.is_null() {
            return Err(self.message());
        }
        self.last = out;
        // SAFETY: the shim points at `size` bytes that stay until the next call.
        let data = unsafe { std::slice::from_raw_parts(out.data, out.size) }.to_vec();
        Ok(Coded { data, qp: (out.qp >= 0).then_some(out.qp) })
    }

    /// New rates for libx264; the others take none while they are open.
    pub(super) fn reconfigure(&mut self, settings: &Settings) -> Result<(), CodecError> {
        if self.codec != EncoderCodec::H264 {
            return Err(CodecError("only libx264 changes its rates".into()));
        }
        self.last = RawCoded::EMPTY;
        // SAFETY: the handle is open and libx264's, and the settings outlive the call.
        match unsafe { nvsim_x264_reconfigure(self.raw.as_ptr(), settings) } {
            0 => Ok(()),
            _ => Err(self.message()),
        }
    }

    /// The planes of the picture that the last call coded, as a decoder will see it: rows of `widths` samples of
    /// `bytes` bytes, without padding.
    pub(super) fn reconstruction(&self, sizes: [(usize, usize); 3], bytes: usize) -> Option<[Vec<u8>; 3]> {
        let interleaved = self.last.interleaved != 0;
        let mut planes = [const { Vec::new() }; 3];
        for (index, (width, height)) in sizes.into_iter().enumerate() {
            let from = if interleaved { index.min(1) } else { index };
            let (base, pitch) = (self.last.planes[from], usize::try_from(self.last.pitches[from]).ok()?);
            if base.is_null() {
                return None;
            }
            let (step, start) = if interleaved && index > 0 { (2, index - 1) } else { (1, 0) };
            let length = width * step * bytes;
            for row in 0..height {
                // SAFETY: the library's own picture has `height` rows of at least `length` bytes, `pitch` apart, and
                // stays until the next call on the handle, which resets `last`.
                let row = unsafe { std::slice::from_raw_parts(base.add(row * pitch), length) };
                let samples = row.chunks_exact(bytes).skip(start).step_by(step);
                planes[index].extend(samples.flatten());
            }
        }
        Some(planes)
    }

    fn message(&mut self) -> CodecError {
        let mut message = [0; 256];
        match self.codec {
            // SAFETY: the handle is open and the buffer has the size told.
            EncoderCodec::H264 => unsafe {
                nvsim_x264_message(self.raw.as_ptr(), message.as_mut_ptr(), message.len());
            },
            // SAFETY: as above.
            EncoderCodec::Hevc => unsafe {
                nvsim_x265_message(self.raw.as_ptr(), message.as_mut_ptr(), message.len());
            },
            // SAFETY: as above.
            EncoderCodec::Av1 => unsafe {
                nvsim_av1_message(self.raw.as_ptr(), message.as_mut_ptr(), message.len());
            },
        }
        text(&message)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        match self.codec {
            // SAFETY: the handle is open and never used again.
            EncoderCodec::H264 => unsafe { nvsim_x264_close(self.raw.as_ptr()) },
            // SAFETY: as above.
            EncoderCodec::Hevc => unsafe { nvsim_x265_close(self.raw.as_ptr()) },
            // SAFETY: as above.
            EncoderCodec::Av1 => unsafe { nvsim_av1_close(self.raw.as_ptr()) },
        }
    }
}

/// The shim always ends its messages with a zero; the last byte is made one to depend on nothing.
fn text(message: &[c_char; 256]) -> CodecError {
    let mut bytes = message.map(|byte| byte as u8);
    bytes[255] = 0;
    let text = CStr::from_bytes_until_nul(&bytes).unwrap_or_default();
    CodecError(text.to_string_lossy().trim().to_owned())
}
