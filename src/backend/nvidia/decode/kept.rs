//! Decoders that wait for the next stream.
//!
//! The driver creates one decoder at a time and needs 37 to 80 ms for it (H100, H200); setting an existing one to another size
//! takes a fraction of a millisecond. A decoder whose session has ended is therefore kept for some time, and with it the context
//! of its device. A separate thread destroys decoders, so that closing a session never waits for the driver.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::idle::{IdleReport, Retired};
use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::driver::cuvid::Decoder;
use crate::backend::nvidia::driver::cuvid_abi::VideoFormat;
use crate::sync::{lock, whole};

/// Most decoders kept on all devices.
const MOST: usize = 32;
/// The idle decoders of a device take at most this share of its memory.
const MEMORY_SHARE: u64 = 16;
/// How long decoders are kept by default.
const KEEP: Duration = Duration::from_secs(10);
/// Longest wait for pictures that the hardware still works on when a decoder is taken.
const SETTLE: Duration = Duration::from_millis(100);

/// Properties that a reconfiguration cannot change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) codec: u32,
    pub(super) chroma: u32,
    pub(super) luma_depth_minus8: u8,
    chroma_depth_minus8: u8,
    /// `cudaVideoSurfaceFormat` of mapped pictures.
    pub(super) output: u32,
}

impl Kind {
    pub(super) fn new(format: &VideoFormat, output: u32) -> Self {
        Self {
            codec: format.codec,
            chroma: format.chroma,
            luma_depth_minus8: format.luma_depth_minus8,
            chroma_depth_minus8: format.chroma_depth_minus8,
            output,
        }
    }

    /// Bytes of a picture, with chroma at full size for an upper bound of unusual formats.
    fn picture_bytes(self, (width, height): (u32, u32)) -> u64 {
        let samples = u64::from(width) * u64::from(height);
        let depth = if self.luma_depth_minus8 > 0 { 2 } else { 1 };
        depth * if self.chroma > 1 { 3 * samples } else { samples * 3 / 2 }
    }
}

/// A decoder and the limits of its reconfiguration.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) decoder: Decoder,
    pub(super) kind: Kind,
    pub(super) surfaces: u32,
    /// Largest coded size.
    pub(super) room: (u32, u32),
    /// Largest size of mapped pictures.
    pub(super) target_room: (u32, u32),
}

impl Kept {
    fn bytes(&self) -> u64 {
        u64::from(self.surfaces) * self.kind.picture_bytes(self.room)
            + super::output::MAPPED as u64 * self.kind.picture_bytes(self.target_room)
    }

    fn fits(&self, coded: (u32, u32), target: (u32, u32)) -> bool {
        let within = |size: (u32, u32), room: (u32, u32)| size.0 <= room.0 && size.1 <= room.1;
        within(coded, self.room) && within(target, self.target_room)
    }

    /// Waits until the hardware has finished the pictures of the last stream. False if that takes too long or the driver fails.
    fn settles(&self) -> bool {
        let began = Instant::now();
        loop {
            match self.decoder.is_busy() {
                Ok(false) => return true,
                Ok(true) if began.elapsed() < SETTLE => thread::sleep(Duration::from_micros(200)),
                Ok(true) | Err(_) => return false,
            }
        }
    }
}

struct Waiting {
    kept: Kept,
    since: Instant,
}

struct Pool {
    /// The oldest first.
    waiting: Vec<Waiting>,
    /// Handed to the thread that destroys decoders.
    doomed: Vec<Decoder>,
    /// Decoders that are being destroyed.
    destroying: usize,
    has_thread: bool,
    keep: Duration,
    made: u64,
    reused: u64,
    retired: BTreeMap<Retired, u64>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    waiting: Vec::new(),
    doomed: Vec::new(),
    destroying: 0,
    has_thread: false,
    keep: KEEP,
    made: 0,
    reused: 0,
    retired: BTreeMap::new(),
});
static CHANGED: Condvar = Condvar::new();

impl Pool {
    fn retire(&mut self, decoder: Decoder, why: Retired) {
        *self.retired.entry(why).or_default() += 1;
        self.doomed.push(decoder);
    }

    fn retire_at(&mut self, place: usize, why: Retired) {
        let Waiting { kept, .. } = self.waiting.remove(place);
        self.retire(kept.decoder, why);
    }

    /// Retires the least recently used decoders beyond the bounds of number and memory.
    fn trim(&mut self) {
        while self.waiting.len() > MOST {
            self.retire_at(0, Retired::Displaced);
        }
        let Some(newest) = self.waiting.last().map(|waiting| Arc::clone(waiting.kept.decoder.context()))
        else {
            return;
        };
        let most = newest.total_memory() / MEMORY_SHARE;
        let of_device = |waiting: &Waiting| Arc::ptr_eq(waiting.kept.decoder.context(), &newest);
        let mut bytes: u64 = self.waiting.iter().filter(|w| of_device(w)).map(|w| w.kept.bytes()).sum();
        while bytes > most
            && let Some(place) = self.waiting.iter().position(of_device)
        {
            bytes -= self.waiting[place].kept.bytes();
            self.retire_at(place, Retired::Displaced);
        }
    }

