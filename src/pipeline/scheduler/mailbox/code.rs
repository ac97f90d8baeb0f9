//! Code of the user's on a mailbox: a source that is read, a consumer that is called. Whoever runs it takes it away and brings it
//! back, so that it never runs under the mailbox's lock.

use super::{Mailbox, State};
use crate::error::Result;
use crate::pipeline::scheduler::helpers::discard;
use crate::pipeline::scheduler::unit::{Delivery, Unit};
use crate::sync::lock;

/// A source that the scheduler reads.
pub(in crate::pipeline::scheduler) type Source = Box<dyn Iterator<Item = Result<Unit>> + Send>;
/// A consumer that the scheduler calls.
pub(in crate::pipeline::scheduler) type Sink = Box<dyn FnMut(Result<Delivery>) -> Result<()> + Send>;

/// Code of the user's: there, or at work on another thread.
pub(super) enum Slot<T> {
    None,
    Idle(T),
    Busy,
}

impl<T> Slot<T> {
    fn take(&mut self) -> Option<T> {
        match std::mem::replace(self, Self::Busy) {
            Self::Idle(code) => Some(code),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Mailbox {
    pub(in crate::pipeline::scheduler) fn set_source(&self, source: Source) {
        let mut state = lock(&self.state);
        let spent = if state.over {
            Some(source)
        } else {
            state.source = Slot::Idle(source);
            None
        };
        drop(state);
        discard(spent);
        self.mark();
    }

    pub(in crate::pipeline::scheduler) fn set_sink(&self, sink: Sink) {
        let mut state = lock(&self.state);
        state.sink = Slot::Idle(sink);
        let spent = state.spent_sink();
        drop(state);
        discard(spent);
        self.mark();
    }

    /// The source, if it is to be read now; who takes it brings it back.
    pub(in crate::pipeline::scheduler) fn take_source(&self) -> Option<Source> {
        let mut state = lock(&self.state);
        if state.over || state.closed || !self.credits.wanted() { None } else { state.source.take() }
    }

    pub(in crate::pipeline::scheduler) fn put_source(&self, source: Source) {
        let mut state = lock(&self.state);
        if matches!(state.source, Slot::Busy) {
            state.source = Slot::Idle(source);
        }
        drop(state);
        self.mark();
    }

    /// The consumer, if there is something for it now; who takes it brings it back.
    pub(in crate::pipeline::scheduler) fn take_sink(&self) -> Option<Sink> {
        let mut state = lock(&self.state);
        if state.outlet.is_empty() && state.fatal.is_none() { None } else { state.sink.take() }
    }

    pub(in crate::pipeline::scheduler) fn put_sink(&self, sink: Sink) {
        let mut state = lock(&self.state);
        // It may hold the stream's own handles: it goes when there is nothing left for it.
        let spent = if matches!(state.sink, Slot::Busy) {
            state.sink = Slot::Idle(sink);
            state.spent_sink()
        } else {
            Some(sink)
        };
        drop(state);
        discard(spent);
        self.finished.notify_all();
        self.mark();
    }

    /// What is to be done by user code: read the source, call the consumer.
    pub(in crate::pipeline::scheduler) fn wishes(&self) -> (bool, bool) {
        let state = lock(&self.state);
        let open = !state.closed && !state.over;
        let read = open && matches!(state.source, Slot::Idle(_)) && self.credits.wanted();
        let news = !state.outlet.is_empty() || state.fatal.is_some();
        (read, matches!(state.sink, Slot::Idle(_)) && news)
    }
}

impl State {
    /// The consumer, when nothing will come for it any more.
    pub(super) fn spent_sink(&mut self) -> Option<Sink> {
        if !self.is_finished() || !matches!(self.sink, Slot::Idle(_)) {
            return None;
        }
        match std::mem::replace(&mut self.sink, Slot::None) {
            Slot::Idle(sink) => Some(sink),
            Slot::None | Slot::Busy => None,
        }
    }
}
