//! Copying what is coded from one container into another, untouched.
//!
//! ```text
//! demuxer ── packets ─► times that are missing ─► the wanted part ─► in the order of their times ─► muxer
//! ```
//! A part that is to begin and end exactly decodes and encodes the few pictures anew that cannot be copied (`exact.rs`).
//! All on the caller's thread; memory holds what waits for its turn, and no more.

mod cut;
mod exact;
mod interleave;
mod picture;
mod renew;
mod times;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::cut::{Cut, MOST_HELD, at};
use self::exact::Exact;
use self::interleave::Interleaver;
use self::renew::Renewer;
pub(super) use self::times::Stamper;
use super::begin::{self, Purpose};
use super::carried::describe;
use super::control::{CancelToken, Progress, ProgressFn, Reporter};
use super::feed;
use super::notes::Note;
use super::problems::Problems;
use super::source::SourceOptions;
use super::tracks::{Taken, TrackChoice, TrackSelection, chapters};
use crate::backend::Backend;
use crate::bitstream::ActiveParameterSets;
use crate::codec::Codec;
use crate::container::{
    Demuxer, Input, MuxOptions, Muxer, OutputFormat, Track, TrackId, TrackKind, VideoTrack, create_muxer,
};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::output_file::{self, OutputFile};
use crate::packet::Packet;
use crate::time::{Rational, TimeBase, Timestamp};

pub use self::cut::CutReport;
pub use self::exact::ExactReport;

/// A copy of what is coded, to be set up and run. See [`crate::remux`].
#[must_use = "nothing happens until `run`"]
pub struct Remux<'a> {
    input: PathBuf,
    output: PathBuf,
    source: SourceOptions,
    output_format: Option<String>,
    overwrite: bool,
    mux: MuxOptions,
    selection: TrackSelection,
    exact: bool,
    encode_backend: Backend,
    progress: Option<ProgressFn<'a>>,
}

/// A track that was copied.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CopiedTrack {
    /// As the input describes it.
    pub track: Track,
    /// Its number in the output.
    pub output: TrackId,
    /// Samples written.
    pub samples: u64,
    /// Their bytes in the input's framing.
    pub bytes: u64,
}

/// What a copy did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RemuxReport {
    /// The input.
    pub input: PathBuf,
    /// Its container, for people.
    pub input_format: String,
    /// The output.
    pub output: PathBuf,
    /// Its container, for people.
    pub output_format: String,
    /// The tracks that were copied, in the output's order.
    pub tracks: Vec<CopiedTrack>,
    /// What cutting had to do; `None` for a whole file.
    pub cut: Option<CutReport>,
    /// What was encoded anew for an exact part ([`Remux::exact`]).
    pub exact: Option<ExactReport>,
    /// Bytes of the finished file.
    pub bytes: u64,
    /// Presented time of the output.
    pub duration: Duration,
    /// Wall time.
    pub wall: Duration,
    /// Stopped early on request.
    pub cancelled: bool,
    /// What the user should know: tracks and metadata left out, what a cut had to include.
    pub notes: Vec<Note>,
    /// Damage gone over ([`Remux::keep_going`]).
    pub problem_count: u64,
    /// The first of it, in words.
    pub problems: Vec<String>,
}

impl RemuxReport {
    /// Samples written, all tracks.
    pub fn samples(&self) -> u64 {
        self.tracks.iter().map(|track| track.samples).sum()
    }

    /// Pictures written.
    pub fn video_samples(&self) -> u64 {
        let videos = self.tracks.iter().filter(|track| track.track.kind == TrackKind::Video);
        videos.map(|track| track.samples).sum()
    }
}

impl<'a> Remux<'a> {
    /// From `input` to `output`; `-` is standard input or output.
    pub fn new(input: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Self {
            input: input.into(),
            output: output.into(),
            source: SourceOptions::default(),
            output_format: None,
            overwrite: false,
            mux: MuxOptions::default(),
            selection: TrackSelection::default(),
            exact: false,
            encode_backend: Backend::default(),
            progress: None,
        }
    }

    /// Begin at this time of the input. Copying begins with the last picture at or before it that can be decoded alone; what is
    /// in between is hidden where the output can say so (MP4), and told in any case.
    pub fn start(mut self, start: Duration) -> Self {
        self.source.start = Some(start);
        self
    }

