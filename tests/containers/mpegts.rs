//! MPEG transport streams: packets and pictures are those of ffmpeg, through every kind of packet and from pipes.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::container::mpegts::MpegTsDemuxer;
use video_hw::container::{ContainerFormat, Demuxer, Input, Track, TrackKind, open_input};
use video_hw::packet::Packet;
use video_hw::stream_io::NonSeekable;
use video_hw::time::{TimeBase, Timestamp};

use crate::support::streams::{ffmpeg_md5s, frame_md5, have, run, text};

pub(crate) const PICTURE: &str = "-f lavfi -i testsrc2=size=176x144:rate=25:duration=2";
pub(crate) const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=2";
pub(crate) const H264: &str = "-c:v libx264 -preset veryfast -g 10 -bf 2 -pix_fmt yuv420p";
pub(crate) const HEVC: &str =
    "-c:v libx265 -preset ultrafast -x265-params keyint=10:bframes=2:log-level=none -pix_fmt yuv420p";

/// A file that ffmpeg makes with these arguments, split at blanks.
pub(crate) fn made(dir: &Path, name: &str, args: &str) -> PathBuf {
    let path = dir.join(name);
    let mut all = vec!["-nostdin", "-y"];
    all.extend(args.split_whitespace());
    all.push(text(&path));
    run("ffmpeg", &all);
    path
}

pub(crate) fn open(path: &Path) -> Box<dyn Demuxer> {
    match open_input(path).unwrap() {
        Input::Demuxer(demuxer) => {
            assert_eq!(demuxer.format(), ContainerFormat::MpegTs, "{}", path.display());
            demuxer
        }
        Input::Frames(_) => panic!("{} is no transport stream", path.display()),
    }
}

/// All packets, and what was told on the way.
pub(crate) fn read(demuxer: &mut dyn Demuxer) -> (Vec<Packet>, Vec<String>) {
    let (mut packets, mut faults) = (Vec::new(), Vec::new());
    loop {
        match demuxer.next_packet() {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => return (packets, faults),
            Err(error) => {
                assert!(error.is_recoverable(), "{error}");
                faults.push(error.to_string());
            }
        }
    }
}

pub(crate) fn of(packets: &[Packet], track: &Track) -> Vec<Packet> {
    packets.iter().filter(|packet| packet.track == track.id).cloned().collect()
}

pub(crate) fn track_of(demuxer: &dyn Demuxer, kind: TrackKind) -> Track {
    demuxer.tracks().iter().find(|track| track.kind == kind).unwrap().clone()
}

/// pts and dts in ticks of 90 kHz from the first presentation time of the pictures on, bytes, whether a key frame.
type Row = (i64, i64, usize, bool);

fn rows(packets: &[Packet]) -> Vec<Row> {
    let ticks = |time: Option<Timestamp>| time.unwrap().rescale(TimeBase::MPEG).ticks();
    packets.iter().map(|p| (ticks(p.pts), ticks(p.dts), p.data.len(), p.keyframe)).collect()
}

/// The packets of a stream as ffprobe sees them, without an offset.
fn ffprobe_rows(path: &Path, stream: &str) -> Vec<Row> {
    let entries = "packet=pts,dts,size,flags";
    let args = ["-select_streams", stream, "-show_entries", entries, "-of", "csv=p=0", text(path)];
    run("ffprobe", &args)
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let f: Vec<_> = line.split(',').collect();
            let pts = f[0].parse().unwrap();
            (pts, f[1].parse().unwrap_or(pts), f[2].parse().unwrap(), f[3].starts_with('K'))
        })
        .collect()
}

fn first_shown(path: &Path) -> i64 {
    ffprobe_rows(path, "v:0").iter().map(|row| row.0).min().unwrap()
}

