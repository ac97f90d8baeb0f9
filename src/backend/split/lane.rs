//! One decoder and its thread: takes segment after segment and drains the decoder behind each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::segment_queue::SegmentQueue;
use super::segmenter::Piece;
use super::window::Window;
use crate::backend::{DecodeEvent, DecodeSink, DecoderBackend, SinkFactory};
use crate::error::{Error, Result, panic_message};
use crate::sync::lock;

/// No unit has this serial.
const NONE: u64 = u64::MAX;

/// What a lane's decoder works on, for the sink to know.
pub(super) struct Bench(Mutex<Task>);

struct Task {
    segment: u64,
    /// Serial of the unit whose picture another segment gives.
    echo: u64,
    /// Something was said of one of the segment's units.
    heard: bool,
}

impl Bench {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Task { segment: NONE, echo: NONE, heard: false })))
    }

    /// Makes sinks for the lane's decoder.
    pub(super) fn sinks(self: &Arc<Self>, window: &Arc<Window>) -> SinkFactory {
        let (bench, window) = (Arc::clone(self), Arc::clone(window));
        Box::new(move || bench.sink(&window))
    }

    /// Where the lane's decoder puts its events. A decoder is drained before its lane takes another segment, so that
    /// whatever comes belongs to the segment at hand, from whichever thread.
    fn sink(self: &Arc<Self>, window: &Arc<Window>) -> DecodeSink {
        let (bench, window) = (Arc::clone(self), Arc::clone(window));
        Box::new(move |event| {
            let segment = {
                let mut task = lock(&bench.0);
                task.heard |= serial(&event).is_some();
                if serial(&event) == Some(task.echo) && !is_fatal(&event) {
                    return true;
                }
                task.segment
            };
            window.push(segment, event)
        })
    }

    /// Whatever the decoder says from now on belongs to no segment, unless it has said something of this one: `false`.
    fn clear(&self) -> bool {
        let mut task = lock(&self.0);
        if !task.heard {
            task.segment = NONE;
        }
        !task.heard
    }
}

const fn serial(event: &DecodeEvent) -> Option<u64> {
    match event {
        DecodeEvent::Picture(picture) => Some(picture.serial),
        DecodeEvent::NoPicture { serial, .. } | DecodeEvent::Failed { serial, .. } => Some(*serial),
        DecodeEvent::Note(_) => None,
    }
}

fn is_fatal(event: &DecodeEvent) -> bool {
    matches!(event, DecodeEvent::Failed { error, .. } if !error.is_recoverable())
}

/// Why a lane works no more. Its last segment is still its own, so that others hear of the reason before they have the segment.
pub(super) struct Ended {
    pub(super) error: Error,
    /// Its decoder has taken a unit before.
    pub(super) began: bool,
    pub(super) segment: u64,
    /// The first unit of that segment, of which nothing has come: another decoder may have it. `None`: the segment ends here.
    pub(super) given_back: Option<Piece>,
}

/// Works until the segment queue is closed (`None`), or the decoder fails. `begins` is called when the decoder has taken its first
/// unit: before that nobody knows whether there is one.
///
/// A decoder that fails at the first unit of a segment leaves it to the others: that is how a GPU refuses one more
/// decoder, since a hardware decoder is made for the sequence header that it is given.
pub(super) fn run(
    decoder: &mut dyn DecoderBackend,
    bench: &Bench,
    segments: &SegmentQueue,
    window: &Window,
    begins: impl FnOnce(),
) -> Option<Ended> {
    let mut begins = Some(begins);
    while let Some(segment) = segments.take_part() {
        window.adopt(segment);
        window.wait_for_turn(segment);
        *lock(&bench.0) = Task { segment, echo: NONE, heard: false };
        let mut first = None;
        // A panic in a codec library must end one session, not leave it waiting.
        let done = catch_unwind(AssertUnwindSafe(|| {
            decode(decoder, segment, &mut first, bench, segments, &mut begins)
        }));
        let error = match done {
            Ok(Ok(())) => {
                window.finish(segment, None);
                continue;
            }
            Ok(Err(error)) => error,
            Err(panic) => {
                let message = panic_message(panic.as_ref());
                // What was thrown may panic again when it is dropped; the segment must be finished all the same.
                std::mem::forget(panic);
                Error::corrupt_fatal(format!("the codec library panicked: {message}"))
            }
        };
        let given_back = first.filter(|_| is_own(&error) && bench.clear());
        return Some(Ended { error, began: begins.is_none(), segment, given_back });
    }
    None
}

/// Whether another decoder may well do what this one could not. A lost device is told at once, and a damaged stream is
/// so for all.
const fn is_own(error: &Error) -> bool {
    matches!(
        error,
        Error::Backend { .. }
            | Error::OutOfMemory { .. }
            | Error::SessionLimit { .. }
            | Error::Unavailable { .. }
            | Error::Unsupported { .. }
    )
}

/// Decodes a segment. `first` is its first unit as long as the decoder has not taken it.
fn decode(
    decoder: &mut dyn DecoderBackend,
    segment: u64,
    first: &mut Option<Piece>,
    bench: &Bench,
    segments: &SegmentQueue,
    begins: &mut Option<impl FnOnce()>,
) -> Result<()> {
    let mut is_first = true;
    while let Some(piece) = segments.next(segment) {
        if piece.echo {
            lock(&bench.0).echo = piece.unit.serial;
        }
        // Cheap: the data is shared.
        *first = std::mem::take(&mut is_first).then(|| piece.clone());
        decoder.submit(piece.unit)?;
        if let Some(begins) = begins.take() {
            begins();
        }
    }
    *first = None;
    decoder.flush()
}
