//! The whole job: any input to a compressed file.
//!
//! ```text
//! vhw-demux ── packets ─► vhw-decode ── frames ─► vhw-filter ── frames ─► vhw-encode ── packets ─► caller: mux
//! ```
//! Every arrow is a bounded queue, so memory does not grow with the input. Tracks that are copied are read
//! through a second demuxer on the caller's thread, just far enough to keep them interleaved with the video.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::carried::{describe, output_track};
use super::control::{CancelToken, Progress, ProgressFn, Reporter, expected_frames};
use super::filter::{FilterOptions, FilterSummary, FrameFilter};
use super::frame_times::{FrameTimes, track_base};
use super::hdr;
use super::memory::{self, FrameMemory};
use super::notes::{self, Note};
use super::passthrough::Passthrough;
use super::reopen;
use super::side::Side;
use super::source::{FrameSource, SourceInfo, SourceOptions, SourceSummary};
use super::target::StreamTarget;
use super::threads::{Beginning, FilterStage, Filtered, TakeoverFn, Writer};
use super::tracks::TrackSelection;
use crate::backend::SessionRequest;
use crate::backend::{Backend, FormatQuestion, pick_input_format};
use crate::codec::Codec;
use crate::config::{
    BackendEncodeConfig, CommonEncodeConfig, Engines, FailurePolicy, RateControl, SessionAdmission,
};
use crate::container::{MuxOptions, OutputFormat, create_muxer};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::failover::FrameRecovery;
use crate::frame::Frame;
use crate::output_file::{self, OutputFile};
use crate::pixel::PixelFormat;
use crate::rawvideo::VideoFormat;
use crate::session::{EncodeSession, EncodeSummary, LossKind, Losses};
use crate::time::{Rational, TimeBase, Timestamp};
use crate::transform;

/// Nominal rate of streams that state none; only rate control works by it.
const NOMINAL_RATE: (u32, u32) = (25, 1);
/// Frames per second beyond which what an input states of its rate is not believed.
const MOST_RATE: f64 = 1000.0;

/// A transcode, to be set up and run. See [`crate::transcode`].
#[must_use = "nothing happens until `run`"]
pub struct Transcode<'a> {
    input: PathBuf,
    output: PathBuf,
    pub(super) source: SourceOptions,
    filter: FilterOptions,
    codec: Option<Codec>,
    output_format: Option<String>,
    encode_backend: Backend,
    special: BackendEncodeConfig,
    rate_control: Option<RateControl>,
    gop_length: Option<u32>,
    b_frames: Option<u32>,
    pub(super) target: StreamTarget,
    max_frames: Option<u64>,
    encode_threads: Option<NonZeroUsize>,
    admission: SessionAdmission,
    overwrite: bool,
    mux: MuxOptions,
    copy_tracks: bool,
    pub(super) selection: TrackSelection,
    progress: Option<ProgressFn<'a>>,
    pub(super) on_failure: FailurePolicy,
    pub(super) on_takeover: Option<TakeoverFn<'a>>,
}

/// What a transcode did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TranscodeReport {
    /// The input.
    pub source: SourceInfo,
    /// Reading and decoding.
    pub input: SourceSummary,
    /// Rate, size and format changes.
    pub filter: FilterSummary,
    /// Encoding.
    pub encode: EncodeSummary,
    /// The frames that were read and are not in the output, by reason.
    pub losses: Losses,
    /// Where frames were between decoder and encoder.
    pub memory: FrameMemory,
    /// The output.
    pub output: PathBuf,
    /// Video samples written.
    pub video_samples: u64,
    /// Samples of other tracks written untouched.
    pub copied_samples: u64,
    /// Bytes of the finished file.
    pub bytes: u64,
    /// Presented time of the output.
    pub duration: Duration,
    /// Wall time.
    pub wall: Duration,
    /// Stopped early on request.
    pub cancelled: bool,
    /// What the user should know: tracks left out, precision lost.
    pub notes: Vec<Note>,
}

