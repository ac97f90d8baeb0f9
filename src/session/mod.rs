//! Sessions: submit without waiting, reap without losing.
//!
//! A session owns one backend and one worker thread. `submit` hands a unit over or hands it back when the
//! queue is full; `try_reap`, `reap_timeout` and `reap` give results in order; `flush` makes everything come
//! out and leaves the session ready for more. Time is restored here: backends only see serial numbers.
//!
//! Single-threaded use interleaves `submit` and `try_reap`. A pipeline takes the two ends apart
//! ([`DecodeSession::split`], [`EncodeSession::split`]) and puts each on a thread of its own.

mod decode;
mod decode_work;
mod driven;
pub(crate) mod dts;
mod encode;
mod in_flight;
mod layout;
mod ledger;
mod losses;
#[cfg(feature = "metrics")]
pub(crate) mod observe;
mod shaping;
mod timing;
pub(crate) mod worker;

pub use decode::{DecodeInput, DecodeOutput, DecodeSession, DecodeSummary};
pub use encode::{EncodeInput, EncodeOutput, EncodeSession, EncodeSummary};
pub use ledger::Ledger;
pub use losses::{Loss, LossKind, Losses};
pub use timing::SessionTiming;

pub use crate::failover::Takeover;
pub use crate::queue::QueueStats;

/// Answer to a submission that never waits.
#[derive(Debug)]
#[must_use = "a unit that was not accepted is handed back"]
pub enum Submit<T> {
    /// Taken.
    Accepted,
    /// No room: reap, then submit this again.
    Full(T),
}
