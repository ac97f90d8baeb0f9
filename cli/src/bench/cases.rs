//! Which rows there are, and the command line of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use video_hw::backend::{BackendKind, CANDIDATES};
use video_hw::codec::Codec;
use video_hw::config::Engines;

use super::args::{BenchArgs, Case, PeerName};
use super::child::Program;
use super::input::{Inputs, Source};
use super::peer::{self, Peer};
use super::record::{Input, Row};

/// The name of our own program in a record.
pub(crate) const OWN: &str = "video-hw";

/// Who tells the figures of a run, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// `--json` of this program.
    Own,
    /// The same of its hidden command, which does what no other command does.
    Work,
    /// `-progress` of ffmpeg.
    Ffmpeg,
}

/// A row with what makes its runs.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) row: Row,
    pub(crate) case: Case,
    pub(crate) codec: Codec,
    pub(crate) side: Side,
    pub(crate) backend: BackendKind,
    /// `None` where the row has failed before it began.
    pub(crate) program: Option<Program>,
    /// Processes at once.
    pub(crate) copies: u32,
    /// Where its output lies after a run.
    pub(crate) output: Option<PathBuf>,
    /// Of each process.
    pub(crate) expected: u64,
    pub(crate) source: Option<Source>,
    /// Not repeated.
    pub(crate) once: bool,
}

/// What the backends of this machine can do, as `devices --json` tells it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abilities(Value);

impl Abilities {
    pub(crate) fn new(said: Value) -> Self {
        Self(said)
    }

    fn of(&self, backend: BackendKind) -> Option<&Value> {
        self.0["backends"].as_array()?.iter().find(|one| one["name"] == backend.name())
    }

    /// Why a backend is not there.
    pub(crate) fn missing(&self, backend: BackendKind) -> Option<String> {
        let Some(known) = self.of(backend) else { return Some("it is not known to this program".to_owned()) };
        if known["available"] == true {
            return None;
        }
        let text = |key: &str| known[key].as_str().map(str::to_owned);
        let reason = text("reason").unwrap_or_else(|| "it is not available".to_owned());
        Some(text("remedy").map_or(reason.clone(), |remedy| format!("{reason}. {remedy}")))
    }

    /// Cards, with their memory.
    pub(crate) fn devices(&self) -> impl Iterator<Item = (BackendKind, &Value)> {
        CANDIDATES.into_iter().flat_map(|kind| {
            let devices = self.of(kind).and_then(|known| known["devices"].as_array());
            devices.into_iter().flatten().map(move |device| (kind, device))
        })
    }

    /// The number of a device that is named by its identifier, or by its number.
    pub(crate) fn ordinal(&self, backend: BackendKind, device: &str) -> String {
        let mut devices = self.devices().filter(|(kind, _)| *kind == backend);
        let named = devices.find(|(_, one)| one["id"] == device).and_then(|(_, one)| one["ordinal"].as_u64());
        named.map_or_else(|| device.to_owned(), |n| n.to_string())
    }

