//! One stream on several decoders.
//!
//! ```text
//! units ─► cut into segments ─► segment queue ─► lane 1: a decoder ─┐
//!                                  ├─► lane 2: a decoder ─┼─► window ─► session, in order
//!                                  └─► lane n: a decoder ─┘
//! ```
//!
//! The window gives to a download stage, which hands on to the session: at once, or when a frame that waited in device memory has
//! been brought to the host.
//!
//! A segment begins where decoding can start. Lanes take the oldest segment that nobody has, so that uneven groups of
//! pictures balance themselves, and open their decoder when there is a segment for it and it pays ([`growth`]). Behind
//! each segment the decoder is drained. At an open group's start (HEVC CRA) the segment before also decodes that start,
//! because the leading pictures behind it refer to both sides; its picture is then given by one of the two segments only.
//!
//! It is a decoder like any other to its session: time, books and backpressure are the session's. Nothing is indexed
//! ahead, so that it works on pipes too.

mod growth;
mod lane;
mod segment_queue;
mod segmenter;
mod window;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub(super) use growth::Growth;
use growth::Seen;
use lane::{Bench, Ended};
use segment_queue::{Left, SegmentQueue};
use segmenter::{Segmenter, Step};
use window::Window;

pub(super) use window::Room;

use super::{BackendKind, CardRoom, CodedUnit, DecoderBackend, DownloadStage, SharedReceipt, SinkFactory};
use crate::bitstream::StreamInfo;
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::hang;
use crate::packet::BitstreamLayout;
use crate::stages::DecodeMeter;
use crate::sync::lock;

/// How a stream was shared out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SplitReport {
    /// Decoders that might have been used.
    pub engines: usize,
    /// Decoders that were: each has taken a segment.
    pub opened: usize,
    /// Parts that the stream was cut into.
    pub segments: u64,
    /// Most bytes of pictures that waited for older ones.
    pub peak_window_bytes: u64,
    /// How many there might have been: of the host's memory, and of that of all cards.
    pub window_bytes: (u64, u64),
    /// Why not all were used, or a decoder did not open.
    pub note: Option<String>,
}

/// The report while it is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedReport(Arc<Mutex<SplitReport>>);

impl SharedReport {
    pub(super) fn get(&self) -> SplitReport {
        lock(&self.0).clone()
    }

    fn change(&self, change: impl FnOnce(&mut SplitReport)) {
        change(&mut lock(&self.0));
    }
}

/// The numbers that decoders are opened with: each once, and no more than there may be.
#[derive(Debug)]
struct Numbers(Mutex<(usize, usize)>);

impl Numbers {
    fn new(wanted: usize) -> Self {
        Self(Mutex::new((0, wanted.max(1))))
    }

    fn next(&self) -> Option<usize> {
        let (given, wanted) = &mut *lock(&self.0);
        (*given < *wanted).then(|| std::mem::replace(given, *given + 1))
    }

    fn given(&self) -> usize {
        lock(&self.0).0
    }

    fn wanted(&self) -> usize {
        lock(&self.0).1
    }

    fn want(&self, wanted: usize) {
        lock(&self.0).1 = wanted.max(1);
    }
}

/// Opens the decoder of lane `n`, which puts its events into sinks of this making.
pub(super) type OpenLane =
    dyn Fn(usize, SinkFactory) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)> + Send + Sync;

/// How soon a flush that waits notices that another backend has taken over.
const LOOK: Duration = Duration::from_millis(20);

/// Several decoders that look like one.
struct SplitDecoder {
    segmenter: Segmenter,
    shared: Arc<Shared>,
    lanes: Vec<JoinHandle<()>>,
    /// What decides on the terms, and what it was told of the first decoder.
    terms: Box<DecideTerms>,
    chosen: Chosen,
    seen: Seen,
    /// A segment waited for a decoder that would not have paid.
    held_back: bool,
    codec: Codec,
    delivery: Option<JoinHandle<()>>,
    /// The first lane's decoder, until there is a segment for it.
    first: Option<(Box<dyn DecoderBackend>, Arc<Bench>)>,
    layout: BitstreamLayout,
    implementation: &'static str,
}

struct Shared {
    segments: SegmentQueue,
    lanes: Numbers,
    window: Arc<Window>,
    open: Box<OpenLane>,
    /// Of the first lane.
    receipt: SharedReceipt,
    report: SharedReport,
    /// Calls of all lanes.
    meter: Arc<DecodeMeter>,
    /// What went wrong with a decoder first.
    trouble: Mutex<Option<String>>,
}

/// A decoder's kind and name, once it is known.
type Chosen = Option<(BackendKind, &'static str)>;

/// The terms when the first decoder is of this kind.
pub(super) type DecideTerms = dyn Fn(Chosen) -> Terms + Send;

/// What a stream may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Decoders that there may be.
    pub(super) lanes: usize,
    /// When they come.
    pub(super) growth: Growth,
    /// How much of pictures may wait for older ones.
    pub(super) room: Room,
    /// Parts from the oldest on that may be decoded.
    pub(super) ahead: u64,
}

