//! The threads that read an input, and waiting for them.
//!
//! A read from a silent pipe, or the opening of one that nobody writes to, may last for ever and cannot be broken
//! off from outside. So both happen on threads that nobody joins. Whoever waits for them looks at the cancel token
//! now and then, and leaves a thread that is stuck to itself: it ends with its next byte, or with the process.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::control::CancelToken;
use super::side::Side;
use super::source::SourceOptions;
use crate::container::{Demuxer, Input, OpenOptions, open_raw};
use crate::error::{Error, Result, panic_message};
use crate::frame::Frame;
use crate::packet::Packet;
use crate::queue::{self, QueueReceiver, QueueSender, Received};
use crate::rawvideo::{FrameReader, ImageOptions, ImageReader, PictureTimes, TimedReader, is_image_input};
use crate::session::{DecodeInput, DecodeOutput};
use crate::sync::lock;
use crate::transform::TransformRequest;

/// How soon somebody who waits notices that the job is cancelled.
const LOOK: Duration = Duration::from_millis(20);
/// Uncompressed frames read ahead.
const READ_AHEAD: usize = 3;

/// Opens `path`, or gives up when the job is cancelled.
pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Input> {
    let (tx, opened) = queue::bounded(1);
    let (name, cancel) = (path.to_owned(), &options.cancel);
    let (raw, times, reordered) = (options.raw, options.times.clone(), options.reordered);
    let images = ImageOptions {
        times: times.clone(),
        frame_rate: options.frame_rate,
        reordered: options.reordered,
        keep_going: options.keep_going,
        threads: options.threads,
    };
    let mut open = OpenOptions::new().limits(options.limits.clone());
    if let Some(most) = options.spool {
        open = open.spool(most);
    }
    let opener = spawn("vhw-open", move || {
        let input = match raw {
            Some(f) => open_raw(&name, f.format, f.dimensions, f.frame_rate).map(Input::Frames),
            None if is_image_input(&name) => {
                ImageReader::open(&name, &images).map(|reader| Input::Frames(Box::new(reader)))
            }
            None => open.open(&name),
        };
        let input = match input {
            Ok(input) if times != PictureTimes::Rate && (raw.is_some() || !is_image_input(&name)) => {
                with_times(input, &name, &times, reordered)
            }
            other => other,
        };
        // When nobody waits any more the input closes here.
        let _ = tx.send(input);
    })?;
    loop {
        match opened.recv_timeout(LOOK) {
            Received::Item(input) => return input,
            Received::Closed => match opener.join() {
                Err(panic) => resume_unwind(panic),
                Ok(()) => return Err(Error::corrupt_fatal(format!("{} was not opened", path.display()))),
            },
            Received::Empty if cancel.is_cancelled() => return Err(Error::Cancelled),
            Received::Empty => {}
        }
    }
}

/// The pictures of one file, shown when a list says.
fn with_times(input: Input, path: &Path, times: &PictureTimes, reordered: Option<u32>) -> Result<Input> {
    match input {
        Input::Frames(frames) => {
            Ok(Input::Frames(Box::new(TimedReader::new(frames, path, times, reordered)?)))
        }
        Input::Demuxer(demuxer) => Err(Error::invalid_file(
            path,
            format!(
                "({}) has times of its own; other times can be given to images and uncompressed pictures",
                demuxer.format()
            ),
        )),
    }
}

/// Frames on their way from the reading threads.
pub(super) enum Feed {
    Decoder { frames: DecodeOutput, packets: Inlet, faults: Arc<Faults> },
    Reader(QueueReceiver<Result<Frame>>),
}

impl Feed {
    /// One from which nothing comes.
    pub(super) fn over() -> Self {
        Self::Reader(queue::bounded(1).1)
    }

