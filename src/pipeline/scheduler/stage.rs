//! The seam between the scheduler and whatever works on units.

use std::task::Waker;

use super::unit::Unit;
use crate::control::StreamSummary;
use crate::error::{Error, Result};
use crate::session::{DecodeSummary, EncodeSummary, Submit};
use crate::transform::TransformStats;

/// What has become of a unit that a stage took.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "most are units")]
pub enum StageEvent {
    /// It has a result.
    Unit(Unit),
    /// It rightly has none; the reason is for the ledger.
    Dropped(&'static str),
    /// It is lost; the stage goes on.
    Failed(Error),
}

/// One step of a stream: a decoder, a conversion, an encoder, or a step of the caller's own.
///
/// **No method may wait**: all streams of a scheduler are driven by one thread. Work that takes time belongs on threads
/// of the stage's own, as sessions have them. A method that panics ends its stream, and no other.
pub trait Stage: Send {
    /// Takes a unit, or hands it back when there is no room now.
    ///
    /// # Errors
    /// This unit cannot be worked on; it counts as failed and the stage goes on.
    fn submit(&mut self, unit: Unit) -> Result<Submit<Unit>>;

    /// What has become of the next unit, if something has. Each unit taken has exactly one event, at the latest when a
    /// flush asked for behind it has completed. Nobody asks which unit an event belongs to, so they may be reordered.
    ///
    /// # Errors
    /// The stage can do no more: the stream ends with this error.
    fn try_reap(&mut self) -> Result<Option<StageEvent>>;

    /// Makes everything come out that is inside; nothing is submitted until [`Self::is_drained`].
    ///
    /// # Errors
    /// When that cannot be asked any more.
    fn flush(&mut self) -> Result<()>;

    /// Whether every flush asked for has completed; asked when `try_reap` had nothing.
    fn is_drained(&self) -> bool;

    /// What is inside is of no use any more: it may be dropped instead of finished (with an event each).
    fn discard(&mut self) {}

    /// Whom to wake when there may be something to reap, or room again. From any thread, and rather too often.
    fn set_waker(&mut self, waker: &Waker) {
        let _ = waker;
    }

    /// Whether the waker is certain to be woken by what happens next. Where it is not, the scheduler looks at the stage
    /// every millisecond while something is inside.
    fn wakes(&self) -> bool {
        false
    }

    /// Units that it holds back until it gets more (B frames, lookahead). They take part in no engine's work, and so
    /// need no slot.
    fn holds(&self) -> usize {
        0
    }

    /// Whether nothing waits inside to be begun: a stage that gives nothing now may be waiting for more units.
    fn is_hungry(&self) -> bool {
        true
    }

    /// What this unit takes of an engine's time, in pixels.
    fn cost(&self, unit: &Unit) -> u64 {
        unit.cost()
    }

    /// A word for summaries (`decode`, `encode`).
    fn name(&self) -> &'static str;

    /// What it did; asked once, at the end.
    fn report(&self) -> Option<StageReport> {
        None
    }
}

/// What a stage of the library did.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "one for each stage, at its end")]
pub enum StageReport {
    /// Of a decode session.
    Decode(DecodeSummary),
    /// Of a transform dispatcher.
    Transform(TransformStats),
    /// Of an encode session.
    Encode(EncodeSummary),
    /// Of a stream whose encoder may change.
    Switching(StreamSummary),
}
