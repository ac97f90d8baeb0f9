//! The way in: the two exported functions, the function list, and the functions it points to.

use std::ffi::{c_char, c_void};
use std::sync::atomic::Ordering;

use super::abi::{
    CapsParam, CreateBitstream, CreateInput, Guid, LockBitstream, LockInput, Map, NvStatus, OpenSession,
    PicParams, PresetConfig, Register, SequencePayload, Word, guids,
};
use super::caps::Caps;
use super::session::{self, Session, check_context};
use super::versions::{self, Api, Struct};
use super::{abi, buffers, configure, encode, lock, presets, rules, settings};
use crate::codec::encoder::EncoderCodec;
use crate::core::{Call, Status, config, enter};
use crate::policy;

/// `NvEncodeAPIGetMaxSupportedVersion`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: *mut u32) -> NvStatus {
    enter("NvEncodeAPIGetMaxSupportedVersion", |_| {
        if version.is_null() {
            return NvStatus::INVALID_PTR;
        }
        let (major, minor) = config().driver.nvenc_version();
        // SAFETY: not null; the client says that it points to a word.
        unsafe { version.write_unaligned(major << 4 | minor) };
        NvStatus::SUCCESS
    })
}

/// `NvEncodeAPICreateInstance`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn NvEncodeAPICreateInstance(list: *mut c_void) -> NvStatus {
    enter("NvEncodeAPICreateInstance", |call| {
        // SAFETY: null or the client's function list.
        let Some(word) = (unsafe { abi::read::<Word>(list) }) else { return NvStatus::INVALID_PTR };
        let checked = match Api::from_struct_word(word.value).filter(|api| api.installed()) {
            Some(api) => versions::check(call, api, Struct::FunctionList, word.value),
            None => {
                let version = &config().driver.nvenc;
                call.breach(
                    &rules::API_VERSION,
                    format!("list version {:#010x}, the driver speaks {version}", word.value),
                );
                Err(NvStatus::INVALID_VERSION)
            }
        };
        if let Err(status) = checked
            && (word.value == 0 || !policy::CREATE_INSTANCE_TAKES_ANY_VERSION)
        {
            return status;
        }
        for (at, function) in functions().into_iter().enumerate() {
            // SAFETY: the list of every version has room for 318 pointers behind its first eight bytes.
            unsafe { list.byte_add(8 + 8 * at).cast::<usize>().write_unaligned(function) };
        }
        NvStatus::SUCCESS
    })
}

/// Addresses in the order of the list, the same for clients of every version: the list of each has room for them.
fn functions() -> [usize; 43] {
    [
        nvEncOpenEncodeSession as *const () as usize,
        nvEncGetEncodeGUIDCount as *const () as usize,
        nvEncGetEncodeProfileGUIDCount as *const () as usize,
        nvEncGetEncodeProfileGUIDs as *const () as usize,
        nvEncGetEncodeGUIDs as *const () as usize,
        nvEncGetInputFormatCount as *const () as usize,
        nvEncGetInputFormats as *const () as usize,
        nvEncGetEncodeCaps as *const () as usize,
        nvEncGetEncodePresetCount as *const () as usize,
        nvEncGetEncodePresetGUIDs as *const () as usize,
        nvEncGetEncodePresetConfig as *const () as usize,
        nvEncInitializeEncoder as *const () as usize,
        nvEncCreateInputBuffer as *const () as usize,
        nvEncDestroyInputBuffer as *const () as usize,
        nvEncCreateBitstreamBuffer as *const () as usize,
        nvEncDestroyBitstreamBuffer as *const () as usize,
        nvEncEncodePicture as *const () as usize,
        nvEncLockBitstream as *const () as usize,
        nvEncUnlockBitstream as *const () as usize,
        nvEncLockInputBuffer as *const () as usize,
        nvEncUnlockInputBuffer as *const () as usize,
        nvEncGetEncodeStats as *const () as usize,
        nvEncGetSequenceParams as *const () as usize,
        nvEncRegisterAsyncEvent as *const () as usize,
        nvEncUnregisterAsyncEvent as *const () as usize,
        nvEncMapInputResource as *const () as usize,
        nvEncUnmapInputResource as *const () as usize,
        nvEncDestroyEncoder as *const () as usize,
        nvEncInvalidateRefFrames as *const () as usize,
        nvEncOpenEncodeSessionEx as *const () as usize,
        nvEncRegisterResource as *const () as usize,
        nvEncUnregisterResource as *const () as usize,
        nvEncReconfigureEncoder as *const () as usize,
        nvEncReserved as *const () as usize,
        nvEncCreateMVBuffer as *const () as usize,
        nvEncDestroyMVBuffer as *const () as usize,
        nvEncRunMotionEstimationOnly as *const () as usize,
        nvEncGetLastErrorString as *const () as usize,
        nvEncSetIOCudaStreams as *const () as usize,
        nvEncGetEncodePresetConfigEx as *const () as usize,
        nvEncGetSequenceParamEx as *const () as usize,
        nvEncRestoreEncoderState as *const () as usize,
        nvEncLookaheadPicture as *const () as usize,
    ]
}

