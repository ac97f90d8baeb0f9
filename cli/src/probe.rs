//! `probe`: what is in a file, and what would decode it here.
//!
//! The answer to the second question is not looked up but tried: the first picture is decoded.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use video_hw::Error;
use video_hw::Result;
use video_hw::backend::Receipt;
use video_hw::bitstream::{StreamInfo, hdr_of_unit};
use video_hw::config::{DecodeOutputMode, Engines};
use video_hw::container::{Demuxer, Input, OpenOptions, Track, TrackId, main_video};
use video_hw::frame::Frame;
use video_hw::pipeline::{FrameSource, GopReport, SourceInfo, SourceOptions, gops};
use video_hw::pixel::{Chroma, PixelFormat};
use video_hw::reader::{IndexState, Reader, StoredIndex};
use video_hw::time::{Rational, Timestamp};
use video_hw_terminal::text;

use crate::args::ProbeArgs;
use crate::copy::kind;
use crate::exit::{self, Exit};
use crate::json;

/// Samples searched for parameter sets or a key frame.
const HEADER_SEARCH: usize = 100;
/// Groups of pictures that the table lists.
const GOPS_SHOWN: usize = 20;

pub(crate) fn run(args: &ProbeArgs) -> Result<Exit> {
    let facts = Facts::gather(args)?;
    text::to_stdout(&if args.json { format!("{:#}", facts.json()) } else { facts.table() })?;
    Ok(Exit::Done)
}

struct Facts {
    name: String,
    /// Container or file format.
    format: String,
    file_bytes: Option<u64>,
    tracks: Vec<Track>,
    /// Those that players leave out.
    disabled: Vec<TrackId>,
    /// The headers of the first video track.
    headers: Option<StreamInfo>,
    /// What the attempt to decode says about the input; `None` when it could not even start.
    source: Option<SourceInfo>,
    attempt: Result<Attempt>,
    /// Where they are asked for.
    gops: Option<GopReport>,
    /// What there is to know of how the input is read.
    notes: Vec<String>,
    /// Damage that was gone over, the first of it.
    problems: Vec<String>,
    /// How any frame is found, where that can be, and the index that was asked about.
    index: Option<(IndexState, Option<PathBuf>)>,
}

struct Attempt {
    /// `None` for uncompressed input.
    receipt: Option<Receipt>,
    frame: Frame,
}

impl Facts {
    fn gather(args: &ProbeArgs) -> Result<Self> {
        let (path, limits) = (args.input.as_path(), args.limits.limits());
        let stdin = path == Path::new("-");
        // A pipe by another name, too.
        let piped = !video_hw::pipeline::can_be_read_again(path);
        let twice = match args {
            _ if !piped => None,
            ProbeArgs { gops: true, .. } => Some("groups of pictures"),
            ProbeArgs { index: Some(_), .. } => Some("an index"),
            _ => None,
        };
        if let Some(what) = twice {
            return Err(Error::Unsupported {
                feature: format!("{what} of a pipe, which can be read only once"),
                remedy: "save it to a file first".into(),
            });
        }
        let mut facts = Self {
            name: if stdin { "standard input".to_owned() } else { path.display().to_string() },
            format: String::new(),
            file_bytes: std::fs::metadata(path).ok().filter(|m| m.is_file() && !piped).map(|m| m.len()),
            tracks: Vec::new(),
            disabled: Vec::new(),
            headers: None,
            source: None,
            attempt: Err(Error::Cancelled),
            gops: None,
            notes: Vec::new(),
            problems: Vec::new(),
            index: None,
        };
        let open = OpenOptions::new().limits(limits.clone());
        // A pipe can be read once only: its headers are left to the decoder.
        if !piped && let Input::Demuxer(mut demuxer) = open.open(path)? {
            facts.format = demuxer.format().to_string();
            facts.tracks = demuxer.tracks().to_vec();
            facts.disabled = demuxer.disabled_tracks().to_vec();
            facts.notes = demuxer.notes().to_vec();
            facts.headers = headers(demuxer.as_mut())?;
        }
        // One picture is enough.
        let options = SourceOptions::default()
            .output(DecodeOutputMode::MetadataOnly)
            .engines(Engines::One)
            .limits(limits)
            .keep_going(args.keep_going)
            .spool(args.spool.spool);
        if args.gops {
            let found = gops(path, &options)?;
            add_new(&mut facts.notes, &found.notes);
            add_new(&mut facts.problems, &found.damage);
            facts.gops = Some(found);
        }
        if !piped {
            let mut film = Reader::builder(path).options(options.clone());
            if let Some(index) = &args.index {
                film = film.with_index(index);
            }
            facts.index = match film.index_state() {
                Ok(state) => Some((state, args.index.clone())),
                Err(error) if args.index.is_some() => return Err(error),
                // Why there are no frames to be found is told where the first one is decoded.
                Err(_) => None,
            };
        }
        match FrameSource::open(path, &options) {
            Ok(mut source) => {
                let info = source.info().clone();
                facts.format.clone_from(&info.format);
                facts.tracks.clone_from(&info.tracks);
                add_new(&mut facts.notes, &info.notes);
                facts.source = Some(info);
                facts.attempt = match source.next_frame() {
                    Ok(Some(frame)) => {
                        Ok(Attempt { receipt: source.summary().decode.map(|d| d.receipt), frame })
                    }
                    Ok(None) => Err(Error::corrupt_fatal(format!("{} holds no frame", facts.name))),
                    Err(error) => Err(error),
                };
                let read = source.summary();
                add_new(&mut facts.notes, &read.notes);
                add_new(&mut facts.problems, &read.problems);
            }
            // The tracks can be told of all the same; without any, this is all there is to tell.
            Err(error) if facts.tracks.is_empty() => return Err(error),
            Err(error) => facts.attempt = Err(error),
        }
        Ok(facts)
    }

