//! The mapping stage: takes pictures in display order, waits for the hardware, has them copied or converted on streams
//! of its own and hands them on. A thread of its own, so that the next pictures are decoded meanwhile.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::format::Output;
use super::gate::SurfaceGate;
use super::geometry::Geometry;
use super::plan::{Plan, Wanted};
use crate::backend::nvidia::driver::cuda::{Context, Waiting};
use crate::backend::nvidia::driver::cuvid::Decoder;
use crate::backend::nvidia::driver::cuvid_abi::DisplayInfo;
use crate::backend::nvidia::driver::planes::Planes;
use crate::backend::nvidia::driver::transfer::{Lane, Planar, Route, Transfer};
use crate::backend::{BackendKind, DecodeEvent, DecodeSink, DecodedPicture, DeviceTimes, Download};
use crate::color::ColorInfo;
use crate::config::CommonDecodeConfig;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::Surface;
use crate::hang;
use crate::sync::lock;
use crate::time::Rational;

/// Pictures mapped at once: one being post-processed, one being copied, one being handed on. Frames never are mapped
/// pictures, so that a consumer may keep as many as there is memory for.
pub(super) const MAPPED: usize = 3;
/// Pictures waiting to be mapped before the parser waits.
const QUEUED: usize = 8;

/// What all pictures of a sequence share.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) decoder: Arc<Decoder>,
    pub(super) output: Output,
    /// Size of our frames.
    pub(super) dimensions: Dimensions,
    /// Where frames begin in mapped pictures: column and row.
    pub(super) inside: (u32, u32),
    /// Rows of the luma plane as mapped (even), where chroma begins.
    pub(super) mapped_rows: usize,
    pub(super) sample_aspect_ratio: Option<Rational>,
    pub(super) frame_rate: Option<Rational>,
    /// The crop and size that are asked for are applied when a picture is mapped.
    pub(super) shaped: bool,
    /// Where pictures go.
    pub(super) plan: Arc<Plan>,
}

/// A picture to be shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) serial: u64,
    pub(super) keyframe: bool,
    /// `info.index`, which is one of the decoder's surfaces.
    pub(super) surface: usize,
    pub(super) info: DisplayInfo,
    pub(super) shape: Arc<Shape>,
}

enum Job {
    Show(Shown),
    /// Answer once everything before is out.
    Flush(SyncSender<()>),
}

/// The session's sink, shared by the stage and the parser's side.
#[derive(Clone)]
pub(super) struct Answers(Arc<Mutex<DecodeSink>>);

impl Answers {
    pub(super) fn new(sink: DecodeSink) -> Self {
        Self(Arc::new(Mutex::new(sink)))
    }

    /// `false` once the session is gone.
    pub(super) fn send(&self, event: DecodeEvent) -> bool {
        (lock(&self.0))(event)
    }
}

/// The stage as its owner holds it; dropping it ends the thread.
pub(super) struct OutputStage {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    gate: Arc<SurfaceGate>,
    context: Arc<Context>,
    answers: Answers,
    wanted: Wanted,
}

impl OutputStage {
    pub(super) fn start(
        context: &Arc<Context>,
        answers: Answers,
        config: &CommonDecodeConfig,
        download: Download,
    ) -> Result<Self> {
        let gate = Arc::new(SurfaceGate::default());
        let wanted = Wanted::of(config, download);
        let (jobs, queue) = sync_channel(QUEUED);
        let stage = Stage {
            context: Arc::clone(context),
            gate: Arc::clone(&gate),
            answers: answers.clone(),
            wanted: wanted.clone(),
            lanes: Vec::with_capacity(MAPPED),
            in_flight: VecDeque::with_capacity(MAPPED),
            plan: None,
            over: None,
            gone: false,
            _census: Census::new(),
        };
        let thread = hang::spawn("nvdec output", move || stage.run(&queue))
            .map_err(|source| Error::io("start a thread for", "nvdec output", source))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            gate,
            context: Arc::clone(context),
            answers,
            wanted,
        })
    }

    /// How pictures of a sequence become frames.
    ///
    /// # Errors
    /// What is asked for cannot be had of such pictures.
    pub(super) fn plan(&self, output: Output, geometry: &Geometry, color: ColorInfo) -> Result<Arc<Plan>> {
        let note = |text| {
            self.answers.send(DecodeEvent::Note(text));
        };
        let whole;
        let wanted = if geometry.shaped {
            &self.wanted
        } else {
            whole = self.wanted.unshaped()?;
            &whole
        };
        Plan::new(&self.context, wanted, output, geometry.dimensions, color, note).map(Arc::new)
    }

    pub(super) fn gate(&self) -> &SurfaceGate {
        &self.gate
    }

    /// Queues a picture; its surface is held until it is copied out.
    pub(super) fn show(&self, shown: Shown) -> Result<()> {
        self.gate.hold(shown.surface);
        self.send(Job::Show(shown))
    }

    /// Waits until every queued picture is out.
    pub(super) fn flush(&self) -> Result<()> {
        let (done, wait) = sync_channel(1);
        self.send(Job::Flush(done))?;
        wait.recv().map_err(|_| gone())
    }

    fn send(&self, job: Job) -> Result<()> {
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())
    }
}

