//! Any frame of a file, in any order, against decoding from its beginning. Files of every kind are made by ffmpeg, which also
//! judges the frames that are compared with. `VIDEO_HW_LONG=1` asks for 200 frames of each instead of 12.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use md5::{Digest, Md5};
use video_hw::Error;
use video_hw::config::Engines;
use video_hw::frame::Frame;
use video_hw::limits::Limits;
use video_hw::reader::Reader;

use super::support::failover::{Random, long, say};

/// What a frame is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    ticks: i64,
    base: String,
    duration: Option<u64>,
    md5: [u8; 16],
}

fn seen(frame: &Frame) -> Seen {
    let packed = frame.as_host().unwrap().to_packed();
    let (ticks, base) = (frame.pts.ticks(), frame.pts.base().to_string());
    Seen { ticks, base, duration: frame.duration, md5: Md5::digest(&packed).into() }
}

/// All frames of a file, decoded from its beginning by one decoder.
fn from_start(path: &Path) -> Vec<Seen> {
    let frames = video_hw::frames(path).engines(Engines::One).open().unwrap();
    frames.map(|frame| seen(&frame.unwrap())).collect()
}

/// Runs ffmpeg in `folder`; `false`, loudly, where it is not installed or has not this encoder.
fn make(folder: &Path, args: &str) -> bool {
    let Ok(output) =
        Command::new("ffmpeg").args(["-v", "error", "-y"]).args(args.split(' ')).current_dir(folder).output()
    else {
        say("SKIPPED: no ffmpeg on the PATH");
        return false;
    };
    let words = String::from_utf8_lossy(&output.stderr);
    if words.contains("Unknown encoder") {
        say(&format!("SKIPPED: {}", words.trim()));
        return false;
    }
    assert!(output.status.success(), "{args}: {words}");
    true
}

/// The samples that ffmpeg decodes.
fn judged(path: &Path) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "fatal", "-i"])
        .arg(path)
        .args("-map 0:v:0 -fps_mode passthrough -f rawvideo -".split(' '))
        .output()
        .unwrap();
    output.stdout
}

const SOURCE: &str = "-f lavfi -i testsrc2=size=160x96:rate=25:duration=4";

/// Makes a file and asks for its frames in every way.
fn check(name: &str, args: &str) {
    let folder = tempfile::tempdir().unwrap();
    if make(folder.path(), &format!("{SOURCE} -pix_fmt yuv420p {args} {name}")) {
        check_file(&folder.path().join(name), true);
    }
}