    /// Starts the thread that destroys decoders; the decoders that it would have destroyed if that fails.
    fn start_thread(&mut self) -> Vec<Decoder> {
        let has_work = !self.waiting.is_empty() || !self.doomed.is_empty();
        if has_work && !self.has_thread {
            let started = thread::Builder::new().name("vhw-idle".to_owned()).spawn(destroy);
            self.has_thread = started.is_ok();
        }
        CHANGED.notify_all();
        if self.has_thread { Vec::new() } else { std::mem::take(&mut self.doomed) }
    }
}

/// Destroys decoders that were retired or have waited long enough, until none is left.
fn destroy() {
    let mut pool = lock(&POOL);
    loop {
        let now = Instant::now();
        while pool.waiting.first().is_some_and(|oldest| oldest.since + pool.keep <= now) {
            pool.retire_at(0, Retired::Idle);
        }
        let doomed = std::mem::take(&mut pool.doomed);
        if !doomed.is_empty() {
            pool.destroying += doomed.len();
            drop(pool);
            let count = doomed.len();
            drop(doomed);
            pool = lock(&POOL);
            pool.destroying -= count;
            CHANGED.notify_all();
            continue;
        }
        let Some(next) = pool.waiting.first().map(|oldest| oldest.since + pool.keep) else {
            pool.has_thread = false;
            return;
        };
        pool = whole(CHANGED.wait_timeout(pool, next.saturating_duration_since(now))).0;
    }
}

/// Takes the smallest decoder of this kind that can be set to a coded size and a size of mapped pictures.
pub(super) fn take(
    context: &Arc<Context>,
    kind: Kind,
    coded: (u32, u32),
    target: (u32, u32),
) -> Option<Kept> {
    loop {
        let kept = {
            let mut pool = lock(&POOL);
            let place = (0..pool.waiting.len())
                .filter(|place| {
                    let Waiting { kept, .. } = &pool.waiting[*place];
                    kept.kind == kind
                        && Arc::ptr_eq(kept.decoder.context(), context)
                        && kept.fits(coded, target)
                })
                .min_by_key(|place| pool.waiting[*place].kept.bytes())?;
            pool.waiting.remove(place).kept
        };
        if kept.settles() {
            return Some(kept);
        }
        retire(kept.decoder, Retired::Failed);
    }
}

/// Keeps a decoder for the next stream, unless one of its calls has failed.
pub(super) fn give_back(kept: Kept) {
    let mut pool = lock(&POOL);
    if kept.decoder.has_failed() {
        pool.retire(kept.decoder, Retired::Failed);
    } else if pool.keep.is_zero() {
        pool.retire(kept.decoder, Retired::Released);
    } else {
        pool.waiting.push(Waiting { kept, since: Instant::now() });
        pool.trim();
    }
    let left = pool.start_thread();
    drop(pool);
    drop(left);
}

/// Has a decoder destroyed that no stream can use again.
pub(super) fn retire(decoder: Decoder, why: Retired) {
    let mut pool = lock(&POOL);
    pool.retire(decoder, why);
    let left = pool.start_thread();
    drop(pool);
    drop(left);
}

/// Counts a decoder that frames still refer to, with which it is destroyed.
pub(super) fn note_referenced() {
    *lock(&POOL).retired.entry(Retired::Referenced).or_default() += 1;
}

/// Counts a decoder that was created.
pub(super) fn note_made() {
    lock(&POOL).made += 1;
}

/// Counts a decoder that another stream goes on with.
pub(super) fn note_reused() {
    lock(&POOL).reused += 1;
}

/// Whether decoders are kept.
pub(super) fn keeps() -> bool {
    !lock(&POOL).keep.is_zero()
}

/// Sets how long decoders are kept.
pub(crate) fn keep_for(time: Duration) {
    lock(&POOL).keep = time;
    if time.is_zero() {
        release();
    } else {
        CHANGED.notify_all();
    }
}

/// Destroys all idle decoders and waits until none is left. A context goes with the last decoder in it.
pub(crate) fn release() {
    let mut pool = lock(&POOL);
    while !pool.waiting.is_empty() {
        pool.retire_at(0, Retired::Released);
    }
    let doomed = std::mem::take(&mut pool.doomed);
    drop(pool);
    drop(doomed);
    let _none = whole(CHANGED.wait_while(lock(&POOL), |pool| pool.destroying > 0));
}

/// What became of the decoders of this process.
pub(crate) fn report() -> IdleReport {
    let pool = lock(&POOL);
    IdleReport {
        made: pool.made,
        reused: pool.reused,
        idle: pool.waiting.len(),
        retired: pool.retired.clone(),
    }
}
