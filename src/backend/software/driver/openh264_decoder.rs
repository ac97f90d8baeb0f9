//! Cisco's openh264 decoder through its C++ object: a table of functions taking the object first.
//!
//! It is used as a decoder of single pictures in decoding order: no threads, no error concealment, and a
//! stamp goes in with each access unit and comes out with its picture. In profiles other than Baseline the
//! library keeps one picture back (it waits for B slices); [`Decoder::finish`] fetches it.
//!
//! After running out of memory or losing its reference lists the library rebuilds its context while it may
//! still list pictures of the old one, so this module never calls into such an object again.

use std::ffi::{c_int, c_long, c_void};
use std::ptr;

use openh264_sys2 as sys;

use super::openh264::{PlaneRef, failed};
use crate::error::{Error, Result};

/// Most bytes of an access unit (`MAX_ACCESS_UNIT_CAPACITY`).
pub(in crate::backend::software) const MAX_UNIT_BYTES: usize = 7_077_888;

/// A decoded picture, cropped; its samples are the library's and live until the next call.
pub(in crate::backend::software) struct Decoded<'a> {
    /// What came in with the access unit.
    pub(in crate::backend::software) stamp: u64,
    /// Y, Cb and Cr.
    pub(in crate::backend::software) planes: [PlaneRef<'a>; 3],
}

/// An open decoder of 4:2:0 pictures of one size.
pub(in crate::backend::software) struct Decoder {
    object: *mut sys::ISVCDecoder,
    vtable: Vtable,
    width: usize,
    height: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// Pictures already decoded can be fetched, no more.
    Spent,
    /// Nothing may be called but the destructor.
    Gone,
}

// SAFETY: the object has no thread affinity and, without the threads option, no threads; `Decoder` gives no
// shared access: every method that calls the library takes `&mut self`.
unsafe impl Send for Decoder {}

type DecodeFrame = unsafe extern "C" fn(
    *mut sys::ISVCDecoder,
    *const u8,
    c_int,
    *mut *mut u8,
    *mut sys::SBufferInfo,
) -> sys::DECODING_STATE;
type Flush =
    unsafe extern "C" fn(*mut sys::ISVCDecoder, *mut *mut u8, *mut sys::SBufferInfo) -> sys::DECODING_STATE;
type Access = unsafe extern "C" fn(*mut sys::ISVCDecoder, sys::DECODER_OPTION, *mut c_void) -> c_long;

#[derive(Clone, Copy)]
struct Vtable {
    initialize: unsafe extern "C" fn(*mut sys::ISVCDecoder, *const sys::SDecodingParam) -> c_long,
    uninitialize: unsafe extern "C" fn(*mut sys::ISVCDecoder) -> c_long,
    decode_frame: DecodeFrame,
    flush_frame: Flush,
    set_option: Access,
    get_option: Access,
}

impl Vtable {
    fn new(table: &sys::ISVCDecoderVtbl) -> Option<Self> {
        Some(Self {
            initialize: table.Initialize?,
            uninitialize: table.Uninitialize?,
            decode_frame: table.DecodeFrame2?,
            flush_frame: table.FlushFrame?,
            set_option: table.SetOption?,
            get_option: table.GetOption?,
        })
    }
}

impl Decoder {
    /// Opens a decoder of pictures that show `width` x `height` luma samples, both even.
    ///
    /// # Errors
    /// [`Error::Backend`] when the library refuses.
    pub(in crate::backend::software) fn open(width: usize, height: usize) -> Result<Self> {
        let mut object: *mut sys::ISVCDecoder = ptr::null_mut();
        // SAFETY: the function stores a new object, or null, through the valid pointer it is given.
        let code = unsafe { sys::source::APILoader::WelsCreateDecoder(&raw mut object) };
        if code != 0 || object.is_null() {
            return Err(failed("WelsCreateDecoder", code as c_int, "no decoder object"));
        }
        // SAFETY: a created object points to its function table, which lives as long as the program.
        let Some(vtable) = (unsafe { (*object).as_ref() }).and_then(Vtable::new) else {
            // SAFETY: `object` was created above and is not used after this.
            unsafe { sys::source::APILoader::WelsDestroyDecoder(object) };
            return Err(failed("WelsCreateDecoder", 0, "a function is missing from the object's table"));
        };
        let mut decoder = Self { object, vtable, width, height, state: State::Gone };

        // The library writes errors to standard error unless told not to, before anything else.
        let mut quiet: c_int = sys::WELS_LOG_QUIET;
        // SAFETY: this option is allowed before initialisation and reads one int. Its result says nothing:
        // the library returns an error after obeying.
        unsafe { (vtable.set_option)(object, sys::DECODER_OPTION_TRACE_LEVEL, (&raw mut quiet).cast()) };
        let params = sys::SDecodingParam {
            uiTargetDqLayer: u8::MAX,
            eEcActiveIdc: sys::ERROR_CON_DISABLE,
            sVideoProperty: sys::SVideoProperty {
                size: size_of::<sys::SVideoProperty>() as u32,
                eVideoBsType: sys::VIDEO_BITSTREAM_AVC,
            },
            ..sys::SDecodingParam::default()
        };
        // SAFETY: reads the structure, keeps no pointer to it.
        let code = unsafe { (vtable.initialize)(object, &raw const params) };
        if code != 0 {
            return Err(failed("Initialize", code as c_int, "the parameters were refused"));
        }
        decoder.state = State::Ready;
        Ok(decoder)
    }

