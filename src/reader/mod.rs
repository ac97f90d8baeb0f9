//! Any frame of a file, exactly, without decoding from its beginning and without opening a decoder again.
//!
//! ```text
//! container's tables, or one scan ─► index: packet ◄─► frame
//!                                      │
//! frame(i) ─► its packet ─► the random access point before it ─► demuxer ─► decoder ─► the picture of i, and no other
//! ```
//!
//! The index (`index`) knows every packet of the track: when it is shown, whether decoding can begin there, and where it lies.
//! `build` makes it from the tables of an MP4 file without touching the media, fragments included, and by one scan of the
//! packets elsewhere (`stored` keeps that in a file when asked). Frames are those that are presented: edit lists are applied,
//! and pictures that only prime the decoder or are never shown are left out.
//!
//! `engine` holds the demuxer and the decoder. Where the wanted frame lies behind what was decoded, in the same group of
//! pictures, decoding goes on; otherwise the decoder is flushed and begins at the last random access point from which the picture
//! comes out right: one in front of it in decoding order *and* in the order of presentation, so that the leading pictures of an
//! open group are decoded from the group before. What a container says of its random access points is held against their headers
//! before decoding begins there; a gradual refresh is no such point, since nothing in the stream proves that every sample is right.
//!
//! A batch (`batch`, `plan`) is decoded in the order of the file, each group of pictures once, and given in the order asked
//! for; what waits is bounded. Where several decoders may share the work they take groups side by side.

mod batch;
mod build;
mod engine;
mod index;
mod plan;
mod start;
mod stored;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use batch::Frames;
#[cfg(feature = "fuzzing")]
pub(crate) use stored::fuzz as fuzz_index;

use self::engine::{Engine, Fed};
use self::index::{Index, KEY};
use crate::backend::Backend;
use crate::config::{ColorRequest, Crop, DamagePolicy, DecodeOutputMode, Engines};
use crate::container::Demuxer;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result, name_of};
use crate::frame::Frame;
use crate::limits::Limits;
use crate::pipeline::{Finish, SourceInfo, SourceOptions, can_be_read_again, chosen_video};
use crate::session::DecodeSummary;
use crate::time::{Rational, TimeBase, Timestamp};

/// Bytes of frames that wait in a batch whose order is not that of the file.
const MEMORY: u64 = 512 << 20;
/// Frames kept that came out behind a wanted one.
const SHELF: usize = 8;
/// Packets behind the wanted one after which the decoder is asked for it by a flush.
const MOST_AHEAD: u32 = 64;

/// Opens a file for reading any frame of it; see [`Reader`].
///
/// ```
/// # fn main() -> video_hw::Result<()> {
/// let mut film = video_hw::open("clips/bars.mp4")?;
/// let middle = film.frame(film.len() / 2)?;
/// println!("{} of {} frames: {} {}", film.len() / 2, film.len(), middle.pts, middle.dimensions);
/// for frame in film.frames([30, 0, 12])? {
///     println!("{}", frame?.pts);
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`ReaderBuilder::open`].
pub fn open(path: impl Into<PathBuf>) -> Result<Reader> {
    Reader::builder(path).open()
}

/// How a [`Reader`] finds the frames of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexState {
    /// The container's tables say where they are; otherwise every packet is read once.
    pub by_tables: bool,
    /// What there is of the index that [`ReaderBuilder::with_index`] names.
    pub stored: Option<StoredIndex>,
}

/// An index in a file of its own, held against the file that it is to be of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredIndex {
    /// It is of this file as it is now.
    Fresh,
    /// It is refused; in words, why and what to do.
    Stale(String),
    /// There is no such file.
    Missing,
}

/// What is wanted of the frames of a [`Reader`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens until `open`"]
pub struct ReaderBuilder {
    path: PathBuf,
    options: SourceOptions,
    stored: Option<PathBuf>,
    memory: u64,
}

