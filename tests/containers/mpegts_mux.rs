//! MPEG transport streams as they are written: what was put in comes out, and ffmpeg has no complaints.

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use video_hw::container::mpegts::{MpegTsDemuxer, MpegTsMuxer};
use video_hw::container::{
    Demuxer, Input, MuxOptions, Muxer, OutputFormat, Track, TrackKind, create_muxer, open_input,
};
use video_hw::output_file::OutputFile;
use video_hw::packet::Packet;
use video_hw::stream_io::NonSeekable;
use video_hw::time::{TimeBase, Timestamp};

use crate::mpegts::{H264, HEVC, PICTURE, SOUND, made, of, open, read, same};
use crate::support::streams::{ffmpeg_md5s, have, run, text};

fn demuxer(path: &Path) -> Box<dyn Demuxer> {
    match open_input(path).unwrap() {
        Input::Demuxer(demuxer) => demuxer,
        Input::Frames(_) => panic!("{} holds no packets", path.display()),
    }
}

/// Copies all tracks into the format that the name means.
fn copy(from: &Path, to: &Path) {
    let mut demuxer = demuxer(from);
    let file = OutputFile::create(to, true, &[]).unwrap();
    let format = OutputFormat::from_path(to, None).unwrap();
    let mut muxer = create_muxer(format, &file, MuxOptions::default()).unwrap();
    let ids: Vec<_> = demuxer.tracks().iter().map(|t| (t.id, muxer.add_track(t).unwrap())).collect();
    // As the pipeline does: in the order of decoding times.
    let mut packets = read(&mut *demuxer).0;
    packets.sort_by_key(|packet| packet.dts.unwrap());
    for packet in packets {
        let (_, id) = ids.iter().find(|(id, _)| *id == packet.track).unwrap();
        muxer.write(&packet.on(*id)).unwrap();
    }
    let summary = muxer.finish().unwrap();
    drop(muxer);
    file.commit().unwrap();
    assert_eq!(summary.bytes, std::fs::metadata(to).unwrap().len(), "{}", to.display());
}

/// What ffmpeg has to say of a file that it decodes.
fn complaints(path: &Path) -> String {
    let out = Command::new("ffmpeg")
        .args(["-v", "warning", "-i", text(path), "-map", "0", "-f", "null", "-"])
        .output();
    String::from_utf8(out.unwrap().stderr).unwrap()
}

/// Packets of every stream as ffprobe sees them: their times in seconds, and whether they are key frames.
fn packets_of(path: &Path, stream: usize) -> Vec<(i64, i64, bool)> {
    let entries = "packet=pts_time,dts_time,flags";
    let stream = stream.to_string();
    let args = ["-select_streams", &stream, "-show_entries", entries, "-of", "compact=p=0:nk=1", text(path)];
    let micros = |text: &str| (text.parse::<f64>().unwrap() * 1e6).round() as i64;
    let rows = run("ffprobe", &args);
    let rows = rows.lines().filter(|line| !line.is_empty()).map(|line| {
        let f: Vec<_> = line.split('|').collect();
        (micros(f[0]), micros(f[1]), f[2].starts_with('K'))
    });
    rows.collect()
}

fn by_track(path: &Path) -> Vec<(Track, Vec<Packet>)> {
    let mut demuxer = demuxer(path);
    let tracks = demuxer.tracks().to_vec();
    let (packets, faults) = read(&mut *demuxer);
    assert_eq!(faults, [""; 0], "{}", path.display());
    tracks.into_iter().map(|track| (track.clone(), of(&packets, &track))).collect()
}

/// Equal bytes, and times that differ by less than a tick of 90 kHz.
fn assert_same_samples(a: &Path, b: &Path) {
    let (a_tracks, b_tracks) = (by_track(a), by_track(b));
    assert_eq!(a_tracks.len(), b_tracks.len(), "{}", b.display());
    for ((track, a), (_, b)) in a_tracks.iter().zip(&b_tracks) {
        let name = &track.codec_name;
        assert_eq!(a.len(), b.len(), "{name}");
        for (number, (a, b)) in a.iter().zip(b).enumerate() {
            assert!(a.data == b.data, "{name} {number}: {} and {} bytes", a.data.len(), b.data.len());
            let apart = |a: Option<Timestamp>, b: Option<Timestamp>| {
                let nanos = |time: Option<Timestamp>| time.unwrap().rescale(TimeBase::NANOS).ticks();
                nanos(a).abs_diff(nanos(b))
            };
            assert!(apart(a.pts, b.pts) <= 23_000, "{name} {number}: {:?} {:?}", a.pts, b.pts);
            assert!(apart(a.dts, b.dts) <= 23_000, "{name} {number}: {:?} {:?}", a.dts, b.dts);
            assert_eq!(a.keyframe, b.keyframe, "{name} {number}");
        }
    }
}

