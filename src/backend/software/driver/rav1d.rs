//! `re_rav1d`, the AV1 decoder dav1d in Rust, behind safe types.
//!
//! The crate offers only dav1d's C interface. No callback is installed: pictures come from the library's own
//! pool, logging is off. A panic inside the library cannot be caught, because it would have to cross an
//! `extern "C"` function, where Rust ends the process instead.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use re_rav1d::include::dav1d::data::Dav1dData;
use re_rav1d::include::dav1d::dav1d::{Dav1dContext, Dav1dLogger, Dav1dSettings};
use re_rav1d::include::dav1d::headers::DAV1D_FRAME_TYPE_KEY;
use re_rav1d::include::dav1d::picture::Dav1dPicture;
use re_rav1d::src::lib as dav1d;

const EAGAIN: c_int = -libc::EAGAIN;

/// Why a call gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::software) enum Refusal {
    /// Other calls have to be made first.
    Again,
    /// The library's error number (negative).
    Code(i32),
}

fn outcome(code: c_int) -> Result<(), Refusal> {
    match code {
        0 => Ok(()),
        EAGAIN => Err(Refusal::Again),
        code => Err(Refusal::Code(code)),
    }
}

/// How a decoder is opened.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend::software) struct Settings {
    /// Worker threads, the calling one included; at least 1.
    pub(in crate::backend::software) threads: usize,
    /// Frames in flight; 1: each picture comes out with its own data. 0: chosen from `threads`.
    pub(in crate::backend::software) frame_delay: usize,
    /// Largest picture in luma samples.
    pub(in crate::backend::software) max_pixels: u32,
}

/// An open decoder.
pub(in crate::backend::software) struct Decoder {
    /// `None` only after `drop`.
    context: Option<Dav1dContext>,
}

// SAFETY: the context is an `Arc` of a type that the library shares among its own worker threads; this
// wrapper lets one thread at a time call it, because every method takes `&mut self`.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Opens a decoder.
    pub(in crate::backend::software) fn open(settings: Settings) -> Result<Self, Refusal> {
        let mut raw = MaybeUninit::<Dav1dSettings>::uninit();
        // SAFETY: the pointer is valid for one `Dav1dSettings`, which the call writes completely.
        let mut raw = unsafe {
            dav1d::dav1d_default_settings(NonNull::from(&mut raw).cast());
            raw.assume_init()
        };
        raw.n_threads = c_int::try_from(settings.threads.clamp(1, 256)).unwrap_or(1);
        raw.max_frame_delay = c_int::try_from(settings.frame_delay.min(256)).unwrap_or(1);
        // Only the highest spatial layer of the operating point: one picture per temporal unit.
        raw.all_layers = 0;
        raw.frame_size_limit = settings.max_pixels;
        // SAFETY: without a callback there is nothing that could be called with wrong arguments.
        raw.logger = unsafe { Dav1dLogger::new(None, None) };
        let mut context: Option<Dav1dContext> = None;
        // SAFETY: both pointers come from references that live through the call; the settings hold no
        // callbacks but the library's own.
        let code =
            unsafe { dav1d::dav1d_open(Some(NonNull::from(&mut context)), Some(NonNull::from(&mut raw))) };
        outcome(code.0)?;
        if context.is_some() { Ok(Self { context }) } else { Err(Refusal::Code(-1)) }
    }

    /// Gives the library one temporal unit. [`Refusal::Again`]: take a picture and offer the data again.
    pub(in crate::backend::software) fn send(&mut self, data: &mut Data) -> Result<(), Refusal> {
        // SAFETY: the context is open; `data` was made by `dav1d_data_create` and stays valid, the call
        // takes it over or leaves it as it was.
        let code = unsafe { dav1d::dav1d_send_data(self.context, Some(NonNull::from(&mut data.raw))) };
        outcome(code.0)
    }

    /// The next picture in output order. Called twice without data in between it drains the decoder.
    pub(in crate::backend::software) fn picture(&mut self) -> Result<Picture, Refusal> {
        let mut raw = Dav1dPicture::default();
        // SAFETY: the context is open and the pointer is valid; the call overwrites an empty picture.
        let code = unsafe { dav1d::dav1d_get_picture(self.context, Some(NonNull::from(&mut raw))) };
        // The picture owns whatever was written, also when the code is an error.
        let picture = Picture { raw: Arc::new(RawPicture(raw)) };
        outcome(code.0).map(|()| picture)
    }

    /// Timestamp of the data that the last error is about.
    pub(in crate::backend::software) fn error_timestamp(&mut self) -> i64 {
        let mut data = Dav1dData::default();
        // SAFETY: the context is open, the pointer is valid for writing.
        let code = unsafe {
            dav1d::dav1d_get_decode_error_data_props(self.context, Some(NonNull::from(&mut data.m)))
        };
        let timestamp = if code.0 == 0 { data.m.timestamp } else { i64::MIN };
        // SAFETY: the properties were written by the call above (or are the defaults).
        unsafe { dav1d::dav1d_data_props_unref(Some(NonNull::from(&mut data.m))) };
        timestamp
    }

    /// Forgets all data and references; the next unit must start a coded video sequence.
    pub(in crate::backend::software) fn reset(&mut self) {
        if let Some(context) = self.context {
            // SAFETY: the context is open.
            unsafe { dav1d::dav1d_flush(context) };
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // Pictures given out keep their memory alive by themselves. SAFETY: the context is open and not used
        // afterwards; the call takes it out of the option.
        unsafe { dav1d::dav1d_close(Some(NonNull::from(&mut self.context))) };
    }
}