impl TranscodeReport {
    /// Whether every frame is accounted for from the file that went in to the file that came out.
    pub fn balances(&self) -> bool {
        let decoded = self.input.decode.iter().chain(&self.input.decode_before).all(|d| d.ledger.balances());
        decoded
            && self.input.frames == self.filter.frames_in
            && self.filter.balances()
            && self.filter.frames_out == self.encode.ledger.submitted
            && self.encode.ledger.balances()
            && self.encode.ledger.pending == 0
            && self.encode.ledger.delivered == self.video_samples
            && self.losses.count(LossKind::Dropped)
                == self.filter.dropped + self.encode.ledger.dropped_total()
            && self.losses.count(LossKind::Failed) == self.encode.ledger.failed
    }

    /// What ran where; the receipts themselves tell why (`{:#}`).
    pub fn receipt(&self) -> String {
        match &self.input.decode {
            Some(decode) => format!("{} -> {}", decode.receipt, self.encode.receipt),
            None => self.encode.receipt.to_string(),
        }
    }
}

impl<'a> Transcode<'a> {
    /// From `input` to `output`; `-` is standard input or output.
    pub fn new(input: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Self {
            input: input.into(),
            output: output.into(),
            source: SourceOptions::default(),
            filter: FilterOptions::default(),
            codec: None,
            output_format: None,
            encode_backend: Backend::Auto,
            special: BackendEncodeConfig::None,
            rate_control: None,
            gop_length: None,
            b_frames: None,
            target: StreamTarget::default(),
            max_frames: None,
            encode_threads: None,
            admission: SessionAdmission::Refuse,
            overwrite: false,
            mux: MuxOptions::default(),
            copy_tracks: true,
            selection: TrackSelection::default(),
            progress: None,
            on_failure: FailurePolicy::Auto,
            on_takeover: None,
        }
    }

