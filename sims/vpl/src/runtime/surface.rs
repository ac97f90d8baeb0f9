//! Surfaces: those of the runtime, which are counted and mapped, and those of the client, which have pointers or come from its allocator.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::pixels::{self, View};
use super::session;
use super::task::Task;
use crate::abi::{self, Guid, Handle, Status, mfxFrameInfo, mfxFrameSurface1, mfxFrameSurfaceInterface};
use crate::core::report::{Leak, locked};
use crate::core::{breach, config, enter, rules};

/// What a surface was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "names of components")]
pub enum Pool {
    Decode,
    Encode,
    VppIn,
    VppOut,
}

struct State {
    references: u32,
    /// By the runtime itself, of those.
    inside: u32,
    maps: u32,
    memory: Vec<u8>,
    pitch: usize,
    /// What fills it.
    pending: Option<Arc<Task>>,
}

struct Surface {
    id: usize,
    session: usize,
    pool: Pool,
    video: bool,
    state: Mutex<State>,
}

/// What is behind the pointer that clients hold: it stays where it is for ever, so that a surface that is used too late is found out.
struct Cell {
    frame: Box<mfxFrameSurface1>,
    _table: Box<mfxFrameSurfaceInterface>,
    surface: Arc<Surface>,
    alive: bool,
}

// SAFETY: the pointers inside are only followed in calls for the surface, as its client orders them.
unsafe impl Send for Cell {}

static CELLS: Mutex<Option<HashMap<usize, Cell>>> = Mutex::new(None);
/// Fills surfaces of the client's, by address.
static PENDING: Mutex<Option<HashMap<usize, Arc<Task>>>> = Mutex::new(None);
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Where the ids of surfaces begin that stand for VASurfaceID.
const NATIVE: usize = 0x0400_0000;

fn cell<R>(address: usize, with: impl FnOnce(&mut Cell) -> R) -> Option<R> {
    locked(&CELLS).get_or_insert_default().get_mut(&address).map(with)
}

/// Whether the runtime made it.
pub(super) fn is_ours(frame: *const mfxFrameSurface1) -> bool {
    cell(frame.addr(), |_| ()).is_some()
}

/// The session whose surface it is; none for the client's own.
pub(super) fn session(frame: *const mfxFrameSurface1) -> Option<usize> {
    cell(frame.addr(), |cell| cell.surface.session)
}

/// A new surface with one reference, the client's.
pub(super) fn make(
    session: usize,
    pool: Pool,
    info: &mfxFrameInfo,
    video: bool,
) -> Result<*mut mfxFrameSurface1, Status> {
    if let Some((status, _)) = crate::core::fault::next(crate::core::fault::Place::Surface) {
        return Err(status);
    }
    let most = config().settings.surfaces;
    let mut cells = locked(&CELLS);
    let cells = cells.get_or_insert_default();
    let mine = |cell: &&mut Cell| cell.surface.session == session && cell.surface.pool == pool;
    if most > 0 && cells.values_mut().filter(mine).filter(|cell| cell.alive).count() >= most {
        return Err(abi::WRN_ALLOC_TIMEOUT_EXPIRED);
    }
    let (pitch, size) = pixels::layout(info).ok_or(abi::ERR_UNSUPPORTED)?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(size).map_err(|_| abi::ERR_MEMORY_ALLOC)?;
    // Whoever reads it before it is filled sees that.
    memory.resize(size, 0xa5);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut table = Box::new(mfxFrameSurfaceInterface {
        Context: std::ptr::without_provenance_mut(id),
        Version: 0x100,
        AddRef: Some(add_ref),
        Release: Some(release),
        GetRefCounter: Some(count),
        Map: Some(map),
        Unmap: Some(unmap),
        GetNativeHandle: Some(native),
        GetDeviceHandle: Some(device),
        Synchronize: Some(synchronize),
        QueryInterface: Some(query),
        ..mfxFrameSurfaceInterface::zeroed()
    });
    let mut frame = Box::new(mfxFrameSurface1 { Version: 0x101, Info: *info, ..mfxFrameSurface1::zeroed() });
    frame.FrameInterface = &raw mut *table;
    frame.Data.TimeStamp = abi::TIMESTAMP_UNKNOWN;
    frame.Data.MemType = memory_type(pool, video) | abi::MEMTYPE_INTERNAL_FRAME;
    frame.Data.MemId = std::ptr::without_provenance_mut(id);
    let state = State { references: 1, inside: 0, maps: 0, memory, pitch, pending: None };
    let surface = Arc::new(Surface { id, session, pool, video, state: Mutex::new(state) });
    let address = &raw mut *frame;
    cells.insert(address.addr(), Cell { frame, _table: table, surface, alive: true });
    Ok(address)
}

