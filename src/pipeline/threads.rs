//! The threads of a transcode besides those of its sessions: one from decoder to encoder, and the caller's, from encoder
//! to file.

use std::cell::Cell;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::control::{CancelToken, Progress, Reporter};
use super::filter::{FilterSummary, FrameFilter};
use super::frame_times::FrameTimes;
use super::passthrough::Passthrough;
use super::source::{FrameSource, SourceInfo, SourceSummary};
use crate::container::{Muxer, TrackId};
use crate::error::{Error, Result};
use crate::failover::FailoverLog;
use crate::frame::Frame;
use crate::packet::Packet;
use crate::session::{EncodeInput, EncodeOutput, Losses, Takeover};
use crate::time::Timestamp;

/// How long the caller's thread waits for a packet before it looks at the clock again.
const POLL: Duration = Duration::from_millis(50);

/// What went through the thread between decoder and encoder.
pub(super) struct Filtered {
    pub(super) input: SourceSummary,
    pub(super) filter: FilterSummary,
    pub(super) losses: Losses,
}

/// What a transcode knows of the pictures that it begins with.
pub(super) struct Beginning {
    /// The first of them.
    pub(super) first: Frame,
    /// The input, for messages.
    pub(super) input: PathBuf,
    pub(super) times: FrameTimes,
}

/// Told of a backend that has died and of the one that took over.
pub(super) type TakeoverFn<'a> = Box<dyn FnMut(&Takeover) + 'a>;

/// The thread between decoder and encoder. Dropped without being waited for, as by a panic of the caller's, it is asked to
/// end: it may wait for an input that is silent, and hear of nothing else.
pub(super) struct FilterStage {
    thread: Option<JoinHandle<Result<Filtered>>>,
    token: CancelToken,
}

impl FilterStage {
    pub(super) fn spawn(
        mut source: FrameSource,
        Beginning { first, input, mut times }: Beginning,
        mut filter: FrameFilter,
        mut encoder: EncodeInput,
        token: CancelToken,
    ) -> Result<Self> {
        let work = move || {
            let decoded = source.info().codec.is_some();
            let refused = Cell::new(false);
            let mut emit = |frame: Frame| encoder.submit_blocking(frame).inspect_err(|_| refused.set(true));
            // What the encoder refuses may be a setting; what cannot be converted is the input's.
            let named = |error: Error| if refused.get() { error } else { error.of_input(&input) };
            let mut next = Some(first);
            while let Some(frame) = next {
                filter.push(times.place(frame, &input)?, &mut emit).map_err(named)?;
                next = if filter.is_full() {
                    None
                } else {
                    // Lists of times that somebody gave with uncompressed pictures are arguments.
                    source.next_frame().map_err(|e| if decoded { e.of_input(&input) } else { e })?
                };
            }
            filter.finish(&mut emit).map_err(named)?;
            encoder.flush()?;
            let mut summary = source.summary();
            summary.times_mended = times.mended().count();
            if let Some(problem) = times.mended().problem() {
                summary.problem_count += 1;
                summary.problems.push(problem);
            }
            Ok(Filtered { input: summary, filter: filter.summary(), losses: filter.losses().clone() })
        };
        std::thread::Builder::new()
            .name("vhw-filter".to_owned())
            .spawn(work)
            .map(|thread| Self { thread: Some(thread), token })
            .map_err(|source| Error::io("start a thread for", "vhw-filter", source))
    }

    /// Asks it to end with what it has.
    pub(super) fn stop(&self) {
        self.token.cancel();
    }

    pub(super) fn join(mut self) -> Result<Filtered> {
        let done = self.thread.take().and_then(|thread| thread.join().ok());
        done.unwrap_or_else(|| Err(Error::corrupt_fatal("a frame conversion panicked")))
    }
}

impl Drop for FilterStage {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop();
        }
    }
}

/// The caller's thread: packets to samples.
pub(super) struct Writer<'a, 'p> {
    pub(super) muxer: &'a mut dyn Muxer,
    pub(super) video_track: TrackId,
    pub(super) passthrough: Passthrough,
    pub(super) packets: EncodeOutput,
    pub(super) reporter: Reporter<'p>,
    pub(super) on_takeover: Option<TakeoverFn<'p>>,
    /// Who decodes, where anybody does.
    pub(super) decoders: Option<FailoverLog>,
    /// Takeovers of decoders and of encoders that were told.
    pub(super) told: (usize, usize),
    /// Go on without frames that an encoder lost.
    pub(super) keep_going: bool,
    /// Frames that were lost and gone over.
    pub(super) lost: u64,
    pub(super) info: &'a SourceInfo,
    /// Whether a number of frames ends the job.
    pub(super) limited: bool,
    /// Frames to expect, where known.
    pub(super) total_frames: Option<u64>,
    pub(super) started: Instant,
    pub(super) samples: u64,
    pub(super) bytes: u64,
    pub(super) end: Option<Timestamp>,
}

impl Writer<'_, '_> {
    pub(super) fn run(&mut self, cancel: &CancelToken) -> Result<()> {
        loop {
            let next = self.packets.reap_timeout(POLL);
            self.tell_takeovers();
            self.passthrough.relieve(self.muxer)?;
            match next {
                Ok(Some(packet)) => self.write(packet)?,
                Ok(None) if self.packets.is_finished() => break,
                Ok(None) => {}
                // What went with its device is gone; the rest of the stream need not be.
                Err(error)
                    if error.is_recoverable()
                        && (self.keep_going || self.lost < self.packets.lost_with_device()) =>
                {
                    self.lost += 1;
                }
                Err(error) => return Err(error),
            }
            self.report(false);
        }
        if !self.packets.was_flushed() {
            return Ok(());
        }
        // A cut-short video must not be followed by the rest of the sound.
        let until = if cancel.is_cancelled() || self.limited { self.end } else { None };
        self.passthrough.finish(self.muxer, until)?;
        self.report(true);
        Ok(())
    }

    fn tell_takeovers(&mut self) {
        let decoders = self.decoders.as_ref().map_or_else(Vec::new, |decoders| decoders.since(self.told.0));
        let encoders = self.packets.takeovers_since(self.told.1);
        self.told = (self.told.0 + decoders.len(), self.told.1 + encoders.len());
        for takeover in decoders.into_iter().chain(encoders) {
            if let Some(tell) = &mut self.on_takeover {
                tell(&takeover);
            }
        }
    }

    fn write(&mut self, packet: Packet) -> Result<()> {
        if let Some(dts) = packet.dts {
            self.passthrough.advance(self.muxer, dts)?;
        }
        let shown_until =
            packet.pts.map(|t| t.offset(packet.duration.and_then(|d| i64::try_from(d).ok()).unwrap_or(0)));
        self.end = self.end.max(shown_until);
        self.samples += 1;
        self.bytes += packet.data.len() as u64;
        // Times that the format cannot carry are those of the input.
        self.muxer.write(&packet.on(self.video_track)).map_err(|e| e.of_input(&self.info.path))
    }

    fn report(&mut self, last: bool) {
        let (samples, end, bytes, started) = (self.samples, self.end, self.bytes, self.started);
        let total_frames = self.total_frames;
        let total = self.info.duration;
        self.reporter.update(last, || Progress {
            frames: samples,
            total_frames,
            position: end,
            total,
            bytes,
            elapsed: started.elapsed(),
        });
    }
}
