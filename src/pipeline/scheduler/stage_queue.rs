//! Units that wait before a stage, and which of them a live stream gives up.

use std::collections::VecDeque;
use std::time::Instant;

use super::policy::{DropPolicy, IdrAfterDrop, LiveRules, reason};
use super::unit::{Barrier, Held, Unit};
use crate::time::Timestamp;

/// A unit that is given up, and why.
pub(super) type Dropped = (Held, &'static str);

#[derive(Debug)]
enum Entry {
    Unit(Held),
    Barrier(Barrier),
}

/// What is next in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Nothing,
    Barrier(Barrier),
    Unit,
}

/// Units that wait, in order.
#[derive(Debug)]
pub(super) struct StageQueue {
    entries: VecDeque<Entry>,
    units: usize,
    live: Option<LiveRules>,
    /// How the gaps stood before the unit that was taken out last, and whether that was to be an IDR without them: the
    /// stage may have no room for it.
    before: (FrameGaps, bool),
    frames: FrameGaps,
    packets: Chain,
}

/// What gaps in the frames mean for the frames behind them.
#[derive(Clone, Copy, Debug, Default)]
struct FrameGaps {
    /// A frame that was to be an IDR is gone.
    owed: bool,
    /// Frames that are gone since the last that was taken out.
    run: u32,
    /// An IDR is due by the rule.
    due: bool,
    /// Frames since the last IDR by the rule; none yet.
    since: Option<u32>,
}

/// Which packets can be decoded.
#[derive(Debug, Default)]
struct Chain {
    /// Packets up to the next random access point refer to something that is gone.
    broken: bool,
    /// The newest random access point follows a gap: what is shown before this time refers across it.
    cut: Option<Timestamp>,
}

impl StageQueue {
    pub(super) fn new(policy: DropPolicy) -> Self {
        let live = match policy {
            DropPolicy::Offline => None,
            DropPolicy::Live(rules) => Some(LiveRules { max_queue: rules.max_queue.max(1), ..rules }),
        };
        let (frames, packets) = (FrameGaps::default(), Chain::default());
        Self { entries: VecDeque::new(), units: 0, live, before: (frames, false), frames, packets }
    }

    /// Units in it.
    pub(super) const fn len(&self) -> usize {
        self.units
    }

    pub(super) fn head(&self) -> Head {
        match self.entries.front() {
            None => Head::Nothing,
            Some(Entry::Barrier(barrier)) => Head::Barrier(*barrier),
            Some(Entry::Unit(_)) => Head::Unit,
        }
    }

    /// The unit at the head.
    pub(super) fn first(&self) -> Option<&Unit> {
        match self.entries.front() {
            Some(Entry::Unit(held)) => Some(&held.unit),
            Some(Entry::Barrier(_)) | None => None,
        }
    }

    pub(super) fn push_barrier(&mut self, barrier: Barrier) {
        // Behind it decoding begins anew, whatever is missing before.
        self.packets = Chain::default();
        self.entries.push_back(Entry::Barrier(barrier));
    }

    /// Takes the barrier at the head.
    pub(super) fn pop_barrier(&mut self) {
        if matches!(self.entries.front(), Some(Entry::Barrier(_))) {
            self.entries.pop_front();
        }
    }

    /// Adds a unit; what has to go for it, or it itself, comes back.
    pub(super) fn push(&mut self, held: Held, dropped: &mut Vec<Dropped>) {
        let Some(rules) = self.live else { return self.append(held) };
        if !self.admits(&held.unit) {
            return dropped.push((held, reason::BROKEN_CHAIN));
        }
        if self.units >= rules.max_queue && !self.make_room(&held.unit, reason::QUEUE_FULL, dropped) {
            return self.lose(held, reason::QUEUE_FULL, dropped);
        }
        // What went may be what it refers to.
        if !self.admits(&held.unit) {
            return dropped.push((held, reason::BROKEN_CHAIN));
        }
        self.arrived(&held.unit);
        self.append(held);
    }

    fn append(&mut self, held: Held) {
        self.units += 1;
        self.entries.push_back(Entry::Unit(held));
    }

