//! Matroska and WebM, written: judged by ffprobe, ffmpeg and mkvmerge, and by reading it again.

use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use video_hw::codec::Codec;
use video_hw::container::matroska::{MatroskaDemuxer, MatroskaMuxer};
use video_hw::container::mp4::{Mp4Demuxer, Mp4MuxOptions, Mp4Muxer};
use video_hw::container::{Demuxer, FileMetadata, MuxSummary, Muxer, Track, TrackKind, VideoTrack};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::packet::{BitstreamLayout, Packet};

use super::matroska::{PICTURES, Row, SOUND, ffprobe_rows, films, have_mkvmerge, made, open, packets, rows};
use super::matroska_made::{KEY, TAGS, cluster, element, film, open_bytes, pictures, simple, uint};
use crate::support::streams::{ffmpeg_md5s, have, run, text};

/// A file in memory that outlives its muxer.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Cursor<Vec<u8>>>>);

impl Memory {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().get_ref().clone()
    }
}

impl Write for Memory {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Memory {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.lock().unwrap().seek(to)
    }
}

/// Copies all tracks, with what is said of them.
fn copy(from: &mut dyn Demuxer, to: &mut dyn Muxer) -> MuxSummary {
    let tracks: Vec<_> =
        from.tracks().to_vec().iter().map(|track| (track.id, to.add_track(track).unwrap())).collect();
    if let Some(metadata) = from.metadata() {
        to.describe(metadata);
    }
    while let Some(packet) = from.next_packet().unwrap() {
        let id = tracks.iter().find(|(from, _)| *from == packet.track).unwrap().1;
        to.write(&packet.on(id)).unwrap();
    }
    to.finish().unwrap()
}

fn to_matroska(from: &mut dyn Demuxer, webm: bool) -> Vec<u8> {
    let memory = Memory::default();
    let mut muxer = MatroskaMuxer::create(memory.clone(), "out.mkv", webm);
    let summary = copy(from, &mut muxer);
    assert_eq!(summary.bytes, memory.bytes().len() as u64);
    memory.bytes()
}

fn to_mp4(from: &mut dyn Demuxer) -> Vec<u8> {
    let memory = Memory::default();
    let mut muxer = Mp4Muxer::create(memory.clone(), Mp4MuxOptions::default()).unwrap();
    copy(from, &mut muxer);
    memory.bytes()
}

/// What foreign readers say of a file; empty is good.
fn judges(path: &Path) -> String {
    let mut said = String::new();
    let out = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-i",
            text(path),
            "-map",
            "0",
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "-1",
            "-c:s",
            "copy",
            "-f",
            "null",
            "-",
        ])
        .output()
        .unwrap();
    said += &String::from_utf8_lossy(&out.stderr);
    let merged = path.with_extension("merged");
    match Command::new("mkvmerge").args(["-q", "-o", text(&merged), text(path)]).output() {
        Ok(out) => said += &String::from_utf8_lossy(&out.stdout),
        Err(_) => println!("SKIPPED: mkvmerge is not installed"),
    }
    said
}

/// The packets of each stream, in its order.
fn by_stream(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| row.0);
    rows
}

#[test]
fn copies_have_the_packets_and_times_of_the_original() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, path) in films(dir.path()) {
        let webm = path.extension().unwrap() == "webm";
        let expected = rows(&mut *open(&path));
        let out = dir.path().join(format!("copy_of_{name}"));
        std::fs::write(&out, to_matroska(&mut *open(&path), webm)).unwrap();
        assert_eq!(rows(&mut *open(&out)), expected, "{name}");
        assert_eq!(by_stream(ffprobe_rows(&out)), by_stream(expected.clone()), "{name}");
        assert_eq!(judges(&out), "", "{name}");
        // Seeking in what was written needs its cues.
        let track = open(&out).tracks()[0].clone();
        let mut demuxer = open(&out);
        assert!(demuxer.seek(track.id, video_hw::time::Timestamp::new(1200, track.time_base)).unwrap());
        let found = expected.iter().rposition(|row| row.0 == 0 && row.4 && row.1 <= 1200).unwrap();
        assert_eq!(rows(&mut *demuxer).first(), expected.get(found), "{name}");
    }
}

