//! The thread that drives all streams.
//!
//! It looks at streams that somebody has marked as ready, at those that have to be polled, and gives engines to whoever's turn
//! it is. Nothing that it calls waits, but the user's stages if they break that rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::fair::{FairQueue, Request};
use super::helpers::{Chore, Helpers};
use super::mailbox::{Mailbox, Stop};
use super::ready_set::ReadySet;
use super::running::{FIRST_LOAN, Fed, Running, STILL};
use super::stage::Stage;
use super::summary::ClassSummary;
use crate::sync::lock;

/// How often stages that say nothing of themselves are looked at while something is inside.
const POLL: Duration = Duration::from_millis(1);

/// The key in the ready set for the scheduler itself.
pub(super) const SELF: u64 = 0;

/// A class of engines.
struct Class {
    slots: usize,
    used: usize,
    fair: FairQueue<(u64, usize)>,
    last_begun: Instant,
    /// What its stages had given when they were last taken to hold units back.
    taught: Option<u64>,
}

/// What the scheduler's owner and its thread share.
pub(super) struct Shared {
    pub(super) ready: Arc<ReadySet>,
    pub(super) inbox: Mutex<Vec<Running>>,
    pub(super) mailboxes: Mutex<Vec<Weak<Mailbox>>>,
    pub(super) classes: Mutex<Vec<ClassSummary>>,
    pub(super) helpers: Helpers,
    pub(super) ended: AtomicBool,
    pub(super) turns: AtomicU64,
}