impl ReaderBuilder {
    /// All settings at once, as a [`crate::pipeline::FrameSource`] takes them. A start and a duration mean nothing here.
    pub fn options(mut self, options: SourceOptions) -> Self {
        self.options = options;
        self
    }

    /// Where pictures go: host memory by default.
    pub fn output(mut self, output: DecodeOutputMode) -> Self {
        self.options.output = output;
        self
    }

    /// Leaves pictures in the decoder's own memory: the GPU's, where one decodes.
    pub fn native(self) -> Self {
        self.output(DecodeOutputMode::NativeSurface)
    }

    /// Frames in [`crate::pixel::PixelFormat::Rgb24`].
    pub fn rgb(self) -> Self {
        self.convert(ColorRequest::Rgb8)
    }

    /// The format that frames are wanted in.
    pub fn convert(mut self, convert: ColorRequest) -> Self {
        self.options.convert = convert;
        self
    }

    /// The size that frames are wanted in.
    pub fn size(mut self, size: Dimensions) -> Self {
        self.options.size = Some(size);
        self
    }

    /// The width that frames are wanted in; see [`crate::pipeline::FramesBuilder::width`].
    pub fn width(mut self, width: u32) -> Self {
        self.options.width = Some(width);
        self
    }

    /// As [`Self::width`], by the height.
    pub fn height(mut self, height: u32) -> Self {
        self.options.height = Some(height);
        self
    }

    /// Frames as a player shows them; see [`crate::pipeline::FramesBuilder::upright`].
    pub fn upright(mut self) -> Self {
        self.options.upright = true;
        self
    }

    /// The part of the picture that is wanted.
    pub fn crop(mut self, crop: Crop) -> Self {
        self.options.crop = Some(crop);
        self
    }

    /// Refuses pictures that the decoder had to mend for damage.
    pub fn strict(mut self) -> Self {
        self.options.damage = DamagePolicy::Strict;
        self
    }

    /// Goes over damage when the file is scanned, instead of ending there; see [`Reader::damage`].
    pub fn keep_going(mut self) -> Self {
        self.options.keep_going = true;
        self
    }

    /// Frame rate of an input that carries no times.
    pub fn frame_rate(mut self, rate: Rational) -> Self {
        self.options.frame_rate = Some(rate);
        self
    }

    /// Decoder to use.
    pub fn backend(mut self, backend: impl Into<Backend>) -> Self {
        self.options.backend = backend.into();
        self
    }