/// Coded bytes in the library's memory.
pub(in crate::backend::software) struct Data {
    raw: Dav1dData,
}

impl Data {
    /// Copies `bytes`; `None` when there are none or the library has no memory.
    pub(in crate::backend::software) fn new(bytes: &[u8], timestamp: i64) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        let mut raw = Dav1dData::default();
        // SAFETY: the pointer is valid; the call writes a buffer of `len` bytes into it.
        let memory = unsafe { dav1d::dav1d_data_create(Some(NonNull::from(&mut raw)), bytes.len()) };
        let memory = NonNull::new(memory)?;
        // SAFETY: `memory` is a fresh buffer of `len` bytes, so it does not overlap `bytes`.
        unsafe { memory.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        raw.m.timestamp = timestamp;
        Some(Self { raw })
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // SAFETY: `raw` is either what `dav1d_data_create` made or what `dav1d_send_data` left (empty).
        unsafe { dav1d::dav1d_data_unref(Some(NonNull::from(&mut self.raw))) };
    }
}

struct RawPicture(Dav1dPicture);

// SAFETY: a picture that was handed out is complete: the library only reads its samples and headers from
// then on, and so do we. Its reference counts are atomic.
unsafe impl Send for RawPicture {}
// SAFETY: as above; nothing in it changes after creation.
unsafe impl Sync for RawPicture {}

impl Drop for RawPicture {
    fn drop(&mut self) {
        // SAFETY: the picture was written by the library and is released once.
        unsafe { dav1d::dav1d_picture_unref(Some(NonNull::from(&mut self.0))) };
        // What the call leaves behind is an empty picture, but one that holds a list of T.35 messages: a new,
        // empty list, which nobody would ever release.
        if let Some(list) = self.0.itut_t35_ref.take() {
            // SAFETY: the call above made it from an `Arc` for this field alone, and it is taken out once.
            drop(unsafe { list.into_arc() });
        }
    }
}

/// Colour code points of a sequence header (ITU-T H.273) and its range flag.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend::software) struct Color {
    pub(in crate::backend::software) primaries: u8,
    pub(in crate::backend::software) transfer: u8,
    pub(in crate::backend::software) matrix: u8,
    pub(in crate::backend::software) full_range: bool,
}

/// A decoded picture; it and its planes share the library's memory.
pub(in crate::backend::software) struct Picture {
    raw: Arc<RawPicture>,
}

impl Picture {
    /// Timestamp of the data it came from.
    pub(in crate::backend::software) fn timestamp(&self) -> i64 {
        self.raw.0.m.timestamp
    }

