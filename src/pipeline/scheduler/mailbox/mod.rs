//! Where a stream's users and the scheduler's thread meet: units that wait to begin, results that wait to be taken, and
//! how both stand.

mod code;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::credits::Credits;
use super::depth::DepthMeter;
use super::helpers::discard;
use super::policy::{DropPolicy, reason};
use super::ready_set::ReadySet;
use super::stage_queue::{Dropped, StageQueue};
use super::summary::StageMeter;
use super::unit::{Barrier, Delivery, Held, Tag, Unit};
use crate::error::{Error, Result};
use crate::session::{Ledger, Submit};
use crate::stages::Histogram;
use crate::sync::{lock, whole};
use code::Slot;
pub(super) use code::{Sink, Source};

#[derive(Debug)]
enum Out {
    Unit(Held),
    Lost(Error, Tag),
    Flushed,
}

/// How a stream ends before its time.
#[derive(Debug)]
pub(super) enum Stop {
    Cancelled,
    Failed(Error),
}

/// How a stream stands.
pub(super) struct StreamStatus {
    pub(super) ledger: Ledger,
    pub(super) error: Option<String>,
    pub(super) cancelled: bool,
    /// Results that wait to be taken.
    pub(super) results: usize,
    pub(super) generation: u64,
    pub(super) over: bool,
}

/// What a consumer finds.
pub(super) enum Taken {
    /// With it the credit, until the consumer is done with it.
    Item(Delivery, Tag),
    Lost(Error),
    Flushed,
    Empty,
    Over,
}

pub(super) struct Mailbox {
    pub(super) key: u64,
    pub(super) name: String,
    pub(super) credits: Arc<Credits>,
    pub(super) stages: Vec<Arc<StageMeter>>,
    /// Credits in use, as units found them.
    pub(super) depth: DepthMeter,
    /// From being accepted to being taken.
    pub(super) latency: Histogram,
    ready: Arc<ReadySet>,
    policy: DropPolicy,
    state: Mutex<State>,
    /// There is something to take, or nothing ever again.
    news: Condvar,
    /// Nothing will come any more, and all was taken.
    finished: Condvar,
}

struct State {
    queue: StageQueue,
    outlet: VecDeque<Out>,
    generation: u64,
    /// Of the newest unit.
    newest: u64,
    ledger: Ledger,
    began: bool,
    closed: bool,
    stop: Option<Stop>,
    /// Nothing comes into the outlet any more.
    over: bool,
    /// Nobody takes results any more.
    abandoned: bool,
    fatal: Option<Error>,
    /// Of its end by an error, also when that was taken.
    reason: Option<Error>,
    error: Option<String>,
    flushes: u64,
    flushed: u64,
    source: Slot<Source>,
    sink: Slot<Sink>,
    cancelled: bool,
}

impl Mailbox {
    pub(super) fn new(
        key: u64,
        name: String,
        credits: usize,
        policy: DropPolicy,
        stages: Vec<Arc<StageMeter>>,
        ready: Arc<ReadySet>,
    ) -> Self {
        Self {
            key,
            name,
            credits: Arc::new(Credits::new(credits, Arc::clone(&ready), key)),
            stages,
            depth: DepthMeter::default(),
            latency: Histogram::default(),
            ready,
            policy,
            state: Mutex::new(State {
                queue: StageQueue::new(policy),
                outlet: VecDeque::new(),
                generation: 0,
                newest: 0,
                ledger: Ledger::default(),
                began: false,
                closed: false,
                stop: None,
                over: false,
                abandoned: false,
                fatal: None,
                reason: None,
                error: None,
                flushes: 0,
                flushed: 0,
                source: Slot::None,
                sink: Slot::None,
                cancelled: false,
            }),
            news: Condvar::new(),
            finished: Condvar::new(),
        }
    }

    fn mark(&self) {
        self.ready.mark(self.key);
    }

    // The end that units go in at.