pub(super) struct Driver {
    shared: Arc<Shared>,
    streams: BTreeMap<u64, Running>,
    /// Of streams that are over too: their consumers may have something left to take, and nobody else may hold them.
    mailboxes: BTreeMap<u64, Arc<Mailbox>>,
    classes: Vec<Class>,
    polled: BTreeSet<u64>,
    gone: Vec<Box<dyn Stage>>,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let classes = lock(&shared.classes)
            .iter()
            .map(|class| Class {
                slots: class.slots,
                used: 0,
                fair: FairQueue::new(),
                last_begun: Instant::now(),
                taught: None,
            })
            .collect();
        Self {
            shared,
            streams: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            classes,
            polled: BTreeSet::new(),
            gone: Vec::new(),
        }
    }

    /// Until the scheduler is dropped.
    pub(super) fn run(mut self) {
        let mut limit = None;
        loop {
            let ready = self.shared.ready.wait(limit);
            if self.shared.ended.load(Ordering::Acquire) {
                return self.end();
            }
            limit = self.turn(ready).1;
        }
    }

    /// Ends all streams.
    pub(super) fn end(mut self) {
        self.adopt();
        for stream in self.streams.values_mut() {
            if !stream.is_over() {
                stream.end(Some(Stop::Cancelled), &mut self.gone);
            }
        }
        Chore::Close(std::mem::take(&mut self.gone)).run();
    }

    /// Moves all that can be moved; whether something was, and when to look again if nothing is marked.
    pub(super) fn turn(&mut self, ready: BTreeSet<u64>) -> (bool, Option<Duration>) {
        self.shared.turns.fetch_add(1, Ordering::Relaxed);
        let mut dirty = ready;
        dirty.append(&mut self.polled);
        dirty.extend(self.adopt());
        dirty.remove(&SELF);
        let mut any = false;
        // Somebody has marked as ready them, or they are polled: stages that had no room may have some.
        let mut news = true;
        while !dirty.is_empty() {
            for key in &dirty {
                if let Some(stream) = self.streams.get_mut(key) {
                    any |= stream.pump(news, &mut self.gone);
                    self.settle(*key);
                }
            }
            for key in &dirty {
                self.offer(*key);
            }
            dirty = self.serve();
            news = false;
            any |= !dirty.is_empty();
        }
        self.streams.retain(|_, stream| !stream.is_over());
        if !self.gone.is_empty() {
            self.shared.helpers.add(Chore::Close(std::mem::take(&mut self.gone)));
        }
        let limit = self.tend();
        (any, limit)
    }

    /// Takes the streams that were opened since.
    fn adopt(&mut self) -> Vec<u64> {
        let new = std::mem::take(&mut *lock(&self.shared.inbox));
        let mut keys = Vec::new();
        for stream in new {
            let key = stream.mailbox.key;
            self.mailboxes.insert(key, Arc::clone(&stream.mailbox));
            for (index, slot) in stream.stage_slots.iter().enumerate() {
                if let Some(class) = slot.class.and_then(|class| self.classes.get_mut(class)) {
                    class.fair.join((key, index), stream.weight);
                }
            }
            self.streams.insert(key, stream);
            keys.push(key);
        }
        keys
    }

    /// After a stream was moved: who has left its classes, and whether it has to be polled.
    fn settle(&mut self, key: u64) {
        let Some(stream) = self.streams.get(&key) else { return };
        if stream.is_over() {
            for class in &mut self.classes {
                class.fair.leave(|(member, _)| member == key);
            }
        } else if stream.is_polled() {
            self.polled.insert(key);
        }
    }

    /// Has the user's code called that the stream has something for. Where there will never be anything again, the
    /// stream is forgotten.
    fn offer(&mut self, key: u64) {
        let Some(mailbox) = self.mailboxes.get(&key) else { return };
        self.shared.helpers.offer(mailbox);
        if mailbox.is_left() {
            self.mailboxes.remove(&key);
        }
    }

    /// Gives free engines to whoever's turn it is; the streams that got one.
    fn serve(&mut self) -> BTreeSet<u64> {
        let mut served = BTreeSet::new();
        for index in 0..self.classes.len() {
            let mut begun = 0;
            loop {
                let used = self.used(index);
                let class = &mut self.classes[index];
                class.used = used;
                let (streams, slots) = (&self.streams, class.slots);
                let next = class.fair.next(|(key, slot)| {
                    let Some(slot) = streams.get(&key).and_then(|stream| stream.stage_slots.get(slot)) else {
                        return Request::Nothing;
                    };
                    match slot.request {
                        // It has something to do, and keeps what it has saved up until there is room.
                        Request::Nothing if slot.is_full() => Request::Blocked,
                        Request::Unit(_) if used >= slots && !slot.is_free() => Request::Blocked,
                        request => request,
                    }
                });
                let Some((key, slot)) = next else { break };
                if let Some(stream) = self.streams.get_mut(&key) {
                    let request = stream.stage_slots.get(slot).map_or(Request::Nothing, |slot| slot.request);
                    let fed = stream.begin(slot, &mut self.gone);
                    if fed == Fed::Taken {
                        class.last_begun = Instant::now();
                        begun += 1;
                    } else if let Request::Unit(cost) = request {
                        class.fair.refund((key, slot), cost);
                    }
                    // One that had no room comes again when somebody has marked its stream.
                    if fed != Fed::Full {
                        served.insert(key);
                    }
                }
                self.settle(key);
            }
            let mut figures = lock(&self.shared.classes);
            if let Some(figures) = figures.get_mut(index) {
                figures.begun += begun;
                figures.used = self.classes[index].used;
                figures.peak = figures.peak.max(figures.used);
            }
        }
        served
    }

    /// Slots of a class in use.
    fn used(&self, class: usize) -> usize {
        let stage_slots = self.streams.values().flat_map(|stream| &stream.stage_slots);
        stage_slots.filter(|slot| slot.class == Some(class)).map(|slot| slot.occupied).sum()
    }

    /// Looks after streams and classes that stand still, and threads that are short; when to look again.
    fn tend(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let mut limit = self.shared.helpers.tend(now);
        let mut sooner = |when: Option<Duration>| {
            limit = match (limit, when) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        };
        for index in 0..self.classes.len() {
            let stage_slots = || self.streams.values().flat_map(|stream| &stream.stage_slots);
            let mine = || stage_slots().filter(|slot| slot.class == Some(index));
            // All slots are taken and somebody waits for one.
            if !mine().any(|slot| matches!(slot.request, Request::Unit(_))) {
                continue;
            }
            let still = now.saturating_duration_since(self.classes[index].last_begun);
            // As with credits: a class that was waited for in vain, and has given nothing since, has been found out.
            let given = mine().map(|slot| slot.given).fold(0, u64::wrapping_add);
            let patience = if self.classes[index].taught == Some(given) { STILL } else { FIRST_LOAN };
            if still >= patience {
                self.classes[index].taught = Some(given);
                let stage_slots = self.streams.values_mut().flat_map(|stream| &mut stream.stage_slots);
                stage_slots
                    .filter(|slot| slot.class == Some(index))
                    .for_each(super::running::StageSlot::learn);
                self.classes[index].last_begun = now;
                self.polled.extend(self.streams.keys());
                sooner(Some(Duration::ZERO));
            } else {
                sooner(Some(patience.saturating_sub(still)));
            }
        }
        for (key, stream) in &mut self.streams {
            sooner(stream.tend(now, &mut self.gone));
            if stream.is_over() {
                self.polled.insert(*key);
            }
        }
        if !self.polled.is_empty() {
            sooner(Some(POLL));
        }
        limit
    }
}