    /// Whether the chain up to this packet is whole.
    fn admits(&self, unit: &Unit) -> bool {
        let Unit::Packet(packet) = unit else { return true };
        let leads = self.packets.cut.is_some_and(|key| packet.pts.is_some_and(|pts| pts < key));
        packet.keyframe || !(self.packets.broken || leads)
    }

    fn arrived(&mut self, unit: &Unit) {
        if let Unit::Packet(packet) = unit
            && packet.keyframe
        {
            self.packets.cut = packet.pts.filter(|_| self.packets.broken);
            self.packets.broken = false;
        }
    }

    /// The unit goes that would come in.
    pub(super) fn lose(&mut self, held: Held, reason: &'static str, dropped: &mut Vec<Dropped>) {
        match &held.unit {
            Unit::Packet(_) if !self.admits(&held.unit) => return dropped.push((held, reason::BROKEN_CHAIN)),
            // A key that is lost breaks what follows it just as well.
            Unit::Packet(_) => self.packets.broken = true,
            Unit::Frame(frame) => self.frames.lost(frame.force_keyframe),
        }
        dropped.push((held, reason));
    }

    /// Gives up a unit for `incoming`, if there is one that can go.
    pub(super) fn make_room(
        &mut self,
        incoming: &Unit,
        reason: &'static str,
        dropped: &mut Vec<Dropped>,
    ) -> bool {
        if self.live.is_none() || !self.admits(incoming) {
            return false;
        }
        let victim = match incoming {
            Unit::Frame(frame) => self.frame_to_drop(frame.force_keyframe),
            Unit::Packet(packet) => self.packet_to_drop(packet.keyframe),
        };
        let Some(at) = victim else { return false };
        let cut = matches!(incoming, Unit::Packet(_));
        let Some(held) = self.remove(at) else { return false };
        if let Unit::Frame(frame) = &held.unit {
            self.frames.lost(frame.force_keyframe);
        }
        dropped.push((held, reason));
        if cut {
            self.drop_leading(at, dropped);
            if at == self.entries.len() {
                // The gap is right before the packet that comes in.
                self.packets.broken = true;
            }
        }
        true
    }

    fn remove(&mut self, at: usize) -> Option<Held> {
        if !matches!(self.entries.get(at), Some(Entry::Unit(_))) {
            return None;
        }
        let Some(Entry::Unit(held)) = self.entries.remove(at) else { return None };
        self.units -= 1;
        Some(held)
    }

    /// The oldest frame that is not to be an IDR; where all are, and the one that comes in too, the oldest.
    fn frame_to_drop(&self, incoming_idr: bool) -> Option<usize> {
        let frame = |entry: &Entry, ordinary: bool| match entry {
            Entry::Unit(Held { unit: Unit::Frame(frame), .. }) => !(ordinary && frame.force_keyframe),
            _ => false,
        };
        let find = |ordinary| self.entries.iter().position(|entry| frame(entry, ordinary));
        find(true).or_else(|| if incoming_idr { find(false) } else { None })
    }

    /// The oldest packet that nothing refers to, because decoding begins anew behind it; ordinary ones first.
    fn packet_to_drop(&self, before_key: bool) -> Option<usize> {
        let key = |entry: &Entry| match entry {
            Entry::Unit(Held { unit: Unit::Packet(packet), .. }) => packet.keyframe,
            Entry::Unit(_) => false,
            Entry::Barrier(_) => true,
        };
        let last = |at: usize| self.entries.get(at + 1).map_or(before_key, key);
        let find = |keys: bool| {
            let fits = |at: &usize| {
                let entry = &self.entries[*at];
                matches!(entry, Entry::Unit(_)) && key(entry) == keys && last(*at)
            };
            (0..self.entries.len()).find(fits)
        };
        find(false).or_else(|| find(true))
    }

    /// The random access point at `at` follows a gap: pictures shown before it refer across the gap.
    fn drop_leading(&mut self, at: usize, dropped: &mut Vec<Dropped>) {
        let Some(Entry::Unit(Held { unit: Unit::Packet(point), .. })) = self.entries.get(at) else { return };
        let Some(shown) = point.pts else { return };
        let mut next = at + 1;
        loop {
            match self.entries.get(next) {
                Some(Entry::Unit(Held { unit: Unit::Packet(packet), .. })) if !packet.keyframe => {
                    if packet.pts.is_none_or(|pts| pts >= shown) {
                        next += 1;
                    } else if let Some(held) = self.remove(next) {
                        dropped.push((held, reason::BROKEN_CHAIN));
                    }
                }
                // It is the newest: some may still come.
                None => return self.packets.cut = Some(shown),
                Some(_) => return,
            }
        }
    }