/// `Data.MemType` and `Type` of requests.
pub(super) fn memory_type(pool: Pool, video: bool) -> u16 {
    let (from, target) = match pool {
        Pool::Decode => (abi::MEMTYPE_FROM_DECODE, abi::MEMTYPE_VIDEO_MEMORY_DECODER_TARGET),
        Pool::Encode => (abi::MEMTYPE_FROM_ENCODE, abi::MEMTYPE_VIDEO_MEMORY_DECODER_TARGET),
        Pool::VppIn => (abi::MEMTYPE_FROM_VPPIN, abi::MEMTYPE_VIDEO_MEMORY_PROCESSOR_TARGET),
        Pool::VppOut => (abi::MEMTYPE_FROM_VPPOUT, abi::MEMTYPE_VIDEO_MEMORY_PROCESSOR_TARGET),
    };
    from | if video { target } else { abi::MEMTYPE_SYSTEM_MEMORY }
}

/// Keeps a surface of either kind while the runtime needs it.
pub(super) fn hold(frame: *mut mfxFrameSurface1) {
    let ours = cell(frame.addr(), |cell| {
        let mut state = locked(&cell.surface.state);
        state.references += 1;
        state.inside += 1;
    });
    if ours.is_none() && !frame.is_null() {
        // SAFETY: the client's surface, which it keeps as long as it is locked.
        unsafe { (*frame).Data.Locked += 1 };
    }
}

/// The other way.
pub(super) fn let_go(frame: *mut mfxFrameSurface1) {
    let ours = cell(frame.addr(), |cell| {
        {
            let mut state = locked(&cell.surface.state);
            state.references -= 1;
            state.inside -= 1;
        }
        bury(cell);
    });
    if ours.is_none() && !frame.is_null() {
        // SAFETY: as in `hold`.
        unsafe { (*frame).Data.Locked = (*frame).Data.Locked.saturating_sub(1) };
    }
}

/// A surface that an operation needs, until that is done or given up.
pub(super) struct Held(usize);

impl Held {
    /// Takes over what [`hold`] began.
    pub(super) fn taken(frame: *mut mfxFrameSurface1) -> Self {
        Self(frame.expose_provenance())
    }

