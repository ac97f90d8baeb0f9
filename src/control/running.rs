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

use super::observe::Watched;
use crate::backend::{
    Candidate, EncodeEvent, EncodeSink, EncodeUnit, EncodedUnit, EncoderBackend, InPlace, Receipt,
};
use crate::error::{Error, Result};
use crate::failover::{Fitting, Target};
use crate::frame::Frame;
use crate::packet::BitstreamLayout;
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

/// What comes from it. Numbers are the session's.
enum Answer {
    Unit(EncodedUnit),
    Dropped { number: u64, reason: &'static str },
    Lost { number: u64, error: Error },
    Reconfigured(Result<()>),
    GaveUpMessages { reason: String },
    Died(Error),
}

/// News of a session, in the stream's numbers.
#[derive(Debug)]
pub(super) enum Received {
    /// None yet.
    Nothing,
    /// Only of frames that are no longer this session's.
    Stale,
    Unit {
        serial: u64,
        unit: EncodedUnit,
    },
    Dropped {
        serial: u64,
        reason: &'static str,
    },
    Lost {
        serial: u64,
        error: Error,
    },
    /// Everything before this frame was answered, or never will be.
    Flushed {
        before: u64,
    },
    Reconfigured(Result<()>),
    /// Frames are encoded without the messages that came with them, for this reason. Told once.
    GaveUpMessages {
        reason: String,
    },
    /// Nothing will come any more.
    Died(Error),
}

/// What became of a frame that was handed over.
pub(super) enum Fed {
    Taken,
    /// No room now.
    Full,
    /// The session has ended; its answers tell why.
    Dead,
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
    output: worker::Output<Answer>,
    pub(super) target: Target,
    pub(super) candidate: Candidate,
    pub(super) receipt: Receipt,
    pub(super) facts: Facts,
    /// Its settings are not all that was asked for.
    pub(super) adapted: bool,
    next: u64,
    run: Run,
    /// For each flush that was asked for, the number behind the last frame before it.
    marks: VecDeque<u64>,
    fed_since_flush: bool,
    order_pending: Option<Box<Target>>,
    /// Last: it is asked once more when nothing can come any more.
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
        mut receipt: Receipt,
        counts: &Arc<Counts>,
        open: impl FnOnce(&Target, EncodeSink) -> Result<Box<dyn EncoderBackend>>,
    ) -> Result<Self> {
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
                    gave_up_messages: false,
                };
                Ok((work, (facts, notes)))
            })?;
        receipt.notes = notes;
        Ok(Self {
            input,
            output,
            target,
            candidate,
            receipt,
            facts,
            adapted: false,
            next: 0,
            run: Run { number: 0, serial: 0 },
            marks: VecDeque::new(),
            fed_since_flush: false,
            order_pending: None,
            watched: Watched::default(),
        })
    }

    /// From here on frames are the stream's from `serial` on; what was given before is forgotten, and the first of them
    /// is coded as an IDR.
    pub(super) fn begin_run(&mut self, serial: u64) {
        self.flush();
        self.run = Run { number: self.next, serial };
    }

    /// Hands the run's next frame over; never waits.
    pub(super) fn feed(&mut self, frame: Frame) -> Fed {
        match self.input.submit(Order::Frame { number: self.next, frame }) {
            Ok(Submit::Accepted) => {
                self.next += 1;
                self.fed_since_flush = true;
                self.watched.fed();
                Fed::Taken
            }
            Ok(Submit::Full(_)) => Fed::Full,
            Err(_) => Fed::Dead,
        }
    }

    /// Asks for new settings, behind the frames that were fed; never waits.
    pub(super) fn reconfigure(&mut self, target: &Target) -> Fed {
        let order = Box::new(target.clone());
        match self.input.submit(Order::Reconfigure(order.clone())) {
            Ok(Submit::Accepted) => {
                self.order_pending = Some(order);
                Fed::Taken
            }
            Ok(Submit::Full(_)) => Fed::Full,
            Err(_) => Fed::Dead,
        }
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

    fn noted(&mut self, flushes: u64, answer: Result<Option<Answer>>) -> Received {
        let received = self.received(flushes, answer);
        self.watched.received(&received);
        received
    }

    fn received(&mut self, flushes: u64, answer: Result<Option<Answer>>) -> Received {
        let serial = |number| self.run.serial(number);
        match answer {
            Ok(Some(Answer::Unit(unit))) => {
                serial(unit.serial).map_or(Received::Stale, |serial| Received::Unit { serial, unit })
            }
            Ok(Some(Answer::Dropped { number, reason })) => {
                serial(number).map_or(Received::Stale, |serial| Received::Dropped { serial, reason })
            }
            Ok(Some(Answer::Lost { number, error })) => {
                serial(number).map_or(Received::Stale, |serial| Received::Lost { serial, error })
            }
            Ok(Some(Answer::Reconfigured(done))) => {
                if let (Ok(()), Some(target)) = (&done, self.order_pending.take()) {
                    self.target = *target;
                }
                Received::Reconfigured(done)
            }
            Ok(Some(Answer::GaveUpMessages { reason })) => Received::GaveUpMessages { reason },
            Ok(Some(Answer::Died(error))) | Err(error) => Received::Died(error),
            Ok(None) if self.output.flushes_seen() > flushes => self.flushed(),
            Ok(None) if self.output.has_ended() => {
                Received::Died(Error::corrupt_fatal("the encoder's thread has ended"))
            }
            Ok(None) => Received::Nothing,
        }
    }

    fn flushed(&mut self) -> Received {
        let mark = self.marks.pop_front().unwrap_or(0);
        let Some(behind) = mark.checked_sub(self.run.number).filter(|behind| *behind > 0) else {
            return Received::Stale;
        };
        Received::Flushed { before: self.run.serial + behind }
    }
}

fn sink(outlet: Outlet<Answer>) -> EncodeSink {
    Box::new(move |event| {
        let (answer, over) = match event {
            EncodeEvent::Unit(unit) => (Answer::Unit(unit), false),
            EncodeEvent::Waiting => return !outlet.is_closed(),
            EncodeEvent::Dropped { serial, reason } => (Answer::Dropped { number: serial, reason }, false),
            EncodeEvent::Failed { serial, error } if error.is_recoverable() => {
                (Answer::Lost { number: serial, error }, false)
            }
            EncodeEvent::Failed { error, .. } => (Answer::Died(error), true),
        };
        outlet.send(Outcome::Item(answer)) && !over
    })
}

struct EncodeWork {
    backend: Box<dyn EncoderBackend>,
    fitting: Fitting,
    outlet: Outlet<Answer>,
    counts: Arc<Counts>,
    gave_up_messages: bool,
}

impl EncodeWork {
    fn frame(&mut self, number: u64, mut frame: Frame) -> Result<()> {
        let messages = std::mem::take(&mut frame.user_sei);
        if let Some(shape) = self.fitting.needs(&frame) {
            match shape.apply(frame) {
                Ok(done) => frame = done.frame,
                Err(error) => {
                    self.outlet.send(Outcome::Item(Answer::Lost { number, error }));
                    return Ok(());
                }
            }
            self.counts.converted.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(refusal) = self.fitting.with_messages(&mut frame, messages) {
            self.counts.without_messages.fetch_add(1, Ordering::Relaxed);
            if !std::mem::replace(&mut self.gave_up_messages, true) {
                let reason = refusal.to_string();
                self.outlet.send(Outcome::Item(Answer::GaveUpMessages { reason }));
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
                self.outlet.send(Outcome::Item(Answer::Reconfigured(done)));
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.backend.flush()
    }

    fn end(&mut self, _error: &Error) {}
}
