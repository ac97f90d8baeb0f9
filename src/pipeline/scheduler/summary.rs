//! What a scheduler and its streams did so far.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::depth::{DepthMeter, DepthSummary};
use super::mailbox::Mailbox;
use super::policy::reason;
use super::stage::StageReport;
use crate::session::Ledger;
use crate::stages::{Histogram, StageSummary};
use crate::sync::lock;

/// A stage of a stream while it runs.
#[derive(Debug)]
pub(super) struct StageMeter {
    pub(super) name: &'static str,
    pub(super) class: Option<String>,
    pub(super) waiting: DepthMeter,
    pub(super) inside: DepthMeter,
    pub(super) waited: Histogram,
    pub(super) took: Histogram,
    pub(super) cost: AtomicU64,
    pub(super) held: DepthMeter,
    pub(super) report: Mutex<Option<StageReport>>,
}

impl StageMeter {
    pub(super) fn new(name: &'static str, class: Option<String>, holds: usize) -> Self {
        let held = DepthMeter::default();
        held.set(holds);
        Self {
            name,
            class,
            waiting: DepthMeter::default(),
            inside: DepthMeter::default(),
            waited: Histogram::default(),
            took: Histogram::default(),
            cost: AtomicU64::new(0),
            held,
            report: Mutex::default(),
        }
    }

    fn figures(&self) -> StageFigures {
        StageFigures {
            name: self.name,
            class: self.class.clone(),
            waiting: self.waiting.summary(),
            inside: self.inside.summary(),
            waited: self.waited.summary(),
            took: self.took.summary(),
            cost: self.cost.load(Ordering::Relaxed),
            holds: self.held.summary().depth,
            report: lock(&self.report).clone(),
        }
    }
}

impl ScheduledSummary {
    pub(super) fn of(mailbox: &Mailbox) -> Self {
        let status = mailbox.status();
        let standing = mailbox.credits.standing();
        let inside = DepthSummary { depth: standing.used, peak: standing.peak, ..mailbox.depth.summary() };
        Self {
            name: mailbox.name.clone(),
            stale: status.ledger.dropped.get(reason::STALE).copied().unwrap_or(0),
            ledger: status.ledger,
            generation: status.generation,
            credits: standing.limit,
            inside,
            results_waiting: status.results,
            latency: mailbox.latency.summary(),
            stages: mailbox.stages.iter().map(|stage| stage.figures()).collect(),
            error: status.error,
            cancelled: status.cancelled,
            over: status.over,
        }
    }
}

/// A stream's share of the scheduler's work. Times and depths are of the units so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScheduledSummary {
    /// The name it was opened with.
    pub name: String,
    /// What became of every unit. Delivered are those that the consumer has taken.
    pub ledger: Ledger,
    /// Units dropped because a newer generation had begun; in the ledger too.
    pub stale: u64,
    /// The current generation.
    pub generation: u64,
    /// Credits: units that may be inside at once. More than was asked for where a stage held so many back that the stream
    /// would have stood still.
    pub credits: usize,
    /// Credits in use: now, at most, and as units found them.
    pub inside: DepthSummary,
    /// Results that wait to be taken.
    pub results_waiting: usize,
    /// From being accepted to being taken.
    pub latency: StageSummary,
    /// The stages, in order.
    pub stages: Vec<StageFigures>,
    /// The last error, in words.
    pub error: Option<String>,
    /// It was cancelled.
    pub cancelled: bool,
    /// Nothing happens in it any more.
    pub over: bool,
}

impl ScheduledSummary {
    /// Whether each unit is accounted for exactly once.
    pub fn balances(&self) -> bool {
        self.ledger.balances()
    }
}

/// A stage of a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageFigures {
    /// What it does.
    pub name: &'static str,
    /// The class of engines that it shares, where it shares one.
    pub class: Option<String>,
    /// Units waiting before it: now, at most, and as units found them.
    pub waiting: DepthSummary,
    /// Units inside it, likewise, as units found them when they went in.
    pub inside: DepthSummary,
    /// Time that units waited before it.
    pub waited: StageSummary,
    /// Time that units were inside it. The n-th result is timed against the n-th unit, whichever it belongs to.
    pub took: StageSummary,
    /// Cost of the units that went in.
    pub cost: u64,
    /// Units that it was found to hold back until it gets more, or said that it does.
    pub holds: usize,
    /// What it says of itself, once the stream is over.
    pub report: Option<StageReport>,
}

/// A class of engines that streams share.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassSummary {
    /// Its name.
    pub name: String,
    /// Units that may be in work at once.
    pub slots: usize,
    /// Units in work now.
    pub used: usize,
    /// Most at once.
    pub peak: usize,
    /// Units that were begun.
    pub begun: u64,
}

/// What a scheduler did so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SchedulerSummary {
    /// The streams whose ends somebody still has, and those that run.
    pub streams: Vec<ScheduledSummary>,
    /// The classes of engines.
    pub classes: Vec<ClassSummary>,
    /// Times that the scheduler's thread woke up, or was called.
    pub turns: u64,
    /// Threads for code of the user's (sources and consumers) that there are.
    pub helper_threads: usize,
}

impl SchedulerSummary {
    /// Whether each unit of each stream is accounted for exactly once.
    pub fn balances(&self) -> bool {
        self.streams.iter().all(ScheduledSummary::balances)
    }
}
