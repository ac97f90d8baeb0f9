//! Every metric there is, each named once.

use Kind::{Counter, Gauge, Histogram};
use Unit::{Bytes, Events, Frames, Packets, Ratio, Seconds, Sessions};

use crate::backend::Job;

/// What kind of figure a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only rises, over all sessions since the process began.
    Counter,
    /// As it is now, of the sessions that are open. Speeds and peaks of one that has just ended are told a while longer.
    Gauge,
    /// How often which times occurred, over all sessions since the process began.
    Histogram,
}

impl Kind {
    /// Prometheus' word.
    pub const fn name(self) -> &'static str {
        match self {
            Counter => "counter",
            Gauge => "gauge",
            Histogram => "histogram",
        }
    }
}

/// What a figure counts or measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Pictures.
    Frames,
    /// Coded pictures.
    Packets,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Shares of a whole, 0 to 1.
    Ratio,
    /// Sessions.
    Sessions,
    /// Things that happened.
    Events,
    /// Frames in a second.
    FramesPerSecond,
}

impl Unit {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Frames => "frames",
            Packets => "packets",
            Bytes => "bytes",
            Seconds => "seconds",
            Ratio => "ratio, 0 to 1",
            Sessions => "sessions",
            Events => "events",
            Self::FramesPerSecond => "frames/s",
        }
    }
}

/// A metric: what all its series have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// As Prometheus knows it.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Unit.
    pub unit: Unit,
    /// Labels that each of its series has. Where the session was given a name, `stream` comes to them.
    pub labels: &'static [&'static str],
    /// What it means, in a line.
    pub help: &'static str,
}

/// Metrics that encoders and decoders both have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) sessions: Metric,
    pub(crate) opened: Metric,
    pub(crate) fallbacks: Metric,
    pub(crate) units: Metric,
    pub(crate) frames: Metric,
    pub(crate) dropped: Metric,
    pub(crate) failed: Metric,
    pub(crate) coded_bytes: Metric,
    pub(crate) input_copies: Metric,
    pub(crate) output_copies: Metric,
    pub(crate) device_copies: Metric,
    pub(crate) fps: Metric,
    pub(crate) in_flight: Metric,
    pub(crate) in_flight_peak: Metric,
    pub(crate) queue_depth: Metric,
    pub(crate) queue_peak: Metric,
    pub(crate) queue_capacity: Metric,
    pub(crate) latency: Metric,
    pub(crate) stage: Metric,
    pub(crate) jitter: Metric,
    pub(crate) gpu_utilization: Metric,
    /// What its sessions do.
    pub(crate) job: Job,
    /// Name of the label that tells which implementation it is.
    pub(crate) type_label: &'static str,
}

impl Metric {
    /// It tells of the most there ever was: of several sessions with the same labels, that of the highest. Sums of peaks would
    /// be of moments that never were at once.
    pub(super) fn is_peak(&self) -> bool {
        self.name.ends_with("_peak")
    }
}

const fn metric(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, unit, labels, help }
}

const ENCODER_LABELS: &[&str] = &["encoder_type", "backend", "codec"];
const ENCODER_REASON: &[&str] = &["encoder_type", "backend", "codec", "reason"];
const ENCODER_REFUSED: &[&str] = &["encoder_type", "backend", "codec", "refused", "step"];
const ENCODER_QUEUE: &[&str] = &["encoder_type", "backend", "codec", "queue"];
const ENCODER_STAGE: &[&str] = &["encoder_type", "backend", "codec", "stage"];
const ENCODER_GPU: &[&str] = &["encoder_type", "backend", "codec", "gpu"];
const ENCODER_RESULT: &[&str] = &["encoder_type", "backend", "codec", "result"];
const DECODER_LABELS: &[&str] = &["decoder_type", "backend", "codec"];
const DECODER_REASON: &[&str] = &["decoder_type", "backend", "codec", "reason"];
const DECODER_REFUSED: &[&str] = &["decoder_type", "backend", "codec", "refused", "step"];
const DECODER_QUEUE: &[&str] = &["decoder_type", "backend", "codec", "queue"];
const DECODER_STAGE: &[&str] = &["decoder_type", "backend", "codec", "stage"];
const DECODER_GPU: &[&str] = &["decoder_type", "backend", "codec", "gpu"];
const GPU: &[&str] = &["gpu"];