    /// The surface.
    pub(super) fn frame(&self) -> *mut mfxFrameSurface1 {
        std::ptr::with_exposed_provenance_mut(self.0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let_go(self.frame());
    }
}

/// Takes back a surface that the client was never given.
pub(super) fn discard(frame: *mut mfxFrameSurface1) {
    cell(frame.addr(), |cell| {
        locked(&cell.surface.state).references = 0;
        bury(cell);
    });
}

/// Frees what is behind a surface without references.
fn bury(cell: &mut Cell) {
    let mut state = locked(&cell.surface.state);
    if state.references == 0 && cell.alive {
        cell.alive = false;
        if state.maps > 0 {
            breach(&rules::RELEASED_MAPPED, format!("surface {}", cell.surface.id));
        }
        state.memory = Vec::new();
        state.pending = None;
        drop(state);
        pixels::point(&mut cell.frame, std::ptr::null_mut(), 0);
    }
}

/// Says what fills a surface.
pub(super) fn fill_by(frame: *mut mfxFrameSurface1, task: &Arc<Task>) {
    let ours = cell(frame.addr(), |cell| locked(&cell.surface.state).pending = Some(task.clone()));
    if ours.is_none() {
        locked(&PENDING).get_or_insert_default().insert(frame.addr(), task.clone());
    }
}

/// What fills a surface, where that is not done.
pub(super) fn pending(frame: *const mfxFrameSurface1) -> Option<Arc<Task>> {
    let ours = cell(frame.addr(), |cell| locked(&cell.surface.state).pending.clone());
    ours.unwrap_or_else(|| locked(&PENDING).get_or_insert_default().get(&frame.addr()).cloned())
}

/// It is filled.
pub(super) fn filled(frame: *const mfxFrameSurface1) {
    if cell(frame.addr(), |cell| locked(&cell.surface.state).pending = None).is_none() {
        locked(&PENDING).get_or_insert_default().remove(&frame.addr());
    }
}

/// Surfaces of a client are looked at before they are used: false, and a breach, for one that cannot be.
pub(super) fn usable(frame: *mut mfxFrameSurface1) -> bool {
    let ours = cell(frame.addr(), |cell| (cell.alive, locked(&cell.surface.state).maps));
    match ours {
        Some((false, _)) => {
            breach(&rules::DEAD_SURFACE, "handed over after its last Release");
            false
        }
        Some((true, maps)) if maps > 0 => {
            breach(&rules::USED_MAPPED, format!("mapped {maps} times"));
            true
        }
        Some(_) => true,
        // SAFETY: not null, as callers look first; the client vouches for the rest.
        None if unsafe { (*frame).FrameInterface }.is_null() => true,
        None => {
            breach(&rules::UNKNOWN_SURFACE, "a surface with an interface that the runtime did not make");
            false
        }
    }
}

/// Left, top, width and height of what is shown.
pub type Crop = [u16; 4];

fn cut(frame: &mut mfxFrameSurface1, crop: Option<Crop>) {
    if let Some(crop) = crop {
        let info = &mut frame.Info;
        [info.CropX, info.CropY, info.CropW, info.CropH] = crop;
    }
}

/// Does something with the memory of a surface, wherever it is: with the part that it shows, or with another one.
pub(super) fn with_view<R>(
    frame: *mut mfxFrameSurface1,
    session: usize,
    crop: Option<Crop>,
    with: impl FnOnce(&View) -> R,
) -> Result<R, Status> {
    let ours = cell(frame.addr(), |cell| {
        let mut state = locked(&cell.surface.state);
        let mut copy = *cell.frame;
        cut(&mut copy, crop);
        let pitch = state.pitch;
        pixels::point(&mut copy, state.memory.as_mut_ptr(), pitch);
        if state.memory.is_empty() { None } else { View::of(&copy) }
    });
    if let Some(view) = ours {
        return view.map(|view| with(&view)).ok_or(abi::ERR_INVALID_HANDLE);
    }
    // SAFETY: not null, as callers look first; the client vouches for the rest.
    let mut copy = unsafe { *frame };
    cut(&mut copy, crop);
    let allocated = copy.Data.Y.is_null() && !copy.Data.MemId.is_null();
    let allocator = session::find(session).and_then(|session| *locked(&session.allocator));
    match allocator.filter(|_| allocated) {
        None => View::of(&copy).map(|view| with(&view)).ok_or_else(|| {
            breach(&rules::NO_MEMORY, "no pointers, no pitch, or a shown part outside of the surface");
            abi::ERR_LOCK_MEMORY
        }),
        Some(allocator) => {
            if let Some(view) = native_view(&allocator, &mut copy) {
                return view.map(|view| with(&view));
            }
            let (Some(lock), Some(unlock)) = (allocator.Lock, allocator.Unlock) else {
                return Err(abi::ERR_LOCK_MEMORY);
            };
            // SAFETY: functions of the client's allocator, with its own arguments.
            let status = unsafe { lock(allocator.pthis, copy.Data.MemId, &raw mut copy.Data) };
            if status != abi::ERR_NONE {
                return Err(abi::ERR_LOCK_MEMORY);
            }
            let result = View::of(&copy).map(|view| with(&view)).ok_or(abi::ERR_LOCK_MEMORY);
            // SAFETY: as above.
            unsafe { unlock(allocator.pthis, copy.Data.MemId, &raw mut copy.Data) };
            result
        }
    }
}

/// There is no VA-API on this system.
#[cfg(windows)]
fn native_view(_: &abi::mfxFrameAllocator, _: &mut mfxFrameSurface1) -> Option<Result<View, Status>> {
    None
}

/// The memory of a client's VA surface, where the process has the simulated VA-API (`gpu/va.c`).
#[cfg(not(windows))]
fn native_view(
    allocator: &abi::mfxFrameAllocator,
    frame: &mut mfxFrameSurface1,
) -> Option<Result<View, Status>> {
    type Place = unsafe extern "C" fn(u32, *mut u32, *mut u32) -> *mut u8;
    // SAFETY: the name ends with zero.
    let place = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"vplsim_va_surface".as_ptr()) };
    // SAFETY: null, or the function of that name, which has this form.
    let place = unsafe { std::mem::transmute::<Handle, Option<Place>>(place) }?;
    let get = allocator.GetHDL?;
    // Some allocators answer with two.
    let mut handles: [Handle; 2] = [std::ptr::null_mut(); 2];
    // SAFETY: a function of the client's allocator, with its own arguments.
    let status = unsafe { get(allocator.pthis, frame.Data.MemId, handles.as_mut_ptr()) };
    if status != abi::ERR_NONE || handles[0].is_null() {
        return None;
    }
    let (mut pitch, mut chroma) = (0, 0);
    // SAFETY: for VA-API the handle is the address of a surface's id.
    let start = unsafe { place(*handles[0].cast::<u32>(), &raw mut pitch, &raw mut chroma) };
    if start.is_null() {
        return Some(Err(abi::ERR_LOCK_MEMORY));
    }
    pixels::point(frame, start, pitch as usize);
    if frame.Info.FourCC != abi::FOURCC_RGB4 {
        frame.Data.UV = start.wrapping_add(chroma as usize);
    }
    Some(View::of(frame).ok_or(abi::ERR_LOCK_MEMORY))
}

