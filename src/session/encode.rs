//! Encode sessions.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::dts::DtsGenerator;
use super::in_flight::SharedTable;
use super::losses;
use super::worker::{self, Outcome, Outlet, Work};
use super::{Ledger, Losses, SessionTiming, Submit, Takeover};
use crate::backend::{
    Backend, BackendKind, CopyBytes, EncodeEvent, EncodeSink, EncodeUnit, EncodedUnit, EncoderBackend,
    FrameCheck, Job, Receipt,
};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, FailurePolicy};
use crate::error::{Error, Result};
use crate::failover::{self, FailoverLog, FrameRecovery};
use crate::frame::Frame;
use crate::packet::{BitstreamLayout, Packet};
use crate::queue::QueueStats;
use crate::stages::{EncodeMeter, EncodeStages, StageSummary};
use crate::time::Timestamp;
use crate::user_sei;

/// Frames that wait for the encoder: large, so few.
const INPUT_QUEUE: usize = 4;
/// Packets that wait for the consumer: small.
const OUTPUT_QUEUE: usize = 64;

/// What an encode session did so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EncodeSummary {
    /// Why this backend.
    pub receipt: Receipt,
    /// What became of every frame.
    pub ledger: Ledger,
    /// The frames that gave no packet, by reason. Frames that the encoder never got before it died are in the ledger alone.
    pub losses: Losses,
    /// Encoders that have died, and what took their place; only in sessions that outlive them
    /// ([`EncodeSession::with_failover`]).
    pub takeovers: Vec<Takeover>,
    /// Frames that were brought to the format, size or memory that their encoder reads: it takes another arrangement of the same
    /// samples than the settings', or took over from one that did.
    pub converted: u64,
    /// Coded bytes given out.
    pub bytes_out: u64,
    /// Random access points among the packets.
    pub keyframes: u64,
    /// Bytes of pictures that were copied within the host's memory, or between it and a device's; none where the encoder
    /// reads frames where they are.
    pub input_copy_bytes: u64,
    /// Bytes of packets, likewise.
    pub output_copy_bytes: u64,
    /// Bytes of pictures that were copied within a device's memory.
    pub device_copy_bytes: u64,
    /// Where the time went.
    pub timing: SessionTiming,
    /// From a frame's turn at the encoder to its packet.
    pub latency: StageSummary,
    /// How far the intervals between packets are from the moving mean interval; see [`crate::stages::Jitter`].
    pub jitter: StageSummary,
    /// Calls of the encoder, less what they waited for room behind it.
    pub calls: StageSummary,
    /// Waits for room in the output queue: the caller is behind.
    pub output_wait: StageSummary,
    /// The stages inside the encoder that the session began with, where it tells them.
    pub stages: Option<EncodeStages>,
    /// Most frames that were inside the encoder at once: given to it, and their packet not yet out. Of an encoder that tells its
    /// stages it is [`EncodeStages::queue_peak`], unless another took over.
    pub in_flight_peak: usize,
    /// Frames waiting for the encoder.
    pub input_queue: QueueStats,
    /// Packets waiting for the caller.
    pub output_queue: QueueStats,
}

/// An encoder of one stream: frames in, packets out in decoding order, each with the times of its own frame.
pub struct EncodeSession {
    pub(super) input: EncodeInput,
    pub(super) output: EncodeOutput,
}

/// The end of an encode session that takes frames.
pub struct EncodeInput {
    pub(super) worker: worker::Input<Frame>,
    table: SharedTable<Pending, Own>,
    config: CommonEncodeConfig,
    admission: FrameCheck,
    last_pts: Option<Timestamp>,
}

/// The end of an encode session that gives packets.
pub struct EncodeOutput {
    pub(super) worker: worker::Output<Packet>,
    pub(super) table: SharedTable<Pending, Own>,
    receipt: Receipt,
    log: FailoverLog,
    meter: Option<Arc<EncodeMeter>>,
    /// Last: it is asked once more when nothing can come any more.
    #[cfg(feature = "metrics")]
    _observed: crate::metrics::Observed,
}

/// Makes a sink for each encoder that works for the session, one after the other.
pub(crate) type SinkMaker = Box<dyn Fn() -> EncodeSink + Send>;