    /// Which device of the backend decodes.
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.options.device = Some(device.into());
        self
    }

    /// How many decoders share the work of a batch whose frames lie in several groups of pictures; by default as many as keep
    /// the device busy. Single frames have one decoder, and it is all there is with [`Engines::One`].
    pub fn engines(mut self, engines: Engines) -> Self {
        self.options.engines = engines;
        self
    }

    /// Threads that a CPU decoder may use.
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.options.threads = Some(threads);
        self
    }

    /// What the file may cost: its index is limited by [`Limits::index_memory`], at 21 bytes a frame.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Bytes of frames that may wait in a batch whose order is not that of the file: 512 MiB by default. Where its frames need
    /// more, it is decoded in several parts.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Takes the index from a file that [`Reader::save_index`] has written, instead of making it. It is refused where it is of
    /// another file, or of this one before it was changed.
    pub fn with_index(mut self, path: impl Into<PathBuf>) -> Self {
        self.stored = Some(path.into());
        self
    }

    /// How the frames would be found; nothing is scanned for it.
    ///
    /// # Errors
    /// As [`Self::open`], but for an index that does not fit.
    pub fn index_state(&self) -> Result<IndexState> {
        let mut demuxer = self.demuxer()?;
        let (track, video) = chosen_video(demuxer.as_ref(), &self.path, self.options.track)?;
        demuxer.select_tracks(&[track.id]);
        let by_tables = build::has_tables(demuxer.as_mut(), (&track, &video));
        let by_tables = by_tables.map_err(|error| error.in_file(&self.path))?;
        let found = |stored: &PathBuf| match stored::load(stored, &self.path, track.id, &self.options.limits)
        {
            Ok(_) => Ok(StoredIndex::Fresh),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(StoredIndex::Missing)
            }
            Err(error @ (Error::InvalidInput { .. } | Error::CorruptStream { .. })) => {
                Ok(StoredIndex::Stale(error.to_string()))
            }
            Err(error) => Err(error),
        };
        Ok(IndexState { by_tables, stored: self.stored.as_ref().map(found).transpose()? })
    }

    fn demuxer(&self) -> Result<Box<dyn Demuxer>> {
        if can_be_read_again(&self.path) {
            return engine::open_demuxer(&self.path, &self.options);
        }
        Err(Error::Unsupported {
            feature: format!("any frame of {}, which can be read only once", name_of(&self.path)),
            remedy: "save it to a file first".into(),
        })
    }

    /// Opens the file and makes its index. The decoder is opened for the first frame.
    ///
    /// # Errors
    /// When the file cannot be read or has no video; for a pipe, which can be read only once, and for uncompressed pictures;
    /// for an index of another file.
    pub fn open(self) -> Result<Reader> {
        let mut demuxer = self.demuxer()?;
        let Self { path, mut options, stored, memory } = self;
        let (track, video) = chosen_video(demuxer.as_ref(), &path, options.track)?;
        let (finish, mut info) = Finish::of_track(&path, demuxer.as_ref(), (&track, &video), &mut options)?;
        demuxer.select_tracks(&[track.id]);
        let index = if let Some(stored) = &stored {
            stored::load(stored, &path, track.id, &options.limits)?
        } else {
            let index = build::of_track(demuxer.as_mut(), (&track, &video), &options);
            index.map_err(|error| error.in_file(&path))?
        };
        info.notes = demuxer.notes().to_vec();
        let one = options.clone().engines(Engines::One);
        let mut info = SourceInfo { frames: Some(index.len() as u64), time_base: index.base, ..info };
        if let Some(damage) = &index.damage {
            info.notes.push(format!("the frames end at damage: {damage}"));
        }
        let one = Engine::new(path, demuxer, (track, video), one);
        Ok(Reader { info, options, index, finish, one, many: None, shelf: VecDeque::new(), memory })
    }
}

/// Any frame of a file, by its number or its time.
///
/// Frames are numbered from zero as they are presented: as [`crate::frames`] gives them, one for one and with the same times.
///
/// ```
/// use std::time::Duration;
/// use video_hw::reader::Reader;
///
/// # fn main() -> video_hw::Result<()> {
/// let mut film = Reader::builder("clips/bars.mp4").width(160).rgb().open()?;
/// let shown = film.frame_at(Duration::from_millis(500))?;
/// assert!(shown.pts.as_duration() <= Duration::from_millis(500));
/// let pts: video_hw::Result<Vec<_>> = film.frames((0..film.len()).rev().step_by(10))?.map(|f| Ok(f?.pts)).collect();
/// assert!(pts?.is_sorted_by(|a, b| a > b));
/// # Ok(()) }
/// ```
pub struct Reader {
    info: SourceInfo,
    options: SourceOptions,
    index: Index,
    finish: Finish,
    /// For single frames.
    one: Engine,
    /// For batches, where several decoders share the work.
    many: Option<Engine>,
    /// Frames that came out behind a wanted one.
    shelf: VecDeque<(usize, Frame)>,
    memory: u64,
}

impl Reader {
    /// Starts opening a file, with settings.
    pub fn builder(path: impl Into<PathBuf>) -> ReaderBuilder {
        ReaderBuilder { path: path.into(), options: SourceOptions::default(), stored: None, memory: MEMORY }
    }