    /// Width and height in luma samples; zero for an empty picture.
    pub(in crate::backend::software) fn size(&self) -> (usize, usize) {
        let side = |v: c_int| usize::try_from(v).unwrap_or(0);
        (side(self.raw.0.p.w), side(self.raw.0.p.h))
    }

    /// Bits per sample.
    pub(in crate::backend::software) fn bit_depth(&self) -> u8 {
        u8::try_from(self.raw.0.p.bpc).unwrap_or(0)
    }

    /// 0: 4:0:0, 1: 4:2:0, 2: 4:2:2, 3: 4:4:4.
    pub(in crate::backend::software) fn layout(&self) -> u32 {
        self.raw.0.p.layout
    }

    /// Whether its frame header says "key frame".
    pub(in crate::backend::software) fn is_key(&self) -> bool {
        // SAFETY: the header lives as long as the picture and is not written any more.
        self.raw.0.frame_hdr.is_some_and(|h| unsafe { h.as_ref() }.frame_type == DAV1D_FRAME_TYPE_KEY)
    }

    /// Colour, as the sequence header states it.
    pub(in crate::backend::software) fn color(&self) -> Option<Color> {
        // SAFETY: the header lives as long as the picture and is not written any more.
        let header = unsafe { self.raw.0.seq_hdr?.as_ref() };
        let code = |v: u32| u8::try_from(v).unwrap_or(2);
        Some(Color {
            primaries: code(header.pri),
            transfer: code(header.trc),
            matrix: code(header.mtrx),
            full_range: header.color_range != 0,
        })
    }

    /// Ticks per second and ticks per picture, where the sequence states a constant rate.
    pub(in crate::backend::software) fn rate(&self) -> Option<(u32, u32)> {
        // SAFETY: the header lives as long as the picture and is not written any more.
        let header = unsafe { self.raw.0.seq_hdr?.as_ref() };
        if header.timing_info_present == 0 || header.equal_picture_interval == 0 {
            return None;
        }
        Some((header.time_scale, header.num_units_in_tick.checked_mul(header.num_ticks_per_picture)?))
    }

    /// Plane `index` (0 Y, 1 Cb, 2 Cr) as shared memory of `rows` rows of `row_bytes` bytes, and its stride
    /// in bytes. No copy: the memory is released with the last clone. `None` when the picture has no such
    /// plane.
    pub(in crate::backend::software) fn plane(
        &self,
        index: usize,
        row_bytes: usize,
        rows: usize,
    ) -> Option<(Bytes, usize)> {
        let start = (*self.raw.0.data.get(index)?)?.cast::<u8>();
        let stride = usize::try_from(self.raw.0.stride[usize::from(index > 0)]).ok()?;
        let (w, h) = self.size();
        let (sx, sy) = match self.layout() {
            1 => (1, 1),
            2 => (1, 0),
            _ => (0, 0),
        };
        let wide = usize::from(self.bit_depth() > 8);
        let (plane_bytes, plane_rows) =
            if index == 0 { (w << wide, h) } else { (((w + sx) >> sx) << wide, (h + sy) >> sy) };
        if rows == 0 || rows > plane_rows || row_bytes > plane_bytes || row_bytes > stride {
            return None;
        }
        let length = (rows - 1) * stride + row_bytes;
        let plane = SharedPlane { start, length, _picture: Arc::clone(&self.raw) };
        Some((Bytes::from_owner(plane), stride))
    }
}

struct SharedPlane {
    start: NonNull<u8>,
    length: usize,
    /// Keeps the memory.
    _picture: Arc<RawPicture>,
}

// SAFETY: `start` points into memory that the picture keeps and that nobody writes (see `RawPicture`).
unsafe impl Send for SharedPlane {}
// SAFETY: as above.
unsafe impl Sync for SharedPlane {}

impl AsRef<[u8]> for SharedPlane {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the library's default allocator gives each plane `stride * aligned height` initialised
        // bytes (zeroed when taken from the system); `Picture::plane` keeps `length` within the picture's
        // rows; the memory lives as long as `_picture` and is only read.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}
