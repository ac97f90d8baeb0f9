//! Frames of any input: a container is demuxed and decoded, an uncompressed file is read, each on threads of
//! their own.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::begin;
use super::control::CancelToken;
use super::feed::{self, Feed};
use super::finish::{Finish, states_shape};
use super::fit::{Fit, Stated};
use super::reopen::can_be_read_again;
use super::side::Side;
use super::tracks::TrackSelection;
use super::window::{Place, Window};
use crate::backend::{self, Backend, BackendKind, Receipt};
use crate::codec::Codec;
use crate::config::setters::setters;
use crate::config::{
    ColorRequest, CommonDecodeConfig, Crop, DamagePolicy, DecodeOutputMode, Engines, FailurePolicy,
};
use crate::container::{Demuxer, FileMetadata, Input, Track, TrackId, VideoTrack};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::failover::FailoverDecoder;
use crate::frame::Frame;
use crate::limits::{Limit, Limits};
use crate::rawvideo::{FrameReader, PictureTimes, VideoFormat};
use crate::session::{DecodeSession, DecodeSummary, Takeover};
use crate::time::{Rational, TimeBase, Timestamp};
use crate::transform::TransformRequest;

/// Problems remembered by their words; the rest is only counted.
const PROBLEMS_KEPT: usize = 10;

/// How to read an input.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceOptions {
    /// Decoder to use.
    pub backend: Backend,
    /// Where pictures go. Uncompressed input is always in host memory.
    pub output: DecodeOutputMode,
    /// The format they are wanted in.
    pub convert: ColorRequest,
    /// The part of the picture that is wanted.
    pub crop: Option<Crop>,
    /// The size it is wanted in.
    pub size: Option<Dimensions>,
    /// The width it is wanted in; the height follows from the shape that is shown, and samples become square.
    pub width: Option<u32>,
    /// The same by the height.
    pub height: Option<u32>,
    /// Turned and stretched as the input says that it is shown: samples become square. Cutting comes first.
    pub upright: bool,
    /// What becomes of pictures that the decoder had to mend.
    pub damage: DamagePolicy,
    /// Skip what is presented before this time; the first frame's time becomes the distance to it.
    pub start: Option<Duration>,
    /// Frames keep their times in the input, also behind `start`.
    pub original_times: bool,
    /// Stop after this much presented time.
    pub duration: Option<Duration>,
    /// Go on after damage, counting it, instead of stopping with an error.
    pub keep_going: bool,
    /// Threads a CPU decoder may use.
    pub threads: Option<NonZeroUsize>,
    /// Which device of the backend; see [`CommonDecodeConfig::device`].
    pub device: Option<String>,
    /// What the stream is called in metrics; see [`CommonDecodeConfig::stream`].
    pub stream: Option<String>,
    /// Each frame as soon as the stream's reordering allows, by one decoder; see [`CommonDecodeConfig::low_latency`].
    pub low_latency: bool,
    /// How many decoders share the work; by default [`Engines::Auto`]. An input that can be read only once (a pipe) has
    /// one then, unless several devices are named.
    pub engines: Engines,
    /// See [`CommonDecodeConfig::reorder_window`].
    pub reorder_window: Option<u64>,
    /// Layout of headerless input; without it the format is recognised.
    pub raw: Option<VideoFormat>,
    /// Frame rate of streams that carry no times.
    pub frame_rate: Option<Rational>,
    /// Times of pictures that carry none: images, and uncompressed pictures in one file.
    pub times: PictureTimes,
    /// Pictures from one's coding to its showing, at most, in a file that will be made of these: what MP4 can count exactly
    /// depends on it. 0 where there are no B frames; by default 5.
    pub reordered: Option<u32>,
    /// The process ends with this job, and does so without running exit handlers (`_exit`): what is open on a GPU at the
    /// end is left to the system, which takes it back faster than the driver gives it.
    pub ends_process: bool,
    /// What becomes of the job when the decoder dies on the way: the input is decoded again from the last random access
    /// point by another, which no frame is lost or doubled by. Its frames may be of another format. By default the job
    /// ends.
    pub on_failure: FailurePolicy,
    /// What the input may cost.
    pub limits: Limits,
    /// Bytes that a temporary file may take for a pipe that cannot be read as it comes; see
    /// [`OpenOptions::spool`](crate::container::OpenOptions::spool).
    pub spool: Option<u64>,
    /// The video track; by default [`crate::container::main_video`].
    pub track: Option<TrackId>,
    /// Stops reading when asked, also while the input is a pipe from which nothing comes.
    pub cancel: CancelToken,
    /// Takes the tracks that are copied where the input can be read only once.
    pub(super) side: Option<Side>,
}