    /// # Errors
    /// Why it cannot.
    fn can(&self, backend: BackendKind, codec: Codec, job: &str, device: Option<&str>) -> Result<(), String> {
        if let Some(why) = self.missing(backend) {
            return Err(why);
        }
        let Some(known) = self.of(backend) else { return Err("it is not there".to_owned()) };
        let devices = known["devices"].as_array().map(Vec::as_slice).unwrap_or_default();
        let asked = |one: &&Value| match device {
            Some(device) => {
                one["id"] == device || one["ordinal"].as_u64().is_some_and(|n| device.parse() == Ok(n))
            }
            None => true,
        };
        let holder = devices.iter().find(asked).unwrap_or(known);
        let reports = holder["codecs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let report = reports.iter().find(|report| report["codec"] == codec.name());
        if report.is_some_and(|report| !report[job].is_null()) {
            return Ok(());
        }
        let reason = holder["no_encoder"].as_str().filter(|_| job == "encode");
        Err(reason.map_or_else(|| format!("it does not {job} {codec} here"), str::to_owned))
    }
}

/// Makes the rows.
pub(crate) struct Planner<'a, 'b> {
    pub(crate) args: &'a BenchArgs,
    pub(crate) abilities: &'a Abilities,
    pub(crate) peer: Result<&'a Peer, String>,
    pub(crate) inputs: &'a mut Inputs<'b>,
    pub(crate) jobs: Vec<Job>,
    /// What there is no row of, and why.
    pub(crate) notes: Vec<String>,
}

/// One combination that rows are made of.
#[derive(Clone, Copy)]
struct Combination {
    case: Case,
    codec: Codec,
    backend: BackendKind,
}

/// What makes several rows of one combination.
#[derive(Clone, Copy, Debug, Default)]
struct Variant {
    in_flight: Option<u8>,
    engines: Option<Engines>,
}

impl Variant {
    /// Its name and value, as ids and settings have them.
    fn words(self) -> Option<(&'static str, String)> {
        let in_flight = self.in_flight.map(|n| ("in-flight", n.to_string()));
        in_flight.or_else(|| self.engines.map(|engines| ("engines", engines_word(engines))))
    }
}

fn engines_word(engines: Engines) -> String {
    match engines {
        Engines::One => "1".to_owned(),
        Engines::Auto => "auto".to_owned(),
        Engines::Count(count) => count.to_string(),
    }
}

/// What the time of a process on the GPU should not exceed, as a part of ffmpeg's on the same one. Decoding: the best that was
/// reached before this program is 0.62. Else the same engine works for both, and whatever is above it is the program's own.
const fn aim(case: Case) -> f64 {
    match case {
        Case::Decode => 0.62,
        _ => 1.0,
    }
}

impl Combination {
    fn id(self, program: &str) -> String {
        format!("{}/{}/{}/{program}", self.case.name(), self.codec.name(), self.backend.name())
    }
}

impl Planner<'_, '_> {
    pub(crate) fn plan(&mut self, cases: &[Case]) {
        for backend in CANDIDATES {
            if self.args.backend.is_empty()
                && let Some(why) = self.abilities.missing(backend)
            {
                self.note(format!("no rows of {backend}: {why}"));
            }
        }
        if let (Err(why), None) = (&self.peer, self.args.peer) {
            self.note(format!("no peer: {why}"));
        }
        for case in cases {
            for codec in self.codecs(*case) {
                for backend in self.backends() {
                    self.add(Combination { case: *case, codec, backend });
                }
            }
        }
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn backends(&self) -> Vec<BackendKind> {
        if !self.args.backend.is_empty() {
            let mut seen = Vec::new();
            self.args.backend.iter().for_each(|kind| {
                if !seen.contains(kind) {
                    seen.push(*kind);
                }
            });
            return seen;
        }
        CANDIDATES.into_iter().filter(|kind| self.abilities.missing(*kind).is_none()).collect()
    }

    fn codecs(&mut self, case: Case) -> Vec<Codec> {
        if !self.args.codec.is_empty() {
            let mut seen = Vec::new();
            self.args.codec.iter().for_each(|codec| {
                if !seen.contains(codec) {
                    seen.push(*codec);
                }
            });
            return seen;
        }
        let given = self.inputs.given().and_then(Result::ok).and_then(|given| given.codec);
        match given {
            Some(codec) if case.decodes() => vec![codec],
            _ => vec![Codec::H264, Codec::Hevc],
        }
    }

    fn add(&mut self, what: Combination) {
        let job = if what.case.decodes() { "decode" } else { "encode" };
        if let Err(why) = self.abilities.can(what.backend, what.codec, job, self.args.device.as_deref()) {
            if self.args.backend.contains(&what.backend) {
                let row = self.row(what, OWN, what.backend.name(), what.id(OWN), &Input::default());
                self.fail(what, Side::Own, row, why);
            } else {
                self.note(format!("no row {}: {why}", what.id(OWN)));
            }
            return;
        }
        let source = match what.case {
            Case::Encode | Case::Latency | Case::Switch => self.inputs.raw(),
            Case::Transcode => match self.inputs.given() {
                Some(Ok(given)) if given.codec.is_some() => Ok(given),
                Some(Err(why)) => Err(why),
                _ => self.inputs.coded(Codec::H264),
            },
            Case::Soak => Ok(self.made_in_memory()),
            _ => self.inputs.coded(what.codec),
        };
        let source = match source {
            Ok(source) => source,
            Err(why) => {
                let row = self.row(what, OWN, what.backend.name(), what.id(OWN), &Input::default());
                self.fail(what, Side::Own, row, why);
                return;
            }
        };
        let peer = self.add_own(what, &source);
        if peer {
            self.add_peer(what, &source);
        }
    }

    /// What `soak` shows in turn.
    fn made_in_memory(&self) -> Source {
        let size = self.args.size.map_or((1920, 1080), |size| (size.width(), size.height()));
        let input = Input {
            name: "made: stripes that move".to_owned(),
            width: size.0,
            height: size.1,
            pixel_format: Some("nv12".to_owned()),
            ..Input::default()
        };
        Source { path: PathBuf::new(), input, codec: None, rate: self.args.paced, cut: false }
    }

    /// Our rows; whether a peer does the same.
    fn add_own(&mut self, what: Combination, source: &Source) -> bool {
        let nvenc = what.backend == BackendKind::Nvidia && !what.case.decodes() && what.case != Case::Soak;
        let several = matches!(what.case, Case::Decode | Case::Rgb) && what.backend != BackendKind::Ffmpeg;
        let variants = if nvenc {
            self.args.in_flight().into_iter().map(|in_flight| Variant { in_flight, engines: None }).collect()
        } else if several && !self.args.engines.is_empty() {
            self.args.engines.iter().map(|n| Variant { in_flight: None, engines: Some(*n) }).collect()
        } else {
            vec![Variant::default()]
        };
        for variant in variants {
            let mut id = what.id(OWN);
            if let Some((name, value)) = variant.words() {
                id.push_str(&format!("/{name}={value}"));
            }
            let mut row = self.row(what, OWN, what.backend.name(), id, &source.input);
            if let Some((name, value)) = variant.words() {
                row.settings.insert(name.to_owned(), value);
            }
            let file = format!("own-{}.{}", self.jobs.len(), extension(what));
            let out = self.inputs.dir.join(file);
            let program = self.own(what, source, variant, &out);
            let side = if matches!(what.case, Case::Latency | Case::Switch | Case::Soak) {
                Side::Work
            } else {
                Side::Own
            };
            let output = writes(what).then_some(out);
            self.push(what, side, row, program, output, source);
        }
        !matches!(what.case, Case::Latency | Case::Switch | Case::Soak)
    }

    fn push(
        &mut self,
        what: Combination,
        side: Side,
        mut row: Row,
        program: Program,
        output: Option<PathBuf>,
        source: &Source,
    ) {
        row.command = program.words();
        let live = matches!(what.case, Case::Latency | Case::Switch);
        if live || !what.case.decodes() && what.case != Case::Soak && self.args.qp.is_none() {
            row.settings.insert("bitrate".to_owned(), self.bits(source).to_string());
        }
        let copies = if what.case == Case::Multi { self.args.streams } else { 1 };
        if what.case == Case::Multi {
            row.input.streams = Some(copies);
        }
        let expected = if what.case == Case::Startup { 1 } else { source.input.frames };
        self.jobs.push(Job {
            row,
            case: what.case,
            codec: what.codec,
            side,
            backend: what.backend,
            program: Some(program),
            copies,
            output,
            expected,
            source: Some(source.clone()),
            once: what.case == Case::Soak,
        });
    }

    fn fail(&mut self, what: Combination, side: Side, mut row: Row, why: String) {
        row.failed = Some(why);
        self.jobs.push(Job {
            row,
            case: what.case,
            codec: what.codec,
            side,
            backend: what.backend,
            program: None,
            copies: 1,
            output: None,
            expected: 0,
            source: None,
            once: false,
        });
    }

    fn add_peer(&mut self, what: Combination, source: &Source) {
        let peer = match (&self.peer, self.args.peer) {
            (_, Some(PeerName::None)) => return,
            (Ok(peer), _) => Ok((*peer).clone()),
            (Err(_), None) => return,
            (Err(why), Some(PeerName::Ffmpeg)) => Err(why.clone()),
        };
        let hardware = what.backend == BackendKind::Nvidia;
        let bits = self.bits(source);
        let out = self.inputs.dir.join(format!("peer-{}.{}", self.jobs.len(), extension(what)));
        let made = peer.and_then(|peer| {
            Ok(if what.case.decodes() {
                let one = (what.case == Case::Startup).then(|| "1".to_owned());
                let rgb = what.case == Case::Rgb;
                let word = if hardware { "cuda" } else { "cpu" };
                (word, peer.decode(self.args, source, hardware, rgb, one), None)
            } else {
                let encoder = peer.encoder(what.codec, what.backend)?;
                let program = if what.case == Case::Encode {
                    peer.encode(self.args, source, encoder, bits, &out)
                } else {
                    peer.transcode(self.args, source, encoder, (hardware, bits), &out)
                };
                (encoder, program, Some(out))
            })
        });
        let (word, made) = match made {
            Ok((word, program, output)) => (word, Ok((program, output))),
            Err(why) => (what.backend.name(), Err(why)),
        };
        let id = format!("{}/{}/{word}/ffmpeg", what.case.name(), what.codec.name());
        let known = self.jobs.iter().any(|job| job.row.id == id);
        for job in self.jobs.iter_mut().filter(|job| job.row.program == OWN) {
            let same = job.case == what.case && job.codec == what.codec && job.backend == what.backend;
            if same && made.is_ok() {
                job.row.peer = Some(id.clone());
                job.row.aim = hardware.then(|| aim(what.case));
            }
        }
        if known {
            return;
        }
        let row = self.row(what, "ffmpeg", word, id, &source.input);
        match made {
            Ok((program, output)) => self.push(what, Side::Ffmpeg, row, program, output, source),
            Err(why) if self.args.peer.is_some() => self.fail(what, Side::Ffmpeg, row, why),
            Err(why) => self.note(format!("no peer of {}: {why}", what.id(OWN))),
        }
    }

    fn row(&self, what: Combination, program: &str, backend: &str, id: String, input: &Input) -> Row {
        Row {
            id,
            case: what.case.name().to_owned(),
            codec: what.codec.name().to_owned(),
            backend: backend.to_owned(),
            program: program.to_owned(),
            peer: None,
            aim: None,
            settings: self.settings(what),
            command: Vec::new(),
            input: input.clone(),
            runs: Vec::new(),
            verify: None,
            failed: None,
            judged: Vec::new(),
        }
    }

    fn settings(&self, what: Combination) -> BTreeMap<String, String> {
        let args = self.args;
        let mut all = BTreeMap::new();
        let mut add = |name: &str, value: String| drop(all.insert(name.to_owned(), value));
        if let Some(threads) = args.threads {
            add("threads", threads.to_string());
        }
        if let Some(device) = &args.device {
            add("device", device.clone());
        }
        for (name, value) in &args.env {
            add(
                name,
                Path::new(value)
                    .file_name()
                    .map_or(value.clone(), |name| name.to_string_lossy().into_owned()),
            );
        }
        if what.case == Case::Multi || what.case == Case::Soak {
            add("streams", args.streams.to_string());
        }
        if what.case.decodes() || what.case == Case::Soak {
            return all;
        }
        add("gop", args.gop_length.to_string());
        if what.backend == BackendKind::Nvidia {
            add("preset", args.preset.clone());
        }
        // Live streams have a bit rate and no B frames, whatever is asked of files.
        if matches!(what.case, Case::Latency | Case::Switch) {
            return all;
        }
        add("b-frames", args.b_frames().to_string());
        if let Some(qp) = args.qp {
            add("qp", qp.to_string());
        }
        if let Some(preset) = args.encoder_preset.as_ref().filter(|_| what.backend != BackendKind::Nvidia) {
            add("encoder-preset", preset.clone());
        }
        if what.case == Case::Encode {
            add("pix-fmt", args.pix_fmt.name().to_owned());
            if args.equal_raw() {
                add("equal-raw-input", "yes".to_owned());
            }
        }
        all
    }

    fn bits(&self, source: &Source) -> u32 {
        self.args.bitrate.unwrap_or_else(|| source.bit_rate())
    }

    /// The command line of ours.
    fn own(&self, what: Combination, source: &Source, variant: Variant, out: &Path) -> Program {
        let args = self.args;
        let Variant { in_flight, engines } = variant;
        let program = Program::new(&self.inputs.own, &args.env);
        let threads = args.threads.map(|n| n.to_string());
        let of_job = |program: Program| {
            program
                .option("--device", args.device.clone())
                .option("--threads", threads.clone())
                .args(["--json", "--quiet"])
        };
        let backend = what.backend.name();
        match what.case {
            Case::Decode | Case::Rgb | Case::Multi | Case::Startup => {
                let program =
                    program.arg("decode").arg(&source.path).arg("--null").args(["--backend", backend]);
                let program =
                    if what.case == Case::Rgb { program.args(["--output", "rgb"]) } else { program };
                let program = program.option("--engines", engines.map(engines_word));
                let one = (what.case == Case::Startup).then(|| "1".to_owned());
                of_job(program.option("--frames", one.or(source.limit())))
            }
            Case::Encode => {
                let program = program.arg("encode").arg(&source.path).arg(out).arg("--overwrite");
                let program = program.args(["--size", &source.size(), "--pix-fmt", args.pix_fmt.name()]);
                let program = program.arg("--fps").arg(source.rate.to_string()).args(["--backend", backend]);
                of_job(self.own_encoding(program, what, source, in_flight))
            }
            Case::Transcode => {
                let program =
                    program.arg("transcode").arg(&source.path).arg(out).args(["--overwrite", "--no-copy"]);
                let mut program = program.args(["--encoder-backend", backend]);
                let decodes = source.codec.is_some_and(|codec| {
                    self.abilities.can(what.backend, codec, "decode", args.device.as_deref()).is_ok()
                });
                if decodes {
                    program = program.args(["--decoder-backend", backend]);
                }
                of_job(self.own_encoding(program, what, source, in_flight))
            }
            Case::Latency | Case::Switch | Case::Soak => {
                let program = program.args(["bench-work", what.case.name(), "--backend", backend]);
                let program = program.args(["--codec", what.codec.name(), "--size", &source.size()]);
                let program =
                    program.arg("--fps").arg(source.rate.to_string()).option("--device", args.device.clone());
                if what.case == Case::Soak {
                    let minutes = args.minutes.unwrap_or(10.0).to_string();
                    return program.args(["--streams", &args.streams.to_string(), "--minutes", &minutes]);
                }
                let program =
                    program.arg("--input").arg(&source.path).args(["--pix-fmt", args.pix_fmt.name()]);
                let program = program.args(["--frames", &source.input.frames.to_string()]);
                let program = program.args(["--gop", &args.gop_length.to_string()]);
                let program = program.arg("--bitrate").arg(self.bits(source).to_string());
                let program = program.option("--max-in-flight", in_flight.map(|n| n.to_string()));
                let nvidia = what.backend == BackendKind::Nvidia;
                let program = program.option("--preset", nvidia.then(|| args.preset.clone()));
                if writes(what) { program.arg("--output").arg(out) } else { program }
            }
        }
    }

    fn own_encoding(
        &self,
        program: Program,
        what: Combination,
        source: &Source,
        in_flight: Option<u8>,
    ) -> Program {
        let args = self.args;
        let program = program.args(["--codec", what.codec.name(), "--gop", &args.gop_length.to_string()]);
        let program = program.args(["--bframes", &args.b_frames().to_string()]);
        let program = program.option("--frames", source.limit());
        let bits = self.bits(source).to_string();
        let program = match args.qp {
            Some(qp) => program.arg("--qp").arg(qp.to_string()),
            None => program.args(["--bitrate", &bits]),
        };
        match what.backend {
            BackendKind::Nvidia => {
                let program = if args.qp.is_none() { program.arg("--cbr") } else { program };
                let program = program.args(["--preset", &args.preset, "--tune", "hq"]);
                program.option("--max-in-flight", in_flight.map(|n| n.to_string()))
            }
            BackendKind::Ffmpeg => {
                let encoder = match what.codec {
                    Codec::Hevc => "libx265",
                    Codec::Av1 => "libsvtav1",
                    _ => "libx264",
                };
                program.args(["--encoder", encoder, "--encoder-preset", peer::preset(args, encoder)])
            }
            _ => program,
        }
    }
}

/// Whether there is an output to look at. The packets of a switch are written one behind another, which is a file for the
/// codecs that have start codes.
fn writes(what: Combination) -> bool {
    match what.case {
        Case::Encode | Case::Transcode => true,
        Case::Switch => matches!(what.codec, Codec::H264 | Codec::Hevc),
        _ => false,
    }
}

fn extension(what: Combination) -> &'static str {
    match (what.case, what.codec) {
        (Case::Switch, Codec::Hevc) => "h265",
        (Case::Switch, _) => "h264",
        _ => "mp4",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_by_their_identifiers() {
        let devices = serde_json::json!([{"id": "GPU-a", "ordinal": 0}, {"id": "GPU-b", "ordinal": 3}]);
        let said =
            serde_json::json!({"backends": [{"name": "nvidia", "available": true, "devices": devices}]});
        let abilities = Abilities::new(said);
        let ordinal = |device| abilities.ordinal(BackendKind::Nvidia, device);
        assert_eq!(
            (ordinal("GPU-b").as_str(), ordinal("3").as_str(), ordinal("GPU-c").as_str()),
            ("3", "3", "GPU-c")
        );
    }
}