    /// What is known of the file.
    pub fn info(&self) -> &SourceInfo {
        &self.info
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When a frame is presented; `None` behind the last.
    pub fn pts(&self, frame: usize) -> Option<Timestamp> {
        self.index.pts(frame)
    }

    /// When the last frame ends, counted from the start of the presentation.
    pub fn duration(&self) -> Duration {
        self.index.end().as_duration()
    }

    /// The frames at which decoding can begin, as far as the container says it or their headers did.
    pub fn key_frames(&self) -> impl Iterator<Item = usize> + '_ {
        let index = &self.index;
        let is_key =
            |frame: &usize| index.packet(*frame).is_some_and(|packet| index.flags(packet) & KEY != 0);
        (0..index.len()).filter(is_key)
    }

    /// Why there are no frames behind the last one, where the file goes on with damage.
    pub fn damage(&self) -> Option<&str> {
        self.index.damage.as_deref()
    }

    /// The number of the frame that is shown at `time`: the last that is presented by then. `None` before the first frame and
    /// behind the end of the last. What begins or ends within that nanosecond has done so: [`Timestamp::as_duration`] of a
    /// frame's time finds that frame.
    pub fn index_at(&self, time: Duration) -> Option<usize> {
        self.index.shown_before(stamp(time.saturating_add(Duration::from_nanos(1))))
    }

    /// The first frame that is presented at or after `time`; `None` behind the last.
    pub fn first_from(&self, time: Duration) -> Option<usize> {
        Some(self.index.count(|pts| pts.is_before(stamp(time)))).filter(|frame| *frame < self.len())
    }

    /// A frame by its number.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] behind the last frame; what the decoder says of this one, with its number and time.
    pub fn frame(&mut self, frame: usize) -> Result<Frame> {
        let found = match self.index.packet(frame) {
            Some(packet) => self.decode(frame, packet),
            None => Err(self.no_such_frame(frame)),
        };
        found.map_err(|error| self.name(error, frame))
    }

    /// The frame that is shown at `time`.
    ///
    /// # Errors
    /// As [`Self::frame`]; [`Error::InvalidInput`] where none is shown.
    pub fn frame_at(&mut self, time: Duration) -> Result<Frame> {
        let frame = self.index_at(time).ok_or_else(|| self.nothing_at(time))?;
        self.frame(frame)
    }

