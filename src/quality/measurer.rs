//! Pairs of frames in, scores out in the same order, on a fixed set of threads.
//!
//! Pairs go to the threads in turn, and results are taken from them in turn: that is all it takes to keep the order.
//! Pairs of one stream take about the same time each, so that nobody waits long for a neighbour.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::measure::{Metrics, measure};
use super::prepare::{Changes, prepare};
use super::score::FrameScore;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::pixel::PixelFormat;
use crate::queue::{self, QueueReceiver, QueueSender};
use crate::time::Timestamp;
use crate::transform::ScaleFilter;

/// Pairs on their way through one thread: the one in work and the next.
const PAIRS: usize = 2;

/// One measured pair.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Measured {
    /// Time of the reference frame.
    pub reference: Timestamp,
    /// Time of the other.
    pub distorted: Timestamp,
    /// The format in which they were compared.
    pub format: PixelFormat,
    /// What was done to the other frame before that.
    pub changes: Changes,
    /// The scores.
    pub score: FrameScore,
}

/// Compares pairs of frames on worker threads. At most two pairs for each thread are inside at once.
pub struct Measurer {
    lanes: Vec<Lane>,
    /// Pairs put in and results taken out.
    put: usize,
    taken: usize,
    busy: Arc<AtomicU64>,
}

struct Lane {
    /// `None` once no more pairs come.
    pairs: Option<QueueSender<(Frame, Frame)>>,
    results: QueueReceiver<Result<Measured>>,
    thread: Option<JoinHandle<()>>,
}

impl Measurer {
    /// Starts the threads. With `scale`, a frame of another size is brought to the size of its reference; without it
    /// that is an error.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn new(threads: NonZeroUsize, metrics: Metrics, scale: Option<ScaleFilter>) -> Result<Self> {
        let busy = Arc::new(AtomicU64::new(0));
        let lanes = (0..threads.get()).map(|_| Lane::start(metrics, scale, &busy)).collect::<Result<_>>()?;
        Ok(Self { lanes, put: 0, taken: 0, busy })
    }

    /// Puts a pair in. When that fills the last place, waits for the oldest result and gives it back.
    ///
    /// # Errors
    /// What went wrong with the oldest pair: see [`measure()`].
    pub fn push(&mut self, reference: Frame, distorted: Frame) -> Result<Option<Measured>> {
        let lane = self.put % self.lanes.len().max(1);
        if let Some(pairs) = self.lanes.get(lane).and_then(|lane| lane.pairs.as_ref()) {
            // The thread ends when its sender is gone, or by a panic; that is found when its results are taken.
            let _ = pairs.send((reference, distorted));
        }
        self.put += 1;
        if self.put - self.taken < self.lanes.len() * PAIRS { Ok(None) } else { self.pop() }
    }

    /// The oldest result, waiting for it; `None` when nothing is inside.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn pop(&mut self) -> Result<Option<Measured>> {
        if self.taken == self.put {
            return Ok(None);
        }
        let lane = self.taken % self.lanes.len().max(1);
        self.taken += 1;
        let Some(lane) = self.lanes.get_mut(lane) else { return Ok(None) };
        match lane.results.recv() {
            Some(result) => result.map(Some),
            None => lane.ended(),
        }
    }

    /// Threads that work.
    pub fn threads(&self) -> usize {
        self.lanes.len()
    }

    /// Time that the work took so far, all threads together.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Ordering::Relaxed))
    }
}

impl Drop for Measurer {
    fn drop(&mut self) {
        for lane in &mut self.lanes {
            lane.pairs = None;
        }
        for lane in &mut self.lanes {
            // Nobody wants what is left, and a panic has been told of where its result was missed.
            while lane.results.recv().is_some() {}
            if let Some(thread) = lane.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

impl Lane {
    fn start(metrics: Metrics, scale: Option<ScaleFilter>, busy: &Arc<AtomicU64>) -> Result<Self> {
        let (pairs, inbox) = queue::bounded::<(Frame, Frame)>(PAIRS);
        let (outbox, results) = queue::bounded(PAIRS);
        let busy = Arc::clone(busy);
        let work = move || {
            while let Some((reference, distorted)) = inbox.recv() {
                let start = Instant::now();
                let result = compare(reference, distorted, metrics, scale);
                let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                busy.fetch_add(nanos, Ordering::Relaxed);
                if outbox.send(result).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("vhw-quality".to_owned())
            .spawn(work)
            .map_err(|source| Error::io("start a thread for", "measuring", source))?;
        Ok(Self { pairs: Some(pairs), results, thread: Some(thread) })
    }

    /// The thread is gone with a pair inside: only a panic does that, and it goes on in the thread that waits.
    fn ended(&mut self) -> Result<Option<Measured>> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            Some(Ok(())) | None => Err(Error::corrupt_fatal("a measuring thread ended early")),
        }
    }
}

fn compare(
    reference: Frame,
    distorted: Frame,
    metrics: Metrics,
    scale: Option<ScaleFilter>,
) -> Result<Measured> {
    let (reference, distorted, changes) = prepare(reference, distorted, scale)?;
    let (Some(a), Some(b)) = (reference.as_host(), distorted.as_host()) else {
        return Err(Error::invalid("a frame without samples cannot be compared"));
    };
    Ok(Measured {
        reference: reference.pts,
        distorted: distorted.pts,
        format: reference.format,
        changes,
        score: measure(a, b, metrics)?,
    })
}
