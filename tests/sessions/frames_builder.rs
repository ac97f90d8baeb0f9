//! Frames as a program asks for them: upright, of a width, from a time on, over damage. ffmpeg and ffprobe judge shape and samples.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use video_hw::Error;
use video_hw::config::ColorRequest;
use video_hw::dimensions::Dimensions;
use video_hw::frame::Frame;
use video_hw::pipeline::FramesBuilder;
use video_hw::pixel::PixelFormat;
use video_hw::time::Rational;
use video_hw::transform::{self, ScaleFilter};

fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clips").join(name)
}

fn all(builder: FramesBuilder) -> Vec<Frame> {
    builder.open().unwrap().map(Result::unwrap).collect()
}

fn packed(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.as_host().unwrap().to_packed()).collect()
}

/// Standard output of a tool that has to succeed; none, loudly, where it is not installed.
fn tool(name: &str, args: &[&str]) -> Option<Vec<u8>> {
    let Ok(output) = Command::new(name).args(["-v", "error"]).args(args).output() else {
        eprintln!("SKIPPED: no {name} on the PATH");
        return None;
    };
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// The clip with another matrix in its track header: a, b, c and d of `x' = a x + c y`, `y' = b x + d y`.
fn with_matrix(dir: &Path, clip_name: &str, [a, b, c, d]: [i32; 4]) -> PathBuf {
    let mut file = std::fs::read(clip(clip_name)).unwrap();
    let at = file.windows(4).position(|four| four == b"tkhd").unwrap() + 4;
    let at = at + if file[at] == 1 { 52 } else { 40 };
    for (place, value) in [(0, a), (1, b), (3, c), (4, d)] {
        file[at + 4 * place..at + 4 * place + 4].copy_from_slice(&(value * 65_536).to_be_bytes());
    }
    let path = dir.join(format!("{a}{b}{c}{d}.mp4"));
    std::fs::write(&path, file).unwrap();
    path
}

#[test]
fn upright_frames_are_those_that_ffmpeg_turns() {
    let dir = tempfile::tempdir().unwrap();
    for matrix in [[1, 0, 0, 1], [-1, 0, 0, -1], [0, 1, -1, 0], [0, -1, 1, 0], [1, 0, 0, -1], [0, 1, 1, 0]] {
        let file = with_matrix(dir.path(), "vfr-rotated.mp4", matrix);
        let frames = all(video_hw::frames(&file).upright());
        let size = if matrix[0] == 0 { "146x178" } else { "178x146" };
        assert!(frames.len() == 50 && frames.iter().all(|f| f.dimensions.to_string() == size), "{matrix:?}");
        assert_eq!(video_hw::frames(&file).upright().open().unwrap().info().matrix, None);
        let name = file.to_str().unwrap();
        let raw = ["-i", name, "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f"];
        let Some(judge) = tool("ffmpeg", &[&raw[..], &["rawvideo", "-"]].concat()) else { return };
        assert!(packed(&frames) == judge, "{matrix:?}: other samples than ffmpeg's");
        // Without the word nothing is turned.
        let stored = all(video_hw::frames(&file));
        assert!(packed(&stored) == packed(&all(video_hw::frames(clip("vfr-rotated.mp4")))));
    }
    // A matrix that is no turn is refused by those who would have to do it only.
    let skewed = with_matrix(dir.path(), "vfr-rotated.mp4", [1, 1, -1, 1]);
    let error = video_hw::frames(&skewed).upright().open().err().unwrap();
    assert!(matches!(&error, Error::Unsupported { feature, .. } if feature.contains("upright")), "{error}");
    assert_eq!(all(video_hw::frames(&skewed)).len(), 50);
}

/// What ffprobe says of the shape in which a file is shown: width and height of any size.
fn shown(path: &Path) -> Option<f64> {
    let entries = ["-select_streams", "v:0", "-show_entries", "stream=width,height,sample_aspect_ratio"];
    let said = tool("ffprobe", &[&entries[..], &["-of", "csv=p=0", path.to_str().unwrap()]].concat())?;
    let said = String::from_utf8(said).unwrap();
    let mut words = said.trim().split([',', ':']).map(|word| word.parse::<f64>().unwrap());
    let mut next = || words.next().unwrap();
    let (width, height, num, den) = (next(), next(), next(), next());
    Some(width * num / (height * den))
}

#[test]
fn a_width_keeps_the_shape_in_which_a_picture_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let (stream, mp4, unstated) = (file("wide.h264"), file("wide.mp4"), file("unstated.mp4"));
    for (from, to) in [("small.h264", &stream), ("vfr-fragmented.mp4", &mp4)] {
        let from = clip(from);
        let words = [
            "-i",
            from.to_str().unwrap(),
            "-c",
            "copy",
            "-bsf:v",
            "h264_metadata=sample_aspect_ratio=64/45",
            "-aspect",
            "5696:3285",
        ];
        if tool("ffmpeg", &[&words[..], &[to.to_str().unwrap()]].concat()).is_none() {
            return;
        }
    }
    // The container says nothing of it: the headers of the stream count.
    let mut bytes = std::fs::read(&mp4).unwrap();
    let at = bytes.windows(4).position(|four| four == b"pasp").unwrap();
    bytes[at..at + 4].copy_from_slice(b"free");
    std::fs::write(&unstated, bytes).unwrap();
    for path in [&stream, &mp4, &unstated] {
        let ratio = shown(path).unwrap();
        assert!((ratio - 178.0 / 146.0 * 64.0 / 45.0).abs() < 2e-3, "{ratio}");
        let upright = all(video_hw::frames(path).upright());
        for (frames, want) in [
            (all(video_hw::frames(path).width(160)), (160.0, 160.0 / ratio)),
            (all(video_hw::frames(path).height(90).rgb()), (90.0 * ratio, 90.0)),
            (upright, (146.0 * ratio, 146.0)),
        ] {
            assert_eq!(frames.len(), 50);
            for frame in &frames {
                let size = frame.dimensions;
                let off = (f64::from(size.width()) - want.0, f64::from(size.height()) - want.1);
                assert!(off.0.abs() <= 1.0 && off.1.abs() <= 1.0, "{}: {size}, {want:?}", path.display());
                assert_eq!(frame.sample_aspect_ratio, Some(Rational::ONE), "{}", path.display());
            }
        }
    }
    // A picture on its side: the width is that of what comes out.
    let rotated = || video_hw::frames(clip("vfr-rotated.mp4"));
    let size = |builder: FramesBuilder| builder.open().unwrap().next_frame().unwrap().unwrap().dimensions;
    assert_eq!(size(rotated().width(89)).to_string(), "89x74");
    assert_eq!(size(rotated().upright().width(72)).to_string(), "72x88");
    // The samples are those that scaling to that size gives, and a width that a picture has changes nothing.
    let whole = all(video_hw::frames(clip("bars.mp4")).duration(Duration::from_millis(300)));
    let small = all(video_hw::frames(clip("bars.mp4")).duration(Duration::from_millis(300)).width(160));
    let wanted = Dimensions::new(160, 90).unwrap();
    let by_hand: Vec<_> =
        whole.iter().map(|frame| transform::scale(frame, wanted, ScaleFilter::default()).unwrap()).collect();
    assert!(packed(&small) == packed(&by_hand));
    let same = all(video_hw::frames(clip("bars.mp4")).duration(Duration::from_millis(300)).width(640));
    assert!(packed(&same) == packed(&whole));
}

