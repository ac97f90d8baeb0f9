//! Memory of frames: allocating it takes long (and freeing stops the device), so it comes back when a frame is dropped
//! and is used again, by whichever session needs memory of that size next.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use bytes::Bytes;

use crate::backend::nvidia::driver::cuda::{Context, Stream};
use crate::backend::nvidia::driver::memory::{DeviceBlock, PinnedMemory};
use crate::backend::nvidia::transform::of_frames;
use crate::color::ColorInfo;
use crate::error::{Error, Result};
use crate::frame::{DeviceConverter, DeviceMemory, DevicePlane, DeviceSurface};
use crate::pixel::PixelFormat;
use crate::sync::lock;

/// Idle buffers kept for each session that uses a pool: what a session has under way, queued, at its consumer's, and waiting
/// for older frames of a split stream, which are let go of by the hundred. No more are kept than were needed at once.
const KEPT_PER_SESSION: usize = 64;

/// A kind of memory that is pooled.
pub(in crate::backend::nvidia) trait Memory:
    Debug + Send + Sync + Sized + 'static
{
    /// All pools of this kind in the process. Pools are held by their users alone.
    fn pools() -> &'static Pools<Self>;

    /// Buffers to be made at once in a pool that has made so many.
    fn batch(made: usize) -> usize;

    /// At least one buffer.
    fn allocate(context: &Arc<Context>, bytes: usize, count: usize) -> Result<Vec<Self>>;

    /// For a share of an allocation: which one, and how many shares of it there are, which are freed together. `None`: all
    /// of one.
    fn shared(&self) -> Option<(u64, usize)>;
}

/// The pools of a kind.
pub(in crate::backend::nvidia) type Pools<M> = Mutex<Vec<Weak<Pool<M>>>>;

impl Memory for PinnedMemory {
    fn pools() -> &'static Pools<Self> {
        static POOLS: Pools<PinnedMemory> = Mutex::new(Vec::new());
        &POOLS
    }

    /// Making it takes as long as it is large: nothing is won by making more.
    fn batch(_made: usize) -> usize {
        1
    }

    fn allocate(context: &Arc<Context>, bytes: usize, count: usize) -> Result<Vec<Self>> {
        (0..count).map(|_| Self::new(context, bytes)).collect()
    }

    fn shared(&self) -> Option<(u64, usize)> {
        None
    }
}

impl Memory for DeviceBlock {
    fn pools() -> &'static Pools<Self> {
        static POOLS: Pools<DeviceBlock> = Mutex::new(Vec::new());
        &POOLS
    }

    /// Each call holds up all threads that talk to the device: a pool that grows far grows in larger steps.
    fn batch(made: usize) -> usize {
        (made / 8).clamp(1, 16)
    }

    fn allocate(context: &Arc<Context>, bytes: usize, count: usize) -> Result<Vec<Self>> {
        Self::several(context, bytes, count)
    }

    fn shared(&self) -> Option<(u64, usize)> {
        Some(Self::shared(self))
    }
}

/// Buffers of one size in one context.
#[derive(Debug)]
pub(in crate::backend::nvidia) struct Pool<M> {
    context: Arc<Context>,
    bytes: usize,
    state: Mutex<State<M>>,
    /// For downloads of frames, made by the first.
    downloads: OnceLock<Stream>,
}

#[derive(Debug)]
struct State<M> {
    idle: Vec<M>,
    /// Buffers made so far.
    made: usize,
    sessions: usize,
}

impl<M: Memory> Pool<M> {
    /// Takes a buffer back, to be kept or freed. A share of an allocation that is not kept is lost to the pool, and its
    /// memory comes back with the last of the others: of so many idle ones some do not matter.
    fn give_back(&self, memory: M) {
        let mut state = lock(&self.state);
        if state.idle.len() < KEPT_PER_SESSION * state.sessions {
            state.idle.push(memory);
            return;
        }
        // Freeing calls the driver: not under the lock.
        drop(state);
        drop(memory);
    }

