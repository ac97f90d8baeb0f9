//! Decode sessions behind handles, and the change of their settings on the way.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{SessionSwitchMode, SessionSwitchRequest};
use crate::backend::Backend;
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::packet::Packet;
use crate::session::{DecodeSession, DecodeSummary, Submit};

/// A stream, and a generation of it: the settings that its packets are decoded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecoderSessionHandle {
    /// The stream.
    pub id: u64,
    /// The generation.
    pub generation: u64,
}

/// Starts, switches and closes decode sessions.
pub trait DecodeSessionController {
    /// Starts a stream.
    ///
    /// # Errors
    /// No backend takes the settings.
    fn start_decode_session(&mut self, config: CommonDecodeConfig) -> Result<DecoderSessionHandle>;

    /// Asks for other settings, from the next packet on that decoding can start with ([`Packet::keyframe`]): a decoder can
    /// begin nowhere else, so that [`SessionSwitchMode::Immediate`] and [`SessionSwitchMode::OnNextKeyframe`] are the same.
    /// With [`SessionSwitchMode::DrainThenSwap`] that packet is handed back until every frame before it is out. A decoder has
    /// nothing to make an IDR of. A second request before that packet takes the place of the first.
    ///
    /// # Errors
    /// A handle that is not alive, or settings that no backend takes: the stream goes on as it was.
    fn switch_decode_session(
        &mut self,
        handle: DecoderSessionHandle,
        request: SessionSwitchRequest<CommonDecodeConfig>,
    ) -> Result<DecoderSessionHandle>;

    /// Ends a stream; what is inside is lost, so drain it before.
    ///
    /// # Errors
    /// A handle that is not alive: its generation was replaced, or its stream closed.
    fn close_decode_session(&mut self, handle: DecoderSessionHandle) -> Result<()>;
}

/// A frame, and the generation that decoded it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecodedFrame {
    /// See [`DecoderSessionHandle::generation`].
    pub generation: u64,
    /// The frame.
    pub frame: Frame,
}

/// Decode sessions by their handles. Packets and frames go by the stream, whatever generation the handle names; switching and
/// closing want a generation that is alive, as in [`super::EncodeController`].
pub struct DecodeController {
    backend: Backend,
    streams: BTreeMap<u64, Stream>,
    next_id: u64,
}

struct Stream {
    /// Sessions whose frames are not all out, oldest first; packets go to the last.
    sessions: VecDeque<(u64, DecodeSession)>,
    next: Option<Next>,
    next_generation: u64,
}

/// A session that waits for its first packet.
struct Next {
    generation: u64,
    session: DecodeSession,
    /// It begins when all that came before is out.
    drains: bool,
    /// The session before it has been told that nothing more comes.
    flushed: bool,
}

/// Sessions whose frames wait to be taken out, beside the one that packets go to.
const MOST_DRAINING: usize = 2;

impl DecodeController {
    /// Streams on this backend, or on the best that works for each.
    pub fn new(backend: impl Into<Backend>) -> Self {
        Self { backend: backend.into(), streams: BTreeMap::new(), next_id: 1 }
    }

    fn stream(&mut self, handle: DecoderSessionHandle) -> Result<&mut Stream> {
        let id = handle.id;
        self.streams.get_mut(&id).ok_or_else(|| Error::invalid(format!("there is no decode session {id}")))
    }

    fn alive(&mut self, handle: DecoderSessionHandle) -> Result<&mut Stream> {
        let stream = self.stream(handle)?;
        let asked = stream.next.as_ref().map(|next| next.generation);
        if handle.generation == stream.generation() || Some(handle.generation) == asked {
            return Ok(stream);
        }
        Err(Error::invalid(format!(
            "generation {} of decode session {} is not alive; it is at generation {}",
            handle.generation,
            handle.id,
            stream.generation()
        )))
    }

    /// The handle with the generation that packets go to now.
    ///
    /// # Errors
    /// No such stream.
    pub fn current(&mut self, handle: DecoderSessionHandle) -> Result<DecoderSessionHandle> {
        Ok(DecoderSessionHandle { generation: self.stream(handle)?.generation(), ..handle })
    }

    /// Hands a packet to the stream; never waits.
    ///
    /// # Errors
    /// As [`DecodeSession::submit`]; no such stream.
    pub fn submit(&mut self, handle: DecoderSessionHandle, packet: Packet) -> Result<Submit<Packet>> {
        self.stream(handle)?.submit(packet)
    }

