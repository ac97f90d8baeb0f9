//! `transcode --copy` and `trim --copy`: what is coded goes into another file as it is.

use std::cell::RefCell;
use std::path::Path;

use serde_json::{Value, json};
use video_hw::backend::Receipt;
use video_hw::container::TrackKind;
use video_hw::pipeline::{CutReport, ExactReport, Remux, RemuxReport};
use video_hw::{Error, Result};
use video_hw_terminal::cancel::Interrupts;
use video_hw_terminal::text;

use crate::args::TranscodeArgs;
use crate::exit::Exit;
use crate::options::JobArgs;
use crate::progress::ProgressView;
use crate::{json, remedy};

pub(crate) fn run(command: &'static str, args: &TranscodeArgs) -> Result<Exit> {
    let (job, encoder, backends) = (&args.job, &args.encoder, &args.backends);
    let chosen = [backends.backend, backends.decoder_backend, backends.encoder_backend];
    if !args.exact && chosen.iter().any(Option::is_some) {
        return Err(Error::invalid("--copy neither decodes nor encodes: a backend is for --copy --exact"));
    }
    let interrupts = Interrupts::install(job.quiet, Some(&args.output))?;
    let view = RefCell::new(ProgressView::new(job.quiet));
    let mut remux = Remux::new(&args.input, &args.output)
        .audio(args.copied.audio.clone())
        .subtitles(args.copied.subtitles.clone())
        .overwrite(job.overwrite)
        .keep_going(job.keep_going)
        .faststart(encoder.faststart)
        .fragmented(encoder.fragmented)
        .limits(args.limits.limits())
        .exact(args.exact)
        .decode_backend(backends.decoder_backend.or(backends.backend).unwrap_or_default())
        .encode_backend(backends.encoder_backend.or(backends.backend).unwrap_or_default())
        .cancel_token(interrupts.token.clone())
        .on_progress(|state| {
            interrupts.check_abort();
            view.borrow_mut().update(state);
        });
    if let Some(track) = args.source.track {
        remux = remux.track(track);
    }
    if let Some(most) = args.source.spool.spool {
        remux = remux.spool(most);
    }
    if let Some(start) = args.part.start {
        remux = remux.start(start);
    }
    if let Some(duration) = args.part.duration {
        remux = remux.duration(duration);
    }
    if let Some(rate) = args.pictures.input_fps {
        remux = remux.input_frame_rate(rate);
    }
    if let Some(format) = &encoder.format {
        remux = remux.output_format(format.as_str());
    }
    let result = remux.run();
    view.borrow_mut().clear();
    tell(command, &result?, job)
}

fn tell(command: &'static str, report: &RemuxReport, job: &JobArgs) -> Result<Exit> {
    let exit = if report.cancelled { Exit::Cancelled } else { Exit::Done };
    if !job.quiet {
        text::to_stderr(&summary(report));
    }
    if job.json {
        let document = format!("{:#}", document(command, report, exit));
        if report.output == Path::new("-") {
            text::to_stderr(&document);
        } else {
            text::to_stdout(&document)?;
        }
    }
    Ok(exit)
}

fn notes(report: &RemuxReport) -> Vec<String> {
    report.notes.iter().map(remedy::of_note).collect()
}

/// `copy: mp4 -> mp4: h264, mp4a`, notes, and `1,500 frames  ... out.mp4 2.1 MB`.
fn summary(report: &RemuxReport) -> String {
    let codecs: Vec<_> = report.tracks.iter().map(|track| track.track.codec_name.as_str()).collect();
    let mut lines =
        vec![format!("copy: {} -> {}: {}", report.input_format, report.output_format, codecs.join(", "))];
    lines.extend(report.exact.as_ref().map(encoded_anew));
    lines.extend(notes(report).iter().map(|note| format!("note: {note}")));
    lines.extend(report.problems.iter().map(|problem| format!("warning: {problem}")));
    let told = report.problems.len() as u64;
    if report.problem_count > told {
        lines.push(format!("warning: and {} more like these", report.problem_count - told));
    }
    let mut parts = vec![
        format!("{} frames", text::thousands(report.video_samples())),
        format!("{} samples in all", text::thousands(report.samples())),
        format!("{}x", text::rate(text::per_second(report.duration.as_secs_f64(), report.wall))),
    ];
    if report.cancelled {
        parts.push("cancelled".to_owned());
    }
    let name = if report.output == Path::new("-") {
        "standard output".into()
    } else {
        report.output.to_string_lossy()
    };
    parts.push(format!("{name} {}", text::bytes(report.bytes)));
    lines.push(parts.join("  "));
    lines.iter().map(|line| text::one_line(line)).collect::<Vec<_>>().join("\n")
}

/// `encoded anew: 12 frames at the start and 0 at the end, by ffmpeg (libx264); 138 copied`.
fn encoded_anew(exact: &ExactReport) -> String {
    let (start, end) = (exact.encoded_at_start, exact.encoded_at_end);
    let anew = match exact.encoder.as_ref().and_then(Receipt::chosen) {
        Some((backend, implementation)) => {
            format!("{start} frames at the start and {end} at the end, by {backend} ({implementation})")
        }
        None => "none".to_owned(),
    };
    format!("encoded anew: {anew}; {} copied", text::thousands(exact.copied))
}

fn document(command: &'static str, report: &RemuxReport, exit: Exit) -> Value {
    let tracks = report.tracks.iter().map(|one| {
        json!({
            "id": one.track.id.0,
            "output_id": one.output.0,
            "kind": kind(one.track.kind),
            "codec": one.track.codec_name,
            "language": one.track.language,
            "samples": one.samples,
            "bytes": one.bytes,
        })
    });
    json!({
        "command": command,
        "copy": true,
        "input": report.input.to_string_lossy(),
        "output": report.output.to_string_lossy(),
        "input_container": report.input_format,
        "output_container": report.output_format,
        "tracks": tracks.collect::<Vec<_>>(),
        "frames_out": report.video_samples(),
        "samples": report.samples(),
        "cut": report.cut.as_ref().map(cut),
        "exact": report.exact.as_ref().map(exact),
        "bytes": report.bytes,
        "duration_s": json::seconds(report.duration),
        "wall_s": json::seconds(report.wall),
        "notes": notes(report),
        "problems": report.problems,
        "problem_count": report.problem_count,
        "cancelled": report.cancelled,
        "exit_code": exit.code(),
    })
}

fn exact(exact: &ExactReport) -> Value {
    json!({
        "encoded_at_start": exact.encoded_at_start,
        "encoded_at_end": exact.encoded_at_end,
        "copied": exact.copied,
        "decoder": exact.decoder.as_ref().map(json::chosen),
        "encoder": exact.encoder.as_ref().map(json::chosen),
    })
}

fn cut(cut: &CutReport) -> Value {
    json!({
        "before_s": json::seconds(cut.before),
        "included_before": cut.included_before,
        "included_behind": cut.included_behind,
        "hidden_before": cut.hidden_before,
        "hidden_behind": cut.hidden_behind,
        "leading_left_out": cut.leading_left_out,
    })
}

/// A kind of track, in a word.
pub(crate) fn kind(kind: TrackKind) -> &'static str {
    match kind {
        TrackKind::Video => "video",
        TrackKind::Audio => "audio",
        TrackKind::Subtitle => "subtitle",
        TrackKind::Other => "other",
    }
}