    fn duration(&self) -> Option<f64> {
        let longest = self.tracks.iter().filter_map(|t| t.duration).max().map(Timestamp::as_secs_f64);
        longest
            .or(self.source.as_ref().and_then(|s| s.duration).map(|d| d.as_secs_f64()))
            .filter(|d| *d > 0.0)
    }

    fn bit_rate(&self) -> Option<f64> {
        self.file_bytes.zip(self.duration()).map(|(bytes, seconds)| bytes as f64 * 8.0 / seconds)
    }

    fn is_main(&self, track: &Track) -> bool {
        main_video(&self.tracks, &self.disabled).is_some_and(|main| main.id == track.id)
    }

    /// Format of the decoded pictures, or what the headers let expect.
    fn pixel_format(&self) -> Option<PixelFormat> {
        let decoded = self.attempt.as_ref().ok().map(|a| a.frame.format);
        decoded.or_else(|| self.headers.as_ref().and_then(|h| PixelFormat::planar(h.chroma, h.bit_depth())))
    }

    fn json(&self) -> Value {
        let tracks: Vec<_> = self.tracks.iter().map(|t| self.track_json(t)).collect();
        let decode = match &self.attempt {
            Ok(Attempt { receipt: Some(receipt), .. }) => {
                let (backend, implementation) = receipt.chosen().unzip();
                json!({
                    "backend": backend.map(|b| b.name()),
                    "implementation": implementation,
                    "receipt": json::receipt(receipt),
                })
            }
            Ok(_) => json!({ "uncompressed": true }),
            Err(error) => {
                json!({ "refused": { "kind": exit::kind(error), "message": exit::message(error) } })
            }
        };
        json!({
            "command": "probe",
            "input": self.name,
            "container": self.format,
            "file_bytes": self.file_bytes,
            "duration_s": self.duration(),
            "bitrate_bps": self.bit_rate(),
            "tracks": tracks,
            "gops": self.gops.as_ref().map(gops_json),
            "index": self.index.as_ref().map(|(state, file)| index_json(state, file.as_deref())),
            "notes": self.notes,
            "problems": self.problems,
            "picture": self.attempt.as_ref().ok().map(|a| picture_json(&a.frame)),
            "decode": decode,
            "exit_code": Exit::Done.code(),
        })
    }