    /// The next frame, if one is ready. Those of an older generation come before those of a newer one.
    ///
    /// # Errors
    /// As [`DecodeSession::try_reap`]; no such stream.
    pub fn try_reap(&mut self, handle: DecoderSessionHandle) -> Result<Option<DecodedFrame>> {
        self.stream(handle)?.reap(None)
    }

    /// The next frame, waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`Self::try_reap`].
    pub fn reap_timeout(
        &mut self,
        handle: DecoderSessionHandle,
        timeout: Duration,
    ) -> Result<Option<DecodedFrame>> {
        self.stream(handle)?.reap(Some(timeout))
    }

    /// Makes every frame of the packets submitted so far come out; the next packet must be a random access point.
    ///
    /// # Errors
    /// As [`DecodeSession::flush`]; no such stream.
    pub fn flush(&mut self, handle: DecoderSessionHandle) -> Result<()> {
        self.stream(handle)?.sessions.back_mut().map_or(Ok(()), |(_, session)| session.flush())
    }

    /// Whether everything that was flushed is out.
    ///
    /// # Errors
    /// No such stream.
    pub fn is_drained(&mut self, handle: DecoderSessionHandle) -> Result<bool> {
        let stream = self.stream(handle)?;
        Ok(stream.sessions.len() == 1 && stream.sessions.iter().all(|(_, session)| session.is_drained()))
    }

    /// What the newest session did; those before it are over with their last frame.
    ///
    /// # Errors
    /// No such stream.
    pub fn summary(&mut self, handle: DecoderSessionHandle) -> Result<DecodeSummary> {
        let last = self.stream(handle)?.sessions.back();
        last.map(|(_, session)| session.summary()).ok_or_else(|| Error::invalid("a stream without a session"))
    }
}

impl DecodeSessionController for DecodeController {
    fn start_decode_session(&mut self, config: CommonDecodeConfig) -> Result<DecoderSessionHandle> {
        let session = DecodeSession::new(self.backend, config)?;
        let id = self.next_id;
        self.next_id += 1;
        let stream = Stream { sessions: VecDeque::from([(1, session)]), next: None, next_generation: 2 };
        self.streams.insert(id, stream);
        Ok(DecoderSessionHandle { id, generation: 1 })
    }

    fn switch_decode_session(
        &mut self,
        handle: DecoderSessionHandle,
        request: SessionSwitchRequest<CommonDecodeConfig>,
    ) -> Result<DecoderSessionHandle> {
        let backend = self.backend;
        let stream = self.alive(handle)?;
        // Opened beside the one that works: when this fails, nothing has changed.
        let session = DecodeSession::new(backend, request.target)?;
        let generation = stream.next_generation;
        stream.next_generation += 1;
        let drains = request.mode == SessionSwitchMode::DrainThenSwap;
        stream.next = Some(Next { generation, session, drains, flushed: false });
        Ok(DecoderSessionHandle { generation, ..handle })
    }

    fn close_decode_session(&mut self, handle: DecoderSessionHandle) -> Result<()> {
        self.alive(handle)?;
        self.streams.remove(&handle.id);
        Ok(())
    }
}

impl Stream {
    fn generation(&self) -> u64 {
        self.sessions.back().map_or(0, |(generation, _)| *generation)
    }

    fn submit(&mut self, packet: Packet) -> Result<Submit<Packet>> {
        if packet.keyframe
            && let Some(next) = &mut self.next
        {
            if !next.flushed {
                if let Some((_, session)) = self.sessions.back_mut() {
                    session.flush()?;
                }
                next.flushed = true;
            }
            let undrained = self.sessions.iter().filter(|(_, session)| !session.is_drained()).count();
            if undrained > if next.drains { 0 } else { MOST_DRAINING } {
                return Ok(Submit::Full(packet));
            }
            self.sessions.extend(self.next.take().map(|next| (next.generation, next.session)));
        }
        match self.sessions.back_mut() {
            Some((_, session)) => session.submit(packet),
            None => Err(Error::invalid("a stream without a session")),
        }
    }

    fn reap(&mut self, timeout: Option<Duration>) -> Result<Option<DecodedFrame>> {
        loop {
            let is_last = self.sessions.len() == 1;
            let Some((generation, session)) = self.sessions.front_mut() else { return Ok(None) };
            let frame = match timeout {
                Some(timeout) => session.reap_timeout(timeout)?,
                None => session.try_reap()?,
            };
            if let Some(frame) = frame {
                return Ok(Some(DecodedFrame { generation: *generation, frame }));
            }
            if is_last || !session.is_drained() {
                return Ok(None);
            }
            self.sessions.pop_front();
        }
    }
}
