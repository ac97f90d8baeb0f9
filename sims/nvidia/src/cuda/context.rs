//! Contexts: the stack of each thread, primary contexts, and the end of a context with all it holds.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::abi::{CuResult, Device, Done, Handle, put, put_optional};
use super::handles::{Kind, Missing, Table, handle, value};
use super::stream::{self, Role, Stream};
use super::{device, leaks, memory, rules};
use crate::core::{Call, clock, config};
use crate::policy;

/// A context by number, for the other libraries. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextId(pub(super) u64);

/// One context.
pub(super) struct Context {
    pub(super) id: u64,
    /// Index into the configuration (not the ordinal: `CUDA_VISIBLE_DEVICES` stands between the two).
    pub(super) device: usize,
    pub(super) primary: bool,
    pub(super) flags: AtomicU32,
    pub(super) default_stream: Arc<Stream>,
    /// An error of asynchronous work that every later call answers; 0: none.
    failed: AtomicU32,
    limits: Mutex<[usize; LIMITS]>,
    cache: AtomicU32,
    shared: AtomicU32,
}

const LIMITS: usize = 7;
/// Stack, printf buffer, heap, synchronisation depth, pending launches, fetch granularity, persisting L2.
const DEFAULT_LIMITS: [usize; LIMITS] = [1024, 1 << 20, 8 << 20, 2, 2048, 64, 0];

pub(super) static CONTEXTS: Table<Context> = Table::new(Kind::Context);

thread_local! {
    static STACK: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

#[derive(Default)]
struct Primary {
    count: u64,
    flags: u32,
    context: Option<Arc<Context>>,
}

static PRIMARIES: Mutex<Vec<Primary>> = Mutex::new(Vec::new());

fn with_primary<R>(device: usize, work: impl FnOnce(&mut Primary) -> R) -> R {
    let mut primaries = PRIMARIES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    while primaries.len() <= device {
        primaries.push(Primary::default());
    }
    work(&mut primaries[device])
}

impl Context {
    /// The error that a sync after failed work answers.
    pub(super) fn check(&self) -> Done {
        match self.failed.load(Ordering::SeqCst) {
            0 => Ok(()),
            code => Err(CuResult(code)),
        }
    }

    /// Asynchronous work failed: the context is of no use any more.
    pub(super) fn fail(&self, code: CuResult) {
        self.failed.store(code.0, Ordering::SeqCst);
    }

    pub(super) fn handle(&self) -> Handle {
        handle(self.id)
    }
}

/// Runs a callback of the client: CUDA calls in it are refused.
pub(super) fn in_callback(work: impl FnOnce()) {
    IN_CALLBACK.with(|flag| flag.set(true));
    work();
    IN_CALLBACK.with(|flag| flag.set(false));
}

/// True in a callback of a stream.
pub(super) fn is_in_callback() -> bool {
    IN_CALLBACK.with(Cell::get)
}

fn top() -> Option<u64> {
    STACK.try_with(|stack| stack.borrow().last().copied()).ok().flatten()
}

/// The current context, for the other libraries.
pub(super) fn current_quiet() -> Option<Arc<Context>> {
    CONTEXTS.get(top()?).ok()
}

/// The current context of the calling thread, or the breach that there is none.
pub(super) fn current(call: &Call) -> Result<Arc<Context>, CuResult> {
    device::initialized(call)?;
    let Some(top) = top() else {
        call.breach(&rules::NO_CONTEXT, "no context is current to this thread");
        return Err(CuResult::ERROR_INVALID_CONTEXT);
    };
    let context = CONTEXTS.get(top).map_err(|_| {
        call.breach(&rules::CONTEXT_DESTROYED, "the context current to this thread was destroyed");
        CuResult::ERROR_CONTEXT_IS_DESTROYED
    })?;
    context.check()?;
    Ok(context)
}

/// The context of a handle, or the breach that it is none.
fn find(call: &Call, ctx: Handle) -> Result<Arc<Context>, CuResult> {
    CONTEXTS.get(value(ctx)).map_err(|missing| {
        match missing {
            Missing::Dead => call.breach(&rules::CONTEXT_DESTROYED, format!("{ctx:?} was destroyed")),
            Missing::Foreign => call.breach(&rules::FOREIGN_HANDLE, format!("{ctx:?} is not a context")),
        }
        match missing {
            Missing::Dead => CuResult::ERROR_CONTEXT_IS_DESTROYED,
            Missing::Foreign => CuResult::ERROR_INVALID_CONTEXT,
        }
    })
}

/// Makes a context on a device.
pub(super) fn make(device: usize, flags: u32, primary: bool) -> Arc<Context> {
    let time = &config().time;
    if time.enabled {
        clock::wait_until(Instant::now() + Duration::from_nanos(time.create_context_ns));
    }
    let id = CONTEXTS.reserve();
    let context = Arc::new(Context {
        id,
        device,
        primary,
        flags: AtomicU32::new(flags),
        default_stream: Stream::new(id, Role::Default, 0),
        failed: AtomicU32::new(0),
        limits: Mutex::new(DEFAULT_LIMITS),
        cache: AtomicU32::new(0),
        shared: AtomicU32::new(0),
    });
    CONTEXTS.insert(id, context.clone());
    MADE.fetch_add(1, Ordering::Relaxed);
    context
}

/// Contexts made so far, for the report.
pub(super) static MADE: AtomicU64 = AtomicU64::new(0);

/// Ends a context that is out of its table: finishes its work and gives back what it held. What the client had not
/// given back itself is a leak, however tidy the end of the context leaves the card.
fn bury(context: &Context, how: &'static str) {
    let streams = stream::close_context(context.id);
    leaks::bury(context.id, how, streams);
}

const FLAG_MASK: u32 = 0x3ff;

pub(super) unsafe fn create(call: &Call, out: *mut Handle, flags: u32, dev: Device) -> Done {
    let device = device::find(call, dev)?;
    if out.is_null() || flags & !FLAG_MASK != 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let context = make(device, flags, false);
    push_id(context.id);
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, context.handle()) }
}

