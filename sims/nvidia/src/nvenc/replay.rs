//! Sessions that are replayed. The first session with some settings and pictures codes really, and what it made of them
//! is kept; later ones, of other processes too, get that at once. A benchmark then measures its client and not the
//! software encoder, and what comes out is still the coded input.
//!
//! The settings and the first picture tell whether there is a recording, so that is decided at the first picture. From
//! then on each picture must be the recorded one: a stream of another input's pictures would look like a result.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::abi::NvStatus;
use super::coder::{Coder, Worker};
use super::configure::shape;
use super::encode::{Finished, Held};
use super::session::{Running, Session, find};
use super::{digest, replay_file};
use crate::codec::CodecError;
use crate::codec::encoder::{EncoderSpec, PictureKind};
use crate::core::{config, report};
use crate::policy;

/// What must be equal for a picture to be taken for the recorded one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Checksum of the samples that are looked at, and of the SEI messages.
    pub input: u64,
    /// Of the buffer: the same bytes are other pictures in another one.
    pub format: u32,
    /// Place in display order.
    pub display_index: u64,
    pub kind: PictureKind,
    /// Parameter sets come before it.
    pub parameter_sets: bool,
}

impl Mark {
    pub(super) fn of(held: &Held, kind: PictureKind, parameter_sets: bool) -> Self {
        let input = held.sei.iter().fold(held.checksum, |sum, (message, bytes)| {
            let sum = digest::fold(sum, &message.to_le_bytes());
            digest::fold(digest::fold(sum, &(bytes.len() as u64).to_le_bytes()), bytes)
        });
        let (format, display_index) = (held.layout.format, held.display_index);
        Self { input, format, display_index, kind, parameter_sets }
    }

    /// In what this one, which was recorded, differs from another.
    fn difference(&self, other: &Self) -> Option<String> {
        if self.kind != other.kind {
            Some(format!("it is of type {:?}, recorded was {:?}", other.kind, self.kind))
        } else if self.display_index != other.display_index {
            let (this, other) = (self.display_index, other.display_index);
            Some(format!("it is number {other} in display order, recorded was {this}"))
        } else if self.parameter_sets != other.parameter_sets {
            let with = if other.parameter_sets { "with" } else { "without" };
            Some(format!("it is asked for {with} parameter sets, other than recorded"))
        } else if self.format != other.format {
            Some(format!("its buffer has format {:#x}, recorded was {:#x}", other.format, self.format))
        } else {
            (self.input != other.input).then(|| "it is another picture than the recorded one".into())
        }
    }
}

/// A coded picture of a recording.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub mark: Mark,
    pub qp: u32,
    pub data: Arc<Vec<u8>>,
}

/// A recording that is served, in coding order.
#[derive(Debug)]
pub(super) struct Replay {
    pictures: Vec<Recorded>,
    /// Something differed: what follows would not decode to what was put in, so nothing does.
    over: bool,
}

impl Replay {
    fn new(pictures: Vec<Recorded>) -> Self {
        Self { pictures, over: false }
    }

    /// Serves nothing.
    fn nothing() -> Self {
        Self { pictures: Vec::new(), over: true }
    }

    /// The picture with this number in coding order, if it is the recorded one.
    pub(super) fn serve(&mut self, number: u64, mark: &Mark) -> Option<Finished> {
        if self.over {
            return None;
        }
        let recorded = usize::try_from(number).ok().and_then(|at| self.pictures.get(at));
        let why = match recorded.map(|recorded| (recorded, recorded.mark.difference(mark))) {
            Some((recorded, None)) => {
                return Some(Finished { data: recorded.data.clone(), qp: recorded.qp });
            }
            Some((_, Some(why))) => why,
            None => format!("the recording ends after {} pictures", self.pictures.len()),
        };
        self.fail(&format!("picture {number} (in coding order, from 0) cannot be replayed: {why}"));
        None
    }

    /// What follows is served no more.
    fn fail(&mut self, why: &str) {
        self.over = true;
        let folder = config().canned.folder.as_deref().unwrap_or(Path::new("")).display();
        give_up(&format!("{why}; the session gets no more output. Delete {folder} to record anew"));
    }
}

/// Why nothing is coded.
const ONLY: &str = "canned.replay_only forbids to code really";

/// A replay of this process has failed, or there was none where nothing else is allowed.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// Says aloud that this run proves nothing.
fn give_up(why: &str) {
    GIVEN_UP.store(true, Ordering::Release);
    eprintln!("nvsim: {why}");
    report::internal_error("replay");
}

/// Whether a new session must be refused. A client that survives the end of one opens another and would get that coded
/// really: it would end well and have measured the software encoder.
pub(super) fn refuses_sessions() -> bool {
    let refused = GIVEN_UP.load(Ordering::Acquire);
    if refused {
        eprintln!("nvsim: a replay has failed in this process: it gets no more encode sessions");
        report::internal_error("encode session after a failed replay");
    }
    refused
}

/// What a session that codes really has made so far.
#[derive(Debug)]
pub(super) struct Recording {
    key: String,
    pictures: Vec<Recorded>,
    bytes: u64,
    /// So many of the pictures are in the file.
    kept: usize,
}

