//! Who turns pictures into bytes: a thread with a software encoder, or a GOP made in advance.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;

use super::canned_file;
use super::encode::Finished;
use super::input::{Planes, Target};
use super::plan::{Force, Pattern, Planner};
use super::replay::{self, Replay};
use super::session::{Session, lock};
use crate::codec::CodecError;
use crate::codec::encoder::{EncoderSpec, PictureIn, PictureKind, Reopened, SoftEncoder};
use crate::core::{config, guarded, report};
use crate::policy;

/// One picture to code.
#[derive(Debug)]
pub(super) struct Job {
    pub number: u64,
    pub planes: Planes,
    pub kind: PictureKind,
    pub display_index: u64,
    pub parameter_sets: bool,
    pub sei: Vec<(u32, Vec<u8>)>,
    pub corrupt: bool,
    pub spec: Arc<EncoderSpec>,
}

/// The way a session codes.
#[derive(Debug)]
pub(super) enum Coder {
    /// On a thread of its own.
    Soft(Worker),
    /// From the list, in coding order; an IDR picture begins it anew.
    Canned {
        /// The list.
        pictures: Arc<Vec<Canned>>,
        /// Next to serve.
        next: usize,
    },
    /// Before the first picture where sessions are replayed: it tells whether there is a recording. The thread is there
    /// where the parameter sets had to be asked of it.
    Undecided(Option<Worker>),
    /// From a recording.
    Replay(Replay),
}

/// A picture made in advance.
#[derive(Debug)]
pub(super) struct Canned {
    pub data: Vec<u8>,
    pub qp: u32,
}

/// The coding thread.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread and waits for its encoder to open; answers the parameter sets.
    pub(super) fn start(session: Weak<Session>, spec: EncoderSpec) -> Result<(Self, Vec<u8>), CodecError> {
        let (jobs, inbox) = channel();
        let (opened, outcome) = channel();
        let thread = std::thread::Builder::new()
            .name("nvsim encode".into())
            .spawn(move || {
                guarded("software encoder", || match SoftEncoder::open(&spec) {
                    Ok(encoder) => {
                        let _ = opened.send(Ok(encoder.parameter_sets()));
                        work(encoder, spec, &inbox, &session);
                    }
                    Err(error) => {
                        let _ = opened.send(Err(error));
                    }
                });
            })
            .map_err(|error| CodecError(error.to_string()))?;
        let headers = outcome.recv().map_err(|_| CodecError("the encoder died".into()))??;
        Ok((Self { jobs: Some(jobs), thread: Some(thread) }, headers))
    }

    /// Hands a picture over.
    pub(super) fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // A dead worker leaves its pictures without result; the lock of their outputs answers GENERIC.
            let _ = jobs.send(job);
        }
    }

    /// True when the thread has ended before its time.
    pub(super) fn dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn work(mut encoder: SoftEncoder, spec: EncoderSpec, inbox: &Receiver<Job>, session: &Weak<Session>) {
    let mut current = Arc::new(spec);
    // Pictures are coded out of display order, so one submitted before a reconfiguration may come after one
    // submitted behind it; the settings only ever move forward.
    let mut retired: Vec<Arc<EncoderSpec>> = Vec::new();
    for job in inbox {
        let Some(alive) = session.upgrade() else { return };
        if alive.state().closed {
            continue;
        }
        let is_new =
            !Arc::ptr_eq(&job.spec, &current) && !retired.iter().any(|old| Arc::ptr_eq(old, &job.spec));
        let change = is_new && *job.spec != *current;
        let result = if change { encoder.reconfigure(&job.spec) } else { Ok(Reopened(false)) };
        if is_new {
            retired.push(std::mem::replace(&mut current, job.spec.clone()));
            if retired.len() > 64 {
                retired.remove(0);
            }
        }
        let mut kind = job.kind;
        let result = result.and_then(|Reopened(anew)| {
            // The change could not be made without a break: only an IDR picture can follow.
            if anew {
                kind = PictureKind::Idr;
            }
            encoder.encode(&PictureIn {
                planes: [0, 1, 2].map(|n: usize| job.planes.data[n].as_slice()),
                pitches: job.planes.pitches,
                kind,
                display_index: job.display_index,
                parameter_sets: job.parameter_sets || anew,
                sei: &job.sei,
            })
        });
        let finished = match result {
            Ok(mut out) => {
                if job.corrupt {
                    damage(&mut out.data);
                }
                Some(Finished { data: Arc::new(out.data), qp: out.qp })
            }
            Err(error) => {
                eprintln!("nvsim: the software encoder failed on picture {}: {error}", job.number);
                report::internal_error("software encoder");
                None
            }
        };
        let mut state = alive.state();
        if let Some(coded) = state.running.as_mut().and_then(|running| running.coded.get_mut(&job.number)) {
            coded.finished = Some(finished);
            coded.kind = kind;
        }
        drop(state);
        alive.wake.notify_all();
    }
}

