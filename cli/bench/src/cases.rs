//! Which rows there are, and what makes each.

use std::path::{Path, PathBuf};

use video_hw::backend::{BackendKind, CANDIDATES};
use video_hw::codec::Codec;

use super::args::{BenchArgs, Case, PeerName, Pictures, distinct};
use super::child::Program;
use super::input::{Inputs, Source};
use super::peer::{self, Decoding, Peer};
use super::record::{Input, Row};
use crate::abilities::Abilities;
use crate::aims;

mod command;
mod row;
mod what;

use command::{extension, writes};
use what::{Asked, Combination, Variant};
pub(crate) use what::{OTHER, OWN};

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
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) row: Row,
    pub(crate) what: Combination,
    pub(crate) side: Side,
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
    /// It has no runs while others are measured again.
    pub(crate) rests: bool,
}

impl Job {
    fn without_runs(what: Combination, side: Side, row: Row) -> Self {
        Self {
            row,
            what,
            side,
            program: None,
            copies: 1,
            output: None,
            expected: 0,
            source: None,
            once: false,
            rests: false,
        }
    }
}

/// Makes the rows.
pub(crate) struct Planner<'a, 'b> {
    pub(crate) args: &'a BenchArgs,
    /// This program.
    pub(crate) own: &'a Path,
    pub(crate) abilities: &'a Abilities,
    /// The version of `--against`, and its abilities.
    pub(crate) other: Option<(&'a Path, &'a Abilities)>,
    pub(crate) peer: Result<&'a Peer, String>,
    pub(crate) inputs: &'a mut Inputs<'b>,
    pub(crate) jobs: Vec<Job>,
    /// What there is no row of, and why.
    pub(crate) notes: Vec<String>,
}

