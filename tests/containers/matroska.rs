//! Matroska and WebM, read: against ffprobe's packets and ffmpeg's pictures, in files of ffmpeg and mkvmerge, through pipes,
//! after seeks, and against damage.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use video_hw::container::matroska::MatroskaDemuxer;
use video_hw::container::{ContainerFormat, Demuxer, Input, TrackId, TrackKind, open_input};
use video_hw::hdr::{ContentLight, MasteringDisplay};
use video_hw::packet::Packet;
use video_hw::stream_io::NonSeekable;
use video_hw::time::Timestamp;

use super::matroska_made::element;
use crate::support::streams::{ffmpeg_md5s, frame_md5, have, md5_hex, run, text};

pub(crate) const PICTURES: &str = "testsrc2=size=160x96:rate=25:duration=2";
pub(crate) const SOUND: &str = "sine=duration=2:sample_rate=48000";

/// A packet: stream, ticks, bytes, sum, and whether decoding can start there.
pub(crate) type Row = (usize, i64, usize, String, bool);

pub(crate) fn open(path: &Path) -> Box<dyn Demuxer> {
    match open_input(path).unwrap() {
        Input::Demuxer(demuxer) => demuxer,
        Input::Frames(_) => panic!("{} holds no packets", path.display()),
    }
}

pub(crate) fn packets(demuxer: &mut dyn Demuxer) -> Vec<Packet> {
    std::iter::from_fn(|| demuxer.next_packet().unwrap()).collect()
}

pub(crate) fn row(demuxer: &dyn Demuxer, packet: &Packet) -> Row {
    let stream = demuxer.tracks().iter().position(|track| track.id == packet.track).unwrap();
    (stream, packet.pts.unwrap().ticks(), packet.data.len(), md5_hex(&packet.data), packet.keyframe)
}

pub(crate) fn rows(demuxer: &mut dyn Demuxer) -> Vec<Row> {
    let packets = packets(demuxer);
    packets.iter().map(|packet| row(demuxer, packet)).collect()
}

/// ffprobe's packets. It marks packets of sound as key frames, as they are.
pub(crate) fn ffprobe_rows(path: &Path) -> Vec<Row> {
    let entries = "packet=stream_index,pts,size,flags,data_hash";
    let args =
        ["-show_packets", "-show_data_hash", "md5", "-show_entries", entries, "-of", "csv=p=0", text(path)];
    // Where there are side data, the sum stands on a line of its own.
    let said = run("ffprobe", &args).replace("\n,MD5:", ",MD5:");
    said.lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter_map(|f| {
            let sum = f.iter().find_map(|field| field.strip_prefix("MD5:"))?.to_owned();
            let number = |at: usize| f[at].parse().unwrap();
            Some((number(0) as usize, number(1), number(2) as usize, sum, f[3].starts_with('K')))
        })
        .collect()
}

/// Makes a file with ffmpeg; `None`, told, where this ffmpeg cannot.
pub(crate) fn made(dir: &Path, name: &str, args: &[&str]) -> Option<PathBuf> {
    let path = dir.join(name);
    let out = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(args).arg(&path).output().unwrap();
    if !out.status.success() {
        println!("SKIPPED: ffmpeg does not make {name}: {}", String::from_utf8_lossy(&out.stderr));
        return None;
    }
    Some(path)
}

/// Whether mkvmerge is there; says so when not.
pub(crate) fn have_mkvmerge() -> bool {
    let here = Command::new("mkvmerge").arg("--version").output().is_ok_and(|out| out.status.success());
    if !here {
        println!("SKIPPED: mkvmerge is not installed");
    }
    here
}

fn merged(dir: &Path, name: &str, args: &[&str]) -> Option<PathBuf> {
    if !have_mkvmerge() {
        return None;
    }
    let path = dir.join(name);
    let out = Command::new("mkvmerge").args(["-q", "-o"]).arg(&path).args(args).output().unwrap();
    // 1 stands for warnings.
    assert!(out.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&out.stdout));
    Some(path)
}

