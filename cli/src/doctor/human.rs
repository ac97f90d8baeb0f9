//! The report of `doctor` as a person reads it: first what will be used, then each backend, then what to do.

use std::io::IsTerminal;

use video_hw::backend::{Backend, Job};
use video_hw::codec::Codec;
use video_hw::probing::{Candidate, Failure, Probe, ProbeVerdict, Question};

use super::{Report, is_expected, job_word};
use crate::remedy;

/// Words before which a candidate's lines begin.
const NAME: usize = 20;

impl Report {
    pub(super) fn human(&self, verbose: bool) -> String {
        let mut out = String::new();
        let wanted = match self.backend {
            Backend::Auto => "--backend auto".to_owned(),
            Backend::Only(kind) => format!("--backend {kind}"),
        };
        out.push_str(&format!("What {wanted} takes here\n"));
        let mut reported = Vec::new();
        for codec in &self.codecs {
            self.codec(*codec, &mut reported, &mut out);
        }
        out.push('\n');
        out.push_str("What was tried\n");
        for candidate in Candidate::ORDER {
            self.candidate(candidate, verbose, &mut out);
        }
        if !self.hints.is_empty() {
            out.push_str("\nWhat to do\n");
            for hint in &self.hints {
                out.push_str(&format!("  {:<NAME$}{}\n", hint.about.name(), hint.message));
            }
        }
        out.push('\n');
        out.push_str(&self.last_line());
        out.push('\n');
        match width() {
            Some(width) => out.lines().map(|line| wrapped(line, width)).collect(),
            None => out,
        }
    }

    /// `h264  decode  nvidia (NVDEC)` and the same for encoding; why it is not the first candidate once for each reason.
    fn codec<'a>(&'a self, codec: Codec, reported: &mut Vec<(Candidate, &'a str)>, out: &mut String) {
        let mut name = codec.name();
        for job in [Job::Decode, Job::Encode] {
            if job == Job::Encode && !Question::ENCODED.contains(&codec) {
                continue;
            }
            let (chosen, refused) = self.found.choice(job, codec);
            let mut line = match chosen {
                Some(Probe { question, verdict: ProbeVerdict::Works { implementation }, .. }) => {
                    format!("{} ({implementation})", question.candidate.backend())
                }
                _ => "nothing".to_owned(),
            };
            let why = |probe: &&'a Probe| match &probe.verdict {
                ProbeVerdict::Fails { reason, .. } => Some((probe.question.candidate, reason.as_str())),
                ProbeVerdict::Works { .. } => None,
            };
            // What anybody can do about it is the last resort's, of those that can be had at all.
            let lacks = |probe: &&&Probe| matches!(&probe.verdict, ProbeVerdict::Fails { failure, .. } if failure.name() == "unsupported");
            let last = refused.iter().rfind(|probe| !lacks(probe)).or(refused.last());
            match (chosen, last.map(|probe| &probe.verdict), refused.iter().find_map(why)) {
                (None, Some(ProbeVerdict::Fails { reason, remedy, .. }), _) => {
                    let last = last.map_or("", |probe| probe.question.candidate.name());
                    line.push_str(&format!(": {last}: {}", remedy::after(reason, remedy)));
                }
                (_, _, Some(told_before)) if reported.contains(&told_before) => {
                    line.push_str(&format!(", because of {} as above", told_before.0));
                }
                (_, _, Some((candidate, reason))) => {
                    line.push_str(&format!(", because {candidate}: {reason}"));
                    reported.push((candidate, reason));
                }
                _ => {}
            }
            out.push_str(&format!("  {name:<11} {}  {line}\n", job_word(job)));
            name = "";
        }
    }

    fn candidate(&self, candidate: Candidate, verbose: bool, out: &mut String) {
        let of = |probe: &&Probe| probe.question.candidate == candidate;
        let probes: Vec<_> = self.found.probes.iter().filter(of).collect();
        let Some(first) = probes.first() else { return };
        let works = |job| probes.iter().copied().filter(move |p| p.question.job == job && p.verdict.works());
        let any = probes.iter().any(|probe| probe.verdict.works());
        // One line for what is not there and is not missed.
        let quiet = !any && !verbose && !is_expected(first.question.candidate.backend());
        let mut lines: Vec<String> = Vec::new();
        if !quiet {
            self.facts(candidate, &mut lines);
        }
        for job in [Job::Decode, Job::Encode] {
            let names: Vec<_> = works(job).map(|probe| probe.question.codec.name()).collect();
            if !names.is_empty() {
                let by: Vec<_> = works(job).filter_map(implementation).collect();
                let by = if by.iter().all(|name| Some(name) == by.first()) {
                    by.first().map_or_else(String::new, |name| format!(" by {name}"))
                } else {
                    String::new()
                };
                lines.push(format!("{}s {}{by}", job_word(job), names.join(" ")));
            }
            self.failures(&probes, job, verbose, &mut lines);
        }
        if verbose {
            let took: f64 = probes.iter().map(|probe| probe.took.as_secs_f64() * 1e3).sum();
            lines.push(format!("{} tries took {took:.0} ms", probes.len()));
        }
        let mark = if any { "ok" } else { "no" };
        for (place, line) in lines.iter().enumerate() {
            let (name, mark) = if place == 0 { (candidate.name(), mark) } else { ("", "") };
            out.push_str(&format!("  {name:<NAME$}{mark:<4}{line}\n"));
            if quiet {
                break;
            }
        }
    }

    /// The driver on a line, each device on one, and what is open on one.
    fn facts(&self, candidate: Candidate, lines: &mut Vec<String>) {
        let mut versions = Vec::new();
        if let Some(version) =
            self.environment.kernel_driver.as_ref().filter(|_| candidate == Candidate::Nvidia)
        {
            versions.push(format!("driver {version}"));
        }
        let mut others = Vec::new();
        for fact in self.found.facts.iter().filter(|fact| fact.about == candidate) {
            let value = &fact.value;
            match fact.name.as_str() {
                "cuda" => versions.push(format!("CUDA {value}")),
                "nvenc-api" => versions.push(format!("NVENC API {value}")),
                "decode-engines" => versions.push(format!("decode engines: {value}")),
                "encode-engines" => versions.push(format!("encode engines: {value}")),
                "sessions" => others.push(format!("sessions: {value}")),
                name if name.starts_with("device") => others.push(format!("GPU {value}")),
                _ => others.push(value.clone()),
            }
        }
        if !versions.is_empty() {
            lines.push(versions.join(", "));
        }
        lines.extend(others);
    }

    /// A line for all codecs that fail for the same reason.
    fn failures(&self, probes: &[&Probe], job: Job, verbose: bool, lines: &mut Vec<String>) {
        let mut reported: Vec<(String, Vec<Codec>)> = Vec::new();
        for probe in probes.iter().filter(|probe| probe.question.job == job) {
            let ProbeVerdict::Fails { step, failure, reason, remedy } = &probe.verdict else { continue };
            // A codec that a device does not do, and another does, is no failure of anybody's.
            let another = self.found.choice(job, probe.question.codec).0.is_some();
            if *failure == Failure::Unsupported && another && !verbose && self.backend == Backend::Auto {
                continue;
            }
            let message = format!("({step}): {}", remedy::after(reason, remedy));
            match reported.iter_mut().find(|(other, _)| *other == message) {
                Some((_, codecs)) => codecs.push(probe.question.codec),
                None => reported.push((message, vec![probe.question.codec])),
            }
        }
        let of_job = probes.iter().filter(|probe| probe.question.job == job).count();
        for (message, codecs) in reported {
            let which = if codecs.len() == of_job {
                "nothing".to_owned()
            } else {
                let names: Vec<_> = codecs.iter().map(|codec| codec.name()).collect();
                format!("not {}", names.join(" "))
            };
            lines.push(format!("{}s {which} {message}", job_word(job)));
        }
    }

    fn last_line(&self) -> String {
        let cached = self.found.probes.iter().filter(|probe| probe.cached).count();
        let tried = self.found.probes.len() - cached;
        let how = match (tried, cached) {
            (_, 0) => format!("{tried} tries, each with a picture"),
            (0, _) => {
                format!("{cached} answers found earlier since this machine was started (--fresh tries again)")
            }
            _ => format!("{tried} tries, and {cached} answers found earlier (--fresh tries all again)"),
        };
        let took = self.took.as_secs_f64();
        if self.missing.is_empty() {
            let names: Vec<_> = self.counted.iter().map(|codec| codec.name()).collect();
            let encode = if self.counted.contains(&Codec::H264) { ", encode h264" } else { "" };
            return format!("All is well: decode {}{encode}. {how}; {took:.3} s", names.join(" "));
        }
        let missing: Vec<_> =
            self.missing.iter().map(|(job, codec)| format!("{} {codec}", job_word(*job))).collect();
        format!("Not possible here: {}. {how}; {took:.3} s", missing.join(", "))
    }
}