impl Planner<'_, '_> {
    pub(crate) fn plan(&mut self, cases: &[Case]) {
        let named = self.args.named_backends();
        for backend in CANDIDATES {
            if self.args.every_backend()
                && !named.contains(&backend)
                && let Some(why) = self.abilities.missing(backend)
            {
                self.note(format!("no rows of {backend}: {why}"));
            }
        }
        if let (Err(why), None, None) = (&self.peer, self.args.peer, self.other) {
            self.note(format!("no peer: {why}"));
        }
        for case in cases {
            for codec in self.codecs(*case) {
                for backend in self.backends() {
                    for pictures in self.pictures(*case, backend) {
                        self.add(Combination { case: *case, codec, backend, pictures });
                    }
                }
            }
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked { args: self.args, abilities: self.abilities, own: self.own }
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn backends(&self) -> Vec<BackendKind> {
        let mut all = self.args.named_backends();
        if self.args.every_backend() {
            all.extend(CANDIDATES.into_iter().filter(|kind| self.abilities.missing(*kind).is_none()));
        }
        distinct(&all)
    }

    fn codecs(&mut self, case: Case) -> Vec<Codec> {
        if !self.args.codec.is_empty() {
            return distinct(&self.args.codec);
        }
        let given = self.inputs.given().and_then(Result::ok).and_then(|given| given.codec);
        match given {
            Some(codec) if case.decodes() => vec![codec],
            _ => vec![Codec::H264, Codec::Hevc],
        }
    }

    fn pictures(&self, case: Case, backend: BackendKind) -> Vec<Option<Pictures>> {
        if case == Case::Decode && self.args.output.is_empty() && backend == BackendKind::Nvidia {
            return vec![None, Some(Pictures::Metadata)];
        }
        if case != Case::Decode || self.args.output.is_empty() {
            return vec![None];
        }
        distinct(&self.args.output).into_iter().map(Some).collect()
    }

    fn add(&mut self, what: Combination) {
        let job = if what.case.decodes() { "decode" } else { "encode" };
        let device = self.args.device.as_deref();
        let able = self.abilities.can(what.backend, what.codec, job, device);
        if let Err(why) = able.and_then(|()| what.has_memory()) {
            let others =
                self.other.is_some_and(|(_, one)| one.can(what.backend, what.codec, job, device).is_ok());
            if others || self.args.named_backends().contains(&what.backend) {
                self.fail_own(what, why);
            } else {
                self.note(format!("no row {}: {why}", what.own_id()));
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
                self.fail_own(what, why);
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
            ..Input::default()
        };
        Source { path: PathBuf::new(), input, codec: None, rate: self.args.paced, cut: false }
    }

    /// Our rows, each with that of the other version; whether a peer does the same.
    fn add_own(&mut self, what: Combination, source: &Source) -> bool {
        let nvenc = what.backend == BackendKind::Nvidia && !what.case.decodes() && what.case != Case::Soak;
        let several = matches!(what.case, Case::Decode | Case::Rgb) && what.backend != BackendKind::Ffmpeg;
        let variants = if nvenc {
            self.args.in_flight().into_iter().map(|in_flight| Variant { in_flight, engines: None }).collect()
        } else if several && !self.args.engines.is_empty() {
            let engines = distinct(&self.args.engines).into_iter();
            engines.map(|n| Variant { in_flight: None, engines: Some(n) }).collect()
        } else {
            vec![Variant::default()]
        };
        for variant in variants {
            let mut id = what.own_id();
            if let Some((name, value)) = variant.message() {
                id.push_str(&format!("/{name}={value}"));
            }
            let mut row = self.asked().row(what, OWN, what.backend.name(), id, &source.input);
            if let Some((name, value)) = variant.message() {
                row.settings.insert(name.to_owned(), value);
            }
            let side = if matches!(what.case, Case::Latency | Case::Switch | Case::Soak) {
                Side::Work
            } else {
                Side::Own
            };
            let mut versions = vec![(self.own, row)];
            if let (Some((other, _)), Some((_, row))) = (self.other, versions.first_mut()) {
                let id = row.id.replacen(OWN, OTHER, 1);
                row.peer = Some(id.clone());
                let row = Row { id, program: OTHER.to_owned(), peer: None, ..row.clone() };
                versions.push((other, row));
            }
            for (own, row) in versions {
                let file = format!("own-{}.{}", self.jobs.len(), extension(what));
                let out = self.inputs.dir.join(file);
                let program = Asked { own, ..self.asked() }.own(what, source, variant, &out);
                let output = writes(what).then_some(out);
                self.push(what, side, row, program, output, source);
            }
        }
        self.other.is_none() && !matches!(what.case, Case::Latency | Case::Switch | Case::Soak)
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
        row.command = program.message();
        let live = matches!(what.case, Case::Latency | Case::Switch);
        if live || !what.case.decodes() && what.case != Case::Soak && self.args.qp.is_none() {
            row.settings.insert("bitrate".to_owned(), self.asked().bits(source).to_string());
        }
        let copies = if what.case == Case::Multi { self.args.streams } else { 1 };
        if what.case == Case::Multi {
            row.input.streams = Some(copies);
        }
        let expected = if what.case == Case::Startup { 1 } else { source.input.frames };
        self.jobs.push(Job {
            program: Some(program),
            copies,
            output,
            expected,
            source: Some(source.clone()),
            once: what.case == Case::Soak,
            ..Job::without_runs(what, side, row)
        });
    }

    fn fail_own(&mut self, what: Combination, why: String) {
        let row = self.asked().row(what, OWN, what.backend.name(), what.own_id(), &Input::default());
        self.fail(what, Side::Own, row, why);
    }

    fn fail(&mut self, what: Combination, side: Side, mut row: Row, why: String) {
        row.failed = Some(why);
        self.jobs.push(Job::without_runs(what, side, row));
    }

    fn add_peer(&mut self, what: Combination, source: &Source) {
        let peer = match (&self.peer, self.args.peer) {
            (_, Some(PeerName::None)) => return,
            (Ok(peer), _) => Ok((*peer).clone()),
            (Err(_), None) => return,
            (Err(why), Some(PeerName::Ffmpeg)) => Err(why.clone()),
        };
        let own = what;
        // ffmpeg cannot decode without its pictures: its usual decode stands beside ours, as in the figures before this
        // program.
        let what = match own.pictures {
            Some(Pictures::Metadata) if self.args.output.is_empty() => Combination { pictures: None, ..own },
            Some(Pictures::Metadata) => {
                self.note(format!("no peer of {}: ffmpeg cannot decode without its pictures", own.own_id()));
                return;
            }
            _ => own,
        };
        let hardware = what.backend == BackendKind::Nvidia;
        // A card that encodes the one codec need not decode the other; then the CPU does, as for ours.
        let card_decodes = hardware && (what.case.decodes() || self.asked().decodes(what.backend, source));
        let bits = self.asked().bits(source);
        let out = self.inputs.dir.join(format!("peer-{}.{}", self.jobs.len(), extension(what)));
        let made = peer.and_then(|peer| {
            Ok(if what.case.decodes() {
                let how = Decoding {
                    hardware,
                    stays: what.pictures == Some(Pictures::Device),
                    rgb: what.case == Case::Rgb,
                    frames: (what.case == Case::Startup).then(|| "1".to_owned()),
                };
                (if hardware { "cuda" } else { "cpu" }, peer.decode(self.args, source, how), None)
            } else {
                let encoder = peer.encoder(what.codec, what.backend)?;
                let program = if what.case == Case::Encode {
                    peer.encode(self.args, source, encoder, bits, &out)
                } else {
                    peer.transcode(self.args, source, encoder, (card_decodes, bits), &out)
                };
                (encoder, program, Some(out))
            })
        });
        let (word, made) = match made {
            Ok((word, program, output)) => (word, Ok((program, output))),
            Err(why) => (what.backend.name(), Err(why)),
        };
        let id = what.id(word, "ffmpeg");
        let known = self.jobs.iter().any(|job| job.row.id == id);
        for job in
            self.jobs.iter_mut().filter(|job| made.is_ok() && job.row.program == OWN && job.what == own)
        {
            job.row.peer = Some(id.clone());
            aims::set(&mut job.row);
        }
        if known {
            return;
        }
        let mut row = self.asked().row(what, "ffmpeg", word, id, &source.input);
        if let Some(name) = peer::decoder(source, card_decodes) {
            row.settings.insert("decoder".to_owned(), name.to_owned());
        }
        match made {
            Ok((program, output)) => self.push(what, Side::Ffmpeg, row, program, output, source),
            Err(why) if self.args.peer.is_some() => self.fail(what, Side::Ffmpeg, row, why),
            Err(why) => self.note(format!("no peer of {}: {why}", what.own_id())),
        }
    }
}
