//! InitializeEncoder, ReconfigureEncoder and the parameter sets.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Instant;

use super::abi::{self, InitParams, NvStatus, SequencePayload};
use super::coder::{self, Coder, Worker};
use super::plan::{Pattern, Planner};
use super::session::{Running, Session, check_context, find};
use super::settings::{self, Settings};
use super::versions::{self, Struct};
use super::{caps::Cap, gpu, replay, rules};
use crate::codec::CodecError;
use crate::core::{Call, config};
use crate::policy;

fn internal(error: &CodecError) -> NvStatus {
    eprintln!("nvsim: the software encoder does not open: {error}");
    NvStatus::GENERIC
}

/// # Safety
/// `init` is null or points to what the API says, and so does its configuration.
unsafe fn read(
    call: &Call,
    session: &Session,
    init: *const c_void,
) -> Result<(InitParams, Settings), NvStatus> {
    // SAFETY: the caller vouches for it.
    let init = unsafe { abi::read::<InitParams>(init) }.ok_or(NvStatus::INVALID_PTR)?;
    versions::check(call, session.api, Struct::InitParams, init.version)?;
    let codec = settings::codec(init.encode_guid).ok_or(NvStatus::UNSUPPORTED_PARAM)?;
    let caps = session.caps(codec).ok_or(NvStatus::UNSUPPORTED_PARAM)?;
    // SAFETY: as above.
    let settings = unsafe { settings::read(call, session.api, &caps, &init) }?;
    Ok((init, settings))
}

fn open_coder(session: &Session, settings: &Settings) -> Result<(Coder, Vec<u8>), NvStatus> {
    if config().canned.replay {
        return replay::open(session, &settings.spec).map_err(|error| internal(&error));
    }
    if config().canned.encode {
        let headers = !settings.disable_headers;
        return coder::canned(&settings.spec, shape(settings), headers).map_err(|error| internal(&error));
    }
    let this = find(session.handle).ok_or(NvStatus::INVALID_ENCODERDEVICE)?;
    let (worker, headers) =
        Worker::start(Arc::downgrade(&this), settings.spec.clone()).map_err(|error| internal(&error))?;
    Ok((Coder::Soft(worker), headers))
}

/// The pattern of a session; without picture type decision there are P pictures only.
pub(super) fn shape(settings: &Settings) -> Pattern {
    if settings.ptd { settings.pattern } else { Pattern { interval: 1, lookahead: 0, ..settings.pattern } }
}

/// `nvEncInitializeEncoder`.
///
/// # Safety
/// As for [`read`].
pub(super) unsafe fn initialize(call: &Call, session: &Session, init: *const c_void) -> Result<(), NvStatus> {
    check_context(call, session)?;
    if session.state().running.is_some() {
        call.breach(&rules::INIT_TWICE, "the session is initialised already");
        return Err(NvStatus(policy::NVENC_WRONG_STATE));
    }
    // SAFETY: the caller vouches for it.
    let (params, settings) = unsafe { read(call, session, init) }?;
    let (max_size, spec) = (settings.max_size, &settings.spec);
    if max_size != (0, 0) && (max_size.0 < spec.width || max_size.1 < spec.height) {
        return Err(NvStatus::INVALID_PARAM);
    }
    let caps = session.caps(settings.spec.codec).ok_or(NvStatus::UNSUPPORTED_PARAM)?;
    let sample = if settings.spec.depth > 8 { 2 } else { 1 };
    let picture = (spec.width as usize * spec.height as usize) * sample * 3 / 2;
    let references = gpu::reserve(session.device, picture * policy::ENCODE_REFERENCES)?;
    let (coder, headers) = open_coder(session, &settings)?;
    let cut = matches!(coder, Coder::Canned { .. });
    let pattern = if cut { coder::canned_pattern(shape(&settings)) } else { shape(&settings) };
    if config().trace {
        // Before the report, which a client that ends without its exit hooks does not get.
        eprintln!("nvsim: initialised with {}", settings.reported);
    }
    let mut state = session.state();
    state.figures.codec = Some(settings.spec.codec);
    state.figures.size = (settings.spec.width, settings.spec.height);
    state.figures.reported = settings.reported.clone();
    for (name, value) in [
        ("device", session.device.into()),
        ("frame_rate", format!("{}/{}", params.fps_num, params.fps_den).into()),
        ("display", format!("{}x{}", params.dar_width, params.dar_height).into()),
        ("colour", format!("{:?}", (settings.spec.colour, settings.spec.full_range)).into()),
    ] {
        state.figures.reported[name] = value;
    }
    state.running = Some(Running {
        spec: Arc::new(settings.spec.clone()),
        planner: Planner::new(pattern),
        settings,
        caps,
        coder,
        recording: None,
        headers,
        _references: references,
        submitted: Default::default(),
        next_lock: 0,
        next_coded: 0,
        lockable: 0,
        coded: Default::default(),
        recent_times: Default::default(),
        display: 0,
        busy_until: Instant::now(),
        first_idr_done: false,
        eos: false,
        force_idr: false,
        jitter: session.handle as u64,
    });
    Ok(())
}