fn judge_video(path: &Path) {
    let mut demuxer = open(path);
    let track = track_of(&*demuxer, TrackKind::Video);
    let (packets, faults) = read(&mut *demuxer);
    assert_eq!(faults, [""; 0], "{}", path.display());
    let zero = first_shown(path);
    let mut expected = ffprobe_rows(path, "v:0");
    for row in &mut expected {
        (row.0, row.1) = (row.0 - zero, row.1 - zero);
    }
    let got = rows(&of(&packets, &track));
    assert_eq!(got.len(), expected.len(), "{}", path.display());
    // Of H.265, ffmpeg gives the zero in front of a start code to the access unit before it.
    let zero = usize::from(track.video.unwrap().codec == Codec::Hevc);
    for (number, (ours, theirs)) in got.iter().zip(&expected).enumerate() {
        assert_eq!(
            (ours.0, ours.1, ours.3),
            (theirs.0, theirs.1, theirs.3),
            "{} picture {number}",
            path.display()
        );
        assert!(
            ours.2.abs_diff(theirs.2) <= zero,
            "{} picture {number}: {ours:?} {theirs:?}",
            path.display()
        );
    }
}

/// Our pictures, as ffmpeg decodes them from a raw stream, are those that it decodes from the file.
fn judge_pictures(path: &Path, raw: &str) {
    let mut demuxer = open(path);
    let track = track_of(&*demuxer, TrackKind::Video);
    let (packets, _) = read(&mut *demuxer);
    let stream = path.with_extension(raw);
    let mut file = File::create(&stream).unwrap();
    for packet in of(&packets, &track) {
        file.write_all(&packet.data).unwrap();
    }
    let expected = ffmpeg_md5s(&["-i", text(path)]);
    assert!(expected.len() > 10);
    assert_eq!(ffmpeg_md5s(&["-i", text(&stream)]), expected, "{}", path.display());
}

fn judge_frames(path: &Path) {
    let expected = ffmpeg_md5s(&["-i", text(path)]);
    let frames: Vec<_> =
        video_hw::frames(path).backend(BackendKind::Software).open().unwrap().map(Result::unwrap).collect();
    let got: Vec<_> = frames.iter().map(frame_md5).collect();
    assert_eq!(got, expected, "{}", path.display());
    let mut shown: Vec<_> = ffprobe_rows(path, "v:0").iter().map(|row| row.0).collect();
    shown.sort_unstable();
    let times: Vec<_> = frames.iter().map(|frame| frame.pts.rescale(TimeBase::MPEG).ticks()).collect();
    assert_eq!(times, shown.iter().map(|pts| pts - shown[0]).collect::<Vec<_>>(), "{}", path.display());
}

#[test]
fn packets_and_pictures_are_those_of_ffmpeg() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (number, options) in [
        "",
        "-f mpegts -mpegts_flags resend_headers",
        "-f mpegts -mpegts_flags initial_discontinuity",
        "-f mpegts -output_ts_offset 95443",
        "-f mpegts -output_ts_offset 95442.3",
        "-f mpegts -mpegts_m2ts_mode 1",
        "-f mpegts -mpegts_start_pid 0x31 -mpegts_pmt_start_pid 0x20 -pes_payload_size 1",
        "-f mpegts -omit_video_pes_length 0",
        "-f mpegts -muxrate 3M",
    ]
    .iter()
    .enumerate()
    {
        for (codec, name) in [(H264, "h264"), (HEVC, "hevc")] {
            let args = format!("{PICTURE} {SOUND} {codec} -c:a aac {options}");
            let path = made(dir.path(), &format!("{name}{number}.ts"), &args);
            judge_video(&path);
            judge_frames(&path);
        }
    }
    for (number, options) in ["-flags +ildct+ilme -top 1", "-bf 2 -g 12"].iter().enumerate() {
        let args = format!("{PICTURE} -c:v mpeg2video -b:v 2M {options}");
        let path = made(dir.path(), &format!("mpeg2{number}.ts"), &args);
        let video = track_of(&*open(&path), TrackKind::Video).video.unwrap();
        assert_eq!((video.codec, video.dimensions.width()), (Codec::Mpeg2, 176));
        judge_video(&path);
        judge_pictures(&path, "m2v");
    }
}

