//! The reorder window: several decoders put the events of their segments in, the session gets them segment by segment.
//!
//! What waits here is bounded in bytes. The oldest segment always gets through, so that the window can never be
//! full of what cannot leave; of the others the older goes first, because it leaves first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::backend::DecodeEvent;
use crate::backend::{CardRoom, DownloadStage};
use crate::error::Error;
use crate::frame::Surface;
use crate::sync::{lock, whole};

/// Events of the oldest segment that fit in however full the window is.
const HEAD_ROOM: usize = 4;
/// What an event without samples is charged.
const EVENT_BYTES: u64 = 512;

/// What an event is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Charge {
    bytes: u64,
    /// The card that its samples are on; `None`: they are in host memory.
    card: Option<u32>,
}

/// How much may wait in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend) struct Room {
    /// Bytes in host memory.
    pub(in crate::backend) host: u64,
    /// Bytes in the memory of all cards.
    pub(in crate::backend) cards: u64,
    /// Bytes in both.
    pub(in crate::backend) all: u64,
    /// Bytes in the memory of any one card for pictures that could wait in host memory as well.
    pub(in crate::backend) each_card: u64,
}

impl Room {
    /// So many bytes, wherever they are.
    pub(in crate::backend) const fn of(bytes: u64) -> Self {
        Self { host: bytes, cards: bytes, all: bytes, each_card: bytes }
    }
}

/// See the module's documentation.
pub(super) struct Window {
    state: Mutex<State>,
    /// Something may be handed on.
    ready: Condvar,
    /// Everything has been, or nothing will be any more.
    idle: Condvar,
    /// Another segment is the oldest, or has no decoder.
    moved: Condvar,
    /// What waits on each card.
    cards: Arc<CardRoom>,
}

struct State {
    /// Number of the oldest segment.
    head: u64,
    /// From the oldest on.
    segments: VecDeque<Segment>,
    /// Charged for all events in host memory.
    host: u64,
    /// And for those on cards.
    on_cards: u64,
    room: Room,
    /// Parts from the oldest on that may be decoded.
    ahead: u64,
    peak: u64,
    /// Decoders that wait for room, by segment.
    waiting: BTreeMap<u64, Turn>,
    closed: bool,
    /// Why a decoder ended, once everything before that is handed on.
    failure: Option<Error>,
}

/// Those who wait for room with events of one segment: one thread of its decoder, as a rule.
#[derive(Default)]
struct Turn {
    come: Arc<Condvar>,
    threads: usize,
}

#[derive(Default)]
struct Segment {
    events: VecDeque<(DecodeEvent, Charge)>,
    done: bool,
    failure: Option<Error>,
    /// Its decoder has given it up, and no other has taken it yet.
    orphaned: bool,
}

impl Window {
    /// A window for anything that comes, until a limit is set.
    pub(super) fn new(cards: Arc<CardRoom>) -> Self {
        Self {
            state: Mutex::new(State {
                head: 0,
                segments: VecDeque::new(),
                host: 0,
                on_cards: 0,
                room: Room::of(u64::MAX),
                ahead: u64::MAX,
                peak: 0,
                waiting: BTreeMap::new(),
                closed: false,
                failure: None,
            }),
            ready: Condvar::new(),
            idle: Condvar::new(),
            moved: Condvar::new(),
            cards,
        }
    }

    /// Most that waits here, but for the oldest segment's few, and how many segments from the oldest on may be decoded.
    pub(super) fn set_room(&self, room: Room, ahead: u64) {
        self.cards.limit(room.each_card);
        let mut state = lock(&self.state);
        state.room = room;
        state.ahead = ahead.max(1);
        self.moved.notify_all();
    }

    /// Waits until the segment is near enough to the oldest one to be decoded.
    pub(super) fn wait_for_turn(&self, segment: u64) {
        let too_far = |state: &mut State| {
            // The decoder that the oldest segment needs may be one that waits here.
            !state.closed && segment.saturating_sub(state.head) >= state.ahead && !state.is_stuck()
        };
        drop(self.moved.wait_while(lock(&self.state), too_far));
    }

    /// A new segment, the youngest; returns its number.
    pub(super) fn begin(&self) -> u64 {
        let mut state = lock(&self.state);
        state.segments.push_back(Segment::default());
        state.head + state.segments.len() as u64 - 1
    }

