//! Tracks that are copied from an input that can be read only once: the demuxer that reads the pictures hands them over.
//!
//! The thread that reads waits where too much waits here. Whoever writes never waits for it while it does: it takes what is
//! there, in whatever order, so that nothing can stand still for ever.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::control::CancelToken;
use crate::container::{Track, TrackId};
use crate::packet::Packet;
use crate::sync::{Condvar, Mutex, MutexGuard, lock};

/// Bytes that wait at most.
const MOST_BYTES: usize = 64 << 20;
/// How soon somebody who waits notices that the job is cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// Samples on their way from the thread that reads to the one that writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Side(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Packet>,
    bytes: usize,
    /// Tracks that are handed over.
    wanted: HashSet<TrackId>,
    /// Somebody takes what waits.
    begun: bool,
    /// More came in front of the first picture than may wait.
    overflown: bool,
    /// Nothing more comes.
    ended: bool,
    /// Nothing more is wanted.
    closed: bool,
}

impl Side {
    /// Has these tracks handed over, and gives their numbers.
    pub(super) fn want(&self, tracks: &[Track], video: TrackId) -> Vec<TrackId> {
        let copied = tracks.iter().filter(|track| track.id != video && track.copy.is_some());
        let ids: Vec<_> = copied.map(|track| track.id).collect();
        lock(&self.0.state).wanted = ids.iter().copied().collect();
        ids
    }

    /// Leaves it at these tracks; what waits of others goes. From now on somebody takes what waits. `false`: too much had come
    /// already.
    pub(super) fn begin(&self, tracks: impl Iterator<Item = TrackId>) -> bool {
        let mut state = lock(&self.0.state);
        state.wanted = tracks.collect();
        let State { waiting, wanted, .. } = &mut *state;
        waiting.retain(|packet| wanted.contains(&packet.track));
        state.bytes = state.waiting.iter().map(|packet| packet.data.len()).sum();
        state.begun = true;
        self.0.changed.notify_all();
        !state.overflown
    }

    /// Whether samples of other tracks than the pictures are still wanted.
    pub(super) fn is_open(&self) -> bool {
        let state = lock(&self.0.state);
        !state.closed && !state.wanted.is_empty()
    }

    /// Hands a sample over, waiting for room; gives back one of another track.
    pub(super) fn push(&self, packet: Packet, cancel: &CancelToken) -> Option<Packet> {
        let mut state = lock(&self.0.state);
        if !state.wanted.contains(&packet.track) {
            return Some(packet);
        }
        while state.bytes > MOST_BYTES && state.begun && !state.closed && !cancel.is_cancelled() {
            state = self.wait(state);
        }
        if state.bytes > MOST_BYTES && !state.begun {
            state.overflown = true;
            (state.bytes, state.closed) = (0, true);
            state.waiting.clear();
        }
        if !state.closed && state.wanted.contains(&packet.track) {
            state.bytes += packet.data.len();
            state.waiting.push_back(packet);
            self.0.changed.notify_all();
        }
        None
    }

    /// The next sample; `None` where none waits and, with `wait`, none will come.
    pub(super) fn pop(&self, wait: bool, cancel: &CancelToken) -> Option<Packet> {
        let mut state = lock(&self.0.state);
        while wait && state.waiting.is_empty() && !state.ended && !state.closed && !cancel.is_cancelled() {
            state = self.wait(state);
        }
        let packet = state.waiting.pop_front()?;
        state.bytes -= packet.data.len();
        self.0.changed.notify_all();
        Some(packet)
    }

    /// Whether the thread that reads may be waiting for room.
    pub(super) fn is_full(&self) -> bool {
        lock(&self.0.state).bytes > MOST_BYTES
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        lock(&self.0.state).ended = true;
        self.0.changed.notify_all();
    }

    /// Nothing more is wanted.
    pub(super) fn close(&self) {
        let mut state = lock(&self.0.state);
        state.closed = true;
        state.waiting.clear();
        state.bytes = 0;
        self.0.changed.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        match self.0.changed.wait_timeout(state, LOOK) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }
}