#[test]
fn live_streams_have_unknown_sizes_and_the_same_packets() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, path) in films(dir.path()) {
        let webm = path.extension().unwrap() == "webm";
        let memory = Memory::default();
        let mut muxer = MatroskaMuxer::stream(memory.clone(), "-", webm);
        copy(&mut *open(&path), &mut muxer);
        let out = dir.path().join(format!("live_{name}"));
        std::fs::write(&out, memory.bytes()).unwrap();
        assert_eq!(rows(&mut *open(&out)), rows(&mut *open(&path)), "{name}");
        assert_eq!(judges(&out), "", "{name}");
        let cluster = [0x1f, 0x43, 0xb6, 0x75, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(memory.bytes().windows(cluster.len()).any(|bytes| bytes == cluster));
    }
}

#[test]
fn mp4_and_back_keeps_every_byte_and_time() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut other = Vec::new();
    for (name, path) in films(dir.path()) {
        // MP4 is written with these codecs by nobody here.
        if ["mpeg2.mkv", "asp.mkv"].contains(&name) {
            continue;
        }
        let mp4 = dir.path().join(format!("{name}.mp4"));
        std::fs::write(&mp4, to_mp4(&mut *open(&path))).unwrap();
        let mut first = Mp4Demuxer::open(std::fs::File::open(&mp4).unwrap(), mp4.clone()).unwrap();
        let one = packets(&mut first);
        let mut back = Mp4Demuxer::open(std::fs::File::open(&mp4).unwrap(), mp4.clone()).unwrap();
        let mkv = dir.path().join(format!("{name}.again.mkv"));
        std::fs::write(&mkv, to_matroska(&mut back, false)).unwrap();
        let mut second = MatroskaDemuxer::open(std::fs::File::open(&mkv).unwrap(), mkv.clone()).unwrap();
        let two = packets(&mut second);
        let of = |packets: &[Packet], demuxer: &dyn Demuxer, index: usize| -> Vec<_> {
            let id = demuxer.tracks()[index].id;
            let own = packets.iter().filter(|packet| packet.track == id);
            own.map(|packet| (packet.pts.unwrap().ticks(), packet.data.clone(), packet.keyframe)).collect()
        };
        assert_eq!(first.tracks().len(), second.tracks().len(), "{name}");
        for index in 0..first.tracks().len() {
            assert_eq!(of(&one, &first, index), of(&two, &second, index), "{name}, track {index}");
        }
        // What the judge decodes of the MP4 file is what it decodes of the original.
        let sums = ffmpeg_md5s(&["-i", text(&path)]);
        assert_eq!(ffmpeg_md5s(&["-i", text(&mp4)]), sums, "{name}");
        assert_eq!(judges(&mkv), "", "{name}");
        let sounds = first.tracks().iter().filter(|track| track.kind == TrackKind::Audio).count();
        for index in 0..sounds {
            let map = format!("0:a:{index}");
            let pcm = |path: &Path| {
                let out = Command::new("ffmpeg")
                    .args(["-v", "error", "-i", text(path), "-map", &map, "-f", "s16le", "-"])
                    .output();
                out.unwrap().stdout
            };
            let (ours, theirs) = (pcm(&mp4), pcm(&path));
            // ffmpeg cuts the end of Opus and MP3 by samples in the one, and by packets in the other; ticks of a millisecond do
            // not say where within one the sound begins.
            let original = open(&path);
            let mut sounds = original.tracks().iter().filter(|track| track.kind == TrackKind::Audio);
            let sound = sounds.nth(index).unwrap();
            let same = match sound.codec_name.as_str() {
                "Opus" | "MP3" => ours.len().abs_diff(theirs.len()) <= 48 * 22 * 4,
                _ => ours == theirs,
            };
            if !same {
                other.push(format!(
                    "{name}, sound {index} ({}): {} {}",
                    sound.codec_name,
                    ours.len(),
                    theirs.len()
                ));
            }
        }
    }
    assert!(other.is_empty(), "{other:#?}");
}