impl EncodeSession {
    /// Opens a session on the best backend that works here, or on the one named.
    ///
    /// # Errors
    /// When no candidate can do it: the reason and remedy of the last one tried.
    pub fn new(backend: impl Into<Backend>, config: CommonEncodeConfig) -> Result<Self> {
        Self::with_special(backend, config, &BackendEncodeConfig::None)
    }

    /// As [`Self::new`], with settings that only one backend understands.
    ///
    /// # Errors
    /// As there.
    pub fn with_special(
        backend: impl Into<Backend>,
        config: CommonEncodeConfig,
        special: &BackendEncodeConfig,
    ) -> Result<Self> {
        Self::with_failover(backend, config, special, FailurePolicy::Stop)
    }

    /// As [`Self::with_special`]; when the encoder dies, another takes its place by this policy: it is given the frames whose
    /// packets are not out, and begins with an IDR picture. Codec, times and order of packets stay; parameter sets change.
    /// [`EncodeSummary::takeovers`] tells what happened.
    ///
    /// ```no_run
    /// use video_hw::backend::Backend;
    /// use video_hw::codec::Codec;
    /// use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, FailurePolicy};
    /// use video_hw::dimensions::Dimensions;
    /// use video_hw::session::EncodeSession;
    /// use video_hw::time::Rational;
    ///
    /// # fn main() -> video_hw::Result<()> {
    /// # let (size, rate) = (Dimensions::new(640, 360).unwrap(), Rational::new(25, 1).unwrap());
    /// let config = CommonEncodeConfig::new(Codec::H264, size, rate);
    /// let special = BackendEncodeConfig::None;
    /// let session = EncodeSession::with_failover(Backend::Auto, config, &special, FailurePolicy::Next)?;
    /// // ... frames in, packets out, as with any session ...
    /// for takeover in session.summary().takeovers {
    ///     eprintln!("{takeover}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_failover(
        backend: impl Into<Backend>,
        config: CommonEncodeConfig,
        special: &BackendEncodeConfig,
        policy: FailurePolicy,
    ) -> Result<Self> {
        Self::that_recovers(backend.into(), config, special, policy, None)
    }

    /// As [`Self::with_failover`]; frames that go with their device are asked for again.
    pub(crate) fn that_recovers(
        wanted: Backend,
        config: CommonEncodeConfig,
        special: &BackendEncodeConfig,
        policy: FailurePolicy,
        recovery: Option<FrameRecovery>,
    ) -> Result<Self> {
        Self::open(config, |config, sinks| {
            failover::open_encoder(wanted, (config, special), policy, recovery, sinks)
        })
    }

    /// Opens a session on a backend of the caller's own.
    ///
    /// # Errors
    /// Whatever `open` returns.
    pub fn with_backend(
        config: CommonEncodeConfig,
        open: impl FnOnce(EncodeSink) -> Result<Box<dyn EncoderBackend>>,
    ) -> Result<Self> {
        Self::open(config, |config, sink| {
            let backend = open(sink())?;
            let receipt =
                Receipt::given(Job::Encode, config.codec, BackendKind::Custom, backend.implementation());
            Ok((backend, FailoverLog::new(receipt)))
        })
    }

    /// Opens a session on a backend that may be several, one after the other; the log tells of it.
    ///
    /// # Errors
    /// Whatever `open` returns.
    pub(crate) fn open(
        config: CommonEncodeConfig,
        open: impl FnOnce(&CommonEncodeConfig, SinkMaker) -> Result<(Box<dyn EncoderBackend>, FailoverLog)>,
    ) -> Result<Self> {
        let table = SharedTable::new(Own {
            codec: config.codec,
            layout: BitstreamLayout::elementary(config.codec),
            dts: DtsGenerator::new(0, config.frame_rate),
            bytes_out: 0,
            keyframes: 0,
            copies: CopyBytes::default(),
            losses: Losses::default(),
        });
        let (input, output, (log, meter, admission)) =
            worker::spawn("vhw-encode", INPUT_QUEUE, OUTPUT_QUEUE, |outlet| {
                let sinks = {
                    let table = table.clone();
                    Box::new(move || sink(table.clone(), outlet.clone()))
                };
                let (backend, log) = open(&config, sinks)?;
                {
                    let own = &mut table.lock().own;
                    own.layout = backend.output_layout();
                    own.dts = DtsGenerator::new(backend.reorder_delay(), config.frame_rate);
                }
                let (meter, admission) = (backend.meter(), backend.admission());
                let work = EncodeWork { backend, table: table.clone(), next_serial: 0 };
                Ok((work, (log, meter, admission)))
            })?;
        #[cfg(feature = "metrics")]
        let observed = observed(&config, &table, &output, &log, meter.clone());
        Ok(Self {
            input: EncodeInput { worker: input, table: table.clone(), config, admission, last_pts: None },
            output: EncodeOutput {
                worker: output,
                table,
                receipt: log.receipt(),
                log,
                meter,
                #[cfg(feature = "metrics")]
                _observed: observed,
            },
        })
    }

    /// The settings that it was opened with.
    pub const fn config(&self) -> &CommonEncodeConfig {
        &self.input.config
    }

    /// Hands a frame to the encoder; never waits. `force_keyframe` in the frame asks for an IDR.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when size or format differ from the configuration, the pts does not increase, the frame is
    /// where the encoder cannot read it (without a picture, or on another device). The error that ended the session, if one
    /// did.
    pub fn submit(&mut self, frame: Frame) -> Result<Submit<Frame>> {
        self.input.submit(frame)
    }

    /// The next packet, if one is ready.
    ///
    /// # Errors
    /// The loss of one frame ([`Error::is_recoverable`]: go on), or the end of the session.
    pub fn try_reap(&mut self) -> Result<Option<Packet>> {
        self.output.try_reap()
    }

    /// The next packet, waiting at most `timeout`. `None`: not yet, or a flush has completed.
    ///
    /// # Errors
    /// As [`Self::try_reap`].
    pub fn reap_timeout(&mut self, timeout: Duration) -> Result<Option<Packet>> {
        self.output.reap_timeout(timeout)
    }

    /// Makes every packet of the frames submitted so far come out. The session stays usable; the next frame
    /// is coded as an IDR.
    ///
    /// # Errors
    /// When the session has ended: the error that ended it.
    pub fn flush(&mut self) -> Result<()> {
        self.input.flush()
    }

    /// Flushes, then gives every remaining packet, waiting for each. Losses appear as `Err` items.
    ///
    /// # Errors
    /// When the session has ended: the error that ended it.
    pub fn drain(&mut self) -> Result<impl Iterator<Item = Result<Packet>> + '_> {
        self.flush()?;
        Ok(self.output.worker.until_flushed(self.input.worker.flushes()))
    }

    /// Whether every flush asked for has completed and been reaped.
    pub fn is_drained(&self) -> bool {
        self.output.worker.flushes_seen() == self.input.worker.flushes()
    }

    /// What the session did so far.
    pub fn summary(&self) -> EncodeSummary {
        self.output.summary()
    }

    /// Why this backend; of the one that the session began with.
    pub fn receipt(&self) -> &Receipt {
        &self.output.receipt
    }

    /// Takes the two ends apart, for two threads.
    pub fn split(self) -> (EncodeInput, EncodeOutput) {
        (self.input, self.output)
    }
}

