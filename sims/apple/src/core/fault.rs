//! Frames that go wrong on order. Frames are counted from 1 over all sessions of one direction in the process, so that a session
//! that the client makes anew goes on counting.
//!
//! | key | what happens to the frame |
//! |---|---|
//! | `fail.decode.at=N:STATUS`, `fail.encode.at=N:STATUS` | its callback gets the status and no buffer |
//! | `fail.decode.call=N:STATUS`, `fail.encode.call=N:STATUS` | the call returns the status, and there is no callback |
//! | `drop.decode.at=N`, `drop.encode.at=N` | its callback says that it was dropped |
//! | `lose.decode.at=N`, `lose.encode.at=N` | its callback never comes |
//! | `fail.create.encode.at=N:STATUS` | the Nth encoder session of the process cannot be made |
//! | `fail.change.at=N:STATUS` | the Nth property that is set in an encoder with frames is refused |
//! | `fail.metal.at=N:CODE` | the Nth command buffer of Metal fails |
//! | `fail.transfer.at=N:STATUS` | the Nth image is not transferred |
//! | `invalidate.decode.at=N`, `invalidate.encode.at=N`, `invalidate.at=N` | its session is lost: this call and every later one answers -12903 |
//! | `sleep.decode.at=N`, `sleep.encode.at=N` | the same, of every session of either direction that there is; new ones work |

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{call, report};

/// What is counted: frames of sessions that work one way or the other, or calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A decompression session.
    Decode,
    /// A compression session.
    Encode,
    /// Making a compression session.
    Create,
    /// Setting a property of a compression session that has frames.
    Change,
    /// Running a command buffer of Metal.
    Metal,
    /// Transferring an image from one buffer to another.
    Transfer,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The callback gets this status.
    Fail(i32),
    /// The call returns this status.
    Refuse(i32),
    /// The callback says that the frame was dropped.
    Drop,
    /// There is no callback.
    Lose,
    /// The session is lost.
    Invalidate,
    /// Every session is lost.
    Sleep,
}

/// One order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// None: frames, either way.
    direction: Option<Direction>,
    frame: u64,
    effect: Effect,
}

impl Fault {
    /// Reads an order; the error says what is wrong with it.
    pub fn parse(key: &str, value: &str) -> Result<Self, String> {
        let (frame, status) = match value.split_once(':') {
            Some((frame, status)) => (frame, Some(status)),
            None => (value, None),
        };
        let frame = frame.parse().map_err(|_| format!("{frame:?} is no frame number"))?;
        let status = status.map(str::parse).transpose().map_err(|_| "the status is no number")?;
        let (direction, effect) = match (key, status) {
            ("fail.decode.at", Some(status)) => (Some(Direction::Decode), Effect::Fail(status)),
            ("fail.encode.at", Some(status)) => (Some(Direction::Encode), Effect::Fail(status)),
            ("fail.decode.call", Some(status)) => (Some(Direction::Decode), Effect::Refuse(status)),
            ("fail.encode.call", Some(status)) => (Some(Direction::Encode), Effect::Refuse(status)),
            ("fail.create.encode.at", Some(status)) => (Some(Direction::Create), Effect::Refuse(status)),
            ("fail.change.at", Some(status)) => (Some(Direction::Change), Effect::Refuse(status)),
            ("fail.metal.at", Some(status)) => (Some(Direction::Metal), Effect::Fail(status)),
            ("fail.transfer.at", Some(status)) => (Some(Direction::Transfer), Effect::Refuse(status)),
            ("drop.decode.at", None) => (Some(Direction::Decode), Effect::Drop),
            ("drop.encode.at", None) => (Some(Direction::Encode), Effect::Drop),
            ("lose.decode.at", None) => (Some(Direction::Decode), Effect::Lose),
            ("lose.encode.at", None) => (Some(Direction::Encode), Effect::Lose),
            ("invalidate.decode.at", None) => (Some(Direction::Decode), Effect::Invalidate),
            ("invalidate.encode.at", None) => (Some(Direction::Encode), Effect::Invalidate),
            ("sleep.decode.at", None) => (Some(Direction::Decode), Effect::Sleep),
            ("sleep.encode.at", None) => (Some(Direction::Encode), Effect::Sleep),
            ("invalidate.at", None) => (None, Effect::Invalidate),
            _ => return Err("no such setting, or not such a value".into()),
        };
        Ok(Self { direction, frame, effect })
    }
}

static COUNTS: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];
static DONE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Counts a frame that a session was given, or a call, and tells what is to happen to it.
pub fn next(direction: Direction) -> Option<Effect> {
    let frame = COUNTS[direction as usize].fetch_add(1, Ordering::Relaxed) + 1;
    let is_frame = matches!(direction, Direction::Decode | Direction::Encode);
    let fits = |fault: &&Fault| {
        fault.frame == frame && fault.direction.map_or(is_frame, |wanted| wanted == direction)
    };
    let fault = super::config().settings.faults.iter().find(fits)?;
    report::locked(&DONE).push(format!("{} frame {frame}: {:?}", call::current().1, fault.effect));
    Some(fault.effect)
}

static NIGHTS: AtomicU64 = AtomicU64::new(0);

/// How often all sessions were lost: one that was made before is lost.
pub fn nights() -> u64 {
    NIGHTS.load(Ordering::SeqCst)
}

/// Loses all sessions.
pub fn sleep() {
    NIGHTS.fetch_add(1, Ordering::SeqCst);
}

/// The faults that happened.
pub fn done() -> Vec<String> {
    report::locked(&DONE).clone()
}
