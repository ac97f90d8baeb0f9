//! Several streams behind handles.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    EncoderSessionHandle, SessionController, SessionSwitchRequest, StreamEvent, StreamOptions, StreamSummary,
    SwitchingEncoder,
};
use crate::backend::Backend;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::packet::Packet;
use crate::session::Submit;

/// Streams by their handles.
///
/// Frames and packets go by the stream, whatever generation the handle names: that a session fails and another takes over
/// must not stop whoever feeds the stream. Switching and closing want a generation that is alive, so that nobody closes
/// or replaces what somebody else has replaced already. [`Self::current`] gives the handle as it is now.
pub struct EncodeController {
    backend: Backend,
    options: StreamOptions,
    streams: BTreeMap<u64, SwitchingEncoder>,
    next_id: u64,
}

impl EncodeController {
    /// Streams on this backend, or on the best that works for each.
    pub fn new(backend: impl Into<Backend>) -> Self {
        Self::with_options(backend, StreamOptions::default())
    }

    /// As [`Self::new`], with options for all streams.
    pub fn with_options(backend: impl Into<Backend>, options: StreamOptions) -> Self {
        Self { backend: backend.into(), options, streams: BTreeMap::new(), next_id: 1 }
    }

    /// Takes charge of a stream that was started elsewhere.
    pub fn adopt(&mut self, stream: SwitchingEncoder) -> EncoderSessionHandle {
        let id = self.next_id;
        self.next_id += 1;
        let generation = stream.generation();
        self.streams.insert(id, stream);
        EncoderSessionHandle { id, generation }
    }

    /// The stream of a handle.
    ///
    /// # Errors
    /// There is none.
    pub fn stream(&mut self, handle: EncoderSessionHandle) -> Result<&mut SwitchingEncoder> {
        let id = handle.id;
        self.streams.get_mut(&id).ok_or_else(|| Error::invalid(format!("there is no encode session {id}")))
    }

    fn alive(&mut self, handle: EncoderSessionHandle) -> Result<&mut SwitchingEncoder> {
        let stream = self.stream(handle)?;
        // What has happened meanwhile counts.
        stream.pump();
        if stream.is_alive(handle.generation) {
            return Ok(stream);
        }
        Err(Error::invalid(format!(
            "generation {} of encode session {} is not alive; it is at generation {}",
            handle.generation,
            handle.id,
            stream.generation()
        )))
    }

    /// The handle with the generation that frames go to now.
    ///
    /// # Errors
    /// No such stream.
    pub fn current(&mut self, handle: EncoderSessionHandle) -> Result<EncoderSessionHandle> {
        let stream = self.stream(handle)?;
        stream.pump();
        Ok(EncoderSessionHandle { generation: stream.generation(), ..handle })
    }

    /// See [`SwitchingEncoder::submit`].
    ///
    /// # Errors
    /// As there; no such stream.
    pub fn submit(&mut self, handle: EncoderSessionHandle, frame: Frame) -> Result<Submit<Frame>> {
        self.stream(handle)?.submit(frame)
    }

    /// See [`SwitchingEncoder::try_reap`].
    ///
    /// # Errors
    /// As there; no such stream.
    pub fn try_reap(&mut self, handle: EncoderSessionHandle) -> Result<Option<Packet>> {
        self.stream(handle)?.try_reap()
    }

    /// See [`SwitchingEncoder::reap_timeout`].
    ///
    /// # Errors
    /// As there; no such stream.
    pub fn reap_timeout(
        &mut self,
        handle: EncoderSessionHandle,
        timeout: Duration,
    ) -> Result<Option<Packet>> {
        self.stream(handle)?.reap_timeout(timeout)
    }

    /// See [`SwitchingEncoder::flush`].
    ///
    /// # Errors
    /// As there; no such stream.
    pub fn flush(&mut self, handle: EncoderSessionHandle) -> Result<()> {
        self.stream(handle)?.flush()
    }

    /// See [`SwitchingEncoder::summary`].
    ///
    /// # Errors
    /// No such stream.
    pub fn summary(&mut self, handle: EncoderSessionHandle) -> Result<StreamSummary> {
        Ok(self.stream(handle)?.summary())
    }

    /// See [`SwitchingEncoder::take_events`].
    ///
    /// # Errors
    /// No such stream.
    pub fn take_events(&mut self, handle: EncoderSessionHandle) -> Result<Vec<StreamEvent>> {
        Ok(self.stream(handle)?.take_events())
    }
}

impl SessionController for EncodeController {
    fn start_encode_session(
        &mut self,
        common: CommonEncodeConfig,
        backend: BackendEncodeConfig,
    ) -> Result<EncoderSessionHandle> {
        let stream = SwitchingEncoder::with_source(self.backend, common, backend, self.options.clone())?;
        Ok(self.adopt(stream))
    }

    fn switch_encode_session(
        &mut self,
        handle: EncoderSessionHandle,
        request: SessionSwitchRequest<(CommonEncodeConfig, BackendEncodeConfig)>,
    ) -> Result<EncoderSessionHandle> {
        let generation = self.alive(handle)?.request_switch(request)?;
        Ok(EncoderSessionHandle { generation, ..handle })
    }

    fn close_encode_session(&mut self, handle: EncoderSessionHandle) -> Result<()> {
        self.alive(handle)?;
        self.streams.remove(&handle.id);
        Ok(())
    }
}
