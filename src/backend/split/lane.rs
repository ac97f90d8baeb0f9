//! One decoder and its thread: takes part after part and drains the decoder behind each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::cut::Piece;
use super::intake::Intake;
use super::window::Window;
use crate::backend::{DecodeEvent, DecodeSink, DecoderBackend, SinkFactory};
use crate::error::{Error, Result, panic_words};
use crate::sync::lock;

/// No unit has this serial.
const NONE: u64 = u64::MAX;

/// What a lane's decoder works on, for the sink to know.
pub(super) struct Bench(Mutex<Task>);

struct Task {
    part: u64,
    /// Serial of the unit whose picture another part gives.
    echo: u64,
    /// Something was said of one of the part's units.
    heard: bool,
}

impl Bench {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Task { part: NONE, echo: NONE, heard: false })))
    }

    /// Makes sinks for the lane's decoder.
    pub(super) fn sinks(self: &Arc<Self>, window: &Arc<Window>) -> SinkFactory {
        let (bench, window) = (Arc::clone(self), Arc::clone(window));
        Box::new(move || bench.sink(&window))
    }

    /// Where the lane's decoder puts its events. A decoder is drained before its lane takes another part, so that
    /// whatever comes belongs to the part at hand, from whichever thread.
    fn sink(self: &Arc<Self>, window: &Arc<Window>) -> DecodeSink {
        let (bench, window) = (Arc::clone(self), Arc::clone(window));
        Box::new(move |event| {
            let part = {
                let mut task = lock(&bench.0);
                task.heard |= serial(&event).is_some();
                if serial(&event) == Some(task.echo) && !is_fatal(&event) {
                    return true;
                }
                task.part
            };
            window.push(part, event)
        })
    }

    /// Whatever the decoder says from now on belongs to no part, unless it has said something of this one: `false`.
    fn clear(&self) -> bool {
        let mut task = lock(&self.0);
        if !task.heard {
            task.part = NONE;
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

/// Why a lane works no more. Its last part is still its own, so that others hear of the reason before they have the part.
pub(super) struct Ended {
    pub(super) error: Error,
    /// Its decoder has taken a unit before.
    pub(super) began: bool,
    pub(super) part: u64,
    /// The first unit of that part, of which nothing has come: another decoder may have it. `None`: the part ends here.
    pub(super) given_back: Option<Piece>,
}

/// Works until the intake is closed (`None`), or the decoder fails. `begins` is called when the decoder has taken its first
/// unit: before that nobody knows whether there is one.
///
/// A decoder that fails at the first unit of a part leaves it to the others: that is how a GPU refuses one more
/// decoder, since a hardware decoder is made for the sequence header that it is given.
pub(super) fn run(
    decoder: &mut dyn DecoderBackend,
    bench: &Bench,
    intake: &Intake,
    window: &Window,
    begins: impl FnOnce(),
) -> Option<Ended> {
    let mut begins = Some(begins);
    while let Some(part) = intake.take_part() {
        window.adopt(part);
        window.wait_for_turn(part);
        *lock(&bench.0) = Task { part, echo: NONE, heard: false };
        let mut first = None;
        // A panic in a codec library must end one session, not leave it waiting.
        let done =
            catch_unwind(AssertUnwindSafe(|| decode(decoder, part, &mut first, bench, intake, &mut begins)));
        let error = match done {
            Ok(Ok(())) => {
                window.finish(part, None);
                continue;
            }
            Ok(Err(error)) => error,
            Err(panic) => {
                let words = panic_words(panic.as_ref());
                // What was thrown may panic again when it is dropped; the part must be finished all the same.
                std::mem::forget(panic);
                Error::corrupt_fatal(format!("the codec library panicked: {words}"))
            }
        };
        let given_back = first.filter(|_| is_own(&error) && bench.clear());
        return Some(Ended { error, began: begins.is_none(), part, given_back });
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

/// Decodes a part. `first` is its first unit as long as the decoder has not taken it.
fn decode(
    decoder: &mut dyn DecoderBackend,
    part: u64,
    first: &mut Option<Piece>,
    bench: &Bench,
    intake: &Intake,
    begins: &mut Option<impl FnOnce()>,
) -> Result<()> {
    let mut is_first = true;
    while let Some(piece) = intake.next(part) {
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