/// Metrics of encode sessions.
pub(crate) static ENCODER: Side = Side {
    job: Job::Encode,
    type_label: "encoder_type",
    sessions: metric("encoder_sessions", Gauge, Sessions, ENCODER_LABELS, "Encode sessions that are open."),
    opened: metric(
        "encoder_sessions_opened_total",
        Counter,
        Sessions,
        ENCODER_LABELS,
        "Encode sessions that were opened.",
    ),
    fallbacks: metric(
        "encoder_fallbacks_total",
        Counter,
        Events,
        ENCODER_REFUSED,
        "Backends that were preferred to the encoder taken and refused, or died at work, by the step at which they did.",
    ),
    units: metric(
        "encoder_frames_submitted_total",
        Counter,
        Frames,
        ENCODER_LABELS,
        "Frames given to encoders.",
    ),
    frames: metric("encoder_frames_total", Counter, Frames, ENCODER_LABELS, "Frames that came out encoded."),
    dropped: metric(
        "encoder_frames_dropped_total",
        Counter,
        Frames,
        ENCODER_REASON,
        "Frames that encoders left out on purpose.",
    ),
    failed: metric(
        "encoder_frames_failed_total",
        Counter,
        Frames,
        ENCODER_LABELS,
        "Frames lost to errors of encoders.",
    ),
    coded_bytes: metric("encoder_output_bytes_total", Counter, Bytes, ENCODER_LABELS, "Coded bytes."),
    input_copies: metric(
        "encoder_input_copy_bytes_total",
        Counter,
        Bytes,
        ENCODER_LABELS,
        "Bytes of pictures copied within host memory, or from it to a device.",
    ),
    output_copies: metric(
        "encoder_output_copy_bytes_total",
        Counter,
        Bytes,
        ENCODER_LABELS,
        "Bytes of packets copied on their way out.",
    ),
    device_copies: metric(
        "encoder_device_copy_bytes_total",
        Counter,
        Bytes,
        ENCODER_LABELS,
        "Bytes of pictures copied within the memory of a device.",
    ),
    fps: metric(
        "encoder_fps",
        Gauge,
        Unit::FramesPerSecond,
        ENCODER_LABELS,
        "Frames encoded a second, over at least the last second; of a session that has just ended, over its life.",
    ),
    in_flight: metric(
        "encoder_in_flight",
        Gauge,
        Frames,
        ENCODER_LABELS,
        "Frames submitted whose outcome is not known, those in the input queue included.",
    ),
    in_flight_peak: metric(
        "encoder_in_flight_peak",
        Gauge,
        Frames,
        ENCODER_LABELS,
        "Most frames that were inside an encoder at once: handed over, and their packet not out; of sessions with the same labels, in the busiest.",
    ),
    queue_depth: metric("encoder_queue_depth", Gauge, Frames, ENCODER_QUEUE, "Frames or packets in a queue."),
    queue_peak: metric(
        "encoder_queue_peak",
        Gauge,
        Frames,
        ENCODER_QUEUE,
        "Most there were in a queue at once; of sessions with the same labels, in the fullest.",
    ),
    queue_capacity: metric(
        "encoder_queue_capacity",
        Gauge,
        Frames,
        ENCODER_QUEUE,
        "Most that a queue may hold; of sessions with the same labels the sum, as of depths.",
    ),
    latency: metric(
        "encoder_latency_seconds",
        Histogram,
        Seconds,
        ENCODER_LABELS,
        "From a frame's turn at the encoder to its packet; in streams that can switch, from acceptance.",
    ),
    stage: metric(
        "encoder_stage_seconds",
        Histogram,
        Seconds,
        ENCODER_STAGE,
        "Time of one frame in one stage of an encoder.",
    ),
    jitter: metric(
        "encoder_jitter_seconds",
        Histogram,
        Seconds,
        ENCODER_LABELS,
        "How far the interval between two packets is from the moving mean interval.",
    ),
    gpu_utilization: metric(
        "encoder_gpu_utilization",
        Gauge,
        Ratio,
        ENCODER_GPU,
        "Share of time that the video encoder of the GPU in use worked, for whichever process.",
    ),
};

