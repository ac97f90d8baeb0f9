//! `doctor`: what decodes and encodes here, found out by trying, and what to do about the rest.

mod args;
mod human;

use std::ffi::OsString;
use std::io::stdout;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use video_hw::backend::{Backend, BackendKind, Job};
use video_hw::codec::Codec;
use video_hw::probing::{
    self, Cache, Candidate, ChildProber, Environment, Findings, Hint, Identity, Probe, ProbeVerdict, Question,
};
use video_hw::{Error, Result};
use video_hw_terminal::text;

#[cfg(test)]
pub(crate) use args::EXAMPLES;
pub(crate) use args::{DoctorArgs, ProbeChildArgs};

use crate::exit::Exit;
use crate::{json, remedy};

/// The hidden command of the processes that try things out.
const CHILD: &str = "probe-child";

/// What every machine has to decode with this program, and so what counts when nothing is asked for.
const EVERYWHERE: [Codec; 5] = [Codec::H264, Codec::Hevc, Codec::Av1, Codec::Vp9, Codec::Vp8];

/// Variables that answers depend on.
const VARIABLES: [&str; 15] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "LIBVA_DRIVER_NAME",
    "LIBVA_DRIVERS_PATH",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    // Of the simulated driver.
    "NVSIM_PROFILE",
    "NVSIM_CONFIG",
    "NVSIM_SET",
    "NVSIM_STRICT",
];

/// A finished examination.
struct Report {
    codecs: Vec<Codec>,
    /// Those that the exit code depends on.
    counted: Vec<Codec>,
    backend: Backend,
    found: Findings,
    environment: Environment,
    hints: Vec<Hint>,
    /// Where answers are kept.
    cache: Option<PathBuf>,
    took: Duration,
    /// What cannot be done of what was asked for.
    missing: Vec<(Job, Codec)>,
}

pub(crate) fn run(args: &DoctorArgs) -> Result<Exit> {
    let report = examine(args)?;
    let exit = if report.missing.is_empty() { Exit::Done } else { Exit::Unsupported };
    let out = if args.json { format!("{:#}", report.json(exit)) } else { report.human(args.verbose) };
    text::to_stdout(&out)?;
    Ok(exit)
}

/// The side of a process that tries things out.
pub(crate) fn run_child(args: &ProbeChildArgs) -> Result<Exit> {
    probing::serve(&args.questions, stdout().lock())?;
    Ok(Exit::Done)
}

fn examine(args: &DoctorArgs) -> Result<Report> {
    let begun = Instant::now();
    let asked = codecs(args)?;
    let backend = args.backend.unwrap_or_default();
    let shown = if asked.is_empty() { Question::DECODED.to_vec() } else { asked.clone() };
    let questions = questions(&shown, backend)?;
    let program = std::env::current_exe().map_err(|error| Error::io("find", "the program itself", error))?;
    let prober = ChildProber::new(&program, [CHILD]);
    let prober = match args.timeout {
        Some(limit) => prober.limit(limit),
        None => prober,
    };
    let environment: Vec<(String, OsString)> =
        VARIABLES.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?))).collect();
    let cache = cache_path().map(Cache::at);
    let identity = Identity::here(&environment, &[program]);
    let memory = cache.as_ref().zip(identity.as_ref());
    let found = probing::find_out(&questions, |rest| prober.ask(rest), memory, args.fresh);
    let environment = Environment::look();
    let variable = |name: &str| std::env::var(name).ok();
    let (capabilities, visible) = (variable("NVIDIA_DRIVER_CAPABILITIES"), variable("CUDA_VISIBLE_DEVICES"));
    let hints = environment.hints(&found, capabilities.as_deref(), visible.as_deref());
    let counted = if asked.is_empty() { EVERYWHERE.to_vec() } else { asked };
    let mut missing: Vec<_> = counted.iter().map(|codec| (Job::Decode, *codec)).collect();
    missing.extend(counted.contains(&Codec::H264).then_some((Job::Encode, Codec::H264)));
    missing.retain(|(job, codec)| found.choice(*job, *codec).0.is_none());
    Ok(Report {
        codecs: shown,
        counted,
        backend,
        found,
        environment,
        hints,
        cache: cache.map(|cache| cache.path().to_owned()),
        took: begun.elapsed(),
        missing,
    })
}

/// The codecs of the command line, each once.
fn codecs(args: &DoctorArgs) -> Result<Vec<Codec>> {
    let mut codecs = Vec::new();
    for codec in &args.codec {
        if !Question::DECODED.contains(codec) {
            return Err(Error::Unsupported {
                feature: format!("trying out {codec}: this program has no stream of it"),
                remedy: "`video-hw devices` tells what drivers say of it".into(),
            });
        }
        if !codecs.contains(codec) {
            codecs.push(*codec);
        }
    }
    Ok(codecs)
}

