//! The ends of a ring of frames.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::pipeline::{RingConsumer, RingProducer};
use crate::queue::TrySend;

/// The end of a [ring](crate::pipeline::frame_ring) that takes frames. Closing it lets the frames inside out, then the other end
/// is over.
#[derive(Debug)]
pub struct RingSink(Option<RingProducer>);

/// The end of a [ring](crate::pipeline::frame_ring) that gives frames.
#[derive(Debug)]
pub struct RingStream {
    ring: RingConsumer,
    over: bool,
}

impl From<RingProducer> for RingSink {
    fn from(ring: RingProducer) -> Self {
        Self(Some(ring))
    }
}

impl From<RingConsumer> for RingStream {
    fn from(ring: RingConsumer) -> Self {
        Self { ring, over: false }
    }
}

impl RingSink {
    /// The ring, for its slots and its numbers; none once it is closed.
    pub fn ring(&mut self) -> Option<&mut RingProducer> {
        self.0.as_mut()
    }
}

impl RingStream {
    /// The ring, for its numbers.
    pub fn ring(&self) -> &RingConsumer {
        &self.ring
    }
}

fn closed() -> Error {
    Error::invalid("the ring was closed: nothing follows")
}

impl Sink<Frame> for RingSink {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let ring = self.get_mut().0.as_mut().ok_or_else(closed)?;
        ring.poll_ready(cx).map(|()| if ring.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) })
    }

    fn start_send(self: Pin<&mut Self>, frame: Frame) -> Result<()> {
        let ring = self.get_mut().0.as_mut().ok_or_else(closed)?;
        ring.try_push(frame).map_err(|refused| match refused {
            TrySend::Full(_) => Error::invalid("a frame before the ring was ready for it"),
            TrySend::Closed(_) => Error::Cancelled,
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().0 = None;
        Poll::Ready(Ok(()))
    }
}

impl Stream for RingStream {
    type Item = Frame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        let this = self.get_mut();
        let next = this.ring.poll_pop(cx);
        this.over |= matches!(next, Poll::Ready(None));
        next
    }
}

impl FusedStream for RingStream {
    fn is_terminated(&self) -> bool {
        self.over
    }
}