/// Ends all waiting when it is dropped.
struct Close<'a>(&'a Shared);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.0.window.close();
        self.0.segments.close();
    }
}

/// Opens the first decoder, so that its errors are the caller's; what it is decides on the terms, and on the download stage through
/// which events reach the session.
///
/// # Errors
/// The first decoder's, or no thread.
pub(super) fn open(
    codec: Codec,
    download: impl FnOnce(Chosen) -> Box<dyn DownloadStage>,
    cards: Arc<CardRoom>,
    open: Box<OpenLane>,
    terms: Box<DecideTerms>,
) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)> {
    // How large the window may be is known once the first decoder is there, and it needs the window.
    let window = Arc::new(Window::new(cards));
    let meter = Arc::default();
    let bench = Bench::new(&meter);
    let (decoder, receipt) = open(0, bench.sinks(&window))?;
    let chosen = receipt.get().chosen();
    let mut download = download(chosen);
    let terms_now = terms(chosen);
    let (wanted, growth) = (terms_now.lanes, terms_now.growth);
    let report = SharedReport::default();
    apply(&window, &report, terms_now);
    receipt.set_split(report.clone());
    let shared = Arc::new(Shared {
        segments: SegmentQueue::new(segment_queue::MAX_BYTES),
        lanes: Numbers::new(wanted),
        window,
        open,
        receipt: receipt.clone(),
        report,
        meter,
        trouble: Mutex::new(None),
    });
    let delivery = {
        let shared = Arc::clone(&shared);
        spawn("vhw-order", move || {
            // Whoever waits to bring more units need not any longer, however this ends.
            let _close = Close(&shared);
            shared.window.deliver(download.as_mut());
        })?
    };
    let decoder = SplitDecoder {
        segmenter: Segmenter::new(codec),
        shared,
        lanes: Vec::new(),
        terms,
        chosen,
        seen: Seen::new(growth),
        codec,
        delivery: Some(delivery),
        layout: decoder.input_layout(),
        implementation: decoder.implementation(),
        first: Some((decoder, bench)),
        held_back: false,
    };
    Ok((Box::new(decoder), receipt))
}

impl SplitDecoder {
    fn step(&mut self, step: Step) -> Result<()> {
        let segments = &self.shared.segments;
        if let Step::Append(piece) | Step::AppendToPrevious(piece) | Step::Begin(piece) = &step
            && !piece.echo
        {
            self.seen.picture();
        }
        match step {
            Step::Append(piece) => segments.append(piece, false),
            Step::AppendToPrevious(piece) => segments.append(piece, true),
            Step::ClosePrevious => segments.close_previous(),
            Step::Begin(piece) => {
                if self.seen.wants_size()
                    && let Ok(Some(info)) =
                        StreamInfo::from_unit(self.codec, self.layout, &piece.unit.packet.data)
                {
                    self.seen.size(info.dimensions);
                }
                let waiting = segments.begin(self.shared.window.begin(), piece);
                self.shared.report.change(|report| report.segments += 1);
                self.ask_again();
                if self.shared.lanes.given() == 0 {
                    self.add_lane()?;
                } else if waiting > 0 {
                    self.grow()?;
                }
            }
        }
        Ok(())
    }

    /// A segment waits: one more decoder, if there may be one and it pays.
    fn grow(&mut self) -> Result<()> {
        let given = self.shared.lanes.given();
        if given < self.shared.lanes.wanted() {
            if self.seen.pays(given) {
                return self.add_lane();
            }
            self.held_back = true;
        }
        Ok(())
    }

    /// A decoder that refuses its stream is replaced by another kind, for which other terms hold. True: they do now.
    fn ask_again(&mut self) -> bool {
        let chosen = self.shared.receipt.get().chosen();
        if chosen.map(|(kind, _)| kind) == self.chosen.map(|(kind, _)| kind) {
            return false;
        }
        self.chosen = chosen;
        self.held_back = false;
        let terms = (self.terms)(chosen);
        self.shared.lanes.want(terms.lanes);
        apply(&self.shared.window, &self.shared.report, terms);
        self.seen.grow(terms.growth);
        true
    }

