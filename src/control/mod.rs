//! Streams whose encoder may change while they run, without losing a frame.
//!
//! [`SwitchingEncoder`] is one stream: frames in, packets out, as with an [`EncodeSession`](crate::session::EncodeSession).
//! Behind it the settings, the codec, the session and the backend may change, because the caller asks for it
//! ([`SwitchingEncoder::request_switch`]) or because a session has died. Each change starts a *generation* at a frame;
//! every packet says which generation its frame belongs to.
//!
//! * What needs a new session and what does not is decided from the settings and from what the encoder says of itself, not by trial.
//! * A new session is opened and has encoded a picture before the old one is left, on a thread of its own.
//! * Packets leave in closed groups ([`StreamSummary::ledger`] counts each frame once, whatever happened to sessions).
//! * Decoding times are made for the stream and rise through all generations.
//!
//! A stream whose settings never change needs less:
//! [`EncodeSession::with_failover`](crate::session::EncodeSession::with_failover) gives an ordinary session whose encoder is
//! replaced when it dies.
//!
//! [`EncodeController`] keeps several streams behind handles; [`DecodeController`] does so with decode sessions, whose
//! settings change at a random access point.

mod canary;
mod controller;
mod decoding;
mod helper;
mod in_flight;
#[cfg(feature = "metrics")]
mod observe;
mod proof;
mod rule;
mod running;
mod switching;
mod telemetry;

use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::error::Result;
pub use crate::failover::EncoderSource;

pub use canary::Canary;
pub use controller::EncodeController;
pub use decoding::{DecodeController, DecodeSessionController, DecodedFrame, DecoderSessionHandle};
pub use switching::{OnFailure, StreamOptions, StreamState, SwitchingEncoder};
pub use telemetry::{
    EventKind, GenerationSummary, Start, StreamEvent, StreamSummary, SwitchCounts, SwitchStage,
};

/// A stream, and a generation of it. A generation is alive while frames go to it, or while the switch to it is under
/// way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EncoderSessionHandle {
    /// The stream.
    pub id: u64,
    /// The generation.
    pub generation: u64,
}

/// When a switch takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum SessionSwitchMode {
    /// With the next frame, once the new settings are ready.
    #[default]
    Immediate,
    /// With the next frame that is an IDR: by the GOP length, because the caller forces it, or behind a flush. Where an
    /// encoder has no such end of its GOP and nobody forces one, that is never.
    OnNextKeyframe,
    /// With the next frame, when every packet of the frames before it is out.
    DrainThenSwap,
}

/// A request for other settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSwitchRequest<T> {
    /// What is wanted.
    pub target: T,
    /// When.
    pub mode: SessionSwitchMode,
    /// The first frame shall be an IDR, also where the encoder could go on without. A new session always begins with
    /// one.
    pub force_idr_on_activate: bool,
}

impl<T> SessionSwitchRequest<T> {
    /// With the next frame, and without an IDR where the encoder can change by itself; where a new session is needed, with the
    /// first frame behind the picture by which that has shown that it works, which is an IDR.
    pub fn immediate(target: T) -> Self {
        Self { target, mode: SessionSwitchMode::Immediate, force_idr_on_activate: false }
    }

    /// With the next frame that is an IDR.
    pub fn on_next_keyframe(target: T) -> Self {
        Self { mode: SessionSwitchMode::OnNextKeyframe, ..Self::immediate(target) }
    }

    /// When all that came before is out.
    pub fn drain_then_swap(target: T) -> Self {
        Self { mode: SessionSwitchMode::DrainThenSwap, ..Self::immediate(target) }
    }

    /// The first frame shall be an IDR.
    #[must_use]
    pub fn with_idr(self) -> Self {
        Self { force_idr_on_activate: true, ..self }
    }
}

/// Starts, switches and closes encode sessions.
pub trait SessionController {
    /// Starts a stream.
    ///
    /// # Errors
    /// No backend takes the settings.
    fn start_encode_session(
        &mut self,
        common: CommonEncodeConfig,
        backend: BackendEncodeConfig,
    ) -> Result<EncoderSessionHandle>;

    /// Asks for other settings; never waits. The answer is the generation that they will be.
    ///
    /// # Errors
    /// A handle that is not alive. Whether the switch succeeds is told by the stream's events.
    fn switch_encode_session(
        &mut self,
        handle: EncoderSessionHandle,
        request: SessionSwitchRequest<(CommonEncodeConfig, BackendEncodeConfig)>,
    ) -> Result<EncoderSessionHandle>;

    /// Ends a stream; what is inside is lost, so drain it before.
    ///
    /// # Errors
    /// A handle that is not alive: its generation was replaced, or its stream closed.
    fn close_encode_session(&mut self, handle: EncoderSessionHandle) -> Result<()>;
}
