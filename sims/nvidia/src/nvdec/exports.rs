//! The exported functions of the decoder half of `libnvcuvid`.

#![allow(missing_docs, reason = "names of the driver API")]

use std::ffi::{c_char, c_int, c_void};

use super::abi::{
    CUVIDDECODECAPS, CUVIDDECODECREATEINFO, CUVIDGETDECODESTATUS, CUVIDPICPARAMS, CUVIDPROCPARAMS,
    CUVIDRECONFIGUREDECODERINFO, CUvideoctxlock, CUvideodecoder, Zeroed,
};
use super::{caps, decoder, lock, map, reconfigure, rules, status};
use crate::core::{Call, enter};
use crate::cuda::abi::CuResult;

/// Runs the body of an exported function.
fn answer(name: &'static str, body: impl FnOnce(&Call) -> Result<(), CuResult>) -> CuResult {
    enter(name, |call| match body(call) {
        Ok(()) => CuResult::SUCCESS,
        Err(error) => error,
    })
}

/// A structure or result of the client; null is a breach.
///
/// # Safety
/// A pointer that is not null points to a `T` that nobody else uses during the call.
unsafe fn given<'a, T>(call: &Call, pointer: *mut T, name: &str) -> Result<&'a mut T, CuResult> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or_else(|| {
        call.breach(&rules::NULL_POINTER, format!("{name} is null"));
        CuResult::ERROR_INVALID_VALUE
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidGetDecoderCaps(pdc: *mut CUVIDDECODECAPS) -> CuResult {
    // SAFETY: the client passes its own structure.
    answer("cuvidGetDecoderCaps", |call| caps::get(call, unsafe { given(call, pdc, "pdc") }?))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidCreateDecoder(
    phDecoder: *mut CUvideodecoder,
    pdci: *mut CUVIDDECODECREATEINFO,
) -> CuResult {
    answer("cuvidCreateDecoder", |call| {
        // SAFETY: the client passes its own structures.
        let (out, info) = unsafe { (given(call, phDecoder, "phDecoder")?, given(call, pdci, "pdci")?) };
        *out = decoder::create(call, info)?;
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidDestroyDecoder(hDecoder: CUvideodecoder) -> CuResult {
    answer("cuvidDestroyDecoder", |call| decoder::destroy(call, hDecoder))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidDecodePicture(
    hDecoder: CUvideodecoder,
    pPicParams: *mut CUVIDPICPARAMS,
) -> CuResult {
    answer("cuvidDecodePicture", |call| {
        let decoder = decoder::find(call, hDecoder)?;
        // SAFETY: the client passes its own structure.
        decoder::decode(call, &decoder, unsafe { given(call, pPicParams, "pPicParams") }?)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidGetDecodeStatus(
    hDecoder: CUvideodecoder,
    nPicIdx: c_int,
    pDecodeStatus: *mut CUVIDGETDECODESTATUS,
) -> CuResult {
    answer("cuvidGetDecodeStatus", |call| {
        let decoder = decoder::find(call, hDecoder)?;
        // SAFETY: the client passes its own structure.
        let out = unsafe { given(call, pDecodeStatus, "pDecodeStatus") }?;
        let status = status::status(call, &decoder, nPicIdx)?;
        *out = CUVIDGETDECODESTATUS { decodeStatus: status, ..Zeroed::zeroed() };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidReconfigureDecoder(
    hDecoder: CUvideodecoder,
    pDecReconfigParams: *mut CUVIDRECONFIGUREDECODERINFO,
) -> CuResult {
    answer("cuvidReconfigureDecoder", |call| {
        let decoder = decoder::find(call, hDecoder)?;
        // SAFETY: the client passes its own structure.
        let info = unsafe { given(call, pDecReconfigParams, "pDecReconfigParams") }?;
        reconfigure::reconfigure(call, &decoder, info)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidMapVideoFrame64(
    hDecoder: CUvideodecoder,
    nPicIdx: c_int,
    pDevPtr: *mut u64,
    pPitch: *mut u32,
    pVPP: *mut CUVIDPROCPARAMS,
) -> CuResult {
    answer("cuvidMapVideoFrame64", |call| {
        let decoder = decoder::find_current(call, hDecoder)?;
        // SAFETY: the client passes its own structures.
        let (address, pitch, params) = unsafe {
            (given(call, pDevPtr, "pDevPtr")?, given(call, pPitch, "pPitch")?, given(call, pVPP, "pVPP")?)
        };
        let frame = map::map(call, &decoder, nPicIdx, params)?;
        *address = frame.address;
        *pitch = frame.pitch;
        if decoder.histogram {
            // SAFETY: a pointer that is not null points to the client's own variable.
            let histogram = unsafe { params.histogram_dptr.as_mut() };
            histogram.into_iter().for_each(|histogram| *histogram = frame.histogram);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidUnmapVideoFrame64(hDecoder: CUvideodecoder, DevPtr: u64) -> CuResult {
    answer("cuvidUnmapVideoFrame64", |call| {
        let decoder = decoder::find(call, hDecoder)?;
        map::unmap(call, &decoder, DevPtr)
    })
}

/// The form with 32-bit addresses, which no device memory of a 64-bit process has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidMapVideoFrame(
    _hDecoder: CUvideodecoder,
    _nPicIdx: c_int,
    _pDevPtr: *mut u32,
    _pPitch: *mut u32,
    _pVPP: *mut CUVIDPROCPARAMS,
) -> CuResult {
    answer("cuvidMapVideoFrame", |_| Err(CuResult::ERROR_NOT_SUPPORTED))
}

/// See [`cuvidMapVideoFrame`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidUnmapVideoFrame(_hDecoder: CUvideodecoder, _DevPtr: u32) -> CuResult {
    answer("cuvidUnmapVideoFrame", |_| Err(CuResult::ERROR_NOT_SUPPORTED))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidCtxLockCreate(pLock: *mut CUvideoctxlock, ctx: *mut c_void) -> CuResult {
    answer("cuvidCtxLockCreate", |call| {
        // SAFETY: the client passes its own variable.
        let out = unsafe { given(call, pLock, "pLock") }?;
        *out = lock::create(call, ctx)?;
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidCtxLockDestroy(lck: CUvideoctxlock) -> CuResult {
    answer("cuvidCtxLockDestroy", |call| lock::destroy(call, lck))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidCtxLock(lck: CUvideoctxlock, _reserved_flags: u32) -> CuResult {
    answer("cuvidCtxLock", |call| lock::find(call, lck)?.lock())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidCtxUnlock(lck: CUvideoctxlock, _reserved_flags: u32) -> CuResult {
    answer("cuvidCtxUnlock", |call| lock::unlock(call, lck))
}

/// Video sources (a demultiplexer inside the driver) are not simulated; loaders ask for the names.
macro_rules! no_video_source {
    ($($name:ident($($kind:ty),*);)*) => { $(
        /// Not supported: there is no video source in the simulation.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($(_: $kind),*) -> CuResult {
            answer(stringify!($name), |_| Err(CuResult::ERROR_NOT_SUPPORTED))
        }
    )* };
}

no_video_source! {
    cuvidCreateVideoSource(*mut *mut c_void, *const c_char, *mut c_void);
    cuvidCreateVideoSourceW(*mut *mut c_void, *const c_void, *mut c_void);
    cuvidDestroyVideoSource(*mut c_void);
    cuvidSetVideoSourceState(*mut c_void, c_int);
    cuvidGetSourceVideoFormat(*mut c_void, *mut c_void, u32);
    cuvidGetSourceAudioFormat(*mut c_void, *mut c_void, u32);
}

/// Answers a state and no error code: -1 is the error state.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidGetVideoSourceState(_obj: *mut c_void) -> CuResult {
    answer("cuvidGetVideoSourceState", |_| Err(CuResult(u32::MAX)))
}
