//! Sessions: opening, finding, closing, and what a session holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::abi::{self, NvStatus, OpenSession};
use super::buffers::{InputBuffer, Output, OutputState, Resource};
use super::caps::{self, Caps};
use super::coder::Coder;
use super::encode::{Coded, Held};
use super::plan::Planner;
use super::replay::{self, Recording};
use super::settings::Settings;
use super::shared::{self, Seat};
use super::versions::{self, Api, Struct};
use super::{gpu, rules};
use crate::codec::encoder::{EncoderCodec, EncoderSpec, PictureKind};
use crate::core::clock::{EngineBank, wait_until};
use crate::core::report::Leak;
use crate::core::{Call, config, fault};
use crate::policy;

/// One encode session.
#[derive(Debug)]
pub(super) struct Session {
    pub handle: usize,
    pub api: Api,
    pub context: gpu::ContextId,
    pub context_handle: usize,
    pub device: usize,
    /// False for what a refused opening leaves: a handle that may only be destroyed.
    pub open: bool,
    /// Its place among the sessions of all processes, until it is destroyed.
    seat: Mutex<Option<Seat>>,
    pub state: Mutex<State>,
    /// Something a waiting call may wait for has changed.
    pub wake: Condvar,
    /// Thread inside EncodePicture; 0: none.
    pub encoding: AtomicU64,
    pub last_error: AtomicU32,
}

/// What changes while a session lives.
#[derive(Debug, Default)]
pub(super) struct State {
    pub running: Option<Running>,
    pub inputs: BTreeMap<usize, InputBuffer>,
    pub outputs: BTreeMap<usize, Output>,
    pub resources: BTreeMap<usize, Resource>,
    /// Mapped handle to registered handle.
    pub mapped: BTreeMap<usize, usize>,
    /// How many pictures that are not locked yet read an input.
    pub used: BTreeMap<usize, u32>,
    /// Stream whose work precedes every picture.
    pub input_stream: Option<usize>,
    pub closed: bool,
    pub sequence_thread: Option<u64>,
    pub encode_thread: Option<u64>,
    pub figures: Figures,
}

/// An initialised session.
#[derive(Debug)]
pub(super) struct Running {
    pub settings: Settings,
    pub caps: Caps,
    pub spec: Arc<EncoderSpec>,
    pub planner: Planner<Held>,
    pub coder: Coder,
    /// What is kept for later sessions, where sessions are replayed and this one is coded really.
    pub recording: Option<Recording>,
    pub headers: Vec<u8>,
    /// Device memory of the pictures that it refers to.
    pub _references: gpu::Reservation,
    /// Output handles by number of submission, without those that were locked.
    pub submitted: VecDeque<usize>,
    /// Number of the first of `submitted`.
    pub next_lock: u64,
    /// Pictures coded so far: the number of the next.
    pub next_coded: u64,
    /// Outputs with lower numbers may be locked.
    pub lockable: u64,
    pub coded: BTreeMap<u64, Coded>,
    pub recent_times: VecDeque<u64>,
    pub display: u64,
    pub busy_until: Instant,
    pub first_idr_done: bool,
    pub eos: bool,
    pub force_idr: bool,
    pub jitter: u64,
}

/// What the report says about a session.
#[derive(Debug, Default, Clone)]
pub(super) struct Figures {
    pub codec: Option<EncoderCodec>,
    pub size: (u32, u32),
    /// What the client told at initialisation.
    pub reported: Value,
    pub pictures_in: u64,
    pub pictures_out: u64,
    pub bytes: u64,
    pub kinds: BTreeMap<&'static str, u64>,
    pub need_more_input: u64,
    pub busy: u64,
    pub reconfigured: u64,
    /// Pictures that came from a recording.
    pub replayed: u64,
}

/// Name of a kind in the report.
pub(super) fn kind_name(kind: PictureKind) -> &'static str {
    match kind {
        PictureKind::Idr => "idr",
        PictureKind::I => "i",
        PictureKind::P => "p",
        PictureKind::B => "b",
    }
}