setters!(SourceOptions {
    backend: Backend, output: DecodeOutputMode, convert: ColorRequest, upright: bool,
    damage: DamagePolicy, original_times: bool, keep_going: bool, low_latency: bool, engines: Engines,
    times: PictureTimes, ends_process: bool, on_failure: FailurePolicy, limits: Limits,
    cancel: CancelToken,
} option {
    crop: Crop, size: Dimensions, width: u32, height: u32, start: Duration, duration: Duration,
    threads: NonZeroUsize, device: String, stream: String, reorder_window: u64, raw: VideoFormat,
    frame_rate: Rational, reordered: u32, spool: u64, track: TrackId,
});

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            output: DecodeOutputMode::default(),
            convert: ColorRequest::default(),
            crop: None,
            size: None,
            width: None,
            height: None,
            upright: false,
            damage: DamagePolicy::default(),
            start: None,
            original_times: false,
            duration: None,
            keep_going: false,
            threads: None,
            device: None,
            low_latency: false,
            engines: Engines::Auto,
            reorder_window: None,
            raw: None,
            frame_rate: None,
            times: PictureTimes::default(),
            stream: None,
            reordered: None,
            ends_process: false,
            on_failure: FailurePolicy::Stop,
            limits: Limits::default(),
            spool: None,
            track: None,
            cancel: CancelToken::default(),
            side: None,
        }
    }
}

impl SourceOptions {
    /// Whether more than one device is asked for.
    pub(super) fn names_several_devices(&self) -> bool {
        self.device.as_deref().is_some_and(|list| list.contains(',') || list.eq_ignore_ascii_case("all"))
    }

    /// How a track is decoded.
    pub(crate) fn decode_config(&self, video: &VideoTrack) -> CommonDecodeConfig {
        CommonDecodeConfig {
            output: self.output,
            convert: self.convert,
            crop: self.crop,
            size: self.size,
            damage: self.damage,
            codec_config: video.codec_config.clone(),
            // The decoders of MPEG-2 do not report the rate of the sequence header.
            frame_rate: self.frame_rate.or(video.frame_rate.filter(|_| video.codec == Codec::Mpeg2)),
            color: video.color,
            threads: self.threads,
            device: self.device.clone(),
            stream: self.stream.clone(),
            low_latency: self.low_latency,
            engines: self.engines,
            reorder_window: self.reorder_window,
            limits: self.limits.clone(),
            ..CommonDecodeConfig::new(video.codec)
        }
    }

    /// What is to be done to frames that no decode session does it to.
    fn transform(&self) -> TransformRequest {
        let rgb = self.output == DecodeOutputMode::CpuRgb;
        TransformRequest {
            crop: self.crop,
            size: self.size,
            convert: if rgb { ColorRequest::Rgb8 } else { self.convert },
            ..TransformRequest::default()
        }
    }
}

/// What is known of an input before its first frame.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceInfo {
    /// The file.
    pub path: PathBuf,
    /// Container or file format, for people.
    pub format: String,
    /// Codec; `None` for uncompressed input.
    pub codec: Option<Codec>,
    /// Size of the pictures as they are stored, where known before decoding.
    pub dimensions: Option<Dimensions>,
    /// Time base of the frames.
    pub time_base: TimeBase,
    /// Average frame rate, where known.
    pub frame_rate: Option<Rational>,
    /// Frames to expect, where known (with `start` and `duration` an estimate).
    pub frames: Option<u64>,
    /// Duration to expect, where known.
    pub duration: Option<Duration>,
    /// ISO/IEC 14496-12 transformation matrix that is left to be done to the frames, where it is not the identity.
    pub matrix: Option<[i32; 9]>,
    /// All tracks of the container.
    pub tracks: Vec<Track>,
    /// The one of them that is decoded.
    pub track: Option<TrackId>,
    /// What the container says beside its samples.
    pub metadata: FileMetadata,
    /// What the user should know of how the input is read.
    pub notes: Vec<String>,
}

impl SourceInfo {
    pub(crate) fn of_track(
        path: &Path,
        demuxer: &dyn Demuxer,
        (track, video): (&Track, &VideoTrack),
        options: &SourceOptions,
    ) -> Self {
        Self {
            path: path.to_owned(),
            format: demuxer.format().to_string(),
            codec: Some(video.codec),
            dimensions: Some(video.dimensions),
            time_base: track.time_base,
            frame_rate: video.frame_rate.or(options.frame_rate),
            frames: track.sample_count,
            duration: track.duration.map(Timestamp::as_duration),
            matrix: video.matrix.filter(|_| !options.upright),
            tracks: demuxer.tracks().to_vec(),
            track: Some(track.id),
            metadata: demuxer.metadata().cloned().unwrap_or_default(),
            notes: demuxer.notes().to_vec(),
        }
    }