#[test]
fn fields_of_a_picture_are_one_packet() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let args = format!("{PICTURE} {H264} -flags +ildct+ilme -x264-params tff=1");
    let path = made(dir.path(), "fields.ts", &args);
    judge_video(&path);
    judge_pictures(&path, "h264");
}

#[test]
fn every_period_and_any_start() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path(), "a.ts", &format!("{PICTURE} {SOUND} {H264} -c:a aac"));
    let whole = std::fs::read(&path).unwrap();
    let expected = read(&mut *open(&path));
    assert_eq!(expected.1, [""; 0]);
    let packets = |lead: &[u8], trail: &[u8]| -> Vec<u8> {
        whole.chunks(188).flat_map(|packet| [lead, packet, trail].concat()).collect()
    };
    let with_correction = packets(&[], &[0x47; 16]);
    let with_times = packets(&[0x47, 0, 0, 1], &[]);
    for (name, bytes, start) in [
        ("204", with_correction, None),
        ("192", with_times, None),
        ("late", [&[9; 100][..], &whole].concat(), Some("byte 100")),
        ("second", [&whole[100..188], &whole].concat(), Some("byte 88")),
    ] {
        let file = dir.path().join(name);
        std::fs::write(&file, &bytes).unwrap();
        let mut demuxer = open(&file);
        let (packets, faults) = read(&mut *demuxer);
        assert_eq!(faults, [""; 0], "{name}");
        let notes = demuxer.notes();
        assert_eq!(notes.len(), usize::from(start.is_some()), "{name}: {notes:?}");
        assert!(start.is_none_or(|start| notes[0].ends_with(start)), "{name}: {notes:?}");
        assert!(same(&packets, &expected.0), "{name}");
        // And as it comes through a pipe.
        let mut piped = MpegTsDemuxer::new(NonSeekable(&bytes[..]), "pipe").unwrap();
        let (packets, _) = read(&mut piped);
        assert!(same(&packets, &expected.0), "{name} from a pipe");
        let first = piped.tracks()[0].id;
        assert!(!piped.seek(first, Timestamp::new(0, TimeBase::MPEG)).unwrap());
    }
}

#[test]
fn a_recording_that_begins_in_the_middle_is_played_from_its_first_key_frame() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let whole = made(dir.path(), "whole.ts", &format!("{PICTURE} {SOUND} {H264} -c:a aac"));
    let bytes = std::fs::read(&whole).unwrap();
    let cut = dir.path().join("cut.ts");
    let mut left_out = 0;
    for part in 1..11 {
        std::fs::write(&cut, &bytes[bytes.len() / 188 * part / 16 * 188 + 60..]).unwrap();
        let frames = video_hw::frames(&cut).backend(BackendKind::Software).open().unwrap();
        left_out += usize::from(frames.info().notes.iter().any(|note| note.contains("first key frame")));
        let frames: Vec<_> = frames.map(Result::unwrap).collect();
        assert_eq!(frames[0].pts.ticks(), 0);
        // ffmpeg complains of what it cannot decode, so it is asked for the pictures of the whole file.
        let all = ffmpeg_md5s(&["-i", text(&whole)]);
        let got: Vec<_> = frames.iter().map(frame_md5).collect();
        assert!(got.len() >= 5 && all.ends_with(&got), "{part}: {} pictures", got.len());
    }
    assert!(left_out > 0);
}

pub(crate) fn same(a: &[Packet], b: &[Packet]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| (a.track, a.pts, a.dts, &a.data) == (b.track, b.pts, b.dts, &b.data))
}