/// Metrics of decode sessions.
pub(crate) static DECODER: Side = Side {
    job: Job::Decode,
    type_label: "decoder_type",
    sessions: metric("decoder_sessions", Gauge, Sessions, DECODER_LABELS, "Decode sessions that are open."),
    opened: metric(
        "decoder_sessions_opened_total",
        Counter,
        Sessions,
        DECODER_LABELS,
        "Decode sessions that were opened.",
    ),
    fallbacks: metric(
        "decoder_fallbacks_total",
        Counter,
        Events,
        DECODER_REFUSED,
        "Backends that were preferred to the decoder taken and refused, by the step at which they did.",
    ),
    units: metric("decoder_packets_total", Counter, Packets, DECODER_LABELS, "Packets given to decoders."),
    frames: metric("decoder_frames_total", Counter, Frames, DECODER_LABELS, "Frames that came out decoded."),
    dropped: metric(
        "decoder_frames_dropped_total",
        Counter,
        Frames,
        DECODER_REASON,
        "Packets that rightly gave no frame.",
    ),
    failed: metric(
        "decoder_frames_failed_total",
        Counter,
        Frames,
        DECODER_LABELS,
        "Packets lost to damage or to errors of decoders.",
    ),
    coded_bytes: metric(
        "decoder_input_bytes_total",
        Counter,
        Bytes,
        DECODER_LABELS,
        "Coded bytes given to decoders.",
    ),
    input_copies: metric(
        "decoder_input_copy_bytes_total",
        Counter,
        Bytes,
        DECODER_LABELS,
        "Bytes of packets copied to give the decoder the framing it reads.",
    ),
    output_copies: metric(
        "decoder_output_copy_bytes_total",
        Counter,
        Bytes,
        DECODER_LABELS,
        "Bytes of pictures copied within host memory, or from a device to it.",
    ),
    device_copies: metric(
        "decoder_device_copy_bytes_total",
        Counter,
        Bytes,
        DECODER_LABELS,
        "Bytes of pictures copied within the memory of a device.",
    ),
    fps: metric(
        "decoder_fps",
        Gauge,
        Unit::FramesPerSecond,
        DECODER_LABELS,
        "Frames decoded a second, over at least the last second; of a session that has just ended, over its life.",
    ),
    in_flight: metric(
        "decoder_in_flight",
        Gauge,
        Packets,
        DECODER_LABELS,
        "Packets submitted whose outcome is not known, those in the input queue included.",
    ),
    in_flight_peak: metric(
        "decoder_in_flight_peak",
        Gauge,
        Packets,
        DECODER_LABELS,
        "Most packets that were inside a decoder, or all decoders that share a stream, at once: handed over, and their frame not out; of sessions with the same labels, in the busiest.",
    ),
    queue_depth: metric("decoder_queue_depth", Gauge, Frames, DECODER_QUEUE, "Packets or frames in a queue."),
    queue_peak: metric(
        "decoder_queue_peak",
        Gauge,
        Frames,
        DECODER_QUEUE,
        "Most there were in a queue at once; of sessions with the same labels, in the fullest.",
    ),
    queue_capacity: metric(
        "decoder_queue_capacity",
        Gauge,
        Frames,
        DECODER_QUEUE,
        "Most that a queue may hold; of sessions with the same labels the sum, as of depths.",
    ),
    latency: metric(
        "decoder_latency_seconds",
        Histogram,
        Seconds,
        DECODER_LABELS,
        "From a packet's turn at the decoder to its frame.",
    ),
    stage: metric(
        "decoder_stage_seconds",
        Histogram,
        Seconds,
        DECODER_STAGE,
        "Time of one call in one stage of a decoder.",
    ),
    jitter: metric(
        "decoder_jitter_seconds",
        Histogram,
        Seconds,
        DECODER_LABELS,
        "How far the interval between two frames is from the moving mean interval.",
    ),
    gpu_utilization: metric(
        "decoder_gpu_utilization",
        Gauge,
        Ratio,
        DECODER_GPU,
        "Share of time that the video decoder of the GPU in use worked, for whichever process.",
    ),
};