fn check_file(path: &Path, judge: bool) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let expected = from_start(path);
    assert!(!expected.is_empty(), "{name}");
    if judge {
        let ours =
            video_hw::frames(path).open().unwrap().flat_map(|f| f.unwrap().as_host().unwrap().to_packed());
        assert!(ours.eq(judged(path)), "{name}: decoding from the start differs from ffmpeg's");
    }
    let many = if long() { 200 } else { 12 };
    let mut random = Random::new(17);
    let mut one_of = |expected: &[Seen]| random.below(expected.len() as u64) as usize;

    let mut film = Reader::builder(path).engines(Engines::One).open().unwrap();
    assert_eq!(film.len(), expected.len(), "{name}: frames");
    assert_eq!(film.damage(), None, "{name}");
    for (number, frame) in expected.iter().enumerate() {
        let pts = film.pts(number).unwrap();
        assert_eq!(
            (pts.ticks(), pts.base().to_string()),
            (frame.ticks, frame.base.clone()),
            "{name}: {number}"
        );
    }
    // One by one: at random, and steps from there.
    for _ in 0..many / 4 {
        let at = one_of(&expected);
        for number in [at, at + 1, at + 2, at.saturating_sub(1)].into_iter().filter(|n| *n < expected.len()) {
            let frame = film.frame(number).unwrap_or_else(|error| panic!("{name}: {number}: {error}"));
            assert_eq!(seen(&frame), expected[number], "{name}: frame {number}");
            let shown = film.frame_at(frame.pts.as_duration()).unwrap();
            assert_eq!(seen(&shown), expected[number], "{name}: at the time of frame {number}");
        }
    }
    // From a time on, as a job has it that does not know every frame.
    for _ in 0..many / 4 {
        let at = one_of(&expected);
        let start = film.pts(at).unwrap().as_duration();
        let part = video_hw::frames(path).engines(Engines::One).original_times().start(start).open().unwrap();
        for (frame, wanted) in part.take(3).zip(&expected[at..]) {
            let got = seen(&frame.unwrap_or_else(|error| panic!("{name}: from {at}: {error}")));
            assert_eq!((got.ticks, got.md5), (wanted.ticks, wanted.md5), "{name}: from frame {at}");
        }
    }
    // Batches, by one decoder and by several, with little room and with enough; frames may come twice.
    let list: Vec<usize> = (0..many).map(|_| one_of(&expected)).collect();
    let sorted = {
        let mut sorted = list.clone();
        sorted.sort_unstable();
        sorted
    };
    let ends = vec![expected.len() - 1, 0, expected.len() / 2];
    for (engines, memory) in [(Engines::One, 1 << 30), (Engines::One, 200_000), (Engines::Auto, 1 << 30)] {
        let mut film = Reader::builder(path).engines(engines).memory(memory).open().unwrap();
        let all: Vec<usize> =
            if engines == Engines::Auto { (0..expected.len()).collect() } else { vec![1, 1] };
        for list in [&list, &sorted, &ends, &all] {
            let frames = film.frames(list.iter().copied()).unwrap();
            let got: Vec<Seen> = frames
                .enumerate()
                .map(|(at, frame)| {
                    seen(&frame.unwrap_or_else(|error| panic!("{name}: {}: {error}", list[at])))
                })
                .collect();
            let wanted: Vec<&Seen> = list.iter().map(|number| &expected[*number]).collect();
            let wrong = got.iter().zip(&wanted).position(|(got, wanted)| got != *wanted);
            assert_eq!(wrong.map(|at| list[at]), None, "{name}: {engines:?}, {memory} bytes, {list:?}");
            assert_eq!(got.len(), wanted.len());
        }
        // A batch that is left in its middle, and single frames behind it.
        drop(film.frames(list.iter().copied()).unwrap().next());
        let number = one_of(&expected);
        assert_eq!(seen(&film.frame(number).unwrap()), expected[number], "{name}: behind a batch");
    }
    // The same from an index that was kept.
    let kept = path.with_extension("index");
    film.save_index(&kept).unwrap();
    let mut again = Reader::builder(path).with_index(&kept).open().unwrap();
    assert_eq!(again.len(), film.len());
    for _ in 0..5 {
        let number = one_of(&expected);
        assert_eq!(seen(&again.frame(number).unwrap()), expected[number], "{name}: by a kept index");
    }
}

#[test]
fn h264_closed_and_open_groups_and_pyramids() {
    check("closed.mp4", "-c:v libx264 -preset fast -g 25 -bf 3 -x264-params b-pyramid=normal");
    check("open.mp4", "-c:v libx264 -preset fast -g 25 -bf 3 -x264-params open-gop=1:b-pyramid=normal");
    check("strict.mp4", "-c:v libx264 -g 40 -bf 7 -x264-params b-pyramid=strict:b-adapt=0:ref=4");
    check("low-delay.mp4", "-c:v libx264 -tune zerolatency -g 30");
}

#[test]
fn h264_with_one_group_and_with_gradual_refresh() {
    check("one.mp4", "-c:v libx264 -preset veryfast -g 999");
    check("refresh.mp4", "-c:v libx264 -preset veryfast -x264-params intra-refresh=1:keyint=20:bframes=0");
    check("intra.mp4", "-c:v libx264 -preset veryfast -g 1");
    // More reference pictures than a group has pictures: what is in front of the entry was never full.
    let roomy = "-c:v libx264 -preset veryfast -x264-params open-gop=1:keyint=5:ref=12:bframes=0:scenecut=0";
    check("roomy.mp4", roomy);
    check("roomy.mkv", &format!("{roomy}:cabac=0"));
    // Parameter sets in front of the first picture alone.
    check("once.ts", "-c:v libx264 -preset veryfast -x264-params open-gop=1:keyint=8 -flags +global_header");
    check("fields.mp4", "-c:v libx264 -preset veryfast -g 25 -flags +ildct+ilme -x264-params tff=1");
}

