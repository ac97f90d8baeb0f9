//! One domain as a process sees it: who waits, how many sessions it holds, and the attempt to open one more.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::folder::Folder;
use super::host::{self, Entered, Slot};
use super::knowledge::Knowledge;
use super::{Domain, refusal};
use crate::capability::{HostSessions, SessionUse};
use crate::error::{Error, Result};
use crate::sync::{lock, whole};

/// A domain in a folder.
#[derive(Debug)]
pub(super) struct Gate {
    domain: Domain,
    folder: Folder,
    state: Mutex<State>,
    changed: Condvar,
    /// One attempt at a time, as the files do it between processes.
    opening: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Those who want a session, in the order in which they came.
    queue: VecDeque<u64>,
    next: u64,
    /// The head of the queue has found that there is none, and waits. While it only opens one, whoever comes next has a
    /// right to try, too.
    starved: bool,
    /// Sessions of this process.
    held: usize,
    /// What could not be written down.
    knowledge: Option<Knowledge>,
}

/// What came of an attempt.
pub(super) enum Attempt<T> {
    /// A session, and the right to it.
    Open(T, Permit),
    /// None was to be had.
    Full(Error),
}

/// The right to one session. Whoever waits hears of its end, so it has to go after its session.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    slot: Option<Slot>,
    note: Option<String>,
}

impl Permit {
    /// What the caller should know: why other processes do not see this session.
    pub(crate) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.gate.state);
        // Both or neither, for whoever counts meanwhile.
        self.slot = None;
        state.held -= 1;
        state.starved = false;
        drop(state);
        self.gate.changed.notify_all();
    }
}

/// A place in the queue, until it is dropped.
pub(super) struct Place {
    gate: Arc<Gate>,
    ticket: u64,
}

impl Place {
    /// How many are before; `None`: it is this one's turn.
    pub(super) fn before(&self) -> Option<usize> {
        let state = lock(&self.gate.state);
        state.queue.iter().position(|ticket| *ticket == self.ticket).filter(|before| *before > 0)
    }

    /// It was this one's turn, and there was none.
    pub(super) fn starve(&self) {
        lock(&self.gate.state).starved = true;
        self.gate.changed.notify_all();
    }