    /// What the container says of the pictures that are decoded.
    pub fn video(&self) -> Option<&VideoTrack> {
        self.tracks.iter().find(|track| Some(track.id) == self.track)?.video.as_ref()
    }
}

/// What reading an input came to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SourceSummary {
    /// The decode session; `None` for uncompressed input. Of several, the last.
    pub decode: Option<DecodeSummary>,
    /// Sessions whose decoder died before.
    pub decode_before: Vec<DecodeSummary>,
    /// Their deaths, and what took over.
    pub takeovers: Vec<Takeover>,
    /// Frames that were decoded a second time for that, and not given again.
    pub again: u64,
    /// Frames given.
    pub frames: u64,
    /// Frames decoded or read, but outside `start` and `duration`.
    pub outside: u64,
    /// Frames whose times a transcode put right because they did not increase, lay too far apart, or changed their unit.
    pub times_mended: u64,
    /// Damage gone over ([`SourceOptions::keep_going`]).
    pub problem_count: u64,
    /// The first of them, in words.
    pub problems: Vec<String>,
    /// What there is to know of the input that only reading it has shown.
    pub notes: Vec<String>,
}

impl SourceSummary {
    /// Counts damage that was gone over.
    pub(super) fn add_problem(&mut self, error: &Error) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_KEPT {
            self.problems.push(error.to_string());
        }
    }
}

/// Gives the frames of one video track in presentation order. Dropping it stops its threads (one that waits for
/// a silent pipe stops with the next byte).
pub struct FrameSource {
    info: SourceInfo,
    pub(super) feed: Feed,
    pub(super) options: SourceOptions,
    pub(super) decoders: FailoverDecoder,
    finish: Finish,
    pub(super) window: Window,
    keep_going: bool,
    ends_process: bool,
    cancel: CancelToken,
    done: bool,
    /// The damage that ends the job, once the frames before it are given.
    damage: Option<Error>,
    /// Time of the last frame before the wanted part.
    skipped: Option<Timestamp>,
    pub(super) summary: SourceSummary,
}

impl FrameSource {
    /// Opens `path` (`-` is standard input; for images see [`crate::rawvideo::is_image_input`]) and starts reading.
    ///
    /// # Errors
    /// When the file cannot be read, has no video, or nothing here decodes it.
    pub fn open(path: &Path, options: &SourceOptions) -> Result<Self> {
        Self::open_for(path, &mut options.clone(), |_, _| ())
    }

    /// As [`Self::open`]; `choose` may change the options when it is known what there is to decode.
    pub(super) fn open_for(
        path: &Path,
        options: &mut SourceOptions,
        choose: impl FnOnce(&VideoTrack, &mut SourceOptions),
    ) -> Result<Self> {
        Fit::check(options)?;
        Self::open_from(path, options, choose, None)
    }

    /// As [`Self::open`], but begins with the frame that is given this time.
    pub(super) fn open_at(path: &Path, options: &SourceOptions, at: Option<Timestamp>) -> Result<Self> {
        Self::open_from(path, &mut options.clone(), |_, _| (), at)
    }

    fn open_from(
        path: &Path,
        options: &mut SourceOptions,
        choose: impl FnOnce(&VideoTrack, &mut SourceOptions),
        at: Option<Timestamp>,
    ) -> Result<Self> {
        let input = feed::open(path, options)?;
        let window = Window::new(options);
        let from = at.map_or(window.start, |at| Some(window.unshifted(at)));
        let mut contained = false;
        let (mut info, feed, receipt, fit) = match input {
            Input::Demuxer(demuxer) => {
                contained = states_shape(demuxer.format());
                let (info, feed, receipt, fit) = Self::decode(path, demuxer, options, choose, from)?;
                (info, feed, Some(receipt), fit)
            }
            Input::Frames(reader) => {
                let (info, feed, fit) = Self::read(path, reader, options)?;
                (info, feed, None, fit)
            }
        };
        window.narrow(&mut info);
        let finish = Finish::new(&info, options, contained, fit);
        Ok(Self {
            info,
            feed,
            decoders: FailoverDecoder::new(options.backend, options.on_failure, receipt),
            options: options.clone(),
            finish,
            window,
            keep_going: options.keep_going,
            ends_process: options.ends_process,
            cancel: options.cancel.clone(),
            done: false,
            damage: None,
            skipped: None,
            summary: SourceSummary::default(),
        })
    }

