//! Pictures in display order in, coded pictures in decoding order out: `avenc.c`.

use std::ffi::c_int;
use std::ptr::NonNull;

use super::CodecError;

/// `struct sim_settings`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in avenc.c")]
#[repr(C)]
pub struct Settings {
    pub codec: i32,
    pub width: i32,
    pub height: i32,
    pub depth: i32,
    pub fps_num: i32,
    pub fps_den: i32,
    pub bit_rate: i64,
    pub max_rate: i64,
    pub buffer: i64,
    pub quality: i32,
    pub qp_min: i32,
    pub qp_max: i32,
    pub gop: i32,
    pub b_frames: i32,
    pub profile: i32,
    pub level: i32,
    pub cavlc: i32,
    pub slice_bytes: i32,
    pub full_range: i32,
    pub primaries: i32,
    pub transfer: i32,
    pub matrix: i32,
    pub sar_width: i32,
    pub sar_height: i32,
    pub constant_qp: i32,
    pub qp_i: i32,
    pub qp_p: i32,
    pub qp_b: i32,
    pub pyramid: i32,
    pub intra_refresh: i32,
    pub slices: i32,
    pub aud: i32,
}

/// [`Settings::codec`].
pub const H264: i32 = 0;
/// See above.
pub const HEVC: i32 = 1;
/// See above.
pub const VP9: i32 = 2;
/// See above.
pub const AV1: i32 = 3;
/// See above.
pub const JPEG: i32 = 4;

/// A coded picture.
#[derive(Debug, Clone)]
pub struct Coded {
    /// Annex B.
    pub data: Vec<u8>,
    /// The number that the picture was given with.
    pub number: i64,
    /// Decoding can begin here.
    pub key: bool,
    /// I, P, B from 1; 0 where the library does not say.
    pub kind: i32,
}

/// How a picture is to be coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// As the encoder likes.
    Any,
    /// So that decoding can begin with it.
    Key,
    /// Intra coded, no more (HEVC; elsewhere as a key picture).
    Intra,
}

#[repr(C)]
struct Handle {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn sim_encoder_open(settings: *const Settings) -> *mut Handle;
    fn sim_encoder_sets(encoder: *const Handle, size: *mut usize) -> *const u8;
    fn sim_encoder_rate(encoder: *mut Handle, bit_rate: i64, max_rate: i64, buffer: i64);
    fn sim_encoder_send(encoder: *mut Handle, planes: *const *const u8, number: i64, key: c_int) -> c_int;
    fn sim_encoder_receive(
        encoder: *mut Handle,
        data: *mut *const u8,
        size: *mut usize,
        number: *mut i64,
        key: *mut c_int,
        kind: *mut c_int,
    ) -> c_int;
    fn sim_encoder_close(encoder: *mut Handle);
}

/// An open encoder.
#[derive(Debug)]
pub struct SoftEncoder {
    handle: NonNull<Handle>,
    settings: Settings,
}

// SAFETY: the C side keeps everything in the handle, and `&mut self` keeps two threads from using it at once.
unsafe impl Send for SoftEncoder {}

impl SoftEncoder {
    /// Opens the library's encoder.
    pub fn open(settings: Settings) -> Result<Self, CodecError> {
        // SAFETY: the structure has the layout that the C side reads.
        let handle = NonNull::new(unsafe { sim_encoder_open(&settings) });
        let handle =
            handle.ok_or_else(|| CodecError(format!("libavcodec opens no encoder for {settings:?}")))?;
        Ok(Self { handle, settings })
    }

    /// Parameter sets, Annex B.
    pub fn sets(&self) -> Vec<u8> {
        let mut size = 0;
        // SAFETY: the handle is open.
        let data = unsafe { sim_encoder_sets(self.handle.as_ptr(), &mut size) };
        if data.is_null() || size == 0 {
            return Vec::new();
        }
        // SAFETY: so many bytes, which stay while the encoder is open.
        unsafe { std::slice::from_raw_parts(data, size) }.to_vec()
    }

    /// Changes the rates; only libx264 follows.
    pub fn rate(&mut self, bit_rate: i64, max_rate: i64, buffer: i64) {
        if self.settings.codec == H264 && self.settings.bit_rate > 0 && bit_rate > 0 {
            // SAFETY: the handle is open.
            unsafe { sim_encoder_rate(self.handle.as_ptr(), bit_rate, max_rate, buffer) };
        }
    }

    /// Codes a picture, planes of 4:2:0 without padding, samples of 2 bytes where there are more than 8 bits. What is ready comes
    /// out, in decoding order.
    pub fn encode(&mut self, planes: [&[u8]; 3], number: i64, wish: Wish) -> Result<Vec<Coded>, CodecError> {
        let bytes = if self.settings.depth > 8 { 2 } else { 1 };
        let (width, height) = (self.settings.width as usize, self.settings.height as usize);
        let luma = width * height * bytes;
        let chroma = width.div_ceil(2) * height.div_ceil(2) * bytes;
        if planes.map(<[u8]>::len) != [luma, chroma, chroma] {
            return Err(CodecError("a picture of another kind".into()));
        }
        let key = wish as c_int;
        let pointers = planes.map(<[u8]>::as_ptr);
        // SAFETY: three planes of the size that was just compared, which the C side copies.
        let result = unsafe { sim_encoder_send(self.handle.as_ptr(), pointers.as_ptr(), number, key) };
        if result < 0 {
            return Err(CodecError(format!("the encoder answers {result}")));
        }
        self.take()
    }

    /// Codes what is left. No picture can follow.
    pub fn finish(&mut self) -> Result<Vec<Coded>, CodecError> {
        // SAFETY: the handle is open; null ends the stream.
        unsafe { sim_encoder_send(self.handle.as_ptr(), std::ptr::null(), 0, 0) };
        self.take()
    }

    fn take(&mut self) -> Result<Vec<Coded>, CodecError> {
        let mut all = Vec::new();
        loop {
            let (mut data, mut size, mut number, mut key, mut kind) = (std::ptr::null(), 0, 0, 0, 0);
            // SAFETY: the handle is open, and there is a place for each answer.
            let result = unsafe {
                sim_encoder_receive(
                    self.handle.as_ptr(),
                    &mut data,
                    &mut size,
                    &mut number,
                    &mut key,
                    &mut kind,
                )
            };
            match result {
                0 => return Ok(all),
                1 if !data.is_null() => {
                    // SAFETY: so many bytes, which stay until the next call.
                    let data = unsafe { std::slice::from_raw_parts(data, size) }.to_vec();
                    all.push(Coded { data, number, key: key != 0, kind });
                }
                _ => return Err(CodecError(format!("the encoder answers {result}"))),
            }
        }
    }
}

impl Drop for SoftEncoder {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again.
        unsafe { sim_encoder_close(self.handle.as_ptr()) };
    }
}