/// Files of as many kinds as the programs here can make.
pub(crate) fn films(dir: &Path) -> Vec<(&'static str, PathBuf)> {
    let pictures = ["-f", "lavfi", "-i", PICTURES];
    let both = ["-f", "lavfi", "-i", PICTURES, "-f", "lavfi", "-i", SOUND];
    let h264 = ["-c:v", "libx264", "-preset", "fast", "-bf", "3", "-g", "20", "-threads", "1"];
    let vp9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "20"];
    let make = |name, parts: &[&[&str]]| made(dir, name, &parts.concat()).map(|path| (name, path));
    let hdr = "hdr10=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none:\
               master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400";
    let all_sound = [
        "-c:a:0",
        "aac",
        "-c:a:1",
        "ac3",
        "-c:a:2",
        "eac3",
        "-c:a:3",
        "libmp3lame",
        "-c:a:4",
        "flac",
        "-c:a:5",
        "libopus",
        "-c:a:6",
        "libvorbis",
        "-c:a:7",
        "alac",
        "-c:a:8",
        "pcm_s16le",
        "-c:a:9",
        "pcm_s24be",
        "-c:a:10",
        "pcm_f32le",
        "-c:a:11",
        "dca",
        "-strict",
        "-2",
        "-ac",
        "2",
    ];
    let mut maps = vec!["-map", "0:v"];
    maps.extend(["-map", "1:a"].repeat(12));
    let mut films: Vec<_> = [
        make("bframes.mkv", &[&both, &h264, &["-c:a", "aac"]]),
        make("cues_in_front.mkv", &[&both, &h264, &["-c:a", "libopus", "-cues_to_front", "1"]]),
        make("live.mkv", &[&both, &h264, &["-c:a", "libmp3lame", "-live", "1"]]),
        make("small_clusters.mkv", &[&both, &h264, &["-c:a", "ac3", "-cluster_time_limit", "100"]]),
        make("vfr.mkv", &[&pictures, &["-vf", "select='not(eq(mod(n,5),2))'", "-fps_mode", "vfr"], &h264]),
        make("sounds.mkv", &[&both, &maps, &h264, &all_sound]),
        make("vp9.webm", &[&both, &vp9, &["-c:a", "libopus"]]),
        make("vp8.webm", &[&both, &["-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis"]]),
        make("av1.webm", &[&pictures, &["-c:v", "libsvtav1", "-preset", "12", "-g", "20"]]),
        make(
            "hevc.mkv",
            &[
                &pictures,
                &[
                    "-c:v",
                    "libx265",
                    "-preset",
                    "fast",
                    "-pix_fmt",
                    "yuv420p10le",
                    "-color_trc",
                    "smpte2084",
                    "-x265-params",
                    hdr,
                ],
            ],
        ),
        make("mpeg2.mkv", &[&pictures, &["-c:v", "mpeg2video", "-bf", "2", "-g", "12"]]),
        make("asp.mkv", &[&pictures, &["-c:v", "mpeg4", "-bf", "2", "-g", "12"]]),
    ]
    .into_iter()
    .flatten()
    .collect();
    // Of a live stream nothing can be filled in: segment and clusters have no sizes.
    let shell = format!(
        "ffmpeg -v error -f lavfi -i {PICTURES} -f lavfi -i {SOUND} -c:v libvpx-vp9 -deadline realtime -g 20 -c:a libopus -f webm - | cat > "
    );
    let piped = dir.join("piped.webm");
    let done = Command::new("sh").arg("-c").arg(shell + text(&piped)).status();
    films.extend(done.is_ok_and(|status| status.success()).then_some(("piped.webm", piped)));
    let of = |name: &str| films.iter().find(|film| film.0 == name).map(|film| film.1.clone());
    let laced = of("sounds.mkv")
        .and_then(|sounds| merged(dir, "laced.mkv", &["--engage", "lacing_xiph", text(&sounds)]));
    let ebml =
        of("bframes.mkv").and_then(|film| merged(dir, "ebml.mkv", &["--engage", "lacing_ebml", text(&film)]));
    let merged = [("laced.mkv", laced), ("ebml.mkv", ebml)];
    films.extend(merged.into_iter().filter_map(|(name, path)| Some((name, path?))));
    films
}

/// The packets of each stream, in its order.
fn by_stream(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| row.0);
    rows
}

