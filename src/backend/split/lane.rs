//! One decoder and its thread: takes segment after segment and drains the decoder behind each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::segment_queue::SegmentQueue;
use super::segmenter::Piece;
use super::window::Window;
use crate::backend::{DecodeEvent, DecodeSink, DecoderBackend, SinkFactory};
use crate::error::{Error, Result, panic_message};
use crate::stages::DecodeMeter;
use crate::sync::lock;

/// No unit has this serial.
const NONE: u64 = u64::MAX;

/// The current task of a lane's decoder and its counters, shared with the sink.
pub(super) struct Bench {
    task: Mutex<Task>,
    /// Nanoseconds in which the decoder waited for room in the window.
    blocked: AtomicU64,
    meter: Arc<DecodeMeter>,
}

struct Task {
    segment: u64,
    /// Serial of the unit whose picture another segment gives.
    echo: u64,
    /// Something was said of one of the segment's units.
    heard: bool,
    /// Units that the decoder has been given and has not answered.
    inside: usize,
}

impl Task {
    const fn of(segment: u64) -> Self {
        Self { segment, echo: NONE, heard: false, inside: 0 }
    }
}

impl Bench {
    /// `meter`: of all lanes of the stream.
    pub(super) fn new(meter: &Arc<DecodeMeter>) -> Arc<Self> {
        Arc::new(Self {
            task: Mutex::new(Task::of(NONE)),
            blocked: AtomicU64::new(0),
            meter: Arc::clone(meter),
        })
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
                let mut task = lock(&bench.task);
                if serial(&event).is_some() {
                    task.heard = true;
                    bench.leave(&mut task, 1);
                }
                if serial(&event) == Some(task.echo) && !is_fatal(&event) {
                    return true;
                }
                task.segment
            };
            let begun = Instant::now();
            let taken = window.push(segment, event);
            let waited = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            bench.blocked.fetch_add(waited, Ordering::Relaxed);
            taken
        })
    }

    /// The decoder is given a unit.
    fn enter(&self) {
        lock(&self.task).inside += 1;
        self.meter.enter();
    }

    /// Removes up to `most` units from those inside the decoder.
    fn leave(&self, task: &mut Task, most: usize) {
        let left = task.inside.min(most);
        task.inside -= left;
        self.meter.leave(left);
    }

    /// A call of the decoder: counted, less the time in which it waited for room.
    fn timed<T>(&self, call: impl FnOnce() -> T) -> T {
        let blocked = || Duration::from_nanos(self.blocked.load(Ordering::Relaxed));
        let (before, begun) = (blocked(), Instant::now());
        let done = call();
        let waited = blocked().saturating_sub(before);
        self.meter.decode.record(begun.elapsed().saturating_sub(waited));
        done
    }

    /// Whatever the decoder says from now on belongs to no segment, unless it has said something of this one: `false`.
    fn clear(&self) -> bool {
        let mut task = lock(&self.task);
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
        *lock(&bench.task) = Task::of(segment);
        let mut first = None;
        // A panic in a codec library must end one session, not leave it waiting.
        let done = catch_unwind(AssertUnwindSafe(|| {
            decode(decoder, segment, &mut first, bench, segments, &mut begins)
        }));
        // Behind a failure there may be units without an answer.
        bench.leave(&mut lock(&bench.task), usize::MAX);
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
            lock(&bench.task).echo = piece.unit.serial;
        }
        // Cheap: the data is shared.
        *first = std::mem::take(&mut is_first).then(|| piece.clone());
        bench.enter();
        bench.timed(|| decoder.submit(piece.unit))?;
        if let Some(begins) = begins.take() {
            begins();
        }
    }
    *first = None;
    bench.timed(|| decoder.flush())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::CardRoom;
    use crate::backend::split::window::Room;

    const ANSWER: DecodeEvent = DecodeEvent::NoPicture { serial: 0, reason: "test" };

    #[test]
    fn a_wait_for_room_is_no_part_of_a_call() {
        let meter = Arc::default();
        let bench = Bench::new(&meter);
        bench.timed(|| ());
        let alone = meter.decode.distribution().total();
        // Longer than any call takes.
        let wait = Duration::from_secs(3600);
        let answer = bench.timed(|| bench.blocked.fetch_add(wait.as_nanos() as u64, Ordering::Relaxed));
        assert_eq!((answer, meter.decode.distribution().count()), (0, 2));
        assert_eq!(meter.decode.distribution().total(), alone);
    }

    #[test]
    fn waiting_in_the_window_is_a_wait_for_room() {
        let window = Arc::new(Window::new(Arc::new(CardRoom::new())));
        window.set_room(Room::of(1), u64::MAX);
        let bench = Bench::new(&Arc::default());
        // Of the second segment nothing fits but when nothing else is there.
        let segments = [window.begin(), window.begin()];
        for _ in 0..2 {
            assert!(window.push(segments[0], ANSWER));
        }
        let mut sink = bench.sink(&window);
        *lock(&bench.task) = Task::of(segments[1]);
        let waits = std::thread::spawn(move || sink(ANSWER));
        window.close();
        assert!(!waits.join().unwrap());
        assert!(bench.blocked.load(Ordering::Relaxed) > 0);
    }

    #[test]
    fn units_are_in_flight_until_they_are_answered_or_their_decoder_ends() {
        let window = Arc::new(Window::new(Arc::new(CardRoom::new())));
        let meter = Arc::default();
        let (one, other) = (Bench::new(&meter), Bench::new(&meter));
        let segment = window.begin();
        for bench in [&one, &other] {
            *lock(&bench.task) = Task::of(segment);
        }
        let mut sink = one.sink(&window);
        for _ in 0..5 {
            one.enter();
            assert!(sink(ANSWER));
        }
        assert_eq!(meter.in_flight_peak(), 1);
        // A surplus answer belongs to no unit.
        assert!(sink(ANSWER));
        one.enter();
        one.enter();
        other.enter();
        assert_eq!(meter.in_flight_peak(), 3);
        // The first one's decoder has failed.
        one.leave(&mut lock(&one.task), usize::MAX);
        other.enter();
        other.enter();
        assert_eq!(meter.in_flight_peak(), 3);
        other.enter();
        assert_eq!(meter.in_flight_peak(), 4);
    }
}