#[test]
fn sound_is_described_and_cut_into_frames() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let unstated = made(
        dir.path(),
        "unstated.m2ts",
        &format!("{PICTURE} {SOUND} {H264} -c:a aac -f mpegts -mpegts_m2ts_mode 1"),
    );
    assert_eq!(track_of(&*open(&unstated), TrackKind::Audio).codec_name, "AAC", "which no descriptor says");
    // Bytes of a frame's header, which packets do not hold; ffprobe's sizes include it where the stream has it.
    for (encoder, name, entry, header) in [
        ("aac", "AAC", b"mp4a", 7),
        ("aac -ar 44100", "AAC", b"mp4a", 7),
        ("ac3", "AC-3", b"ac-3", 0),
        ("eac3 -b:a 96k", "E-AC-3", b"ec-3", 0),
        ("libmp3lame", "MP3", b"mp4a", 0),
        ("libmp3lame -ar 22050", "MP3", b"mp4a", 0),
        ("mp2", "MP2", b"mp4a", 0),
        ("libopus", "Opus", b"Opus", 0),
        ("libopus -ac 6 -mapping_family 1", "Opus", b"Opus", 0),
    ] {
        let args = format!(
            "{PICTURE} {SOUND} {H264} -ac 2 -c:a {encoder} -metadata:s:a language=fra -map 0 -map 1 -f mpegts"
        );
        let path = made(dir.path(), "sound.ts", &args);
        let mut demuxer = open(&path);
        let track = track_of(&*demuxer, TrackKind::Audio);
        assert_eq!((track.codec_name.as_str(), track.language.as_deref()), (name, Some("fra")), "{encoder}");
        assert_eq!(&track.copy.as_ref().unwrap().sample_entry[4..8], entry, "{encoder}");
        let (packets, faults) = read(&mut *demuxer);
        assert_eq!(faults, [""; 0], "{encoder}");
        let packets = of(&packets, &track);
        let expected = ffprobe_rows(&path, "a:0");
        assert_eq!(packets.len(), expected.len(), "{encoder}");
        let zero = first_shown(&path);
        for (number, (ours, theirs)) in rows(&packets).iter().zip(&expected).enumerate() {
            assert!((ours.0 + zero - theirs.0).abs() <= 2, "{encoder} frame {number}: {ours:?} {theirs:?}");
            assert_eq!(ours.2 + header, theirs.2, "{encoder} frame {number}");
        }
        // Counted, not rounded.
        let ends = packets.windows(2).all(|pair| {
            let next = pair[0].pts.unwrap().ticks() + pair[0].duration.unwrap() as i64;
            pair[1].pts.unwrap().ticks() == next
        });
        assert!(ends, "{encoder}");
    }
}

#[test]
fn of_two_programs_the_first_with_video_is_read_and_the_rest_is_named() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let other = "-f lavfi -i testsrc=size=128x96:rate=25:duration=2";
    let args = format!(
        "{PICTURE} {other} {SOUND} -map 2 -map 0 -map 1 -map 2 {H264} -c:a:0 mp2 -c:a:1 ac3 \
         -program title=radio:st=0 -program title=one:st=1 -program title=two:st=2:st=3"
    );
    let path = made(dir.path(), "two.ts", &args);
    let mut demuxer = open(&path);
    let tracks: Vec<_> = demuxer.tracks().iter().map(|track| track.codec_name.clone()).collect();
    assert_eq!(tracks, ["h264"]);
    assert_eq!(demuxer.tracks()[0].video.as_ref().unwrap().dimensions.width(), 176);
    let notes = demuxer.notes().join("\n");
    assert!(notes.contains("program 1 (MPEG sound)") && notes.contains("program 3 (h264, AC-3)"), "{notes}");
    let (packets, faults) = read(&mut *demuxer);
    assert_eq!((packets.len(), faults.len()), (50, 0));
}