#[test]
fn packets_are_those_of_ffprobe_from_files_and_pipes() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let films = films(dir.path());
    assert!(films.len() > 8, "{films:?}");
    for (name, path) in &films {
        let mut demuxer = open(path);
        let webm = if path.extension().unwrap() == "webm" {
            ContainerFormat::WebM
        } else {
            ContainerFormat::Matroska
        };
        assert_eq!(demuxer.format(), webm);
        let ours = rows(&mut *demuxer);
        let theirs = ffprobe_rows(path);
        assert_eq!(ours.len(), theirs.len(), "{name}");
        // ffprobe adds up rounded durations of laced frames: their times are held against those that they were laced from.
        let original = [("laced.mkv", "sounds.mkv"), ("ebml.mkv", "bframes.mkv")]
            .into_iter()
            .find(|(laced, _)| laced == name);
        let laced = original.is_some();
        let times = match original {
            Some((_, original)) => rows(&mut *open(&dir.path().join(original))),
            None => theirs.clone(),
        };
        let times = by_stream(times).into_iter().map(|row| row.1);
        for ((ours, theirs), time) in by_stream(ours.clone()).into_iter().zip(by_stream(theirs)).zip(times) {
            assert!(ours.1.abs_diff(time) <= if laced { 2 } else { 0 }, "{name}: {ours:?} at {time}");
            assert_eq!((ours.0, ours.2, ours.3, ours.4), (theirs.0, theirs.2, theirs.3, theirs.4), "{name}");
        }
        // Every sound is one that MP4 can hold.
        for track in demuxer.tracks().iter().filter(|track| track.kind == TrackKind::Audio) {
            let copy = track.copy.as_ref().unwrap();
            assert!(!copy.sample_entry.is_empty(), "{name}: {}", track.codec_name);
        }
        let pipe = NonSeekable(Cursor::new(fs::read(path).unwrap()));
        let mut pipe = MatroskaDemuxer::open(pipe, path.clone()).unwrap();
        assert_eq!(rows(&mut pipe), ours, "{name} through a pipe");
        assert!(
            !pipe.seek(demuxer.tracks()[0].id, Timestamp::new(0, demuxer.tracks()[0].time_base)).unwrap()
        );
    }
}

#[test]
fn decoding_times_rise_and_precede_presentation() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, path) in films(dir.path()) {
        let mut demuxer = open(&path);
        let video = demuxer.tracks()[0].id;
        demuxer.select_tracks(&[video]);
        let packets = packets(&mut *demuxer);
        assert!(packets.iter().all(|packet| packet.track == video));
        for pair in packets.windows(2) {
            assert!(pair[0].dts < pair[1].dts, "{name}: {:?} {:?}", pair[0].dts, pair[1].dts);
        }
        assert!(packets.iter().all(|packet| packet.dts <= packet.pts), "{name}");
        // They are late by the frames that wait, and by no more.
        let mut shown: Vec<_> = packets.iter().map(|packet| packet.pts).collect();
        shown.sort();
        let late = shown.iter().position(|pts| *pts == packets[0].pts).unwrap();
        let depth = packets.iter().take_while(|packet| packet.dts < packets[0].pts).count();
        assert!(late == 0 && depth <= 4, "{name}: {depth}");
        let expected = shown.iter().take(packets.len() - depth);
        assert!(packets.iter().skip(depth).map(|packet| &packet.dts).eq(expected), "{name}");
    }
}

#[test]
fn pictures_are_those_of_ffmpeg() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, path) in films(dir.path()) {
        // MPEG-2 and MPEG-4 need a decoder of other vendors.
        if ["mpeg2.mkv", "asp.mkv"].contains(&name) {
            continue;
        }
        let frames: Vec<_> = video_hw::frames(&path).open().unwrap().map(Result::unwrap).collect();
        let sums: Vec<_> = frames.iter().map(frame_md5).collect();
        assert_eq!(sums, ffmpeg_md5s(&["-i", text(&path)]), "{name}");
        let mut pts: Vec<_> =
            ffprobe_rows(&path).into_iter().filter(|row| row.0 == 0).map(|row| row.1).collect();
        pts.sort_unstable();
        assert_eq!(frames.iter().map(|frame| frame.pts.ticks()).collect::<Vec<_>>(), pts, "{name}");
    }
}

#[test]
fn seeks_end_at_the_last_key_frame_before() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, path) in films(dir.path()) {
        let mut demuxer = open(&path);
        let all = rows(&mut *demuxer);
        let track = demuxer.tracks()[0].clone();
        for ticks in [1999, 0, 799, 800, 1201, 40, 1600, 5000] {
            assert!(demuxer.seek(track.id, Timestamp::new(ticks, track.time_base)).unwrap());
            let found = all.iter().rposition(|row| row.0 == 0 && row.4 && row.1 <= ticks).unwrap_or(0);
            let rest: Vec<_> = rows(&mut *demuxer);
            assert_eq!(rest.first(), all.get(found), "{name} at {ticks}");
            assert_eq!(rest.len(), all.len() - found, "{name} at {ticks}");
        }
    }
}

