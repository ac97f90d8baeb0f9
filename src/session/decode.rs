//! Decode sessions.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::decode_work::{self, DecodeWork, Own, Pending, sink};
use super::in_flight::SharedTable;
use super::shaping::Shaping;
use super::worker;
use super::{Ledger, Losses, SessionTiming, Submit};
use crate::backend::{
    Backend, BackendKind, DecodeSink, DecoderBackend, Job, Receipt, SharedReceipt, SinkFactory,
};
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};
use crate::failover;
use crate::frame::Frame;
use crate::packet::Packet;
use crate::queue::QueueStats;
use crate::stages::{DecodeStages, StageSummary};
use crate::transform::{Ticket, TransformRequest, TransformStats};

/// Packets that wait for the decoder: small, so a few more cost nothing and ride over uneven pictures.
const INPUT_QUEUE: usize = 32;
/// Frames that wait for the consumer: large, so few.
const OUTPUT_QUEUE: usize = 6;

/// What a decode session did so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecodeSummary {
    /// Why this backend.
    pub receipt: Receipt,
    /// What became of every packet.
    pub ledger: Ledger,
    /// The packets that gave no frame, by reason. Packets that the decoder never got before it died are in the ledger alone.
    pub losses: Losses,
    /// Coded bytes taken.
    pub bytes_in: u64,
    /// Frames whose time was numbered by the session because the packets had none.
    pub synthesised_timestamps: u64,
    /// Frames that the decoder had to mend; with [`crate::config::DamagePolicy::Strict`] they are lost, and counted here too.
    pub concealed: u64,
    /// Crop, size and format asked for.
    pub wanted: TransformRequest,
    /// Frames that the decoder itself brought to them.
    pub shaped: u64,
    /// What was done on the CPU for the others.
    pub transform: TransformStats,
    /// Bytes of packets that were copied, to give the decoder the framing it reads.
    pub input_copy_bytes: u64,
    /// Bytes of pictures that were copied within the host's memory, or from a device's to it; none where frames are in
    /// the memory that the decoder wrote. Conversions are in `transform`.
    pub output_copy_bytes: u64,
    /// Bytes of pictures that were copied within a device's memory.
    pub device_copy_bytes: u64,
    /// What the backend did in another way than asked for, in words; each once.
    pub notes: Vec<String>,
    /// Where the time went.
    pub timing: SessionTiming,
    /// From a packet's turn at the decoder to its frame.
    pub latency: StageSummary,
    /// The stages of the decoder.
    pub stages: DecodeStages,
    /// How far the intervals between frames are from the moving mean interval; see [`crate::stages::Jitter`].
    pub jitter: StageSummary,
    /// From the submission of the first packet until the first frame was taken out.
    pub first_frame_after: Option<Duration>,
    /// From the submission of the first packet until the last frame so far was taken out.
    pub last_frame_after: Option<Duration>,
    /// Most packets that were inside the decoder at once: given to it, and their picture not yet out. Of several decoders that share
    /// the stream: inside all of them together.
    pub in_flight_peak: usize,
    /// Packets waiting for the decoder.
    pub input_queue: QueueStats,
    /// Frames waiting for the caller.
    pub output_queue: QueueStats,
}

/// A decoder of one stream: packets in, frames out in presentation order.
///
/// ```
/// use video_hw::backend::mock::{MockDecoder, mock_packet};
/// use video_hw::config::CommonDecodeConfig;
/// use video_hw::session::{DecodeSession, Submit};
/// use video_hw::codec::Codec;
///
/// # fn main() -> video_hw::Result<()> {
/// let config = CommonDecodeConfig::new(Codec::H264);
/// let mut session = DecodeSession::with_backend(config, |sink| Ok(MockDecoder::default().open(sink)))?;
/// for i in 0..3 {
///     let Submit::Accepted = session.submit(mock_packet(i))? else { unreachable!("three packets fit") };
/// }
/// let frames: Result<Vec<_>, _> = session.drain()?.collect();
/// assert_eq!(frames?.len(), 3);
/// assert!(session.summary().ledger.balances());
/// # Ok(()) }
/// ```
pub struct DecodeSession {
    pub(super) input: DecodeInput,
    pub(super) output: DecodeOutput,
}