static SESSIONS: Mutex<BTreeMap<usize, Arc<Session>>> = Mutex::new(BTreeMap::new());
/// Figures of sessions that are closed; more than [`KEPT`] are only counted.
static CLOSED: Mutex<Vec<Value>> = Mutex::new(Vec::new());
const KEPT: usize = 256;
static OPENED: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// A handle that was never given out before and never will be again, so that a dead one is known as such.
pub(super) fn new_handle() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0x4e56_0000_0010);
    NEXT.fetch_add(16, Ordering::Relaxed)
}

/// A lock that outlives panics: the state behind it is checked at every use.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(super) fn find(handle: usize) -> Option<Arc<Session>> {
    lock(&SESSIONS).get(&handle).cloned()
}

impl Session {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Waits for a change, a while at most, so that the loss of the device is noticed.
    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let (state, _) = self
            .wake
            .wait_timeout(state, Duration::from_millis(20))
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        state
    }

    /// The capabilities for a codec. A mistake in the configuration ends the process, as everywhere.
    pub(super) fn caps(&self, codec: EncoderCodec) -> Option<Caps> {
        // AV1 came with API 12.0.
        let known = codec != EncoderCodec::Av1 || self.api >= Api::V12_0;
        known.then(|| device_caps(self.device, codec)).flatten()
    }
}

impl State {
    /// The running part, or the error that calls before initialisation get.
    pub(super) fn running(&mut self, call: &Call) -> Result<&mut Running, NvStatus> {
        self.running.as_mut().ok_or_else(|| {
            call.breach(&rules::BEFORE_INIT, "the session is not initialised");
            NvStatus::ENCODER_NOT_INITIALIZED
        })
    }

    /// A picture that read `input` was locked.
    pub(super) fn release_input(&mut self, input: usize) {
        if let Some(count) = self.used.get_mut(&input) {
            *count -= 1;
            if *count == 0 {
                self.used.remove(&input);
            }
        }
    }
}

fn device_caps(device: usize, codec: EncoderCodec) -> Option<Caps> {
    let device = config().device.get(device)?;
    caps::of(device, codec).unwrap_or_else(|message| {
        eprintln!("nvsim: {message}");
        std::process::exit(2);
    })
}

/// The encode engines of every device.
pub(super) fn engines() -> &'static [EngineBank] {
    static BANKS: std::sync::OnceLock<Vec<EngineBank>> = std::sync::OnceLock::new();
    BANKS.get_or_init(|| config().device.iter().map(|device| EngineBank::new(device.nvenc_engines)).collect())
}

