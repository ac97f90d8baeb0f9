//! Memory: what is allocated, where, for whom, and what was freed lately. Device memory is memory of this process
//! and its address is a real one, so that the software behind the simulation can work on it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::abi::CuResult;
use super::pages;
use super::pool::Accounts;
use crate::core::{Call, config};
use crate::cuda::rules;

/// What a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// `cuMemAlloc` and its kin.
    Device,
    /// `cuMemAllocManaged`.
    Managed,
    /// Pinned host memory.
    Host,
    /// Host memory of the client, pinned by it.
    Registered,
    /// The storage of an array.
    Array,
    /// Memory of the driver itself.
    Internal(&'static str),
}

impl Use {
    /// Counted against the memory of the device.
    fn counted(self) -> bool {
        !matches!(self, Use::Host | Use::Registered)
    }

    /// The CPU of the client may touch it.
    pub(super) fn is_host(self) -> bool {
        matches!(self, Use::Host | Use::Registered | Use::Managed)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Use::Device => "device memory",
            Use::Managed => "managed memory",
            Use::Host => "pinned host memory",
            Use::Registered => "registered host memory",
            Use::Array => "array storage",
            Use::Internal(what) => what,
        }
    }
}

/// Fresh and freed memory is filled with these: neither is zero on a real card either. Larger blocks are left
/// alone, so that taking all the memory of a card costs address space and not memory of the machine.
const FRESH: u8 = 0xA5;
const FREED: u8 = 0xDD;
const FILL_LIMIT: u64 = 64 << 20;
/// Freed blocks stay mapped until this much newer memory was freed: software that was still reading one (a picture
/// in an encoder) sees the poison and does not crash, and addresses are not reused at once.
const QUARANTINE: u64 = 128 << 20;
/// Freed ranges that are remembered.
const REMEMBERED: usize = 4096;
/// Alignment and granularity of device memory as clients see it.
pub(super) const PAGE: u64 = 4096;
/// Pitch of pitched memory, as on cards since Kepler.
pub(super) const PITCH: u64 = 512;

/// One allocation.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) address: u64,
    pub(super) size: u64,
    pub(super) context: u64,
    pub(super) device: usize,
    pub(super) purpose: Use,
    /// Flags of the host functions.
    pub(super) flags: u32,
    /// Order of allocation (`CU_POINTER_ATTRIBUTE_BUFFER_ID`).
    pub(super) serial: u64,
    mapping: Option<Mapping>,
    /// On the books of a pool until the block is gone.
    _charge: Option<Charge>,
}

/// Bytes on the books of a memory pool, as long as this lives.
#[derive(Debug)]
pub(super) struct Charge {
    accounts: Arc<Accounts>,
    bytes: u64,
}

impl Charge {
    pub(super) fn new(accounts: &Arc<Accounts>, bytes: u64) -> Self {
        accounts.add(bytes);
        Self { accounts: accounts.clone(), bytes }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.accounts.remove(self.bytes);
    }
}

impl Block {
    pub(super) fn end(&self) -> u64 {
        self.address + self.size
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.purpose.counted()
            && let Some(used) = USED.get(self.device)
        {
            used.fetch_sub(self.size, Ordering::Relaxed);
        }
        if let Some(mapping) = self.mapping.take() {
            mapping.fill(FREED);
            retire(mapping);
        }
    }
}

/// Pages from the system.
#[derive(Debug)]
struct Mapping {
    address: u64,
    size: usize,
}

impl Mapping {
    fn new(size: u64) -> Option<Self> {
        let size = usize::try_from(size.checked_next_multiple_of(PAGE)?).ok()?;
        Some(Self { address: pages::take(size)?, size })
    }