/// The end of a decode session that takes packets.
pub struct DecodeInput {
    pub(super) worker: worker::Input<Packet>,
    codec: Codec,
    table: SharedTable<Pending, Own>,
}

/// The end of a decode session that gives frames.
pub struct DecodeOutput {
    pub(super) worker: worker::Output<Ticket>,
    /// The next frame, while it is not finished.
    pub(super) head: Option<Ticket>,
    pub(super) table: SharedTable<Pending, Own>,
    receipt: SharedReceipt,
    /// It goes when nothing inside can be taken any more.
    shaping: Arc<Shaping>,
    /// Last: it is asked once more when nothing can come any more.
    #[cfg(feature = "metrics")]
    _observed: crate::metrics::Observed,
}

impl DecodeSession {
    /// Opens a session on the best backend that works here, or on the one named.
    ///
    /// # Errors
    /// When no candidate can do it: the reason and remedy of the last one tried.
    pub fn new(backend: impl Into<Backend>, config: CommonDecodeConfig) -> Result<Self> {
        let wanted = backend.into();
        Self::open(&config, |config, sink| failover::open_decoder(wanted, config, sink))
    }

    /// Opens a session on a backend of the caller's own (a test double, an accelerator this crate does not
    /// know).
    ///
    /// # Errors
    /// Whatever `open` returns.
    pub fn with_backend(
        config: CommonDecodeConfig,
        open: impl FnOnce(DecodeSink) -> Result<Box<dyn DecoderBackend>>,
    ) -> Result<Self> {
        Self::open(&config, |config, sink| {
            let backend = open(sink())?;
            let receipt =
                Receipt::given(Job::Decode, config.codec, BackendKind::Custom, backend.implementation());
            Ok((backend, SharedReceipt::new(receipt)))
        })
    }

    fn open(
        config: &CommonDecodeConfig,
        open: impl FnOnce(&CommonDecodeConfig, SinkFactory) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)>,
    ) -> Result<Self> {
        let table = SharedTable::new(Own::new(config.clone()));
        let shaping = Arc::new(Shaping::new(config)?);
        let room = Shaping::output_queue(config, OUTPUT_QUEUE);
        let (input, output, receipt) = worker::spawn("vhw-decode", INPUT_QUEUE, room, |outlet| {
            let factory = {
                let (table, outlet, shaping) = (table.clone(), outlet.clone(), Arc::clone(&shaping));
                Box::new(move || sink(table.clone(), outlet.clone(), Arc::clone(&shaping)))
            };
            let (backend, receipt) = open(config, factory)?;
            let report = sink(table.clone(), outlet, Arc::clone(&shaping));
            Ok((DecodeWork::new(config, backend, table.clone(), report)?, receipt))
        })?;
        #[cfg(feature = "metrics")]
        let observed = super::observe::Watched {
            table: table.clone(),
            queues: output.monitors(),
            counts: Own::counts,
            stages: |table| (decode_work::stages_now(table), decode_work::in_flight_peak(table)),
            worker: super::observe::Worker::Decoder(receipt.clone()),
            meter: None,
            stream: config.stream.clone(),
            device: config.device.clone(),
        }
        .decoder();
        Ok(Self {
            input: DecodeInput { worker: input, codec: config.codec, table: table.clone() },
            output: DecodeOutput {
                worker: output,
                head: None,
                table,
                receipt,
                shaping,
                #[cfg(feature = "metrics")]
                _observed: observed,
            },
        })
    }

    /// Hands a packet (one access unit) to the decoder; never waits.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the packet is of another codec, or the error that ended the session.
    pub fn submit(&mut self, packet: Packet) -> Result<Submit<Packet>> {
        self.input.submit(packet)
    }

    /// The next frame, if one is ready.
    ///
    /// # Errors
    /// The loss of one packet ([`Error::is_recoverable`]: go on), or the end of the session.
    pub fn try_reap(&mut self) -> Result<Option<Frame>> {
        self.output.try_reap()
    }

    /// The next frame, waiting at most `timeout`. `None`: not yet, or a flush has completed.
    ///
    /// # Errors
    /// As [`Self::try_reap`].
    pub fn reap_timeout(&mut self, timeout: Duration) -> Result<Option<Frame>> {
        self.output.reap_timeout(timeout)
    }

    /// Makes every frame of the packets submitted so far come out. The session stays usable; the next packet
    /// must be a random access point.
    ///
    /// # Errors
    /// When the session has ended: the error that ended it.
    pub fn flush(&mut self) -> Result<()> {
        self.input.flush()
    }

    /// Flushes, then gives every remaining frame, waiting for each. Losses appear as `Err` items.
    ///
    /// # Errors
    /// When the session has ended: the error that ended it.
    pub fn drain(&mut self) -> Result<impl Iterator<Item = Result<Frame>> + '_> {
        self.flush()?;
        Ok(self.output.until_flushed(self.input.worker.flushes()))
    }

    /// Whether every flush asked for has completed and been reaped.
    pub fn is_drained(&self) -> bool {
        self.output.worker.flushes_seen() == self.input.worker.flushes()
    }

    /// Whether nothing will ever come again.
    pub(crate) fn has_ended(&self) -> bool {
        self.output.is_finished()
    }

    /// What the session did so far.
    pub fn summary(&self) -> DecodeSummary {
        self.output.summary()
    }

    /// Why this backend.
    pub fn receipt(&self) -> Receipt {
        self.output.receipt.get()
    }

    /// Takes the two ends apart, for two threads.
    pub fn split(self) -> (DecodeInput, DecodeOutput) {
        (self.input, self.output)
    }
}

