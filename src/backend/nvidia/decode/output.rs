//! The mapping stage: takes pictures in display order, waits for the hardware, copies them out on a stream of its
//! own and hands them on. A thread of its own, so that the next pictures are decoded meanwhile.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::format::Output;
use super::gate::SurfaceGate;
use super::pool::PinnedPool;
use crate::backend::nvidia::driver::cuda::{Context, Event, Stream};
use crate::backend::nvidia::driver::cuvid::Decoder;
use crate::backend::nvidia::driver::cuvid_abi::DisplayInfo;
use crate::backend::nvidia::driver::download::{Download, Rows};
use crate::backend::nvidia::driver::memory::PinnedMemory;
use crate::backend::{BackendKind, DecodeEvent, DecodeSink, DecodedPicture};
use crate::color::ColorInfo;
use crate::config::DecodeOutputMode;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{HostSurface, Surface};
use crate::time::Rational;

/// Pictures mapped at once: one being post-processed, one being copied, one being handed on.
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
    /// Rows of the luma plane as mapped (even), where chroma begins.
    pub(super) mapped_rows: usize,
    pub(super) color: ColorInfo,
    pub(super) sample_aspect_ratio: Option<Rational>,
    pub(super) frame_rate: Option<Rational>,
    /// The crop and size that are asked for are applied when a picture is mapped.
    pub(super) shaped: bool,
    /// Buffers for frames; none where nothing is copied.
    pub(super) pool: Option<Arc<PinnedPool>>,
}

/// A picture to be shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) serial: u64,
    pub(super) keyframe: bool,
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
        (self.0.lock().unwrap_or_else(PoisonError::into_inner))(event)
    }
}

/// The stage as its owner holds it; dropping it ends the thread.
pub(super) struct OutputStage {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    gate: Arc<SurfaceGate>,
}

impl OutputStage {
    pub(super) fn start(context: &Arc<Context>, answers: Answers, mode: DecodeOutputMode) -> Result<Self> {
        let gate = Arc::new(SurfaceGate::default());
        let (jobs, queue) = sync_channel(QUEUED);
        let stage = Stage {
            stream: Stream::new(context)?,
            gate: Arc::clone(&gate),
            answers,
            mode,
            in_flight: VecDeque::with_capacity(MAPPED),
            over: None,
        };
        let thread = std::thread::Builder::new()
            .name("nvdec output".to_owned())
            .spawn(move || stage.run(&queue))
            .map_err(|source| Error::io("start a thread for", "nvdec output", source))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), gate })
    }

    pub(super) fn gate(&self) -> &SurfaceGate {
        &self.gate
    }

    /// Queues a picture; its surface is held until it is copied out.
    pub(super) fn show(&self, shown: Shown) -> Result<()> {
        let surface = usize::try_from(shown.info.index).unwrap_or(0);
        self.gate.hold(surface);
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
    stream: Stream,
    gate: Arc<SurfaceGate>,
    answers: Answers,
    mode: DecodeOutputMode,
    in_flight: VecDeque<InFlight>,
    /// The stage can do no more: everything that follows fails for this reason.
    over: Option<String>,
}