/// What the client holds.
pub(super) fn leaks() -> Vec<Leak> {
    let cells = locked(&CELLS);
    let mut leaks = Vec::new();
    for cell in cells.iter().flat_map(HashMap::values).filter(|cell| cell.alive) {
        let state = locked(&cell.surface.state);
        let theirs = state.references - state.inside;
        if theirs > 0 {
            let detail =
                format!("surface {} of {:?}, {theirs} references", cell.surface.id, cell.surface.pool);
            leaks.push(Leak { kind: "surface", detail });
        }
    }
    leaks
}

/// Finds a living surface for one of its functions.
fn alive<R>(
    frame: *mut mfxFrameSurface1,
    with: impl FnOnce(&mut Cell) -> Result<R, Status>,
) -> Result<R, Status> {
    if frame.is_null() {
        breach(&rules::NULL_POINTER, "surface");
        return Err(abi::ERR_NULL_PTR);
    }
    let found = cell(frame.addr(), |cell| {
        if cell.alive && cell.frame.FrameInterface.is_null() {
            return Err(abi::ERR_INVALID_HANDLE);
        }
        if cell.alive {
            return with(cell);
        }
        breach(&rules::DEAD_SURFACE, format!("surface {}", cell.surface.id));
        Err(abi::ERR_INVALID_HANDLE)
    });
    found.unwrap_or_else(|| {
        breach(&rules::UNKNOWN_SURFACE, format!("{frame:p}"));
        Err(abi::ERR_INVALID_HANDLE)
    })
}

fn answer(result: Result<(), Status>) -> Status {
    result.err().unwrap_or(abi::ERR_NONE)
}

unsafe extern "C" fn add_ref(frame: *mut mfxFrameSurface1) -> Status {
    enter("mfxFrameSurfaceInterface::AddRef", abi::ERR_UNKNOWN, || {
        answer(alive(frame, |cell| {
            locked(&cell.surface.state).references += 1;
            Ok(())
        }))
    })
}

unsafe extern "C" fn release(frame: *mut mfxFrameSurface1) -> Status {
    enter("mfxFrameSurfaceInterface::Release", abi::ERR_UNKNOWN, || {
        answer(alive(frame, |cell| {
            {
                let mut state = locked(&cell.surface.state);
                if state.references == state.inside {
                    breach(&rules::OVER_RELEASE, format!("surface {} is the runtime's", cell.surface.id));
                    return Err(abi::ERR_UNDEFINED_BEHAVIOR);
                }
                state.references -= 1;
            }
            bury(cell);
            Ok(())
        }))
    })
}

unsafe extern "C" fn count(frame: *mut mfxFrameSurface1, counter: *mut u32) -> Status {
    enter("mfxFrameSurfaceInterface::GetRefCounter", abi::ERR_UNKNOWN, || {
        if counter.is_null() {
            return abi::ERR_NULL_PTR;
        }
        answer(alive(frame, |cell| {
            // SAFETY: not null; the client vouches for the rest.
            unsafe { *counter = locked(&cell.surface.state).references };
            Ok(())
        }))
    })
}

/// Waits for what fills a surface, outside of all locks.
fn settle(frame: *mut mfxFrameSurface1, wait: u32) -> Status {
    let status = pending(frame).map_or(abi::ERR_NONE, |task| task.wait(wait));
    if status != abi::WRN_IN_EXECUTION && status >= 0 {
        filled(frame);
    }
    status
}