#[test]
fn what_is_not_read_is_named() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let refusal = |args: &str| {
        let path = made(dir.path(), "refused.ts", args);
        open_input(&path).unwrap_err().to_string()
    };
    let error = refusal(&format!("{PICTURE} -c:v mpeg1video"));
    assert!(error.contains("MPEG-1 video") && error.contains("H.264, H.265 and MPEG-2"), "{error}");
    let args = format!("{PICTURE} {SOUND} {H264} -c:a aac -f mpegts -mpegts_flags latm");
    let path = made(dir.path(), "latm.ts", &args);
    let notes = open(&path).notes().join("\n");
    assert!(notes.contains("AAC in LATM"), "{notes}");
}

#[test]
fn seeking_gives_what_reading_from_the_start_gives() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let wrap = "-f mpegts -output_ts_offset 95442.5";
    for (number, args) in
        [format!("{H264} -c:a aac"), format!("{H264} -c:a aac {wrap}"), format!("{HEVC} -c:a ac3")]
            .iter()
            .enumerate()
    {
        let path = made(dir.path(), &format!("seek{number}.ts"), &format!("{PICTURE} {SOUND} {args}"));
        let mut demuxer = open(&path);
        let track = track_of(&*demuxer, TrackKind::Video);
        let all = of(&read(&mut *demuxer).0, &track);
        for wanted in [0, 49, 7, 20, 11, 33, 10] {
            let to = Timestamp::new(wanted * 3600, TimeBase::MPEG);
            assert!(demuxer.seek(track.id, to).unwrap());
            let rest = of(&read(&mut *demuxer).0, &track);
            let start = all.iter().rposition(|packet| packet.keyframe && packet.pts.unwrap() <= to).unwrap();
            assert!(
                same(&rest, &all[start..]),
                "{args} to {wanted}: {} of {}",
                rest.len(),
                all.len() - start
            );
        }
    }
}

/// Video packets of the stream put into other PES packets: pieces of these many bytes, each with the times of the first picture
/// that begins in it. Sound and tables stay as they are, in front.
fn in_pieces(bytes: &[u8], packets: &[Packet], pieces: impl Iterator<Item = usize>) -> Vec<u8> {
    let pid = |packet: &[u8]| u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
    let mut out: Vec<u8> =
        bytes.chunks(188).filter(|packet| pid(packet) != 0x100).flatten().copied().collect();
    let mut starts = Vec::new();
    let mut stream = Vec::new();
    for packet in packets {
        starts.push((stream.len(), packet));
        stream.extend_from_slice(&packet.data);
    }
    let time = |prefix: u8, time: Option<Timestamp>| {
        let ticks = (time.unwrap().ticks() + 900_000) as u64;
        let byte = |shift: u32| (ticks >> shift) as u8;
        [prefix << 4 | (byte(30) & 7) << 1 | 1, byte(22), byte(14) | 1, byte(7), byte(0) << 1 | 1]
    };
    let (mut at, mut counter) = (0, 0_u8);
    for length in pieces {
        let end = (at + length).min(stream.len());
        let mut pes = vec![0, 0, 1, 0xe0, 0, 0, 0x80];
        match starts.iter().find(|(start, _)| (at..end).contains(start)) {
            Some((_, packet)) => {
                pes.extend([0xc0, 10]);
                pes.extend(time(3, packet.pts));
                pes.extend(time(1, packet.dts));
            }
            None => pes.extend([0, 0]),
        }
        pes.extend_from_slice(&stream[at..end]);
        for (number, payload) in pes.chunks(184).enumerate() {
            let stuffing = 184 - payload.len();
            let control = if stuffing > 0 { 0x30 } else { 0x10 } | counter;
            out.extend([0x47, u8::from(number == 0) << 6 | 1, 0, control]);
            if stuffing > 0 {
                out.push(stuffing as u8 - 1);
                out.extend((1..stuffing).map(|at| if at == 1 { 0 } else { 0xff }));
            }
            out.extend_from_slice(payload);
            counter = (counter + 1) & 15;
        }
        at = end;
        if at == stream.len() {
            break;
        }
    }
    out
}