    /// Puts an event of a segment in, waiting for room. `false`: nobody wants events any more.
    pub(super) fn push(&self, segment: u64, event: DecodeEvent) -> bool {
        let charge = charge(&event);
        let mut state = lock(&self.state);
        while !state.closed && state.segment(segment).is_some() && !state.has_room(segment, charge) {
            let turn = state.waiting.entry(segment).or_default();
            turn.threads += 1;
            let come = Arc::clone(&turn.come);
            state = whole(come.wait(state));
            state.leave_line(segment);
        }
        if state.closed {
            return false;
        }
        let is_head = segment == state.head;
        // What a decoder that has ended still says belongs to no segment.
        let Some(entry) = state.segment(segment) else {
            state.wake_first();
            return false;
        };
        entry.events.push_back((event, charge));
        self.count(&mut state, charge);
        if is_head {
            self.ready.notify_one();
        }
        if state.left(charge) {
            state.wake_first();
        }
        true
    }

    /// Everything of a segment is in. A failure ends the session when its turn comes.
    pub(super) fn finish(&self, segment: u64, failure: Option<Error>) {
        let mut state = lock(&self.state);
        if let Some(entry) = state.segment(segment) {
            entry.done = true;
            entry.failure = failure;
        }
        // Who was behind its decoder in the line is the first now.
        state.wake_first();
        self.ready.notify_one();
    }

    /// A segment's decoder has given it up before anything of it came, so that another has to become free for it.
    pub(super) fn orphan(&self, segment: u64) {
        let mut state = lock(&self.state);
        if let Some(entry) = state.segment(segment) {
            entry.orphaned = true;
        }
        self.moved.notify_all();
        state.wake_first();
    }

    /// A decoder has taken the segment.
    pub(super) fn adopt(&self, segment: u64) {
        if let Some(entry) = lock(&self.state).segment(segment) {
            entry.orphaned = false;
        }
    }

    /// Hands events on in order until the window is closed or nobody wants more. Runs on a thread of its own.
    pub(super) fn deliver(&self, download: &mut dyn DownloadStage) {
        let mut state = lock(&self.state);
        while !state.closed {
            if let Some((event, charge)) =
                state.segments.front_mut().and_then(|segment| segment.events.pop_front())
            {
                self.uncount(&mut state, charge);
                state.wake_first();
                drop(state);
                if !download.take(event) {
                    return self.close();
                }
                state = lock(&self.state);
            } else if download.holds() {
                // There is nothing to begin: time to wait for what was begun. A segment ends when all of it is handed on.
                drop(state);
                if !download.hand_on() {
                    return self.close();
                }
                state = lock(&self.state);
            } else if state.segments.front().is_some_and(|segment| segment.done) {
                let failure = state.segments.pop_front().and_then(|segment| segment.failure);
                state.head += 1;
                if failure.is_some() {
                    state.failure = failure;
                    // In one step: to whoever waits for all to be handed on, no segment left is not enough.
                    state.closed = true;
                    drop(state);
                    return self.close();
                }
                // The next segment is the oldest now: its decoder need not wait any more.
                self.moved.notify_all();
                state.wake_first();
                if state.segments.is_empty() {
                    self.idle.notify_all();
                }
            } else {
                state = whole(self.ready.wait(state));
            }
        }
    }

    fn count(&self, state: &mut State, Charge { bytes, card }: Charge) {
        match card {
            Some(card) => {
                self.cards.add(card, bytes);
                state.on_cards += bytes;
            }
            None => state.host += bytes,
        }
        state.peak = state.peak.max(state.host + state.on_cards);
    }

    fn uncount(&self, state: &mut State, Charge { bytes, card }: Charge) {
        match card {
            Some(card) => {
                self.cards.remove(card, bytes);
                state.on_cards -= bytes;
            }
            None => state.host -= bytes,
        }
    }

    /// Waits until all segments are handed on, and at most so long (`None`). `false`: the window was closed before.
    pub(super) fn wait_idle(&self, limit: Duration) -> Option<bool> {
        let state = lock(&self.state);
        let (state, limit) = whole(
            self.idle.wait_timeout_while(state, limit, |state| !state.closed && !state.segments.is_empty()),
        );
        (!limit.timed_out()).then_some(!state.closed)
    }