    fn decode(
        path: &Path,
        demuxer: Box<dyn Demuxer>,
        options: &mut SourceOptions,
        choose: impl FnOnce(&VideoTrack, &mut SourceOptions),
        from: Option<Timestamp>,
    ) -> Result<(SourceInfo, Feed, Receipt, Fit)> {
        let (track, video) = chosen_video(demuxer.as_ref(), path, options.track)?;
        // Parts are decoded ahead of their turn: nothing for what is live.
        if options.engines == Engines::Auto && !options.names_several_devices() && !can_be_read_again(path) {
            options.engines = Engines::One;
        }
        let fit = Fit::resolve(options, &Stated::of_track(&video), path)?;
        choose(&video, options);
        let info = SourceInfo::of_track(path, demuxer.as_ref(), (&track, &video), options);
        let (feed, receipt) = Self::start(demuxer, (track, video), options, from)?;
        Ok((info, feed, receipt, fit))
    }

    /// Starts to decode a track, at the last random access point before `from`.
    pub(super) fn start(
        mut demuxer: Box<dyn Demuxer>,
        (track, video): (Track, VideoTrack),
        options: &SourceOptions,
        from: Option<Timestamp>,
    ) -> Result<(Feed, Receipt)> {
        let session = DecodeSession::new(options.backend, options.decode_config(&video))?;
        let receipt = session.receipt();
        let mut selected = vec![track.id];
        if let Some(side) = &options.side {
            selected.extend(side.want(demuxer.tracks(), track.id));
        }
        demuxer.select_tracks(&selected);
        if let Some(from) = from {
            begin::seek(demuxer.as_mut(), (track.id, &video), from, begin::Purpose::Decode)?;
        }
        let (side, cancel) = (options.side.clone(), options.cancel.clone());
        let feed = Feed::decode(demuxer, session.split(), side, options.keep_going, cancel)?;
        Ok((feed, receipt))
    }

    fn read(
        path: &Path,
        reader: Box<dyn FrameReader>,
        options: &mut SourceOptions,
    ) -> Result<(SourceInfo, Feed, Fit)> {
        let format = reader.video_format();
        let size = format.dimensions;
        let what = || format!("{}: a picture of {size}", path.display());
        options.limits.check(Limit::PicturePixels, size.pixels(), what())?;
        let fit = Fit::resolve(options, &Stated::of_pictures(&format), path)?;
        let info = SourceInfo {
            path: path.to_owned(),
            format: reader.describe(),
            codec: None,
            dimensions: Some(format.dimensions),
            time_base: reader.time_base(),
            frame_rate: Some(format.frame_rate),
            frames: reader.frames(),
            duration: reader.duration(),
            matrix: None,
            tracks: Vec::new(),
            track: None,
            metadata: FileMetadata::default(),
            notes: reader.notes().to_vec(),
        };
        let feed = Feed::read(reader, options.transform(), options.cancel.clone())?;
        Ok((info, feed, fit))
    }

    /// What is known before the first frame.
    pub fn info(&self) -> &SourceInfo {
        &self.info
    }