    /// Stop after this much presented time.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.source.duration = Some(duration);
        self
    }

    /// The part begins and ends with the pictures that are asked for, also between key frames: the few of H.264 and HEVC that
    /// cannot be copied then are encoded anew, in the format of the others. Of several video tracks one is taken.
    pub fn exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    /// Who decodes for [`Self::exact`].
    pub fn decode_backend(mut self, backend: impl Into<Backend>) -> Self {
        self.source.backend = backend.into();
        self
    }

    /// Who encodes for [`Self::exact`].
    pub fn encode_backend(mut self, backend: impl Into<Backend>) -> Self {
        self.encode_backend = backend.into();
        self
    }

    /// The only video track that is copied; by default all are.
    pub fn track(mut self, track: TrackId) -> Self {
        self.selection.video = Some(track);
        self
    }

    /// The sound tracks that are copied; by default all.
    pub fn audio(mut self, choice: TrackChoice) -> Self {
        self.selection.audio = choice;
        self
    }

    /// The tracks of text that are copied; by default all.
    pub fn subtitles(mut self, choice: TrackChoice) -> Self {
        self.selection.subtitles = choice;
        self
    }

    /// Frame rate of an input that carries no times.
    pub fn input_frame_rate(mut self, rate: Rational) -> Self {
        self.source.frame_rate = Some(rate);
        self
    }

    /// Container of the output when its name does not tell (`mp4`, `h264`, `ivf` ...).
    pub fn output_format(mut self, name: impl Into<String>) -> Self {
        self.output_format = Some(name.into());
        self
    }

    /// Replace the output if it exists.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Puts the index of an MP4 file in front of its media data.
    pub fn faststart(mut self, faststart: bool) -> Self {
        self.mux.faststart = faststart;
        self
    }

    /// Writes fragmented MP4. MP4 into a pipe always is.
    pub fn fragmented(mut self, fragmented: bool) -> Self {
        self.mux.fragmented = fragmented;
        self
    }

    /// What the input may cost; beyond it, it is refused with [`crate::Error::LimitExceeded`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.source.limits = limits;
        self
    }

    /// See [`OpenOptions::spool`](crate::container::OpenOptions::spool).
    pub fn spool(mut self, most_bytes: u64) -> Self {
        self.source.spool = Some(most_bytes);
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
    pub fn run(mut self) -> Result<RemuxReport> {
        let started = Instant::now();
        output_file::refuse_directory(&self.output)?;
        let format = OutputFormat::from_path(&self.output, self.output_format.as_deref())?;
        let mut demuxer = match feed::open(&self.input, &self.source)? {
            Input::Demuxer(demuxer) => demuxer,
            Input::Frames(_) => {
                return Err(Error::Unsupported {
                    feature: format!("copying {}, whose pictures are not compressed", self.input.display()),
                    remedy: "encode it instead".into(),
                });
            }
        };
        let all = with_rate(demuxer.tracks(), self.source.frame_rate);
        self.selection.check(&all, &self.input)?;
        let file = OutputFile::create(&self.output, self.overwrite, std::slice::from_ref(&self.input))?;
        let mut muxer = create_muxer(format, &file, self.mux)?;
        let mut notes: Vec<String> = demuxer.notes().to_vec();
        let noted = notes.len();
        let metadata = demuxer.metadata().cloned().unwrap_or_default();
        let main = self.selection.video(&all, demuxer.disabled_tracks()).map(|track| track.id);
        let mut order: Vec<&Track> = all.iter().collect();
        if matches!(format, OutputFormat::Elementary(_) | OutputFormat::Ivf) {
            // They hold one track.
            order.sort_by_key(|track| Some(track.id) != main);
        }
        let starts_late = self.source.start.is_some_and(|start| !start.is_zero());
        let part = starts_late || self.source.duration.is_some();
        let exact = self.exact && part;
        let taken = Taken {
            selection: &self.selection,
            chapters: chapters(&metadata),
            starts_late,
            main,
            one_video: exact.then_some("one video track is cut exactly"),
        };
        taken.note_unmatched(&all, &mut notes);
        let mut copied: Vec<CopiedTrack> = Vec::new();
        for track in order {
            let sets_change = exact && Some(track.id) == main;
            let video = track.video.clone().map(|video| VideoTrack { sets_change, ..video });
            let output = taken.add(&Track { video, ..track.clone() }, muxer.as_mut(), &mut notes);
            if let Some(output) = output.map_err(|e| e.of_input(&self.input))? {
                copied.push(CopiedTrack { track: track.clone(), output, samples: 0, bytes: 0 });
            }
        }
        if copied.is_empty() {
            let what = format!("{} has no track that {format} output can hold", self.input.display());
            return Err(Error::unsupported(what));
        }
        let numbers: HashMap<TrackId, TrackId> =
            copied.iter().map(|one| (one.track.id, one.output)).collect();
        describe(&metadata, |id| numbers.get(&id).copied(), part, muxer.as_mut(), &mut notes);

        demuxer.select_tracks(&copied.iter().map(|one| one.track.id).collect::<Vec<_>>());
        let lead = copied.iter().find(|one| Some(one.track.id) == main);
        let lead = lead.or(copied.iter().find(|one| one.track.video.is_some()));
        let lead = lead.and_then(|one| Some((one.track.id, one.track.video.clone()?)));
        let has_pictures = lead.is_some();
        let mut sets = ActiveParameterSets::new(lead.as_ref().map_or(Codec::H264, |(_, video)| video.codec));
        if let (Some(start), true) = (self.source.start, starts_late) {
            match (&lead, copied.first()) {
                (Some((id, video)), _) => {
                    sets = begin::first_sets(demuxer.as_mut(), (*id, video))?;
                    let purpose = if exact { Purpose::Decode } else { Purpose::Copy };
                    begin::seek(demuxer.as_mut(), (*id, video), at(start), purpose)?;
                }
                (None, Some(first)) => drop(demuxer.seek(first.track.id, at(start))?),
                (None, None) => {}
            }
        }
        let tracks: Vec<&Track> = copied.iter().map(|one| &one.track).collect();
        let wanted = (self.source.start, self.source.duration);
        let hides = muxer.hides();
        let (exact, lead) = match lead {
            Some((id, video)) if exact => {
                let renewer = Renewer::new(&video, &self.source, self.encode_backend)?;
                let start = self.source.start.unwrap_or_default();
                let end = self.source.duration.map(|duration| at(start.saturating_add(duration)));
                (Some(Exact::new((id, video), (at(start), end), hides.behind, renewer, sets.clone())?), None)
            }
            lead => (None, lead),
        };
        let mut job = Job {
            stampers: tracks.iter().filter_map(|track| Some((track.id, Stamper::new(track)?))).collect(),
            cut: Cut::new(wanted, hides, lead, &tracks, sets),
            exact,
            interleaver: Interleaver::new(copied.iter().map(|one| one.output)),
            numbers,
            copied,
            path: &self.input,
            keep_going: self.source.keep_going,
            cancel: self.source.cancel.clone(),
            reporter: Reporter::new(self.progress.take()),
            total: wanted_length(&all, wanted),
            started,
            bytes: 0,
            end: None,
            hidden: 0,
            untimed: 0,
            problems: Problems::default(),
        };
        job.run(demuxer.as_mut(), muxer.as_mut())?;
        let Job { mut cut, exact, copied, end, hidden, untimed, mut problems, .. } = job;
        if has_pictures && !self.source.cancel.is_cancelled() {
            let pictures = exact.as_ref().map_or(cut.pictures(), Exact::pictures);
            cut.check(pictures, &self.input)?;
        }
        if copied.iter().all(|one| one.samples == 0) {
            return Err(nothing(&self.input, self.source.start, self.source.cancel.is_cancelled()));
        }
        if untimed > 0 {
            problems
                .words
                .push(format!("{untimed} samples are left out: {format} output cannot state their times"));
        }
        notes.extend_from_slice(demuxer.notes().get(noted..).unwrap_or_default());
        let exact = exact.map(|exact| {
            (cut.report.included_behind, cut.report.hidden_behind) =
                (exact.hidden_behind, exact.hidden_behind > 0);
            let (report, lost) = exact.into_report();
            if lost > 0 {
                problems.count += lost;
                problems.words.push(format!("{lost} pictures that are to be encoded anew cannot be decoded"));
            }
            if report.copied == 0 && report.encoded_at_start > 0 {
                notes.push(
                    "nothing of the part is copied: no picture at which a copy can begin lies in it"
                        .to_owned(),
                );
            }
            report
        });
        notes.extend(cut.report.notes());
        if hidden > 0 && !hides.before {
            notes.push(format!(
                "{hidden} pictures that the input hides are in the output, where players may show them: {format} has no edit list"
            ));
        }
        let mux = muxer.finish().map_err(|e| e.of_input(&self.input))?;
        drop(muxer);
        file.commit()?;
        Ok(RemuxReport {
            input_format: demuxer.format().to_string(),
            input: self.input,
            output: self.output,
            output_format: format.to_string(),
            tracks: copied,
            cut: cut.is_wanted().then_some(cut.report),
            exact,
            bytes: mux.bytes,
            duration: end.map_or(Duration::ZERO, Timestamp::as_duration),
            wall: started.elapsed(),
            cancelled: self.source.cancel.is_cancelled(),
            notes: notes.into_iter().map(Note::from).collect(),
            problem_count: problems.count + untimed,
            problems: problems.words,
        })
    }
}