pub(super) unsafe fn create_v3(
    call: &Call,
    out: *mut Handle,
    affinities: *mut c_void,
    count: i32,
    flags: u32,
    dev: Device,
) -> Done {
    // Limits on multiprocessors exist only under MPS.
    if !affinities.is_null() && count != 0 {
        return Err(CuResult::ERROR_UNSUPPORTED_EXEC_AFFINITY);
    }
    // SAFETY: the client's promise is passed on.
    unsafe { create(call, out, flags, dev) }
}

pub(super) unsafe fn create_v4(
    call: &Call,
    out: *mut Handle,
    parameters: *const c_void,
    flags: u32,
    dev: Device,
) -> Done {
    /// `CUctxCreateParams`.
    #[repr(C)]
    struct Parameters {
        affinities: *mut c_void,
        affinity_count: i32,
        graphics: *mut c_void,
    }
    if !parameters.is_null() {
        // SAFETY: the client promises a `CUctxCreateParams`.
        let parameters = unsafe { parameters.cast::<Parameters>().read() };
        if !parameters.affinities.is_null() && parameters.affinity_count != 0 {
            return Err(CuResult::ERROR_UNSUPPORTED_EXEC_AFFINITY);
        }
        if !parameters.graphics.is_null() {
            return Err(CuResult::ERROR_NOT_SUPPORTED);
        }
    }
    // SAFETY: the client's promise is passed on.
    unsafe { create(call, out, flags, dev) }
}

pub(super) fn destroy(call: &Call, ctx: Handle) -> Done {
    device::initialized(call)?;
    let context = find(call, ctx)?;
    if context.primary {
        call.breach(&rules::PRIMARY_RELEASE, "a primary context is not destroyed with cuCtxDestroy");
        return Err(CuResult::ERROR_INVALID_CONTEXT);
    }
    if CONTEXTS.remove(context.id).is_err() {
        // Another thread was faster.
        call.breach(&rules::CONTEXT_DESTROYED, format!("{ctx:?} was destroyed"));
        return Err(CuResult::ERROR_CONTEXT_IS_DESTROYED);
    }
    // Only the calling thread lets go of it; on others it stays current, and dead.
    let _ = STACK.try_with(|stack| {
        let mut stack = stack.borrow_mut();
        if stack.last() == Some(&context.id) {
            stack.pop();
        }
    });
    bury(&context, "cuCtxDestroy");
    Ok(())
}

fn push_id(id: u64) {
    let _ = STACK.try_with(|stack| stack.borrow_mut().push(id));
}

