//! One encode session of a stream: an encoder on a worker thread, and the numbers that tie its answers to the stream's
//! frames.
//!
//! An encoder sees each of its own numbers once, in rising order, as the seam demands. A frame of the stream may be given
//! to it twice all the same (when another session failed with it): then it gets a new number, and answers to the old one
//! are passed over. Frames are given in runs; within a run numbers and frames go up together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[cfg(feature = "metrics")]
use super::observe::{Figures, Watched};
use crate::backend::{
    Candidate, EncodeEvent, EncodeSink, EncodeUnit, EncodedUnit, EncoderBackend, InPlace, Job, Receipt,
};
use crate::error::{Error, Result};
use crate::failover::{Fitting, Target};
use crate::frame::Frame;
use crate::packet::BitstreamLayout;
use crate::pixel::PixelFormat;
#[cfg(feature = "metrics")]
use crate::queue::QueueMonitor;
use crate::session::Submit;
use crate::session::worker::{self, Outcome, Outlet, Work};
#[cfg(feature = "metrics")]
use crate::stages::EncodeMeter;

/// Frames that wait for the encoder: large, so few.
const INPUT_QUEUE: usize = 4;
/// Answers that wait for the stream: small.
const OUTPUT_QUEUE: usize = 64;

/// What goes to the worker, in order.
enum Order {
    Frame { number: u64, frame: Frame },
    Reconfigure(Box<Target>),
}

/// News of a session. Numbers are the session's on their way from the worker, and then the stream's.
#[derive(Debug)]
pub(super) enum Received {
    /// None yet.
    Nothing,
    /// Only of frames that are no longer this session's.
    Stale,
    Unit(EncodedUnit),
    Dropped(u64, &'static str),
    Lost(u64, Error),
    /// Everything before this frame was answered, or never will be.
    Flushed(u64),
    Reconfigured(Result<()>),
    /// Frames are encoded without the messages that came with them, for this reason. Told once.
    GaveUpMessages(String),
    /// Nothing will come any more.
    Died(Error),
}

/// What the sessions of a stream count together.
#[derive(Default)]
pub(super) struct Counts {
    /// Frames that were brought to what the encoder reads.
    pub(super) converted: AtomicU64,
    /// Frames that were encoded without their messages.
    pub(super) without_messages: AtomicU64,
}

/// A session that encodes.
pub(super) struct Running {
    input: worker::Input<Order>,
    output: worker::Output<Received>,
    pub(super) target: Target,
    pub(super) candidate: Candidate,
    pub(super) receipt: Receipt,
    pub(super) facts: Facts,
    /// Its settings are not all that was asked for.
    pub(super) adapted: bool,
    /// The format that was asked for, where it reads another arrangement of the same samples.
    pub(super) asked_format: PixelFormat,
    next: u64,
    run: Run,
    /// For each flush that was asked for, the number behind the last frame before it.
    marks: VecDeque<u64>,
    fed_since_flush: bool,
    order_pending: Option<Box<Target>>,
    /// Frames that were brought to what its encoder reads.
    #[cfg(feature = "metrics")]
    pub(super) converted: Arc<AtomicU64>,
    /// Last: it is asked once more when nothing can come any more.
    #[cfg(feature = "metrics")]
    pub(super) watched: Watched,
}

/// What an opened encoder says of itself.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) layout: BitstreamLayout,
    pub(super) reorder: usize,
    pub(super) in_place: InPlace,
    pub(super) idr_interval: Option<u32>,
    pub(super) implementation: &'static str,
    /// Where it counts its stages, if it does.
    #[cfg(feature = "metrics")]
    pub(super) meter: Option<Arc<EncodeMeter>>,
}

/// The frames that the session is answerable for.
#[derive(Clone, Copy, Debug)]
struct Run {
    number: u64,
    serial: u64,
}

impl Run {
    fn serial(&self, number: u64) -> Option<u64> {
        Some(self.serial + number.checked_sub(self.number)?)
    }
}

