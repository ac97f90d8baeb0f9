//! Sessions driven by a thread that has several of them: it is woken by whichever has news, and asks little.

use std::task::Waker;

use super::{DecodeSession, EncodeSession, Ledger};

impl DecodeSession {
    /// What became of every packet so far; less work than a summary.
    pub fn ledger(&self) -> Ledger {
        self.output.table.lock().ledger()
    }

    /// Has `waker` woken when there may be something to reap, or room: for threads that drive several sessions at once.
    /// It replaces one set before.
    pub fn set_waker(&mut self, waker: &Waker) {
        self.input.worker.wake_on_room(waker);
        self.output.worker.wake_on_outcome(waker);
    }

    /// Packets that were submitted and that the decoder has not begun.
    pub fn queued(&self) -> usize {
        self.input.worker.queued()
    }

    /// Whether the next frame is there but for a conversion on the CPU: when that is done no waker is woken.
    pub fn is_converting(&self) -> bool {
        self.output.head.is_some()
    }
}

impl EncodeSession {
    /// What became of every frame so far; less work than a summary.
    pub fn ledger(&self) -> Ledger {
        self.output.table.lock().ledger()
    }

    /// Has `waker` woken when there may be something to reap, or room: for threads that drive several sessions at once.
    /// It replaces one set before.
    pub fn set_waker(&mut self, waker: &Waker) {
        self.input.worker.wake_on_room(waker);
        self.output.worker.wake_on_outcome(waker);
    }

    /// Frames that were submitted and that the encoder has not begun.
    pub fn queued(&self) -> usize {
        self.input.worker.queued()
    }
}