impl Recording {
    /// Adds the next picture in coding order. False when that would be too much to keep.
    #[must_use]
    pub(super) fn push(&mut self, mark: Mark, finished: &Finished) -> bool {
        self.bytes += finished.data.len() as u64;
        if self.bytes > policy::RECORDING_BYTES {
            eprintln!("nvsim: a session of more than {} bytes is not recorded", policy::RECORDING_BYTES);
            return false;
        }
        self.pictures.push(Recorded { mark, qp: finished.qp, data: finished.data.clone() });
        true
    }

    /// Writes the file, if there is something new to write.
    fn keep(&mut self) {
        let Some(folder) = folder().filter(|_| self.pictures.len() > self.kept) else { return };
        if let Err(error) = replay_file::store(folder, &self.key, &self.pictures) {
            eprintln!("nvsim: what was coded cannot be kept in {}: {error}", folder.display());
        }
        self.kept = self.pictures.len();
    }
}

/// Keeps what a session coded, if the client has taken all of it.
pub(super) fn keep(running: &mut Running) {
    if let Some(recording) = running.recording.as_mut().filter(|_| running.submitted.is_empty()) {
        recording.keep();
    }
}

/// Where recordings are, if sessions are replayed.
pub(super) fn folder() -> Option<&'static Path> {
    let canned = &config().canned;
    canned.folder.as_deref().filter(|_| canned.replay)
}

/// Parameter sets of a session: kept ones, so that a process that replays opens no software encoder, or those made now.
pub(super) fn sets_or(
    spec: &EncoderSpec,
    make: impl FnOnce() -> Result<Vec<u8>, CodecError>,
) -> Result<Vec<u8>, CodecError> {
    let Some(folder) = folder() else { return make() };
    let key = format!("{spec:?}");
    if let Some(sets) = replay_file::load_sets(folder, &key) {
        return Ok(sets);
    }
    if config().canned.replay_only {
        give_up(&format!("no parameter sets are kept in {}, and {ONLY}", folder.display()));
        return Err(CodecError("only recordings may be used".into()));
    }
    let sets = make()?;
    // Without the file they are made again: that costs time and nothing else.
    let _ = replay_file::store_sets(folder, &key, &sets);
    Ok(sets)
}

/// The coder of a session that may have been recorded, and its parameter sets.
pub(super) fn open(session: &Session, spec: &EncoderSpec) -> Result<(Coder, Vec<u8>), CodecError> {
    let mut opened = None;
    let sets = sets_or(spec, || {
        let (worker, sets) = start(session, spec)?;
        opened = Some(worker);
        Ok(sets)
    })?;
    Ok((Coder::Undecided(opened), sets))
}

fn start(session: &Session, spec: &EncoderSpec) -> Result<(Worker, Vec<u8>), CodecError> {
    let this = find(session.handle).ok_or_else(|| CodecError("the session is gone".into()))?;
    Worker::start(Arc::downgrade(&this), spec.clone())
}

/// At its first picture: whether the session is replayed or recorded.
pub(super) fn decide(session: &Session, running: &mut Running, first: &Held) {
    let Coder::Undecided(worker) = &mut running.coder else { return };
    let worker = worker.take();
    let settings = &running.settings;
    let (pattern, headers) = (shape(settings), !settings.disable_headers);
    let (format, sum) = (first.layout.format, first.checksum);
    let repeated = settings.repeat_headers;
    let key = format!("{:?} {pattern:?} {headers} {repeated} {format:#x} {sum:016x}", running.spec);
    if let Some(pictures) = folder().and_then(|folder| replay_file::load(folder, &key)) {
        running.coder = Coder::Replay(Replay::new(pictures));
    } else {
        running.coder = really(session, &running.spec, worker);
        // There is nothing to keep where nothing is coded.
        running.recording = matches!(running.coder, Coder::Soft(_)).then(|| Recording {
            key,
            pictures: Vec::new(),
            bytes: 0,
            kept: 0,
        });
    }
}

/// A coder that codes.
fn really(session: &Session, spec: &EncoderSpec, worker: Option<Worker>) -> Coder {
    // One that was opened before another one's replay failed, too.
    if GIVEN_UP.load(Ordering::Acquire) {
        return Coder::Replay(Replay::nothing());
    }
    if config().canned.replay_only {
        let folder = folder().unwrap_or(Path::new("")).display();
        give_up(&format!("there is no recording in {folder} of what a session is to code, and {ONLY}"));
        return Coder::Replay(Replay::nothing());
    }
    match worker.map_or_else(|| start(session, spec).map(|(worker, _)| worker), Ok) {
        Ok(worker) => Coder::Soft(worker),
        Err(error) => {
            eprintln!("nvsim: the software encoder does not open: {error}");
            report::internal_error("software encoder");
            Coder::Replay(Replay::nothing())
        }
    }
}

/// The settings are about to change, which recordings know nothing of: such a session is not kept, and one that is being
/// replayed cannot go on.
pub(super) fn reconfigured(session: &Session, running: &mut Running) -> Result<(), NvStatus> {
    running.recording = None;
    match &mut running.coder {
        Coder::Undecided(worker) => {
            let worker = worker.take();
            running.coder = really(session, &running.spec, worker);
            Ok(())
        }
        Coder::Replay(replay) => {
            if !replay.over {
                replay.fail("a session that is being replayed is reconfigured, which was not recorded");
            }
            Err(NvStatus::GENERIC)
        }
        Coder::Soft(_) | Coder::Canned { .. } => Ok(()),
    }
}