    /// Codec of the output; by default what the output's name implies, else H.264.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = Some(codec);
        self
    }

    /// Average bits per second.
    pub fn bitrate(self, bits_per_second: u32) -> Self {
        self.rate_control(RateControl::Vbr { avg_bps: bits_per_second, max_bps: None })
    }

    /// Rate control.
    pub fn rate_control(mut self, rate_control: RateControl) -> Self {
        self.rate_control = Some(rate_control);
        self
    }

    /// Frames from one IDR to the next.
    pub fn gop_length(mut self, frames: u32) -> Self {
        self.gop_length = Some(frames);
        self
    }

    /// B frames between P frames.
    pub fn b_frames(mut self, frames: u32) -> Self {
        self.b_frames = Some(frames);
        self
    }

    /// Constant output frame rate.
    pub fn frame_rate(mut self, rate: Rational) -> Self {
        self.filter.frame_rate = Some(rate);
        self
    }

    /// Output size. By default that of the first picture, an odd side with one column or row more; pictures of other sizes are
    /// scaled to it, and the report's notes say so.
    pub fn size(mut self, size: Dimensions) -> Self {
        self.filter.size = Some(size);
        self
    }

    /// Makes interlaced pictures progressive, on the CPU and one for one; see [`FilterOptions::deinterlace`]. Without it they
    /// are encoded as frames that hold both fields, and the report's notes say so.
    pub fn deinterlace(mut self, deinterlace: bool) -> Self {
        self.filter.deinterlace = deinterlace;
        self
    }

    /// Pixel format given to the encoder.
    pub fn pixel_format(mut self, format: PixelFormat) -> Self {
        self.filter.format = Some(format);
        self
    }

    /// Layout of a headerless input file.
    pub fn raw_input(mut self, format: VideoFormat) -> Self {
        self.source.raw = Some(format);
        self
    }

    /// Frame rate of inputs that carry no times.
    pub fn input_frame_rate(mut self, rate: Rational) -> Self {
        self.source.frame_rate = Some(rate);
        self
    }

    /// Begin at this time of the input.
    pub fn start(mut self, start: Duration) -> Self {
        self.source.start = Some(start);
        self
    }

    /// Stop after this much presented time.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.source.duration = Some(duration);
        self
    }

    /// Stop after this many frames.
    pub fn max_frames(mut self, frames: u64) -> Self {
        self.max_frames = Some(frames);
        self
    }

    /// Decoder and encoder.
    pub fn backend(self, backend: impl Into<Backend>) -> Self {
        let backend = backend.into();
        self.decode_backend(backend).encode_backend(backend)
    }

    /// Decoder.
    pub fn decode_backend(mut self, backend: impl Into<Backend>) -> Self {
        self.source.backend = backend.into();
        self
    }

    /// Encoder.
    pub fn encode_backend(mut self, backend: impl Into<Backend>) -> Self {
        self.encode_backend = backend.into();
        self
    }

    /// Encoder settings that only one backend understands.
    pub fn backend_config(mut self, special: BackendEncodeConfig) -> Self {
        self.special = special;
        self
    }

    /// Which device of the decoder's and of the encoder's backend: ordinal or identifier; see
    /// [`CommonDecodeConfig::device`]. Of several, the first encodes.
    ///
    /// [`CommonDecodeConfig::device`]: crate::config::CommonDecodeConfig::device
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.source.device = Some(device.into());
        self
    }

    /// What the job is called in metrics, its decoder and its encoder; see
    /// [`CommonDecodeConfig::stream`](crate::config::CommonDecodeConfig::stream).
    pub fn stream_name(mut self, name: impl Into<String>) -> Self {
        self.source.stream = Some(name.into());
        self
    }

    /// The process ends with this job; see [`SourceOptions::ends_process`].
    ///
    /// [`SourceOptions::ends_process`]: super::SourceOptions::ends_process
    pub fn ends_process(mut self) -> Self {
        self.source.ends_process = true;
        self
    }

    /// How many decoders share the input; see [`SourceOptions::engines`].
    ///
    /// [`SourceOptions::engines`]: super::SourceOptions::engines
    pub fn engines(mut self, engines: Engines) -> Self {
        self.source.engines = engines;
        self
    }

    /// Threads for CPU codecs, decoder and encoder each.
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.source.threads = Some(threads);
        self.encode_threads = Some(threads);
        self
    }

    /// Container of the output when its name does not tell (`mp4`, `h264`, `ivf` ...).
    pub fn output_format(mut self, name: impl Into<String>) -> Self {
        self.output_format = Some(name.into());
        self
    }

    /// What to do when the encoder's device has no session left.
    pub fn session_admission(mut self, admission: SessionAdmission) -> Self {
        self.admission = admission;
        self
    }

    /// Replace the output if it exists.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Puts the index of an MP4 file in front of its media data, so that playing over a network begins at once.
    pub fn faststart(mut self, faststart: bool) -> Self {
        self.mux.faststart = faststart;
        self
    }

    /// Writes fragmented MP4, which is playable as far as it is written. MP4 into a pipe always is.
    pub fn fragmented(mut self, fragmented: bool) -> Self {
        self.mux.fragmented = fragmented;
        self
    }

    /// Whether audio and other tracks are copied. By default they are as far as the output can hold them; the report's notes tell
    /// what is left out.
    pub fn copy_tracks(mut self, copy: bool) -> Self {
        self.copy_tracks = copy;
        self
    }

    /// Go on after damage in the input, counting it, instead of stopping with an error.
    pub fn keep_going(mut self, keep_going: bool) -> Self {
        self.source.keep_going = keep_going;
        self
    }

    /// Stops early, with a finished output, when the token is cancelled.
    pub fn cancel_token(mut self, token: CancelToken) -> Self {
        self.source.cancel = token;
        self
    }

    /// Calls `tell` with the state of the job, at most ten times per second, on the calling thread.
    pub fn on_progress(mut self, tell: impl FnMut(&Progress) + 'a) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }

    /// Does it.
    ///
    /// # Errors
    /// The first thing that went wrong; no output file is left then (unless it is a pipe).
    pub fn run(mut self) -> Result<TranscodeReport> {
        let started = Instant::now();
        self.source.cancel = self.source.cancel.of_one_job();
        output_file::refuse_directory(&self.output)?;
        if let Some(crop) =
            self.source.crop.filter(|crop| self.filter.deinterlace && !crop.top.is_multiple_of(4))
        {
            return Err(Error::invalid(format!(
                "a crop from row {} parts the lines of a field from its chroma: to be deinterlaced, pictures begin at a multiple \
                 of 4 rows",
                crop.top
            )));
        }
        let format = OutputFormat::from_path(&self.output, self.output_format.as_deref())?;
        let codec = self.codec.or(format.implied_codec()).unwrap_or(Codec::H264);
        // B frames lie between pictures that are coded before them, and coding begins so much earlier.
        self.source.reordered = match self.b_frames {
            None if !self.encode_backend.may_reorder() || self.source.low_latency => Some(0),
            None => None,
            Some(0) => Some(0),
            Some(b) => Some(b.saturating_add(2)),
        };
        if self.copy_tracks && !reopen::can_be_read_again(&self.input) {
            self.source.side = Some(Side::default());
        }
        let mut notes = Vec::new();
        let mut source = self.open_source(codec, &mut notes, started)?;
        let decoded = source.info().codec.is_some();
        // A crop that the pictures do not have is wrong in the call, and not in the input.
        let of_input = decoded && self.source.crop.is_none();
        let begin = source.next_frame().map_err(|e| if of_input { e.of_input(&self.input) } else { e })?;
        let Some(first) = begin else {
            return Err(source.nothing());
        };
        let (info, shape) = (source.info().clone(), first.sample_aspect_ratio);
        self.selection.check(&info.tracks, &self.input)?;
        notes.extend(info.notes.iter().cloned());

        let opened = self.open_encoder(codec, &info, &first, &mut notes, started);
        let (session, encode_config) = opened.map_err(|error| format.without_encoder(error))?;
        notes.extend(hdr::lost(&encode_config, session.receipt(), format));
        let file = OutputFile::create(&self.output, self.overwrite, std::slice::from_ref(&self.input))?;
        let mut muxer = create_muxer(format, &file, self.mux)?;
        // Where the rate is made constant the times of the frames may be whatever they are.
        let mends = self.source.keep_going || self.filter.frame_rate.is_some();
        let frame_base = track_base(first.pts.base(), mends);
        let time_base = self.filter.frame_rate.map_or(frame_base, TimeBase::from_frame_rate);
        let may_reorder = self.source.reordered != Some(0);
        let times = FrameTimes::new(frame_base, encode_config.frame_rate, may_reorder, mends);
        let video_track = muxer.add_track(&output_track(&encode_config, time_base, &info, shape))?;
        let passthrough = if self.copy_tracks {
            Passthrough::open(&self.input, &self.source, &info, &self.selection, muxer.as_mut(), &mut notes)?
        } else {
            Passthrough::none()
        };
        let part = self.source.start.is_some() || self.source.duration.is_some() || self.max_frames.is_some();
        let renumber =
            |id| if info.track == Some(id) { Some(video_track) } else { passthrough.output_of(id) };
        describe(&info.metadata, renumber, part, muxer.as_mut(), &mut notes);

        let reads_device = session.receipt().chosen().is_some_and(|(backend, _)| backend.reads_own_frames());
        let (frames, packets) = session.split();
        let total_frames = expected_frames(&info, self.filter.frame_rate, self.max_frames);
        let resized = self.filter.size.is_some();
        let first_size = first.dimensions;
        // All frames are brought to the size of the first, unless another was asked for.
        self.filter.size.get_or_insert(first_size);
        let options = self.filter;
        let filter = FrameFilter::new(options, self.max_frames)
            .cancel_token(self.source.cancel.clone())
            .for_host(!reads_device)
            .recovery(self.recovery(None));
        let decoders = source.decoders.log.clone();
        let beginning = Beginning { first, input: self.input.clone(), times };
        let stage = FilterStage::spawn(source, beginning, filter, frames, self.source.cancel.clone())?;
        let mut writer = Writer {
            muxer: muxer.as_mut(),
            video_track,
            passthrough,
            packets,
            reporter: Reporter::new(self.progress.take()),
            on_takeover: self.on_takeover.take(),
            decoders,
            told: (0, 0),
            keep_going: self.source.keep_going,
            lost: 0,
            info: &info,
            limited: self.max_frames.is_some(),
            total_frames,
            started,
            samples: 0,
            bytes: 0,
            end: None,
        };
        let written = writer.run(&self.source.cancel);
        let encode = writer.packets.summary();
        let (samples, copied) = (writer.samples, writer.passthrough.samples());
        let copy_problems = writer.passthrough.take_problems();
        let copy_notes = writer.passthrough.take_notes();
        let (end, coded_bytes) = (writer.end, writer.bytes);
        // A failed writer stops the other stages, whose complaints are consequences; an encoder that got no
        // more frames is a consequence of what the filter stage says.
        if written.is_err() {
            stage.stop();
        }
        drop(writer);
        let filtered = stage.join();
        written?;
        let Filtered { mut input, filter, mut losses } = filtered?;
        losses.extend(encode.losses.clone());
        input.problem_count += copy_problems.count;
        input.problems.extend(copy_problems.words);
        let duration = end.map_or(Duration::ZERO, Timestamp::as_duration);
        for note in input.notes.iter().cloned().chain(copy_notes) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        let mut notes: Vec<Note> = notes.into_iter().map(Note::from).collect();
        notes.extend(notes::of_pictures(&filter, &options, first_size, resized));
        notes.extend(notes::of_rate(encode_config.rate_control, coded_bytes, duration));

        let mux = muxer.finish().map_err(|e| e.of_input(&self.input))?;
        drop(muxer);
        file.commit()?;
        Ok(TranscodeReport {
            source: info,
            input,
            losses,
            memory: FrameMemory::of(&filter),
            filter,
            encode,
            output: self.output,
            video_samples: samples,
            copied_samples: copied,
            bytes: mux.bytes,
            duration,
            wall: started.elapsed(),
            cancelled: self.source.cancel.is_cancelled(),
            notes,
        })
    }

    /// The device that encodes: of several that decode, the first.
    fn encode_device(&self) -> Option<String> {
        let first = self.source.device.as_deref().and_then(|list| list.split(',').next());
        first.map(str::trim).filter(|name| !name.eq_ignore_ascii_case("all")).map(str::to_owned)
    }

    /// The size that is encoded: the one asked for, else that of the pictures with even sides. Encoders of 4:2:0 take no others,
    /// and a picture that grows by a column loses nothing.
    fn coded_size(&self, pictures: Dimensions) -> Dimensions {
        let even = |side: u32| side.next_multiple_of(2);
        let grown = Dimensions::new(even(pictures.width()), even(pictures.height()));
        self.filter.size.or(grown).unwrap_or(pictures)
    }

    /// Whoever decodes frames again that went with their device; `rate`: where they have the output's times.
    fn recovery(&self, rate: Option<Rational>) -> Option<FrameRecovery> {
        reopen::recovery(self.input.clone(), &self.source, rate)
            .filter(|_| self.on_failure != FailurePolicy::Stop)
    }

    /// How long a session may still be waited for: what questions have waited is waited already.
    fn admission_left(&self, started: Instant) -> SessionAdmission {
        match self.admission {
            SessionAdmission::Wait(time) => SessionAdmission::Wait(time.saturating_sub(started.elapsed())),
            SessionAdmission::Refuse => SessionAdmission::Refuse,
        }
    }

    /// Opens the input, with its frames where the encoder will read them.
    fn open_source(
        &mut self,
        codec: Codec,
        notes: &mut Vec<String>,
        started: Instant,
    ) -> Result<FrameSource> {
        let device = self.encode_device();
        let cancel_waiting = self.source.cancel.flag();
        let request = SessionRequest {
            admission: self.admission_left(started),
            cancel: Some(&cancel_waiting),
            ..SessionRequest::default()
        };
        let mut options = SourceOptions { on_failure: self.on_failure, ..self.source.clone() };
        let source = FrameSource::open_for(&self.input, &mut options, |video, options| {
            let size = self.coded_size(options.crop.map_or(video.dimensions, |crop| crop.size));
            let device = device.as_deref();
            let (special, low_latency) = (&self.special, self.target.is_low_latency());
            let asked = FormatQuestion { codec, size, device, special, low_latency, request };
            let refused = memory::choose(video, options, &self.filter, self.encode_backend, &asked);
            notes.extend(refused.map(|why| format!("frames pass through host memory: {why}")));
        });
        self.source = options;
        source
    }

    fn open_encoder(
        &mut self,
        codec: Codec,
        info: &SourceInfo,
        first: &Frame,
        notes: &mut Vec<String>,
        started: Instant,
    ) -> Result<(EncodeSession, CommonEncodeConfig)> {
        let native = first.format;
        let size = self.coded_size(first.dimensions);
        self.filter.extend_to = self.filter.size.is_none().then_some(size).filter(|s| *s != first.dimensions);
        let device = self.encode_device();
        let cancel_waiting = self.source.cancel.flag();
        let format = if let Some(format) = self.filter.format {
            format
        } else {
            let device = device.as_deref();
            let request = SessionRequest {
                admission: self.admission_left(started),
                cancel: Some(&cancel_waiting),
                ..SessionRequest::default()
            };
            let (special, low_latency) = (&self.special, self.target.is_low_latency());
            let asked = FormatQuestion { codec, size, device, special, low_latency, request };
            pick_input_format(self.encode_backend, &asked, native)?
        };
        if format.bit_depth() < native.bit_depth() {
            notes.push(format!(
                "{native} becomes {format}: {} bit are lost",
                native.bit_depth() - format.bit_depth()
            ));
        }
        if format != native && first.as_device().is_some() {
            notes.push(format!(
                "frames pass through host memory: the change from {native} to {format} is made on the CPU"
            ));
        }
        // Every frame is brought to the encoder's format.
        self.filter.format = Some(format);
        // A rate of thousands is a broken clock, by which no encoder could work.
        let stated = info.frame_rate.filter(|rate| rate.as_f64() <= MOST_RATE);
        let rate = self.filter.frame_rate.or(stated);
        let rate = rate.or(Rational::new(NOMINAL_RATE.0, NOMINAL_RATE.1)).unwrap_or(Rational::ONE);
        let config = CommonEncodeConfig {
            format,
            color: transform::color_after(first, size, format)?,
            // AV1 states none: the container does.
            sample_aspect_ratio: first.sample_aspect_ratio.filter(|_| codec != Codec::Av1),
            gop_length: self.gop_length,
            b_frames: self.b_frames,
            rate_control: self.rate_control,
            threads: self.encode_threads,
            device,
            admission: self.admission_left(started),
            cancel_waiting: Some(cancel_waiting),
            stream: self.source.stream.clone(),
            ..self.target.config(codec, size, rate)
        };
        let (config, left_out) = hdr::carry(config, info, first.color, &self.source.limits);
        notes.extend(left_out);
        let (wanted, special) = (self.encode_backend, self.special.clone());
        let recovery = self.recovery(self.filter.frame_rate);
        let session =
            EncodeSession::that_recovers(wanted, config.clone(), &special, self.on_failure, recovery)?;
        Ok((session, config))
    }
}

/// Starts a transcode of `input` to `output`.
///
/// ```no_run
/// # fn main() -> video_hw::Result<()> {
/// use video_hw::codec::Codec;
///
/// let report = video_hw::transcode("in.mp4", "out.mp4").codec(Codec::H264).bitrate(6_000_000).run()?;
/// println!("{}", report.receipt());
/// # Ok(()) }
/// ```
pub fn transcode<'a>(input: impl AsRef<Path>, output: impl AsRef<Path>) -> Transcode<'a> {
    Transcode::new(input.as_ref(), output.as_ref())
}