#[test]
fn what_the_header_says_is_understood() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let films = films(dir.path());
    let video = |name: &str| {
        let path = films.iter().find(|film| film.0 == name).map(|film| &film.1)?;
        open(path).tracks()[0].video.clone()
    };
    if let Some(hevc) = video("hevc.mkv") {
        let display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";
        assert_eq!(hevc.hdr.mastering_display, display.parse::<MasteringDisplay>().ok());
        assert_eq!(hevc.hdr.content_light, Some(ContentLight { max_cll: 1000, max_fall: 400 }));
        assert_eq!(hevc.color.transfer.name(), "smpte2084");
    }
    let rate = video("bframes.mkv").unwrap().frame_rate.unwrap();
    assert_eq!((rate.num(), rate.den()), (25, 1));
    let wide = [
        "-f",
        "lavfi",
        "-i",
        PICTURES,
        "-vf",
        "setsar=64/45",
        "-c:v",
        "libvpx-vp9",
        "-deadline",
        "realtime",
        "-frames:v",
        "3",
    ];
    if let Some(wide) = made(dir.path(), "wide.webm", &wide) {
        // ffmpeg states the width rounded.
        let ratio = open(&wide).tracks()[0].video.as_ref().unwrap().sample_aspect_ratio.unwrap();
        assert!((ratio.as_f64() - 64.0 / 45.0).abs() < 1.0 / 160.0, "{ratio}");
    }
    let Some(merged) = merged(
        dir.path(),
        "flags.mkv",
        &[
            "--language",
            "0:fre",
            "--language",
            "1:ger",
            "--track-enabled-flag",
            "1:0",
            "--cropping",
            "0:8,4,8,4",
            text(&films[0].1),
        ],
    ) else {
        return;
    };
    let demuxer = open(&merged);
    let languages: Vec<_> = demuxer.tracks().iter().map(|track| track.language.as_deref()).collect();
    assert_eq!(languages, [Some("fre"), Some("ger")]);
    assert_eq!(demuxer.disabled_tracks(), [TrackId(2)]);
    assert!(
        demuxer.notes().iter().any(|note| note.contains("crop 8 left, 8 right, 4 top, 4 bottom")),
        "{:?}",
        demuxer.notes()
    );
}

/// What all frames of MPEG-4 begin with.
const START: [u8; 3] = [0, 0, 1];

/// It is left out of the frames and stated once.
#[test]
fn stripped_headers_are_put_back() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let args = ["-f", "lavfi", "-i", PICTURES, "-c:v", "mpeg4", "-bf", "0", "-g", "12"];
    let Some(plain) = made(dir.path(), "plain.mkv", &args) else { return };
    let packets = packets(&mut *open(&plain));
    let compression = [element(&[0x42, 0x54], &[3]), element(&[0x42, 0x55], &START)].concat();
    let encoding = element(&[0x62, 0x40], &element(&[0x50, 0x34], &compression));
    let size = [element(&[0xb0], &[160]), element(&[0xba], &[96])].concat();
    let entry = [
        element(&[0xd7], &[1]),
        element(&[0x73, 0xc5], &[1]),
        element(&[0x83], &[1]),
        element(&[0x86], b"V_MPEG4/ISO/ASP"),
        element(&[0x6d, 0x80], &encoding),
        element(&[0xe0], &size),
    ];
    let mut cluster = element(&[0xe7], &[0]);
    for packet in &packets {
        let time = i16::try_from(packet.pts.unwrap().ticks()).unwrap().to_be_bytes();
        let flags = if packet.keyframe { 0x80 } else { 0 };
        let frame = packet.data.strip_prefix(&START).unwrap();
        cluster.extend(element(&[0xa3], &[&[0x81], &time[..], &[flags], frame].concat()));
    }
    let film = [
        element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], b"matroska")),
        element(
            &[0x18, 0x53, 0x80, 0x67],
            &[
                element(&[0x15, 0x49, 0xa9, 0x66], &element(&[0x2a, 0xd7, 0xb1], &[0x0f, 0x42, 0x40])),
                element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &entry.concat())),
                element(&[0x1f, 0x43, 0xb6, 0x75], &cluster),
            ]
            .concat(),
        ),
    ];
    let stripped = dir.path().join("stripped.mkv");
    fs::write(&stripped, film.concat()).unwrap();
    let expected = rows(&mut *open(&plain));
    assert_eq!(rows(&mut *open(&stripped)), expected);
    assert_eq!(ffprobe_rows(&stripped), expected);
}

