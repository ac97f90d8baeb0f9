//! Memory pools, which stream-ordered allocation takes its memory from. Here memory goes back to the system as soon as
//! it is free, whatever the release threshold says: a pool is a name, its attributes and its accounts.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use super::abi::{CuResult, Device, DevicePtr, Done, Handle, PoolProperties, put};
use super::handles::{Kind, Missing, Table, handle, value};
use super::memory::{self, Charge, Use};
use super::{context, device, rules, stream_calls};
use crate::core::Call;
use crate::core::report::Leak;
use crate::policy;

/// One pool.
#[derive(Debug)]
pub(super) struct Pool {
    id: u64,
    device: usize,
    /// Always there, and never destroyed.
    default: bool,
    /// `CU_MEMPOOL_ATTR_REUSE_*`, in their order.
    reuse: [AtomicI32; 3],
    release_threshold: AtomicU64,
    accounts: Arc<Accounts>,
}

/// Bytes that clients hold of a pool.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    used: AtomicU64,
    high: AtomicU64,
}

impl Accounts {
    pub(super) fn add(&self, bytes: u64) {
        let now = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.high.fetch_max(now, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

static POOLS: Table<Pool> = Table::new(Kind::Pool);
/// Pools that devices allocate from, where that is not their default one.
static CHOSEN: Mutex<BTreeMap<usize, u64>> = Mutex::new(BTreeMap::new());

/// `CU_MEM_ALLOCATION_TYPE_PINNED`, the only type there is.
const PINNED: u32 = 1;
/// `CU_MEM_LOCATION_TYPE_DEVICE`.
const ON_DEVICE: u32 = 1;

fn chosen() -> MutexGuard<'static, BTreeMap<usize, u64>> {
    CHOSEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn make(device: usize, default: bool) -> Arc<Pool> {
    let id = POOLS.reserve();
    let pool = Arc::new(Pool {
        id,
        device,
        default,
        reuse: [const { AtomicI32::new(1) }; 3],
        release_threshold: AtomicU64::new(0),
        accounts: Arc::default(),
    });
    POOLS.insert(id, pool.clone());
    pool
}

/// The default pool of a device that is there.
fn default_of(device: usize) -> Result<Arc<Pool>, CuResult> {
    static DEFAULTS: [OnceLock<Arc<Pool>>; memory::MAX_DEVICES] =
        [const { OnceLock::new() }; memory::MAX_DEVICES];
    let place = DEFAULTS.get(device).ok_or(CuResult::ERROR_INVALID_DEVICE)?;
    Ok(place.get_or_init(|| make(device, true)).clone())
}

/// The pool that a device allocates from.
pub(super) fn current_of(device: usize) -> Result<Arc<Pool>, CuResult> {
    let id = chosen().get(&device).copied();
    id.and_then(|id| POOLS.get(id).ok()).map_or_else(|| default_of(device), Ok)
}

fn find(call: &Call, pool: Handle) -> Result<Arc<Pool>, CuResult> {
    device::initialized(call)?;
    POOLS.get(value(pool)).map_err(|missing| {
        match missing {
            Missing::Dead => call.breach(&rules::DEAD_HANDLE, format!("pool {pool:?} was destroyed")),
            Missing::Foreign => call.breach(&rules::FOREIGN_HANDLE, format!("{pool:?} is not a pool")),
        }
        CuResult(policy::CUDA_BAD_HANDLE)
    })
}

pub(super) unsafe fn default(call: &Call, out: *mut Handle, dev: Device) -> Done {
    let pool = default_of(device::find(call, dev)?)?;
    // SAFETY: the client's promise.
    unsafe { put(out, handle(pool.id)) }
}

pub(super) unsafe fn current(call: &Call, out: *mut Handle, dev: Device) -> Done {
    let pool = current_of(device::find(call, dev)?)?;
    // SAFETY: the client's promise.
    unsafe { put(out, handle(pool.id)) }
}

pub(super) fn choose(call: &Call, dev: Device, pool: Handle) -> Done {
    let device = device::find(call, dev)?;
    let pool = find(call, pool)?;
    if pool.device != device {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    chosen().insert(device, pool.id);
    Ok(())
}

pub(super) unsafe fn create(call: &Call, out: *mut Handle, properties: *const PoolProperties) -> Done {
    device::initialized(call)?;
    // SAFETY: null, or the client's structure.
    let properties = unsafe { properties.as_ref() }.ok_or(CuResult::ERROR_INVALID_VALUE)?;
    if out.is_null() || properties.allocation_type != PINNED || properties.location_type != ON_DEVICE {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    if properties.handle_types != 0 {
        // Sharing with other processes.
        return Err(CuResult::ERROR_NOT_SUPPORTED);
    }
    let pool = make(device::find(call, properties.location_id)?, false);
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, handle(pool.id)) }
}

/// Memory that was taken from the pool stays valid.
pub(super) fn destroy(call: &Call, pool: Handle) -> Done {
    let pool = find(call, pool)?;
    if pool.default {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let mut chosen = chosen();
    if chosen.get(&pool.device) == Some(&pool.id) {
        chosen.remove(&pool.device);
    }
    drop(chosen);
    POOLS.remove(pool.id).map(|_| ()).map_err(|_| CuResult(policy::CUDA_BAD_HANDLE))
}

pub(super) fn trim_to(call: &Call, pool: Handle, _bytes_to_keep: usize) -> Done {
    // Nothing is kept.
    find(call, pool).map(|_| ())
}

pub(super) unsafe fn get_attribute(call: &Call, pool: Handle, attribute: u32, out: *mut c_void) -> Done {
    let pool = find(call, pool)?;
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let bytes = match attribute {
        1..=3 => {
            let flag = pool.reuse[attribute as usize - 1].load(Ordering::Relaxed);
            // SAFETY: the client gives room for an int.
            return unsafe { put(out.cast::<i32>(), flag) };
        }
        4 => load(&pool.release_threshold),
        // What is reserved is what is used.
        5 | 7 => load(&pool.accounts.used),
        6 | 8 => load(&pool.accounts.high),
        _ => return Err(CuResult::ERROR_INVALID_VALUE),
    };
    // SAFETY: the client gives room for 64 bits.
    unsafe { put(out.cast::<u64>(), bytes) }
}

pub(super) unsafe fn set_attribute(call: &Call, pool: Handle, attribute: u32, from: *const c_void) -> Done {
    let pool = find(call, pool)?;
    if from.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the client gives an int for the first three and 64 bits for the others.
    let number = unsafe {
        match attribute {
            1..=3 => u64::from(from.cast::<i32>().read_unaligned() != 0),
            _ => from.cast::<u64>().read_unaligned(),
        }
    };
    match (attribute, number) {
        (1..=3, flag) => pool.reuse[attribute as usize - 1].store(flag as i32, Ordering::Relaxed),
        (4, bytes) => pool.release_threshold.store(bytes, Ordering::Relaxed),
        // The high marks can only be set back.
        (6 | 8, 0) => {
            pool.accounts.high.store(pool.accounts.used.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        _ => return Err(CuResult::ERROR_INVALID_VALUE),
    }
    Ok(())
}

pub(super) unsafe fn alloc_async(call: &Call, out: *mut DevicePtr, bytes: usize, stream: Handle) -> Done {
    let context = context::current(call)?;
    let pool = current_of(context.device)?;
    // SAFETY: the client's promise is passed on.
    unsafe { alloc(call, out, bytes, &pool, stream) }
}

pub(super) unsafe fn alloc_from(
    call: &Call,
    out: *mut DevicePtr,
    bytes: usize,
    pool: Handle,
    stream: Handle,
) -> Done {
    let pool = find(call, pool)?;
    // SAFETY: the client's promise is passed on.
    unsafe { alloc(call, out, bytes, &pool, stream) }
}

/// # Safety
/// `out` is null or the client's variable.
unsafe fn alloc(call: &Call, out: *mut DevicePtr, bytes: usize, pool: &Pool, stream: Handle) -> Done {
    let context = context::current(call)?;
    stream_calls::for_work(call, &context, stream)?;
    // Pools of other devices need access rights, which cannot be given here.
    if out.is_null() || pool.device != context.device {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // The address is known at once, and so is the memory.
    let charge = Charge::new(&pool.accounts, bytes as u64);
    let block =
        memory::allocate_charged(context.id, context.device, bytes as u64, Use::Device, 0, Some(charge))?;
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, block.address) }
}

/// Pools that were made and not destroyed, for the report at exit.
pub(super) fn peek() -> Vec<Leak> {
    let made = POOLS.peek().into_iter().filter(|pool| !pool.default);
    made.map(|pool| Leak { kind: "memory pool", detail: format!("{:#x}", pool.id) }).collect()
}