    /// Nothing goes in or out any more, and nobody waits.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let dropped = std::mem::take(&mut state.segments);
        for turn in state.waiting.values() {
            turn.come.notify_all();
        }
        self.ready.notify_all();
        self.idle.notify_all();
        self.moved.notify_all();
        drop(state);
        // Frames go back to their pools outside the lock.
        drop(dropped);
    }

    /// Why a decoder ended, once.
    pub(super) fn take_failure(&self) -> Option<Error> {
        lock(&self.state).failure.take()
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Most bytes that waited at once.
    pub(super) fn peak(&self) -> u64 {
        lock(&self.state).peak
    }
}

impl State {
    fn segment(&mut self, segment: u64) -> Option<&mut Segment> {
        let index = segment.checked_sub(self.head)?;
        self.segments.get_mut(usize::try_from(index).ok()?)
    }

    /// Whether one more event of this kind fits.
    const fn left(&self, charge: Charge) -> bool {
        let kind =
            if charge.card.is_some() { self.on_cards < self.room.cards } else { self.host < self.room.host };
        kind && self.host.saturating_add(self.on_cards) < self.room.all
    }

    fn has_room(&self, segment: u64, charge: Charge) -> bool {
        if segment == self.head {
            let queued = self.segments.front().map_or(0, |head| head.events.len());
            return queued < HEAD_ROOM || self.left(charge);
        }
        let first_in_line = self.waiting.keys().next().is_none_or(|first| *first >= segment);
        // Nothing leaves before the oldest segment has a decoder, and that can only be one that gets through here.
        first_in_line && (self.is_stuck() || self.left(charge))
    }

    /// The oldest segment has no decoder.
    fn is_stuck(&self) -> bool {
        self.segments.front().is_some_and(|head| head.orphaned)
    }

    fn wake_first(&self) {
        if let Some(turn) = self.waiting.values().next() {
            turn.come.notify_all();
        }
    }

    /// A thread that waited looks again, or goes.
    fn leave_line(&mut self, segment: u64) {
        if let Some(turn) = self.waiting.get_mut(&segment) {
            turn.threads -= 1;
            if turn.threads == 0 {
                self.waiting.remove(&segment);
            }
        }
    }
}

