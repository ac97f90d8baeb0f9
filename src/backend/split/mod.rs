//! One stream on several decoders.
//!
//! ```text
//! units ─► cut into parts ─► intake ─► lane 1: a decoder ─┐
//!                                  ├─► lane 2: a decoder ─┼─► window ─► session, in order
//!                                  └─► lane n: a decoder ─┘
//! ```
//!
//! A part begins where decoding can start. Lanes take the oldest part that nobody has, so that uneven groups of
//! pictures balance themselves, and open their decoder when there is a part for it: short streams pay for few. Behind
//! each part the decoder is drained. At an open group's start (HEVC CRA) the part before also decodes that start,
//! because the leading pictures behind it refer to both sides; its picture is then given by one of the two parts only.
//!
//! It is a decoder like any other to its session: time, books and backpressure are the session's. Nothing is indexed
//! ahead, so that it works on pipes too.

mod cut;
mod intake;
mod lane;
mod window;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cut::{Cutter, Step};
use intake::Intake;
use lane::{Bench, Ended};
use window::Window;

use super::{CodedUnit, DecodeSink, DecoderBackend, SharedReceipt, SinkFactory};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;

/// How a stream was shared out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SplitReport {
    /// Decoders that might have been used.
    pub engines: usize,
    /// Decoders that were.
    pub opened: usize,
    /// Parts that the stream was cut into.
    pub parts: u64,
    /// Most bytes of pictures that waited for older ones.
    pub peak_window_bytes: u64,
    /// Why not all were used, or a decoder did not open.
    pub note: Option<String>,
}

/// The report while it is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedReport(Arc<Mutex<SplitReport>>);

impl SharedReport {
    pub(super) fn get(&self) -> SplitReport {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut SplitReport)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Opens the decoder of lane `n`, which puts its events into sinks of this making.
pub(super) type OpenLane =
    dyn Fn(usize, SinkFactory) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)> + Send + Sync;

/// Several decoders that look like one.
struct SplitDecoder {
    cutter: Cutter,
    shared: Arc<Shared>,
    lanes: Vec<JoinHandle<()>>,
    /// Lanes that there may be.
    wanted: usize,
    delivery: Option<JoinHandle<()>>,
    /// The first lane's decoder, until there is a part for it.
    first: Option<(Box<dyn DecoderBackend>, Arc<Bench>)>,
    layout: BitstreamLayout,
    implementation: &'static str,
}

struct Shared {
    intake: Intake,
    window: Arc<Window>,
    open: Box<OpenLane>,
    /// Of the first lane.
    receipt: SharedReceipt,
    report: SharedReport,
}

/// Ends all waiting when it is dropped.
struct Close<'a>(&'a Shared);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.0.window.close();
        self.0.intake.close();
    }
}

/// Opens the first decoder, so that its errors are the caller's; `lanes` tells how many there may be, given the kind
/// of the first, and how many bytes of pictures may wait for older ones.
///
/// # Errors
/// The first decoder's, or no thread.
pub(super) fn open(
    codec: Codec,
    mut sink: DecodeSink,
    open: Box<OpenLane>,
    lanes: impl FnOnce(&SharedReceipt) -> (usize, u64),
) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)> {
    // How large the window may be is known once the first decoder is there, and it needs the window.
    let window = Arc::new(Window::new());
    let bench = Bench::new();
    let (decoder, receipt) = open(0, bench.sinks(&window))?;
    let (wanted, limit) = lanes(&receipt);
    window.set_limit(limit);
    let report = SharedReport::default();
    report.change(|report| report.engines = wanted);
    receipt.set_split(report.clone());
    let shared = Arc::new(Shared {
        intake: Intake::new(intake::MAX_BYTES),
        window,
        open,
        receipt: receipt.clone(),
        report,
    });
    let delivery = {
        let shared = Arc::clone(&shared);
        spawn("vhw-order", move || {
            // Whoever waits to bring more units need not any longer, however this ends.
            let _close = Close(&shared);
            shared.window.deliver(&mut sink);
        })?
    };
    let decoder = SplitDecoder {
        cutter: Cutter::new(codec),
        shared,
        lanes: Vec::new(),
        wanted: wanted.max(1),
        delivery: Some(delivery),
        layout: decoder.input_layout(),
        implementation: decoder.implementation(),
        first: Some((decoder, bench)),
    };
    Ok((Box::new(decoder), receipt))
}

