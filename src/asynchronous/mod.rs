//! Sessions and rings as [`Sink`] and [`Stream`], for programs that are made of tasks. Feature `futures`.
//!
//! | | takes | gives |
//! |---|---|---|
//! | [`AsyncDecoder`] | packets | frames in presentation order |
//! | [`AsyncEncoder`] | frames | packets in decoding order |
//! | [`RingSink`], [`RingStream`] | frames | the same frames, later |
//!
//! They belong to no executor: a session's own threads wake the task when there is room, a result or an end, and nothing is
//! polled for. While the session takes no more, the sink is `Pending`; so a slow consumer slows the producer, and memory
//! stays flat. A future that is dropped between two polls has lost nothing.
//!
//! - **Flushing the sink** (which [`send`] does after each item) asks nothing of the codec: what was handed over is on its way.
//!   [`SessionSink::flush_codec`] makes everything come out and lets the stream go on.
//! - **Closing the sink** makes everything come out; then the stream ends. It does not wait for that.
//! - **Dropping** is cancelling. A stream whose sink went without being closed ends with [`Error::Cancelled`]: it is not whole.
//! - **What still waits**, and belongs on a thread for blocking work where tasks are in a hurry: opening a session, and dropping
//!   one (for the picture that is being coded).
//!
//! A task that feeds a session must not be the one that alone takes its results, unless it polls both: either [`split`] the
//! session and give each end a task, or join the two futures.
//!
//! ```
//! # fn main() -> video_hw::Result<()> {
//! use futures_util::{SinkExt, StreamExt, future};
//! use video_hw::asynchronous::AsyncDecoder;
//! use video_hw::backend::mock::{MockDecoder, mock_packet};
//! use video_hw::codec::Codec;
//! use video_hw::config::CommonDecodeConfig;
//! use video_hw::session::DecodeSession;
//!
//! let config = CommonDecodeConfig::new(Codec::H264);
//! let session = DecodeSession::with_backend(config, |sink| Ok(MockDecoder::default().open(sink)))?;
//! let (mut packets, frames) = AsyncDecoder::from(session).split();
//! let feed = async move {
//!     for number in 0..100 {
//!         packets.feed(mock_packet(number)).await?;
//!     }
//!     packets.close().await
//! };
//! let count = frames.fold(0, |count, frame| future::ready(count + u32::from(frame.is_ok())));
//! let (fed, count) = futures_executor::block_on(future::join(feed, count));
//! fed?;
//! assert_eq!(count, 100);
//! # Ok(()) }
//! ```
//!
//! [`send`]: https://docs.rs/futures-util/latest/futures_util/sink/trait.SinkExt.html#method.send
//! [`split`]: AsyncSession::split

mod ends;
mod ring;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;

use crate::error::{Error, Result};
use crate::session::{
    DecodeInput, DecodeOutput, DecodeSession, DecodeSummary, EncodeInput, EncodeOutput, EncodeSession,
    EncodeSummary, Submit,
};
use ends::{Gives, Takes};

pub use ring::{RingSink, RingStream};

/// A decoder: a sink of packets and a stream of frames.
pub type AsyncDecoder = AsyncSession<DecodeInput, DecodeOutput>;
/// An encoder: a sink of frames and a stream of packets.
pub type AsyncEncoder = AsyncSession<EncodeInput, EncodeOutput>;

/// Both ends of a session; see the [module](self).
pub struct AsyncSession<I, O> {
    sink: SessionSink<I>,
    stream: SessionStream<O>,
}

/// The end of a session that takes.
pub struct SessionSink<I> {
    input: I,
    /// The last flush was asked for.
    flushed: bool,
    state: Arc<State>,
}

/// The end of a session that gives. `Err` is the loss of one item where [`Error::is_recoverable`] says so, and the stream goes on;
/// otherwise it is the last item.
pub struct SessionStream<O> {
    output: O,
    over: bool,
    state: Arc<State>,
}

/// What the two ends know of each other.
#[derive(Default)]
struct State {
    /// The flush after which nothing follows; 0 while the sink is open.
    last_flush: AtomicU64,
}

impl From<DecodeSession> for AsyncDecoder {
    fn from(session: DecodeSession) -> Self {
        let (input, output) = session.split();
        Self::of(input, output)
    }
}

impl From<EncodeSession> for AsyncEncoder {
    fn from(session: EncodeSession) -> Self {
        let (input, output) = session.split();
        Self::of(input, output)
    }
}

