//! Reports as JSON. Times are seconds, sizes bytes, rates bits per second; what is not known is `null`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use video_hw::Error;
use video_hw::backend::{Receipt, Verdict};
use video_hw::color::{ColorInfo, ColorRange};
use video_hw::pipeline::{FilterSummary, SourceInfo, SourceSummary};
use video_hw::session::{DecodeSummary, EncodeSummary, Ledger, LossKind, Losses, QueueStats, SessionTiming};
use video_hw::stages::{DecodeStages, EncodeStages, StageSummary};
use video_hw::time::Rational;
use video_hw_terminal::text;

use crate::exit::{self, Exit};
use crate::{clock, failure, remedy};

/// What ends a run that failed.
pub(crate) fn error(error: &Error, exit: Exit) -> Value {
    json!({
        "error": { "kind": exit::kind(error), "message": exit::message(error), "remedy": remedy_name(error) },
        "exit_code": exit.code(),
    })
}

/// The kind of what can be done about it, where the command line leaves anything to be done.
fn remedy_name(error: &Error) -> Option<&'static str> {
    let remedy = error.remedy();
    (!remedy::message(&remedy).is_empty()).then(|| remedy.name())
}

/// Wrong arguments, before there is a job.
pub(crate) fn usage_error(message: &str) -> Value {
    json!({
        "error": { "kind": "usage", "message": message, "remedy": null },
        "exit_code": Exit::Usage.code(),
    })
}

pub(crate) fn seconds(time: Duration) -> Value {
    json!(time.as_secs_f64())
}

pub(crate) fn rational(value: Option<Rational>) -> Value {
    value.map_or(Value::Null, |r| json!(r.to_string()))
}

pub(crate) fn color(color: ColorInfo) -> Value {
    json!({
        "matrix": color.matrix.to_string(),
        "primaries": color.primaries.to_string(),
        "transfer": color.transfer.to_string(),
        "range": range(color.range),
    })
}

/// ffmpeg's words for the range.
pub(crate) fn range(range: Option<ColorRange>) -> Option<&'static str> {
    range.map(|r| match r {
        ColorRange::Limited => "tv",
        ColorRange::Full => "pc",
    })
}

pub(crate) fn source(info: &SourceInfo) -> Value {
    json!({
        "format": info.format,
        "codec": info.codec.map(|c| c.name()),
        "size": info.dimensions.map(|d| d.to_string()),
        "frame_rate": rational(info.frame_rate),
        "time_base": info.time_base.to_string(),
        "frames": info.frames,
        "duration_s": info.duration.map(|d| d.as_secs_f64()),
    })
}

/// Why a backend was chosen.
pub(crate) fn receipt(receipt: &Receipt) -> Vec<Value> {
    let entries = receipt.entries.iter().map(|(candidate, verdict)| {
        let mut entry = Map::new();
        entry.insert("candidate".to_owned(), json!(candidate.label()));
        match verdict {
            Verdict::Chosen(implementation) => {
                entry.insert("verdict".to_owned(), json!("chosen"));
                entry.insert("implementation".to_owned(), json!(implementation));
            }
            Verdict::Refused { step, reason } => {
                entry.insert("verdict".to_owned(), json!("refused"));
                entry.insert("step".to_owned(), json!(step.to_string()));
                entry.insert("reason".to_owned(), json!(reason));
            }
            Verdict::NotTried => {
                entry.insert("verdict".to_owned(), json!("not_tried"));
            }
        }
        Value::Object(entry)
    });
    entries.collect()
}

/// Who works, and why.
pub(crate) fn chosen(chosen: &Receipt) -> Value {
    let (backend, implementation) = chosen.chosen().unzip();
    json!({
        "backend": backend.map(|b| b.name()),
        "implementation": implementation,
        "codec": chosen.codec.name(),
        "receipt": receipt(chosen),
        "receipt_notes": chosen.notes,
    })
}

fn session(receipt: &Receipt, books: &Ledger) -> Value {
    let mut value = chosen(receipt);
    value["ledger"] = ledger(books);
    value
}

