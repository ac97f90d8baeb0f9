//! Sessions, and what they share: handles, the client's allocator, sync points, being joined.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::capabilities::VERSION;
use super::decode::Decoder;
use super::encode::Encoder;
use super::machine::Machine;
use super::task::{self, Found};
use super::vpp::Processor;
use crate::abi::{
    self, Handle, Status, mfxFrameAllocator, mfxInitParam, mfxInitializationParam, mfxPlatform,
};
use crate::core::report::{self, Leak, locked};
use crate::core::{In, Out, breach, config, exports, rules};

/// A session.
#[derive(Default)]
pub struct Session {
    /// What clients hold, as a number.
    pub id: usize,
    /// The GPU.
    pub machine: &'static Machine,
    /// Which of the machine's GPUs that is.
    pub gpu: usize,
    /// The decoder, when it is initialised.
    pub decoder: Mutex<Option<Decoder>>,
    /// The encoder, when it is initialised.
    pub encoder: Mutex<Option<Encoder>>,
    /// The processor, when it is initialised.
    pub vpp: Mutex<Option<Processor>>,
    /// Handles by kind.
    pub handles: Mutex<HashMap<i32, usize>>,
    /// The client's allocator.
    pub allocator: Mutex<Option<mfxFrameAllocator>>,
    /// Data that came before a format changed, and are still to be decoded.
    pub carry: Mutex<Vec<u8>>,
    /// With which status everything is answered.
    lost: Mutex<Option<Status>>,
    used: AtomicBool,
    parent: AtomicUsize,
    priority: AtomicUsize,
}

// SAFETY: the allocator's pointer is the client's, who lets any thread call it.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

static SESSIONS: Mutex<BTreeMap<usize, Arc<Session>>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Sessions are no addresses.
const BASE: usize = 0x4000_0000;

/// The session of an id.
pub fn find(id: usize) -> Option<Arc<Session>> {
    locked(&SESSIONS).get(&id).cloned()
}

/// Whether a session takes surfaces of another one.
pub fn takes(own: usize, other: Option<usize>) -> bool {
    let family = |id: usize| find(id).map_or(id, |session| session.family());
    !config().settings.own_surfaces || other.is_none_or(|other| family(other) == family(own))
}

/// The session that a client means.
pub fn of(handle: Handle) -> Result<Arc<Session>, Status> {
    find(handle.addr()).ok_or_else(|| {
        breach(&rules::UNKNOWN_SESSION, format!("{handle:p}"));
        abi::ERR_INVALID_HANDLE
    })
}

impl Session {
    /// What every component looks at before it is initialised.
    pub fn ready(&self, ordered: Option<Status>) -> Result<Status, Status> {
        self.used.store(true, Ordering::Relaxed);
        if config().settings.display_required && !locked(&self.handles).contains_key(&abi::HANDLE_VA_DISPLAY)
        {
            return Err(abi::ERR_DEVICE_FAILED);
        }
        match ordered {
            Some(status) if status < 0 => Err(status),
            ordered => Ok(ordered.unwrap_or(abi::ERR_NONE)),
        }
    }

    /// Answers a call that comes to a session that is lost; counts the call, and looks for faults on order.
    pub fn fault(&self, place: crate::core::fault::Place) -> Result<(), Status> {
        if let Some(status) = *locked(&self.lost) {
            return Err(status);
        }
        match crate::core::fault::next(place) {
            None => Ok(()),
            Some((status, last)) => {
                if last {
                    *locked(&self.lost) = Some(status);
                }
                Err(status)
            }
        }
    }

    fn family(&self) -> usize {
        match self.parent.load(Ordering::Relaxed) {
            0 => self.id,
            parent => parent,
        }
    }
}

fn open(number: usize) -> Result<Arc<Session>, Status> {
    if !config().has_gpu() {
        return Err(abi::ERR_UNSUPPORTED);
    }
    if let Some(status) = config().settings.session {
        return Err(status);
    }
    let id = BASE + NEXT.fetch_add(1, Ordering::Relaxed);
    let machine = config().gpus().get(number).copied().ok_or(abi::ERR_UNSUPPORTED)?;
    let session =
        Arc::new(Session { id, machine, gpu: number, priority: AtomicUsize::new(1), ..Session::default() });
    locked(&SESSIONS).insert(id, session.clone());
    Ok(session)
}

fn give(number: usize, session: Out<Handle>) -> Status {
    if session.is_null() {
        breach(&rules::NULL_POINTER, "session");
        return abi::ERR_NULL_PTR;
    }
    match open(number) {
        Ok(opened) => {
            session.put(std::ptr::without_provenance_mut(opened.id));
            abi::ERR_NONE
        }
        Err(status) => status,
    }
}

/// Sessions that were not closed.
pub fn leaks() -> Vec<Leak> {
    let sessions = locked(&SESSIONS);
    sessions.keys().map(|id| Leak { kind: "session", detail: format!("{id:#x} was not closed") }).collect()
}