impl<I, O> AsyncSession<I, O> {
    fn of(input: I, output: O) -> Self {
        let state = Arc::<State>::default();
        Self {
            sink: SessionSink { input, flushed: false, state: Arc::clone(&state) },
            stream: SessionStream { output, over: false, state },
        }
    }

    /// Takes the two ends apart, for two tasks.
    pub fn split(self) -> (SessionSink<I>, SessionStream<O>) {
        (self.sink, self.stream)
    }
}

impl<I: Takes, O> AsyncSession<I, O> {
    /// See [`SessionSink::flush_codec`].
    ///
    /// # Errors
    /// As there.
    pub fn flush_codec(&mut self) -> Result<()> {
        self.sink.flush_codec()
    }
}

impl AsyncDecoder {
    /// What the session did so far.
    pub fn summary(&self) -> DecodeSummary {
        self.stream.summary()
    }
}

impl AsyncEncoder {
    /// What the session did so far.
    pub fn summary(&self) -> EncodeSummary {
        self.stream.summary()
    }
}

impl SessionStream<DecodeOutput> {
    /// What the session did so far.
    pub fn summary(&self) -> DecodeSummary {
        self.output.summary()
    }
}

impl SessionStream<EncodeOutput> {
    /// What the session did so far.
    pub fn summary(&self) -> EncodeSummary {
        self.output.summary()
    }
}

impl<I: Takes> SessionSink<I> {
    /// Makes everything handed over so far come out, without ending the stream: the next packet must be a random access point,
    /// the next frame is coded as one. Never waits.
    ///
    /// # Errors
    /// When the session has ended: the error that ended it.
    pub fn flush_codec(&mut self) -> Result<()> {
        self.check_open()?;
        self.input.flush()
    }

    fn is_closed(&self) -> bool {
        self.state.last_flush.load(Ordering::Acquire) > 0
    }

    fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(Error::invalid("the sink was closed: nothing follows")) } else { Ok(()) }
    }
}

impl<I: Takes> Sink<I::Unit> for SessionSink<I> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        this.check_open()?;
        this.input.poll_ready(cx).map(Ok)
    }

    fn start_send(self: Pin<&mut Self>, item: I::Unit) -> Result<()> {
        let this = self.get_mut();
        this.check_open()?;
        match this.input.submit(item)? {
            Submit::Accepted => Ok(()),
            Submit::Full(_) => Err(Error::invalid("an item before the sink was ready for it")),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        // One that failed fails again: the session does not come back, and what is inside did not come out.
        if !this.flushed {
            // Before the flush can have passed through: the stream must know what it was. The session counts, which may
            // have been flushed before it became a sink.
            this.state.last_flush.store(this.input.flushes_asked() + 1, Ordering::Release);
            this.input.flush()?;
            this.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<O: Gives> Stream for SessionStream<O> {
    type Item = Result<O::Item>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while !this.over {
            let given = ready!(this.output.poll_reap(cx));
            let last_flush = this.state.last_flush.load(Ordering::Acquire);
            let complete = last_flush > 0 && this.output.flushes() >= last_flush;
            match given {
                Ok(Some(item)) => return Poll::Ready(Some(Ok(item))),
                Err(error) => {
                    this.over = this.output.is_finished();
                    return Poll::Ready(Some(Err(error)));
                }
                Ok(None) if complete => this.over = true,
                Ok(None) if this.output.is_finished() => {
                    this.over = true;
                    return Poll::Ready(Some(Err(Error::Cancelled)));
                }
                // A flush that others follow.
                Ok(None) => {}
            }
        }
        Poll::Ready(None)
    }
}

impl<O: Gives> FusedStream for SessionStream<O> {
    fn is_terminated(&self) -> bool {
        self.over
    }
}

impl<I: Takes, O: Unpin> Sink<I::Unit> for AsyncSession<I, O> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().sink).poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: I::Unit) -> Result<()> {
        Pin::new(&mut self.get_mut().sink).start_send(item)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().sink).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().sink).poll_close(cx)
    }
}

impl<I: Unpin, O: Gives> Stream for AsyncSession<I, O> {
    type Item = Result<O::Item>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.get_mut().stream).poll_next(cx)
    }
}

impl<I: Unpin, O: Gives> FusedStream for AsyncSession<I, O> {
    fn is_terminated(&self) -> bool {
        self.stream.over
    }
}
