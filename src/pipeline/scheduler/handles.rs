//! The ends of a stream that its users hold.

use std::sync::Arc;
use std::time::Duration;

use super::mailbox::{Mailbox, Stop, Taken};
use super::summary::ScheduledSummary;
use super::unit::{Delivery, Unit};
use crate::error::Result;
use crate::session::Submit;

/// The end of a stream that units go in at. Dropping it closes the stream: what is inside still comes out.
pub struct StreamInput(pub(super) Option<Arc<Mailbox>>);

/// The end of a stream that results come out at. Dropping it cancels the stream.
pub struct StreamOutput(pub(super) Option<Arc<Mailbox>>);

/// A word in a stream's matters, for as many as want one.
#[derive(Clone)]
pub struct StreamControl(pub(super) Arc<Mailbox>);

impl StreamInput {
    fn mailbox(&self) -> Result<&Arc<Mailbox>> {
        self.0
            .as_ref()
            .ok_or_else(|| crate::error::Error::invalid("the scheduler reads this stream's source"))
    }

    /// Takes a unit of the newest generation, or hands it back when all credits are out (live streams take every unit, and
    /// drop some); never waits.
    ///
    /// # Errors
    /// When the stream has ended (the error that ended it; [`Error::Cancelled`](crate::Error::Cancelled)) or was closed.
    pub fn submit(&mut self, unit: impl Into<Unit>) -> Result<Submit<Unit>> {
        self.mailbox()?.submit(unit.into(), None)
    }

    /// Takes a unit of this generation. One of an older generation than the newest is taken, dropped and counted as
    /// stale. Where a new generation begins every stage is drained first, so that an encoder begins it with an IDR and a
    /// decoder wants a random access point.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn submit_with_generation(&mut self, generation: u64, unit: impl Into<Unit>) -> Result<Submit<Unit>> {
        self.mailbox()?.submit(unit.into(), Some(generation))
    }

    /// As [`Self::submit`], waiting for a credit.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn submit_blocking(&mut self, unit: impl Into<Unit>) -> Result<()> {
        self.mailbox()?.submit_blocking(unit.into(), None)
    }

    /// Makes everything come out that was submitted; never waits. The stream stays usable; its encoder begins anew with
    /// an IDR, its decoder with a random access point.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn flush(&mut self) -> Result<()> {
        self.mailbox()?.flush()
    }

    /// Has the scheduler read `source`, on a thread of its own that may wait in it, whenever there is a credit. The
    /// stream is closed when it ends, and fails when it gives an error.
    pub fn feed<I>(mut self, source: I)
    where
        I: IntoIterator<Item = Result<Unit>>,
        I::IntoIter: Send + 'static,
    {
        if let Some(mailbox) = self.0.take() {
            mailbox.set_source(Box::new(source.into_iter()));
        }
    }

    /// Nothing will be submitted any more: what is inside comes out, and then the stream is over.
    pub fn close(self) {}

    /// A further handle.
    pub fn control(&self) -> Option<StreamControl> {
        self.0.clone().map(StreamControl)
    }
}

impl Drop for StreamInput {
    fn drop(&mut self) {
        if let Some(mailbox) = &self.0 {
            mailbox.close();
        }
    }
}

impl StreamOutput {
    /// The next result, if one is ready.
    ///
    /// # Errors
    /// The loss of one unit ([`crate::Error::is_recoverable`]: go on; also wrong input, for the unit in whose place it
    /// comes), or the end of the stream: [`Self::is_finished`] tells.
    pub fn try_reap(&mut self) -> Result<Option<Delivery>> {
        self.settle(|mailbox| mailbox.take_timeout(Some(Duration::ZERO)))
    }

    /// The next result, waiting at most `timeout`. `None`: not yet, a flush has completed, or the stream is over.
    ///
    /// # Errors
    /// As [`Self::try_reap`].
    pub fn reap_timeout(&mut self, timeout: Duration) -> Result<Option<Delivery>> {
        self.settle(|mailbox| mailbox.take_timeout(Some(timeout)))
    }

    /// The next result, waiting for it; `None` when a flush has completed or the stream is over.
    ///
    /// # Errors
    /// As [`Self::try_reap`].
    pub fn reap(&mut self) -> Result<Option<Delivery>> {
        self.settle(|mailbox| mailbox.take_timeout(None))
    }

    fn settle(&mut self, take: impl FnOnce(&Mailbox) -> Taken) -> Result<Option<Delivery>> {
        let Some(mailbox) = &self.0 else { return Ok(None) };
        match take(mailbox) {
            Taken::Item(delivery, _) => Ok(Some(delivery)),
            Taken::Lost(error) => Err(error),
            Taken::Flushed | Taken::Empty | Taken::Over => Ok(None),
        }
    }

    /// Every result until the stream is over, waiting for each. Losses appear as `Err` items.
    pub fn iter(&mut self) -> impl Iterator<Item = Result<Delivery>> + '_ {
        std::iter::from_fn(move || {
            loop {
                if let Some(item) = self.reap().transpose() {
                    return Some(item);
                }
                if self.is_finished() {
                    return None;
                }
            }
        })
    }

    /// Whether nothing will ever come again.
    pub fn is_finished(&self) -> bool {
        self.0.as_ref().is_none_or(|mailbox| mailbox.is_finished())
    }

    /// Whether every flush asked for has completed and been reaped.
    pub fn is_drained(&self) -> bool {
        self.0.as_ref().is_none_or(|mailbox| mailbox.is_drained())
    }

    /// Has `consumer` called with every result, and with every loss, in order and never twice at once, on a thread of the
    /// scheduler's that may wait in it. An error or a panic of the consumer ends the stream.
    pub fn deliver<F>(mut self, consumer: F)
    where
        F: FnMut(Result<Delivery>) -> Result<()> + Send + 'static,
    {
        if let Some(mailbox) = self.0.take() {
            mailbox.set_sink(Box::new(consumer));
        }
    }

    /// What the stream did so far.
    pub fn summary(&self) -> Option<ScheduledSummary> {
        self.0.as_ref().map(|mailbox| ScheduledSummary::of(mailbox))
    }

    /// A further handle.
    pub fn control(&self) -> Option<StreamControl> {
        self.0.clone().map(StreamControl)
    }
}

impl Drop for StreamOutput {
    fn drop(&mut self) {
        if let Some(mailbox) = &self.0 {
            mailbox.abandon(Stop::Cancelled);
        }
    }
}

impl StreamControl {
    /// Begins a generation: queued work and results of older ones are dropped and counted as stale, whatever they cost so
    /// far. Units submitted from now on are of this generation. Generations only grow; a smaller number changes nothing.
    pub fn set_generation(&self, generation: u64) {
        self.0.set_generation(generation);
    }

    /// The current generation; the first is 0.
    pub fn generation(&self) -> u64 {
        self.0.generation()
    }

    /// Ends the stream; what is inside is dropped and counted as cancelled. Never waits.
    pub fn cancel(&self) {
        self.0.stop(Stop::Cancelled);
    }

    /// What the stream did so far.
    pub fn summary(&self) -> ScheduledSummary {
        ScheduledSummary::of(&self.0)
    }

    /// Whether nothing happens in the stream any more. Results may still wait to be taken.
    pub fn is_over(&self) -> bool {
        self.0.status().over
    }

    /// Waits until the stream is over and everything was taken, at most `timeout`; whether it is.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.0.wait_finished(timeout)
    }
}