/// `nvEncReconfigureEncoder`.
///
/// # Safety
/// `params` is null or points to what the API says, and so does the configuration in it.
pub(super) unsafe fn reconfigure(
    call: &Call,
    session: &Session,
    params: *mut c_void,
) -> Result<(), NvStatus> {
    // SAFETY: the caller vouches for it.
    let version = unsafe { abi::read::<abi::Word>(params) }.ok_or(NvStatus::INVALID_PTR)?.value;
    versions::check(call, session.api, Struct::Reconfigure, version)?;
    check_context(call, session)?;
    let mut state = session.state();
    state.running(call)?;
    drop(state);
    let init_address = params.wrapping_byte_add(8);
    let bits_address = init_address.wrapping_byte_add(session.api.size(Struct::InitParams));
    // SAFETY: both lie inside the structure of this API.
    let bits = unsafe { abi::read::<abi::Word>(bits_address) }.ok_or(NvStatus::INVALID_PTR)?.value;
    let (reset, mut force_idr) = (bits & 1 != 0, bits & 2 != 0);
    // SAFETY: as above.
    let (init, mut new) = unsafe { read(call, session, init_address) }?;

    let mut guard = session.state();
    let running = guard.running(call)?;
    let old = &running.settings;
    if init.config == 0 && new.preset == old.preset {
        // No configuration and the same preset: the configuration stays.
        let (ptd, max_size, fresh) = (new.ptd, new.max_size, new.spec);
        new = Settings { ptd, max_size, ..old.clone() };
        (new.spec.width, new.spec.height, new.spec.fps) = (fresh.width, fresh.height, fresh.fps);
        new.spec.sar = fresh.sar;
    }
    if let Some(what) = settings::forbidden_change(old, &new) {
        call.breach(&rules::RECONFIGURE_FORBIDDEN, format!("{what} is changed"));
        return Err(NvStatus(policy::RECONFIGURE_REFUSED));
    }
    let resized = (new.spec.width, new.spec.height) != (old.spec.width, old.spec.height);
    if resized {
        if new.spec.width > new.max_size.0 || new.spec.height > new.max_size.1 {
            let (width, height) = (new.spec.width, new.spec.height);
            let detail =
                format!("{width}x{height} is beyond the maximum of {}x{}", new.max_size.0, new.max_size.1);
            call.breach(&rules::RECONFIGURE_FORBIDDEN, detail);
            return Err(NvStatus(policy::RECONFIGURE_REFUSED));
        }
        if !running.caps.has(Cap::DynRes) {
            return Err(NvStatus::UNSUPPORTED_PARAM);
        }
    }
    if new.spec.rate != old.spec.rate && !running.caps.has(Cap::DynBitrate)
        || new.rc_mode != old.rc_mode && !running.caps.has(Cap::DynRcMode)
    {
        return Err(NvStatus::UNSUPPORTED_PARAM);
    }
    if force_idr && !new.ptd {
        call.breach(&rules::FORCE_IDR_PTD, "forceIDR without enablePTD");
    }
    if reset && !force_idr {
        call.breach(&rules::RESET_WITHOUT_IDR, "resetEncoder without forceIDR");
        force_idr = true;
    }
    replay::reconfigured(session, running)?;
    if resized {
        let canned = matches!(running.coder, Coder::Canned { .. });
        running.headers = if canned {
            let (coder, headers) =
                coder::canned(&new.spec, shape(&new), !new.disable_headers).map_err(|e| internal(&e))?;
            running.coder = coder;
            headers
        } else {
            coder::parameter_sets(&new.spec).map_err(|error| internal(&error))?
        };
    }
    let anew = settings::breaks_stream(&running.spec, &new.spec);
    if anew {
        // The stream begins anew, with parameter sets.
        running.first_idr_done = false;
    }
    running.spec = Arc::new(new.spec.clone());
    running.force_idr |= force_idr || anew;
    running.settings = new;
    let size = (running.spec.width, running.spec.height);
    guard.figures.size = size;
    guard.figures.reconfigured += 1;
    Ok(())
}

