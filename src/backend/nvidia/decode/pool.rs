//! Memory of frames: allocating it takes long (and freeing stops the device), so it comes back when a frame is dropped
//! and is used again, by whichever session needs memory of that size next.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use bytes::Bytes;

use crate::backend::nvidia::driver::cuda::{Context, Stream};
use crate::backend::nvidia::driver::memory::{DeviceBlock, PinnedMemory};
use crate::error::{Error, Result};
use crate::frame::{DeviceMemory, DevicePlane};

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
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Takes a buffer back, to be kept or freed.
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

    fn take_idle(&self) -> Vec<M> {
        std::mem::take(&mut lock(&self.state).idle)
    }
}

/// A session's hold on a pool. Idle buffers are kept while there is one; with the last they are freed, and frames that
/// are still held free theirs when they are dropped.
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
                M::allocate(context, bytes, 1)?
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

/// Frees the idle memory of all frames, to make room for something else.
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
