//! What a stream tells of itself: events as they come, and a summary at any time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{SessionSwitchMode, in_flight::Released};
use crate::backend::Receipt;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::error::Error;
use crate::failover::Target;
use crate::session::Ledger;
use crate::time::Timestamp;

/// Events that wait to be read; older ones go first when nobody reads them.
const MOST_EVENTS: usize = 256;
/// Generations that the summary keeps; of older ones only the number is known.
const MOST_GENERATIONS: usize = 64;

/// Where a switch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SwitchStage {
    /// The new session could not be opened, or did not encode its first picture.
    Creation,
    /// It was opened, and failed with the first frames of the stream.
    Activation,
    /// It broke the rules of the canary.
    Canary,
    /// A newer request took its place.
    Superseded,
}

/// Something that happened to a stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// A switch was asked for.
    SwitchRequested {
        /// The generation that it will be.
        generation: u64,
        /// When it shall take effect.
        mode: SessionSwitchMode,
        /// `None`: the running encoder changes its settings. Else the setting that needs a new session.
        new_session: Option<&'static str>,
    },
    /// The running encoder refused settings that it should be able to change; a new session is opened instead.
    InPlaceRefused {
        /// The generation that was to be.
        generation: u64,
        /// The encoder's words.
        reason: String,
    },
    /// There is no room for two sessions: the old one is drained and closed before the new one is opened.
    NoRoomForTwo {
        /// The generation that is to be.
        generation: u64,
        /// Who said so.
        reason: String,
    },
    /// The new session has encoded a picture and waits for the frame that its generation begins with.
    Ready {
        /// The generation that it will be.
        generation: u64,
        /// Settings that it does not have; only behind a session that lacked some already.
        given_up: Vec<String>,
    },
    /// A generation begins with this frame.
    Activated {
        /// Which.
        generation: u64,
        /// Time of its first frame.
        pts: Option<Timestamp>,
        /// Whether it is another session than before.
        new_session: bool,
    },
    /// A generation has delivered; the session before it is closed.
    Confirmed {
        /// Which.
        generation: u64,
    },
    /// A switch has failed. The stream goes on with `back_to`.
    SwitchFailed {
        /// The generation that failed.
        generation: u64,
        /// Where.
        stage: SwitchStage,
        /// Why.
        reason: String,
        /// The generation whose settings are in force; with a session of its own when this is not what was.
        back_to: u64,
    },
    /// The session of a generation has died.
    SessionFailed {
        /// Which.
        generation: u64,
        /// Why.
        reason: String,
    },
    /// Another session has taken over from one that has died.
    Reopened {
        /// The generation that it is.
        generation: u64,
        /// What runs now, and why.
        receipt: Receipt,
        /// Settings that it does not have.
        given_up: Vec<String>,
    },
    /// A session encodes frames without the messages that came with them: its backend does not take those. Told once for
    /// each session; [`StreamSummary::without_messages`] counts.
    GaveUpMessages {
        /// Whose session it is.
        generation: u64,
        /// The backend's words about the first.
        reason: String,
    },
    /// A switch that was under way waits behind a session that has taken over, and is another generation now.
    Renumbered {
        /// What the caller was told.
        from: u64,
        /// What it will be.
        to: u64,
    },
    /// The stream is over.
    Ended {
        /// Why.
        reason: String,
    },
}

/// Something that happened to a stream, and when.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StreamEvent {
    /// Since the stream was started.
    pub at: Duration,
    /// What.
    pub kind: EventKind,
}

/// Why a generation began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// The stream was started.
    Stream,
    /// A switch that the running encoder made itself.
    InPlace,
    /// A switch to a new session.
    Switch,
    /// A session had died, or a switch had to be taken back.
    Reopened,
}

/// What a generation did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GenerationSummary {
    /// Its number.
    pub generation: u64,
    /// Settings as its encoder has them.
    pub config: CommonEncodeConfig,
    /// Settings of one backend.
    pub special: BackendEncodeConfig,
    /// What encodes, and why.
    pub receipt: Receipt,
    /// Why it began.
    pub start: Start,
    /// Time from the request to the first frame; for those that began by themselves, to the new session.
    pub start_took: Duration,
    /// Time of its first frame whose outcome is out.
    pub first_pts: Option<Timestamp>,
    /// Frames that ended in it.
    pub frames: u64,
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that failed in it.
    pub failed: u64,
    /// Why it ended; `None`: it runs.
    pub ended: Option<String>,
}

/// How many switches went how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SwitchCounts {
    /// Asked for.
    pub requested: u64,
    /// Made by the running encoder.
    pub in_place: u64,
    /// Made by a new session.
    pub new_session: u64,
    /// Failed, at whatever stage; superseded ones are not among them.
    pub failed: u64,
    /// Taken back after they had begun.
    pub rolled_back: u64,
    /// Given up for a newer request.
    pub superseded: u64,
    /// Sessions that took over from dead ones.
    pub reopened: u64,
}