unsafe extern "C" fn map(frame: *mut mfxFrameSurface1, flags: u32) -> Status {
    enter("mfxFrameSurfaceInterface::Map", abi::ERR_UNKNOWN, || {
        if let Err(status) = alive(frame, |_| Ok(())) {
            return status;
        }
        let wait = if flags & abi::MAP_NOWAIT != 0 { 0 } else { u32::MAX };
        match settle(frame, wait) {
            abi::ERR_NONE => {}
            abi::WRN_IN_EXECUTION => return abi::ERR_RESOURCE_MAPPED,
            status => return status,
        }
        answer(alive(frame, |cell| {
            let mut state = locked(&cell.surface.state);
            let writes = flags & abi::MAP_WRITE != 0;
            if flags & (abi::MAP_READ | abi::MAP_WRITE) == 0 {
                breach(&rules::MAP_FLAGS, format!("{flags:#x}"));
                return Err(abi::ERR_UNSUPPORTED);
            }
            if writes && state.inside > 0 && cell.surface.pool != Pool::Decode {
                breach(&rules::WRITTEN_IN_USE, format!("surface {}", cell.surface.id));
                return Err(abi::ERR_LOCK_MEMORY);
            }
            if state.maps > 0 && writes {
                return Err(abi::ERR_RESOURCE_MAPPED);
            }
            state.maps += 1;
            let (start, pitch) = (state.memory.as_mut_ptr(), state.pitch);
            pixels::point(&mut cell.frame, start, pitch);
            Ok(())
        }))
    })
}

unsafe extern "C" fn unmap(frame: *mut mfxFrameSurface1) -> Status {
    enter("mfxFrameSurfaceInterface::Unmap", abi::ERR_UNKNOWN, || {
        answer(alive(frame, |cell| {
            let mut state = locked(&cell.surface.state);
            if state.maps == 0 {
                breach(&rules::UNMAP_WITHOUT_MAP, format!("surface {}", cell.surface.id));
                return Err(abi::ERR_UNSUPPORTED);
            }
            state.maps -= 1;
            if state.maps == 0 {
                pixels::point(&mut cell.frame, std::ptr::null_mut(), 0);
            }
            Ok(())
        }))
    })
}

unsafe extern "C" fn native(frame: *mut mfxFrameSurface1, resource: *mut Handle, kind: *mut i32) -> Status {
    enter("mfxFrameSurfaceInterface::GetNativeHandle", abi::ERR_UNKNOWN, || {
        if resource.is_null() || kind.is_null() {
            return abi::ERR_NULL_PTR;
        }
        answer(alive(frame, |cell| {
            if !cell.surface.video {
                return Err(abi::ERR_UNSUPPORTED);
            }
            // SAFETY: not null; the client vouches for the rest.
            unsafe {
                *resource = std::ptr::without_provenance_mut(NATIVE + cell.surface.id);
                *kind = abi::RESOURCE_VA_SURFACE;
            }
            Ok(())
        }))
    })
}

unsafe extern "C" fn device(frame: *mut mfxFrameSurface1, handle: *mut Handle, kind: *mut i32) -> Status {
    enter("mfxFrameSurfaceInterface::GetDeviceHandle", abi::ERR_UNKNOWN, || {
        if handle.is_null() || kind.is_null() {
            return abi::ERR_NULL_PTR;
        }
        answer(alive(frame, |cell| {
            let session = session::find(cell.surface.session).ok_or(abi::ERR_INVALID_HANDLE)?;
            let display = locked(&session.handles).get(&abi::HANDLE_VA_DISPLAY).copied();
            let display = display.filter(|_| cell.surface.video).ok_or(abi::ERR_UNSUPPORTED)?;
            // SAFETY: not null; the client vouches for the rest.
            unsafe {
                *handle = std::ptr::with_exposed_provenance_mut(display);
                *kind = abi::HANDLE_VA_DISPLAY;
            }
            Ok(())
        }))
    })
}

unsafe extern "C" fn synchronize(frame: *mut mfxFrameSurface1, wait: u32) -> Status {
    enter("mfxFrameSurfaceInterface::Synchronize", abi::ERR_UNKNOWN, || match alive(frame, |_| Ok(())) {
        Err(status) => status,
        Ok(()) => settle(frame, wait),
    })
}

unsafe extern "C" fn query(frame: *mut mfxFrameSurface1, _guid: Guid, interface: *mut Handle) -> Status {
    enter("mfxFrameSurfaceInterface::QueryInterface", abi::ERR_UNKNOWN, || {
        if interface.is_null() {
            return abi::ERR_NULL_PTR;
        }
        answer(alive(frame, |_| Err(abi::ERR_NOT_IMPLEMENTED)))
    })
}