    /// Takes the first unit; what is too late goes before it. Nothing where a barrier is first.
    pub(super) fn pop(&mut self, now: Instant, dropped: &mut Vec<Dropped>) -> Option<Held> {
        self.drop_late(now, dropped);
        let mut held = self.remove(0)?;
        if let (Unit::Frame(frame), Some(rules)) = (&mut held.unit, self.live) {
            self.before = (self.frames, frame.force_keyframe);
            frame.force_keyframe = self.frames.request(frame.force_keyframe, rules.idr);
        }
        Some(held)
    }

    /// The stage had no room for what was taken out: it is as if that had not been.
    pub(super) fn put_back(&mut self, mut held: Held) {
        self.units += 1;
        if let (Unit::Frame(frame), Some(_)) = (&mut held.unit, self.live) {
            (self.frames, frame.force_keyframe) = self.before;
        }
        self.entries.push_front(Entry::Unit(held));
    }

    fn drop_late(&mut self, now: Instant, dropped: &mut Vec<Dropped>) {
        let Some(age) = self.live.and_then(|rules| rules.max_age) else { return };
        loop {
            let Some(Entry::Unit(first)) = self.entries.front() else { return };
            if now.saturating_duration_since(first.tag.since) <= age {
                return;
            }
            match &first.unit {
                Unit::Frame(frame) => {
                    let forced = frame.force_keyframe;
                    if !matches!(self.entries.get(1), Some(Entry::Unit(_))) {
                        return;
                    }
                    self.frames.lost(forced);
                    dropped.extend(self.remove(0).map(|held| (held, reason::LATE)));
                }
                Unit::Packet(_) => {
                    let until_barrier = self.entries.iter().take_while(|e| matches!(e, Entry::Unit(_)));
                    let key = until_barrier.skip(1).position(|entry| {
                        matches!(entry, Entry::Unit(Held { unit: Unit::Packet(packet), .. }) if packet.keyframe)
                    });
                    let Some(before) = key else { return };
                    for _ in 0..=before {
                        dropped.extend(self.remove(0).map(|held| (held, reason::LATE)));
                    }
                    self.drop_leading(0, dropped);
                }
            }
        }
    }

    /// Everything of generations before `generation`.
    pub(super) fn take_older(&mut self, generation: u64) -> Vec<Held> {
        let mut old = Vec::new();
        let mut at = 0;
        while at < self.entries.len() {
            match &self.entries[at] {
                Entry::Unit(held) if held.tag.generation < generation => old.extend(self.remove(at)),
                _ => at += 1,
            }
        }
        old
    }

    /// Everything.
    pub(super) fn take_all(&mut self) -> Vec<Held> {
        self.units = 0;
        self.entries
            .drain(..)
            .filter_map(|entry| match entry {
                Entry::Unit(held) => Some(held),
                Entry::Barrier(_) => None,
            })
            .collect()
    }
}

impl FrameGaps {
    fn lost(&mut self, forced: bool) {
        self.owed |= forced;
        self.run = self.run.saturating_add(1);
    }

    /// Whether the frame that is taken out is to be an IDR.
    fn request(&mut self, forced: bool, rule: IdrAfterDrop) -> bool {
        let run = std::mem::take(&mut self.run);
        let owed = std::mem::take(&mut self.owed);
        let mut key = forced || owed;
        if let IdrAfterDrop::After { dropped, apart } = rule {
            self.due |= run >= dropped.max(1);
            key |= self.due && self.since.is_none_or(|since| since >= apart);
        }
        if key {
            self.due = false;
            self.since = Some(1);
        } else {
            self.since = self.since.map(|since| since.saturating_add(1));
        }
        key
    }
}

#[cfg(test)]
#[path = "stage_queue_tests.rs"]
mod tests;
