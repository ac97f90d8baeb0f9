//! Engines that several streams share, as a driver shares them: whoever comes first is served first. Time is a number of
//! turns; a unit takes as many as its cost says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use video_hw::Result;
use video_hw::pipeline::scheduler::{Stage, StageEvent, Unit};
use video_hw::session::Submit;

/// Pixels that an engine does in a turn.
pub(crate) const PIXELS_A_TURN: u64 = 4096;

#[derive(Clone)]
pub(crate) struct Bank(Arc<Mutex<State>>);

struct State {
    engines: Vec<Option<(usize, Unit, u64)>>,
    queue: VecDeque<(usize, Unit)>,
    most_queued: usize,
    done: BTreeMap<usize, VecDeque<Unit>>,
    wakers: BTreeMap<usize, Waker>,
    pixels: BTreeMap<usize, u64>,
    idle_turns: u64,
    streams: usize,
}

impl Bank {
    pub(crate) fn new(engines: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            engines: (0..engines).map(|_| None).collect(),
            queue: VecDeque::new(),
            most_queued: 0,
            done: BTreeMap::new(),
            wakers: BTreeMap::new(),
            pixels: BTreeMap::new(),
            idle_turns: 0,
            streams: 0,
        })))
    }

    /// A session of the next stream.
    pub(crate) fn session(&self) -> BankStage {
        let mut state = self.0.lock().unwrap();
        state.streams += 1;
        let stream = state.streams - 1;
        state.pixels.insert(stream, 0);
        BankStage { bank: self.clone(), stream, inside: 0 }
    }

    /// Every engine works for one turn.
    pub(crate) fn turn(&self) {
        let mut state = self.0.lock().unwrap();
        let state = &mut *state;
        let mut woken = Vec::new();
        for engine in &mut state.engines {
            if engine.is_none() {
                *engine = state.queue.pop_front().map(|(stream, unit)| {
                    let cost = unit.cost();
                    (stream, unit, cost)
                });
            }
            let Some((stream, _, left)) = engine else {
                state.idle_turns += 1;
                continue;
            };
            *left = left.saturating_sub(PIXELS_A_TURN);
            if *left == 0 {
                woken.push(*stream);
                let Some((stream, unit, _)) = engine.take() else { continue };
                *state.pixels.entry(stream).or_default() += unit.cost();
                state.done.entry(stream).or_default().push_back(unit);
            }
        }
        for waker in woken.iter().filter_map(|stream| state.wakers.get(stream)) {
            waker.wake_by_ref();
        }
    }

    /// Pixels done for each stream.
    pub(crate) fn pixels(&self) -> Vec<u64> {
        self.0.lock().unwrap().pixels.values().copied().collect()
    }

    /// Turns in which an engine had nothing to do, all engines together.
    pub(crate) fn idle_turns(&self) -> u64 {
        self.0.lock().unwrap().idle_turns
    }

    /// Most units that waited for an engine.
    pub(crate) fn most_queued(&self) -> usize {
        self.0.lock().unwrap().most_queued
    }
}

pub(crate) struct BankStage {
    bank: Bank,
    stream: usize,
    inside: usize,
}

impl Stage for BankStage {
    fn submit(&mut self, unit: Unit) -> Result<Submit<Unit>> {
        // As an encoder's session has it.
        if self.inside >= 10 {
            return Ok(Submit::Full(unit));
        }
        self.inside += 1;
        let mut state = self.bank.0.lock().unwrap();
        state.queue.push_back((self.stream, unit));
        state.most_queued = state.most_queued.max(state.queue.len());
        Ok(Submit::Accepted)
    }

    fn try_reap(&mut self) -> Result<Option<StageEvent>> {
        let mut state = self.bank.0.lock().unwrap();
        let unit = state.done.get_mut(&self.stream).and_then(VecDeque::pop_front);
        self.inside -= usize::from(unit.is_some());
        Ok(unit.map(StageEvent::Unit))
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_drained(&self) -> bool {
        self.inside == 0
    }

    fn set_waker(&mut self, waker: &Waker) {
        self.bank.0.lock().unwrap().wakers.insert(self.stream, waker.clone());
    }

    fn wakes(&self) -> bool {
        true
    }

    fn is_hungry(&self) -> bool {
        // What waits for an engine, or is in one, comes out without more being put in.
        let state = self.bank.0.lock().unwrap();
        self.inside == state.done.get(&self.stream).map_or(0, VecDeque::len)
    }

    fn name(&self) -> &'static str {
        "bank"
    }
}