    fn track_json(&self, track: &Track) -> Value {
        let mut value = json!({
            "id": track.id.0,
            "kind": kind(track.kind),
            "codec": track.codec_name,
            "language": track.language,
            "time_base": track.time_base.to_string(),
            "duration_s": track.duration.map(Timestamp::as_secs_f64),
            "samples": track.sample_count,
            "enabled": !self.disabled.contains(&track.id),
        });
        let Some(video) = &track.video else { return value };
        let headers = self.headers.as_ref().filter(|_| self.is_main(track));
        let format = self.pixel_format().filter(|_| self.is_main(track));
        value["layout"] = json!(video.layout.to_string());
        value["size"] = json!(video.dimensions.to_string());
        value["coded_size"] = json!(headers.map(|h| h.coded_dimensions.to_string()));
        value["profile"] = json!(headers.map(|h| &h.profile_name));
        value["level"] = json!(headers.map(|h| &h.level));
        value["pix_fmt"] = json!(format.map(PixelFormat::name));
        value["chroma"] = json!(headers.map(|h| chroma(h.chroma)));
        value["bit_depth"] = json!(headers.map(StreamInfo::bit_depth));
        value["interlaced"] = json!(headers.map(|h| h.interlaced));
        value["color"] = json::color(headers.map_or(video.color, |h| video.color.or(h.color)));
        let hdr = headers.map_or(video.hdr, |h| video.hdr.or(h.hdr));
        value["mastering_display"] = json!(hdr.mastering_display.map(|display| display.to_string()));
        value["content_light"] = json!(hdr.content_light.map(|light| light.to_string()));
        let sar = video.sample_aspect_ratio.or(headers.and_then(|h| h.sample_aspect_ratio));
        value["sample_aspect_ratio"] = json::rational(sar);
        value["rotation"] = json!(video.rotation().unwrap_or(0));
        value["mirrored"] = json!(video.is_mirrored());
        value["frame_rate"] = json::rational(video.frame_rate.or(headers.and_then(|h| h.frame_rate)));
        value
    }

    fn table(&self) -> String {
        let mut out = Table(format!("{}\n", text::one_line(&self.name)));
        out.row("container", Some(self.format.clone()));
        out.row("duration", self.duration().map(|d| format!("{d:.3} s")));
        out.row("file", self.file_bytes.map(text::bytes));
        out.row("bit rate", self.bit_rate().map(text::bit_rate));
        for track in &self.tracks {
            self.track_rows(track, &mut out);
        }
        if self.tracks.is_empty()
            && let Ok(Attempt { frame, .. }) = &self.attempt
        {
            out.heading("pictures");
            out.row("size", Some(frame.dimensions.to_string()));
            out.row("format", Some(frame.format.to_string()));
            out.row("rate", self.source.as_ref().and_then(|s| s.frame_rate).map(frame_rate));
        }
        if let Some(gops) = &self.gops {
            gop_rows(gops, &mut out);
        }
        if let Some((state, file)) = &self.index {
            out.heading("any frame");
            out.row(
                "found by",
                Some(
                    if state.by_tables {
                        "the container, without the media"
                    } else {
                        "a scan of all packets"
                    }
                    .to_owned(),
                ),
            );
            out.row(
                "index",
                file.as_deref().zip(state.stored.as_ref()).map(|(file, stored)| index_row(file, stored)),
            );
        }
        out.heading("here");
        for note in &self.notes {
            out.row("note", Some(note.clone()));
        }
        for problem in &self.problems {
            out.row("skipped", Some(problem.clone()));
        }
        out.row(
            "decoded by",
            Some(match &self.attempt {
                Ok(Attempt { receipt: Some(receipt), .. }) => receipt.chosen().map_or_else(
                    || "nothing".to_owned(),
                    |(kind, implementation)| format!("{kind} ({implementation})"),
                ),
                Ok(_) => "nothing, it is not compressed".to_owned(),
                Err(error) => format!("nothing: {}", exit::message(error)),
            }),
        );
        out.0
    }

