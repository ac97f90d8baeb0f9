//! The states of a stream, and what it knows in each.

use std::time::Instant;

use super::super::helper::Job;
use super::super::proof::Proven;
use super::super::running::Running;
use super::super::{SessionSwitchMode, SessionSwitchRequest};
use crate::backend::{Candidate, Verdict};
use crate::error::{Error, Result};
use crate::failover::Target;

/// A switch that was asked for.
pub(super) struct Switch {
    pub(super) generation: u64,
    pub(super) target: Target,
    pub(super) mode: SessionSwitchMode,
    pub(super) force_idr: bool,
    pub(super) requested: Instant,
    /// The first frame that was not there yet when it was asked for.
    pub(super) first_serial: u64,
    /// Its first frames are watched, where the stream has rules for that.
    pub(super) watched: bool,
}

impl Switch {
    pub(super) fn new(generation: u64, request: SessionSwitchRequest<Target>, first_serial: u64) -> Self {
        Self {
            generation,
            target: request.target,
            mode: request.mode,
            force_idr: request.force_idr_on_activate,
            requested: Instant::now(),
            first_serial,
            watched: true,
        }
    }
}

/// How a switch is made.
pub(super) enum Way {
    /// By a session that has proved itself.
    Session(Box<Proven>),
    /// By the running encoder; `order`: it has to be told.
    InPlace { idr: bool, order: bool },
    /// By a session for which there is room when the old one is closed.
    Alone,
}

/// Where a stream is; see the drawing of the [module](super).
pub(super) enum State {
    /// A session encodes; nothing is asked for.
    Steady,
    /// A new session is being opened; frames go to the old one.
    Opening { switch: Switch, job: Job<Result<Proven>> },
    /// All is ready for the switch but the frame that it begins with.
    Waiting { switch: Switch, way: Way },
    /// The packets of the frames before are waited for.
    Draining { switch: Switch, way: Way },
    /// The running encoder was asked for a change and has not answered.
    Acknowledging { switch: Switch, idr: bool },
    /// The old session is closed, the new one being opened.
    Alone { switch: Switch, job: Job<Result<Proven>> },
    /// A generation has not delivered yet.
    OnTrial(Box<Trial>),
    /// The session has died, another is being opened for this reason.
    Reopening { job: Job<Result<Proven>>, dead: Dead },
    /// It is over, for this reason.
    Ended(Error),
}

impl State {
    /// Whether frames wait.
    pub(super) const fn holds_frames(&self) -> bool {
        matches!(
            self,
            Self::Draining { .. } | Self::Acknowledging { .. } | Self::Alone { .. } | Self::Reopening { .. }
        )
    }

    /// Whether something comes from elsewhere than the session.
    pub(super) const fn has_job(&self) -> bool {
        matches!(self, Self::Opening { .. } | Self::Alone { .. } | Self::Reopening { .. })
    }

    /// Whether the switch at hand begins with this frame, which is an IDR or not. Frames that were there when it was asked
    /// for are none of its own.
    pub(super) fn waits_for(&self, serial: u64, idr: bool) -> bool {
        match self {
            Self::Waiting { switch, .. } => {
                serial >= switch.first_serial && (idr || switch.mode != SessionSwitchMode::OnNextKeyframe)
            }
            _ => false,
        }
    }

    /// The trial, where the session before it is still there.
    pub(super) const fn trial_with_old(&self) -> Option<&Trial> {
        match self {
            Self::OnTrial(trial) if trial.old.is_some() => Some(trial),
            _ => None,
        }
    }

    /// The state, which is left for the steady one.
    pub(super) const fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Steady)
    }

    /// The generation that a switch is on its way to.
    pub(super) const fn generation(&self) -> Option<u64> {
        match self {
            Self::Opening { switch, .. }
            | Self::Waiting { switch, .. }
            | Self::Draining { switch, .. }
            | Self::Acknowledging { switch, .. }
            | Self::Alone { switch, .. } => Some(switch.generation),
            Self::Steady | Self::OnTrial(_) | Self::Reopening { .. } | Self::Ended(_) => None,
        }
    }
}

/// A session that another is opened for.
pub(super) struct Dead {
    pub(super) candidate: Option<Candidate>,
    /// What its receipt says of the others.
    pub(super) verdicts: Vec<(Candidate, Verdict)>,
    pub(super) why: Error,
    pub(super) since: Instant,
}

/// A generation that has not delivered yet, and the way back.
pub(super) struct Trial {
    /// Settings before.
    pub(super) before: Target,
    /// Generation before.
    pub(super) from: u64,
    /// First frame of the new generation.
    pub(super) boundary: u64,
    /// The session before; `None`: it is the same one, or is gone.
    pub(super) old: Option<Running>,
}
