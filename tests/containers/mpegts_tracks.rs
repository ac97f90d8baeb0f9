//! Tracks of transport streams that begin late, change, or are nothing but sound: what is read, and what is told of the rest.

use std::path::Path;

use video_hw::backend::BackendKind;
use video_hw::container::mpegts::MpegTsDemuxer;
use video_hw::container::{Demuxer, TrackKind};
use video_hw::stream_io::NonSeekable;
use video_hw::time::{TimeBase, Timestamp};

use crate::mpegts::{H264, PICTURE, SOUND, made, of, open, read, track_of};
use crate::support::streams::{have, run, text};

/// Sound that begins when five seconds of pictures have been shown.
const LATE: &str = "-f lavfi -i testsrc2=size=64x64:rate=25:duration=7 -itsoffset 5 -f lavfi -i \
                    sine=frequency=440:sample_rate=48000:duration=2 -c:v libx264 -preset ultrafast -g 25 -c:a aac";

fn bytes_of(dir: &Path, args: &str) -> Vec<u8> {
    std::fs::read(made(dir, "part.ts", args)).unwrap()
}

#[test]
fn sound_that_begins_late_is_a_track() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path(), "late.ts", LATE);
    let mut demuxer = open(&path);
    let sound = track_of(&*demuxer, TrackKind::Audio);
    assert_eq!(sound.codec_name, "AAC");
    assert!(demuxer.notes().is_empty(), "{:?}", demuxer.notes());
    let (packets, faults) = read(&mut *demuxer);
    assert_eq!(faults, [""; 0]);
    let sound = of(&packets, &sound);
    let judged = run(
        "ffprobe",
        &["-select_streams", "a:0", "-show_entries", "packet=pts", "-of", "csv=p=0", text(&path)],
    );
    assert_eq!(sound.len(), judged.lines().filter(|line| !line.is_empty()).count());
    let first = sound[0].pts.unwrap().as_secs_f64();
    assert!((4.9..5.1).contains(&first), "{first}");
    // What was read ahead is read again.
    assert_eq!(packets.len() - sound.len(), 175);

    let copy = dir.path().join("late.mp4");
    let report = video_hw::remux(&path, &copy).run().unwrap();
    assert_eq!((report.tracks.len(), report.tracks[1].samples), (2, sound.len() as u64));
}

#[test]
fn what_comes_too_late_in_a_pipe_is_told_twice() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bytes = bytes_of(dir.path(), LATE);
    let mut demuxer = MpegTsDemuxer::new(NonSeekable(&bytes[..]), "pipe").unwrap();
    assert_eq!(demuxer.tracks().len(), 1);
    assert!(
        demuxer.notes()[0].contains("(AAC) is left out: nothing of it has come"),
        "{:?}",
        demuxer.notes()
    );
    let (packets, faults) = read(&mut demuxer);
    assert_eq!((packets.len(), faults.len()), (175, 0));
    let notes = demuxer.notes();
    assert!(notes.len() == 2 && notes[1].contains("(AAC), which is left out, begins at byte"), "{notes:?}");
}

#[test]
fn jumps_and_changes_behind_the_opening_are_in_the_reports() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let both = bytes_of(dir.path(), &format!("{PICTURE} {SOUND} {H264} -c:a aac"));
    let mute = bytes_of(dir.path(), &format!("{PICTURE} {H264}"));
    let path = dir.path().join("joined.ts");
    std::fs::write(&path, [&both[..], &mute, &both].concat()).unwrap();
    let told = |notes: &[String]| {
        let count = |words: &str| notes.iter().filter(|note| note.contains(words)).count();
        let counts =
            (count("the clock of the stream jumps"), count("ends at byte"), count("goes on at byte"));
        assert_eq!(counts, (2, 1, 1), "{notes:?}");
    };
    let copy = dir.path().join("copy.mkv");
    let report = video_hw::remux(&path, &copy).run().unwrap();
    told(&report.notes.iter().map(ToString::to_string).collect::<Vec<_>>());
    let frames = [&report.tracks[0].samples, &report.tracks[1].samples];
    assert_eq!(*frames[0], 150);
    let once = read(&mut MpegTsDemuxer::new(NonSeekable(&both[..]), "once").unwrap()).0.len() as u64 - 50;
    assert_eq!(*frames[1], 2 * once, "the sound that comes back");

    // Through the decoder, and a second demuxer for the sound.
    let out = dir.path().join("out.mp4");
    let report = video_hw::transcode(&path, &out)
        .decode_backend(BackendKind::Software)
        .encode_backend(BackendKind::Software)
        .run()
        .unwrap();
    assert_eq!(report.copied_samples, 2 * once);
    told(&report.notes.iter().map(ToString::to_string).collect::<Vec<_>>());

    let mut frames = video_hw::frames(&path).backend(BackendKind::Software).open().unwrap();
    assert_eq!(frames.by_ref().map(Result::unwrap).count(), 150);
    told(&frames.summary().notes);
}

