//! Frames in, transformed frames out in the same order, on a fixed set of threads.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use super::on_device::Converters;
use super::request::TransformRequest;
use super::workers::{Job, Ticket, Work, Workers};
use crate::config::setters::setters;
use crate::error::Result;
use crate::frame::Frame;
use crate::queue::{self, QueueReceiver, QueueSender, QueueStats, Received, TrySend};
use crate::sync::lock;

/// More threads than this wait for memory, not for each other.
const MOST_THREADS: usize = 8;

/// How a [`TransformDispatcher`] is laid out.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TransformOptions {
    /// Threads; `None`: as many as the machine has, eight at most.
    pub threads: Option<NonZeroUsize>,
    /// Frames that may be inside at once, done or not; `None`: three for each thread.
    pub credits: Option<NonZeroUsize>,
}

setters!(TransformOptions {} option { threads: NonZeroUsize, credits: NonZeroUsize });

impl TransformOptions {
    fn thread_count(self) -> usize {
        let machine = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS);
        self.threads.map_or_else(machine, NonZeroUsize::get)
    }
}

/// What a dispatcher did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransformStats {
    /// Threads running: none before the first frame that needs one.
    pub threads: usize,
    /// Frames that were as asked for and went straight through.
    pub passed: u64,
    /// Frames transformed.
    pub transformed: u64,
    /// Of these, frames that were converted on the device in whose memory they were.
    pub on_device: u64,
    /// Of these, frames that the CPU has converted because their device failed to; [`TransformDispatcher::failure`] says why.
    pub fell_back: u64,
    /// Frames lost to an error.
    pub failed: u64,
    /// Frames dropped because their generation was over.
    pub stale: u64,
    /// Whether a conversion had to assume a colour that the frame does not state.
    pub assumed_color: bool,
    /// From submission to the beginning of the work, all transformed frames together.
    pub waited: Duration,
    /// In the work, all threads together.
    pub busy: Duration,
    /// Frames waiting for a thread.
    pub queue: QueueStats,
    /// Frames inside: submitted and not taken out.
    pub inside: QueueStats,
}

/// Transforms frames on worker threads and gives them back in the order they came.
///
/// A frame that is already as asked for (with [`crate::config::ColorRequest::KeepNative`] every frame is) meets no
/// thread; it only keeps its place behind the frames before it. A frame in a device's memory that needs another format and no
/// other size is converted there, where its device can, and stays there unless [`TransformRequest::host`] asks otherwise;
/// where that fails the CPU does it. An error comes out in the place of its frame. All
/// methods take `&self`: one thread may submit while another reaps.
///
/// ```
/// use video_hw::config::ColorRequest;
/// use video_hw::dimensions::Dimensions;
/// use video_hw::frame::{Frame, HostSurface};
/// use video_hw::pixel::PixelFormat;
/// use video_hw::time::{TimeBase, Timestamp};
/// use video_hw::transform::{TransformDispatcher, TransformOptions, TransformRequest};
///
/// # fn main() -> video_hw::Result<()> {
/// let dispatcher = TransformDispatcher::new(TransformOptions::default());
/// let rgb = TransformRequest::default().convert(ColorRequest::Rgb8);
/// let size = Dimensions::new(64, 48).ok_or(video_hw::Error::invalid("size"))?;
/// for tick in 0..10 {
///     let grey = vec![128; PixelFormat::Nv12.frame_bytes(size)];
///     let surface = HostSurface::from_packed(PixelFormat::Nv12, size, grey)?;
///     let mut frame = Frame::host(Timestamp::new(tick, TimeBase::MPEG), surface);
///     // Full: take a frame out, then try again.
///     while let Err(back) = dispatcher.submit(frame, &rgb) {
///         frame = back;
///         dispatcher.reap()?;
///     }
/// }
/// while let Some(frame) = dispatcher.reap()? {
///     assert_eq!(frame.format, PixelFormat::Rgb24);
/// }
/// # Ok(()) }
/// ```
pub struct TransformDispatcher {
    workers: Workers,
    places: QueueSender<Place>,
    order: QueueReceiver<Place>,
    /// Taken out of `order`, but not done yet.
    head: Mutex<Option<Place>>,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Place {
    ticket: Ticket,
    generation: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    passed: u64,
    stale: u64,
}

impl Default for TransformDispatcher {
    fn default() -> Self {
        Self::new(TransformOptions::default())
    }
}

impl TransformDispatcher {
    /// A dispatcher with nothing in it, and no thread started yet.
    pub fn new(options: TransformOptions) -> Self {
        let converters = Converters::default();
        Self::with_work(options, Box::new(move |frame, request| converters.apply(frame, request)))
    }