    fn track_rows(&self, track: &Track, out: &mut Table) {
        out.heading(&format!("track {}: {}", track.id.0, kind(track.kind)));
        let headers = self.headers.as_ref().filter(|_| self.is_main(track));
        let mut codec = track.codec_name.clone();
        if let Some(h) = headers {
            codec = [&codec, &h.profile_name].map(String::as_str).join(" ").trim_end().to_owned();
            if !h.level.is_empty() {
                codec = format!("{codec}, level {}", h.level);
            }
        }
        out.row("codec", Some(codec));
        if let Some(video) = &track.video {
            let coded = headers.map(|h| h.coded_dimensions).filter(|c| *c != video.dimensions);
            let coded = coded.map_or_else(String::new, |c| format!(" (coded {c})"));
            out.row("size", Some(format!("{}{coded}", video.dimensions)));
            let sar = video.sample_aspect_ratio.or(headers.and_then(|h| h.sample_aspect_ratio));
            out.row("pixel aspect", sar.map(|r| format!("{}:{}", r.num(), r.den())));
            out.row("mirrored", video.is_mirrored().then(|| mirrored(video.matrix)));
            out.row("rotation", video.rotation().map(|degrees| format!("{degrees} degrees clockwise")));
            if self.is_main(track) {
                let scan = headers.filter(|h| h.interlaced).map_or("", |_| ", interlaced");
                out.row("format", self.pixel_format().map(|f| format!("{f}, {} bit{scan}", f.bit_depth())));
            }
            let color = headers.map_or(video.color, |h| video.color.or(h.color));
            out.row(
                "colour",
                Some(format!(
                    "matrix {}, primaries {}, transfer {}, range {}",
                    color.matrix,
                    color.primaries,
                    color.transfer,
                    json::range(color.range).unwrap_or("unknown")
                )),
            );
            let hdr = headers.map_or(video.hdr, |h| video.hdr.or(h.hdr));
            out.row("graded on", hdr.mastering_display.map(|display| display.to_string()));
            out.row(
                "light",
                hdr.content_light.map(|l| format!("{} cd/m2, frames {}", l.max_cll, l.max_fall)),
            );
            let rate = video.frame_rate.or(headers.and_then(|h| h.frame_rate));
            out.row("rate", rate.map(frame_rate));
        }
        out.row("disabled", self.disabled.contains(&track.id).then(|| "players leave it out".to_owned()));
        out.row("language", track.language.clone());
        out.row("duration", track.duration.map(|d| format!("{:.3} s", d.as_secs_f64())));
        out.row("samples", track.sample_count.map(text::thousands));
        out.row("time base", Some(format!("{} s", track.time_base)));
    }
}

/// The headers of the first video track: from the container's configuration record and what the first picture states of its
/// light, else from the samples.
fn headers(demuxer: &mut dyn Demuxer) -> Result<Option<StreamInfo>> {
    let Some(track) = main_video(demuxer.tracks(), demuxer.disabled_tracks()).cloned() else {
        return Ok(None);
    };
    let Some(video) = track.video else { return Ok(None) };
    // A damaged record is the decoder's to report.
    let of_record = |config| StreamInfo::from_config(video.codec, config).ok().flatten();
    let record = video.codec_config.as_deref().and_then(of_record);
    demuxer.select_tracks(&[track.id]);
    if let Some(mut info) = record {
        // Hardware states its light with the pictures, and tells the container nothing. Damage is the decoder's to report, too.
        let stated = video.hdr.or(info.hdr);
        let whole = stated.mastering_display.is_some() && stated.content_light.is_some();
        if !whole && let Ok(Some(sample)) = demuxer.next_packet() {
            info.hdr = info.hdr.or(hdr_of_unit(video.codec, video.layout, &sample.data));
        }
        return Ok(Some(info));
    }
    for _ in 0..HEADER_SEARCH {
        let sample = match demuxer.next_packet() {
            Ok(Some(sample)) => sample,
            Ok(None) => break,
            Err(error) if error.is_recoverable() => continue,
            Err(error) => return Err(error),
        };
        if let Ok(Some(info)) = StreamInfo::from_unit(video.codec, video.layout, &sample.data) {
            return Ok(Some(info));
        }
    }
    Ok(None)
}

/// Adds what is not told yet.
fn add_new(told: &mut Vec<String>, more: &[String]) {
    for one in more {
        if !told.contains(one) {
            told.push(one.clone());
        }
    }
}

fn index_json(state: &IndexState, file: Option<&Path>) -> Value {
    let stored = state.stored.as_ref().map(|stored| {
        let (state, why) = match stored {
            StoredIndex::Stale(why) => ("stale", Some(why)),
            StoredIndex::Fresh => ("fresh", None),
            _ => ("missing", None),
        };
        json!({ "file": file.map(Path::to_string_lossy), "state": state, "why": why })
    });
    json!({ "by": if state.by_tables { "tables" } else { "scan" }, "stored": stored })
}

fn index_row(file: &Path, stored: &StoredIndex) -> String {
    match stored {
        StoredIndex::Fresh => format!("{} is of this state of the file", file.display()),
        StoredIndex::Stale(why) => why.clone(),
        _ => format!("{} is not there; decode --index writes it", file.display()),
    }
}