    /// Starts to demux the selected tracks: pictures into a decoder, what `side` wants to that.
    pub(super) fn decode(
        mut demuxer: Box<dyn Demuxer>,
        (packets, frames): (DecodeInput, DecodeOutput),
        side: Option<Side>,
        keep_going: bool,
        cancel: CancelToken,
    ) -> Result<Self> {
        if !keep_going {
            frames.stop_at_damage();
        }
        let packets = Inlet(Arc::new(Mutex::new(Some(packets))));
        let faults = Arc::new(Faults::default());
        let feeder =
            Feeder { packets: packets.clone(), faults: Arc::clone(&faults), side, keep_going, cancel };
        spawn("vhw-demux", move || {
            let ended = caught("reading the input", || feeder.run(demuxer.as_mut()));
            if let Some(side) = &feeder.side {
                side.end();
            }
            if let Some(error) = ended {
                feeder.faults.fatal(error);
                feeder.packets.close(true);
            }
        })?;
        Ok(Self::Decoder { frames, packets, faults })
    }

    /// Starts to read uncompressed frames, each brought to what is asked for.
    pub(super) fn read(
        mut reader: Box<dyn FrameReader>,
        request: TransformRequest,
        cancel: CancelToken,
    ) -> Result<Self> {
        let (tx, frames) = queue::bounded(READ_AHEAD);
        spawn("vhw-read", move || {
            let work = || read_ahead(reader.as_mut(), &request, &tx, &cancel);
            if let Some(error) = caught("reading or converting the input", work) {
                // When nobody waits any more there is nobody to tell.
                let _ = tx.send(Err(error));
            }
        })?;
        Ok(Self::Reader(frames))
    }

    /// Ends reading behind damage, of which the caller has heard. `true`: frames from before it may still come.
    pub(super) fn stop(&mut self) -> bool {
        let Self::Decoder { frames, packets, faults } = self else { return false };
        faults.end();
        packets.close_for_reader(true);
        !frames.is_finished()
    }

    /// The next frame, waiting for it; `None` at the end. A cancelled job still gets what was read so far.
    pub(super) fn next(&mut self, cancel: &CancelToken) -> Result<Option<Frame>> {
        match self {
            Self::Decoder { frames, packets, faults } => loop {
                if let Some(frame) = frames.reap_timeout(LOOK)? {
                    return Ok(Some(frame));
                }
                if frames.is_finished() || frames.was_flushed() {
                    return faults.take_fatal().map_or(Ok(None), Err);
                }
                if cancel.is_cancelled() {
                    packets.close_for_reader(true);
                }
            },
            Self::Reader(frames) => loop {
                match frames.recv_timeout(LOOK) {
                    Received::Item(frame) => return frame.map(Some),
                    Received::Closed => return Ok(None),
                    Received::Empty if cancel.is_cancelled() => return Ok(None),
                    Received::Empty => {}
                }
            },
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // A reader that is stuck must not keep the decoder.
        if let Self::Decoder { packets, .. } = self {
            packets.close_for_reader(false);
        }
    }
}

/// The decoder's input, which the demuxing thread fills and which can be closed while that thread is stuck.
#[derive(Clone)]
pub(super) struct Inlet(Arc<Mutex<Option<DecodeInput>>>);

impl Inlet {
    /// Waits for room; `false` when no more packets are wanted.
    fn submit(&self, packet: Packet) -> Result<bool> {
        let mut input = lock(&self.0);
        let Some(input) = input.as_mut() else { return Ok(false) };
        match input.submit_blocking(packet) {
            Ok(()) => Ok(true),
            Err(error @ Error::InvalidInput { .. }) => Err(error),
            // The consumer is gone, or hears of the reason by itself.
            Err(_) => Ok(false),
        }
    }

    /// Nothing more will come. With `flush`, what is inside comes out.
    fn close(&self, flush: bool) {
        Self::end(lock(&self.0).take(), flush);
    }

    /// [`Self::close`] in the place of a reader that is stuck. One that is not holds the lock while its packet
    /// waits for room, and sees the token or the closed session right after.
    fn close_for_reader(&self, flush: bool) {
        Self::end(self.0.try_lock().ok().and_then(|mut input| input.take()), flush);
    }