pub(super) fn push(call: &Call, ctx: Handle) -> Done {
    device::initialized(call)?;
    if ctx.is_null() {
        call.breach(&rules::FOREIGN_HANDLE, "a null context is pushed");
        return Err(CuResult(policy::CUDA_PUSH_NULL));
    }
    let context = find(call, ctx)?;
    push_id(context.id);
    Ok(())
}

pub(super) unsafe fn pop(call: &Call, out: *mut Handle) -> Done {
    device::initialized(call)?;
    let Some(id) = STACK.try_with(|stack| stack.borrow_mut().pop()).ok().flatten() else {
        call.breach(&rules::EMPTY_STACK, "no context was pushed on this thread");
        return Err(CuResult::ERROR_INVALID_CONTEXT);
    };
    // SAFETY: the client's promise.
    unsafe { put_optional(out, handle(id)) };
    Ok(())
}

pub(super) fn set_current(call: &Call, ctx: Handle) -> Done {
    device::initialized(call)?;
    let id = if ctx.is_null() { None } else { Some(find(call, ctx)?.id) };
    let _ = STACK.try_with(|stack| {
        let mut stack = stack.borrow_mut();
        stack.pop();
        stack.extend(id);
    });
    Ok(())
}

pub(super) unsafe fn get_current(call: &Call, out: *mut Handle) -> Done {
    device::initialized(call)?;
    // SAFETY: the client's promise.
    unsafe { put(out, top().map_or(std::ptr::null_mut(), handle)) }
}

pub(super) unsafe fn get_device(call: &Call, out: *mut Device) -> Done {
    let context = current(call)?;
    // SAFETY: the client's promise.
    unsafe { put(out, device::ordinal(context.device)) }
}

pub(super) unsafe fn get_id(call: &Call, ctx: Handle, out: *mut u64) -> Done {
    let context = if ctx.is_null() { current(call)? } else { find(call, ctx)? };
    // SAFETY: the client's promise.
    unsafe { put(out, context.id) }
}

pub(super) fn synchronize(call: &Call) -> Done {
    let context = current(call)?;
    stream::wait_context(context.id);
    context.check()
}

pub(super) unsafe fn get_api_version(call: &Call, ctx: Handle, out: *mut u32) -> Done {
    device::initialized(call)?;
    if !ctx.is_null() {
        find(call, ctx)?;
    }
    // The version of the context interface, which has not moved since CUDA 3.2.
    // SAFETY: the client's promise.
    unsafe { put(out, 3020) }
}

pub(super) unsafe fn get_flags(call: &Call, out: *mut u32) -> Done {
    let context = current(call)?;
    // SAFETY: the client's promise.
    unsafe { put(out, context.flags.load(Ordering::Relaxed)) }
}

pub(super) fn set_flags(call: &Call, flags: u32) -> Done {
    let context = current(call)?;
    if flags & !FLAG_MASK != 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    context.flags.store(flags, Ordering::Relaxed);
    Ok(())
}

pub(super) fn set_limit(call: &Call, limit: u32, wanted: usize) -> Done {
    let context = current(call)?;
    let mut limits = context.limits.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    *limits.get_mut(limit as usize).ok_or(CuResult::ERROR_UNSUPPORTED_LIMIT)? = wanted;
    Ok(())
}

pub(super) unsafe fn get_limit(call: &Call, out: *mut usize, limit: u32) -> Done {
    let context = current(call)?;
    let limits = *context.limits.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let limit = *limits.get(limit as usize).ok_or(CuResult::ERROR_UNSUPPORTED_LIMIT)?;
    // SAFETY: the client's promise.
    unsafe { put(out, limit) }
}

pub(super) unsafe fn get_cache_config(call: &Call, out: *mut u32) -> Done {
    let context = current(call)?;
    // SAFETY: the client's promise.
    unsafe { put(out, context.cache.load(Ordering::Relaxed)) }
}

pub(super) fn set_cache_config(call: &Call, config: u32) -> Done {
    current(call)?.cache.store(config, Ordering::Relaxed);
    Ok(())
}

pub(super) unsafe fn get_shared_config(call: &Call, out: *mut u32) -> Done {
    let context = current(call)?;
    // SAFETY: the client's promise.
    unsafe { put(out, context.shared.load(Ordering::Relaxed)) }
}

