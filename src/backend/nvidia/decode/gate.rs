//! Decode surfaces that wait to be mapped must not be decoded into. The parser does not know: it takes a picture for
//! done when its display callback returns, while mapping happens later on another thread.

use std::sync::{Condvar, Mutex};

use super::decoders::MAX_SURFACES;
use crate::sync::{lock, whole};

/// Who waits for whom, by surface.
#[derive(Debug, Default)]
pub(super) struct SurfaceGate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Mappings outstanding, by surface index.
    busy: [u32; MAX_SURFACES as usize],
    closed: bool,
}

impl SurfaceGate {
    /// A picture in this surface, below [`MAX_SURFACES`], is on its way to be mapped.
    pub(super) fn hold(&self, surface: usize) {
        let mut state = lock(&self.state);
        if let Some(busy) = state.busy.get_mut(surface) {
            *busy += 1;
        }
    }

    /// It has been.
    pub(super) fn release(&self, surface: usize) {
        let mut state = lock(&self.state);
        if let Some(busy) = state.busy.get_mut(surface) {
            *busy = busy.saturating_sub(1);
        }
        self.changed.notify_all();
    }

    /// Nothing will be released any more: waiting is over.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    /// Waits until the surface may be decoded into. `false`: the output stage is gone.
    pub(super) fn wait(&self, surface: usize) -> bool {
        let state = lock(&self.state);
        let state = whole(self.changed.wait_while(state, |state| {
            !state.closed && state.busy.get(surface).is_some_and(|busy| *busy > 0)
        }));
        !state.closed
    }

    /// Waits until no surface is held. `false`: the output stage is gone.
    pub(super) fn wait_all(&self) -> bool {
        let state = lock(&self.state);
        let state = whole(
            self.changed.wait_while(state, |state| !state.closed && state.busy.iter().any(|busy| *busy > 0)),
        );
        !state.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_held_surface_is_waited_for_and_others_are_not() {
        let gate = Arc::new(SurfaceGate::default());
        gate.hold(3);
        assert!(gate.wait(2), "another surface is free");
        let waiter = {
            let gate = Arc::clone(&gate);
            std::thread::spawn(move || gate.wait(3) && gate.wait_all())
        };
        gate.release(3);
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn a_closed_gate_lets_nobody_wait() {
        let gate = SurfaceGate::default();
        gate.hold(0);
        gate.close();
        assert!(!gate.wait(0));
        assert!(!gate.wait_all());
    }
}
