//! What becomes of a job whose decoder or encoder dies, and telling of it.

use clap::Args;
use serde_json::{Value, json};
use video_hw::backend::Job;
use video_hw::config::FailurePolicy;
use video_hw::pipeline::TranscodeReport;
use video_hw::session::{LossKind, Losses, Takeover};
use video_hw::time::Timestamp;
use video_hw_terminal::text;

/// What to do when a backend dies on the way.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Where it runs")]
pub(crate) struct FailureArgs {
    /// What to do when the encoder or decoder dies during the job (device lost, driver error, child process killed)
    /// [default: next where the backend is chosen automatically, reopen where it is named]
    #[arg(long, value_name = "WHAT", value_enum, alias = "on-encoder-failure")]
    pub(crate) on_failure: Option<OnFailure>,
    /// The same as --on-failure stop: no other decoder or encoder takes over
    #[arg(long, conflicts_with = "on_failure")]
    pub(crate) strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnFailure {
    /// Continue with the next backend that can do the job
    Next,
    /// Open the same backend again
    Reopen,
    /// Fail with the reason; leave no output
    Stop,
}

impl FailureArgs {
    pub(crate) fn policy(self) -> FailurePolicy {
        if self.strict {
            FailurePolicy::Stop
        } else {
            self.on_failure.map_or(FailurePolicy::Auto, OnFailure::policy)
        }
    }
}

impl OnFailure {
    pub(crate) const fn policy(self) -> FailurePolicy {
        match self {
            Self::Next => FailurePolicy::Next,
            Self::Reopen => FailurePolicy::Reopen,
            Self::Stop => FailurePolicy::Stop,
        }
    }
}

/// One line, when it happens.
pub(crate) fn tell(takeover: &Takeover) {
    text::to_stderr(&format!("video-hw: warning: {}", one_line(&takeover.to_string())));
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `nvidia, then `: what worked before the one that ended the job.
pub(crate) fn before(takeovers: &[Takeover]) -> String {
    takeovers
        .iter()
        .filter(|takeover| takeover.to.is_some())
        .map(|t| format!("{}, then ", t.from.label()))
        .collect()
}

/// Takeovers for programs.
pub(crate) fn events(takeovers: &[Takeover]) -> Value {
    let event = |takeover: &Takeover| {
        json!({
            "event": if takeover.to.is_some() { "takeover" } else { "end" },
            "job": match takeover.job { Job::Decode => "decode", Job::Encode => "encode" },
            "frame": takeover.frame,
            "pts_s": takeover.pts.map(|pts| pts.as_secs_f64()),
            "from": takeover.from.label(),
            "to": takeover.to.map(|(engine, _)| engine.label()),
            "implementation": takeover.to.map(|(_, implementation)| implementation),
            "reason": one_line(&takeover.reason),
            "frames_again": takeover.again,
            "frames_lost": takeover.lost,
            "given_up": takeover.given_up,
            "took_s": takeover.took.as_secs_f64(),
        })
    };
    takeovers.iter().map(event).collect()
}

/// The frames that are not in the output, by reason, and the first of each.
pub(crate) fn losses(losses: &Losses) -> Value {
    let reasons = losses.reasons().iter().map(|loss| {
        let first = loss.first.iter();
        json!({
            "outcome": match loss.kind { LossKind::Dropped => "dropped", LossKind::Failed => "failed" },
            "reason": one_line(&loss.reason),
            "count": loss.count,
            "first": first.map(|(frame, pts)| json!({ "frame": frame, "pts_s": pts.map(Timestamp::as_secs_f64) })).collect::<Vec<_>>(),
        })
    });
    reasons.collect()
}

/// The whole account of a transcode: every frame that was read, and where it is.
pub(crate) fn ledger(report: &TranscodeReport) -> Value {
    let encode = &report.encode.ledger;
    json!({
        "balances": report.balances(),
        "frames_in": report.input.frames,
        "repeated": report.filter.repeated,
        "delivered": report.video_samples,
        "dropped": report.losses.count(LossKind::Dropped),
        "failed": report.losses.count(LossKind::Failed),
        "pending": encode.pending,
        "losses": losses(&report.losses),
    })
}
