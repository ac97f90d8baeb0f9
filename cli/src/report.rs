//! What a finished job has to say: to people on standard error, to programs as JSON.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use video_hw::Result;
use video_hw::backend::{BackendKind, Receipt, SplitReport, Verdict};
use video_hw::figures::{self, Figures};
use video_hw::pipeline::{ExportReport, FilterSummary, SourceInfo, SourceSummary, TranscodeReport};
use video_hw::session::{EncodeSummary, Losses, SessionTiming};
use video_hw_terminal::text;

use crate::exit::Exit;
use crate::options::JobArgs;
use crate::{failure, json, metrics, remedy};

/// A finished job, whichever it was.
pub(crate) struct Finished<'a> {
    /// The command's name.
    pub(crate) command: &'static str,
    pub(crate) source: &'a SourceInfo,
    pub(crate) input: &'a SourceSummary,
    pub(crate) filter: &'a FilterSummary,
    pub(crate) encode: Option<&'a EncodeSummary>,
    /// What filter and encoder did not put out, by reason.
    pub(crate) losses: Option<&'a Losses>,
    /// Where the result is; `None` where there is none to keep.
    pub(crate) output: Option<&'a Path>,
    pub(crate) frames_out: u64,
    /// Samples of other tracks.
    pub(crate) copied: u64,
    pub(crate) bytes: u64,
    pub(crate) duration: Duration,
    pub(crate) wall: Duration,
    pub(crate) cancelled: bool,
    pub(crate) balances: bool,
    pub(crate) notes: Vec<String>,
    /// What only this command reports, added to the JSON document.
    pub(crate) extra: Vec<(&'static str, Value)>,
}

impl<'a> Finished<'a> {
    pub(crate) fn transcode(command: &'static str, report: &'a TranscodeReport) -> Self {
        Self {
            command,
            source: &report.source,
            input: &report.input,
            filter: &report.filter,
            encode: Some(&report.encode),
            losses: Some(&report.losses),
            output: Some(&report.output),
            frames_out: report.video_samples,
            copied: report.copied_samples,
            bytes: report.bytes,
            duration: report.duration,
            wall: report.wall,
            cancelled: report.cancelled,
            balances: report.balances(),
            notes: report.notes.iter().map(remedy::of_note).collect(),
            extra: vec![("memory", json!(report.memory.to_string())), ("ledger", failure::ledger(report))],
        }
    }

    pub(crate) fn export(report: &'a ExportReport, output: Option<&'a Path>) -> Self {
        let pixel_format = report.format.map(|f| f.format.name());
        let size = report.format.map(|f| f.dimensions.to_string());
        Self {
            command: "decode",
            source: &report.source,
            input: &report.input,
            filter: &report.filter,
            encode: None,
            losses: None,
            output,
            frames_out: report.frames,
            copied: 0,
            bytes: report.bytes,
            duration: report.duration,
            wall: report.wall,
            cancelled: report.cancelled,
            balances: report.balances(),
            notes: report.source.notes.iter().chain(&report.input.notes).cloned().collect(),
            extra: vec![("pix_fmt", json!(pixel_format)), ("size", json!(size))],
        }
    }

    fn exit(&self, keep_going: bool) -> Exit {
        let lost = self.encode.map_or(0, |e| e.ledger.failed);
        if !self.balances {
            Exit::Defect
        } else if lost > 0 && !keep_going {
            // The output plays, and lacks what went with a device.
            Exit::Backend
        } else if self.cancelled {
            Exit::Cancelled
        } else {
            Exit::Done
        }
    }

