//! The thread that drives all streams.
//!
//! It looks at streams that somebody has rung for, at those that have to be polled, and gives engines to whoever's turn
//! it is. Nothing that it calls waits, but the user's stages if they break that rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::desk::{Desk, Stop};
use super::fair::{FairQueue, Wish};
use super::helpers::{Chore, Helpers};
use super::running::{FIRST_LOAN, Fed, Running, STILL};
use super::stage::Stage;
use super::summary::ClassSummary;
use crate::sync::lock;

/// How often stages that ring for nothing are looked at while something is inside.
const POLL: Duration = Duration::from_millis(1);

/// The bell's key for the scheduler itself.
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
    pub(super) bell: Arc<Bell>,
    pub(super) inbox: Mutex<Vec<Running>>,
    pub(super) desks: Mutex<Vec<Weak<Desk>>>,
    pub(super) classes: Mutex<Vec<ClassSummary>>,
    pub(super) helpers: Helpers,
    pub(super) ended: AtomicBool,
    pub(super) turns: AtomicU64,
}

pub(super) struct Driver {
    shared: Arc<Shared>,
    streams: BTreeMap<u64, Running>,
    /// Of streams that are over too: their consumers may have something left to take, and nobody else may hold them.
    desks: BTreeMap<u64, Arc<Desk>>,
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
            desks: BTreeMap::new(),
            classes,
            polled: BTreeSet::new(),
            gone: Vec::new(),
        }
    }

    /// Until the scheduler is dropped.
    pub(super) fn run(mut self) {
        let mut limit = None;
        loop {
            let rung = self.shared.bell.wait(limit);
            if self.shared.ended.load(Ordering::Acquire) {
                return self.end();
            }
            limit = self.turn(rung).1;
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

    /// Moves all that can be moved; whether something was, and when to look again if nobody rings.
    pub(super) fn turn(&mut self, rung: BTreeSet<u64>) -> (bool, Option<Duration>) {
        self.shared.turns.fetch_add(1, Ordering::Relaxed);
        let mut dirty = rung;
        dirty.append(&mut self.polled);
        dirty.extend(self.adopt());
        dirty.remove(&SELF);
        let mut any = false;
        // Somebody has rung for them, or they are polled: stages that had no room may have some.
        let mut heard = true;
        while !dirty.is_empty() {
            for key in &dirty {
                if let Some(stream) = self.streams.get_mut(key) {
                    any |= stream.pump(heard, &mut self.gone);
                    self.settle(*key);
                }
            }
            for key in &dirty {
                self.offer(*key);
            }
            dirty = self.serve();
            heard = false;
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
            let key = stream.desk.key;
            self.desks.insert(key, Arc::clone(&stream.desk));
            for (index, post) in stream.posts.iter().enumerate() {
                if let Some(class) = post.class.and_then(|class| self.classes.get_mut(class)) {
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
        let Some(desk) = self.desks.get(&key) else { return };
        self.shared.helpers.offer(desk);
        if desk.is_left() {
            self.desks.remove(&key);
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
                let next = class.fair.next(|(key, post)| {
                    let Some(post) = streams.get(&key).and_then(|stream| stream.posts.get(post)) else {
                        return Wish::Nothing;
                    };
                    match post.wish {
                        // It has something to do, and keeps what it has saved up until there is room.
                        Wish::Nothing if post.is_full() => Wish::Blocked,
                        Wish::Unit(_) if used >= slots && !post.is_free() => Wish::Blocked,
                        wish => wish,
                    }
                });
                let Some((key, post)) = next else { break };
                if let Some(stream) = self.streams.get_mut(&key) {
                    let wish = stream.posts.get(post).map_or(Wish::Nothing, |post| post.wish);
                    let fed = stream.begin(post, &mut self.gone);
                    if fed == Fed::Taken {
                        class.last_begun = Instant::now();
                        begun += 1;
                    } else if let Wish::Unit(cost) = wish {
                        class.fair.refund((key, post), cost);
                    }
                    // One that had no room comes again when somebody has rung for it.
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
        let posts = self.streams.values().flat_map(|stream| &stream.posts);
        posts.filter(|post| post.class == Some(class)).map(|post| post.occupied).sum()
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
            let posts = || self.streams.values().flat_map(|stream| &stream.posts);
            let mine = || posts().filter(|post| post.class == Some(index));
            // All slots are taken and somebody waits for one.
            if !mine().any(|post| matches!(post.wish, Wish::Unit(_))) {
                continue;
            }
            let still = now.saturating_duration_since(self.classes[index].last_begun);
            // As with credits: a class that was waited for in vain, and has given nothing since, has been found out.
            let given = mine().map(|post| post.given).fold(0, u64::wrapping_add);
            let patience = if self.classes[index].taught == Some(given) { STILL } else { FIRST_LOAN };
            if still >= patience {
                self.classes[index].taught = Some(given);
                let posts = self.streams.values_mut().flat_map(|stream| &mut stream.posts);
                posts.filter(|post| post.class == Some(index)).for_each(super::running::Post::learn);
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