impl Running {
    /// Opens an encoder on the calling thread and starts its worker.
    ///
    /// # Errors
    /// Whatever `open` returns; no thread.
    pub(super) fn open(
        candidate: Candidate,
        target: Target,
        counts: &Arc<Counts>,
        open: impl FnOnce(&Target, EncodeSink) -> Result<Box<dyn EncoderBackend>>,
    ) -> Result<Self> {
        let converted = Arc::<AtomicU64>::default();
        #[cfg(feature = "metrics")]
        let of_session = Arc::clone(&converted);
        let (input, output, (facts, notes)) =
            worker::spawn("vhw-encode", INPUT_QUEUE, OUTPUT_QUEUE, |outlet| {
                let backend = open(&target, sink(outlet.clone()))?;
                let facts = Facts {
                    layout: backend.output_layout(),
                    reorder: backend.reorder_delay(),
                    in_place: backend.in_place(),
                    idr_interval: backend.idr_interval(),
                    implementation: backend.implementation(),
                    #[cfg(feature = "metrics")]
                    meter: backend.meter(),
                };
                let (fitting, notes) = (Fitting::new(&target.0, backend.as_ref()), backend.notes());
                let work = EncodeWork {
                    backend,
                    fitting,
                    outlet,
                    counts: Arc::clone(counts),
                    converted,
                    gave_up_messages: false,
                };
                Ok((work, (facts, notes)))
            })?;
        let kind = candidate.backend();
        let receipt = Receipt::given(Job::Encode, target.0.codec, kind, facts.implementation);
        Ok(Self {
            input,
            output,
            asked_format: target.0.format,
            target,
            candidate,
            receipt: Receipt { notes, ..receipt },
            facts,
            adapted: false,
            next: 0,
            run: Run { number: 0, serial: 0 },
            marks: VecDeque::new(),
            fed_since_flush: false,
            order_pending: None,
            #[cfg(feature = "metrics")]
            converted: of_session,
            #[cfg(feature = "metrics")]
            watched: None,
        })
    }

    /// From here on frames are the stream's from `serial` on; what was given before is forgotten, and the first of them
    /// is coded as an IDR.
    pub(super) fn begin_run(&mut self, serial: u64) {
        self.flush();
        self.run = Run { number: self.next, serial };
    }

    /// Hands the run's next frame over; never waits. `false`: no room now, or the session has ended, and its answers tell why.
    pub(super) fn feed(&mut self, frame: Frame) -> bool {
        let taken = self.submit(Order::Frame { number: self.next, frame });
        if taken {
            self.next += 1;
            self.fed_since_flush = true;
            #[cfg(feature = "metrics")]
            self.figures().into_iter().for_each(Figures::fed);
        }
        taken
    }

    fn submit(&mut self, order: Order) -> bool {
        matches!(self.input.submit(order), Ok(Submit::Accepted))
    }

    /// Settings as this session has them: in the format that it reads, where the stream's is another.
    pub(super) fn own_settings(&self, target: &Target) -> Target {
        let mut own = target.clone();
        if own.0.format == self.asked_format {
            own.0.format = self.target.0.format;
        }
        own
    }

    /// Asks for new settings, behind the frames that were fed; never waits. `false`: as there.
    pub(super) fn reconfigure(&mut self, target: &Target) -> bool {
        let order = Box::new(self.own_settings(target));
        let taken = self.submit(Order::Reconfigure(order.clone()));
        if taken {
            self.order_pending = Some(order);
        }
        taken
    }

    /// Makes everything come out; never waits. Nothing is done when nothing went in since the last time.
    pub(super) fn flush(&mut self) {
        // When the session has ended its answers tell it.
        if self.fed_since_flush && self.input.flush().is_ok() {
            self.fed_since_flush = false;
            self.marks.push_back(self.next);
        }
    }

    /// Whether the next frame is an IDR, because nothing was fed since the last flush.
    pub(super) const fn begins_anew(&self) -> bool {
        !self.fed_since_flush
    }

    /// News, if there are any.
    pub(super) fn receive(&mut self) -> Received {
        let flushes = self.output.flushes_seen();
        let answer = self.output.try_reap();
        self.noted(flushes, answer)
    }

    /// News, waiting for them at most `timeout`.
    pub(super) fn wait(&mut self, timeout: Duration) -> Received {
        let flushes = self.output.flushes_seen();
        let answer = self.output.reap_timeout(timeout);
        self.noted(flushes, answer)
    }