#[test]
fn packets_may_hold_parts_of_pictures_and_several() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for args in [
        "-c:v libx264 -preset veryfast -bf 0 -g 10 -pix_fmt yuv420p",
        H264,
        HEVC,
        "-c:v libx264 -preset veryfast -bf 3 -b-pyramid normal -g 10 -flags +ildct+ilme -x264-params tff=1 -pix_fmt yuv420p",
        "-c:v mpeg2video -b:v 2M -bf 2 -g 12",
        "-c:v libx265 -preset ultrafast -x265-params keyint=10:bframes=0:log-level=none -pix_fmt yuv420p",
    ] {
        let path = made(dir.path(), "whole.ts", &format!("{PICTURE} {args}"));
        let bytes = std::fs::read(&path).unwrap();
        let (whole, _) = read(&mut *open(&path));
        for sizes in [&[700, 1500, 20_000, 333][..], &[50_000], &[188], &[5_000, 5_001]] {
            let repacked = in_pieces(&bytes, &whole, sizes.iter().copied().cycle());
            let mut demuxer = MpegTsDemuxer::new(NonSeekable(&repacked[..]), "pieces").unwrap();
            let (packets, faults) = read(&mut demuxer);
            assert_eq!(faults, [""; 0], "{args}, pieces of {sizes:?}");
            assert_eq!(packets.len(), whole.len(), "{args}, pieces of {sizes:?}");
            for (number, (ours, theirs)) in packets.iter().zip(&whole).enumerate() {
                assert!(ours.data == theirs.data, "{args}, pieces of {sizes:?}: picture {number}");
                assert_eq!(
                    (ours.pts, ours.dts),
                    (theirs.pts, theirs.dts),
                    "{args} {sizes:?}: picture {number}"
                );
            }
        }
    }
}

#[test]
fn a_program_that_changes_is_followed_or_its_end_is_told() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, args: &str| {
        std::fs::read(made(dir.path(), name, &format!("{PICTURE} {SOUND} {args}"))).unwrap()
    };
    let first = make("a.ts", &format!("{H264} -c:a aac"));
    let moved = make("b.ts", &format!("{H264} -c:a aac -f mpegts -mpegts_start_pid 0x200"));
    let renumbered =
        make("c.ts", &format!("{H264} -c:a aac -f mpegts -mpegts_service_id 7 -mpegts_pmt_start_pid 0x300"));
    let other = make("d.ts", "-c:v mpeg2video -b:v 1M -c:a aac");
    let both = |second: &[u8]| {
        let bytes = [&first[..], second].concat();
        let mut demuxer = MpegTsDemuxer::new(std::io::Cursor::new(&bytes), "both").unwrap();
        let video = track_of(&demuxer, TrackKind::Video);
        let (packets, faults) = read(&mut demuxer);
        let pictures = of(&packets, &video);
        assert!(pictures.windows(2).all(|pair| pair[0].dts < pair[1].dts));
        (pictures.len(), packets.len(), faults)
    };
    let (pictures, packets, faults) = both(&moved);
    assert_eq!((pictures, faults), (100, vec![]), "the same on other PIDs");
    assert!(packets > 280, "its sound too: {packets}");
    let (pictures, _, faults) = both(&renumbered);
    assert_eq!((pictures, faults), (100, vec![]), "another number of the program");
    let (pictures, _, faults) = both(&other);
    assert_eq!(pictures, 50);
    assert!(faults.len() == 1 && faults[0].contains("changes to mpeg2"), "{faults:?}");
    let (pictures, _, faults) = both(&make("e.ts", &format!("{H264} -c:a ac3")));
    assert_eq!((pictures, faults), (100, vec![]), "other sound is no damage");
    let (pictures, _, faults) = both(&make("f.ts", &format!("{H264} -an")));
    assert_eq!((pictures, faults), (100, vec![]), "nor is none");
}