/// `nvEncOpenEncodeSessionEx`.
///
/// # Safety
/// `params` and `encoder` are null or point to what the API says.
pub(super) unsafe fn open(
    call: &Call,
    params: *const OpenSession,
    encoder: *mut usize,
) -> Result<(), NvStatus> {
    // SAFETY: the caller vouches for the pointer.
    let params = unsafe { abi::read::<OpenSession>(params.cast()) }.ok_or(NvStatus::INVALID_PTR)?;
    if encoder.is_null() {
        return Err(NvStatus::INVALID_PTR);
    }
    // SAFETY: checked, and the caller vouches for the rest.
    unsafe { encoder.write(0) };
    // The order of the checks is that of 580.159: the structure, the pointer, the device, and last the API version.
    open_version(call, params.version)?;
    if params.device == 0 {
        return Err(NvStatus::INVALID_PTR);
    }
    if params.device_type != abi::DEVICE_CUDA {
        return Err(NvStatus::UNSUPPORTED_DEVICE);
    }
    let Some((context, device)) = gpu::context(params.device) else {
        call.breach(&rules::CONTEXT_DEAD, format!("{:#x} is no live context", params.device));
        return Err(NvStatus::INVALID_DEVICE);
    };
    let time = &config().time;
    if time.enabled {
        wait_until(Instant::now() + Duration::from_nanos(time.open_session_ns));
    }
    let engines = config().device.get(device).map_or(0, |device| device.nvenc_engines);
    if engines == 0 && !policy::UNSUPPORTED_DEVICE_LEAVES_HANDLE {
        REFUSED.fetch_add(1, Ordering::Relaxed);
        return Err(NvStatus::UNSUPPORTED_DEVICE);
    }
    let api = Api::from_word(params.api_version).filter(|api| api.installed()).ok_or_else(|| {
        call.breach(&rules::API_VERSION, format!("apiVersion {:#010x}", params.api_version));
        NvStatus::INVALID_VERSION
    })?;
    versions::check(call, api, Struct::OpenSession, params.version)?;
    let limits = &config().sessions;
    let mut sessions = lock(&SESSIONS);
    let alive = sessions.values().filter(|session| session.open).count();
    let verdict = if engines == 0 {
        Err(NvStatus::UNSUPPORTED_DEVICE)
    } else if replay::refuses_sessions() {
        Err(NvStatus::GENERIC)
    } else if limits.limit == 0 {
        Ok(None)
    } else if limits.shared.is_empty() {
        if alive + limits.external < limits.limit { Ok(None) } else { Err(NvStatus(limits.code)) }
    } else {
        let seats = limits.limit.saturating_sub(limits.external);
        shared::sit_down(&limits.shared, seats).map(Some).ok_or(NvStatus(limits.code))
    };
    let (seat, verdict) = match verdict {
        Ok(seat) => (seat, Ok(())),
        Err(code) => (None, Err(code)),
    };
    let session = Session {
        handle: new_handle(),
        api,
        context,
        context_handle: params.device,
        device,
        open: verdict.is_ok(),
        seat: Mutex::new(seat),
        state: Mutex::default(),
        wake: Condvar::new(),
        encoding: AtomicU64::new(0),
        last_error: AtomicU32::new(0),
    };
    if verdict.is_ok() { &OPENED } else { &REFUSED }.fetch_add(1, Ordering::Relaxed);
    // A refused session too has a handle, and the client has to destroy it.
    // SAFETY: as above.
    unsafe { encoder.write(session.handle) };
    sessions.insert(session.handle, Arc::new(session));
    verdict
}

/// Checks the version word of the structure that opens a session, before it is known which API the session has.
fn open_version(call: &Call, word: u32) -> Result<(), NvStatus> {
    let spoken = |api: &Api| api.installed() && api.struct_word(Struct::OpenSession) == word;
    if Api::ALL.iter().any(spoken) {
        return Ok(());
    }
    // All but the version of the API: a client of an API that the driver does not speak.
    let shape = 0xf0ff_ff00;
    let newer = word & shape == Api::V13_0.struct_word(Struct::OpenSession) & shape;
    let rule = if newer { &rules::API_VERSION } else { &rules::STRUCT_VERSION };
    call.breach(rule, format!("the structure that opens a session has version {word:#010x}"));
    Err(NvStatus::INVALID_VERSION)
}

/// `nvEncDestroyEncoder`.
pub(super) fn destroy(call: &Call, session: &Session) -> Result<(), NvStatus> {
    lock(&SESSIONS).remove(&session.handle);
    if !session.open {
        return Ok(());
    }
    // A worker may keep the session for a moment longer.
    drop(lock(&session.seat).take());
    let mut state = session.state();
    state.closed = true;
    session.wake.notify_all();
    complain(call, &mut state);
    if let Some(running) = &mut state.running {
        replay::keep(running);
    }
    let taken = std::mem::take(&mut *state);
    state.closed = true;
    drop(state);
    let mut closed = lock(&CLOSED);
    if closed.len() < KEPT {
        closed.push(figures_of(&taken.figures));
    }
    drop(closed);
    // The worker ends when its channel closes; it takes the state's lock, which is free here.
    drop(taken);
    Ok(())
}