    /// Frames that the encoder has not begun.
    pub(super) fn queued(&self) -> usize {
        self.input.queued()
    }

    /// The queues in front of the encoder and behind it.
    #[cfg(feature = "metrics")]
    pub(super) fn queues(&self) -> (QueueMonitor, QueueMonitor) {
        self.output.monitors()
    }

    fn noted(&mut self, flushes: u64, answer: Result<Option<Received>>) -> Received {
        let received = self.received(flushes, answer);
        #[cfg(feature = "metrics")]
        self.figures().into_iter().for_each(|figures| figures.received(&received));
        received
    }

    fn received(&mut self, flushes: u64, answer: Result<Option<Received>>) -> Received {
        let mut received = match answer {
            Ok(Some(received)) => received,
            Err(error) => Received::Died(error),
            Ok(None) if self.output.flushes_seen() > flushes => return self.flushed(),
            Ok(None) if self.output.has_ended() => {
                Received::Died(Error::corrupt_fatal("the encoder's thread has ended"))
            }
            Ok(None) => Received::Nothing,
        };
        match &mut received {
            Received::Unit(EncodedUnit { serial: number, .. })
            | Received::Dropped(number, _)
            | Received::Lost(number, _) => match self.run.serial(*number) {
                Some(serial) => *number = serial,
                None => return Received::Stale,
            },
            Received::Reconfigured(done) => {
                if let (Ok(()), Some(target)) = (done, self.order_pending.take()) {
                    self.target = *target;
                }
            }
            _ => {}
        }
        received
    }

    fn flushed(&mut self) -> Received {
        let mark = self.marks.pop_front().unwrap_or(0);
        let Some(behind) = mark.checked_sub(self.run.number).filter(|behind| *behind > 0) else {
            return Received::Stale;
        };
        Received::Flushed(self.run.serial + behind)
    }
}

fn sink(outlet: Outlet<Received>) -> EncodeSink {
    Box::new(move |event| {
        let (answer, over) = match event {
            EncodeEvent::Unit(unit) => (Received::Unit(unit), false),
            EncodeEvent::Waiting => return !outlet.is_closed(),
            EncodeEvent::Dropped { serial, reason } => (Received::Dropped(serial, reason), false),
            EncodeEvent::Failed { serial, error } if error.is_recoverable() => {
                (Received::Lost(serial, error), false)
            }
            EncodeEvent::Failed { error, .. } => (Received::Died(error), true),
        };
        outlet.send(Outcome::Item(answer)) && !over
    })
}

struct EncodeWork {
    backend: Box<dyn EncoderBackend>,
    fitting: Fitting,
    outlet: Outlet<Received>,
    counts: Arc<Counts>,
    converted: Arc<AtomicU64>,
    gave_up_messages: bool,
}

impl EncodeWork {
    fn frame(&mut self, number: u64, mut frame: Frame) -> Result<()> {
        let messages = std::mem::take(&mut frame.user_sei);
        if let Some(shape) = self.fitting.needs(&frame) {
            match shape.apply(frame) {
                Ok(done) => frame = done.frame,
                Err(error) => {
                    self.outlet.send(Outcome::Item(Received::Lost(number, error)));
                    return Ok(());
                }
            }
            self.counts.converted.fetch_add(1, Ordering::Relaxed);
            self.converted.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(refusal) = self.fitting.with_messages(&mut frame, messages) {
            self.counts.without_messages.fetch_add(1, Ordering::Relaxed);
            if !std::mem::replace(&mut self.gave_up_messages, true) {
                self.outlet.send(Outcome::Item(Received::GaveUpMessages(refusal.to_string())));
            }
        }
        self.backend.submit(EncodeUnit { serial: number, frame })
    }
}

impl Work for EncodeWork {
    type Input = Order;

    fn unit(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Frame { number, frame } => self.frame(number, frame),
            Order::Reconfigure(target) => {
                let done = self.backend.reconfigure(&target.0, &target.1);
                if done.is_ok() {
                    self.fitting.reconfigured(&target.0);
                }
                self.outlet.send(Outcome::Item(Received::Reconfigured(done)));
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.backend.flush()
    }

    fn end(&mut self, _error: &Error) {}
}