#[test]
fn files_of_mp4_come_over_with_their_priming() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let args =
        ["-f", "lavfi", "-i", PICTURES, "-f", "lavfi", "-i", SOUND, "-c:v", "libx264", "-bf", "2", "-c:a"];
    for codec in ["aac", "libopus"] {
        let name = format!("{codec}.mp4");
        let Some(mp4) = made(dir.path(), &name, &[&args[..], &[codec]].concat()) else { continue };
        let mut source = Mp4Demuxer::open(std::fs::File::open(&mp4).unwrap(), mp4.clone()).unwrap();
        let mkv = dir.path().join(format!("{codec}.mkv"));
        std::fs::write(&mkv, to_matroska(&mut source, false)).unwrap();
        assert_eq!(judges(&mkv), "", "{codec}");
        let mut source = Mp4Demuxer::open(std::fs::File::open(&mp4).unwrap(), mp4.clone()).unwrap();
        let (before, after) = (packets(&mut source), packets(&mut *open(&mkv)));
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((&before.data, before.keyframe), (&after.data, after.keyframe));
            let millis = |packet: &Packet| packet.pts.unwrap().as_secs_f64() * 1000.0;
            assert!((millis(before) - millis(after)).abs() <= 1.0, "{} {}", millis(before), millis(after));
            let [before, after] = [before, after].map(|packet| packet.dts.unwrap().as_secs_f64() * 1000.0);
            assert!((before - after).abs() <= 1.0, "{before} {after}");
        }
        assert!(after.iter().any(|packet| packet.pts.unwrap().ticks() < 0), "{codec} has nothing to prime");
    }
}

#[test]
fn mp4_through_matroska_and_webm_comes_back_as_it_was() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let vp9 = "-c:v libvpx-vp9 -deadline good -cpu-used 8 -g 20 -lag-in-frames 16 -auto-alt-ref 1 -b:v 200k";
    for (name, args, in_webm) in [
        ("h264.mp4", "-c:v libx264 -preset veryfast -bf 3 -g 20", false),
        (
            "hevc.mp4",
            "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=20 -tag:v hvc1",
            false,
        ),
        ("vp9.mp4", vp9, true),
        ("av1.mp4", "-c:v libsvtav1 -preset 12 -g 20", true),
    ] {
        let args: Vec<&str> = ["-f", "lavfi", "-i", PICTURES].into_iter().chain(args.split(' ')).collect();
        let Some(mp4) = made(dir.path(), name, &args) else { continue };
        let read = |path: &Path| Mp4Demuxer::open(std::fs::File::open(path).unwrap(), path.into()).unwrap();
        let original = packets(&mut read(&mp4));
        assert!(original.len() >= 50, "{name}");
        for webm in [false, true].into_iter().filter(|webm| in_webm || !webm) {
            let between = dir.path().join(name).with_extension(if webm { "webm" } else { "mkv" });
            std::fs::write(&between, to_matroska(&mut read(&mp4), webm)).unwrap();
            assert_eq!(judges(&between), "", "{name}");
            let back = dir.path().join(format!("{webm}_{name}"));
            std::fs::write(&back, to_mp4(&mut *open(&between))).unwrap();
            let again = packets(&mut read(&back));
            assert_eq!(again.len(), original.len(), "{name}");
            for (at, (again, original)) in again.iter().zip(&original).enumerate() {
                assert!(again.data == original.data, "{name}: sample {at}");
                assert_eq!(again.pts, original.pts, "{name}: sample {at}");
                assert_eq!(again.keyframe, original.keyframe, "{name}: sample {at}");
            }
            assert_eq!(ffmpeg_md5s(&["-i", text(&back)]), ffmpeg_md5s(&["-i", text(&mp4)]), "{name}");
        }
    }
}