/// A picture whose copy is under way.
struct InFlight {
    shown: Shown,
    download: Download,
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
            // While copies are under way, look for the next picture first; wait for copies when there is none.
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
        if let Some(detail) = self.over.clone() {
            self.fail(&shown, Error::DeviceLost { backend: BackendKind::Nvidia, detail });
            return;
        }
        if self.mode == DecodeOutputMode::MetadataOnly {
            self.release(&shown);
            self.answer(&shown, Surface::None);
            return;
        }
        // A picture that is shown twice (VP9) cannot be mapped twice at once.
        let again = |other: &InFlight| {
            other.shown.info.index == shown.info.index && Arc::ptr_eq(&other.shown.shape, &shown.shape)
        };
        while self.in_flight.len() >= MAPPED || self.in_flight.iter().any(again) {
            self.finish_oldest();
        }
        match self.start_copy(&shown) {
            Ok(download) => self.in_flight.push_back(InFlight { shown, download }),
            Err(error) => {
                // Pictures before this one come first.
                self.finish_all();
                self.fail(&shown, error);
            }
        }
    }

    /// Maps a picture and enqueues its copy.
    fn start_copy(&self, shown: &Shown) -> Result<Download> {
        /// `cuvidDecodeStatus_Error`: not concealed.
        const ERROR: u32 = 8;
        let shape = &shown.shape;
        let buffer = shape.pool.as_ref().ok_or_else(gone)?.take()?;
        let done = Event::new(self.stream.context())?;
        let mapped = shape.decoder.map(&shown.info, &self.stream)?;
        // The map waited for the picture, so that its status is known now.
        if shape.decoder.status(shown.info.index)? == Some(ERROR) {
            self.stream.synchronize()?;
            return Err(Error::corrupt("a picture is damaged beyond what the decoder can conceal"));
        }
        Download::start(&self.stream, done, mapped, buffer, &shape.rows())
    }

    fn finish_all(&mut self) {
        while !self.in_flight.is_empty() {
            self.finish_oldest();
        }
    }

    /// Waits for the oldest copy and hands the picture on.
    fn finish_oldest(&mut self) {
        let Some(InFlight { shown, download }) = self.in_flight.pop_front() else { return };
        let (done, buffer) = download.finish();
        self.release(&shown);
        let surface = done.and_then(|()| host_surface(&shown.shape, buffer.ok_or_else(gone)?));
        match surface {
            Ok(surface) => self.answer(&shown, Surface::Host(surface)),
            Err(error) => self.fail_released(&shown, error),
        }
    }

    fn release(&self, shown: &Shown) {
        self.gate.release(usize::try_from(shown.info.index).unwrap_or(0));
    }

    fn fail(&mut self, shown: &Shown, error: Error) {
        self.release(shown);
        self.fail_released(shown, error);
    }

    fn fail_released(&mut self, shown: &Shown, error: Error) {
        if !error.is_recoverable() {
            // No picture behind this one may come out before the session hears of it.
            self.over.get_or_insert_with(|| error.to_string());
        }
        self.answers.send(DecodeEvent::Failed { serial: shown.serial, error });
    }

    fn answer(&self, shown: &Shown, surface: Surface) {
        let shape = &shown.shape;
        self.answers.send(DecodeEvent::Picture(DecodedPicture {
            serial: shown.serial,
            dimensions: shape.dimensions,
            format: shape.output.format,
            color: shape.color,
            sample_aspect_ratio: shape.sample_aspect_ratio,
            frame_rate: shape.frame_rate,
            keyframe: shown.keyframe,
            concealed: false,
            shaped: shape.shaped,
            surface,
        }));
    }
}

impl Shape {
    /// The planes inside the mapped memory: one below the other, each from a multiple of the (even) luma's height.
    fn rows(&self) -> Vec<Rows> {
        let format = self.output.format;
        (0..format.plane_count())
            .filter_map(|plane| Some((plane, format.plane_size(plane, self.dimensions)?)))
            .map(|(plane, size)| Rows {
                first: plane * self.mapped_rows,
                count: size.rows,
                row_bytes: size.row_bytes,
            })
            .collect()
    }
}

/// The copied picture as a surface.
fn host_surface(shape: &Shape, memory: PinnedMemory) -> Result<HostSurface> {
    let output = shape.output;
    let bytes = output.format.frame_bytes(shape.dimensions);
    let pool = shape.pool.as_ref().ok_or_else(gone)?;
    let data = pool.share(memory).slice(..bytes);
    if output.shift == 0 {
        return HostSurface::from_packed(output.format, shape.dimensions, data);
    }
    // The driver's samples are in the high bits, this format's in the low ones.
    let shifted: Vec<u8> = data
        .chunks_exact(2)
        .flat_map(|sample| (u16::from_le_bytes([sample[0], sample[1]]) >> output.shift).to_le_bytes())
        .collect();
    HostSurface::from_packed(output.format, shape.dimensions, shifted)
}