    /// Takes a unit of this generation, or of the newest one.
    pub(super) fn submit(&self, unit: Unit, generation: Option<u64>) -> Result<Submit<Unit>> {
        let mut dropped = Vec::new();
        let mut state = lock(&self.state);
        state.check_open()?;
        let newest = state.newest.max(state.generation);
        let generation = generation.unwrap_or(newest);
        if generation < newest {
            state.ledger.submitted += 1;
            state.ledger.drop_one(reason::STALE);
            return Ok(Submit::Accepted);
        }
        let mut credit = Credits::try_take(&self.credits);
        if credit.is_none() && self.policy == DropPolicy::Offline {
            return Ok(Submit::Full(unit));
        }
        // Whether or not the unit itself can stay: what follows it is of its generation.
        state.enter_generation(generation);
        if credit.is_none() && state.queue.make_room(&unit, reason::NO_CREDIT, &mut dropped) {
            state.settle(&mut dropped);
            credit = Credits::try_take(&self.credits);
        }
        let now = Instant::now();
        let entered = credit.is_some();
        let held = Held { unit, tag: Tag { generation, credit, entered: now, since: now } };
        state.ledger.submitted += 1;
        if entered {
            state.began = true;
            state.queue.push(held, &mut dropped);
            self.depth.entered(self.credits.standing().used);
            self.note_queue(&state.queue);
        } else {
            state.queue.lose(held, reason::NO_CREDIT, &mut dropped);
        }
        state.settle(&mut dropped);
        drop(state);
        self.mark();
        Ok(Submit::Accepted)
    }

    /// As [`Self::submit`], waiting for a credit.
    pub(super) fn submit_blocking(&self, mut unit: Unit, generation: Option<u64>) -> Result<()> {
        loop {
            match self.submit(unit, generation)? {
                Submit::Accepted => return Ok(()),
                Submit::Full(back) => unit = back,
            }
            // When the stream is over the next attempt says so.
            self.credits.wait();
        }
    }

    fn note_queue(&self, queue: &StageQueue) {
        if let Some(first) = self.stages.first() {
            first.waiting.entered(queue.len());
        }
    }

    pub(super) fn flush(&self) -> Result<()> {
        let mut state = lock(&self.state);
        state.check_open()?;
        state.flushes += 1;
        state.queue.push_barrier(Barrier::Flush);
        drop(state);
        self.mark();
        Ok(())
    }