#[test]
fn texts_become_timed_text_and_back() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let srt = dir.path().join("in.srt");
    let words = "1\n00:00:00,200 --> 00:00:00,800\nHello\n\n2\n00:00:00,800 --> 00:00:01,000\nzwei\nZeilen\n\n3\n00:00:01,500 --> 00:00:01,900\n\u{e9}\n\n";
    std::fs::write(&srt, words).unwrap();
    let args = [
        "-f",
        "lavfi",
        "-i",
        PICTURES,
        "-i",
        text(&srt),
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "libx264",
        "-c:s",
        "srt",
    ];
    let Some(mkv) = made(dir.path(), "texts.mkv", &args) else { return };
    let mp4 = dir.path().join("texts.mp4");
    std::fs::write(&mp4, to_mp4(&mut *open(&mkv))).unwrap();
    let read = |path: &Path| run("ffmpeg", &["-i", text(path), "-map", "0:s", "-f", "srt", "-"]);
    assert_eq!(read(&mp4), read(&mkv));
    assert!(read(&mp4).contains("00:00:01,500 --> 00:00:01,900"), "{}", read(&mp4));
    let again = dir.path().join("again.mkv");
    std::fs::write(&again, to_matroska(&mut *open(&mp4), false)).unwrap();
    assert_eq!(read(&again), read(&mkv));
    assert_eq!(judges(&again), "");
    // Between Matroska files nothing goes through MP4's words.
    let copied = dir.path().join("copied.mkv");
    std::fs::write(&copied, to_matroska(&mut *open(&mkv), false)).unwrap();
    assert_eq!(read(&copied), read(&mkv));
}

#[test]
fn subtitles_that_only_matroska_holds_stay_as_they_are_and_mp4_refuses_them() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let srt = dir.path().join("in.srt");
    std::fs::write(&srt, "1\n00:00:00,200 --> 00:00:00,800\nHello\n\n").unwrap();
    for (codec, id) in [("ass", "S_TEXT/ASS"), ("webvtt", "D_WEBVTT/SUBTITLES"), ("dvdsub", "S_VOBSUB")] {
        let args = [
            "-f",
            "lavfi",
            "-i",
            PICTURES,
            "-i",
            text(&srt),
            "-map",
            "0",
            "-map",
            "1",
            "-c:v",
            "libx264",
            "-c:s",
            codec,
        ];
        let Some(mkv) = made(dir.path(), &format!("{codec}.mkv"), &args) else { continue };
        let copied = dir.path().join(format!("copied_{codec}.mkv"));
        std::fs::write(&copied, to_matroska(&mut *open(&mkv), false)).unwrap();
        assert_eq!(by_stream(ffprobe_rows(&copied)), by_stream(ffprobe_rows(&mkv)), "{codec}");
        let track = open(&copied).tracks()[1].clone();
        assert_eq!(track.copy.as_ref().unwrap().matroska.as_ref().unwrap().id, id);
        let mut mp4 = Mp4Muxer::create(Memory::default(), Mp4MuxOptions::default()).unwrap();
        assert!(matches!(mp4.add_track(&track), Err(Error::Unsupported { .. })));
    }
}