    /// Decodes one access unit (Annex B) and hands out the pictures that are ready, this one or the one
    /// before it.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] when the unit did not give one complete picture.
    pub(in crate::backend::software) fn decode(
        &mut self,
        unit: &[u8],
        stamp: u64,
        out: &mut dyn FnMut(Decoded<'_>),
    ) -> Result<()> {
        if self.state != State::Ready {
            return Err(Error::corrupt("refers to a picture that openh264 could not decode"));
        }
        let length = match c_int::try_from(unit.len()) {
            Ok(length) if unit.len() <= MAX_UNIT_BYTES => length,
            _ => {
                return Err(Error::corrupt(format!(
                    "the picture has {} bytes; openh264 takes {MAX_UNIT_BYTES}",
                    unit.len()
                )));
            }
        };
        let before = self.held();
        let mut handed_out = 0;
        // The second call, without data, makes the library decode what it has instead of waiting for more.
        for (data, length) in [(unit.as_ptr(), length), (ptr::null(), 0)] {
            let mut planes: [*mut u8; 3] = [ptr::null_mut(); 3];
            let mut info = sys::SBufferInfo { uiInBsTimeStamp: stamp, ..sys::SBufferInfo::default() };
            // SAFETY: the object is initialised; `data` is `length` bytes, or null with 0, which the library
            // copies; `planes` and `info` are whole.
            let state = unsafe {
                (self.vtable.decode_frame)(self.object, data, length, planes.as_mut_ptr(), &raw mut info)
            };
            if state & (sys::dsOutOfMemory | sys::dsRefListNullPtrs | sys::dsInitialOptExpected) != 0 {
                self.state = State::Gone;
            } else {
                handed_out += usize::from(self.hand_out(&info, out)?);
            }
            if state != 0 {
                return Err(Error::corrupt(format!(
                    "openh264 could not decode the picture (state {state:#x})"
                )));
            }
        }
        // A picture that lacks macroblocks is no error to it: it waits for more slices.
        if self.held() + handed_out != before + 1 {
            self.state = State::Spent;
            return Err(Error::corrupt("the picture lacks slices"));
        }
        Ok(())
    }

    /// Hands out the pictures still held.
    pub(in crate::backend::software) fn finish(&mut self, out: &mut dyn FnMut(Decoded<'_>)) -> Result<()> {
        let held = self.held();
        if held > 0 {
            let mut end: c_int = 1;
            // SAFETY: the object is initialised; the option reads one int.
            unsafe {
                let end = (&raw mut end).cast();
                (self.vtable.set_option)(self.object, sys::DECODER_OPTION_END_OF_STREAM, end)
            };
            // A picture fetched in this way is never free again to the library.
            self.state = State::Spent;
        }
        for _ in 0..held {
            let mut planes: [*mut u8; 3] = [ptr::null_mut(); 3];
            let mut info = sys::SBufferInfo::default();
            // SAFETY: the object is initialised, `planes` and `info` are whole.
            unsafe { (self.vtable.flush_frame)(self.object, planes.as_mut_ptr(), &raw mut info) };
            self.hand_out(&info, out)?;
        }
        Ok(())
    }

    /// Pictures that are decoded and kept back.
    fn held(&mut self) -> usize {
        let mut count: c_int = 0;
        if self.state != State::Gone {
            // SAFETY: the object is initialised; the option writes one int.
            unsafe {
                (self.vtable.get_option)(
                    self.object,
                    sys::DECODER_OPTION_NUM_OF_FRAMES_REMAINING_IN_BUFFER,
                    (&raw mut count).cast(),
                )
            };
        }
        usize::try_from(count).unwrap_or(0)
    }

    fn hand_out(&self, info: &sys::SBufferInfo, out: &mut dyn FnMut(Decoded<'_>)) -> Result<bool> {
        if info.iBufferStatus != 1 {
            return Ok(false);
        }
        // SAFETY: the other member of the union does not exist.
        let buffer = unsafe { info.UsrData.sSystemBuffer };
        let size = [buffer.iWidth, buffer.iHeight].map(|v| usize::try_from(v).unwrap_or(0));
        let strides = buffer.iStride.map(|v| usize::try_from(v).unwrap_or(0));
        let expected = [self.width, self.height];
        if size != expected || strides[0] < size[0] || strides[1] < size[0] / 2 {
            return Err(Error::corrupt(format!("openh264 decoded {size:?} samples, expected {expected:?}")));
        }
        let mut planes: [PlaneRef<'_>; 3] = [(&[], 0); 3];
        for (i, (plane, &data)) in planes.iter_mut().zip(&info.pDst).enumerate() {
            let (stride, width, rows) =
                if i == 0 { (strides[0], size[0], size[1]) } else { (strides[1], size[0] / 2, size[1] / 2) };
            if data.is_null() || rows == 0 {
                return Err(Error::corrupt("openh264 gave a picture without samples"));
            }
            // SAFETY: until the next call, the library keeps `rows` rows of `width` samples at `data`, each
            // `stride` bytes after the one before.
            *plane = (unsafe { std::slice::from_raw_parts(data, stride * (rows - 1) + width) }, stride);
        }
        out(Decoded { stamp: info.uiOutYuvTimeStamp, planes });
        Ok(true)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the object was created in `open` and is not used after this; both calls are allowed
        // whether or not it was initialised or has failed.
        unsafe {
            (self.vtable.uninitialize)(self.object);
            sys::source::APILoader::WelsDestroyDecoder(self.object);
        }
    }
}