    /// Nothing will be submitted any more.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        if !std::mem::replace(&mut state.closed, true) {
            state.queue.push_barrier(Barrier::Close);
        }
        drop(state);
        self.mark();
    }

    // Both ends.

    /// Results and queued work of older generations are of no use any more.
    pub(super) fn set_generation(&self, generation: u64) {
        let mut state = lock(&self.state);
        if generation <= state.generation {
            return;
        }
        state.generation = generation;
        let mut old = state.queue.take_older(generation);
        let mut kept = VecDeque::new();
        for out in std::mem::take(&mut state.outlet) {
            match out {
                Out::Unit(held) if held.tag.generation < generation => old.push(held),
                other => kept.push_back(other),
            }
        }
        state.outlet = kept;
        let mut dropped = old.into_iter().map(|held| (held, reason::STALE)).collect();
        state.settle(&mut dropped);
        drop(state);
        self.mark();
    }

    pub(super) fn generation(&self) -> u64 {
        lock(&self.state).generation
    }

    /// Ends the stream before its time; the first word counts.
    pub(super) fn stop(&self, stop: Stop) {
        let mut state = lock(&self.state);
        if !state.over {
            state.stop.get_or_insert(stop);
        }
        drop(state);
        self.credits.end();
        self.mark();
    }

    // The end that results come out at.

    /// Nobody takes results any more: the stream ends.
    pub(super) fn abandon(&self, stop: Stop) {
        let mut state = lock(&self.state);
        state.abandoned = true;
        state.fatal = None;
        let mut left = VecDeque::new();
        if state.over {
            left = state.take_outlet(matches!(stop, Stop::Cancelled));
            if let Stop::Failed(error) = stop {
                state.error = Some(error.to_string());
            }
        } else {
            // At once: the stream may come to its end by itself the next moment, and must know how it ended.
            state.stop.get_or_insert(stop);
        }
        let sink = std::mem::replace(&mut state.sink, Slot::None);
        drop(state);
        drop(left);
        discard(sink);
        self.finished.notify_all();
        self.credits.end();
        self.mark();
    }

    /// The scheduler is gone: a consumer that it called is not called any more.
    pub(super) fn leave(&self) {
        let called = !matches!(lock(&self.state).sink, Slot::None);
        if called {
            self.abandon(Stop::Cancelled);
        }
    }

    /// What is next for a consumer that is called; [`Self::delivered`] or [`Self::refused`] says what came of it.
    pub(super) fn take(&self) -> Taken {
        self.take_from(&mut lock(&self.state))
    }

    fn take_from(&self, state: &mut State) -> Taken {
        let taken = state.take();
        if state.is_finished() && !matches!(taken, Taken::Empty | Taken::Over) {
            self.finished.notify_all();
            self.mark();
        }
        taken
    }

    /// What is next for whoever asks, waiting at most so long for something. It is delivered with that: whoever hears that
    /// the stream is over finds it counted.
    pub(super) fn take_timeout(&self, timeout: Option<Duration>) -> Taken {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = lock(&self.state);
        loop {
            match self.take_from(&mut state) {
                Taken::Empty => {}
                Taken::Item(delivery, tag) => {
                    state.ledger.delivered += 1;
                    self.latency.record(tag.entered.elapsed());
                    return Taken::Item(delivery, tag);
                }
                taken => return taken,
            }
            state = match (timeout, deadline) {
                // One that the clock cannot express is "for ever" to any caller.
                (None, _) | (_, None) => whole(self.news.wait(state)),
                (_, Some(deadline)) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Taken::Empty;
                    }
                    whole(self.news.wait_timeout(state, left)).0
                }
            };
        }
    }

    /// A result has been taken for good.
    pub(super) fn delivered(&self, tag: &Tag) {
        let mut state = lock(&self.state);
        state.ledger.delivered += 1;
        let over = state.over;
        drop(state);
        if over {
            self.finished.notify_all();
        }
        self.latency.record(tag.entered.elapsed());
    }

    /// The consumer could not take a result.
    pub(super) fn refused(&self) {
        lock(&self.state).ledger.failed += 1;
    }

    pub(super) fn is_finished(&self) -> bool {
        lock(&self.state).is_finished()
    }

    /// Whether there will never be anything for a consumer any more, and none is there or at work.
    pub(super) fn is_left(&self) -> bool {
        let state = lock(&self.state);
        state.is_finished() && matches!(state.sink, Slot::None)
    }

    /// Waits until nothing will ever come again; whether that is so.
    pub(super) fn wait_finished(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = lock(&self.state);
        loop {
            let working = matches!(state.sink, Slot::Busy);
            if state.is_finished() && !working {
                return true;
            }
            let left = deadline.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            state = whole(self.finished.wait_timeout(state, left)).0;
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        let state = lock(&self.state);
        state.flushed == state.flushes || (state.over && state.outlet.is_empty())
    }

    // The scheduler.

    pub(super) fn with_queue<R>(&self, work: impl FnOnce(&mut StageQueue) -> R) -> R {
        work(&mut lock(&self.state).queue)
    }

    pub(super) fn take_stop(&self) -> Option<Stop> {
        lock(&self.state).stop.take()
    }

    /// A result of the last stage.
    pub(super) fn push_result(&self, held: Held) {
        let mut state = lock(&self.state);
        if held.tag.generation < state.generation {
            return state.settle(&mut vec![(held, reason::STALE)]);
        }
        state.outlet.push_back(Out::Unit(held));
        drop(state);
        self.news.notify_all();
    }

    pub(super) fn drop_units(&self, dropped: &mut Vec<Dropped>) {
        if !dropped.is_empty() {
            lock(&self.state).settle(dropped);
        }
    }

    /// A unit inside a stage has rightly no result.
    pub(super) fn drop_tag(&self, tag: Tag, reason: &'static str) {
        lock(&self.state).ledger.drop_one(reason);
        drop(tag);
    }

    /// A unit is lost; the consumer is told in its place, and its credit stays until then.
    pub(super) fn lose(&self, tag: Tag, error: Error) {
        let mut state = lock(&self.state);
        state.ledger.failed += 1;
        state.error = Some(error.to_string());
        state.outlet.push_back(Out::Lost(error, tag));
        drop(state);
        self.news.notify_all();
    }

    /// An event came for no unit: a defect of the stage.
    pub(super) fn unexpected(&self) {
        lock(&self.state).ledger.unexpected += 1;
    }

    pub(super) fn flushed(&self) {
        lock(&self.state).outlet.push_back(Out::Flushed);
        self.news.notify_all();
    }

    /// The stream is over. What is still inside goes: dropped when it was cancelled, failed otherwise; what waits to be
    /// taken stays, unless it was cancelled.
    pub(super) fn end(&self, stop: Option<Stop>, inside: Vec<Tag>) {
        let mut state = lock(&self.state);
        // What somebody said since it was last looked at counts too.
        let stop = stop.or_else(|| state.stop.take());
        let cancelled = matches!(stop, Some(Stop::Cancelled));
        let waiting = state.queue.take_all();
        let unwanted = cancelled || state.abandoned;
        let outlet = if unwanted { state.take_outlet(cancelled) } else { VecDeque::new() };
        state.lose((inside.len() + waiting.len()) as u64, cancelled);
        if let Some(Stop::Failed(error)) = stop {
            state.error = Some(error.to_string());
            state.reason = Some(error.clone());
            state.fatal = Some(error).filter(|_| !state.abandoned);
        }
        state.cancelled = cancelled;
        state.closed = true;
        state.over = true;
        let source = std::mem::replace(&mut state.source, Slot::None);
        let sink = state.spent_sink();
        drop(state);
        drop((waiting, inside, outlet));
        discard(source);
        discard(sink);
        self.credits.end();
        self.news.notify_all();
        self.finished.notify_all();
        self.mark();
    }

    pub(super) fn status(&self) -> StreamStatus {
        let state = lock(&self.state);
        let mut ledger = state.ledger.clone();
        let settled = ledger.delivered + ledger.dropped_total() + ledger.failed;
        ledger.pending = ledger.submitted.saturating_sub(settled);
        StreamStatus {
            ledger,
            error: state.error.clone(),
            cancelled: state.cancelled,
            results: state.outlet.len(),
            generation: state.generation,
            over: state.over,
        }
    }
}