#[test]
fn times_that_are_uneven_or_edited() {
    let folder = tempfile::tempdir().unwrap();
    let uneven = "-vf select='not(eq(mod(n\\,7)\\,3))',setpts=PTS+mod(N*37\\,11)/250/TB -fps_mode vfr";
    check(
        "uneven.mp4",
        &format!("{uneven} -c:v libx264 -preset veryfast -g 20 -bf 2 -video_track_timescale 90000"),
    );
    let at = |name: &str| folder.path().join(name);
    if !make(
        folder.path(),
        &format!("{SOURCE} -c:v libx264 -preset veryfast -g 25 -bf 2 -pix_fmt yuv420p whole.mp4"),
    ) {
        return;
    }
    for (name, args) in
        [("cut.mp4", "-ss 1.3 -i whole.mp4 -t 2.2"), ("late.mp4", "-itsoffset 0.7 -i whole.mp4")]
    {
        assert!(make(folder.path(), &format!("{args} -c copy {name}")));
        // Of a picture that has begun before the presentation, ffmpeg does not give the rest.
        check_file(&at(name), false);
    }
    // Without the table of sync samples every sample claims to be one.
    let mut file = std::fs::read(at("whole.mp4")).unwrap();
    let table = file.windows(4).position(|four| four == b"stss").unwrap();
    file[table..table + 4].copy_from_slice(b"free");
    std::fs::write(at("claims.mp4"), file).unwrap();
    check_file(&at("claims.mp4"), true);
}

#[test]
fn hevc_with_leading_pictures() {
    let x265 = "-c:v libx265 -preset fast -x265-params log-level=error:keyint=25:min-keyint=25";
    check("closed-hevc.mp4", &format!("{x265}:open-gop=0 -tag:v hvc1"));
    check("raw.h265", &format!("{x265}:open-gop=1:bframes=4"));
    check("all-intra.mp4", "-c:v libx265 -preset fast -x265-params log-level=error:keyint=1");
    let folder = tempfile::tempdir().unwrap();
    if !make(folder.path(), &format!("{SOURCE} -pix_fmt yuv420p {x265}:open-gop=1:bframes=4 open.mp4")) {
        return;
    }
    check_file(&folder.path().join("open.mp4"), true);
    // It begins with a picture whose leading pictures have lost what they refer to.
    assert!(make(folder.path(), "-ss 2 -i open.mp4 -c copy -use_editlist 0 headless.mp4"));
    check_file(&folder.path().join("headless.mp4"), true);
}

#[test]
fn raw_streams_and_fragments() {
    check("raw.h264", "-c:v libx264 -preset fast -g 25 -bf 3");
    check("raw-open.h264", "-c:v libx264 -preset fast -g 25 -bf 3 -x264-params open-gop=1");
    check("once.h264", "-c:v libx264 -preset fast -g 25 -bsf:v dump_extra=freq=e,remove_extra=freq=k");
    check("fragments.mp4", "-c:v libx264 -g 25 -bf 2 -movflags frag_keyframe+empty_moov");
    check(
        "small-fragments.mp4",
        "-c:v libx264 -g 25 -bf 2 -movflags empty_moov+frag_custom -frag_duration 300000",
    );
    check("raw.m2v", "-c:v mpeg2video -g 15 -bf 2");
}

#[test]
fn vpx_and_av1_with_frames_that_are_not_shown() {
    check(
        "vp9.ivf",
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 5 -g 30 -lag-in-frames 16 -auto-alt-ref 1 -b:v 200k",
    );
    check(
        "vp9.mp4",
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 5 -g 30 -lag-in-frames 16 -auto-alt-ref 1 -b:v 200k",
    );
    check(
        "vp8.ivf",
        "-c:v libvpx -deadline good -cpu-used 5 -g 30 -lag-in-frames 16 -auto-alt-ref 1 -b:v 200k",
    );
    check("av1.ivf", "-c:v libsvtav1 -preset 10 -g 30");
    check("av1.mp4", "-c:v libsvtav1 -preset 10 -g 30");
    check("av1.obu", "-c:v libsvtav1 -preset 10 -g 30");
}

#[test]
fn matroska_by_the_heads_of_its_blocks() {
    let x264 = "-c:v libx264 -preset veryfast -g 12 -bf 3 -x264-params open-gop=1:b-pyramid=normal";
    let x265 =
        "-c:v libx265 -preset fast -x265-params log-level=error:keyint=12:min-keyint=12:open-gop=1:bframes=4";
    let source = "-f lavfi -i testsrc2=size=96x64:rate=25:duration=2 -pix_fmt yuv420p";
    let folder = tempfile::tempdir().unwrap();
    for (name, coded) in [("h264", x264), ("hevc", x265)] {
        if make(folder.path(), &format!("{source} {coded} {name}.mkv")) {
            // Pictures in front of the first one, which refer to what is gone.
            assert!(make(folder.path(), &format!("-ss 1 -i {name}.mkv -c copy headless-{name}.mkv")));
            check_file(&folder.path().join(format!("headless-{name}.mkv")), false);
        }
    }
    // No place to begin among the first pictures.
    if folder.path().join("h264.mkv").exists() {
        assert!(make(folder.path(), "-i h264.mkv -c copy -bsf:v noise=drop='lt(n,5)' late.mkv"));
        check_file(&folder.path().join("late.mkv"), false);
    }
    let vp8 = "-c:v libvpx -deadline good -cpu-used 5 -g 30 -lag-in-frames 16 -auto-alt-ref 1 -b:v 200k";
    if make(folder.path(), &format!("{source} {vp8} vp8.webm")) {
        check_file(&folder.path().join("vp8.webm"), true);
    }
}

fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clips").join(name)
}

#[test]
fn clips_of_the_repository() {
    for entry in std::fs::read_dir(clip("")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|kind| ["mp4", "ivf", "h264", "h265"].iter().any(|known| kind == *known))
        {
            let folder = tempfile::tempdir().unwrap();
            let copy = folder.path().join(path.file_name().unwrap());
            std::fs::copy(&path, &copy).unwrap();
            check_file(&copy, false);
        }
    }
}

#[test]
fn a_reader_is_asked_by_time_and_says_where_it_has_nothing() {
    fn sent<T: Send>(_: &T) {}
    let mut film = video_hw::open(clip("bars.mp4")).unwrap();
    sent(&film);
    let last = film.len() - 1;
    assert_eq!(film.index_at(Duration::ZERO), Some(0));
    assert_eq!(film.index_at(film.duration()), None);
    assert_eq!(film.index_at(film.duration().saturating_sub(Duration::from_nanos(1))), Some(last));
    assert_eq!(film.first_from(film.pts(3).unwrap().as_duration() + Duration::from_nanos(1)), Some(4));
    assert!(film.key_frames().next() == Some(0) && film.key_frames().count() < film.len());
    for error in [
        film.frame(last + 1).unwrap_err(),
        film.frame_at(Duration::from_secs(3600)).unwrap_err(),
        film.frames([0, last + 1]).err().unwrap(),
    ] {
        assert!(
            matches!(&error, Error::InvalidInput { .. }) && error.to_string().contains("bars.mp4"),
            "{error}"
        );
    }
    assert_eq!(film.frames([]).unwrap().count(), 0);
    let error = Reader::builder(clip("bars.mp4")).limits(Limits::default().index_memory(100)).open().err();
    assert!(matches!(error, Some(Error::LimitExceeded { .. })), "{error:?}");
}

#[test]
fn a_truncated_file_has_the_frames_that_are_whole_and_says_why_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(clip("small-vp9.ivf")).unwrap();
    let path = folder.path().join("cut.ivf");
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let mut film = video_hw::open(&path).unwrap();
    let expected: Vec<Seen> =
        video_hw::frames(&path).open().unwrap().map_while(|f| Some(seen(&f.ok()?))).collect();
    assert!(film.len() == expected.len() && film.len() > 5, "{} frames", film.len());
    assert!(film.damage().unwrap().contains("cut short"), "{:?}", film.damage());
    for (number, frame) in film.frames((0..expected.len()).rev()).unwrap().enumerate() {
        assert_eq!(seen(&frame.unwrap()), expected[expected.len() - 1 - number]);
    }
    let error = film.frame(expected.len()).unwrap_err().to_string();
    assert!(error.contains("cut short"), "{error}");
    // Of samples that an index promises and a file has not, the others come.
    let whole = std::fs::read(clip("bars.mp4")).unwrap();
    let cut = folder.path().join("cut.mp4");
    let moov = whole.windows(4).position(|four| four == b"moov").unwrap();
    let mdat = whole.windows(4).position(|four| four == b"mdat").unwrap();
    if moov < mdat {
        std::fs::write(&cut, &whole[..whole.len() - 1000]).unwrap();
        let mut film = video_hw::open(&cut).unwrap();
        assert!(film.frame(0).is_ok());
        let error = film.frame(film.len() - 1).unwrap_err().to_string();
        assert!(error.contains(&format!("frame {}", film.len() - 1)), "{error}");
    }
}

#[test]
fn one_decoder_serves_all_single_frames() {
    let mut film = Reader::builder(clip("bars.mp4")).open().unwrap();
    let mut decoded = 0;
    for number in [20, 21, 22, 5, 6, 40] {
        film.frame(number).unwrap();
        let summaries = film.summaries();
        assert_eq!(summaries.len(), 1);
        let submitted = summaries[0].ledger.submitted;
        // What goes on behind the last frame costs a packet or a few, not the group again.
        assert!(
            ![21, 22, 6].contains(&number) || submitted - decoded <= 4,
            "{number}: {}",
            submitted - decoded
        );
        decoded = submitted;
        assert!(summaries[0].ledger.balances());
    }
}