    /// The next frame; `None` at the end, which a cancelled source reaches with what it has read so far.
    ///
    /// # Errors
    /// Damage in the input (unless [`SourceOptions::keep_going`]), behind the frames before it, or the end of the decoder.
    /// Nothing comes behind an error.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        while !self.done {
            let given = self.feed.next(&self.cancel);
            if self.decoders.is_catching_up() {
                self.note_damage();
            }
            match given {
                Ok(None) => {
                    self.done = true;
                    if let Some(error) = self.damage.take() {
                        return Err(error.ending().in_file(&self.info.path));
                    }
                }
                Ok(Some(frame)) if !self.decoders.is_new(&frame) => {}
                Ok(Some(frame)) => match self.window.place(&frame) {
                    Place::Before => {
                        self.summary.outside += 1;
                        self.skipped = Some(frame.pts);
                    }
                    Place::Behind => {
                        self.summary.outside += 1;
                        self.done = true;
                    }
                    Place::Inside { pts, duration } => {
                        self.summary.frames += 1;
                        let frame = Frame { pts, duration, ..frame };
                        return self.finish.of(frame).inspect_err(|_| self.done = true).map(Some);
                    }
                },
                Err(error) if self.keep_going && error.is_recoverable() => {
                    // What is damaged in the input comes before what a decoder thinks of it.
                    self.note_damage();
                    self.note(&error);
                }
                Err(error @ Error::CorruptStream { recoverable: true, .. }) => {
                    let first = self.damage.take().unwrap_or(error);
                    if !self.feed.stop() {
                        self.done = true;
                        return Err(first.ending().in_file(&self.info.path));
                    }
                    self.damage = Some(first);
                }
                Err(error) => {
                    if let Err(error) = self.go_on(error) {
                        self.done = true;
                        let first = self.damage.take().unwrap_or(error);
                        return Err(first.ending().in_file(&self.info.path));
                    }
                }
            }
        }
        Ok(None)
    }

    /// What reading came to so far.
    pub fn summary(&mut self) -> SourceSummary {
        self.summary.decode = self.decode_summary().or(self.summary.decode.take());
        self.note_damage();
        if let Feed::Decoder { faults, .. } = &self.feed {
            // A decoder that takes over meets the same again.
            let new = faults.take_notes();
            for note in new {
                if !self.summary.notes.contains(&note) && !self.info.notes.contains(&note) {
                    self.summary.notes.push(note);
                }
            }
        }
        self.summary.takeovers = self.decoders.log.as_ref().map_or_else(Vec::new, |log| log.since(0));
        self.summary.again = self.decoders.again;
        self.summary.clone()
    }

    /// What the decoder at hand did.
    pub(super) fn decode_summary(&self) -> Option<DecodeSummary> {
        match &self.feed {
            Feed::Decoder { frames, .. } => Some(frames.summary()),
            Feed::Reader(_) => None,
        }
    }

    /// Why not a single frame came.
    pub(super) fn nothing(&mut self) -> Error {
        let read = self.summary();
        let name = self.info.path.display();
        if self.cancel.is_cancelled() {
            return Error::Cancelled;
        }
        if let (Some(start), Some(last)) = (self.window.start, self.skipped) {
            return Error::invalid(format!(
                "start {} s lies behind the last frame of {name}, which is shown at {:.3} s; give an earlier start",
                start.as_duration().as_secs_f64(),
                last.as_secs_f64()
            ));
        }
        if let Some(first) = read.problems.first() {
            let what = format!(
                "no frame of {name} could be decoded: there is damage at {} places, the first: {first}",
                read.problem_count
            );
            // The embedded decoder is the last that is chosen automatically.
            let last = read.decode.as_ref().and_then(|decode| decode.receipt.chosen());
            let last = last.is_some_and(|(kind, _)| kind == BackendKind::EMBEDDED);
            let error = Error::corrupt_fatal(what).with_remedy(Remedy::OtherBackend);
            return if last && self.options.backend == Backend::Auto {
                error.after_every_backend()
            } else {
                error
            };
        }
        Error::corrupt_fatal(format!("{name} ({}) holds no frame in the wanted part", self.info.format))
    }

    /// Counts the damage that the reading thread has gone over.
    pub(super) fn note_damage(&mut self) {
        if let Feed::Decoder { faults, .. } = &self.feed {
            for error in faults.take_recovered() {
                self.note(&error);
            }
        }
    }

    fn note(&mut self, error: &Error) {
        if self.decoders.is_catching_up() {
            return;
        }
        self.summary.add_problem(error);
    }
}

impl Drop for FrameSource {
    fn drop(&mut self) {
        if self.ends_process {
            backend::leave_to_exit();
        }
    }
}

impl Iterator for FrameSource {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_frame().transpose()
    }
}

/// The track that is decoded, which has to be one with pictures where it is asked for by number.
pub(crate) fn chosen_video(
    demuxer: &dyn Demuxer,
    path: &Path,
    wanted: Option<TrackId>,
) -> Result<(Track, VideoTrack)> {
    let tracks = demuxer.tracks();
    let selection = TrackSelection { video: wanted, ..TrackSelection::default() };
    selection.check(tracks, path)?;
    if let Some(track) = selection.video(tracks, demuxer.disabled_tracks())
        && let Some(video) = &track.video
    {
        return Ok((track.clone(), video.clone()));
    }
    let names: Vec<_> = tracks.iter().map(|t| t.codec_name.as_str()).collect();
    Err(Error::Unsupported {
        feature: format!(
            "{} has no video track that can be decoded (tracks: {})",
            path.display(),
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        ),
        remedy: format!("codecs that can be decoded: {}", Codec::ALL.map(Codec::name).join(", ")).into(),
    })
}