impl EncodeInput {
    /// See [`EncodeSession::submit`].
    ///
    /// # Errors
    /// As there.
    pub fn submit(&mut self, frame: Frame) -> Result<Submit<Frame>> {
        let frame = self.check(frame)?;
        let pts = frame.pts;
        let submitted = self.worker.submit(frame)?;
        if matches!(submitted, Submit::Accepted) {
            self.accepted(pts);
        }
        Ok(submitted)
    }

    /// Whether [`Self::submit`] would take a frame, or tell that the session has ended; where it would do neither the task is
    /// woken when it would.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.worker.poll_ready(cx)
    }

    /// Hands a frame over, waiting for room; another thread must be reaping.
    ///
    /// # Errors
    /// As [`EncodeSession::submit`].
    pub fn submit_blocking(&mut self, frame: Frame) -> Result<()> {
        let frame = self.check(frame)?;
        let pts = frame.pts;
        self.worker.submit_blocking(frame)?;
        self.accepted(pts);
        Ok(())
    }

    /// See [`EncodeSession::flush`].
    ///
    /// # Errors
    /// When the session has ended: the error that ended it.
    pub fn flush(&mut self) -> Result<()> {
        self.worker.flush()
    }

    /// How many flushes were asked for.
    #[cfg(feature = "futures")]
    pub(crate) const fn flushes_asked(&self) -> u64 {
        self.worker.flushes()
    }

    fn accepted(&mut self, pts: Timestamp) {
        self.last_pts = Some(pts);
        self.table.lock().ledger.submitted += 1;
    }

    fn check(&self, mut frame: Frame) -> Result<Frame> {
        if frame.dimensions != self.config.dimensions || frame.format != self.config.format {
            return Err(Error::invalid(format!(
                "frame at {} is {} {}; the encoder was opened for {} {}",
                frame.pts, frame.dimensions, frame.format, self.config.dimensions, self.config.format
            )));
        }
        if let Some(last) = self.last_pts.filter(|last| frame.pts <= *last) {
            return Err(Error::invalid(format!("frame times must increase: {} after {last}", frame.pts)));
        }
        user_sei::check(frame.pts, &frame.user_sei)?;
        (self.admission)(&frame)?;
        frame.force_keyframe |= self.config.force_idr;
        Ok(frame)
    }
}

