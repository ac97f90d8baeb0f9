//! One stream on the scheduler's thread: moves whatever can be moved between its stages without waiting.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::fair::Request;
use super::mailbox::{Mailbox, Stop};
use super::policy::reason;
use super::stage::{Stage, StageEvent};
use super::stage_queue::{Dropped, Head, StageQueue};
use super::summary::StageMeter;
use super::unit::{Barrier, Held, Tag};
use crate::error::{Error, Result, panic_message};
use crate::session::Submit;
use crate::sync::lock;

/// Events of a stage that are handled before the others have their turn.
const BATCH: usize = 32;
/// A stream, or a class of engines, in which nothing has moved for so long may be waiting for more units than it may have.
pub(super) const STILL: Duration = Duration::from_millis(100);
/// A stream is lent its first credit after so long: an encoder that has just been opened, on a busy machine, may give
/// nothing for a while. One that was lent a credit has been found out, and need not wait as long for the next.
pub(super) const FIRST_LOAN: Duration = Duration::from_secs(1);
/// Results after which what a stage was found to hold back is looked at again; so many more as it holds back.
const WINDOW: usize = 64;
/// Credits lent to a stream that stands still.
const MOST_LENT: usize = 64;
/// A stream that has been lent all and stands still for so long is given up.
const HOPELESS: Duration = Duration::from_secs(10);

/// A stage and what waits before it.
pub(super) struct StageSlot {
    stage: Box<dyn Stage>,
    pub(super) class: Option<usize>,
    /// Before the first stage units wait in the mailbox.
    queue: StageQueue,
    inside: VecDeque<Tag>,
    /// Units held back.
    holds: usize,
    /// As many of them as the stage said itself.
    said: usize,
    /// Results of late, and the most units that were inside when there was one.
    window: (usize, usize),
    /// What has come out.
    pub(super) given: u64,
    /// Slots of the class in use.
    pub(super) occupied: usize,
    /// It had no room, and nothing has been heard of it since.
    full: bool,
    /// It took units since its last flush.
    fed: bool,
    draining: Option<Barrier>,
    /// What it would do if it had a slot.
    pub(super) request: Request,
    meter: Arc<StageMeter>,
}

impl StageSlot {
    pub(super) fn new(
        stage: Box<dyn Stage>,
        class: Option<usize>,
        queue: StageQueue,
        meter: Arc<StageMeter>,
    ) -> Self {
        let holds = stage.holds();
        Self {
            stage,
            class,
            queue,
            inside: VecDeque::new(),
            holds,
            said: holds,
            window: (0, 0),
            given: 0,
            occupied: 0,
            full: false,
            fed: false,
            draining: None,
            request: Request::Nothing,
            meter,
        }
    }

    /// Whether one more unit would take no slot.
    pub(super) fn is_free(&self) -> bool {
        self.inside.len() < self.holds
    }

    /// Whether it had no room when it was last asked.
    pub(super) const fn is_full(&self) -> bool {
        self.full
    }

    fn occupy(&mut self) {
        self.occupied = self.inside.len().saturating_sub(self.holds);
        self.meter.inside.set(self.inside.len());
    }

    /// Nothing has come out for long: what is inside is held back.
    pub(super) fn learn(&mut self) {
        if !self.inside.is_empty() && self.stage.is_hungry() {
            self.holds = self.holds.max(self.inside.len());
            self.window = (0, 0);
            self.meter.held.set(self.holds);
            self.occupy();
        }
    }

    /// There is a result while so many are inside, itself among them. A stage that never has as many when it gives results
    /// does not hold as many back: it had only been slow.
    fn unlearn(&mut self, inside: usize) {
        if self.holds == self.said || self.draining.is_some() {
            return;
        }
        let (results, most) = &mut self.window;
        *results += 1;
        *most = inside.max(*most);
        if *results < WINDOW.saturating_add(self.holds) {
            return;
        }
        self.holds = self.holds.min(most.saturating_sub(1)).max(self.said);
        self.window = (0, 0);
        self.meter.held.set(self.holds);
    }

    fn is_polled(&self) -> bool {
        (!self.inside.is_empty() || self.draining.is_some() || self.full) && !self.stage.wakes()
    }
}