#[test]
fn mp4_goes_through_a_transport_stream_and_comes_back() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (number, (video, sound)) in [
        (H264, "aac"),
        (H264, "aac -ar 44100 -ac 2"),
        (HEVC, "ac3"),
        (HEVC, "eac3"),
        (H264, "libopus"),
        (H264, "libmp3lame"),
    ]
    .iter()
    .enumerate()
    {
        let args = format!("{PICTURE} {SOUND} {video} -c:a {sound} -metadata:s:a language=deu");
        let original = made(dir.path(), &format!("{number}.mp4"), &args);
        for name in ["ts", "m2ts"] {
            let stream = dir.path().join(format!("{number}.{name}"));
            copy(&original, &stream);
            assert_eq!(complaints(&stream), "", "{video} {sound} {name}");
            assert_eq!(ffmpeg_md5s(&["-i", text(&stream)]), ffmpeg_md5s(&["-i", text(&original)]), "{video}");
            for index in 0..2 {
                let (before, after) = (packets_of(&original, index), packets_of(&stream, index));
                assert_eq!(before.len(), after.len(), "{video} {sound} {index}");
                let shift = after[0].0 - before[0].0;
                for (number, (a, b)) in before.iter().zip(&after).enumerate() {
                    assert!(
                        (a.0 + shift - b.0).abs() <= 23,
                        "packet {number} of {video} {sound}: {a:?} {b:?}"
                    );
                    assert!(
                        (a.1 + shift - b.1).abs() <= 23,
                        "packet {number} of {video} {sound}: {a:?} {b:?}"
                    );
                    assert_eq!(a.2, b.2);
                }
            }
            let languages =
                run("ffprobe", &["-show_entries", "stream_tags=language", "-of", "csv=p=0", text(&stream)]);
            assert!(languages.contains("deu") || languages.contains("ger"), "{languages}");
            let back = dir.path().join(format!("{number}-{name}.mp4"));
            copy(&stream, &back);
            assert_same_samples(&original, &back);
        }
    }
}

#[test]
fn samples_go_through_every_container_and_come_back() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (codec, rate) in [(H264, "25"), (HEVC, "30000/1001")] {
        let picture = PICTURE.replace("rate=25", &format!("rate={rate}"));
        let original = made(
            dir.path(),
            "a.mp4",
            &format!("{picture} {SOUND} {codec} -c:a aac -video_track_timescale 90000"),
        );
        let mut last = original.clone();
        for name in ["b.mkv", "c.ts", "d.mp4"] {
            let next = dir.path().join(name);
            video_hw::remux(&last, &next).overwrite(true).run().unwrap();
            assert_eq!(complaints(&next), "", "{codec} {name}");
            assert_eq!(
                ffmpeg_md5s(&["-i", text(&next)]),
                ffmpeg_md5s(&["-i", text(&original)]),
                "{codec} {name}"
            );
            last = next;
        }
        // Matroska counts milliseconds, and parameter sets stay in band behind a transport stream.
        let (before, after) = (by_track(&original), by_track(&last));
        assert_eq!(before.len(), after.len());
        for ((track, before), (_, after)) in before.iter().zip(&after) {
            assert_eq!(before.len(), after.len(), "{}", track.codec_name);
            for (number, (a, b)) in before.iter().zip(after).enumerate() {
                let apart = |a: Option<Timestamp>, b: Option<Timestamp>| {
                    let nanos = |time: Option<Timestamp>| time.unwrap().rescale(TimeBase::NANOS).ticks();
                    nanos(a).abs_diff(nanos(b))
                };
                assert!(
                    apart(a.pts, b.pts) < 1_012_000,
                    "{} {number}: {:?} {:?}",
                    track.codec_name,
                    a.pts,
                    b.pts
                );
                assert!(
                    a.data.ends_with(slices(track, &a.data))
                        && slices(track, &a.data) == slices(track, &b.data),
                    "{number}"
                );
            }
        }
    }
}

/// What is coded in a sample: of pictures the units that are no parameter sets, delimiters or messages.
fn slices<'a>(track: &Track, sample: &'a [u8]) -> &'a [u8] {
    let Some(video) = &track.video else { return sample };
    let mut rest = sample;
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let is_slice = match video.codec {
            video_hw::codec::Codec::Hevc => behind[0] >> 1 & 63 < 32,
            _ => behind[0] & 31 <= 5,
        };
        if is_slice {
            return rest;
        }
        rest = &behind[u32::from_be_bytes(*length) as usize..];
    }
    rest
}