/// A copy under way.
struct Job<'a, 'p> {
    stampers: HashMap<TrackId, Stamper>,
    cut: Cut,
    exact: Option<Exact>,
    interleaver: Interleaver,
    /// Numbers in the output by those in the input.
    numbers: HashMap<TrackId, TrackId>,
    copied: Vec<CopiedTrack>,
    path: &'a Path,
    keep_going: bool,
    cancel: CancelToken,
    reporter: Reporter<'p>,
    total: Option<Duration>,
    started: Instant,
    bytes: u64,
    /// When the last sample is over.
    end: Option<Timestamp>,
    /// Pictures written that are not to be shown.
    hidden: u64,
    untimed: u64,
    problems: Problems,
}

impl Job<'_, '_> {
    fn run(&mut self, demuxer: &mut dyn Demuxer, muxer: &mut dyn Muxer) -> Result<()> {
        while !self.cancel.is_cancelled() && !self.cut.is_over() {
            match demuxer.next_packet() {
                Ok(Some(packet)) => self.take(packet, muxer)?,
                Ok(None) => break,
                Err(error @ Error::CorruptStream { .. }) if self.keep_going => {
                    if !self.problems.goes_on(error, self.path) {
                        break;
                    }
                }
                Err(error) => return Err(error.of_input(self.path)),
            }
            self.report(false);
        }
        let mut timed = Vec::new();
        self.stampers.values_mut().for_each(|stamper| stamper.finish(&mut timed));
        self.place(timed)?;
        let mut wanted = Vec::new();
        if let Some(exact) = &mut self.exact {
            exact.finish(&mut wanted).map_err(|e| e.of_input(self.path))?;
            wanted = wanted.into_iter().map(|packet| self.cut.moved(packet)).collect();
        }
        self.cut.finish(&mut wanted);
        self.hand_on(wanted);
        while let Some(packet) = self.interleaver.pop(true) {
            self.write(&packet, muxer)?;
        }
        self.report(true);
        Ok(())
    }

