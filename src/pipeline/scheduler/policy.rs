//! What a stream does when its consumer or its encoder cannot keep up.

use std::time::Duration;

use crate::config::setters::setters;

/// What becomes of units that come faster than they can be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DropPolicy {
    /// Nothing is dropped: the source waits (`Submit::Full`, or a pulled source is not read).
    #[default]
    Offline,
    /// The source never waits; what cannot be worked on in time is dropped, counted with the reason.
    Live(LiveRules),
}

impl DropPolicy {
    /// Live, with at most so many units waiting before any stage, and the other rules as by default.
    pub fn live(max_queue: usize) -> Self {
        Self::Live(LiveRules { max_queue, ..LiveRules::default() })
    }
}

/// What a live stream drops.
///
/// **Frames** refer to nothing, so any of them can go: the oldest that is not to be an IDR first, the one that comes in
/// included. When all are to be IDRs the oldest goes, and the next frame inherits the wish.
///
/// **Packets** refer to those before them. Only what nothing refers to goes by itself: the last packet before a random
/// access point that waits as well. Otherwise the packet that finds no room goes, and with it every packet up to the next
/// random access point; pictures that follow that point but are shown before it (leading pictures) go too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveRules {
    /// Most units that wait before a stage; 1 at least.
    pub max_queue: usize,
    /// A frame that has waited for longer than this before a stage is dropped, if a younger one waits behind it; packets
    /// up to the next random access point, if that waits. The last unit is worked on however late it is, so that an
    /// encoder that is too slow for all gives some.
    pub max_age: Option<Duration>,
    /// Whether frames that were dropped before an encoder make the next one an IDR.
    pub idr: IdrAfterDrop,
}

setters!(LiveRules { max_queue: usize, idr: IdrAfterDrop } option { max_age: Duration });

impl Default for LiveRules {
    fn default() -> Self {
        Self { max_queue: 4, max_age: None, idr: IdrAfterDrop::default() }
    }
}

/// Whether a gap in the frames makes the next frame an IDR. Nothing breaks without: the encoder never saw the frames that
/// are missing. But a viewer who lost packets in the same trouble can go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdrAfterDrop {
    /// No.
    Never,
    /// Where so many frames in a row, or more, are missing.
    After {
        /// Frames in a row.
        dropped: u32,
        /// From one such IDR to the next at least so many frames: IDRs are large, and an encoder in trouble must not be
        /// given nothing else. One that is due earlier comes when they have passed.
        apart: u32,
    },
}

impl Default for IdrAfterDrop {
    /// After any gap, 30 frames apart.
    fn default() -> Self {
        Self::After { dropped: 1, apart: 30 }
    }
}

/// Reasons for the ledger.
pub(super) mod reason {
    /// It waited for too long, and a younger unit was there.
    pub(in super::super) const LATE: &str = "late";
    /// As many units waited as may.
    pub(in super::super) const QUEUE_FULL: &str = "queue full";
    /// All credits were out, and nothing that waited could go instead.
    pub(in super::super) const NO_CREDIT: &str = "no credit";
    /// A packet before it was dropped, and it may refer to that.
    pub(in super::super) const BROKEN_CHAIN: &str = "up to the next key frame";
    /// A newer generation has begun.
    pub(in super::super) const STALE: &str = "stale generation";
    /// The stream was cancelled.
    pub(in super::super) const CANCELLED: &str = "cancelled";
}