#[test]
fn pictures_have_the_same_times_whether_sound_is_read_or_not() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Sound that is longer than the pictures is where time goes on.
    let long = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=3";
    let part = bytes_of(dir.path(), &format!("{PICTURE} {long} {H264} -c:a aac"));
    let joined = [&part[..], &part].concat();
    let pictures = |select: bool| {
        let mut demuxer = MpegTsDemuxer::new(NonSeekable(&joined[..]), "joined").unwrap();
        let video = track_of(&demuxer, TrackKind::Video);
        if select {
            demuxer.select_tracks(&[video.id]);
        }
        let packets = read(&mut demuxer).0;
        of(&packets, &video).iter().map(|packet| packet.pts).collect::<Vec<_>>()
    };
    assert_eq!(pictures(true), pictures(false));
}

#[test]
fn a_track_that_joins_the_program_is_told() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mute = bytes_of(dir.path(), &format!("{PICTURE} {H264}"));
    let both = bytes_of(dir.path(), &format!("{PICTURE} {SOUND} {H264} -c:a aac"));
    let joined = [&mute[..], &both].concat();
    let mut demuxer = MpegTsDemuxer::new(NonSeekable(&joined[..]), "joined").unwrap();
    let (packets, faults) = read(&mut demuxer);
    assert_eq!((packets.len(), faults.len()), (100, 0));
    let joins = demuxer.notes().iter().filter(|note| note.contains("(AAC) joins the program")).count();
    assert_eq!(joins, 1, "{:?}", demuxer.notes());
}

#[test]
fn sound_alone_is_read_copied_and_not_decoded() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for sound in ["aac", "mp2", "ac3"] {
        let path = made(dir.path(), "radio.ts", &format!("{SOUND} -c:a {sound}"));
        let mut demuxer = open(&path);
        assert_eq!(demuxer.tracks().len(), 1, "{sound}");
        let (packets, faults) = read(&mut *demuxer);
        assert_eq!((faults.len(), packets[0].pts.unwrap().ticks()), (0, 0), "{sound}");
        let rows = run("ffprobe", &["-show_entries", "packet=size", "-of", "csv=p=0", text(&path)]);
        assert_eq!(packets.len(), rows.lines().filter(|line| !line.is_empty()).count(), "{sound}");
        let track = demuxer.tracks()[0].id;
        assert!(demuxer.seek(track, Timestamp::new(90_000, TimeBase::MPEG)).unwrap());
        let later = demuxer.next_packet().unwrap().unwrap().pts.unwrap().as_secs_f64();
        // With the PES packet in which that frame lies.
        assert!((0.1..=1.0).contains(&later), "{later}");

        // ffmpeg takes layer II in MP4 for layer III.
        for name in ["again.ts", "radio.mp4"].into_iter().take(if sound == "mp2" { 1 } else { 2 }) {
            let copy = dir.path().join(name);
            let report = video_hw::remux(&path, &copy).overwrite(true).run().unwrap();
            assert_eq!(report.tracks[0].samples, packets.len() as u64, "{sound} to {name}");
            assert_eq!(sound_md5(&copy), sound_md5(&path), "{sound} to {name}");
        }
        let error = video_hw::frames(&path).open().err().unwrap().to_string();
        assert!(error.contains("no video track"), "{error}");
    }
}

/// What ffmpeg decodes.
fn sound_md5(path: &Path) -> String {
    run("ffmpeg", &["-i", text(path), "-map", "0:a", "-f", "md5", "-"])
}

/// A caption of one colour as discs have it, which is what ffmpeg makes DVB subtitles of.
fn caption() -> Vec<u8> {
    let segment = |kind: u8, pts: u32, payload: &[u8]| {
        let (pts, length) = (pts.to_be_bytes(), (payload.len() as u16).to_be_bytes());
        [&b"PG"[..], &pts, &[0; 4], &[kind], &length, payload].concat()
    };
    // Two lines of eight pixels.
    let lines = [0, 0x88, 1, 0, 0, 0, 0x88, 1, 0, 0];
    let object = [&[0, 0, 0, 0xc0, 0, 0, 4 + lines.len() as u8, 0, 8, 0, 2][..], &lines].concat();
    let size = [0, 176, 0, 144, 0x10];
    let mut bytes = Vec::new();
    for (pts, shown) in [(45_000, 1), (90_000, 0)] {
        let place: &[u8] = if shown == 1 { &[0, 0, 0, 0, 0, 16, 0, 16] } else { &[] };
        bytes.extend(segment(0x16, pts, &[&size[..], &[0, 0, 0x80, 0, 0, shown], place].concat()));
        bytes.extend(segment(0x17, pts, &[1, 0, 0, 16, 0, 16, 0, 8, 0, 2]));
        if shown == 1 {
            bytes.extend(segment(0x14, pts, &[0, 0, 1, 200, 128, 128, 255]));
            bytes.extend(segment(0x15, pts, &object));
        }
        bytes.extend(segment(0x80, pts, &[]));
    }
    bytes
}