#[test]
fn frames_that_mkvmerge_has_compressed_are_those_of_the_original() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let srt = dir.path().join("in.srt");
    fs::write(&srt, "1\n00:00:00,200 --> 00:00:00,800\nHello\n\n").unwrap();
    let args =
        ["-f", "lavfi", "-i", PICTURES, "-i", text(&srt), "-c:v", "libx264", "-g", "10", "-c:s", "ass"];
    let Some(film) = made(dir.path(), "film.mkv", &args) else { return };
    let args = ["--compression", "0:zlib", "--compression", "1:zlib", text(&film)];
    let Some(compressed) = merged(dir.path(), "zlib.mkv", &args) else { return };
    assert!(fs::metadata(&compressed).unwrap().len() > 0);
    assert_eq!(by_stream(rows(&mut *open(&compressed))), by_stream(rows(&mut *open(&film))));
    // The packets are as long as they are inflated: the index reads them.
    let mut demuxer = open(&compressed);
    let video = demuxer.tracks()[0].id;
    assert!(!demuxer.index(video, &mut |_, _| Ok(())).unwrap());
}

/// Reads to the end through whatever errors come; the packets and the errors.
fn read_through(data: Vec<u8>) -> (Vec<Packet>, Vec<String>) {
    let (mut packets, mut errors) = (Vec::new(), Vec::new());
    let bytes = data.len();
    let mut demuxer = match MatroskaDemuxer::open(Cursor::new(data), PathBuf::from("film.mkv")) {
        Ok(demuxer) => demuxer,
        Err(error) => return (packets, vec![error.to_string()]),
    };
    loop {
        match demuxer.next_packet() {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => break,
            Err(error) => {
                errors.push(error.to_string());
                if !error.is_recoverable() {
                    break;
                }
            }
        }
        // Each call goes on by a byte at least.
        assert!(packets.len() / 256 + errors.len() <= bytes, "no end");
    }
    if let Some(track) = demuxer.tracks().first().map(|track| track.id) {
        let one = Timestamp::new(1, video_hw::time::TimeBase::new(1, 1).unwrap());
        if demuxer.seek(track, one).is_ok() {
            let _ = demuxer.next_packet();
        }
    }
    (packets, errors)
}

pub(crate) fn small_film(dir: &Path) -> Option<Vec<u8>> {
    let args = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=64x48:rate=25:duration=2",
        "-f",
        "lavfi",
        "-i",
        SOUND,
        "-c:v",
        "libx264",
        "-g",
        "10",
        "-bf",
        "2",
        "-threads",
        "1",
        "-c:a",
        "aac",
        "-b:a",
        "32k",
        "-cluster_time_limit",
        "400",
    ];
    made(dir, "small.mkv", &args).map(|path| fs::read(path).unwrap())
}

#[test]
fn truncated_files_give_what_is_whole_and_then_an_error() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(whole) = small_film(dir.path()) else { return };
    let (all, errors) = read_through(whole.clone());
    assert!(errors.is_empty() && all.len() > 100, "{errors:?}");
    let mut most = 0;
    for end in (0..whole.len()).step_by(487) {
        let (packets, errors) = read_through(whole[..end].to_vec());
        for (cut, full) in packets.iter().zip(&all) {
            assert_eq!((&cut.data, cut.pts), (&full.data, full.pts));
        }
        assert!(packets.len() >= most && errors.len() <= 1, "{end}: {} {errors:?}", packets.len());
        assert!(!errors.is_empty() || packets.len() == all.len() || end > 600, "{end}: {errors:?}");
        most = packets.len();
    }
    assert!(most > all.len() / 2);
}

#[test]
fn after_damage_reading_goes_on_with_the_next_cluster() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(whole) = small_film(dir.path()) else { return };
    let (all, _) = read_through(whole.clone());
    let clusters: Vec<usize> = whole
        .windows(4)
        .enumerate()
        .filter(|(_, head)| *head == [0x1f, 0x43, 0xb6, 0x75])
        .map(|(at, _)| at)
        .collect();
    assert!(clusters.len() > 3);
    // The second cluster loses its middle, to ones and to zeros.
    for byte in [0, 0xff] {
        let mut damaged = whole.clone();
        damaged[clusters[1] + 40..clusters[2] - 10].fill(byte);
        let (packets, errors) = read_through(damaged);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("up to the next cluster are lost"), "{errors:?}");
        assert_eq!(packets.last().unwrap().data, all.last().unwrap().data);
        assert!(packets.len() > all.len() / 2 && packets.len() < all.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24), front in any::<bool>()) {
        static FILM: std::sync::OnceLock<Option<Vec<u8>>> = std::sync::OnceLock::new();
        let film = FILM.get_or_init(|| have(&["ffmpeg"]).then(|| small_film(tempfile::tempdir().unwrap().path())).flatten());
        let Some(film) = film else { return Ok(()) };
        let mut film = film.clone();
        let end = if front { 1200 } else { film.len() };
        for (at, byte) in changes {
            let at = at.index(end);
            film[at] = byte;
        }
        let _ = read_through(film);
    }
}