/// What a client left undone when it destroys a session.
fn complain(call: &Call, state: &mut State) {
    if fault::device_lost() {
        // Nothing can be flushed any more; giving back what is left still counts.
    } else if let Some(running) = &state.running
        && state.figures.pictures_in > 0
        && !running.eos
    {
        call.breach(&rules::DESTROY_WITHOUT_EOS, format!("{} pictures", state.figures.pictures_in));
    }
    let pending = state.running.as_ref().map_or(0, |running| running.submitted.len());
    let locked =
        state.outputs.values().filter(|output| matches!(output.state, OutputState::Locked(_))).count();
    let mut live = Vec::new();
    for (count, what) in [
        (pending, "outputs never locked"),
        (locked, "outputs still locked"),
        (state.mapped.len(), "resources mapped"),
        (state.resources.len(), "resources registered"),
        (state.inputs.len(), "input buffers"),
        (state.outputs.len(), "bitstream buffers"),
    ] {
        if count > 0 {
            live.push(format!("{count} {what}"));
        }
    }
    // Outputs that a lost device will never fill are not the client's fault.
    let excused = fault::device_lost() && live.len() == 1 && pending > 0;
    if !live.is_empty() && !excused {
        call.breach(&rules::DESTROY_LIVE, live.join(", "));
    }
}

/// Looks whether the context of a session is still there.
pub(super) fn check_context(call: &Call, session: &Session) -> Result<(), NvStatus> {
    match gpu::context(session.context_handle) {
        Some((context, _)) if context == session.context => Ok(()),
        _ => {
            call.breach(&rules::CONTEXT_DEAD, "the session's context was destroyed");
            Err(NvStatus(policy::CONTEXT_GONE))
        }
    }
}

fn figures_of(figures: &Figures) -> Value {
    json!({
        "codec": figures.codec.map(caps::key),
        "width": figures.size.0,
        "height": figures.size.1,
        "settings": figures.reported,
        "pictures_in": figures.pictures_in,
        "pictures_out": figures.pictures_out,
        "bytes": figures.bytes,
        "kinds": figures.kinds,
        "need_more_input": figures.need_more_input,
        "busy": figures.busy,
        "reconfigured": figures.reconfigured,
        "replayed": figures.replayed,
    })
}

fn alive() -> Vec<Arc<Session>> {
    match SESSIONS.try_lock() {
        Ok(sessions) => sessions.values().cloned().collect(),
        Err(TryLockError::Poisoned(sessions)) => sessions.into_inner().values().cloned().collect(),
        Err(TryLockError::WouldBlock) => Vec::new(),
    }
}

/// The report's figures.
pub(super) fn figures() -> Value {
    let mut sessions = CLOSED.try_lock().map(|closed| closed.clone()).unwrap_or_default();
    for session in alive().iter().filter(|session| session.open) {
        if let Ok(state) = session.state.try_lock() {
            sessions.push(figures_of(&state.figures));
        }
    }
    json!({
        "sessions_opened": OPENED.load(Ordering::Relaxed),
        "sessions_refused": REFUSED.load(Ordering::Relaxed),
        // As for the decoders.
        "engines": engines().iter().map(EngineBank::usage).collect::<Vec<_>>(),
        "sessions": sessions,
    })
}

/// Sessions never destroyed, and what they hold.
pub(super) fn leaks() -> Vec<Leak> {
    let mut leaks = Vec::new();
    for session in alive() {
        if !session.open {
            leaks.push(Leak { kind: "refused encode session", detail: format!("{:#x}", session.handle) });
            continue;
        }
        let Ok(state) = session.state.try_lock() else {
            leaks.push(Leak { kind: "encode session", detail: format!("{:#x}, busy", session.handle) });
            continue;
        };
        let holds = format!(
            "{:#x}: {} input buffers, {} bitstream buffers, {} resources, {} mapped",
            session.handle,
            state.inputs.len(),
            state.outputs.len(),
            state.resources.len(),
            state.mapped.len()
        );
        leaks.push(Leak { kind: "encode session", detail: holds });
    }
    leaks
}