impl Drop for OutputStage {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the session tells the loss by its ledger.
            let _ = thread.join();
        }
    }
}

fn gone() -> Error {
    Error::Backend {
        backend: BackendKind::Nvidia,
        call: "output stage",
        code: 0,
        detail: "it has ended".to_owned(),
    }
}

struct Stage {
    context: Arc<Context>,
    gate: Arc<SurfaceGate>,
    answers: Answers,
    wanted: Wanted,
    /// Those that no picture uses; there are as many as were ever needed at once.
    lanes: Vec<Lane>,
    in_flight: VecDeque<InFlight>,
    /// Of the last picture: keeps its pools until the next sequence has its own, which may be the same.
    plan: Option<Arc<Plan>>,
    /// The stage can do no more: everything that follows fails for this reason.
    over: Option<Error>,
    /// Nobody wants pictures any more: those that are queued are let go, neither mapped nor answered.
    gone: bool,
    _census: Census,
}

/// Output stages in the process.
static STAGES: AtomicUsize = AtomicUsize::new(0);

/// Counts one of them.
struct Census;

impl Census {
    fn new() -> Self {
        STAGES.fetch_add(1, Ordering::Relaxed);
        Self
    }

    /// Stages that wait on a core of their own would take it from the threads that feed the decoders when there are
    /// many. How the context waits is not changed: it belongs to all CUDA users of the process.
    fn waiting() -> Waiting {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        if 2 * STAGES.load(Ordering::Relaxed) > cores { Waiting::Asleep } else { Waiting::Default }
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        STAGES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A picture on its way out of the decoder.
struct InFlight {
    /// First, so that it is waited for before the shape (and its plan's converter) can go.
    transfer: Transfer,
    shown: Shown,
    concealed: bool,
    /// What mapping it took.
    mapping: Duration,
}

/// What is left of a picture when its surface is given back: enough to tell of it.
struct Due {
    serial: u64,
    keyframe: bool,
    dimensions: Dimensions,
    sample_aspect_ratio: Option<Rational>,
    frame_rate: Option<Rational>,
    shaped: bool,
    plan: Arc<Plan>,
}

/// Closes the gate when the stage ends, however it ends: nobody must wait for it.
struct CloseGate(Arc<SurfaceGate>);

impl Drop for CloseGate {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Stage {
    fn run(mut self, queue: &Receiver<Job>) {
        let _close = CloseGate(Arc::clone(&self.gate));
        loop {
            while self.in_flight.front().is_some_and(|oldest| oldest.transfer.is_done()) {
                self.finish_oldest();
            }
            // While pictures are on their way, look for the next one first; wait for them when there is none.
            let job = if self.in_flight.is_empty() {
                match queue.recv() {
                    Ok(job) => job,
                    Err(_) => return,
                }
            } else {
                match queue.try_recv() {
                    Ok(job) => job,
                    Err(TryRecvError::Empty) => {
                        self.finish_oldest();
                        continue;
                    }
                    Err(TryRecvError::Disconnected) => {
                        self.finish_all();
                        return;
                    }
                }
            };
            match job {
                Job::Show(shown) => self.show(shown),
                Job::Flush(done) => {
                    self.finish_all();
                    let _ = done.send(());
                }
            }
        }
    }

    fn show(&mut self, shown: Shown) {
        if self.gone {
            self.release(shown);
            return;
        }
        if let Some(error) = self.over.clone() {
            // Pictures before this one come first.
            self.finish_all();
            let due = self.release(shown);
            self.fail(&due, error);
            return;
        }
        if !self.wanted.maps() {
            let due = self.release(shown);
            self.answer(&due, false, Surface::None, DeviceTimes::default());
            return;
        }
        // A picture that is shown twice (VP9) cannot be mapped twice at once.
        let again = |other: &InFlight| {
            other.shown.info.index == shown.info.index && Arc::ptr_eq(&other.shown.shape, &shown.shape)
        };
        while self.in_flight.len() >= MAPPED || self.in_flight.iter().any(again) {
            self.finish_oldest();
        }
        if self.gone {
            // Found out just now, by handing the oldest one on.
            self.release(shown);
            return;
        }
        self.plan = Some(Arc::clone(&shown.shape.plan));
        match self.start(&shown) {
            Ok((concealed, transfer, mapping)) => {
                self.in_flight.push_back(InFlight { transfer, shown, concealed, mapping });
            }
            Err(error) => {
                // Pictures before this one come first.
                self.finish_all();
                let due = self.release(shown);
                self.fail(&due, error);
            }
        }
    }

    /// Maps a picture and enqueues what makes a frame of it.
    fn start(&mut self, shown: &Shown) -> Result<(bool, Transfer, Duration)> {
        let lane = self.lanes.pop().map_or_else(|| Lane::new(&self.context, Census::waiting()), Ok)?;
        let asked = Instant::now();
        let mapped = Transfer::map(lane, &shown.shape.decoder, &shown.info);
        let mapping = asked.elapsed();
        match mapped {
            Ok((mut transfer, mapped)) => match self.fill(&mut transfer, mapped, shown) {
                Ok(concealed) => Ok((concealed, transfer, mapping)),
                Err(error) => {
                    self.lanes.extend(transfer.finish().1);
                    Err(error)
                }
            },
            Err(refused) => {
                let (lane, error) = *refused;
                self.lanes.push(lane);
                Err(error)
            }
        }
    }

    /// Enqueues what makes a frame of a mapped picture; whether the picture was concealed.
    fn fill(&self, transfer: &mut Transfer, mapped: Planar, shown: &Shown) -> Result<bool> {
        let shape = &shown.shape;
        // The map waited for the picture, so that its status is known now.
        let concealed = self.wanted.judge(shape.decoder.status(shown.info.index)?)?;
        let memory = shape.plan.memory()?;
        let source = shape.planes(mapped);
        let target = memory.device.as_ref().map_or(source, |block| shape.plan.planes(block.address()));
        transfer.fill(memory, &Route { source, target, converter: shape.plan.converter.as_ref() })?;
        Ok(concealed)
    }

    fn finish_all(&mut self) {
        while !self.in_flight.is_empty() {
            self.finish_oldest();
        }
    }

    /// Waits for the oldest picture and hands it on.
    fn finish_oldest(&mut self) {
        let Some(InFlight { transfer, shown, concealed, mapping }) = self.in_flight.pop_front() else {
            return;
        };
        let (memory, lane) = transfer.finish();
        self.lanes.extend(lane);
        let due = self.release(shown);
        if self.gone {
            return;
        }
        // Behind a picture that ended the session no other comes out.
        let memory = self.over.as_ref().map_or(memory, |reason| Err(reason.clone()));
        let made = memory.and_then(|(memory, times)| Ok((due.plan.surface(memory)?, times)));
        match made {
            Ok((surface, times)) => {
                let times = DeviceTimes { map: Some(mapping), ..times };
                self.answer(&due, concealed, surface, times);
            }
            Err(error) => self.fail(&due, error),
        }
    }

    /// Gives a picture's surface back, and its decoder before that: whoever waits for the one may want to be rid of the
    /// other, and telling of the picture can take as long as the consumer likes.
    fn release(&self, shown: Shown) -> Due {
        let Shown { serial, keyframe, surface, info: _, shape } = shown;
        let due = Due {
            serial,
            keyframe,
            dimensions: shape.dimensions,
            sample_aspect_ratio: shape.sample_aspect_ratio,
            frame_rate: shape.frame_rate,
            shaped: shape.shaped,
            plan: Arc::clone(&shape.plan),
        };
        drop(shape);
        self.gate.release(surface);
        due
    }

    fn fail(&mut self, due: &Due, error: Error) {
        if !error.is_recoverable() {
            // No picture behind this one may come out before the session hears of it.
            self.over.get_or_insert_with(|| error.clone());
        }
        self.gone |= !self.answers.send(DecodeEvent::Failed { serial: due.serial, error });
    }

    fn answer(&mut self, due: &Due, concealed: bool, surface: Surface, device_times: DeviceTimes) {
        self.gone |= !self.answers.send(DecodeEvent::Picture(DecodedPicture {
            serial: due.serial,
            dimensions: due.dimensions,
            format: due.plan.format,
            color: due.plan.color,
            sample_aspect_ratio: due.sample_aspect_ratio,
            frame_rate: due.frame_rate,
            keyframe: due.keyframe,
            concealed,
            shaped: due.shaped,
            copied: due.plan.copied(&surface),
            device_times,
            surface,
        }));
    }
}

impl Shape {
    /// The planes of a mapped picture: one below the other, each from a multiple of the (even) luma's height.
    fn planes(&self, mapped: Planar) -> Planes {
        let format = self.output.format;
        Planes::stacked(format, self.dimensions, mapped.address, mapped.pitch, self.mapped_rows)
            .from(format, self.inside)
    }
}