#[test]
fn frames_of_sound_share_packets_and_keep_their_times() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for sound in ["aac", "ac3 -b:a 96k", "libmp3lame", "libopus", "mp2 -b:a 96k"] {
        let container = if sound.starts_with("mp2") { "a.mkv" } else { "a.mp4" };
        let original = made(dir.path(), container, &format!("{PICTURE} {SOUND} {H264} -c:a {sound}"));
        let (ours, theirs) = (dir.path().join("ours.ts"), dir.path().join("theirs.ts"));
        video_hw::remux(&original, &ours).overwrite(true).run().unwrap();
        run("ffmpeg", &["-y", "-i", text(&original), "-map", "0", "-c", "copy", text(&theirs)]);
        let size = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert!(size(&ours) * 100 < size(&theirs) * 110, "{sound}: {} and {}", size(&ours), size(&theirs));
        assert_eq!(complaints(&ours), "", "{sound}");
        let (before, after) = (packets_of(&original, 1), packets_of(&ours, 1));
        assert_eq!(before.len(), after.len(), "{sound}");
        let shift = after[0].0 - before[0].0;
        for (number, (a, b)) in before.iter().zip(&after).enumerate() {
            // Matroska's milliseconds aside.
            let most = if container == "a.mkv" { 1012 } else { 23 };
            assert!((a.0 + shift - b.0).abs() <= most, "{sound} {number}: {a:?} {b:?}");
        }
        // None waits for longer than it may, and all of them are there before they are played.
        let bytes = std::fs::read(&ours).unwrap();
        let mut clock = 0;
        let mut starts = 0;
        for packet in bytes.chunks(188) {
            if packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x10 != 0 {
                let base = packet[6..10].iter().fold(0_i64, |all, byte| all << 8 | i64::from(*byte));
                clock = base << 1 | i64::from(packet[10] >> 7);
            }
            if packet[1..3] == [0x41, 1] {
                starts += 1;
                let pes = &packet[if packet[3] & 0x20 != 0 { 5 + usize::from(packet[4]) } else { 4 }..];
                let time = &pes[9..14];
                let bits = |at: usize, shift: u32| i64::from(time[at]) << shift;
                let pts = (bits(0, 29) & 7 << 30)
                    | bits(1, 22)
                    | (bits(2, 14) & 0x7f << 15)
                    | bits(3, 7)
                    | bits(4, 0) >> 1;
                assert!((27_000..=63_000 + 3_600).contains(&(pts - clock)), "{sound}: {} ahead", pts - clock);
            }
        }
        assert!(starts * 2 <= after.len(), "{sound}: {starts} PES packets for {} frames", after.len());
    }
}

#[test]
fn transport_streams_of_others_are_written_again_without_a_change() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (number, args) in [
        format!("{H264} -c:a mp2"),
        format!("{H264} -c:a aac -f mpegts -output_ts_offset 95443"),
        "-c:v mpeg2video -b:v 2M -bf 2 -g 12 -flags +ildct+ilme -c:a ac3".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let original = made(dir.path(), &format!("{number}.ts"), &format!("{PICTURE} {SOUND} {args}"));
        let again = dir.path().join(format!("{number}-again.ts"));
        copy(&original, &again);
        assert_eq!(complaints(&again), "", "{args}");
        assert_same_samples(&original, &again);
        assert_eq!(ffmpeg_md5s(&["-i", text(&again)]), ffmpeg_md5s(&["-i", text(&original)]), "{args}");
    }
}

/// Clock references in ticks of 90 kHz, and the last of them in front of each association table.
fn clock_and_tables(bytes: &[u8]) -> (Vec<i64>, Vec<i64>) {
    let (mut clocks, mut tables, mut counters) = (Vec::new(), Vec::new(), std::collections::HashMap::new());
    for packet in bytes.chunks(188) {
        assert_eq!((packet.len(), packet[0]), (188, 0x47));
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        let (adapted, counted) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let last = counters.insert(pid, packet[3] & 15).unwrap_or((packet[3] & 15).wrapping_sub(1) & 15);
        assert_eq!(packet[3] & 15, (last + u8::from(counted)) & 15, "continuity of PID {pid}");
        if adapted && packet[4] > 0 && packet[5] & 0x10 != 0 {
            let base = packet[6..10].iter().fold(0_i64, |all, byte| all << 8 | i64::from(*byte));
            clocks.push(base << 1 | i64::from(packet[10] >> 7));
        }
        // The first ones stand in front of any clock.
        tables.extend(clocks.last().filter(|_| pid == 0));
    }
    (clocks, tables)
}