/// Damages the second half of a picture, without making anything that looks like a start code.
pub(super) fn damage(data: &mut [u8]) {
    let half = data.len() / 2;
    for byte in data[half..].iter_mut().step_by(3) {
        *byte = (*byte ^ 0xa5) | 0x10;
    }
}

/// The parameter sets that a session with this specification would have.
pub(super) fn parameter_sets(spec: &EncoderSpec) -> Result<Vec<u8>, CodecError> {
    replay::sets_or(spec, || Ok(SoftEncoder::open(spec)?.parameter_sets()))
}

/// The pattern that canned pictures follow: the client's, but no longer than the list.
pub(super) fn canned_pattern(pattern: Pattern) -> Pattern {
    let length = pattern.idr.min(pattern.gop).clamp(1, policy::CANNED_PICTURES);
    Pattern { gop: length, idr: length, ..pattern }
}

type Made = (EncoderSpec, Pattern, bool, Arc<Vec<Canned>>, Vec<u8>);

/// Makes the list, or takes one made before for the same settings.
pub(super) fn canned(
    spec: &EncoderSpec,
    pattern: Pattern,
    headers: bool,
) -> Result<(Coder, Vec<u8>), CodecError> {
    static MADE: Mutex<Vec<Made>> = Mutex::new(Vec::new());
    let pattern = Pattern { lookahead: 0, ..canned_pattern(pattern) };
    let found = lock(&MADE)
        .iter()
        .find(|(known, shape, with, ..)| known == spec && *shape == pattern && *with == headers)
        .map(|(.., pictures, sets)| (pictures.clone(), sets.clone()));
    let (pictures, sets) = match found {
        Some(found) => found,
        None => {
            let (sets, pictures) = kept(spec, pattern, headers)?;
            let pictures = Arc::new(pictures);
            let mut made = lock(&MADE);
            if made.len() >= 16 {
                made.remove(0);
            }
            made.push((spec.clone(), pattern, headers, pictures.clone(), sets.clone()));
            (pictures, sets)
        }
    };
    Ok((Coder::Canned { pictures, next: 0 }, sets))
}

/// From the folder of lists, where there is one and it has this one; else coded now.
fn kept(spec: &EncoderSpec, pattern: Pattern, headers: bool) -> Result<canned_file::List, CodecError> {
    let folder = config().canned.folder.as_deref();
    let key = format!("{spec:?} {pattern:?} {headers}");
    if let Some(found) = folder.and_then(|folder| canned_file::load(folder, &key)) {
        return Ok(found);
    }
    let mut encoder = SoftEncoder::open(spec)?;
    let sets = encoder.parameter_sets();
    let pictures = make(&mut encoder, spec, pattern, headers)?;
    if let Some(folder) = folder {
        canned_file::store(folder, &key, &sets, &pictures);
    }
    Ok((sets, pictures))
}

fn make(
    encoder: &mut SoftEncoder,
    spec: &EncoderSpec,
    pattern: Pattern,
    headers: bool,
) -> Result<Vec<Canned>, CodecError> {
    let mut planner = Planner::new(pattern);
    let mut order = Vec::new();
    for index in 0..u64::from(pattern.gop) {
        order.extend(planner.push(index, Force::None));
    }
    order.extend(planner.flush());
    let mut pictures = Vec::new();
    for (index, kind) in order {
        let planes = synthetic(spec, index);
        let out = encoder.encode(&PictureIn {
            planes: [0, 1, 2].map(|n: usize| planes.data[n].as_slice()),
            pitches: planes.pitches,
            kind,
            display_index: index,
            parameter_sets: headers && kind == PictureKind::Idr,
            sei: &[],
        })?;
        pictures.push(Canned { data: out.data, qp: out.qp });
    }
    Ok(pictures)
}

/// A gradient that moves.
fn synthetic(spec: &EncoderSpec, index: u64) -> Planes {
    let target = Target {
        width: spec.width as usize,
        height: spec.height as usize,
        chroma: spec.chroma,
        depth: spec.depth,
        matrix: None,
        full_range: false,
    };
    let layout = super::input::Layout {
        format: super::abi::formats::NV12,
        pitch: target.width.next_multiple_of(2),
        rows: target.height,
    };
    let shift = index as usize * 2;
    let row = |y: usize| (0..layout.pitch).map(move |x| (((x + shift) / 2 + y) & 0x7f) as u8 + 64);
    let rows = layout.rows + layout.rows.div_ceil(2);
    let data: Vec<u8> = (0..rows).flat_map(row).collect();
    layout.gather(&data, &target)
}