/// Columns of the terminal; `None` where words do not go to one: those who search them want whole lines.
fn width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// A line in lines of at most so many columns, the later ones under its last column of words.
fn wrapped(line: &str, width: usize) -> String {
    /// Where the words of what was tried begin.
    const UNDER: usize = 2 + NAME + 4;
    let indent = if line.starts_with("  ") { UNDER } else { 0 };
    if line.chars().count() <= width || width < 2 * UNDER {
        return format!("{line}\n");
    }
    let mut out = String::new();
    let mut rest = line;
    let mut room = width;
    while rest.chars().count() > room {
        let end = rest.char_indices().nth(room).map_or(rest.len(), |(at, _)| at);
        let begin = rest.len() - rest.trim_start().len();
        // A word that is longer than a line stays whole.
        let cut = rest.get(..end).and_then(|part| part.rfind(' ')).filter(|at| *at > begin);
        let cut = cut.or_else(|| rest.get(end..).and_then(|part| part.find(' ')).map(|at| end + at));
        let Some(cut) = cut else { break };
        out.push_str(rest[..cut].trim_end());
        out.push_str(&format!("\n{:indent$}", ""));
        rest = rest[cut..].trim_start();
        room = width - indent;
    }
    out.push_str(rest);
    out.push('\n');
    out
}

fn implementation(probe: &Probe) -> Option<&str> {
    match &probe.verdict {
        ProbeVerdict::Works { implementation } => Some(implementation),
        ProbeVerdict::Fails { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        let line = format!(
            "  {:<NAME$}{:<4}{}",
            "nvidia",
            "no",
            "many short words follow one another here ".repeat(4).trim_end()
        );
        let out = wrapped(&line, 60);
        assert!(out.lines().count() > 2 && out.lines().all(|line| line.chars().count() <= 60), "{out}");
        assert!(out.lines().skip(1).all(|line| line.starts_with(&" ".repeat(20))), "{out}");
        let message = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(message(&out), message(&line));
        assert_eq!(wrapped("short", 60), "short\n");
        let path = format!("x {} y", "p".repeat(80));
        assert_eq!(message(&wrapped(&path, 60)), message(&path));
        assert_eq!(wrapped(&"ä".repeat(80), 60), "ä".repeat(80) + "\n");
    }
}