    fn fill(&self, byte: u8) {
        if self.size as u64 <= FILL_LIMIT {
            // SAFETY: the mapping is ours, writable and this long.
            unsafe { std::ptr::write_bytes(self.address as usize as *mut u8, byte, self.size) };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody holds it any more.
        unsafe { pages::give_back(self.address, self.size) };
    }
}

/// Bytes in use per device.
static USED: [AtomicU64; MAX_DEVICES] = [const { AtomicU64::new(0) }; MAX_DEVICES];
/// Devices that a configuration may have.
pub(super) const MAX_DEVICES: usize = 64;
static SERIAL: AtomicU64 = AtomicU64::new(1);
static LIVE: Mutex<BTreeMap<u64, Arc<Block>>> = Mutex::new(BTreeMap::new());
static FREED_RANGES: Mutex<VecDeque<(u64, u64, Use)>> = Mutex::new(VecDeque::new());
static RETIRED: Mutex<VecDeque<Mapping>> = Mutex::new(VecDeque::new());
/// Most that was in use at once on all devices, for the report.
static PEAK: AtomicU64 = AtomicU64::new(0);

fn live() -> MutexGuard<'static, BTreeMap<u64, Arc<Block>>> {
    LIVE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn retire(mapping: Mapping) {
    let mut dropped = Vec::new();
    let mut retired = RETIRED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    retired.push_back(mapping);
    let mut held: u64 = retired.iter().map(|mapping| mapping.size as u64).sum();
    while held > QUARANTINE
        && let Some(oldest) = retired.pop_front()
    {
        held -= oldest.size as u64;
        dropped.push(oldest);
    }
    // Unmapping happens after the lock is gone.
    drop(retired);
}

/// True for freed memory that has not gone back to the system yet.
pub(super) fn in_quarantine(address: u64) -> bool {
    let retired = RETIRED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    retired.iter().any(|mapping| (mapping.address..mapping.address + mapping.size as u64).contains(&address))
}

/// Total memory of a device.
pub(super) fn total(device: usize) -> u64 {
    config().device.get(device).map_or(0, |device| device.memory_mib << 20)
}

/// Memory in use on a device.
pub(super) fn used(device: usize) -> u64 {
    USED.get(device).map_or(0, |used| used.load(Ordering::Relaxed))
}

/// The most memory that was in use at once.
pub(super) fn peak() -> u64 {
    PEAK.load(Ordering::Relaxed)
}

/// Counts memory as used, when there is so much.
pub(super) fn reserve(device: usize, bytes: u64) -> Result<(), CuResult> {
    let counter = USED.get(device).ok_or(CuResult::ERROR_INVALID_DEVICE)?;
    let limit = total(device);
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= limit)
        })
        .map_err(|_| CuResult::ERROR_OUT_OF_MEMORY)?;
    PEAK.fetch_max(counter.load(Ordering::Relaxed), Ordering::Relaxed);
    Ok(())
}