#[test]
fn the_clock_and_the_tables_come_often_enough_and_wrap() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Four pictures a second: the clock has to be written in between.
    let slow = "-f lavfi -i testsrc2=size=176x144:rate=4:duration=4";
    let original = made(dir.path(), "a.mp4", &format!("{slow} {SOUND} {H264} -c:a aac"));
    let mut input = demuxer(&original);
    let tracks = input.tracks().to_vec();
    let mut packets = read(&mut *input).0;
    packets.sort_by_key(|packet| packet.dts.unwrap());
    let mut written = Vec::new();
    for offset in [0, 95_441_500] {
        let mut muxer = MpegTsMuxer::new(Cursor::new(Vec::new()), "out.ts");
        let mut bytes = Vec::new();
        {
            let mut piped = MpegTsMuxer::new(&mut bytes, "-");
            for muxer in [&mut muxer as &mut dyn Muxer, &mut piped] {
                for track in &tracks {
                    muxer.add_track(track).unwrap();
                }
                let later = |time: Option<Timestamp>| {
                    time.map(|time| {
                        let millis = Timestamp::new(offset, TimeBase::new(1, 1000).unwrap());
                        time.offset(millis.rescale(time.base()).ticks())
                    })
                };
                for packet in &packets {
                    let packet = Packet { pts: later(packet.pts), dts: later(packet.dts), ..packet.clone() };
                    muxer.write(&packet).unwrap();
                }
                muxer.finish().unwrap();
            }
        }
        let (clocks, tables) = clock_and_tables(&bytes);
        let step = |pair: &[i64]| (pair[1] - pair[0]).rem_euclid(1 << 33);
        assert!(
            clocks.len() > 90 && clocks.windows(2).all(|pair| (1..=3600).contains(&step(pair))),
            "{clocks:?}"
        );
        assert!(tables.len() > 35 && tables.windows(2).all(|pair| step(pair) <= 9000), "{tables:?}");
        assert_eq!(clocks.windows(2).any(|pair| pair[1] < pair[0]), offset > 0, "the clock wraps");
        let path = dir.path().join(format!("{offset}.ts"));
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(complaints(&path), "");
        written.push(read(&mut *open(&path)).0);
    }
    assert!(same(&written[0], &written[1]), "the same times from zero on");
}

#[test]
fn what_a_transport_stream_cannot_hold_is_refused_by_name() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let refusal = |name: &str, args: &str, kind: TrackKind| {
        let path = made(dir.path(), name, args);
        let track = demuxer(&path).tracks().iter().find(|track| track.kind == kind).unwrap().clone();
        MpegTsMuxer::new(Vec::new(), "out.ts").add_track(&track).unwrap_err().to_string()
    };
    let error = refusal(
        "a.ivf",
        &format!("{PICTURE} -c:v libvpx-vp9 -cpu-used 8 -deadline realtime"),
        TrackKind::Video,
    );
    assert!(error.contains("vp9") && error.contains("transport stream"), "{error}");
    let error =
        refusal("flac.mp4", &format!("{PICTURE} {SOUND} {H264} -c:a flac -strict -2"), TrackKind::Audio);
    assert!(error.contains("FLAC"), "{error}");
    let subtitles = dir.path().join("a.srt");
    std::fs::write(&subtitles, "1\n00:00:00,000 --> 00:00:01,000\nHello\n").unwrap();
    let args = format!("{PICTURE} -i {} {H264} -c:s mov_text", subtitles.display());
    let error = refusal("text.mp4", &args, TrackKind::Subtitle);
    assert!(error.contains("transport stream"), "{error}");
}

#[test]
fn what_is_transcoded_can_be_read() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let original = made(dir.path(), "a.ts", &format!("{PICTURE} {SOUND} {H264} -c:a aac"));
    let out = dir.path().join("b.ts");
    video_hw::transcode(&original, &out)
        .decode_backend(video_hw::backend::BackendKind::Software)
        .encode_backend(video_hw::backend::BackendKind::Software)
        .run()
        .unwrap();
    assert_eq!(complaints(&out), "");
    let bytes = std::fs::read(&out).unwrap();
    let (packets, faults) = read(&mut MpegTsDemuxer::new(NonSeekable(&bytes[..]), "b.ts").unwrap());
    assert_eq!(faults, [""; 0]);
    assert!(packets.iter().filter(|packet| packet.codec.is_some()).count() == 50);
}
