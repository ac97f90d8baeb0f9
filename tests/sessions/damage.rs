//! Streams that are entered in their middle, cut off or damaged: what is delivered is right or marked, what was whole before
//! the damage comes out, and nothing goes by unseen. ffmpeg makes the streams and judges them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use video_hw::backend::{Backend, BackendKind};
use video_hw::codec::Codec;
use video_hw::config::DamagePolicy;
use video_hw::container::Demuxer;
use video_hw::container::elementary::ElementaryDemuxer;
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::packet::Packet;
use video_hw::pipeline::{FrameSource, SourceOptions};

/// `None`, loudly, where ffmpeg or one of its encoders is missing.
fn ffmpeg(arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "fatal", "-y", "-threads", "1"]).args(arguments).stdin(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success());
    if output.is_none() {
        let words = format!("SKIPPED: ffmpeg {}\n", arguments.join(" "));
        let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
    }
    output.map(|output| output.stdout)
}

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, data: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, data).unwrap();
        path
    }

    /// Two and a half seconds of a moving picture.
    fn encode(&self, name: &str, arguments: &str) -> Option<PathBuf> {
        let path = self.path(name);
        let source = "testsrc2=size=176x144:rate=25,noise=alls=9:allf=t:all_seed=7";
        let mut all = vec!["-f", "lavfi", "-i", source, "-frames:v", "63"];
        all.extend(arguments.split_whitespace());
        all.push(path.to_str().unwrap());
        ffmpeg(&all).map(|_| path)
    }
}

/// Frames as ffmpeg decodes them, each as packed samples.
fn judge(path: &Path, pix_fmt: &str) -> Option<Vec<Vec<u8>>> {
    let path = path.to_str().unwrap();
    let all = ffmpeg(&["-i", path, "-f", "rawvideo", "-vsync", "passthrough", "-pix_fmt", pix_fmt, "-"])?;
    let samples = if pix_fmt.starts_with("yuv444") {
        3 * 176 * 144
    } else if pix_fmt.starts_with("yuv422") {
        2 * 176 * 144
    } else {
        176 * 144 * 3 / 2
    };
    let size = if pix_fmt.ends_with("10le") { 2 * samples } else { samples };
    Some(all.chunks(size).map(<[u8]>::to_vec).collect())
}

fn software() -> SourceOptions {
    SourceOptions::default().backend(Backend::Only(BackendKind::Software))
}

/// The frames up to the first error, and that error.
fn read(path: &Path, options: &SourceOptions) -> (Vec<Frame>, Option<Error>, FrameSource) {
    let mut source = FrameSource::open(path, options).unwrap();
    let mut frames = Vec::new();
    loop {
        match source.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None, source),
            Err(error) => {
                assert!(source.next_frame().is_ok_and(|frame| frame.is_none()), "a frame behind the error");
                return (frames, Some(error), source);
            }
        }
    }
}

fn packed(frame: &Frame) -> Vec<u8> {
    frame.as_host().unwrap().to_packed()
}

fn samples(path: &Path, codec: Codec) -> Vec<Packet> {
    let mut demuxer = ElementaryDemuxer::new(std::fs::File::open(path).unwrap(), path, codec).unwrap();
    std::iter::from_fn(|| demuxer.next_packet().unwrap()).collect()
}

/// The stream from the second sample on at which decoding can begin, behind at least `least` others.
fn entered(scratch: &Scratch, path: &Path, least: usize) -> PathBuf {
    let samples = samples(path, Codec::H264);
    let from = (least..samples.len()).find(|n| samples[*n].keyframe).unwrap();
    // The parameter sets come with the first picture only, or with each.
    let sets: Vec<u8> = video_hw::bitstream::annexb::nal_units(&samples[0].data)
        .filter(|nal| matches!(nal[0] & 0x1f, 7 | 8))
        .flat_map(|nal| [&[0, 0, 0, 1], nal].concat())
        .collect();
    let rest = samples[from..].iter().flat_map(|sample| sample.data.to_vec());
    scratch.write("entered.h264", &sets.into_iter().chain(rest).collect::<Vec<_>>())
}

const OPEN_GOP: &str =
    "open-gop=1:keyint=20:min-keyint=20:scenecut=0:bframes=3:b-pyramid=normal:ref=3:stitchable=1";