    fn take(&mut self, packet: Packet, muxer: &mut dyn Muxer) -> Result<()> {
        let mut timed = Vec::new();
        match self.stampers.get_mut(&packet.track) {
            Some(stamper) => stamper.push(packet, &mut timed),
            None => timed.push(packet),
        }
        self.place(timed)?;
        // The pictures of an exact start are known when the first one that is copied is.
        let waits = self.exact.as_ref().is_some_and(Exact::is_gathering);
        if waits && self.interleaver.bytes() < MOST_HELD {
            return Ok(());
        }
        while let Some(packet) = self.interleaver.pop(false) {
            self.write(&packet, muxer)?;
        }
        Ok(())
    }

    /// Hands on what belongs to the part.
    fn place(&mut self, packets: Vec<Packet>) -> Result<()> {
        let mut wanted = Vec::new();
        for packet in packets {
            match &mut self.exact {
                Some(exact) if exact.lead == packet.track => {
                    let mut exactly = Vec::new();
                    exact.push(packet, &mut exactly).map_err(|e| e.of_input(self.path))?;
                    if exact.is_over() {
                        self.cut.end_track(exact.lead);
                    }
                    wanted.extend(exactly.into_iter().map(|packet| self.cut.moved(packet)));
                }
                _ => self.cut.push(packet, &mut wanted)?,
            }
        }
        self.hand_on(wanted);
        Ok(())
    }