impl State {
    fn check_open(&self) -> Result<()> {
        match (&self.reason, &self.stop) {
            (Some(reason), _) | (None, Some(Stop::Failed(reason))) => return Err(reason.clone()),
            (None, Some(Stop::Cancelled)) => return Err(Error::Cancelled),
            (None, None) if self.cancelled => return Err(Error::Cancelled),
            (None, None) if self.over => {
                return Err(Error::invalid("the stream is complete: nothing can be submitted any more"));
            }
            (None, None) => {}
        }
        if self.closed {
            return Err(Error::invalid("the stream was closed: nothing can be submitted any more"));
        }
        Ok(())
    }

    fn enter_generation(&mut self, generation: u64) {
        if generation > self.newest {
            self.newest = generation;
            if self.began {
                self.queue.push_barrier(Barrier::Generation);
            }
        }
    }

    /// Nothing will come any more, and all was taken.
    fn is_finished(&self) -> bool {
        self.over && self.outlet.is_empty() && self.fatal.is_none()
    }

    /// So many units that nobody will hear of any more.
    fn lose(&mut self, units: u64, cancelled: bool) {
        if units == 0 {
        } else if cancelled {
            *self.ledger.dropped.entry(reason::CANCELLED).or_default() += units;
        } else {
            self.ledger.failed += units;
        }
    }

    /// What nobody will take.
    fn take_outlet(&mut self, cancelled: bool) -> VecDeque<Out> {
        let outlet = std::mem::take(&mut self.outlet);
        self.lose(outlet.iter().filter(|out| matches!(out, Out::Unit(_))).count() as u64, cancelled);
        outlet
    }

    fn settle(&mut self, dropped: &mut Vec<Dropped>) {
        for (held, reason) in dropped.drain(..) {
            self.ledger.drop_one(reason);
            drop(held);
        }
    }

    fn take(&mut self) -> Taken {
        match self.outlet.pop_front() {
            Some(Out::Unit(held)) => {
                let Held { unit, tag } = held;
                Taken::Item(Delivery { unit, generation: tag.generation }, tag)
            }
            Some(Out::Lost(error, tag)) => {
                drop(tag);
                Taken::Lost(error)
            }
            Some(Out::Flushed) => {
                self.flushed += 1;
                Taken::Flushed
            }
            None => match self.fatal.take() {
                Some(error) => Taken::Lost(error),
                None if self.over => Taken::Over,
                None => Taken::Empty,
            },
        }
    }
}

#[cfg(test)]
mod tests;