/// `nvEncGetSequenceParams`.
///
/// # Safety
/// `payload` is null or points to what the API says, and so do the pointers in it.
pub(super) unsafe fn sequence_params(
    call: &Call,
    session: &Session,
    payload: *mut SequencePayload,
) -> Result<(), NvStatus> {
    let headers = {
        let mut state = session.state();
        state.running(call)?;
        state.sequence_thread = Some(call.thread);
        if let Some(thread) = state.encode_thread.filter(|thread| *thread != call.thread) {
            call.breach(&rules::SEQUENCE_THREAD, format!("EncodePicture runs on thread {thread}"));
            state.sequence_thread = None;
        }
        state.running(call)?.headers.clone()
    };
    // SAFETY: the caller vouches for it.
    unsafe { deliver(call, session, payload, &headers) }
}

/// `nvEncGetSequenceParamEx`.
///
/// # Safety
/// As for [`sequence_params`] and [`read`].
pub(super) unsafe fn sequence_params_ex(
    call: &Call,
    session: &Session,
    init: *const c_void,
    payload: *mut SequencePayload,
) -> Result<(), NvStatus> {
    // SAFETY: the caller vouches for it.
    let (_, settings) = unsafe { read(call, session, init) }?;
    let headers = coder::parameter_sets(&settings.spec).map_err(|error| internal(&error))?;
    // SAFETY: as above.
    unsafe { deliver(call, session, payload, &headers) }
}

/// # Safety
/// As for [`sequence_params`].
unsafe fn deliver(
    call: &Call,
    session: &Session,
    payload: *mut SequencePayload,
    headers: &[u8],
) -> Result<(), NvStatus> {
    // SAFETY: the caller vouches for it.
    let p = unsafe { abi::read::<SequencePayload>(payload.cast()) }.ok_or(NvStatus::INVALID_PTR)?;
    versions::check(call, session.api, Struct::SequencePayload, p.version)?;
    if p.buffer == 0 || p.written == 0 {
        return Err(NvStatus::INVALID_PTR);
    }
    if (p.capacity as usize) < headers.len() {
        return Err(NvStatus::NOT_ENOUGH_BUFFER);
    }
    // SAFETY: the client says that its buffer holds `capacity` bytes, which are enough.
    unsafe { (p.buffer as *mut u8).copy_from_nonoverlapping(headers.as_ptr(), headers.len()) };
    // SAFETY: not null, and the caller vouches for it.
    unsafe { (p.written as *mut u32).write_unaligned(headers.len() as u32) };
    Ok(())
}