impl DecodeInput {
    /// See [`DecodeSession::submit`].
    ///
    /// # Errors
    /// As there.
    pub fn submit(&mut self, packet: Packet) -> Result<Submit<Packet>> {
        self.check(&packet)?;
        let began = Instant::now();
        let submitted = self.worker.submit(packet)?;
        if matches!(submitted, Submit::Accepted) {
            self.accepted(began);
        }
        Ok(submitted)
    }

    /// Whether [`Self::submit`] would take a packet, or tell that the session has ended; where it would do neither the task is
    /// woken when it would.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.worker.poll_ready(cx)
    }

    /// Hands a packet over, waiting for room; another thread must be reaping.
    ///
    /// # Errors
    /// As [`DecodeSession::submit`].
    pub fn submit_blocking(&mut self, packet: Packet) -> Result<()> {
        self.check(&packet)?;
        let began = Instant::now();
        self.worker.submit_blocking(packet)?;
        self.accepted(began);
        Ok(())
    }

    fn accepted(&self, began: Instant) {
        let mut table = self.table.lock();
        table.ledger.submitted += 1;
        table.own.first_in.get_or_insert(began);
    }

    fn check(&self, packet: &Packet) -> Result<()> {
        if packet.codec == Some(self.codec) {
            return Ok(());
        }
        let of = packet.codec.map_or_else(|| "another kind of track".to_owned(), |codec| codec.to_string());
        Err(Error::invalid(format!("a packet of {of}; the decoder was opened for {}", self.codec)))
    }

    /// See [`DecodeSession::flush`].
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
}

impl DecodeOutput {
    /// See [`DecodeSession::try_reap`].
    ///
    /// # Errors
    /// As there.
    pub fn try_reap(&mut self) -> Result<Option<Frame>> {
        if self.head.is_none() {
            self.head = self.worker.try_reap()?;
        }
        match self.head.take_if(|ticket| ticket.is_done()) {
            Some(ticket) => self.finish(ticket).map(Some),
            None => Ok(None),
        }
    }

    /// See [`DecodeSession::reap_timeout`].
    ///
    /// # Errors
    /// As [`DecodeSession::try_reap`].
    pub fn reap_timeout(&mut self, timeout: Duration) -> Result<Option<Frame>> {
        let began = Instant::now();
        if self.head.is_none() {
            self.head = self.worker.reap_timeout(timeout)?;
        }
        let left = timeout.saturating_sub(began.elapsed());
        match self.head.take_if(|ticket| ticket.wait_timeout(left)) {
            Some(ticket) => self.finish(ticket).map(Some),
            None => Ok(None),
        }
    }