#[test]
fn subtitles_and_teletext_are_named() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let captions = dir.path().join("captions.sup");
    std::fs::write(&captions, caption()).unwrap();
    let args = format!("{PICTURE} -i {} -map 0 -map 1 {H264} -c:s dvbsub", captions.display());
    let path = made(dir.path(), "subtitles.ts", &args);
    let named = |path: &Path| {
        let mut demuxer = open(path);
        let (packets, faults) = read(&mut *demuxer);
        assert_eq!((packets.len(), faults.len()), (50, 0));
        let codecs = run("ffprobe", &["-show_entries", "stream=codec_name", "-of", "csv=p=0", text(path)]);
        (demuxer.notes().to_vec(), codecs)
    };
    let (notes, codecs) = named(&path);
    assert_eq!(notes, ["PID 257 (DVB subtitles) is left out"]);
    assert!(codecs.contains("dvb_subtitle"), "{codecs}");

    // The same with the descriptor of teletext: of one page, number 100, initial.
    let mut bytes = std::fs::read(&path).unwrap();
    for packet in bytes.chunks_mut(188).filter(|packet| packet[1..3] == [0x50, 0x00]) {
        let length = usize::from(packet[6] & 0x0f) << 8 | usize::from(packet[7]);
        let mut section = packet[5..8 + length - 4].to_vec();
        let at = section.windows(2).position(|two| two == [0x59, 8]).unwrap();
        section.splice(at..at + 10, [0x56, 5, b'd', b'e', b'u', 0x09, 0x00]);
        section[at - 1] = 7;
        packet.copy_from_slice(&in_packet(packet[3] & 15, section));
    }
    let path = dir.path().join("teletext.ts");
    std::fs::write(&path, bytes).unwrap();
    let (notes, codecs) = named(&path);
    assert_eq!(notes, ["PID 257 (teletext) is left out"]);
    assert!(codecs.contains("dvb_teletext"), "{codecs}");
}

/// A program map, without its length and checksum, in a packet of its own.
fn in_packet(counter: u8, mut section: Vec<u8>) -> Vec<u8> {
    section[2] = (section.len() - 3 + 4) as u8;
    let sum = section.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    });
    let mut packet = [&[0x47, 0x50, 0x00, 0x10 | counter, 0][..], &section, &sum.to_be_bytes()].concat();
    packet.resize(188, 0xff);
    packet
}

#[test]
fn streams_that_are_not_selected_give_no_packets() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let eac3 = format!("{PICTURE} {SOUND} {H264} -c:a eac3");
    let two = format!("{PICTURE} {PICTURE} -map 0:v -map 1:v {H264}");
    for (name, args) in [("eac3.ts", eac3), ("two.ts", two)] {
        let path = made(dir.path(), name, &args);
        let mut demuxer = open(&path);
        let track = track_of(&*demuxer, TrackKind::Video);
        demuxer.select_tracks(&[track.id]);
        let (packets, faults) = read(&mut *demuxer);
        assert_eq!(faults, [""; 0], "{name}");
        assert_eq!((packets.len(), of(&packets, &track).len()), (50, 50), "{name}");
    }
}

#[test]
fn seeking_behind_a_clock_jump_keeps_times() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let part = bytes_of(dir.path(), &format!("{PICTURE} {H264}"));
    let path = dir.path().join("joined.ts");
    std::fs::write(&path, [&part[..], &part].concat()).unwrap();
    let mut demuxer = open(&path);
    let track = track_of(&*demuxer, TrackKind::Video);
    let all = read(&mut *demuxer).0;
    for key in all.iter().filter(|packet| packet.keyframe) {
        let mut demuxer = open(&path);
        assert!(demuxer.seek(track.id, key.pts.unwrap()).unwrap());
        let first = demuxer.next_packet().unwrap().unwrap();
        assert_eq!((first.pts, first.dts), (key.pts, key.dts));
    }
}