    /// Takes the idle buffers that give memory back when they are dropped. Shares of an allocation of which others are in
    /// use would give none, and could not be used any more: they stay.
    fn take_idle(&self) -> Vec<M> {
        let mut state = lock(&self.state);
        let mut idle: BTreeMap<u64, usize> = BTreeMap::new();
        for (allocation, _) in state.idle.iter().filter_map(M::shared) {
            *idle.entry(allocation).or_default() += 1;
        }
        // Shares that are in use can become fewer meanwhile, not more: none is counted as idle that is not here.
        let whole = |memory: &M| {
            memory.shared().is_none_or(|(allocation, shares)| idle.get(&allocation) == Some(&shares))
        };
        let (free, kept) = std::mem::take(&mut state.idle).into_iter().partition(whole);
        state.idle = kept;
        free
    }
}

/// A session's hold on a pool. Idle buffers are kept while there is one; with the last they are let go of, and frames that
/// are still held let go of theirs when they are dropped. An allocation that several share is freed with the last.
#[derive(Debug)]
pub(in crate::backend::nvidia) struct Lease<M: Memory>(Arc<Pool<M>>);

impl<M: Memory> Lease<M> {
    /// The pool for buffers of this size, shared with all sessions of the process.
    pub(in crate::backend::nvidia) fn new(context: &Arc<Context>, bytes: usize) -> Self {
        let mut pools = lock(M::pools());
        pools.retain(|pool| pool.strong_count() > 0);
        let same = |pool: &Arc<Pool<M>>| pool.bytes == bytes && Arc::ptr_eq(&pool.context, context);
        let pool = pools.iter().filter_map(Weak::upgrade).find(same).unwrap_or_else(|| {
            let pool = Arc::new(Pool {
                context: Arc::clone(context),
                bytes,
                state: Mutex::new(State { idle: Vec::new(), made: 0, sessions: 0 }),
                downloads: OnceLock::new(),
            });
            pools.push(Arc::downgrade(&pool));
            pool
        });
        drop(pools);
        lock(&pool.state).sessions += 1;
        Self(pool)
    }

    /// Whether its buffers are of this size and of this context.
    pub(super) fn is_for(&self, context: &Arc<Context>, bytes: usize) -> bool {
        self.0.bytes == bytes && self.is_of(context)
    }

    pub(super) fn is_of(&self, context: &Arc<Context>) -> bool {
        Arc::ptr_eq(&self.0.context, context)
    }

    /// A buffer with any contents. When there is no room for it, idle buffers of all sizes make some.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when that is not enough either, or a failing driver.
    pub(in crate::backend::nvidia) fn take(&self) -> Result<M> {
        let count = {
            let mut state = lock(&self.0.state);
            if let Some(memory) = state.idle.pop() {
                return Ok(memory);
            }
            let count = M::batch(state.made);
            state.made = state.made.saturating_add(count);
            count
        };
        let (context, bytes) = (&self.0.context, self.0.bytes);
        let mut made = match M::allocate(context, bytes, count) {
            Err(Error::OutOfMemory { .. }) => {
                free_idle::<M>();
                match M::allocate(context, bytes, 1) {
                    // What other threads have given back meanwhile, and could not be freed.
                    Err(error) => return lock(&self.0.state).idle.pop().ok_or(error),
                    Ok(made) => made,
                }
            }
            other => other?,
        };
        let first = made.pop().ok_or_else(|| Error::invalid("no memory for a frame"))?;
        if !made.is_empty() {
            lock(&self.0.state).idle.append(&mut made);
        }
        Ok(first)
    }

    /// A buffer of this pool that comes back when it is dropped, on whichever thread.
    pub(in crate::backend::nvidia) fn lend(&self, memory: M) -> Lent<M> {
        Lent { memory: Some(memory), pool: Arc::clone(&self.0) }
    }

    /// Takes a buffer back that was not handed out.
    pub(super) fn give_back(&self, memory: M) {
        self.0.give_back(memory);
    }
}