#[test]
fn chapters_attachments_titles_and_flags_are_kept() {
    if !have(&["ffmpeg", "ffprobe"]) || !have_mkvmerge() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let args = ["-f", "lavfi", "-i", PICTURES, "-f", "lavfi", "-i", SOUND, "-c:v", "libx264", "-c:a", "aac"];
    let Some(film) = made(dir.path(), "film.mkv", &args) else { return };
    let chapters = dir.path().join("chapters.txt");
    std::fs::write(
        &chapters,
        "CHAPTER01=00:00:00.000\nCHAPTER01NAME=One\nCHAPTER02=00:00:01.000\nCHAPTER02NAME=Two\n",
    )
    .unwrap();
    let font = dir.path().join("font.ttf");
    std::fs::write(&font, [7; 1000]).unwrap();
    let full = dir.path().join("full.mkv");
    let status = Command::new("mkvmerge")
        .args(["-q", "-o", text(&full), "--title", "A film", "--chapters", text(&chapters)])
        .args(["--attachment-mime-type", "font/ttf", "--attach-file", text(&font)])
        .args([
            "--language",
            "1:ger",
            "--track-name",
            "1:Kommentar",
            "--forced-track",
            "1:1",
            "--default-track-flag",
            "1:0",
        ])
        .args(["--commentary-flag", "1:1", text(&film)])
        .status()
        .unwrap();
    assert!(status.success());
    let copied = dir.path().join("copied.mkv");
    std::fs::write(&copied, to_matroska(&mut *open(&full), false)).unwrap();
    assert_eq!(judges(&copied), "");
    let chapters = |path: &Path| run("ffprobe", &["-show_chapters", "-of", "csv", text(path)]);
    assert_eq!(chapters(&copied), chapters(&full));
    assert_eq!(chapters(&copied).lines().count(), 2);
    let facts = |path: &Path| {
        let out = Command::new("mkvmerge").args(["-J", text(path)]).output().unwrap();
        let json = String::from_utf8(out.stdout).unwrap();
        let wanted = [
            "\"title\"",
            "\"language",
            "track_name",
            "forced",
            "default_track",
            "flag_",
            "\"uid\"",
            "file_name",
            "content_type",
        ];
        let lines = json
            .lines()
            .filter(|line| wanted.iter().any(|wanted| line.contains(wanted)) && !line.contains(".mkv"));
        lines.map(|line| line.trim().trim_end_matches(',').to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(facts(&copied), facts(&full));
    assert!(facts(&copied).iter().any(|line| line.contains("Kommentar")), "{:?}", facts(&copied));
}

#[test]
fn tags_of_the_writer_are_left_behind_and_those_of_the_film_stay() {
    let tag = |children: &[Vec<u8>]| element(&[0x73, 0x73], &children.concat());
    let simple = |name: &str, value: &str| {
        let fields = [element(&[0x45, 0xa3], name.as_bytes()), element(&[0x44, 0x87], value.as_bytes())];
        element(&[0x67, 0xc8], &fields.concat())
    };
    let tags = [
        tag(&[simple("ENCODER", "other 1.0"), simple("ARTIST", "Somebody")]),
        tag(&[simple("encoder", "other 2.0")]),
        tag(&[element(&[0x63, 0xc0], &uint(&[0x63, 0xc5], 1)), simple("BPS", "17")]),
        tag(&[simple("GENRE", "Drama")]),
    ];
    let blocks = [simple_block()];
    let film = film(&[pictures(1, &[])], &[element(&TAGS, &tags.concat()), cluster(0, &blocks)]);
    let copied = to_matroska(&mut open_bytes(film), false);
    let has = |words: &str| copied.windows(words.len()).any(|bytes| bytes == words.as_bytes());
    assert!(has("Somebody") && has("Drama"));
    assert!(!has("other 1.0") && !has("other 2.0") && !has("BPS"));
    let again = to_matroska(&mut open_bytes(copied.clone()), false);
    assert!(again == copied, "a copy of a copy");
}

fn simple_block() -> Vec<u8> {
    simple(1, 0, KEY, &[1; 50])
}

#[test]
fn webm_refuses_by_name_what_it_does_not_hold() {
    let track = |codec| {
        let layout = BitstreamLayout::elementary(codec);
        let video = VideoTrack::new(codec, layout, Dimensions::new(64, 48).unwrap());
        let base = video_hw::time::TimeBase::new(1, 25).unwrap();
        Track {
            id: video_hw::packet::TrackId(0),
            kind: TrackKind::Video,
            time_base: base,
            codec_name: codec.name().to_owned(),
            language: None,
            duration: None,
            sample_count: None,
            video: Some(video),
            copy: None,
        }
    };
    let mut muxer = MatroskaMuxer::create(Memory::default(), "out.webm", true);
    for codec in [Codec::H264, Codec::Hevc, Codec::Mpeg2] {
        let error = muxer.add_track(&track(codec)).unwrap_err().to_string();
        assert!(error.contains(codec.name()) && error.contains("WebM holds VP8, VP9 and AV1"), "{error}");
    }
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1] {
        assert!(muxer.add_track(&track(codec)).is_ok());
    }
    assert!(muxer.describe(&FileMetadata::default()));
    assert!(muxer.finish().unwrap_err().to_string().contains("no track has a sample"));
}