    /// Waits until something has changed, or so long.
    pub(super) fn wait(&self, time: Duration) {
        let state = lock(&self.gate.state);
        drop(whole(self.gate.changed.wait_timeout(state, time)));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.gate.state);
        if state.queue.front() == Some(&self.ticket) {
            state.starved = false;
        }
        state.queue.retain(|ticket| *ticket != self.ticket);
        drop(state);
        self.gate.changed.notify_all();
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Gate {
    /// The gate of a domain in the folder that a setting names, or in the usual one.
    pub(super) fn of(domain: &Domain, directory: Option<&Path>) -> Arc<Self> {
        Self::within(domain, directory.map_or_else(Folder::usual, |path| Folder::Named(path.to_owned())))
    }

    /// The gate of a domain in a folder.
    pub(super) fn within(domain: &Domain, folder: Folder) -> Arc<Self> {
        static GATES: Mutex<Vec<Arc<Gate>>> = Mutex::new(Vec::new());
        let mut gates = lock(&GATES);
        if let Some(gate) = gates.iter().find(|gate| gate.domain == *domain && gate.folder == folder) {
            return Arc::clone(gate);
        }
        let gate = Arc::new(Self {
            domain: domain.clone(),
            folder,
            state: Mutex::default(),
            changed: Condvar::new(),
            opening: Mutex::default(),
        });
        gates.push(Arc::clone(&gate));
        gate
    }

    /// Takes the last place of the queue.
    pub(super) fn line_up(self: &Arc<Self>) -> Place {
        let mut state = lock(&self.state);
        let ticket = state.next;
        state.next += 1;
        state.queue.push_back(ticket);
        Place { gate: Arc::clone(self), ticket }
    }

    /// Whether those in the queue wait for a session, and are not just opening one.
    pub(super) fn is_starved(&self) -> bool {
        lock(&self.state).starved
    }

    /// The refusal of one who is not at the head of the queue.
    pub(super) fn behind(&self, before: usize) -> Error {
        let census = self.census();
        let others = if before == 1 { "another waits".to_owned() } else { format!("{before} others wait") };
        refusal(self.domain.backend, &format!("{others} for a session already"), census.usage)
    }

    /// Opens a session if none of what is known speaks against it.
    ///
    /// # Errors
    /// What `open` answers, but for the session limit.
    pub(super) fn attempt<T>(
        self: &Arc<Self>,
        configured: Option<usize>,
        doubt: bool,
        open: &mut impl FnMut() -> Result<T>,
    ) -> Result<Attempt<T>> {
        let _alone = lock(&self.opening);
        let mut room = self.enter();
        let (count, slot) = room.count();
        let learned = room.knowledge();
        let believed = learned.filter(|known| known.is_believed(doubt, now())).map(|known| known.limit);
        let usage = |limit| SessionUse { open: count, own: room.own, limit };
        for (limit, why) in
            [(configured, "the limit that was configured"), (believed, "the driver's limit, as learned")]
        {
            if let Some(limit) = limit.filter(|limit| count >= *limit) {
                let why = format!("{why} is reached");
                return Ok(Attempt::Full(refusal(self.domain.backend, &why, usage(Some(limit)))));
            }
        }
        match open() {
            Ok(session) => {
                room.opened(learned, count + 1);
                lock(&self.state).held += 1;
                let note = room.note().or_else(|| slot.is_none().then(no_place));
                let permit = Permit { gate: Arc::clone(self), slot, note };
                Ok(Attempt::Open(session, permit))
            }
            Err(error) => self.refused(&mut room, learned, count, error).map(Attempt::Full),
        }
    }

    /// See [`super::question`].
    pub(super) fn question<T>(self: &Arc<Self>, ask: impl FnOnce() -> Result<T>) -> Result<T> {
        let _alone = lock(&self.opening);
        let mut room = self.enter();
        let (count, slot) = room.count();
        drop(slot);
        let learned = room.knowledge();
        match ask() {
            Ok(answer) => {
                room.opened(learned, count + 1);
                Ok(answer)
            }
            Err(error) => Err(self.refused(&mut room, learned, count, error).unwrap_or_else(|error| error)),
        }
    }

    /// Learns from the driver's refusal, and adds the counts to it; other errors are given back.
    fn refused(
        &self,
        room: &mut Room<'_>,
        learned: Option<Knowledge>,
        count: usize,
        error: Error,
    ) -> Result<Error> {
        let Error::SessionLimit { detail, .. } = error else { return Err(error) };
        room.learn(Some(Knowledge::refused(learned, count, now())));
        let usage = SessionUse { open: count, own: room.own, limit: Some(count) };
        Ok(refusal(self.domain.backend, &detail, usage))
    }

    /// See [`super::census`].
    pub(super) fn census(&self) -> HostSessions {
        let mut room = self.enter();
        let (open, slot) = room.count();
        drop(slot);
        let limit = room.knowledge().map(|known| known.limit);
        HostSessions { usage: SessionUse { open, own: room.own, limit }, note: room.note() }
    }

    /// How many stand in the queue.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).queue.len()
    }

    fn enter(&self) -> Room<'_> {
        Room { gate: self, own: 0, host: host::enter(&self.folder, &self.domain.name) }
    }
}

/// The place where sessions are counted: the host's, or where that is no use, this process's.
struct Room<'a> {
    gate: &'a Gate,
    /// Sessions of this process, once they are counted.
    own: usize,
    host: Result<Entered, String>,
}

impl Room<'_> {
    /// Sessions that are open, and a place for one more.
    fn count(&mut self) -> (usize, Option<Slot>) {
        // None of this process's ends in between. Getting in may have taken seconds.
        let state = lock(&self.gate.state);
        self.own = state.held;
        match &self.host {
            Ok(host) => {
                let (open, slot) = host.count();
                // A place may have lost its file, or never had one.
                (open.max(self.own), slot)
            }
            Err(_) => (self.own, None),
        }
    }

    fn knowledge(&mut self) -> Option<Knowledge> {
        match &mut self.host {
            Ok(host) => Knowledge::parse(&host.read(), &self.gate.domain.driver),
            Err(_) => None,
        }
        .or_else(|| lock(&self.gate.state).knowledge)
    }

    fn opened(&mut self, before: Option<Knowledge>, open: usize) {
        let after = before.and_then(|known| known.opened(open, now()));
        if after != before {
            self.learn(after);
        }
    }

    fn learn(&mut self, knowledge: Option<Knowledge>) {
        let text = knowledge.map_or_else(String::new, |known| known.text(&self.gate.domain.driver));
        let written = self.host.as_mut().is_ok_and(|host| host.write(&text));
        lock(&self.gate.state).knowledge = knowledge.filter(|_| !written);
    }

    fn note(&self) -> Option<String> {
        match &self.host {
            Ok(entered) => {
                entered.note().map(|why| format!("encode sessions of other users are not counted: {why}"))
            }
            Err(why) => Some(format!("encode sessions of other processes are not counted: {why}")),
        }
    }
}

fn no_place() -> String {
    "other processes do not count this encode session: there are too many to count".to_owned()
}