fn gops_json(report: &GopReport) -> Value {
    let time = |time: Option<Timestamp>| json!(time.map(Timestamp::as_secs_f64));
    let list = report.gops.iter().map(|gop| {
        json!({
            "pts_s": gop.pts.as_secs_f64(),
            "frames": gop.frames,
            "bytes": gop.bytes,
            "closed": gop.closed,
        })
    });
    json!({
        "track": report.track.0,
        "count": report.count,
        "closed": report.closed,
        "open": report.count - report.closed,
        "shortest": report.shortest,
        "longest": report.longest,
        "mean": report.mean(),
        "frames": report.frames,
        "hidden": report.hidden,
        "before_first": report.before_first,
        "bytes": report.bytes,
        "first_pts_s": time(report.first_pts),
        "last_pts_s": time(report.last_pts),
        "end_s": time(report.end),
        "list": list.collect::<Vec<_>>(),
        "problem_count": report.problems,
    })
}

fn gop_rows(report: &GopReport, out: &mut Table) {
    out.heading(&format!("groups of pictures of track {}", report.track.0));
    let (count, closed) = (text::thousands(report.count), text::thousands(report.closed));
    out.row("groups", Some(format!("{count}, {closed} of them closed")));
    let (shortest, longest) = (text::thousands(report.shortest), text::thousands(report.longest));
    out.row("frames each", Some(format!("{shortest} to {longest}, {:.1} on average", report.mean())));
    let hidden =
        if report.hidden > 0 { format!(", {} of them hidden", report.hidden) } else { String::new() };
    out.row("frames", Some(format!("{}{hidden}", text::thousands(report.frames))));
    let time = |time: Option<Timestamp>| time.map(|time| format!("{:.3} s", time.as_secs_f64()));
    out.row("first frame", time(report.first_pts));
    out.row("last frame", time(report.last_pts));
    let lines = report.gops.iter().take(GOPS_SHOWN).map(|gop| {
        let kind = if gop.closed { "closed" } else { "open" };
        let (at, bytes) = (gop.pts.as_secs_f64(), text::bytes(gop.bytes));
        format!("{at:.3} s: {} frames, {bytes}, {kind}", text::thousands(gop.frames))
    });
    lines.for_each(|line| out.row("group", Some(line)));
    let more = report.count.saturating_sub(GOPS_SHOWN as u64);
    out.row("", (more > 0).then(|| format!("and {} more (--json lists them)", text::thousands(more))));
    out.row("damage", (report.problems > 0).then(|| format!("{} times", text::thousands(report.problems))));
}

fn picture_json(frame: &Frame) -> Value {
    let (resolved, assumed) = frame.color.resolve(frame.dimensions);
    json!({
        "size": frame.dimensions.to_string(),
        "pix_fmt": frame.format.name(),
        "bit_depth": frame.format.bit_depth(),
        "color": json::color(frame.color),
        "color_used": json::color(resolved),
        "color_assumed": assumed,
        "sample_aspect_ratio": json::rational(frame.sample_aspect_ratio),
        "first_pts_s": frame.pts.as_secs_f64(),
    })
}

/// How a mirror image is made, by the first two columns of its matrix.
fn mirrored(matrix: Option<[i32; 9]>) -> String {
    let signs = matrix.map(|m| [m[0], m[1], m[3], m[4]].map(i32::signum));
    match signs {
        Some([-1, 0, 0, 1]) => "left to right",
        Some([1, 0, 0, -1]) => "top to bottom",
        Some([0, 1, 1, 0]) => "left to right, then turned by 270 degrees clockwise",
        Some([0, -1, -1, 0]) => "left to right, then turned by 90 degrees clockwise",
        _ => "by a matrix of its own",
    }
    .to_owned()
}

fn chroma(chroma: Chroma) -> &'static str {
    match chroma {
        Chroma::Monochrome => "4:0:0",
        Chroma::Yuv420 => "4:2:0",
        Chroma::Yuv422 => "4:2:2",
        Chroma::Yuv444 => "4:4:4",
    }
}

fn frame_rate(rate: Rational) -> String {
    let rate = rate.reduced();
    if rate.den() == 1 { format!("{} fps", rate.num()) } else { format!("{:.3} fps ({rate})", rate.as_f64()) }
}

/// Headings and rows; what is not known has no row.
struct Table(String);

impl Table {
    fn heading(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn row(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            self.0.push_str(&format!("  {name:<13} {}\n", text::one_line(&value)));
        }
    }
}