fn charge(event: &DecodeEvent) -> Charge {
    let (samples, card) = match event {
        DecodeEvent::Picture(picture) => match &picture.surface {
            Surface::Host(host) => (host.planes().iter().map(|plane| plane.data().len() as u64).sum(), None),
            Surface::Device(device) => (
                device.planes().iter().map(|plane| (plane.pitch * plane.rows) as u64).sum(),
                (!device.is_host_memory()).then(|| device.device()),
            ),
            Surface::None => (0, None),
        },
        DecodeEvent::NoPicture { .. } | DecodeEvent::Failed { .. } | DecodeEvent::Note(_) => (0, None),
    };
    Charge { bytes: samples + EVENT_BYTES, card }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::backend::Direct;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn limited(bytes: u64) -> Arc<Window> {
        let window = Window::new(Arc::new(CardRoom::new()));
        window.set_room(Room::of(bytes), u64::MAX);
        Arc::new(window)
    }

    fn event(serial: u64) -> DecodeEvent {
        DecodeEvent::NoPicture { serial, reason: "test" }
    }

    fn collect(window: &Arc<Window>) -> (std::thread::JoinHandle<()>, mpsc::Receiver<u64>) {
        let (tx, rx) = mpsc::channel();
        let window = Arc::clone(window);
        let mut download = Direct(Box::new(move |event| match event {
            DecodeEvent::NoPicture { serial, .. } => tx.send(serial).is_ok(),
            _ => false,
        }));
        (std::thread::spawn(move || window.deliver(&mut download)), rx)
    }

    #[test]
    fn parts_come_out_in_order_whichever_is_done_first() {
        let window = limited(u64::MAX);
        let (first, second) = (window.begin(), window.begin());
        assert!(window.push(second, event(10)) && window.push(second, event(11)));
        window.finish(second, None);
        let (thread, events) = collect(&window);
        assert!(window.push(first, event(1)));
        window.finish(first, None);
        assert_eq!(window.wait_idle(PATIENCE), Some(true));
        assert_eq!(events.try_iter().collect::<Vec<_>>(), [1, 10, 11]);
        window.close();
        thread.join().unwrap();
    }

    #[test]
    fn a_window_full_of_younger_parts_lets_the_oldest_through() {
        let window = limited(2 * EVENT_BYTES);
        let (first, second, third) = (window.begin(), window.begin(), window.begin());
        let fill = |segment: u64| {
            let window = Arc::clone(&window);
            std::thread::spawn(move || {
                let all = (0..100).all(|i| window.push(segment, event(segment * 100 + i)));
                window.finish(segment, None);
                all
            })
        };
        let young = [fill(third), fill(second)];
        let (thread, events) = collect(&window);
        let old = fill(first);
        assert!(old.join().unwrap() && young.into_iter().all(|thread| thread.join().unwrap()));
        assert_eq!(window.wait_idle(PATIENCE), Some(true));
        assert_eq!(events.try_iter().collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
        assert!(window.peak() <= (2 + HEAD_ROOM as u64) * EVENT_BYTES);
        window.close();
        thread.join().unwrap();
    }

    #[test]
    fn while_the_oldest_part_has_no_decoder_the_others_get_through() {
        let window = limited(1);
        let (first, second, third) = (window.begin(), window.begin(), window.begin());
        window.orphan(first);
        let (done, wait) = mpsc::channel();
        for segment in [third, second] {
            let (window, done) = (Arc::clone(&window), done.clone());
            std::thread::spawn(move || {
                let all = (0..20).all(|i| window.push(segment, event(segment * 20 + i)));
                window.finish(segment, None);
                done.send(all)
            });
        }
        for _ in 0..2 {
            assert!(wait.recv_timeout(PATIENCE).unwrap());
        }
        window.adopt(first);
        let (thread, events) = collect(&window);
        assert!((0..20).all(|i| window.push(first, event(i))));
        window.finish(first, None);
        assert_eq!(window.wait_idle(PATIENCE), Some(true));
        assert_eq!(events.try_iter().collect::<Vec<_>>(), (0..60).collect::<Vec<_>>());
        window.close();
        thread.join().unwrap();
    }

    #[test]
    fn a_failure_comes_behind_what_was_decoded_before_it() {
        let window = limited(u64::MAX);
        let (first, second) = (window.begin(), window.begin());
        assert!(window.push(second, event(2)));
        window.finish(second, Some(Error::Cancelled));
        let (thread, events) = collect(&window);
        assert!(window.push(first, event(1)));
        window.finish(first, None);
        assert_eq!(window.wait_idle(PATIENCE), Some(false), "closed by the failure");
        thread.join().unwrap();
        assert_eq!(events.iter().collect::<Vec<_>>(), [1, 2]);
        assert!(matches!(window.take_failure(), Some(Error::Cancelled)));
        assert!(!window.push(2, event(3)));
    }

    #[test]
    fn a_part_far_from_the_oldest_waits_until_it_is_near_or_nobody_has_the_oldest() {
        let window = limited(u64::MAX);
        window.set_room(Room::of(u64::MAX), 2);
        let segments: Vec<_> = (0..5).map(|_| window.begin()).collect();
        let wait = |segment: u64| {
            let window = Arc::clone(&window);
            std::thread::spawn(move || {
                window.wait_for_turn(segment);
                // What the window looked like when the wait was over.
                lock(&window.state).head
            })
        };
        window.wait_for_turn(segments[0]);
        window.wait_for_turn(segments[1]);
        let (third, fourth) = (wait(segments[2]), wait(segments[3]));
        let (thread, events) = collect(&window);
        window.finish(segments[0], None);
        assert!(third.join().unwrap() >= 1);
        window.finish(segments[1], None);
        assert!(fourth.join().unwrap() >= 2);
        let fifth = wait(segments[4]);
        window.orphan(segments[2]);
        fifth.join().unwrap();
        window.close();
        thread.join().unwrap();
        assert_eq!(events.iter().count(), 0);
    }

    #[test]
    fn a_closed_window_lets_nobody_wait() {
        let window = limited(0);
        let (_, second) = (window.begin(), window.begin());
        let pusher = {
            let window = Arc::clone(&window);
            std::thread::spawn(move || window.push(second, event(0)))
        };
        window.close();
        assert!(!pusher.join().unwrap());
        assert_eq!(window.wait_idle(PATIENCE), Some(false));
    }
}