    /// Tells, and gives the exit code.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn tell(&self, job: &JobArgs) -> Result<Exit> {
        let exit = self.exit(job.keep_going);
        if !job.quiet {
            text::to_stderr(&self.summary(job.verbose));
        }
        let figures = Figures { decode: self.input.decode.as_ref(), encode: self.encode, synth: None };
        for line in figures.asked_for(|name| std::env::var(name).ok()) {
            text::to_stderr(&line);
        }
        if !self.balances {
            text::to_stderr(&format!("video-hw: error: {}", self.defect()));
        }
        if job.json {
            let mut document = self.json(exit);
            if job.metrics.addr.is_some() || job.metrics.file.is_some() {
                document["metrics"] = metrics::json();
            }
            let document = format!("{document:#}");
            if self.output == Some(Path::new("-")) {
                text::to_stderr(&document);
            } else {
                text::to_stdout(&document)?;
            }
        }
        Ok(exit)
    }

    fn defect(&self) -> String {
        format!(
            "defect: the frames of {} do not add up ({} read, {} dropped, {} repeated, {} written, {} lost); the output is not to be trusted, please report this with the --json report",
            self.source.path.display(),
            self.input.frames,
            self.filter.dropped,
            self.filter.repeated,
            self.frames_out,
            self.failed(),
        )
    }

    fn failed(&self) -> u64 {
        let decode = self.input.decode.as_ref().map_or(0, |d| d.ledger.failed);
        decode + self.encode.map_or(0, |e| e.ledger.failed)
    }

    /// Frames that are not in the output on purpose, by reason.
    fn dropped(&self) -> BTreeMap<String, u64> {
        json::dropped(self.input, self.filter, self.encode.map(|e| &e.ledger), self.losses)
    }

    /// `0 dropped`, `24 dropped (frame rate)`.
    fn dropped_words(&self) -> String {
        let dropped = self.dropped();
        let reasons: Vec<_> = dropped.keys().map(String::as_str).collect();
        let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        format!("{} dropped{why}", text::thousands(dropped.values().sum()))
    }

    fn summary(&self, verbose: bool) -> String {
        let mut lines = vec![self.what_ran()];
        if verbose {
            lines.extend(self.details());
        }
        let of_decoder = self.input.decode.iter().flat_map(|decode| &decode.notes);
        lines.extend(of_decoder.chain(&self.notes).map(|note| format!("note: {note}")));
        let problems = self.input.problems.iter();
        lines.extend(problems.map(|problem| format!("warning: {problem}")));
        let reported = self.input.problems.len() as u64;
        if self.input.problem_count > reported {
            lines.push(format!("warning: and {} more like these", self.input.problem_count - reported));
        }
        lines.push(self.figures());
        lines.iter().map(|line| text::one_line(line)).collect::<Vec<_>>().join("\n")
    }

    /// `software: h264 (rusty_h264) -> h264 (openh264)`.
    fn what_ran(&self) -> String {
        let decode = self.input.decode.as_ref().map(|d| {
            let (kind, message) = part(&d.receipt);
            (failure::before(&self.input.takeovers) + &kind, message)
        });
        let encode = self.encode.map(|e| {
            let (kind, message) = part(&e.receipt);
            (failure::before(&e.takeovers) + &kind, message)
        });
        match (decode, encode) {
            (Some((a, decoder)), Some((b, encoder))) if a == b => format!("{a}: {decoder} -> {encoder}"),
            (Some((a, decoder)), Some((b, encoder))) => format!("{a}: {decoder} -> {b}: {encoder}"),
            (Some((a, decoder)), None) => format!("{a}: {decoder}{}", self.converted()),
            (None, Some((b, encoder))) => format!("{b}: {} -> {encoder}", self.source.format),
            (None, None) => self.source.format.clone(),
        }
    }

    /// ` -> 320x180, rgb24 on 2 CPU threads`; nothing where pictures stayed as they were.
    fn converted(&self) -> String {
        let Some(decode) = &self.input.decode else { return String::new() };
        let mut places = Vec::new();
        if decode.shaped > 0 {
            let gpu = decode.receipt.chosen().is_some_and(|(kind, _)| {
                matches!(kind, BackendKind::Nvidia | BackendKind::Qsv | BackendKind::VideoToolbox)
            });
            places.push(if gpu { "on the GPU".to_owned() } else { "in the decoder".to_owned() });
        }
        if decode.transform.transformed > 0 {
            places.push(match decode.transform.threads {
                1 => "on 1 CPU thread".to_owned(),
                n => format!("on {n} CPU threads"),
            });
        }
        if places.is_empty() || decode.wanted.shapes_nothing() {
            return String::new();
        }
        format!(" -> {} {}", decode.wanted, places.join(" and "))
    }

    /// `7,200 frames  912 fps  15.2x  5.9 Mb/s  0 dropped  out.mp4 88.1 MB`.
    fn figures(&self) -> String {
        let mut parts = vec![
            format!("{} frames", text::thousands(self.frames_out)),
            format!("{} fps", text::rate(text::per_second(self.frames_out as f64, self.wall))),
            format!("{}x", text::rate(text::per_second(self.duration.as_secs_f64(), self.wall))),
        ];
        if let Some(rate) = text::bits_per_second(self.bytes, self.duration).filter(|_| self.bytes > 0) {
            parts.push(text::bit_rate(rate));
        }
        parts.push(self.dropped_words());
        if self.filter.repeated > 0 {
            parts.push(format!("{} repeated", text::thousands(self.filter.repeated)));
        }
        if let Some(decode) = self.input.decode.as_ref().filter(|decode| decode.concealed > 0) {
            parts.push(format!("{} concealed", text::thousands(decode.concealed)));
        }
        if self.failed() > 0 {
            parts.push(format!("{} lost", text::thousands(self.failed())));
        }
        if self.cancelled {
            parts.push("cancelled".to_owned());
        }
        if let Some(output) = self.output {
            let name =
                if output == Path::new("-") { "standard output".into() } else { output.to_string_lossy() };
            parts.push(format!("{name} {}", text::bytes(self.bytes)));
        }
        parts.join("  ")
    }

    fn details(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let decode = self.input.decode.as_ref();
        for receipt in decode.map(|d| &d.receipt).into_iter().chain(self.encode.map(|e| &e.receipt)) {
            for (candidate, verdict) in &receipt.entries {
                if let Verdict::Refused { step, reason } = verdict {
                    let job = format!("{:?}", receipt.job).to_lowercase();
                    lines.push(format!("{}: no {job} ({step}): {reason}", candidate.label()));
                }
            }
            lines.extend(receipt.notes.iter().cloned());
            lines.extend(receipt.split.as_ref().map(shared_out));
        }
        if let Some(d) = decode {
            lines.push(time_line("decode", &d.timing, d.ledger.delivered));
            if d.transform.transformed > 0 {
                lines.push(format!(
                    "convert: busy {:.3} s on {} threads, waited {:.3} s",
                    d.transform.busy.as_secs_f64(),
                    d.transform.threads,
                    d.transform.waited.as_secs_f64()
                ));
            }
            if let (Some(first), Some(last)) = (d.first_frame_after, d.last_frame_after) {
                lines.push(format!(
                    "first packet to first frame {:.1} ms, to last frame {:.3} s",
                    first.as_secs_f64() * 1e3,
                    last.as_secs_f64()
                ));
            }
        }
        lines.push(format!("filter: busy {:.3} s", self.filter.busy.as_secs_f64()));
        if let Some(e) = self.encode {
            lines.push(time_line("encode", &e.timing, e.ledger.delivered));
            lines.extend(e.stages.iter().flat_map(figures::lines));
        }
        if self.copied > 0 {
            lines.push(format!("copied: {} samples of other tracks", text::thousands(self.copied)));
        }
        lines
    }

    fn json(&self, exit: Exit) -> Value {
        let decode = self.input.decode.as_ref();
        let mut document = json!({
            "command": self.command,
            "input": self.source.path.to_string_lossy(),
            "output": self.output.map(Path::to_string_lossy),
            "source": json::source(self.source),
            "frames_in": self.input.frames,
            "frames_out": self.frames_out,
            "dropped": self.dropped(),
            "repeated": self.filter.repeated,
            "failed": self.failed(),
            "copied_samples": self.copied,
            "bytes": self.bytes,
            "duration_s": json::seconds(self.duration),
            "wall_s": json::seconds(self.wall),
            "fps": text::per_second(self.frames_out as f64, self.wall),
            "speed": text::per_second(self.duration.as_secs_f64(), self.wall),
            "bitrate_bps": text::bits_per_second(self.bytes, self.duration),
            "decode": decode.map(json::decode),
            "encode": self.encode.map(json::encode),
            "conversion": decode.map(json::conversion),
            "timing": json::timing(decode, self.frames_out, self.wall),
            "stages": json::stages(decode, self.filter, self.encode),
            "ledger": { "balances": self.balances },
            "notes": self.notes,
            "problems": self.input.problems,
            "problem_count": self.input.problem_count,
            "times_mended": self.input.times_mended,
            "cancelled": self.cancelled,
            "exit_code": exit.code(),
        });
        if decode.is_some() {
            document["decode"]["events"] = failure::events(&self.input.takeovers);
            document["decode"]["frames_again"] = json!(self.input.again);
        }
        for (key, value) in &self.extra {
            document[*key] = value.clone();
        }
        document
    }
}