/// What every frame from the recovery point on is, decoded by a library for each kind of stream.
#[test]
fn decoding_begins_at_a_recovery_point_and_is_exact_from_there() {
    let refresh = "intra-refresh=1:keyint=15:bframes=0:ref=2";
    let refresh_b = "intra-refresh=1:keyint=15:bframes=2:ref=2";
    let cases = [
        ("8 bit", "yuv420p", String::new(), OPEN_GOP),
        ("10 bit", "yuv420p10le", String::new(), OPEN_GOP),
        ("4:2:2", "yuv422p", String::new(), OPEN_GOP),
        ("4:4:4", "yuv444p", String::new(), OPEN_GOP),
        ("interlaced", "yuv420p", "-flags +ildct+ilme -top 1 ".into(), OPEN_GOP),
        ("constrained intra", "yuv420p", String::new(), &format!("{OPEN_GOP}:constrained-intra=1")),
        ("refresh", "yuv420p", String::new(), refresh),
        ("refresh, B", "yuv420p", String::new(), refresh_b),
        ("refresh, 10 bit", "yuv420p10le", String::new(), refresh),
    ];
    let mut wrong = Vec::new();
    for (name, pix_fmt, flags, params) in cases {
        let scratch = Scratch::new();
        let arguments =
            format!("-c:v libx264 -preset veryfast -pix_fmt {pix_fmt} {flags}-x264-params {params}");
        let Some(whole) = scratch.encode("whole.h264", &arguments) else { return };
        let cut = entered(&scratch, &whole, 10);
        let (Some(all), Some(theirs)) = (judge(&whole, pix_fmt), judge(&cut, pix_fmt)) else { return };
        let (frames, error, mut source) = read(&cut, &software());
        let ours: Vec<_> = frames.iter().map(packed).collect();
        let summary = source.summary().decode.unwrap();
        if error.is_some() || ours.is_empty() || ours.len() != theirs.len().min(all.len()) {
            wrong.push(format!(
                "{name}: {} frames, ffmpeg {}, {error:?} {:?}",
                ours.len(),
                theirs.len(),
                summary.ledger
            ));
        } else if ours != all[all.len() - ours.len()..] {
            let first = ours.iter().zip(&all[all.len() - ours.len()..]).position(|(a, b)| a != b);
            wrong.push(format!("{name}: frame {first:?} of {} differs", ours.len()));
        } else if frames.iter().any(|frame| frame.concealed) || !summary.ledger.balances() {
            wrong.push(format!("{name}: {} concealed, {:?}", summary.concealed, summary.ledger));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_start_between_idr_pictures_gives_the_frames_from_there_on() {
    for flags in ["", "-flags +ildct+ilme -top 1 "] {
        let scratch = Scratch::new();
        let arguments =
            format!("-c:v libx264 -preset veryfast -pix_fmt yuv420p {flags}-x264-params {OPEN_GOP}");
        let Some(path) = scratch.encode("open.mp4", &arguments) else { return };
        let Some(all) = judge(&path, "yuv420p") else { return };
        let options = software().start(Duration::from_millis(1000));
        let (frames, error, _) = read(&path, &options);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(frames.len(), all.len() - 25, "{flags}");
        assert!(frames.iter().map(packed).eq(all[25..].iter().cloned()), "{flags}");
    }
}

/// Without `stss` an MP4 file says of every sample that decoding can begin there.
#[test]
fn a_start_is_found_where_the_file_promises_too_much() {
    let scratch = Scratch::new();
    let arguments = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 30 -bf 2";
    let Some(path) = scratch.encode("whole.mp4", arguments) else { return };
    let mut file = std::fs::read(&path).unwrap();
    let at = file.windows(4).rposition(|name| name == b"stss").unwrap();
    file[at..at + 4].copy_from_slice(b"free");
    let without = scratch.write("without.mp4", &file);
    for start in [0, 400, 1000, 1300, 2400] {
        let options = software().start(Duration::from_millis(start));
        let ((expected, _, _), (frames, error, _)) = (read(&path, &options), read(&without, &options));
        assert!(error.is_none(), "{error:?}");
        assert!(!frames.is_empty(), "start {start} ms");
        assert!(frames.iter().map(packed).eq(expected.iter().map(packed)), "start {start} ms");
    }
}

fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clips").join(name)
}

/// A picture whose slice data end early is marked, or fails, and those before it are what they were.
#[test]
fn a_picture_that_is_cut_off_is_marked() {
    cut_off("small.h264", &[12_000, 11_800, 9_000, 6_001]);
}

fn cut_off(name: &str, lengths: &[usize]) {
    let scratch = Scratch::new();
    let file = std::fs::read(clip(name)).unwrap();
    let (whole, _, _) = read(&clip(name), &software());
    let mut marked = 0;
    for &bytes in lengths {
        let path = scratch.write(&format!("cut-{name}"), &file[..bytes]);
        let keep_going = software().keep_going(true);
        let (frames, error, mut source) = read(&path, &keep_going);
        assert!(error.is_none(), "{bytes}: {error:?}");
        let summary = source.summary();
        let decode = summary.decode.unwrap();
        let damage = summary.problem_count + decode.concealed;
        let right: Vec<_> = whole.iter().map(packed).collect();
        for (n, frame) in frames.iter().enumerate() {
            let is_right = right.contains(&packed(frame));
            assert!(is_right || frame.concealed, "{bytes}: frame {n} differs and is not marked");
            marked += u32::from(frame.concealed);
        }
        assert!(damage > 0, "{bytes}: damage that nobody told");
        assert!(
            frames.len() as u64 + summary.problem_count >= decode.ledger.submitted,
            "{bytes}: frames were lost"
        );
        let strict = software().damage(DamagePolicy::Strict);
        let (frames, error, _) = read(&path, &strict);
        assert!(error.is_some_and(|error| !error.is_recoverable()), "{bytes}: --strict");
        assert!(frames.iter().all(|frame| right.contains(&packed(frame))), "{bytes}");
    }
    assert!(marked > 0, "no picture was delivered and marked");
}

#[test]
fn an_hevc_picture_that_is_cut_off_fails_and_no_other_does() {
    let scratch = Scratch::new();
    let file = std::fs::read(clip("small.h265")).unwrap();
    let (whole, _, _) = read(&clip("small.h265"), &software());
    let right: Vec<_> = whole.iter().map(packed).collect();
    for part in 3..20 {
        let bytes = file.len() * part / 20;
        let path = scratch.write("cut.h265", &file[..bytes]);
        let (frames, error, mut source) = read(&path, &software().keep_going(true));
        assert!(error.is_none(), "{bytes}: {error:?}");
        let summary = source.summary();
        let submitted = summary.decode.unwrap().ledger.submitted;
        assert_eq!(frames.len() as u64 + summary.problem_count, submitted, "{bytes}");
        assert!(frames.iter().all(|frame| frame.concealed || right.contains(&packed(frame))), "{bytes}");
    }
}

/// A file error never costs the frames before it.
#[test]
fn what_was_read_before_the_damage_comes_out_first() {
    for (codec, arguments) in [
        ("h264", "-c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 3"),
        ("h264 10 bit", "-c:v libx264 -preset veryfast -pix_fmt yuv420p10le -bf 3"),
        ("hevc", "-c:v libx265 -preset veryfast -pix_fmt yuv420p -x265-params log-level=none:bframes=3"),
    ] {
        let scratch = Scratch::new();
        let all = format!("{arguments} -movflags +faststart");
        let Some(path) = scratch.encode("whole.mp4", &all) else { return };
        let (whole, error, _) = read(&path, &software());
        assert!(error.is_none() && whole.len() == 63, "{codec}: {error:?}");
        let file = std::fs::read(&path).unwrap();
        let cut = scratch.write("cut.mp4", &file[..file.len() - 2000]);
        let (frames, error, mut source) = read(&cut, &software());
        let error = error.expect("an error");
        assert!(error.to_string().contains("past the end of the file"), "{codec}: {error}");
        assert!(!error.is_recoverable(), "{codec}: nothing comes behind it");
        let ledger = source.summary().decode.unwrap().ledger;
        assert_eq!(frames.len() as u64, ledger.submitted, "{codec}: {ledger:?}");
        assert!(frames.len() > 40, "{codec}: {}", frames.len());
        let right: Vec<_> = whole.iter().map(packed).collect();
        assert!(frames.iter().all(|frame| frame.concealed || right.contains(&packed(frame))), "{codec}");
    }
}

/// A damaged picture in the middle ends the job behind the frames before it, and not before them.
#[test]
fn a_damaged_picture_does_not_cost_the_frames_before_it() {
    let scratch = Scratch::new();
    let arguments = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 3 -x264-params slices=3";
    let Some(path) = scratch.encode("whole.h264", arguments) else { return };
    let (whole, ..) = read(&path, &software());
    let mut samples = samples(&path, Codec::H264);
    // One slice of the 41st picture in decoding order is lost.
    let nals = video_hw::bitstream::annexb::nal_units(&samples[40].data);
    let kept = nals.enumerate().filter(|(n, _)| *n != 1).flat_map(|(_, nal)| [&[0, 0, 0, 1], nal].concat());
    samples[40].data = kept.collect::<Vec<u8>>().into();
    let damaged: Vec<u8> = samples.iter().flat_map(|sample| sample.data.to_vec()).collect();
    let path = scratch.write("damaged.h264", &damaged);
    let (frames, error, _) = read(&path, &software());
    assert!(matches!(error, Some(Error::CorruptStream { recoverable: false, .. })), "{error:?}");
    assert_eq!(frames.len(), 40, "all pictures before it in decoding order, and no other");
    let right: Vec<_> = whole.iter().map(packed).collect();
    assert!(frames.iter().all(|frame| right.contains(&packed(frame))));
    // With --keep-going the rest comes, and what may be wrong is marked.
    let keep_going = software().keep_going(true);
    let (frames, error, mut source) = read(&path, &keep_going);
    assert!(error.is_none() && source.summary().problem_count == 1, "{error:?}");
    assert_eq!(frames.len(), 62);
    assert!(frames.iter().all(|frame| frame.concealed || right.contains(&packed(frame))));
}

/// A damaged header makes a NAL unit one that nobody knows: what it held is missing.
#[test]
fn a_nal_unit_of_a_forbidden_type_is_damage() {
    let scratch = Scratch::new();
    for (codec, arguments, header) in [
        (Codec::H264, "-c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 0 -x264-params slices=1", 0x60),
        (Codec::H264, "-c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 0 -x264-params slices=1", 0x78),
        (Codec::Hevc, "-c:v libx265 -preset veryfast -pix_fmt yuv420p -x265-params log-level=none", 0x60),
    ] {
        let name = if codec == Codec::H264 { "whole.h264" } else { "whole.h265" };
        let Some(path) = scratch.encode(name, arguments) else { return };
        let mut file = std::fs::read(&path).unwrap();
        let middle = file.len() / 2;
        let slice = |byte: u8| if codec == Codec::H264 { byte & 0x1f == 1 } else { byte >> 1 < 10 };
        let at = (middle..file.len() - 4)
            .find(|n| file[*n..].starts_with(&[0, 0, 1]) && slice(file[n + 3]))
            .unwrap();
        file[at + 3] = header;
        let path = scratch.write(&format!("forbidden-{name}"), &file);
        let keep_going = software().keep_going(true);
        let (_, error, mut source) = read(&path, &keep_going);
        assert!(error.is_none(), "{codec}: {error:?}");
        let summary = source.summary();
        let decode = summary.decode.unwrap();
        assert!(summary.problem_count + decode.concealed > 0, "{codec} {header:x}: unseen");
        assert!(
            decode.notes.iter().any(|note| note.contains("NAL unit of type")),
            "{codec}: {:?}",
            decode.notes
        );
        let strict = software().damage(DamagePolicy::Strict);
        let (_, error, _) = read(&path, &strict);
        assert!(error.is_some(), "{codec} {header:x}: --strict");
    }
}

/// `keep_going` goes over the end of a copied track that is cut off, and counts it.
#[test]
fn a_copied_track_that_is_cut_off_ends_there() {
    let scratch = Scratch::new();
    let path = scratch.path("sound.mp4");
    let name = path.to_str().unwrap();
    let made = ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=176x144:rate=25:duration=2",
        "-f",
        "lavfi",
        "-i",
        "sine=duration=4",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-movflags",
        "+faststart",
        name,
    ]);
    if made.is_none() {
        return;
    }
    let file = std::fs::read(&path).unwrap();
    // The sound lasts longer than the pictures, so that the end of the file is sound.
    let cut = scratch.write("cut.mp4", &file[..file.len() - 3000]);
    let output = scratch.path("out.mp4");
    let refused = video_hw::transcode(&cut, &output).backend(BackendKind::Software).run().unwrap_err();
    assert!(refused.to_string().contains("past the end of the file"), "{refused}");
    let report =
        video_hw::transcode(&cut, &output).backend(BackendKind::Software).keep_going(true).run().unwrap();
    assert_eq!(report.video_samples, 50);
    assert!(report.copied_samples > 50, "{}", report.copied_samples);
    assert!(report.input.problem_count > 0);
    assert!(report.input.problems[0].contains("past the end of the file"), "{:?}", report.input.problems);
}