/// The version that the runtime tells.
pub fn version() -> u32 {
    let (major, minor) = config().settings.api.unwrap_or(VERSION);
    u32::from(major) << 16 | u32::from(minor)
}

/// Ends a component's part in a report.
pub fn report(session: usize, component: &str, figures: serde_json::Value) {
    report::session(json!({ "session": session, "component": component, "figures": figures }));
}

/// The GPU that an implementation of old names: `HARDWARE2` is the second.
fn adapter(implementation: i32) -> usize {
    match implementation & 0xff {
        5..=7 => (implementation & 0xff) as usize - 4,
        _ => 0,
    }
}

fn status(result: Result<Status, Status>) -> Status {
    result.unwrap_or_else(|status| status)
}

exports! {
    /// Makes a session, for the dispatcher.
    fn MFXInitialize(parameters: mfxInitializationParam, session: Out<Handle>) -> Status = abi::ERR_UNKNOWN; {
        match parameters.AccelerationMode {
            0 | abi::ACCEL_MODE_VIA_D3D11 if cfg!(windows) => give(parameters.VendorImplID as usize, session),
            0 | abi::ACCEL_MODE_VIA_VAAPI..=0x404 if cfg!(unix) => give(parameters.VendorImplID as usize, session),
            _ => abi::ERR_UNSUPPORTED,
        }
    }

    /// Makes a session, for clients of old.
    fn MFXInit(implementation: i32, version: In<u32>, session: Out<Handle>) -> Status = abi::ERR_UNKNOWN; {
        let wanted = version.get().unwrap_or(0);
        let told = self::version();
        // A later minor version will do, another major one will not, except that 2 takes the place of 1.
        let fits = wanted >> 16 < told >> 16 || (wanted >> 16 == told >> 16 && wanted & 0xffff <= told & 0xffff);
        let software = implementation & 0xff == 1 && !config().settings.software;
        if fits && !software { give(adapter(implementation), session) } else { abi::ERR_UNSUPPORTED }
    }

    /// Likewise.
    fn MFXInitEx(parameters: mfxInitParam, session: Out<Handle>) -> Status = abi::ERR_UNKNOWN; {
        let software = parameters.Implementation & 0xff == 1 && !config().settings.software;
        if software { abi::ERR_UNSUPPORTED } else { give(adapter(parameters.Implementation), session) }
    }

    /// Ends a session with everything in it.
    fn MFXClose(session: Handle) -> Status = abi::ERR_UNKNOWN; {
        if session.is_null() {
            // Debian's dispatcher does so after a session that could not be made.
            return abi::ERR_INVALID_HANDLE;
        }
        let closed = match of(session) {
            Ok(closed) => closed,
            Err(status) => return status,
        };
        let children = locked(&SESSIONS).values().filter(|other| other.parent.load(Ordering::Relaxed) == closed.id).count();
        if children > 0 {
            breach(&rules::CHILDREN_JOINED, format!("{children} sessions are joined with this one"));
            return abi::ERR_UNDEFINED_BEHAVIOR;
        }
        super::decode::close(&closed);
        super::encode::close(&closed);
        super::vpp::close(&closed);
        task::drop_session(closed.id);
        locked(&SESSIONS).remove(&closed.id);
        abi::ERR_NONE
    }

    /// What kind of implementation it is.
    fn MFXQueryIMPL(session: Handle, implementation: Out<i32>) -> Status = abi::ERR_UNKNOWN; {
        status(of(session).map(|_| {
            let software = config().settings.software;
            let told = if software { abi::IMPL_SOFTWARE } else { abi::IMPL_HARDWARE | abi::IMPL_VIA_VAAPI };
            if implementation.put(told) { abi::ERR_NONE } else { abi::ERR_NULL_PTR }
        }))
    }

    /// Which version.
    fn MFXQueryVersion(session: Handle, version: Out<u32>) -> Status = abi::ERR_UNKNOWN; {
        status(of(session).map(|_| if version.put(self::version()) { abi::ERR_NONE } else { abi::ERR_NULL_PTR }))
    }

    /// Joins a child to a session.
    fn MFXJoinSession(session: Handle, child: Handle) -> Status = abi::ERR_UNKNOWN; {
        let (parent, child) = match (of(session), of(child)) {
            (Ok(parent), Ok(child)) => (parent, child),
            (Err(status), _) | (_, Err(status)) => return status,
        };
        let has_children = locked(&SESSIONS).values().any(|other| other.parent.load(Ordering::Relaxed) == child.id);
        if parent.id == child.id || has_children || child.parent.load(Ordering::Relaxed) != 0 {
            return abi::ERR_UNSUPPORTED;
        }
        child.parent.store(parent.family(), Ordering::Relaxed);
        abi::ERR_NONE
    }

    /// Ends that.
    fn MFXDisjoinSession(session: Handle) -> Status = abi::ERR_UNKNOWN; {
        status(of(session).map(|session| match session.parent.swap(0, Ordering::Relaxed) {
            0 => abi::ERR_UNDEFINED_BEHAVIOR,
            _ => abi::ERR_NONE,
        }))
    }

    /// A new session, joined with this one.
    fn MFXCloneSession(session: Handle, clone: Out<Handle>) -> Status = abi::ERR_UNKNOWN; {
        status(of(session).and_then(|session| {
            if clone.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            let new = open(session.gpu)?;
            new.parent.store(session.family(), Ordering::Relaxed);
            clone.put(std::ptr::without_provenance_mut(new.id));
            Ok(abi::ERR_NONE)
        }))
    }

    /// Makes no difference here.
    fn MFXSetPriority(session: Handle, priority: i32) -> Status = abi::ERR_UNKNOWN; {
        status(of(session).map(|session| {
            session.priority.store(priority.clamp(0, 2) as usize, Ordering::Relaxed);
            abi::ERR_NONE
        }))
    }

    /// What was set.
    fn MFXGetPriority(session: Handle, priority: Out<i32>) -> Status = abi::ERR_UNKNOWN; {
        status(of(session).map(|session| {
            let told = priority.put(session.priority.load(Ordering::Relaxed) as i32);
            if told { abi::ERR_NONE } else { abi::ERR_NULL_PTR }
        }))
    }

    /// The client's allocator.
    fn MFXVideoCORE_SetFrameAllocator(session: Handle, allocator: In<mfxFrameAllocator>) -> Status = abi::ERR_UNKNOWN; {
        status(of(session).map(|session| {
            let mut place = locked(&session.allocator);
            if place.is_some() && allocator.get().is_some() {
                return abi::ERR_UNDEFINED_BEHAVIOR;
            }
            *place = allocator.get();
            abi::ERR_NONE
        }))
    }

    /// The display, or another handle.
    fn MFXVideoCORE_SetHandle(session: Handle, kind: i32, handle: Handle) -> Status = abi::ERR_UNKNOWN; {
        status(of(session).and_then(|session| {
            if handle.is_null() {
                breach(&rules::NULL_POINTER, "handle");
                return Err(abi::ERR_INVALID_HANDLE);
            }
            let mut handles = locked(&session.handles);
            if handles.contains_key(&kind) {
                breach(&rules::HANDLE_TWICE, format!("kind {kind}"));
                return Err(abi::ERR_UNDEFINED_BEHAVIOR);
            }
            if kind == abi::HANDLE_VA_DISPLAY && session.used.load(Ordering::Relaxed) {
                breach(&rules::DISPLAY_LATE, "a component was initialised before");
            }
            handles.insert(kind, handle.expose_provenance());
            Ok(abi::ERR_NONE)
        }))
    }

    /// What was set.
    fn MFXVideoCORE_GetHandle(session: Handle, kind: i32, handle: Out<Handle>) -> Status = abi::ERR_UNKNOWN; {
        status(of(session).and_then(|session| {
            let found = locked(&session.handles).get(&kind).copied().ok_or(abi::ERR_NOT_FOUND)?;
            let told = handle.put(std::ptr::with_exposed_provenance_mut(found));
            if told { Ok(abi::ERR_NONE) } else { Err(abi::ERR_NULL_PTR) }
        }))
    }

    /// The machine.
    fn MFXVideoCORE_QueryPlatform(session: Handle, platform: Out<mfxPlatform>) -> Status = abi::ERR_UNKNOWN; {
        status(of(session).map(|session| {
            let machine = session.machine;
            let told = platform.put(mfxPlatform {
                CodeName: machine.platform,
                DeviceId: machine.device,
                MediaAdapterType: machine.adapter,
                reserved: [0; 13],
            });
            if told { abi::ERR_NONE } else { abi::ERR_NULL_PTR }
        }))
    }

    /// Waits for an operation.
    fn MFXVideoCORE_SyncOperation(session: Handle, point: Handle, wait: u32) -> Status = abi::ERR_UNKNOWN; {
        let session = match of(session) {
            Ok(session) => session,
            Err(status) => return status,
        };
        if point.is_null() {
            breach(&rules::NULL_POINTER, "sync point");
            return abi::ERR_NULL_PTR;
        }
        let task = match task::find(point) {
            Found::Task(task) => task,
            Found::Used => {
                breach(&rules::SYNC_TWICE, format!("{point:p}"));
                return abi::ERR_NONE;
            }
            Found::Unknown => {
                breach(&rules::UNKNOWN_SYNC, format!("{point:p}"));
                return abi::ERR_INVALID_HANDLE;
            }
        };
        let family = find(task.session).map_or(task.session, |session| session.family());
        if family != session.family() {
            breach(&rules::UNKNOWN_SYNC, format!("{point:p} is of another session"));
            return abi::ERR_INVALID_HANDLE;
        }
        let status = task.wait(wait);
        if status != abi::WRN_IN_EXECUTION {
            task::forget(point);
        }
        status
    }
}