/// The function in the reserved place.
unsafe extern "C" fn nvEncReserved() -> NvStatus {
    enter("nvEncReserved", |_| NvStatus(policy::RESERVED_FUNCTION))
}

/// Runs a function on the session behind a handle.
fn on(
    name: &'static str,
    encoder: usize,
    body: impl FnOnce(&Call, &Session) -> Result<(), NvStatus>,
) -> NvStatus {
    enter(name, |call| {
        if encoder == 0 {
            return NvStatus::INVALID_PTR;
        }
        let Some(session) = session::find(encoder) else {
            call.breach(&rules::DEAD_SESSION, format!("{encoder:#x} is no live session"));
            return NvStatus::INVALID_ENCODERDEVICE;
        };
        if !session.open && name != "nvEncDestroyEncoder" {
            return NvStatus::INVALID_CALL;
        }
        let status = body(call, &session).err().unwrap_or(NvStatus::SUCCESS);
        if status != NvStatus::SUCCESS {
            session.last_error.store(status.code(), Ordering::Relaxed);
        }
        status
    })
}

/// Defines functions of the list that take a session.
macro_rules! functions {
    ($($(#[$meta:meta])* fn $name:ident($encoder:ident $(, $arg:ident: $type:ty)*) => $body:expr;)*) => {$(
        $(#[$meta])*
        unsafe extern "C" fn $name($encoder: usize $(, $arg: $type)*) -> NvStatus {
            on(stringify!($name), $encoder, $body)
        }
    )*};
}

functions! {
    fn nvEncGetEncodeGUIDCount(encoder, count: *mut u32) => |_, session| {
        // SAFETY: null or the client's counter.
        unsafe { put(count, codecs(session).len() as u32) }
    };
    fn nvEncGetEncodeGUIDs(encoder, list: *mut Guid, size: u32, count: *mut u32) => |_, session| {
        // SAFETY: null or an array of the client's with `size` places.
        unsafe { put_list(list, size, count, &codecs(session)) }
    };
    fn nvEncGetEncodeProfileGUIDCount(encoder, codec: Guid, count: *mut u32) => |_, session| {
        let (codec, _) = supported(session, codec)?;
        // SAFETY: null or the client's counter.
        unsafe { put(count, presets::profiles(session.api, codec).len() as u32) }
    };
    fn nvEncGetEncodeProfileGUIDs(encoder, codec: Guid, list: *mut Guid, size: u32, count: *mut u32) => |_, session| {
        let (codec, _) = supported(session, codec)?;
        // SAFETY: null or an array of the client's with `size` places.
        unsafe { put_list(list, size, count, presets::profiles(session.api, codec)) }
    };
    fn nvEncGetInputFormatCount(encoder, codec: Guid, count: *mut u32) => |_, session| {
        let (_, caps) = supported(session, codec)?;
        // SAFETY: null or the client's counter.
        unsafe { put(count, presets::input_formats(&caps).len() as u32) }
    };
    fn nvEncGetInputFormats(encoder, codec: Guid, list: *mut u32, size: u32, count: *mut u32) => |_, session| {
        let (_, caps) = supported(session, codec)?;
        // SAFETY: null or an array of the client's with `size` places.
        unsafe { put_list(list, size, count, &presets::input_formats(&caps)) }
    };
    fn nvEncGetEncodeCaps(encoder, codec: Guid, param: *const CapsParam, value: *mut i32) => |call, session| {
        // SAFETY: null or the client's structure.
        let param = unsafe { abi::read::<CapsParam>(param.cast()) }.ok_or(NvStatus::INVALID_PTR)?;
        versions::check(call, session.api, Struct::CapsParam, param.version)?;
        let (_, caps) = supported(session, codec)?;
        let known = caps.by_number(param.cap).filter(|_| param.cap < session.api.caps_count());
        let found = known.ok_or(NvStatus::INVALID_PARAM)?;
        // SAFETY: null or the client's value.
        unsafe { put(value, found) }
    };
    fn nvEncGetEncodePresetCount(encoder, codec: Guid, count: *mut u32) => |_, session| {
        supported(session, codec)?;
        // SAFETY: null or the client's counter.
        unsafe { put(count, presets::offered(session.api).len() as u32) }
    };
    fn nvEncGetEncodePresetGUIDs(encoder, codec: Guid, list: *mut Guid, size: u32, count: *mut u32) => |_, session| {
        supported(session, codec)?;
        // SAFETY: null or an array of the client's with `size` places.
        unsafe { put_list(list, size, count, &presets::offered(session.api)) }
    };
    fn nvEncGetEncodePresetConfig(encoder, codec: Guid, preset: Guid, config: *mut PresetConfig) => |call, session| {
        // SAFETY: null or the client's structure.
        unsafe { preset_config(call, session, codec, preset, 0, config) }
    };
    fn nvEncGetEncodePresetConfigEx(encoder, codec: Guid, preset: Guid, tuning: u32, config: *mut PresetConfig)
        => |call, session| {
            if tuning == 0 {
                return Err(NvStatus::INVALID_PARAM);
            }
            // SAFETY: null or the client's structure.
            unsafe { preset_config(call, session, codec, preset, tuning, config) }
        };
    fn nvEncInitializeEncoder(encoder, init: *const c_void) => |call, session| {
        // SAFETY: null or the client's structure.
        unsafe { configure::initialize(call, session, init) }
    };
    fn nvEncReconfigureEncoder(encoder, params: *mut c_void) => |call, session| {
        // SAFETY: null or the client's structure.
        unsafe { configure::reconfigure(call, session, params) }
    };
    fn nvEncGetSequenceParams(encoder, payload: *mut SequencePayload) => |call, session| {
        // SAFETY: null or the client's structure.
        unsafe { configure::sequence_params(call, session, payload) }
    };
    fn nvEncGetSequenceParamEx(encoder, init: *const c_void, payload: *mut SequencePayload) => |call, session| {
        // SAFETY: null or the client's structures.
        unsafe { configure::sequence_params_ex(call, session, init, payload) }
    };
    fn nvEncCreateInputBuffer(encoder, params: *mut CreateInput) => |call, session| {
        // SAFETY: null or the client's structure.
        unsafe { buffers::create_input(call, session, params) }
    };
    fn nvEncDestroyInputBuffer(encoder, buffer: usize) => |call, session| {
        buffers::destroy_input(call, session, buffer)
    };
    fn nvEncLockInputBuffer(encoder, params: *mut LockInput) => |call, session| {
        // SAFETY: null or the client's structure.
        unsafe { buffers::lock_input(call, session, params) }
    };
    fn nvEncUnlockInputBuffer(encoder, buffer: usize) => |call, session| {
        buffers::unlock_input(call, session, buffer)
    };
    fn nvEncCreateBitstreamBuffer(encoder, params: *mut CreateBitstream) => |call, session| {
        // SAFETY: null or the client's structure.
        unsafe { buffers::create_output(call, session, params) }
    };
    fn nvEncDestroyBitstreamBuffer(encoder, buffer: usize) => |call, session| {
        buffers::destroy_output(call, session, buffer)
    };
    fn nvEncRegisterResource(encoder, params: *mut Register) => |call, session| {
        // SAFETY: null or the client's structure.
        unsafe { buffers::register(call, session, params) }
    };
    fn nvEncUnregisterResource(encoder, resource: usize) => |call, session| {
        buffers::unregister(call, session, resource)
    };
    fn nvEncMapInputResource(encoder, params: *mut Map) => |call, session| {
        // SAFETY: null or the client's structure.
        unsafe { buffers::map(call, session, params) }
    };
    fn nvEncUnmapInputResource(encoder, mapped: usize) => |call, session| buffers::unmap(call, session, mapped);
    fn nvEncEncodePicture(encoder, params: *mut PicParams) => |call, session| {
        // SAFETY: null or the client's structure.
        unsafe { encode::encode(call, session, params) }
    };
    fn nvEncLockBitstream(encoder, params: *mut LockBitstream) => |call, session| {
        // SAFETY: null or the client's structure.
        unsafe { lock::lock(call, session, params) }
    };
    fn nvEncUnlockBitstream(encoder, buffer: usize) => |call, session| lock::unlock(call, session, buffer);
    fn nvEncDestroyEncoder(encoder) => session::destroy;
    /// Each argument points to a `CUstream`; null is the default stream. Output into device memory is not simulated,
    /// so the second one has nothing to order.
    fn nvEncSetIOCudaStreams(encoder, input: *const usize, _output: *const usize) => |call, session| {
        check_context(call, session)?;
        // SAFETY: null or the client's stream handle.
        let stream = (!input.is_null()).then(|| unsafe { input.read_unaligned() });
        session.state().input_stream = stream.filter(|stream| *stream != 0);
        Ok(())
    };
    /// The reference structure is the software encoder's; what it refers to cannot be told, so this is accepted and
    /// changes nothing.
    fn nvEncInvalidateRefFrames(encoder, _timestamp: u64) => |call, session| session.state().running(call).map(|_| ());
    /// Not supported for CUDA devices.
    fn nvEncGetEncodeStats(encoder, _stat: *mut c_void) => |_, _| Err(NvStatus::UNSUPPORTED_DEVICE);
    /// Windows only.
    fn nvEncRegisterAsyncEvent(encoder, _event: *mut c_void) => |_, _| Err(NvStatus::UNIMPLEMENTED);
    /// Windows only.
    fn nvEncUnregisterAsyncEvent(encoder, _event: *mut c_void) => |_, _| Err(NvStatus::UNIMPLEMENTED);
    /// Motion estimation alone is not simulated.
    fn nvEncCreateMVBuffer(encoder, _params: *mut c_void) => |_, _| Err(NvStatus::UNIMPLEMENTED);
    /// See above.
    fn nvEncDestroyMVBuffer(encoder, _buffer: usize) => |_, _| Err(NvStatus::UNIMPLEMENTED);
    /// See above.
    fn nvEncRunMotionEstimationOnly(encoder, _params: *mut c_void) => |_, _| Err(NvStatus::UNIMPLEMENTED);
    /// Iterative encoding is not simulated.
    fn nvEncRestoreEncoderState(encoder, _params: *mut c_void) => |_, _| Err(NvStatus::UNIMPLEMENTED);
    /// External lookahead is not simulated.
    fn nvEncLookaheadPicture(encoder, _params: *mut c_void) => |_, _| Err(NvStatus::UNIMPLEMENTED);
}

/// The way in of the first API, kept by drivers only to refuse it.
unsafe extern "C" fn nvEncOpenEncodeSession(_device: usize, _kind: u32, _encoder: *mut usize) -> NvStatus {
    enter("nvEncOpenEncodeSession", |call| {
        call.breach(&rules::OLD_OPEN, "nvEncOpenEncodeSession was called");
        NvStatus::INVALID_CALL
    })
}

unsafe extern "C" fn nvEncOpenEncodeSessionEx(params: *const OpenSession, encoder: *mut usize) -> NvStatus {
    enter("nvEncOpenEncodeSessionEx", |call| {
        // SAFETY: null or what the client says.
        unsafe { session::open(call, params, encoder) }.err().unwrap_or(NvStatus::SUCCESS)
    })
}

unsafe extern "C" fn nvEncGetLastErrorString(encoder: usize) -> *const c_char {
    let mut text = c"no such session";
    enter("nvEncGetLastErrorString", |_| {
        if let Some(session) = session::find(encoder) {
            text = NvStatus(session.last_error.load(Ordering::Relaxed)).text().1;
        }
        NvStatus::SUCCESS
    });
    text.as_ptr()
}

/// Codecs that are offered: those in the device's table that there is an encoder for.
fn codecs(session: &Session) -> Vec<Guid> {
    [(EncoderCodec::H264, guids::H264), (EncoderCodec::Hevc, guids::HEVC), (EncoderCodec::Av1, guids::AV1)]
        .into_iter()
        .filter(|(codec, _)| session.caps(*codec).is_some())
        .map(|(_, guid)| guid)
        .collect()
}

fn supported(session: &Session, guid: Guid) -> Result<(EncoderCodec, Caps), NvStatus> {
    let codec = settings::codec(guid).ok_or(NvStatus::INVALID_PARAM)?;
    let caps = session.caps(codec).ok_or(NvStatus::INVALID_PARAM)?;
    Ok((codec, caps))
}

/// # Safety
/// `config` is null or points to the client's structure.
unsafe fn preset_config(
    call: &Call,
    session: &Session,
    codec: Guid,
    preset: Guid,
    tuning: u32,
    config: *mut PresetConfig,
) -> Result<(), NvStatus> {
    // SAFETY: the caller vouches for it.
    let mut p = unsafe { abi::read::<PresetConfig>(config.cast()) }.ok_or(NvStatus::INVALID_PTR)?;
    versions::check(call, session.api, Struct::PresetConfig, p.version)?;
    versions::check(call, session.api, Struct::Config, p.config.version)?;
    let (codec, _) = supported(session, codec)?;
    let preset = presets::find(session.api, codec, preset, tuning).ok_or(NvStatus::UNSUPPORTED_PARAM)?;
    p.config = preset.config(session.api, codec);
    // SAFETY: as above.
    unsafe { abi::write(config.cast(), p) };
    Ok(())
}

/// # Safety
/// `place` is null or the client's.
unsafe fn put<T>(place: *mut T, value: T) -> Result<(), NvStatus> {
    if place.is_null() {
        return Err(NvStatus::INVALID_PTR);
    }
    // SAFETY: not null, and the caller vouches for it.
    unsafe { place.write_unaligned(value) };
    Ok(())
}

/// # Safety
/// `list` is null or has `size` places, and `count` is null or the client's.
unsafe fn put_list<T: Copy>(list: *mut T, size: u32, count: *mut u32, values: &[T]) -> Result<(), NvStatus> {
    if list.is_null() {
        return Err(NvStatus::INVALID_PTR);
    }
    let number = values.len().min(size as usize);
    for (at, value) in values[..number].iter().enumerate() {
        // SAFETY: the caller vouches for `size` places.
        unsafe { list.add(at).write_unaligned(*value) };
    }
    // SAFETY: as above.
    unsafe { put(count, number as u32) }
}