fn part(receipt: &Receipt) -> (String, String) {
    // That one decoder was enough is no news; --verbose tells why.
    let several = receipt.split.as_ref().filter(|split| split.opened > 1);
    let shared = several.map_or_else(String::new, |split| {
        let note = split.note.as_ref().map_or_else(String::new, |note| format!("; {note}"));
        format!(" on {} of {} decoders{note}", split.opened, split.engines)
    });
    match receipt.chosen() {
        Some((kind, implementation)) => {
            (kind.to_string(), format!("{} ({implementation}){shared}", receipt.codec))
        }
        None => ("no backend".to_owned(), receipt.codec.to_string()),
    }
}

/// How a file was shared out among decoders.
fn shared_out(split: &SplitReport) -> String {
    let (host, cards) = split.window_bytes;
    let note = split.note.as_ref().map_or_else(String::new, |note| format!("; {note}"));
    format!(
        "decoders: {} of {} for {} parts; {} of pictures waited at most (allowed: {} of the host's memory, {} of the cards'){note}",
        split.opened,
        split.engines,
        text::thousands(split.segments),
        text::bytes(split.peak_window_bytes),
        text::bytes(host),
        text::bytes(cards),
    )
}

fn time_line(stage: &str, timing: &SessionTiming, delivered: u64) -> String {
    format!(
        "{stage}: busy {:.3} s, blocked {:.3} s, latency mean {:.1} ms, max {:.1} ms",
        timing.busy.as_secs_f64(),
        timing.blocked.as_secs_f64(),
        timing.latency_mean(delivered).as_secs_f64() * 1e3,
        timing.latency_max.as_secs_f64() * 1e3,
    )
}