impl SplitDecoder {
    fn step(&mut self, step: Step) -> Result<()> {
        let intake = &self.shared.intake;
        match step {
            Step::Append(piece) => intake.append(piece, false),
            Step::AppendToPrevious(piece) => intake.append(piece, true),
            Step::ClosePrevious => intake.close_previous(),
            Step::Begin(piece) => {
                let waiting = intake.begin(self.shared.window.begin(), piece);
                self.shared.report.change(|report| report.parts += 1);
                if waiting > 0 && self.lanes.len() < self.wanted {
                    self.add_lane()?;
                }
            }
        }
        Ok(())
    }

    /// One more decoder, opened on its own thread: opening takes milliseconds.
    fn add_lane(&mut self) -> Result<()> {
        let number = self.lanes.len();
        let (shared, first, layout) = (Arc::clone(&self.shared), self.first.take(), self.layout);
        shared.intake.join();
        let lane = spawn("vhw-decode-part", move || {
            let ended = match first.map_or_else(|| shared.open_lane(number, layout), Ok) {
                Ok((mut decoder, bench)) => {
                    shared.report.change(|report| report.opened += 1);
                    lane::run(decoder.as_mut(), &bench, &shared.intake, &shared.window)
                }
                Err(error) => {
                    shared.note(format!("decoder {} did not open: {error}", number + 1));
                    shared.left(error);
                    return;
                }
            };
            if let Some(Ended { error, parts }) = ended {
                let what = if parts == 0 { "could not start" } else { "ended" };
                shared.report.change(|report| report.opened -= usize::from(parts == 0));
                shared.note(format!("decoder {} {what}: {error}", number + 1));
                shared.left(error);
            }
        });
        match lane {
            Ok(lane) => self.lanes.push(lane),
            Err(error) if self.lanes.is_empty() => return Err(error),
            // The others go on without it, and no more are tried.
            Err(error) => {
                self.wanted = number;
                self.shared.note(format!("decoder {} has no thread: {error}", number + 1));
                self.shared.left(error);
            }
        }
        Ok(())
    }

    /// The reason for which no more is decoded.
    fn ended(&self) -> Error {
        // Without a failure of a decoder the session itself wants no more, and knows why.
        self.shared.window.take_failure().unwrap_or(Error::Cancelled)
    }
}

impl Shared {
    fn open_lane(
        &self,
        number: usize,
        layout: BitstreamLayout,
    ) -> Result<(Box<dyn DecoderBackend>, Arc<Bench>)> {
        let bench = Bench::new();
        let (decoder, receipt) = (self.open)(number, bench.sinks(&self.window))?;
        if decoder.input_layout() != layout {
            return Err(Error::unsupported("it takes another layout of the stream than the first"));
        }
        let (chosen, first) = (receipt.get().chosen(), self.receipt.get().chosen());
        if let (Some((chosen, _)), Some((first, _))) = (chosen, first)
            && chosen != first
        {
            self.note(format!("decoder {} runs on {chosen}, the first on {first}", number + 1));
        }
        Ok((decoder, bench))
    }

    /// A decoder is gone. The others go on without it; when there is none, the session ends with the last one's error.
    fn left(&self, error: Error) {
        if let Some(part) = self.intake.leave() {
            self.window.finish(part, Some(error));
        }
    }

    fn note(&self, note: String) {
        self.report.change(|report| {
            report.note.get_or_insert(note);
        });
    }
}

impl DecoderBackend for SplitDecoder {
    fn input_layout(&self) -> BitstreamLayout {
        self.layout
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        if self.shared.window.is_closed() || !self.shared.intake.wait_for_room(self.wanted) {
            return Err(self.ended());
        }
        self.cutter.push(unit).into_iter().try_for_each(|step| self.step(step))
    }

    fn flush(&mut self) -> Result<()> {
        self.shared.intake.close_all();
        self.cutter.end();
        let done = self.shared.window.wait_idle();
        let peak = self.shared.window.peak();
        self.shared.report.change(|report| {
            report.peak_window_bytes = peak;
            if report.parts == 1 && report.engines > 1 && report.note.is_none() {
                report.note =
                    Some("decoding can start in one place only, so one decoder did it all".to_owned());
            }
        });
        if done { Ok(()) } else { Err(self.ended()) }
    }

    fn implementation(&self) -> &'static str {
        self.implementation
    }
}

impl Drop for SplitDecoder {
    fn drop(&mut self) {
        // Decoders that wait for room stop waiting, and say so to their libraries.
        self.shared.window.close();
        self.shared.intake.close();
        for thread in self.lanes.drain(..).chain(self.delivery.take()) {
            // Lanes catch panics; there is nothing to learn from the result.
            let _ = thread.join();
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|source| Error::io("start a thread for", name, source))
}