    pub(super) fn with_work(options: TransformOptions, work: Box<Work>) -> Self {
        let threads = options.thread_count();
        let credits = options.credits.map_or(threads.saturating_mul(3), NonZeroUsize::get);
        let (places, order) = queue::bounded(credits);
        Self {
            workers: Workers::new(threads, credits, work),
            places,
            order,
            head: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    /// Threads that there will be once one is needed.
    pub fn threads(options: TransformOptions) -> usize {
        options.thread_count()
    }

    /// Takes a frame of the current generation; never waits.
    ///
    /// # Errors
    /// The frame, when all credits are out: reap, then submit it again.
    #[allow(clippy::result_large_err, reason = "the frame is handed back")]
    pub fn submit(&self, frame: Frame, request: &TransformRequest) -> Result<(), Frame> {
        self.submit_with_generation(frame, request, self.workers.generation())
    }

    /// Takes a frame of this generation; never waits. Frames of a generation before the current one are taken and
    /// dropped.
    ///
    /// # Errors
    /// As [`Self::submit`].
    #[allow(clippy::result_large_err, reason = "the frame is handed back")]
    pub fn submit_with_generation(
        &self,
        frame: Frame,
        request: &TransformRequest,
        generation: u64,
    ) -> Result<(), Frame> {
        if request.is_met_by(&frame) {
            let place = Place { ticket: Ticket::ready(frame), generation };
            return match self.places.try_send(place) {
                Ok(()) => {
                    self.counts().passed += 1;
                    Ok(())
                }
                Err(TrySend::Full(place) | TrySend::Closed(place)) => match place.ticket.wait() {
                    Ok(frame) => Err(frame),
                    Err(_) => Ok(()),
                },
            };
        }
        // The place first: work on a frame that may have to be handed back must not begin.
        let job = Job::new(frame, *request, generation);
        match self.places.try_send(Place { ticket: job.ticket(), generation }) {
            Ok(()) => {
                self.workers.start(job, false);
                Ok(())
            }
            Err(_) => job.into_frame().map_or(Ok(()), Err),
        }
    }

    /// Takes a frame of the current generation, waiting for a credit; another thread must be reaping.
    pub fn submit_blocking(&self, frame: Frame, request: &TransformRequest) {
        let generation = self.workers.generation();
        // The other end of the queue is ours: sending to it cannot fail.
        if request.is_met_by(&frame) {
            self.counts().passed += 1;
            let _ = self.places.send(Place { ticket: Ticket::ready(frame), generation });
            return;
        }
        let job = Job::new(frame, *request, generation);
        let _ = self.places.send(Place { ticket: job.ticket(), generation });
        self.workers.start(job, false);
    }

    /// The frame's ticket, for callers that keep the order in a queue of their own (decode sessions do). Waits while
    /// as many frames as there are credits wait for a thread, never for a consumer; belongs to no generation. Tickets
    /// must be taken before the dispatcher is dropped.
    pub fn ticket(&self, frame: Frame, request: &TransformRequest) -> Ticket {
        if request.is_met_by(&frame) {
            self.counts().passed += 1;
            return Ticket::ready(frame);
        }
        let job = Job::new(frame, *request, u64::MAX);
        let ticket = job.ticket();
        self.workers.start(job, true);
        ticket
    }

    /// Begins a generation: frames of older ones do not come out any more, and are not worked on where that can be
    /// helped. Generations only grow; a smaller number changes nothing.
    pub fn set_generation(&self, generation: u64) {
        self.workers.set_generation(generation);
    }

    /// The current generation; the first is 0.
    pub fn generation(&self) -> u64 {
        self.workers.generation()
    }

    /// The next frame, if it is done. `None` also while another thread waits for it.
    ///
    /// # Errors
    /// What went wrong with the frame whose place this is. The ones behind it are not touched by that.
    pub fn try_reap(&self) -> Result<Option<Frame>> {
        let mut head = match self.head.try_lock() {
            Ok(head) => head,
            Err(TryLockError::Poisoned(head)) => head.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        loop {
            match head.take().map_or_else(|| self.order.try_recv(), Received::Item) {
                Received::Item(place) if place.ticket.is_done() => {
                    if let Some(result) = self.settle(place) {
                        return result.map(Some);
                    }
                }
                Received::Item(place) => {
                    *head = Some(place);
                    return Ok(None);
                }
                Received::Empty | Received::Closed => return Ok(None),
            }
        }
    }

    /// The next frame, waiting at most `timeout` for one to be submitted and done.
    ///
    /// # Errors
    /// As [`Self::try_reap`].
    pub fn reap_timeout(&self, timeout: Duration) -> Result<Option<Frame>> {
        let deadline = Instant::now().checked_add(timeout);
        let left = || deadline.map_or(timeout, |end| end.saturating_duration_since(Instant::now()));
        let mut head = lock(&self.head);
        loop {
            match head.take().map_or_else(|| self.order.recv_timeout(left()), Received::Item) {
                Received::Item(place) if place.ticket.wait_timeout(left()) => {
                    if let Some(result) = self.settle(place) {
                        return result.map(Some);
                    }
                }
                Received::Item(place) => {
                    *head = Some(place);
                    return Ok(None);
                }
                Received::Empty | Received::Closed => return Ok(None),
            }
        }
    }

    /// The next frame, waiting until it is done; `None` when nothing is inside.
    ///
    /// # Errors
    /// As [`Self::try_reap`].
    pub fn reap(&self) -> Result<Option<Frame>> {
        let mut head = lock(&self.head);
        loop {
            match head.take().map_or_else(|| self.order.try_recv(), Received::Item) {
                Received::Item(place) => {
                    if let Some(result) = self.settle(place) {
                        return result.map(Some);
                    }
                }
                Received::Empty | Received::Closed => return Ok(None),
            }
        }
    }

    /// Everything submitted so far, waiting for each frame.
    pub fn drain(&self) -> impl Iterator<Item = Result<Frame>> + '_ {
        std::iter::from_fn(|| self.reap().transpose())
    }

    /// Why the CPU had to convert frames in a device's memory ([`TransformStats::fell_back`]): the first device's words.
    pub fn failure(&self) -> Option<String> {
        self.workers.failure()
    }

    /// What was done so far.
    pub fn stats(&self) -> TransformStats {
        let (tally, counts) = (self.workers.tally(), *self.counts());
        let Counts { passed, stale } = counts;
        TransformStats {
            threads: self.workers.threads(),
            passed,
            transformed: tally.transformed,
            on_device: tally.on_device,
            fell_back: tally.fell_back,
            failed: tally.failed,
            stale,
            assumed_color: tally.assumed_color,
            waited: tally.waited,
            busy: tally.busy,
            queue: self.workers.queue(),
            inside: self.places.stats(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        lock(&self.counts)
    }

    /// The result in this place, waiting for it; `None` for one of a generation that is over. The generation is
    /// looked at last: a worker that passes a frame over because of it has seen the same number.
    fn settle(&self, place: Place) -> Option<Result<Frame>> {
        let result = place.ticket.wait();
        if place.generation < self.workers.generation() {
            self.counts().stale += 1;
            return None;
        }
        Some(result)
    }
}

impl std::fmt::Debug for TransformDispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransformDispatcher").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