fn ledger(books: &Ledger) -> Value {
    json!({
        "submitted": books.submitted,
        "delivered": books.delivered,
        "dropped": books.dropped,
        "failed": books.failed,
        "pending": books.pending,
        "unexpected": books.unexpected,
        "balances": books.balances(),
    })
}

fn stage(
    timing: &SessionTiming,
    latency: StageSummary,
    delivered: u64,
    input: QueueStats,
    output: QueueStats,
) -> Value {
    let queue = |q: QueueStats| json!({ "capacity": q.capacity, "peak": q.peak });
    json!({
        "busy_s": seconds(timing.busy),
        "blocked_s": seconds(timing.blocked),
        "latency_mean_s": seconds(timing.latency_mean(delivered)),
        "latency_max_s": seconds(timing.latency_max),
        "latency_p50_s": seconds(latency.p50),
        "latency_p95_s": seconds(latency.p95),
        "latency_p99_s": seconds(latency.p99),
        "input_queue": queue(input),
        "output_queue": queue(output),
    })
}

pub(crate) fn decode(summary: &DecodeSummary) -> Value {
    let mut value = session(&summary.receipt, &summary.ledger);
    value["bytes_in"] = json!(summary.bytes_in);
    value["engines"] = summary.receipt.split.as_ref().map_or(Value::Null, |split| {
        json!({
            "wanted": split.engines,
            "opened": split.opened,
            "parts": split.segments,
            "peak_window_bytes": split.peak_window_bytes,
            "host_window_bytes": split.window_bytes.0,
            "device_window_bytes": split.window_bytes.1,
            "note": split.note,
        })
    });
    value["synthesised_timestamps"] = json!(summary.synthesised_timestamps);
    value["concealed"] = json!(summary.concealed);
    value["input_copy_bytes"] = json!(summary.input_copy_bytes);
    value["output_copy_bytes"] = json!(summary.output_copy_bytes);
    value["device_copy_bytes"] = json!(summary.device_copy_bytes);
    if !summary.notes.is_empty() {
        value["notes"] = json!(summary.notes);
    }
    value
}

/// What was done to decoded pictures, and where.
pub(crate) fn conversion(summary: &DecodeSummary) -> Value {
    let done = &summary.transform;
    json!({
        "wanted": (!summary.wanted.shapes_nothing()).then(|| summary.wanted.to_string()),
        "by_decoder": summary.shaped,
        "by_cpu_workers": done.transformed,
        "unchanged": done.passed.saturating_sub(summary.shaped),
        "failed": done.failed,
        "threads": done.threads,
        "waited_s": seconds(done.waited),
        "busy_s": seconds(done.busy),
        "queue": { "capacity": done.queue.capacity, "peak": done.queue.peak },
        "assumed_color": done.assumed_color,
    })
}

/// How long it took: decoding from the first packet on, the process until frames were out, and the job.
pub(crate) fn timing(decode: Option<&DecodeSummary>, frames: u64, wall: Duration) -> Value {
    let first = decode.and_then(|d| d.first_frame_after);
    let last = decode.and_then(|d| d.last_frame_after);
    let decoded = decode.map_or(0, |d| d.ledger.delivered);
    let process = clock::seen();
    json!({
        "first_submit_to_first_frame_s": first.map(seconds),
        "first_submit_to_last_frame_s": last.map(seconds),
        "first_submit_to_last_frame_fps": last.map(|last| text::per_second(decoded as f64, last)),
        "process_to_first_frame_s": process.first.map(seconds),
        "process_to_last_frame_s": process.last.map(seconds),
        "wall_s": seconds(wall),
        "wall_fps": text::per_second(frames as f64, wall),
    })
}

pub(crate) fn encode(summary: &EncodeSummary) -> Value {
    let mut value = session(&summary.receipt, &summary.ledger);
    value["events"] = failure::events(&summary.takeovers);
    value["bytes_out"] = json!(summary.bytes_out);
    value["keyframes"] = json!(summary.keyframes);
    value["input_copy_bytes"] = json!(summary.input_copy_bytes);
    value["output_copy_bytes"] = json!(summary.output_copy_bytes);
    value["device_copy_bytes"] = json!(summary.device_copy_bytes);
    value
}