/// Takes back what [`reserve`] counted.
pub(super) fn unreserve(device: usize, bytes: u64) {
    if let Some(counter) = USED.get(device) {
        counter.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Makes a block of `bytes` for a context.
pub(super) fn allocate(
    context: u64,
    device: usize,
    bytes: u64,
    purpose: Use,
    flags: u32,
) -> Result<Arc<Block>, CuResult> {
    allocate_charged(context, device, bytes, purpose, flags, None)
}

/// The same, on the books of a pool.
pub(super) fn allocate_charged(
    context: u64,
    device: usize,
    bytes: u64,
    purpose: Use,
    flags: u32,
    charge: Option<Charge>,
) -> Result<Arc<Block>, CuResult> {
    if bytes == 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // Reserve first: two threads must not both take the last of the memory.
    if purpose.counted() {
        reserve(device, bytes)?;
    }
    let Some(mapping) = Mapping::new(bytes) else {
        if purpose.counted() {
            unreserve(device, bytes);
        }
        return Err(CuResult::ERROR_OUT_OF_MEMORY);
    };
    mapping.fill(FRESH);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let address = mapping.address;
    let block = Arc::new(Block {
        address,
        size: bytes,
        context,
        device,
        purpose,
        flags,
        serial,
        mapping: Some(mapping),
        _charge: charge,
    });
    live().insert(address, block.clone());
    Ok(block)
}

/// Notes host memory of the client as pinned. The range must not meet another block.
pub(super) fn register(
    context: u64,
    device: usize,
    address: u64,
    size: u64,
    flags: u32,
) -> Result<(), CuResult> {
    let end = address.checked_add(size).ok_or(CuResult::ERROR_INVALID_VALUE)?;
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let mut live = live();
    if live.range(..end).next_back().is_some_and(|(_, block)| block.end() > address) {
        return Err(CuResult::ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    }
    let block = Arc::new(Block {
        address,
        size,
        context,
        device,
        purpose: Use::Registered,
        flags,
        serial,
        mapping: None,
        _charge: None,
    });
    live.insert(address, block);
    Ok(())
}

/// Takes a block out; it is released when the last work that uses it is done.
pub(super) fn forget(address: u64) -> Option<Arc<Block>> {
    let block = live().remove(&address)?;
    remember(&block);
    Some(block)
}

fn remember(block: &Block) {
    // Registered memory goes on living as ordinary memory of the client.
    if block.purpose != Use::Registered {
        let mut freed = FREED_RANGES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if freed.len() == REMEMBERED {
            freed.pop_front();
        }
        freed.push_back((block.address, block.size, block.purpose));
    }
}

/// Takes out everything that belongs to a dying context; answers what the client had allocated.
pub(super) fn forget_context(context: u64) -> Vec<Arc<Block>> {
    let mut live = live();
    let picked: Vec<u64> =
        live.iter().filter(|(_, block)| block.context == context).map(|(address, _)| *address).collect();
    let blocks: Vec<_> = picked.iter().filter_map(|address| live.remove(address)).collect();
    drop(live);
    blocks.iter().for_each(|block| remember(block));
    blocks.into_iter().filter(|block| !matches!(block.purpose, Use::Internal(_) | Use::Array)).collect()
}

/// What an address is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// The whole range lies in this block.
    Inside(Arc<Block>),
    /// It begins in this block and ends outside.
    Beyond(Arc<Block>),
    /// It was freed.
    Freed(u64, u64, Use),
    /// Nothing of ours.
    Unknown,
}

/// Looks a range up.
pub(super) fn locate(address: u64, length: u64) -> Place {
    if let Some((_, block)) = live().range(..=address).next_back()
        && address < block.end()
    {
        let inside = address.checked_add(length).is_some_and(|end| end <= block.end());
        return if inside { Place::Inside(block.clone()) } else { Place::Beyond(block.clone()) };
    }
    let freed = FREED_RANGES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    freed
        .iter()
        .rev()
        .find(|(start, size, _)| (*start..start + size).contains(&address))
        .map_or(Place::Unknown, |&(start, size, purpose)| Place::Freed(start, size, purpose))
}

/// True when the address is mapped in this process: then a bad device pointer is probably a host pointer.
pub(super) fn is_mapped(address: u64) -> bool {
    pages::is_mapped(address & !(PAGE - 1))
}

/// The block in which a device range lies, or a recorded breach.
pub(super) fn device_range(call: &Call, address: u64, length: u64) -> Result<Arc<Block>, CuResult> {
    match locate(address, length) {
        Place::Inside(block) => Ok(block),
        Place::Beyond(block) => {
            let (left, name) = (block.end() - address, block.purpose.name());
            call.breach(
                &rules::OUT_OF_RANGE,
                format!("{length} bytes at {address:#x}, where {left} bytes of {name} are left"),
            );
            Err(CuResult::ERROR_INVALID_VALUE)
        }
        Place::Freed(start, size, purpose) => {
            let name = purpose.name();
            call.breach(
                &rules::USE_AFTER_FREE,
                format!("{address:#x} in {size} bytes of freed {name} at {start:#x}"),
            );
            Err(CuResult::ERROR_INVALID_VALUE)
        }
        Place::Unknown if is_mapped(address) => {
            call.breach(&rules::HOST_POINTER, format!("{address:#x} is host memory that CUDA does not know"));
            Err(CuResult::ERROR_INVALID_VALUE)
        }
        Place::Unknown => {
            call.breach(&rules::OUT_OF_RANGE, format!("{address:#x} was never allocated"));
            Err(CuResult::ERROR_INVALID_VALUE)
        }
    }
}

/// Live blocks, or none when another thread holds the table: for the report at exit.
pub(super) fn peek() -> Vec<Arc<Block>> {
    LIVE.try_lock().map(|live| live.values().cloned().collect()).unwrap_or_default()
}

/// Held by tests that take memory of the first card while one of them counts what is in use.
#[cfg(test)]
pub(super) fn counted_alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_apart() {
        let _alone = counted_alone();
        let block = allocate(1, 0, 1000, Use::Device, 0).unwrap();
        let address = block.address;
        assert_eq!(address % PAGE, 0);
        assert!(matches!(locate(address + 999, 1), Place::Inside(_)));
        assert!(matches!(locate(address + 999, 2), Place::Beyond(_)));
        assert!(matches!(locate(address, u64::MAX), Place::Beyond(_)));
        let before = used(0);
        forget(address).unwrap();
        drop(block);
        assert_eq!(used(0), before - 1000);
        assert!(matches!(locate(address, 1), Place::Freed(..)));
        // Still mapped, and poisoned.
        // SAFETY: the quarantine keeps the block mapped.
        assert_eq!(unsafe { *(address as usize as *const u8) }, FREED);
        assert!(is_mapped(&raw const before as usize as u64) && !is_mapped(16));
    }

    #[test]
    fn the_memory_of_a_card_is_limited() {
        assert_eq!(allocate(1, 0, u64::MAX, Use::Device, 0).unwrap_err(), CuResult::ERROR_OUT_OF_MEMORY);
        assert_eq!(allocate(1, 0, 0, Use::Device, 0).unwrap_err(), CuResult::ERROR_INVALID_VALUE);
    }
}