    fn hand_on(&mut self, packets: Vec<Packet>) {
        for packet in packets {
            if let Some(output) = self.numbers.get(&packet.track) {
                let output = *output;
                self.interleaver.push(packet.on(output));
            }
        }
    }

    fn write(&mut self, packet: &Packet, muxer: &mut dyn Muxer) -> Result<()> {
        match muxer.write(packet) {
            Ok(()) => {}
            Err(error @ Error::InvalidInput { .. }) if self.keep_going => {
                self.untimed += 1;
                self.problems.tell(&error.of_input(self.path));
                return Ok(());
            }
            Err(error) => return Err(error.of_input(self.path)),
        }
        self.bytes += packet.data.len() as u64;
        if let Some(one) = self.copied.iter_mut().find(|one| one.output == packet.track) {
            self.hidden += u64::from(packet.discard && one.track.video.is_some());
            one.samples += 1;
            one.bytes += packet.data.len() as u64;
        }
        if !packet.discard {
            let length = packet.duration.and_then(|d| i64::try_from(d).ok()).unwrap_or(0);
            self.end = self.end.max(packet.pts.map(|pts| pts.offset(length)));
        }
        Ok(())
    }

    fn report(&mut self, last: bool) {
        let videos = self.copied.iter().filter(|one| one.track.kind == TrackKind::Video);
        let frames = videos.map(|one| one.samples).sum();
        let (position, total, bytes, started) = (self.end, self.total, self.bytes, self.started);
        self.reporter.update(last, || Progress {
            frames,
            total_frames: None,
            position,
            total,
            bytes,
            elapsed: started.elapsed(),
        });
    }
}

/// The tracks; one of a raw stream, which has no times, counts in this rate.
fn with_rate(tracks: &[Track], rate: Option<Rational>) -> Vec<Track> {
    let mut tracks = tracks.to_vec();
    if let (Some(rate), [track]) = (rate, &mut tracks[..])
        && track.video.is_some()
        && track.duration.is_none()
        && track.sample_count.is_none()
    {
        track.time_base = TimeBase::from_frame_rate(rate);
    }
    tracks
}

/// How long the output will be, where that is known.
fn wanted_length(
    tracks: &[Track],
    (start, duration): (Option<Duration>, Option<Duration>),
) -> Option<Duration> {
    let whole = tracks.iter().filter_map(|track| track.duration).max().map(Timestamp::as_duration);
    let rest = whole.map(|whole| whole.saturating_sub(start.unwrap_or_default()));
    match (rest, duration) {
        (Some(rest), Some(wanted)) => Some(rest.min(wanted)),
        (rest, wanted) => rest.or(wanted),
    }
}

fn nothing(input: &Path, start: Option<Duration>, cancelled: bool) -> Error {
    match start {
        _ if cancelled => Error::Cancelled,
        Some(start) => Error::invalid(format!(
            "nothing of {} lies behind start {} s; give an earlier start",
            input.display(),
            start.as_secs_f64()
        )),
        None => Error::corrupt_fatal(format!("{} holds no sample", input.display())),
    }
}

/// Starts a copy of `input` to `output`: every track's samples stay as they are coded, in another container or in a part of
/// the file.
///
/// ```
/// # fn main() -> video_hw::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let out = folder.path().join("part.mp4");
/// use std::time::Duration;
///
/// let report = video_hw::remux("clips/bars.mp4", &out).start(Duration::from_millis(500)).run()?;
/// assert!(report.notes.iter().all(|note| !note.what.contains("left out")));
/// # Ok(()) }
/// ```
pub fn remux<'a>(input: impl AsRef<Path>, output: impl AsRef<Path>) -> Remux<'a> {
    Remux::new(input.as_ref(), output.as_ref())
}