impl<M: Memory> Drop for Lease<M> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.sessions = state.sessions.saturating_sub(1);
        let idle = if state.sessions == 0 { std::mem::take(&mut state.idle) } else { Vec::new() };
        drop(state);
        drop(idle);
    }
}

/// Frees the idle memory of all frames, to make room for something else: allocations of which no part is in use.
pub(in crate::backend::nvidia) fn make_room() {
    free_idle::<DeviceBlock>();
    free_idle::<PinnedMemory>();
}

fn free_idle<M: Memory>() {
    let pools: Vec<_> = lock(M::pools()).iter().filter_map(Weak::upgrade).collect();
    for pool in pools {
        drop(pool.take_idle());
    }
}

/// A buffer that goes back to its pool.
#[derive(Debug)]
pub(in crate::backend::nvidia) struct Lent<M: Memory> {
    /// Always there until drop.
    memory: Option<M>,
    pool: Arc<Pool<M>>,
}

impl Lent<PinnedMemory> {
    /// The first `bytes` bytes, shared without a copy.
    pub(super) fn into_bytes(self, bytes: usize) -> Bytes {
        let all = Bytes::from_owner(self);
        all.slice(..bytes.min(all.len()))
    }
}

impl AsRef<[u8]> for Lent<PinnedMemory> {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], PinnedMemory::as_slice)
    }
}

impl Lent<DeviceBlock> {
    /// The memory itself; always there.
    pub(in crate::backend::nvidia) fn block(&self) -> Option<&DeviceBlock> {
        self.memory.as_ref()
    }
}

impl DeviceMemory for Lent<DeviceBlock> {
    fn converter(
        &self,
        frame: &DeviceSurface,
        color: ColorInfo,
        to: PixelFormat,
    ) -> Result<Option<Arc<dyn DeviceConverter>>> {
        of_frames(&self.pool.context, frame, color, to)
    }

    fn device(&self) -> u32 {
        self.memory.as_ref().and_then(|block| u32::try_from(block.device()).ok()).unwrap_or(0)
    }

    fn download(&self, plane: &DevicePlane, to: &mut [u8]) -> Result<()> {
        let Some(block) = &self.memory else { return Err(Error::invalid("a frame without memory")) };
        let stream = if let Some(stream) = self.pool.downloads.get() {
            stream
        } else {
            let stream = Stream::new(&self.pool.context)?;
            self.pool.downloads.get_or_init(|| stream)
        };
        block.download(stream, plane, to)
    }
}

impl<M: Memory> Drop for Lent<M> {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.give_back(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::nvidia::simulated::simulated;

    #[test]
    fn idle_memory_is_freed_by_whole_allocations_and_the_rest_stays_usable() {
        let name = "idle_memory_is_freed_by_whole_allocations_and_the_rest_stays_usable";
        let report = simulated(module_path!(), name, "h200", "", || {
            const BYTES: usize = 1 << 20;
            let context = Context::of(0).unwrap();
            let free = || context.memory().unwrap().free;
            let before = free();
            let lease = Lease::<DeviceBlock>::new(&context, BYTES);
            let single: Vec<_> = (0..16).map(|_| lease.take().unwrap()).collect();
            let held = lease.take().unwrap();
            assert_eq!(held.shared().1, 2, "made by two");
            let all = free();
            assert!(before - all >= 18 * BYTES as u64);
            for memory in single {
                lease.give_back(memory);
            }

            make_room();
            assert!(free() - all >= 16 * BYTES as u64, "those that are wholly idle are freed");
            let half = free();
            let sibling = lease.take().unwrap();
            assert_eq!(free(), half, "nothing was made: the other half was still there");
            assert_eq!(sibling.shared().0, held.shared().0);

            lease.give_back(sibling);
            drop(held);
            make_room();
            assert_eq!(free(), before, "the rest of a share that is gone is whole again");
        });
        if let Some(report) = report {
            for list in ["violations", "leaks", "internal_errors"] {
                assert!(report.contains(&format!("\"{list}\": []")), "{list}: {report}");
            }
        }
    }
}