/// Random access points among the packets.
pub(crate) static KEYFRAMES: Metric =
    metric("encoder_keyframes_total", Counter, Frames, ENCODER_LABELS, "Random access points encoded.");
/// What became of switches.
pub(crate) static SWITCHES: Metric = metric(
    "encoder_switches_total",
    Counter,
    Events,
    ENCODER_RESULT,
    "Switches of settings or sessions, by what became of them.",
);
/// Frames that were not as their encoder reads them.
pub(crate) static CONVERTED: Metric = metric(
    "encoder_frames_converted_total",
    Counter,
    Frames,
    ENCODER_LABELS,
    "Frames brought to the format, size or memory that their encoder reads.",
);
/// Times that do not rise.
pub(crate) static TIMES_CORRECTED: Metric = metric(
    "encoder_times_corrected_total",
    Counter,
    Frames,
    ENCODER_LABELS,
    "Pictures of recordings whose time was corrected, because it could not follow the one before.",
);
/// Mended pictures.
pub(crate) static CONCEALED: Metric = metric(
    "decoder_frames_concealed_total",
    Counter,
    Frames,
    DECODER_LABELS,
    "Frames that the decoder had to mend.",
);
/// The whole GPU.
pub(crate) static GPU_UTILIZATION: Metric = metric(
    "gpu_utilization",
    Gauge,
    Ratio,
    GPU,
    "Share of time that a kernel ran on a GPU in use, for whichever process.",
);
/// Its memory.
pub(crate) static GPU_MEMORY_USED: Metric =
    metric("gpu_memory_used_bytes", Gauge, Bytes, GPU, "Memory of a GPU in use that is taken, by whomever.");
/// Its memory.
pub(crate) static GPU_MEMORY_TOTAL: Metric =
    metric("gpu_memory_total_bytes", Gauge, Bytes, GPU, "Memory of a GPU in use.");

const fn all_of(side: &'static Side) -> [&'static Metric; 21] {
    [
        &side.frames,
        &side.fps,
        &side.queue_depth,
        &side.queue_peak,
        &side.queue_capacity,
        &side.gpu_utilization,
        &side.units,
        &side.dropped,
        &side.failed,
        &side.coded_bytes,
        &side.input_copies,
        &side.output_copies,
        &side.device_copies,
        &side.in_flight,
        &side.in_flight_peak,
        &side.latency,
        &side.stage,
        &side.jitter,
        &side.sessions,
        &side.opened,
        &side.fallbacks,
    ]
}

/// Every metric, in the order in which they are told.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    let encoder = [&KEYFRAMES, &SWITCHES, &CONVERTED, &TIMES_CORRECTED];
    all_of(&ENCODER).into_iter().chain(encoder).chain(all_of(&DECODER)).chain([
        &CONCEALED,
        &GPU_UTILIZATION,
        &GPU_MEMORY_USED,
        &GPU_MEMORY_TOTAL,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_rules_of_prometheus() {
        let mut seen = std::collections::BTreeSet::new();
        for metric in all() {
            let name = metric.name;
            assert!(seen.insert(name), "{name} twice");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            let bare = name.trim_end_matches("_total");
            assert_eq!(bare.ends_with("_seconds"), metric.unit == Unit::Seconds, "{name}");
            assert_eq!(bare.ends_with("_bytes"), metric.unit == Unit::Bytes, "{name}");
            assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{name}");
            for side in ["encoder", "decoder"] {
                if name.starts_with(side) {
                    assert_eq!(metric.labels[0], format!("{side}_type"), "{name}");
                }
            }
        }
        for wanted in
            ["encoder_frames_total", "encoder_fps", "encoder_queue_depth", "encoder_gpu_utilization"]
        {
            assert!(seen.contains(wanted), "{wanted}");
        }
    }
}