    /// One more decoder, opened on its own thread: opening takes milliseconds.
    fn add_lane(&mut self) -> Result<()> {
        let Some(number) = self.shared.segments.join(|| self.shared.lanes.next()) else { return Ok(()) };
        let (shared, mut first, layout) = (Arc::clone(&self.shared), self.first.take(), self.layout);
        let lane = spawn("vhw-decode-part", move || {
            let mut number = number;
            // One that cannot even begin leaves its segment to others. When there is none, the next may be on another card.
            while let Some((error, refused)) = shared.work(number, first.take(), layout) {
                match shared.left(error, refused) {
                    Some(next) => number = next,
                    None => return,
                }
            }
        });
        match lane {
            Ok(lane) => self.lanes.push(lane),
            Err(error) if self.lanes.is_empty() => return Err(error),
            // The others go on without it, and no more are tried.
            Err(error) => {
                self.shared.lanes.want(number);
                self.shared.note(format!("decoder {} has no thread: {error}", number + 1));
                self.shared.left(error, false);
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
    /// What a lane does, until there is nothing to do (`None`), or its decoder fails: why, and whether that was before
    /// anything was decoded.
    fn work(
        &self,
        number: usize,
        first: Option<(Box<dyn DecoderBackend>, Arc<Bench>)>,
        layout: BitstreamLayout,
    ) -> Option<(Error, bool)> {
        let (mut decoder, bench) = match first.map_or_else(|| self.open_lane(number, layout), Ok) {
            Ok(opened) => opened,
            Err(error) => {
                self.note(format!("decoder {} did not open: {error}", number + 1));
                return Some((error, true));
            }
        };
        // One that is opened and finds nothing left to do was not used.
        let begins = || self.report.change(|report| report.opened += 1);
        let ended = lane::run(decoder.as_mut(), &bench, &self.segments, &self.window, begins);
        let Ended { error, began, segment, given_back } = ended?;
        let what = if began { "ended" } else { "could not start" };
        self.note(format!("decoder {} {what}: {error}", number + 1));
        let refused = given_back.is_some();
        if let Some(first) = given_back {
            self.window.orphan(segment);
            self.segments.give_back(segment, first);
        } else {
            self.window.finish(segment, Some(error.clone()));
        }
        Some((error, refused))
    }

    fn open_lane(
        &self,
        number: usize,
        layout: BitstreamLayout,
    ) -> Result<(Box<dyn DecoderBackend>, Arc<Bench>)> {
        let bench = Bench::new(&self.meter);
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

    /// A decoder is gone. The others go on without it; when there is none, the next of this number may take its place if it
    /// was refused, and else the session ends with its error.
    fn left(&self, error: Error, refused: bool) -> Option<usize> {
        match self.segments.leave(|| if refused { self.lanes.next() } else { None }) {
            Left::Replaced(next) => return Some(next),
            Left::Gone => {}
            Left::Abandons(segment) => self.window.finish(segment, Some(error)),
        }
        None
    }

    /// The first word stays; it goes before what a flush has to say.
    fn note(&self, note: String) {
        let mut trouble = lock(&self.trouble);
        let first = trouble.get_or_insert(note).clone();
        drop(trouble);
        self.report.change(|report| report.note = Some(first));
    }

    fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }
}

impl DecoderBackend for SplitDecoder {
    fn input_layout(&self) -> BitstreamLayout {
        self.layout
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        if self.shared.window.is_closed() || !self.shared.segments.wait_for_room(self.shared.lanes.wanted()) {
            return Err(self.ended());
        }
        self.segmenter.push(unit).into_iter().try_for_each(|step| self.step(step))
    }

    fn flush(&mut self) -> Result<()> {
        self.shared.segments.close_all();
        self.segmenter.end();
        // The first decoder may find out only now that it cannot decode this, and what takes its place has terms of its own.
        let mut too_late = false;
        let done = loop {
            if self.ask_again() {
                let waiting = self.shared.segments.waiting();
                too_late = waiting == 0;
                for _ in 0..waiting {
                    self.grow()?;
                }
            }
            if let Some(done) = self.shared.window.wait_idle(LOOK) {
                break done;
            }
        };
        too_late |= self.ask_again();
        let (peak, held_back) = (self.shared.window.peak(), self.held_back);
        self.shared.report.change(|report| {
            // What a decoder says from here on it writes over this.
            let trouble = self.shared.trouble();
            report.peak_window_bytes = peak;
            let few = if report.segments == 1 && report.engines > 1 {
                Some("decoding can start in one place only, so one decoder did it all".to_owned())
            } else if too_late && report.opened < report.engines {
                Some("another backend took over when there was nothing left to share".to_owned())
            } else if held_back && report.opened < report.engines {
                let more = if report.opened == 1 { "a second decoder" } else { "more decoders" };
                Some(format!("the stream was too short for {more} to pay"))
            } else {
                None
            };
            report.note = trouble.or(few);
        });
        if done { Ok(()) } else { Err(self.ended()) }
    }

    fn implementation(&self) -> &'static str {
        self.implementation
    }

    fn meter(&self) -> Option<Arc<DecodeMeter>> {
        Some(Arc::clone(&self.shared.meter))
    }
}

impl Drop for SplitDecoder {
    fn drop(&mut self) {
        // Decoders that wait for room stop waiting, and say so to their libraries.
        self.shared.window.close();
        self.shared.segments.close();
        for thread in self.lanes.drain(..).chain(self.delivery.take()) {
            // Lanes catch panics; there is nothing to learn from the result.
            let _ = thread.join();
        }
    }
}

/// What the window and the report have to know of the terms.
fn apply(window: &Window, report: &SharedReport, terms: Terms) {
    let Terms { lanes, room, ahead, .. } = terms;
    window.set_room(room, ahead);
    report.change(|report| {
        report.engines = lanes;
        report.window_bytes = (room.host, room.cards);
    });
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    hang::spawn(name, work).map_err(|source| Error::io("start a thread for", name, source))
}

#[cfg(test)]
mod tests;