/// A stage under its name: the sum over the job (`lock_ms`), and the distribution of single times (`lock_ms_per_picture`).
fn put_stage(object: &mut Value, name: &str, stage: StageSummary) {
    object[format!("{name}_ms")] = json!(stage.total.as_secs_f64() * 1e3);
    object[format!("{name}_ms_per_picture")] = figures(stage);
}

/// A distribution, in milliseconds.
fn figures(stage: StageSummary) -> Value {
    let ms = |time: Duration| json!(time.as_secs_f64() * 1e3);
    json!({
        "count": stage.count,
        "mean": ms(stage.mean()),
        "p50": ms(stage.p50),
        "p95": ms(stage.p95),
        "p99": ms(stage.p99),
        "max": ms(stage.max),
    })
}

/// The stages of a hardware encoder that have run, in milliseconds.
fn encode_stages(stages: &EncodeStages) -> Value {
    let mut object = json!({
        "queue_peak": stages.queue_peak,
        "input_copy_bytes": stages.input_copy_bytes,
        "output_copy_bytes": stages.output_copy_bytes,
    });
    stages.named().for_each(|(name, stage)| put_stage(&mut object, name, stage));
    object
}

/// The stages of a decoder that have run, in milliseconds.
fn decode_stages(stages: &DecodeStages) -> Value {
    let mut object = json!({});
    stages.named().for_each(|(name, stage)| put_stage(&mut object, name, stage));
    object
}

/// Where the time went.
pub(crate) fn stages(
    decode: Option<&DecodeSummary>,
    filter: &FilterSummary,
    encode: Option<&EncodeSummary>,
) -> Value {
    let mut out = Map::new();
    if let Some(d) = decode {
        let mut value = stage(&d.timing, d.latency, d.ledger.delivered, d.input_queue, d.output_queue);
        value["jitter_ms"] = figures(d.jitter);
        value["in_flight_peak"] = json!(d.in_flight_peak);
        value["stages"] = decode_stages(&d.stages);
        out.insert("decode".to_owned(), value);
    }
    let value = json!({
        "busy_s": seconds(filter.busy),
        "frames_in": filter.frames_in,
        "frames_out": filter.frames_out,
        "interlaced": filter.interlaced,
        "deinterlaced": filter.deinterlaced,
        "size_changes": filter.size_changes,
        "scaled": filter.scaled,
        "extended": filter.extended,
        "converted": filter.converted,
        "on_device": filter.on_device,
        "download_bytes": filter.download_bytes,
    });
    out.insert("filter".to_owned(), value);
    if let Some(e) = encode {
        let mut value = stage(&e.timing, e.latency, e.ledger.delivered, e.input_queue, e.output_queue);
        value["in_flight_peak"] = json!(e.in_flight_peak);
        value["jitter_ms"] = figures(e.jitter);
        put_stage(&mut value, "calls", e.calls);
        put_stage(&mut value, "output", e.output_wait);
        value["stages"] = e.stages.as_ref().map_or(Value::Null, encode_stages);
        out.insert("encode".to_owned(), value);
    }
    Value::Object(out)
}

/// Frames that are not in the output although nothing failed, by reason: what the text sums up and JSON lists. `losses`: the
/// frames that filter and encoder dropped, where they are told apart.
pub(crate) fn dropped(
    input: &SourceSummary,
    filter: &FilterSummary,
    encode: Option<&Ledger>,
    losses: Option<&Losses>,
) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    let mut add = |reason: &str, n: u64| {
        if n > 0 {
            *out.entry(reason.to_owned()).or_insert(0) += n;
        }
    };
    add("outside the wanted part", input.outside);
    for (reason, n) in input.decode.iter().flat_map(|decode| &decode.ledger.dropped) {
        add(reason, *n);
    }
    if let Some(losses) = losses {
        let dropped = losses.reasons().iter().filter(|loss| loss.kind == LossKind::Dropped);
        dropped.for_each(|loss| add(&loss.reason, loss.count));
    } else {
        add("frame rate", filter.dropped);
        for (reason, n) in encode.into_iter().flat_map(|ledger| &ledger.dropped) {
            add(reason, *n);
        }
    }
    out
}
