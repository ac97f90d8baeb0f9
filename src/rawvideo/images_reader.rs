//! Images decoded ahead on several threads, given in order.
//!
//! Thread `t` of `n` decodes images `t`, `t + n`, `t + 2n` and so on into a queue of its own, and the reader takes from the
//! queues in turn: order needs no bookkeeping, and no more than two images a thread are in memory.

use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::images::{self, ImageOptions};
use super::images_decode::{Head, decode, head};
use super::images_times::Schedule;
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result, panic_message};
use crate::frame::{Frame, HostSurface};
use crate::pixel::PixelFormat;
use crate::queue::{self, QueueReceiver, QueueSender};
use crate::rawvideo::FrameReader;
use crate::time::{Rational, TimeBase, Timestamp};

/// Most threads where none are asked for: a disk does not feed more.
const MOST_THREADS: usize = 8;
/// Memory that images decoded ahead may take, unless one alone takes more.
const AHEAD_BYTES: usize = 512 << 20;

/// Reads a sequence of PNG and JPEG files as [`PixelFormat::Rgb24`], see [`super::is_image_input`] for how it is named.
///
/// All images have the size of the first. Grey becomes R, G, B; palettes are looked up; 16 bit are rounded to 8; alpha
/// is left out. Colours are taken as sRGB.
pub(crate) struct ImageReader {
    input: PathBuf,
    files: Arc<Vec<PathBuf>>,
    schedule: Schedule,
    notes: Vec<String>,
    size: Dimensions,
    kind: &'static str,
    keep_going: bool,
    decoded: Vec<QueueReceiver<Result<Vec<u8>>>>,
    next: usize,
}

impl fmt::Debug for ImageReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageReader({})", self.describe())
    }
}

impl ImageReader {
    /// Finds the images, and when each is shown, and begins to decode.
    ///
    /// # Errors
    /// When there is none, when a number of a numbered sequence is missing, when the times are not as they should be,
    /// or when the first image cannot be read.
    pub(crate) fn open(input: &Path, options: &ImageOptions) -> Result<Self> {
        let images::Sequence { files, schedule, mut notes } = images::plan(input, options)?;
        let Head { kind, size, loss } = first_head(&files, options.keep_going)?;
        notes.extend(loss.iter().map(|loss| format!("the first image has {loss}")));
        let files = Arc::new(files);
        let decoded = spawn(&files, size, threads(options.threads, size, files.len()))?;
        Ok(Self {
            input: input.to_owned(),
            files,
            schedule,
            notes,
            size,
            kind: kind.name(),
            keep_going: options.keep_going,
            decoded,
            next: 0,
        })
    }

    fn frame(&mut self, number: usize, rgb: Vec<u8>) -> Result<Frame> {
        let surface = HostSurface::from_packed(PixelFormat::Rgb24, self.size, rgb)?;
        // As many times as files: the plan saw to that.
        let (ticks, length) = self.schedule.get(number).unwrap_or((0, 1));
        Ok(Frame {
            duration: Some(length),
            color: ColorInfo::SRGB,
            keyframe: true,
            ..Frame::host(Timestamp::new(ticks, self.schedule.base()), surface)
        })
    }
}

/// The header of the first image; with `keep_going`, of the first that can be read.
fn first_head(files: &[PathBuf], keep_going: bool) -> Result<Head> {
    let mut refused = None;
    for file in files {
        match head(file) {
            Ok(head) => return Ok(head),
            Err(error) if keep_going && error.is_recoverable() => refused = refused.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| Error::invalid("a sequence of images without images")))
}

fn threads(wanted: Option<NonZeroUsize>, size: Dimensions, images: usize) -> usize {
    let own = || thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS);
    // One image in the queue, one in the making.
    let room = AHEAD_BYTES / (2 * PixelFormat::Rgb24.frame_bytes(size)).max(1);
    wanted.map_or_else(own, NonZeroUsize::get).min(room).min(images).max(1)
}

fn spawn(
    files: &Arc<Vec<PathBuf>>,
    size: Dimensions,
    threads: usize,
) -> Result<Vec<QueueReceiver<Result<Vec<u8>>>>> {
    let mut decoded = Vec::with_capacity(threads);
    for number in 0..threads {
        let (tx, rx) = queue::bounded(1);
        let files = Arc::clone(files);
        let name = format!("vhw-image-{number}");
        thread::Builder::new()
            .name(name.clone())
            .spawn(move || work(files.iter().skip(number).step_by(threads), size, &tx))
            .map_err(|e| Error::io("start a thread for", name, e))?;
        decoded.push(rx);
    }
    Ok(decoded)
}

/// Decodes until nobody wants more. Nobody joins the thread: it may be stuck in a file of a network that is gone.
fn work<'a>(files: impl Iterator<Item = &'a PathBuf>, size: Dimensions, out: &QueueSender<Result<Vec<u8>>>) {
    for file in files {
        if out.is_closed() {
            return;
        }
        // The decoders take hostile bytes; a panic in one must cost one image and say which.
        let image = catch_unwind(AssertUnwindSafe(|| decode(file, size))).unwrap_or_else(|panic| {
            let message = panic_message(panic.as_ref());
            Err(Error::corrupt(format!("decoding {} panicked: {message}", file.display())))
        });
        if out.send(image).is_err() {
            return;
        }
    }
}

impl FrameReader for ImageReader {
    fn format(&self) -> PixelFormat {
        PixelFormat::Rgb24
    }

    fn dimensions(&self) -> Dimensions {
        self.size
    }

    fn frame_rate(&self) -> Rational {
        self.schedule.rate()
    }

    fn color(&self) -> ColorInfo {
        ColorInfo::SRGB
    }

    fn sample_aspect_ratio(&self) -> Option<Rational> {
        None
    }

    fn time_base(&self) -> TimeBase {
        self.schedule.base()
    }

    fn frames(&self) -> Option<u64> {
        Some(self.files.len() as u64)
    }

    fn duration(&self) -> Option<Duration> {
        Some(Timestamp::new(self.schedule.length(), self.schedule.base()).as_duration())
    }

    fn describe(&self) -> String {
        format!("{} images ({}), rgb24", self.files.len(), self.kind)
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let number = self.next;
        let turn = number.checked_rem(self.decoded.len()).unwrap_or(0);
        let Some(decoded) = self.decoded.get(turn).filter(|_| number < self.files.len()) else {
            return Ok(None);
        };
        let image = decoded
            .recv()
            .unwrap_or_else(|| Err(Error::corrupt_fatal("a thread that decodes images has ended early")));
        self.next += 1;
        let frame = image.and_then(|rgb| self.frame(number, rgb)).map(Some).map_err(|error| match error {
            Error::InvalidInput { what, .. } => {
                Error::invalid_file(&self.input, format!("holds images of several sizes: {what}"))
            }
            other => other,
        });
        // With the receivers the threads end.
        if let Err(error) = &frame
            && !(self.keep_going && error.is_recoverable())
        {
            self.decoded.clear();
        }
        frame
    }
}