/// What a stream did so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamSummary {
    /// What became of every frame.
    pub ledger: Ledger,
    /// The last generations, oldest first; switches that failed before their first packet are among them.
    pub generations: Vec<GenerationSummary>,
    /// Generation that frames go to now.
    pub active_generation: u64,
    /// Generation of the newest request that has not failed: the active one where none is under way.
    pub config_generation: u64,
    /// Generation that the next request will be.
    pub next_generation: u64,
    /// How switches went.
    pub switches: SwitchCounts,
    /// Why the last switch that failed did.
    pub switch_fail_reason: Option<String>,
    /// Longest time from a request to the first frame of its generation.
    pub switch_time_max: Duration,
    /// Frames that were brought to the size, format or memory of the session that encoded them.
    pub converted: u64,
    /// Frames that were encoded without the messages that came with them, since the backend does not write such.
    pub without_messages: u64,
    /// Coded bytes given out.
    pub bytes_out: u64,
    /// Random access points among the packets.
    pub keyframes: u64,
    /// From acceptance to release, the slowest frame.
    pub latency_max: Duration,
    /// Events that nobody read in time.
    pub events_lost: u64,
}

/// The notes from which a summary is made.
pub(super) struct Telemetry {
    started: Instant,
    events: VecDeque<StreamEvent>,
    pub(super) generations: VecDeque<GenerationSummary>,
    pub(super) counts: SwitchCounts,
    pub(super) switch_fail_reason: Option<String>,
    pub(super) switch_time_max: Duration,
    pub(super) latency_max: Duration,
    pub(super) events_lost: u64,
}

impl Telemetry {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            events: VecDeque::new(),
            generations: VecDeque::new(),
            counts: SwitchCounts::default(),
            switch_fail_reason: None,
            switch_time_max: Duration::ZERO,
            latency_max: Duration::ZERO,
            events_lost: 0,
        }
    }

    pub(super) fn tell(&mut self, kind: EventKind) {
        if self.events.len() >= MOST_EVENTS {
            self.events.pop_front();
            self.events_lost += 1;
        }
        self.events.push_back(StreamEvent { at: self.started.elapsed(), kind });
    }

    pub(super) fn take_events(&mut self) -> Vec<StreamEvent> {
        self.events.drain(..).collect()
    }

    pub(super) fn begin(
        &mut self,
        generation: u64,
        target: &Target,
        receipt: &Receipt,
        start: Start,
        took: Duration,
    ) {
        if self.generations.len() >= MOST_GENERATIONS {
            self.generations.pop_front();
        }
        if matches!(start, Start::InPlace | Start::Switch) {
            self.switch_time_max = self.switch_time_max.max(took);
        }
        self.generations.push_back(GenerationSummary {
            generation,
            config: target.0.clone(),
            special: target.1.clone(),
            receipt: receipt.clone(),
            start,
            start_took: took,
            first_pts: None,
            frames: 0,
            packets: 0,
            bytes: 0,
            failed: 0,
            ended: None,
        });
    }

    fn generation(&mut self, generation: u64) -> Option<&mut GenerationSummary> {
        self.generations.iter_mut().rev().find(|known| known.generation == generation)
    }

    pub(super) fn end(&mut self, generation: u64, why: impl Into<String>) {
        if let Some(known) = self.generation(generation) {
            known.ended.get_or_insert_with(|| why.into());
        }
    }

    /// Frames go to this generation again.
    pub(super) fn resume(&mut self, generation: u64) {
        if let Some(known) = self.generation(generation) {
            known.ended = None;
        }
    }

    pub(super) fn see(&mut self, frame: &Released) {
        self.latency_max = self.latency_max.max(frame.latency);
        let Some(known) = self.generation(frame.generation) else { return };
        known.first_pts.get_or_insert(frame.pts);
        known.frames += 1;
        known.packets += u64::from(frame.bytes.is_some());
        known.bytes += frame.bytes.unwrap_or(0);
        known.failed += u64::from(frame.failed);
    }

    /// Packets that a generation has delivered.
    pub(super) fn packets(&mut self, generation: u64) -> u64 {
        self.generation(generation).map_or(0, |known| known.packets)
    }

    /// A switch has failed.
    pub(super) fn switch_failed(
        &mut self,
        generation: u64,
        stage: SwitchStage,
        reason: &Error,
        back_to: u64,
    ) {
        let reason = reason.to_string();
        if stage == SwitchStage::Superseded {
            self.counts.superseded += 1;
        } else {
            self.counts.failed += 1;
            self.switch_fail_reason = Some(reason.clone());
        }
        self.end(generation, reason.clone());
        self.tell(EventKind::SwitchFailed { generation, stage, reason, back_to });
    }
}