    /// Frames by their numbers, in any order and as often as they are named: a list, or a range through its iterator. Each group
    /// of pictures is decoded once where the frames have room in memory ([`ReaderBuilder::memory`]).
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a number behind the last frame.
    pub fn frames(&mut self, numbers: impl IntoIterator<Item = usize>) -> Result<Frames<'_>> {
        let mut list = Vec::new();
        for frame in numbers {
            if frame >= self.len() {
                return Err(self.no_such_frame(frame));
            }
            crate::memory::grow(&mut list, 1)?;
            list.push(frame);
        }
        Ok(Frames::new(self, list))
    }

    /// The frames that are shown at some of these times.
    ///
    /// # Errors
    /// As [`Self::frame_at`].
    pub fn frames_at(&mut self, times: impl IntoIterator<Item = Duration>) -> Result<Frames<'_>> {
        let numbers: Result<Vec<_>> =
            times.into_iter().map(|time| self.index_at(time).ok_or_else(|| self.nothing_at(time))).collect();
        self.frames(numbers?)
    }

    /// Writes the index to a file for [`ReaderBuilder::with_index`]. It names the size of the video file, when that was changed,
    /// and a sum of both its ends.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save_index(&self, path: impl AsRef<Path>) -> Result<()> {
        stored::save(&self.index, path.as_ref(), &self.info.path, self.one.track.id)
    }

    /// What the decoder of single frames did so far, and that of batches where there is one of its own.
    pub fn summaries(&self) -> Vec<DecodeSummary> {
        [Some(&self.one), self.many.as_ref()].into_iter().flatten().filter_map(Engine::summary).collect()
    }

    fn decode(&mut self, number: usize, packet: u32) -> Result<Frame> {
        if let Some(at) = self.shelf.iter().position(|(other, _)| *other == number)
            && let Some((_, frame)) = self.shelf.remove(at)
        {
            return Ok(frame);
        }
        let Self { index, finish, one, shelf, .. } = self;
        one.damage = None;
        let start = index.start_for(packet);
        let ahead = |run: engine::Run| packet >= run.next || one.is_inside(number);
        let goes_on = one.run.is_some_and(|run| ahead(run) && run.start <= start && start <= run.next);
        if !goes_on {
            one.restart(index, start, &[packet])?;
        }
        let mut behind = 0;
        loop {
            let fed = one.has_fed(packet);
            if one.run.is_some() && (!fed || one.is_idle()) {
                // Frames behind this one may be wanted next: they are kept as they come.
                match one.feed(index, &|frame| frame >= number)? {
                    Fed::Packet if !fed => continue,
                    Fed::Packet => behind += 1,
                    Fed::Full => {}
                    Fed::End => one.flush()?,
                }
                if behind > MOST_AHEAD {
                    one.flush()?;
                }
            }
            match one.reap(index, finish, true)? {
                Some((found, frame)) if found == number => return Ok(frame),
                Some((found, frame)) => {
                    shelf.truncate(SHELF - 1);
                    shelf.push_front((found, frame));
                    // Frames of one run come in order.
                    if found > number && one.is_flushed() {
                        break;
                    }
                }
                None if one.run.is_none() && one.is_flushed() => break,
                None => {}
            }
        }
        Err(one.damage.take().unwrap_or_else(batch::lost))
    }

    /// What a batch works with; `many`: the engine of several decoders.
    fn parts(&mut self, many: bool) -> (&mut Index, &Finish, &mut Engine) {
        let engine = match &mut self.many {
            Some(engine) if many => engine,
            _ => &mut self.one,
        };
        (&mut self.index, &self.finish, engine)
    }

    /// Whether several decoders may share the work; then they are there.
    fn open_many(&mut self) -> Result<bool> {
        if self.options.engines == Engines::One {
            return Ok(false);
        }
        if self.many.is_none() {
            self.many = Some(self.one.another(self.options.clone())?);
        }
        Ok(true)
    }

    /// How many frames may wait for others.
    fn frames_in_memory(&self) -> usize {
        let size = self.options.size.or(self.info.dimensions);
        let bytes = size.map_or(1, |size| match self.options.convert.format() {
            Some(format) => format.frame_bytes(size) as u64,
            // As decoded: 4:2:0 of ten bits, or 4:4:4 of eight.
            None => size.pixels().saturating_mul(3),
        });
        usize::try_from(self.memory / bytes.max(1)).unwrap_or(usize::MAX).max(1)
    }

    fn no_such_frame(&self, frame: usize) -> Error {
        let damage = self
            .damage()
            .map_or_else(String::new, |damage| format!(", and ends there with damage: {damage}"));
        let frames = self.len();
        Error::invalid_file(
            &self.info.path,
            format!("has {frames} frames{damage}; there is no frame {frame}"),
        )
    }

    fn nothing_at(&self, time: Duration) -> Error {
        let shown = self.pts(0).map_or_else(String::new, |first| {
            format!(", but from {:.3} s to {:.3} s", first.as_secs_f64(), self.index.end().as_secs_f64())
        });
        Error::invalid_file(&self.info.path, format!("shows no frame at {:.3} s{shown}", time.as_secs_f64()))
    }

    /// The error of a frame, which says which.
    fn name(&self, error: Error, frame: usize) -> Error {
        let Some(pts) = self.pts(frame) else { return error };
        match error {
            Error::CorruptStream { what, recoverable, remedy } => {
                Error::CorruptStream { what: format!("frame {frame} at {pts}: {what}"), recoverable, remedy }
            }
            other => other,
        }
        .in_file(&self.info.path)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.info.path)
            .field("frames", &self.len())
            .finish_non_exhaustive()
    }
}

fn stamp(time: Duration) -> Timestamp {
    Timestamp::new(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX), TimeBase::NANOS)
}