fn questions(codecs: &[Codec], backend: Backend) -> Result<Vec<Question>> {
    let Backend::Only(kind) = backend else { return Ok(Question::all(codecs)) };
    let of_backend = |question: &Question| question.candidate.backend() == kind;
    let questions: Vec<_> = Question::all(codecs).into_iter().filter(of_backend).collect();
    if questions.is_empty() {
        // Its own words for why there is nothing to ask.
        video_hw::backend::devices(kind)?;
        return Err(Error::invalid(format!("backend {kind} has nothing to be tried")));
    }
    Ok(questions)
}

/// `$XDG_CACHE_HOME/video-hw/probes`; without the variable below `~/.cache`, on Windows below `%LOCALAPPDATA%`. A relative
/// path there is to be ignored.
fn cache_path() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let usual =
        || if cfg!(windows) { absolute("LOCALAPPDATA") } else { Some(absolute("HOME")?.join(".cache")) };
    let folder = absolute("XDG_CACHE_HOME").or_else(usual);
    Some(folder?.join("video-hw").join("probes"))
}

impl Report {
    fn json(&self, exit: Exit) -> Value {
        let choice = |job, codec| choice_json(&self.found, job, codec);
        let of_backend = |candidate: Candidate| {
            let probes: Vec<_> =
                self.found.probes.iter().filter(|probe| probe.question.candidate == candidate).collect();
            let facts: serde_json::Map<String, Value> = self
                .found
                .facts
                .iter()
                .filter(|fact| fact.about == candidate)
                .map(|fact| (fact.name.clone(), json!(fact.value)))
                .collect();
            let hints: Vec<_> =
                self.hints.iter().filter(|hint| hint.about == candidate).map(|hint| &hint.message).collect();
            (!probes.is_empty()).then(|| {
                json!({
                    "candidate": candidate.name(),
                    "backend": candidate.backend().name(),
                    "works": probes.iter().any(|probe| probe.verdict.works()),
                    "facts": facts,
                    "hints": hints,
                    "probes": probes.into_iter().map(probe_json).collect::<Vec<_>>(),
                })
            })
        };
        let here = &self.environment;
        json!({
            "command": "doctor",
            "ok": self.missing.is_empty(),
            "backend": match self.backend { Backend::Auto => "auto", Backend::Only(kind) => kind.name() },
            "missing": self.missing.iter().map(|(job, codec)| json!({ "job": job_word(*job), "codec": codec.name() })).collect::<Vec<_>>(),
            "codecs": self.codecs.iter().map(|codec| json!({
                "codec": codec.name(),
                "decode": choice(Job::Decode, *codec),
                "encode": if Question::ENCODED.contains(codec) { choice(Job::Encode, *codec) } else { Value::Null },
            })).collect::<Vec<_>>(),
            "candidates": Candidate::ORDER.into_iter().filter_map(of_backend).collect::<Vec<_>>(),
            "surroundings": {
                "container": here.container,
                "wsl": here.wsl,
                "nvidia_kernel_driver": here.kernel_driver,
                "nvidia_nodes": here.nvidia_nodes,
                "render_nodes": here.render_nodes,
                "render_nodes_locked": here.render_locked.iter().map(|(path, group)| json!({ "path": path, "group": group })).collect::<Vec<_>>(),
            },
            "cache": self.cache,
            "cached": self.found.probes.iter().filter(|probe| probe.cached).count(),
            "probed": self.found.probes.iter().filter(|probe| !probe.cached).count(),
            "took_s": json::seconds(self.took),
            "exit_code": exit.code(),
        })
    }
}

const fn job_word(job: Job) -> &'static str {
    match job {
        Job::Decode => "decode",
        Job::Encode => "encode",
    }
}

/// What `--backend auto` takes for a job, and why not those before it.
fn choice_json(found: &Findings, job: Job, codec: Codec) -> Value {
    let (chosen, refused) = found.choice(job, codec);
    let refused: Vec<_> = refused.into_iter().map(probe_json).collect();
    match chosen {
        Some(Probe { question, verdict: ProbeVerdict::Works { implementation }, .. }) => json!({
            "backend": question.candidate.backend().name(),
            "candidate": question.candidate.name(),
            "implementation": implementation,
            "refused": refused,
        }),
        _ => json!({ "backend": null, "candidate": null, "implementation": null, "refused": refused }),
    }
}

fn probe_json(probe: &Probe) -> Value {
    let mut value = json!({
        "candidate": probe.question.candidate.name(),
        "job": job_word(probe.question.job),
        "codec": probe.question.codec.name(),
        "works": probe.verdict.works(),
    });
    match &probe.verdict {
        ProbeVerdict::Works { implementation } => value["implementation"] = json!(implementation),
        ProbeVerdict::Fails { step, failure, reason, remedy } => {
            value["step"] = json!(step.name());
            value["kind"] = json!(failure.name());
            value["reason"] = json!(reason);
            value["remedy"] = json!(remedy::sentence(remedy));
        }
    }
    value["took_s"] = json::seconds(probe.took);
    value["cached"] = json!(probe.cached);
    value
}

/// Whether a backend is hardware that somebody may expect to find.
const fn is_expected(kind: BackendKind) -> bool {
    matches!(kind, BackendKind::Nvidia | BackendKind::Software)
}
