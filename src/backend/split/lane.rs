//! One decoder and its thread: takes part after part and drains the decoder behind each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::intake::Intake;
use super::window::Window;
use crate::backend::{DecodeEvent, DecodeSink, DecoderBackend, SinkFactory};
use crate::error::{Error, Result};

/// No unit has this serial.
const NONE: u64 = u64::MAX;

/// What a lane's decoder works on, for the sink to know.
pub(super) struct Bench {
    part: AtomicU64,
    /// Serial of the unit whose picture another part gives.
    echo: AtomicU64,
}

impl Bench {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { part: AtomicU64::new(NONE), echo: AtomicU64::new(NONE) })
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
            if serial(&event) == Some(bench.echo.load(Ordering::Acquire)) && !is_fatal(&event) {
                return true;
            }
            window.push(bench.part.load(Ordering::Acquire), event)
        })
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

/// Works until the intake is closed, or the decoder fails.
pub(super) fn run(decoder: &mut dyn DecoderBackend, bench: &Bench, intake: &Intake, window: &Window) {
    while let Some(part) = intake.take_part() {
        bench.part.store(part, Ordering::Release);
        bench.echo.store(NONE, Ordering::Release);
        // A panic in a codec library must end one session, not leave it waiting.
        let done = catch_unwind(AssertUnwindSafe(|| decode(decoder, part, bench, intake)));
        let failure = match done {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(Error::CorruptStream {
                what: "the codec library panicked (its words are printed above)".to_owned(),
                recoverable: false,
            }),
        };
        let failed = failure.is_some();
        window.finish(part, failure);
        if failed {
            return;
        }
    }
}

fn decode(decoder: &mut dyn DecoderBackend, part: u64, bench: &Bench, intake: &Intake) -> Result<()> {
    while let Some(piece) = intake.next(part) {
        if piece.echo {
            bench.echo.store(piece.unit.serial, Ordering::Release);
        }
        decoder.submit(piece.unit)?;
    }
    decoder.flush()
}