    /// The next frame, waiting for it; `None` when a flush has completed or the session is over.
    ///
    /// # Errors
    /// As [`DecodeSession::try_reap`].
    pub fn reap(&mut self) -> Result<Option<Frame>> {
        let next = match self.head.take() {
            Some(ticket) => Some(ticket),
            None => self.worker.reap()?,
        };
        next.map(|ticket| self.finish(ticket)).transpose()
    }

    /// As [`Self::reap`]; instead of waiting the task is woken when there is something.
    ///
    /// # Errors
    /// As [`DecodeSession::try_reap`].
    pub fn poll_reap(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>>> {
        if self.head.is_none() {
            self.head = ready!(self.worker.poll_reap(cx))?;
        }
        let Some(head) = &self.head else { return Poll::Ready(Ok(None)) };
        ready!(head.poll_done(cx));
        Poll::Ready(self.head.take().map(|ticket| self.finish(ticket)).transpose())
    }

    /// Every frame up to the end of flush number `flushes`, waiting for each.
    fn until_flushed(&mut self, flushes: u64) -> impl Iterator<Item = Result<Frame>> + '_ {
        std::iter::from_fn(move || {
            while self.worker.flushes_seen() < flushes && !self.worker.has_ended() {
                if let Some(item) = self.reap().transpose() {
                    return Some(item);
                }
            }
            None
        })
    }

    /// Takes the frame out, waiting for it. Frames that the session works on have their outcome only here: before,
    /// they are inside.
    fn finish(&self, ticket: Ticket) -> Result<Frame> {
        let counted = ticket.was_ready();
        let frame = ticket.wait();
        let mut table = self.table.lock();
        match &frame {
            Ok(_) => {
                table.ledger.delivered += u64::from(!counted);
                table.own.note_frame();
            }
            Err(error) if !counted => {
                table.own.note_lost(error);
                table.ledger.failed += 1;
            }
            Err(_) => {}
        }
        frame
    }

    /// Has the session give nothing of what comes behind the first damage in decoding order, besides its error.
    pub(crate) fn stop_at_damage(&self) {
        self.table.lock().own.stops_at_damage = true;
    }

    /// Whether nothing will ever come again: the other end is gone and everything has been reaped, or the session
    /// has ended with an error. Tells the end from a queue that is empty for the moment.
    pub fn is_finished(&self) -> bool {
        self.worker.has_ended()
    }

    /// How many flushes have completed, with everything before them reaped.
    pub fn flushes(&self) -> u64 {
        self.worker.flushes_seen()
    }

    /// Whether a flush has completed and everything before it has been reaped.
    pub fn was_flushed(&self) -> bool {
        self.worker.flushes_seen() > 0
    }

    /// What the session did so far.
    pub fn summary(&self) -> DecodeSummary {
        let (input_queue, output_queue) = self.worker.stats();
        let table = self.table.lock();
        DecodeSummary {
            receipt: self.receipt.get(),
            ledger: table.ledger(),
            losses: decode_work::losses(&table),
            bytes_in: table.own.bytes_in,
            synthesised_timestamps: table.own.synthesised,
            concealed: table.own.concealed,
            wanted: self.shaping.wanted(),
            shaped: table.own.shaped,
            transform: self.shaping.stats(),
            input_copy_bytes: table.own.copies.input,
            output_copy_bytes: table.own.copies.output,
            device_copy_bytes: table.own.copies.device,
            notes: table.own.notes.iter().cloned().chain(self.shaping.note()).collect(),
            timing: decode_work::timing(&table),
            latency: table.latency.summary(),
            stages: decode_work::stages(&table),
            in_flight_peak: decode_work::in_flight_peak(&table),
            jitter: table.jitter.deviations().summary(),
            first_frame_after: table.own.since_first_in(table.own.first_out),
            last_frame_after: table.own.since_first_in(table.own.last_out),
            input_queue,
            output_queue,
        }
    }
}