    fn end(input: Option<DecodeInput>, flush: bool) {
        if let Some(mut input) = input
            && flush
        {
            // As above: nobody to tell.
            let _ = input.flush();
        }
    }
}

/// What went wrong on the demuxing thread.
#[derive(Default)]
pub(super) struct Faults(Mutex<Fault>);

#[derive(Default)]
struct Fault {
    /// What ends the job.
    fatal: Option<Error>,
    /// What was gone over.
    recovered: Vec<Error>,
    /// What the demuxer has noted since it was opened.
    notes: Vec<String>,
    /// Nothing more is to be read.
    over: bool,
}

impl Faults {
    fn fatal(&self, error: Error) {
        lock(&self.0).fatal.get_or_insert(error);
    }

    fn recovered(&self, error: Error) {
        lock(&self.0).recovered.push(error);
    }

    fn take_fatal(&self) -> Option<Error> {
        lock(&self.0).fatal.take()
    }

    fn end(&self) {
        lock(&self.0).over = true;
    }

    fn is_over(&self) -> bool {
        lock(&self.0).over
    }

    fn note(&self, notes: &[String]) {
        lock(&self.0).notes.extend_from_slice(notes);
    }

    /// What was noted of the input since the last call.
    pub(super) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0).notes)
    }

    /// Damage gone over since the last call.
    pub(super) fn take_recovered(&self) -> Vec<Error> {
        std::mem::take(&mut lock(&self.0).recovered)
    }
}

/// The demuxing thread.
struct Feeder {
    packets: Inlet,
    faults: Arc<Faults>,
    side: Option<Side>,
    keep_going: bool,
    cancel: CancelToken,
}

impl Feeder {
    fn run(&self, demuxer: &mut dyn Demuxer) {
        let mut decodes = true;
        let mut noted = demuxer.notes().len();
        while !self.cancel.is_cancelled() && !self.faults.is_over() {
            let read = demuxer.next_packet();
            if let Some(new) = demuxer.notes().get(noted..).filter(|new| !new.is_empty()) {
                noted += new.len();
                self.faults.note(new);
            }
            match read.and_then(|packet| packet.map(|packet| self.hand_over(packet, decodes)).transpose()) {
                Ok(Some(true)) => {}
                // Sound goes on for as long as it is wanted.
                Ok(Some(false)) if self.side.as_ref().is_some_and(Side::is_open) => {
                    if std::mem::take(&mut decodes) {
                        self.packets.close(false);
                    }
                }
                Ok(Some(false)) => return self.packets.close(false),
                Ok(None) => break,
                Err(error) if self.keep_going && error.is_recoverable() => self.faults.recovered(error),
                Err(error) => {
                    // What was read before it comes out first.
                    self.faults.fatal(error);
                    break;
                }
            }
        }
        self.packets.close(true);
    }

    /// `false` when no more pictures are wanted.
    fn hand_over(&self, packet: Packet, decodes: bool) -> Result<bool> {
        let packet = match &self.side {
            Some(side) => side.push(packet, &self.cancel),
            None => Some(packet),
        };
        match packet {
            Some(packet) if decodes => self.packets.submit(packet),
            _ => Ok(decodes),
        }
    }
}

/// Does the work of a thread that nobody joins: what it panics of is told where its frames are waited for.
fn caught(what: &str, work: impl FnOnce()) -> Option<Error> {
    let panic = catch_unwind(AssertUnwindSafe(work)).err()?;
    let error = Error::corrupt_fatal(format!("{what} panicked: {}", panic_message(panic.as_ref())));
    // What was thrown may panic again when it is dropped.
    std::mem::forget(panic);
    Some(error)
}

fn read_ahead(
    reader: &mut dyn FrameReader,
    request: &TransformRequest,
    out: &QueueSender<Result<Frame>>,
    cancel: &CancelToken,
) {
    while !cancel.is_cancelled() {
        let Some(next) = reader.next_frame().transpose() else { return };
        let next = next.and_then(|frame| Ok(request.apply(frame)?.frame));
        // A reader ends by itself behind an error, unless it goes over it.
        if out.send(next).is_err() {
            return;
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|source| Error::io("start a thread for", name, source))
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