#[test]
fn a_format_that_is_asked_for_is_that_of_turned_frames_too() {
    for format in [PixelFormat::I422, PixelFormat::Nv12, PixelFormat::Rgb24, PixelFormat::P010] {
        let builder = video_hw::frames(clip("vfr-rotated.mp4")).upright().convert(ColorRequest::To(format));
        let frame = builder.open().unwrap().next_frame().unwrap().unwrap();
        assert_eq!((frame.format, frame.as_host().unwrap().format()), (format, format));
        assert_eq!((frame.dimensions.width(), frame.dimensions.height()), (146, 178));
    }
}

#[test]
fn frames_of_a_part_keep_their_times_where_that_is_asked_for() {
    let (start, duration) = (Duration::from_millis(700), Duration::from_millis(900));
    for name in ["bars.mp4", "vfr-fragmented.mp4"] {
        let part = || video_hw::frames(clip(name)).start(start).duration(duration);
        let within = |f: &&Frame| f.pts.as_duration() >= start && f.pts.as_duration() < start + duration;
        let whole = all(video_hw::frames(clip(name)));
        let expected: Vec<_> = whole.iter().filter(within).map(|f| f.pts).collect();
        assert!(expected.len() > 10);
        let kept: Vec<_> = all(part().original_times()).iter().map(|f| f.pts).collect();
        assert_eq!(kept, expected, "{name}");
        let shifted = all(part());
        let back = shifted.iter().zip(&kept).all(|(frame, kept)| {
            let distance = kept.as_secs_f64() - start.as_secs_f64();
            (frame.pts.as_secs_f64() - distance).abs() < 1e-3
        });
        assert!(back && shifted.len() == kept.len(), "{name}");
    }
}

#[test]
fn damage_ends_the_frames_unless_they_are_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.h264");
    let mut stream = std::fs::read(clip("small.h264")).unwrap();
    let middle = stream.len() / 2;
    stream[middle..middle + 400].fill(0xff);
    std::fs::write(&path, stream).unwrap();
    let stops = video_hw::frames(&path).open().unwrap();
    let results: Vec<_> = stops.collect();
    assert!(results.last().unwrap().is_err() && results.len() < 50, "{}", results.len());
    let mut going = video_hw::frames(&path).keep_going().open().unwrap();
    let mut frames = 0;
    while going.next_frame().unwrap().is_some() {
        frames += 1;
    }
    let summary = going.summary();
    assert!(summary.problem_count > 0 && frames >= results.len(), "{frames} {summary:?}");
}

#[test]
fn what_cannot_be_asked_for_together_is_refused_by_name() {
    let frames = || video_hw::frames(clip("small.h264"));
    let size = Dimensions::new(64, 64).unwrap();
    for (builder, names) in [
        (frames().width(64).height(64), ["width", "height"]),
        (frames().width(64).size(size), ["width", "size"]),
        (frames().height(64).size(size), ["height", "size"]),
        (frames().upright().size(size), ["upright", "size"]),
        (frames().upright().native(), ["upright", "native"]),
        (frames().width(0), ["width 0", "1..="]),
        (frames().height(65_536), ["height 65536", "1..="]),
    ] {
        let error = builder.open().err().unwrap();
        assert!(matches!(error, Error::InvalidInput { .. }), "{error:?}");
        assert!(names.iter().all(|name| error.to_string().contains(name)), "{error}");
    }
}