impl EncodeOutput {
    /// See [`EncodeSession::try_reap`].
    ///
    /// # Errors
    /// As there.
    pub fn try_reap(&mut self) -> Result<Option<Packet>> {
        self.worker.try_reap()
    }

    /// See [`EncodeSession::reap_timeout`].
    ///
    /// # Errors
    /// As [`EncodeSession::try_reap`].
    pub fn reap_timeout(&mut self, timeout: Duration) -> Result<Option<Packet>> {
        self.worker.reap_timeout(timeout)
    }

    /// The next packet, waiting for it; `None` when a flush has completed or the session is over.
    ///
    /// # Errors
    /// As [`EncodeSession::try_reap`].
    pub fn reap(&mut self) -> Result<Option<Packet>> {
        self.worker.reap()
    }

    /// As [`Self::reap`]; instead of waiting the task is woken when there is something.
    ///
    /// # Errors
    /// As [`EncodeSession::try_reap`].
    pub fn poll_reap(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Packet>>> {
        self.worker.poll_reap(cx)
    }

    /// How many flushes have completed and been reaped.
    pub fn flushes(&self) -> u64 {
        self.worker.flushes_seen()
    }

    /// Whether nothing will ever come again: the other end is gone and everything has been reaped.
    pub fn is_finished(&self) -> bool {
        self.worker.has_ended()
    }

    /// Whether a flush has completed and been reaped.
    pub fn was_flushed(&self) -> bool {
        self.worker.flushes_seen() > 0
    }

    /// What has died and been replaced since there were `known` takeovers.
    pub fn takeovers_since(&self, known: usize) -> Vec<Takeover> {
        self.log.since(known)
    }

    /// Frames that went with a device and could not be had again: each comes out as an error that can be gone over.
    pub(crate) fn lost_with_device(&self) -> u64 {
        self.log.lost()
    }

    /// What the session did so far.
    pub fn summary(&self) -> EncodeSummary {
        let (input_queue, output_queue) = self.worker.stats();
        let takeovers = self.log.since(0);
        let stages = self.meter.as_ref().map(|meter| meter.stages());
        // Stages are of the encoder that the session began with.
        let inside = stages.filter(|_| takeovers.iter().all(|takeover| takeover.to.is_none()));
        let table = self.table.lock();
        EncodeSummary {
            receipt: self.log.receipt(),
            ledger: table.ledger(),
            losses: table.own.losses.clone(),
            takeovers,
            converted: self.log.converted(),
            bytes_out: table.own.bytes_out,
            keyframes: table.own.keyframes,
            input_copy_bytes: table.own.copies.input,
            output_copy_bytes: table.own.copies.output,
            device_copy_bytes: table.own.copies.device,
            timing: table.timing,
            latency: table.latency.summary(),
            jitter: table.jitter.deviations().summary(),
            calls: table.calls.summary(),
            output_wait: table.output.summary(),
            stages,
            in_flight_peak: inside.map_or(table.in_flight_peak, |stages| stages.queue_peak),
            input_queue,
            output_queue,
        }
    }
}

/// A frame inside the encoder.
pub(super) struct Pending {
    pts: Timestamp,
    duration: Option<u64>,
}

/// What an encode session counts of its own.
pub(super) struct Own {
    codec: Codec,
    layout: BitstreamLayout,
    dts: DtsGenerator,
    bytes_out: u64,
    keyframes: u64,
    copies: CopyBytes,
    losses: Losses,
}

type InFlightTable = super::in_flight::InFlightTable<Pending, Own>;

/// Tells those who watch the process of the session.
#[cfg(feature = "metrics")]
fn observed(
    config: &CommonEncodeConfig,
    table: &SharedTable<Pending, Own>,
    output: &worker::Output<Packet>,
    log: &FailoverLog,
    meter: Option<Arc<EncodeMeter>>,
) -> crate::metrics::Observed {
    super::observe::Watched {
        table: table.clone(),
        queues: output.monitors(),
        counts: |own: &Own| super::observe::Counts {
            coded_bytes: own.bytes_out,
            keyframes: own.keyframes,
            copies: own.copies,
            ..Default::default()
        },
        stages: |table| (vec![("calls", &table.calls), ("output", &table.output)], table.in_flight_peak),
        worker: super::observe::Worker::Encoder { first: log.receipt(), log: log.clone() },
        meter,
        stream: config.stream.clone(),
        device: config.device.clone(),
    }
    .encoder()
}

fn packet(table: &mut InFlightTable, unit: EncodedUnit) -> Option<Packet> {
    let (pending, since) = table.take(unit.serial)?;
    table.note_latency(since);
    table.ledger.delivered += 1;
    table.own.bytes_out += unit.data.len() as u64;
    table.own.keyframes += u64::from(unit.keyframe);
    let dts = table.own.dts.next(pending.pts);
    Some(Packet {
        duration: pending.duration,
        keyframe: unit.keyframe,
        picture_type: unit.picture_type,
        ..Packet::new(table.own.codec, table.own.layout, unit.data).at(pending.pts, dts)
    })
}

fn note_loss(table: &mut InFlightTable, outcome: losses::LossKind, serial: u64, reason: &str) {
    if let Some(pts) = table.inside(serial).map(|unit| unit.pts) {
        table.own.losses.note(outcome, reason, serial, Some(pts));
    }
}

/// Turns backend events into outcomes: restores time, keeps the books.
fn sink(table: SharedTable<Pending, Own>, outlet: Outlet<Packet>) -> EncodeSink {
    Box::new(move |event| {
        let mut open = table.lock();
        // What was inside at the end is lost, and in the list of losses since then.
        if open.has_ended() {
            return false;
        }
        let outcome = match event {
            EncodeEvent::Unit(unit) => match packet(&mut open, unit) {
                Some(packet) => Outcome::Item(packet),
                None => return true,
            },
            EncodeEvent::Waiting => return !outlet.is_closed(),
            EncodeEvent::Dropped { serial, reason } => {
                open.own.dts.abandoned(serial);
                note_loss(&mut open, losses::LossKind::Dropped, serial, reason);
                open.dropped(serial, reason);
                return true;
            }
            EncodeEvent::Failed { serial, error } => {
                open.own.dts.abandoned(serial);
                note_loss(&mut open, losses::LossKind::Failed, serial, &error.to_string());
                match open.failed(serial, error) {
                    Some(error) => Outcome::Lost(error),
                    None => return false,
                }
            }
        };
        drop(open);
        table.send(&outlet, outcome)
    })
}

struct EncodeWork {
    backend: Box<dyn EncoderBackend>,
    table: SharedTable<Pending, Own>,
    next_serial: u64,
}

impl EncodeWork {
    fn note_copies(&self) {
        self.table.lock().own.copies = self.backend.copies();
    }
}

impl Work for EncodeWork {
    type Input = Frame;

    fn unit(&mut self, frame: Frame) -> Result<()> {
        let serial = self.next_serial;
        self.next_serial += 1;
        {
            let mut table = self.table.lock();
            table.own.dts.submitted(serial, frame.pts);
            table.enter(serial, Pending { pts: frame.pts, duration: frame.duration });
        }
        let done = self.table.charge_call(|| self.backend.submit(EncodeUnit { serial, frame }));
        self.note_copies();
        done
    }

    fn flush(&mut self) -> Result<()> {
        let done = self.table.charge(|| self.backend.flush());
        self.note_copies();
        done
    }

    fn end(&mut self, error: &Error) {
        let mut table = self.table.lock();
        let reason = error.to_string();
        // All of them now: the backend's own word may come when the summary has been read.
        for serial in table.all_inside() {
            note_loss(&mut table, losses::LossKind::Failed, serial, &reason);
        }
        table.end();
    }
}