pub(super) fn set_shared_config(call: &Call, config: u32) -> Done {
    current(call)?.shared.store(config, Ordering::Relaxed);
    Ok(())
}

pub(super) unsafe fn stream_priority_range(call: &Call, least: *mut i32, greatest: *mut i32) -> Done {
    current(call)?;
    // SAFETY: the client's promise.
    unsafe {
        put_optional(least, 0);
        put_optional(greatest, GREATEST_PRIORITY);
    }
    Ok(())
}

/// Stream priorities run from 0 to this, as on cards since Volta.
pub(super) const GREATEST_PRIORITY: i32 = -5;

pub(super) fn enable_peer(call: &Call, peer: Handle, flags: u32) -> Done {
    let context = current(call)?;
    let peer = find(call, peer)?;
    if flags != 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // `cuDeviceCanAccessPeer` says no for every pair.
    Err(if peer.device == context.device {
        CuResult::ERROR_INVALID_DEVICE
    } else {
        CuResult::ERROR_PEER_ACCESS_UNSUPPORTED
    })
}

pub(super) fn disable_peer(call: &Call, peer: Handle) -> Done {
    current(call)?;
    find(call, peer)?;
    Err(CuResult::ERROR_PEER_ACCESS_NOT_ENABLED)
}

pub(super) unsafe fn primary_retain(call: &Call, out: *mut Handle, dev: Device) -> Done {
    let device = device::find(call, dev)?;
    if out.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let context = with_primary(device, |primary| {
        primary.count += 1;
        let flags = primary.flags;
        primary.context.get_or_insert_with(|| make(device, flags, true)).clone()
    });
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, context.handle()) }
}

pub(super) fn primary_release(call: &Call, dev: Device) -> Done {
    let device = device::find(call, dev)?;
    let last = with_primary(device, |primary| {
        if primary.count == 0 {
            return Err(CuResult::ERROR_INVALID_CONTEXT);
        }
        primary.count -= 1;
        Ok(if primary.count == 0 { primary.context.take() } else { None })
    });
    if last.is_err() {
        call.breach(
            &rules::PRIMARY_RELEASE,
            format!("the primary context of device {device} is not retained"),
        );
    }
    end_primary(last?, "cuDevicePrimaryCtxRelease");
    Ok(())
}

pub(super) fn primary_reset(call: &Call, dev: Device) -> Done {
    let device = device::find(call, dev)?;
    let context = with_primary(device, |primary| {
        primary.count = 0;
        primary.context.take()
    });
    end_primary(context, "cuDevicePrimaryCtxReset");
    Ok(())
}

fn end_primary(context: Option<Arc<Context>>, how: &'static str) {
    if let Some(context) = context {
        let _ = CONTEXTS.remove(context.id);
        bury(&context, how);
    }
}

pub(super) unsafe fn primary_state(call: &Call, dev: Device, flags: *mut u32, active: *mut i32) -> Done {
    let device = device::find(call, dev)?;
    let state = with_primary(device, |primary| (primary.flags, i32::from(primary.context.is_some())));
    // SAFETY: the client's promise.
    unsafe {
        put(flags, state.0)?;
        put(active, state.1)
    }
}

pub(super) fn primary_flags(call: &Call, dev: Device, flags: u32) -> Done {
    let device = device::find(call, dev)?;
    if flags & !FLAG_MASK != 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    with_primary(device, |primary| {
        primary.flags = flags;
        if let Some(context) = &primary.context {
            context.flags.store(flags, Ordering::Relaxed);
        }
    });
    Ok(())
}

/// How often the primary contexts are retained, per device, for the report; nothing when the table is held.
pub(super) fn peek_primaries() -> Vec<(usize, u64)> {
    let Ok(primaries) = PRIMARIES.try_lock() else { return Vec::new() };
    primaries
        .iter()
        .enumerate()
        .map(|(device, primary)| (device, primary.count))
        .filter(|one| one.1 > 0)
        .collect()
}

/// Memory of a context for the software behind the simulation, or for the client.
pub(super) fn allocate(
    context: &Context,
    bytes: u64,
    purpose: memory::Use,
    flags: u32,
) -> Result<Arc<memory::Block>, CuResult> {
    memory::allocate(context.id, context.device, bytes, purpose, flags)
}