/// What has become of the unit that a stage was to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    Taken,
    /// It waits again: there was no room.
    Full,
    /// It is lost, or there was none.
    Gone,
}

pub(super) struct Running {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) stage_slots: Vec<StageSlot>,
    pub(super) weight: NonZeroU32,
    generation: u64,
    last_moved: Instant,
    lent: usize,
    closing: bool,
    over: bool,
}

/// Runs a stage's method; a panic is an error.
fn guarded<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic_message(panic.as_ref());
        Err(Error::corrupt_fatal(format!("the stage `{name}` panicked: {message}")))
    })
}

impl Running {
    pub(super) fn new(mailbox: Arc<Mailbox>, stage_slots: Vec<StageSlot>, weight: NonZeroU32) -> Self {
        Self {
            mailbox,
            stage_slots,
            weight,
            generation: 0,
            last_moved: Instant::now(),
            lent: 0,
            closing: false,
            over: false,
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Whether a stage has to be looked at because nobody will mark it.
    pub(super) fn is_polled(&self) -> bool {
        self.stage_slots.iter().any(StageSlot::is_polled)
    }

    /// Moves everything that needs no engine; `true` when something moved. Where there is news of the stages (`news`)
    /// those that had no room are asked again. What stages are left of the stream when it is over goes to `gone`: closing
    /// them may take time.
    pub(super) fn pump(&mut self, news: bool, gone: &mut Vec<Box<dyn Stage>>) -> bool {
        let mut any = false;
        if news {
            self.stage_slots.iter_mut().for_each(|slot| slot.full = false);
        }
        while !self.over {
            if let Some(stop) = self.mailbox.take_stop() {
                self.end(Some(stop), gone);
                return true;
            }
            match self.round() {
                Ok(true) => any = true,
                Ok(false) => break,
                Err(error) => {
                    self.end(Some(Stop::Failed(error)), gone);
                    return true;
                }
            }
        }
        if any {
            self.last_moved = Instant::now();
        }
        if self.closing && !self.over {
            self.end(None, gone);
        }
        for index in 0..self.stage_slots.len() {
            self.judge(index);
        }
        any
    }

    fn round(&mut self) -> Result<bool> {
        self.begin_generation()?;
        let mut moved = false;
        // From the last to the first: what leaves makes room for what comes.
        for index in (0..self.stage_slots.len()).rev() {
            moved |= self.collect(index)?;
            moved |= self.pass_barrier(index)?;
            while self.stage_slots[index].class.is_none() && self.can_begin(index) {
                moved |= self.feed(index)? != Fed::Full;
            }
        }
        Ok(moved)
    }

    /// Drops what the users' newest generation has made useless.
    fn begin_generation(&mut self) -> Result<()> {
        let generation = self.mailbox.generation();
        if generation <= self.generation {
            return Ok(());
        }
        self.generation = generation;
        for slot in &mut self.stage_slots {
            let old = slot.queue.take_older(generation);
            let mut dropped = old.into_iter().map(|held| (held, reason::STALE)).collect();
            self.mailbox.drop_units(&mut dropped);
            // Units of one generation are inside at a time.
            if slot.inside.front().is_some_and(|tag| tag.generation < generation) {
                let stage = &mut slot.stage;
                guarded(slot.meter.name, || {
                    stage.discard();
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Takes what a stage has done.
    fn collect(&mut self, index: usize) -> Result<bool> {
        let mut moved = false;
        for _ in 0..BATCH {
            let slot = &mut self.stage_slots[index];
            let stage = &mut slot.stage;
            let Some(event) = guarded(slot.meter.name, || stage.try_reap())? else { break };
            moved = true;
            slot.full = false;
            slot.given = slot.given.wrapping_add(1);
            slot.unlearn(slot.inside.len());
            let Some(mut tag) = slot.inside.pop_front() else {
                self.mailbox.unexpected();
                continue;
            };
            slot.occupy();
            let now = Instant::now();
            slot.meter.took.record(now.saturating_duration_since(tag.since));
            tag.since = now;
            match event {
                StageEvent::Unit(unit) => self.forward(index + 1, Held { unit, tag }),
                StageEvent::Dropped(reason) => self.mailbox.drop_tag(tag, reason),
                StageEvent::Failed(error) => self.mailbox.lose(tag, error),
            }
        }
        Ok(moved)
    }

    /// To the stage `index`, or to the consumer behind the last.
    fn forward(&mut self, index: usize, held: Held) {
        if held.tag.generation < self.generation {
            return self.mailbox.drop_units(&mut vec![(held, reason::STALE)]);
        }
        let Some(slot) = self.stage_slots.get_mut(index) else { return self.mailbox.push_result(held) };
        let mut dropped = Vec::new();
        slot.queue.push(held, &mut dropped);
        slot.meter.waiting.entered(slot.queue.len());
        self.mailbox.drop_units(&mut dropped);
    }

    fn with_queue<R>(&mut self, index: usize, work: impl FnOnce(&mut StageQueue) -> R) -> R {
        if index == 0 { self.mailbox.with_queue(work) } else { work(&mut self.stage_slots[index].queue) }
    }

    /// Whether a unit is first before a stage, and the stage could take it.
    fn can_begin(&mut self, index: usize) -> bool {
        let slot = &self.stage_slots[index];
        !slot.full && slot.draining.is_none() && self.with_queue(index, |queue| queue.head()) == Head::Unit
    }

    /// What the first unit before a stage takes of an engine's time, as the stage has it.
    fn cost(&mut self, index: usize) -> Option<u64> {
        // A copy that shares the picture: code of the user's runs while nothing is locked.
        let unit = self.with_queue(index, |queue| queue.first().cloned())?;
        let stage = &self.stage_slots[index].stage;
        // A stage that panics here does so again when it is given the unit, and the stream ends there.
        Some(catch_unwind(AssertUnwindSafe(|| stage.cost(&unit))).unwrap_or_else(|_| unit.cost()))
    }

    fn judge(&mut self, index: usize) {
        let wants = !self.over && self.stage_slots[index].class.is_some() && self.can_begin(index);
        let cost = if wants { self.cost(index) } else { None };
        self.stage_slots[index].request = cost.map_or(Request::Nothing, Request::Unit);
    }

    /// A barrier goes through a stage when everything before it has.
    fn pass_barrier(&mut self, index: usize) -> Result<bool> {
        let mut moved = false;
        if self.stage_slots[index].draining.is_none()
            && let Head::Barrier(barrier) = self.with_queue(index, |queue| queue.head())
        {
            self.with_queue(index, StageQueue::pop_barrier);
            let slot = &mut self.stage_slots[index];
            if slot.fed {
                let stage = &mut slot.stage;
                guarded(slot.meter.name, || stage.flush())?;
                slot.fed = false;
            }
            slot.draining = Some(barrier);
            moved = true;
            moved |= self.collect(index)?;
        }
        let slot = &mut self.stage_slots[index];
        let Some(barrier) = slot.draining else { return Ok(moved) };
        let stage = &slot.stage;
        if !guarded(slot.meter.name, || Ok(stage.is_drained()))? {
            return Ok(moved);
        }
        // It may have completed between the last look for results and now.
        if self.collect(index)? {
            return Ok(true);
        }
        let slot = &mut self.stage_slots[index];
        slot.draining = None;
        slot.full = false;
        let unanswered = std::mem::take(&mut slot.inside);
        slot.occupy();
        for tag in unanswered {
            let name = self.stage_slots[index].meter.name;
            self.mailbox.lose(tag, Error::corrupt(format!("the stage `{name}` gave no answer for a unit")));
        }
        match (self.stage_slots.get_mut(index + 1), barrier) {
            (Some(next), barrier) => next.queue.push_barrier(barrier),
            (None, Barrier::Generation) => {}
            (None, Barrier::Flush) => self.mailbox.flushed(),
            (None, Barrier::Close) => self.closing = true,
        }
        Ok(true)
    }

    /// Gives a stage the first unit that waits for it.
    fn feed(&mut self, index: usize) -> Result<Fed> {
        let now = Instant::now();
        let mut dropped: Vec<Dropped> = Vec::new();
        let (held, left) = self.with_queue(index, |queue| (queue.pop(now, &mut dropped), queue.len()));
        self.mailbox.drop_units(&mut dropped);
        let Some(Held { unit, mut tag }) = held else { return Ok(Fed::Gone) };
        let slot = &mut self.stage_slots[index];
        slot.meter.waiting.set(left);
        let stage = &mut slot.stage;
        let mut cost = 0;
        let submitted = catch_unwind(AssertUnwindSafe(|| {
            cost = stage.cost(&unit);
            stage.submit(unit)
        }));
        match submitted {
            Ok(Ok(Submit::Accepted)) => {
                slot.meter.waited.record(now.saturating_duration_since(tag.since));
                slot.meter.cost.fetch_add(cost, Ordering::Relaxed);
                tag.since = now;
                slot.inside.push_back(tag);
                slot.fed = true;
                slot.occupy();
                slot.meter.inside.entered(slot.inside.len());
                Ok(Fed::Taken)
            }
            Ok(Ok(Submit::Full(unit))) => {
                slot.full = true;
                self.with_queue(index, |queue| queue.put_back(Held { unit, tag }));
                self.stage_slots[index].meter.waiting.set(left + 1);
                Ok(Fed::Full)
            }
            Ok(Err(error)) => {
                self.mailbox.lose(tag, error);
                Ok(Fed::Gone)
            }
            Err(panic) => {
                let message = panic_message(panic.as_ref());
                let error = format!("the stage `{}` panicked: {message}", slot.meter.name);
                self.mailbox.lose(tag, Error::corrupt(error.clone()));
                Err(Error::corrupt_fatal(error))
            }
        }
    }

    /// A unit of the stage `index` may begin. A stream whose stage panics is over.
    pub(super) fn begin(&mut self, index: usize, gone: &mut Vec<Box<dyn Stage>>) -> Fed {
        match self.feed(index) {
            Ok(fed) => {
                if fed != Fed::Full {
                    self.last_moved = Instant::now();
                }
                self.judge(index);
                fed
            }
            Err(error) => {
                self.end(Some(Stop::Failed(error)), gone);
                Fed::Gone
            }
        }
    }

    /// Whether somebody would submit if there were a credit, and nothing moves; when to look again.
    pub(super) fn tend(&mut self, now: Instant, gone: &mut Vec<Box<dyn Stage>>) -> Option<Duration> {
        let standing = self.mailbox.credits.standing();
        let inside: usize = self.stage_slots.iter().map(|slot| slot.inside.len()).sum();
        if self.over || !standing.refused || inside < standing.used || inside == 0 {
            return None;
        }
        let still = now.saturating_duration_since(self.last_moved);
        let patience = if self.lent == 0 { FIRST_LOAN } else { STILL };
        if still < patience {
            return Some(patience.saturating_sub(still));
        }
        if !self.stage_slots.iter().all(|slot| slot.inside.is_empty() || slot.stage.is_hungry()) {
            return Some(STILL);
        }
        if self.lent < MOST_LENT {
            self.lent += 1;
            self.last_moved = now;
            self.mailbox.credits.lend();
        } else if still >= HOPELESS {
            let stage = self
                .stage_slots
                .iter()
                .max_by_key(|slot| slot.inside.len())
                .map_or("", |slot| slot.meter.name);
            let error = Error::Unsupported {
                feature: format!(
                    "the stage `{stage}` of the stream `{}` has {inside} units and gives nothing",
                    self.mailbox.name
                ),
                remedy: format!("open the stream with more than {} credits", standing.limit).into(),
            };
            self.end(Some(Stop::Failed(error)), gone);
        }
        Some(STILL)
    }

    /// The stream is over.
    pub(super) fn end(&mut self, stop: Option<Stop>, gone: &mut Vec<Box<dyn Stage>>) {
        self.over = true;
        let mut inside = Vec::new();
        for slot in &mut self.stage_slots {
            inside.extend(slot.inside.drain(..));
            inside.extend(slot.queue.take_all().into_iter().map(|held| held.tag));
            slot.request = Request::Nothing;
            slot.occupy();
            slot.meter.waiting.set(0);
            let report = catch_unwind(AssertUnwindSafe(|| slot.stage.report())).unwrap_or_default();
            *lock(&slot.meter.report) = report;
        }
        self.mailbox.end(stop, inside);
        gone.extend(std::mem::take(&mut self.stage_slots).into_iter().map(|slot| slot.stage));
    }
}

#[cfg(test)]
#[path = "running_tests.rs"]
mod tests;
