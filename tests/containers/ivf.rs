//! IVF: against ffprobe, against itself, through pipes, and against damage.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use crate::support::streams::{ffmpeg_md5s, have, md5_hex, run, stream, text};
use proptest::prelude::*;
use video_hw::codec::Codec;
use video_hw::container::ivf::{IvfDemuxer, IvfMuxer};
use video_hw::container::{Demuxer, Muxer, Track, TrackId};
use video_hw::container::{Input, open_input};
use video_hw::dimensions::Dimensions;
use video_hw::hdr::{ContentLight, HdrMetadata};
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::stream_io::NonSeekable;
use video_hw::time::{TimeBase, Timestamp};

fn open(path: &Path) -> Box<dyn Demuxer> {
    match open_input(path).unwrap() {
        Input::Demuxer(demuxer) => demuxer,
        Input::Frames(_) => panic!("{} is not IVF", path.display()),
    }
}

fn samples(demuxer: &mut dyn Demuxer) -> Vec<Packet> {
    std::iter::from_fn(|| demuxer.next_packet().unwrap()).collect()
}

/// pts, dts, bytes, whether a key frame.
type Row = (i64, i64, usize, bool);

fn rows(samples: &[Packet]) -> Vec<Row> {
    let ticks = |t: Option<Timestamp>| t.unwrap().ticks();
    samples.iter().map(|s| (ticks(s.pts), ticks(s.dts), s.data.len(), s.keyframe)).collect()
}

fn ffprobe_rows(path: &Path) -> Vec<Row> {
    let entries = "packet=pts,dts,size,flags";
    run("ffprobe", &["-show_entries", entries, "-of", "csv=p=0", text(path)])
        .lines()
        .map(|line| {
            let f: Vec<_> = line.split(',').collect();
            let pts = f[0].parse().unwrap();
            (pts, f[1].parse().unwrap_or(pts), f[2].parse().unwrap(), f[3].starts_with('K'))
        })
        .collect()
}

fn mux<W: io::Write + io::Seek + Send>(out: W, track: &Track, samples: &[Packet]) -> u64 {
    let mut muxer = IvfMuxer::new(out, "out.ivf");
    muxer.add_track(track).unwrap();
    for s in samples {
        muxer.write(s).unwrap();
    }
    let summary = muxer.finish().unwrap();
    assert_eq!(summary.samples, samples.len() as u64);
    summary.bytes
}

fn judge(path: &Path, codec: Codec) {
    let expected = ffprobe_rows(path);
    assert!(!expected.is_empty());
    let mut demuxer = open(path);
    let track = demuxer.tracks()[0].clone();
    let video = track.video.clone().unwrap();
    assert_eq!(video.codec, codec);
    let entries = "stream=codec_name,width,height,time_base";
    let stream = run("ffprobe", &["-show_entries", entries, "-of", "csv=p=0", text(path)]);
    let size = video.dimensions;
    assert_eq!(
        stream.lines().next().unwrap(),
        format!(
            "{codec},{},{},{}",
            size.width(),
            size.height(),
            track.time_base.seconds_per_tick().reduced()
        )
    );
    let read = samples(&mut *demuxer);
    let got = rows(&read);
    assert_eq!(got.len(), expected.len(), "{}", path.display());
    for (i, (ours, theirs)) in got.iter().zip(&expected).enumerate() {
        assert_eq!(ours, theirs, "{} packet {i}", path.display());
    }

    // Our own file of it: the same packets, read by ffprobe and by us.
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.ivf");
    let bytes = mux(std::fs::File::create(&copy).unwrap(), &track, &read);
    assert_eq!(bytes, std::fs::metadata(&copy).unwrap().len());
    assert_eq!(ffprobe_rows(&copy), expected);
    let back = samples(&mut *open(&copy));
    assert!(back.iter().zip(&read).all(|(a, b)| a.data == b.data));
    let written = std::fs::read(&copy).unwrap();
    assert_eq!(u32::from_le_bytes(written[24..28].try_into().unwrap()) as usize, read.len());
}

#[test]
fn packets_are_those_of_ffprobe() {
    if !have(&["ffprobe"]) {
        return;
    }
    for (name, codec) in [
        ("groups-vp8.ivf", Codec::Vp8),
        ("groups-vp9.ivf", Codec::Vp9),
        ("shown-again-vp9.ivf", Codec::Vp9),
        ("sizes-vp9.ivf", Codec::Vp9),
        ("groups-av1.ivf", Codec::Av1),
        ("svt-av1.ivf", Codec::Av1),
    ] {
        judge(&stream(name), codec);
    }
}

/// A clip of 60 frames, 1 of 20 a key frame, from ffmpeg; `None` without that encoder.
fn made(dir: &Path, codec: Codec) -> Option<PathBuf> {
    let encoder = match codec {
        Codec::Vp8 => "libvpx",
        Codec::Vp9 => "libvpx-vp9",
        _ => "libaom-av1",
    };
    if !have(&["ffmpeg", "ffprobe"]) {
        return None;
    }
    if !run("ffmpeg", &["-encoders"]).contains(encoder) {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: this ffmpeg has no {encoder}\n"),
        );
        return None;
    }
    let path = dir.join(format!("{codec}.ivf"));
    let realtime = if codec == Codec::Av1 { ["-usage", "realtime"] } else { ["-deadline", "realtime"] };
    let fast = ["-cpu-used", "8", "-g", "20", "-keyint_min", "20", "-b:v", "100k"];
    let source = ["-f", "lavfi", "-i", "testsrc2=s=64x64:r=30000/1001", "-frames:v", "60", "-c:v", encoder];
    run("ffmpeg", &[&source[..], &realtime, &fast, &[text(&path)]].concat());
    Some(path)
}

#[test]
fn files_of_ffmpeg_are_read_and_ours_decode_alike() {
    let dir = tempfile::tempdir().unwrap();
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let Some(path) = made(dir.path(), codec) else { continue };
        judge(&path, codec);
        let mut demuxer = open(&path);
        let track = demuxer.tracks()[0].clone();
        let read = samples(&mut *demuxer);
        let copy = dir.path().join("copy.ivf");
        mux(std::fs::File::create(&copy).unwrap(), &track, &read);
        assert_eq!(ffmpeg_md5s(&["-i", text(&copy)]), ffmpeg_md5s(&["-i", text(&path)]));
    }
}

#[test]
fn av1_without_delimiters_and_headers_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(path) = made(dir.path(), Codec::Av1) else { return };
    let mut demuxer = open(&path);
    let mut track = demuxer.tracks()[0].clone();
    let read = samples(&mut *demuxer);
    // What MP4 makes of it: temporal delimiters (12 00) gone, the sequence header only in av1C.
    let mut config = vec![0x81, 0, 0, 0];
    let stripped: Vec<_> = read
        .iter()
        .map(|sample| {
            assert_eq!(sample.data[..2], [0x12, 0]);
            let mut data = sample.data.slice(2..);
            if data[0] == 0x0a {
                let header = data.split_to(2 + usize::from(data[1]));
                config.truncate(4);
                config.extend_from_slice(&header);
            }
            Packet { data, ..sample.clone() }
        })
        .collect();
    assert!(config.len() > 4);
    track.video.as_mut().unwrap().codec_config = Some(config.into());
    let mut out = Cursor::new(Vec::new());
    mux(&mut out, &track, &stripped);
    out.set_position(0);
    let back = samples(&mut IvfDemuxer::new(out, "a").unwrap());
    assert_eq!(
        back.iter().map(|s| md5_hex(&s.data)).collect::<Vec<_>>(),
        read.iter().map(|s| md5_hex(&s.data)).collect::<Vec<_>>()
    );
}

#[test]
fn seeking_finds_the_last_random_access_point() {
    let dir = tempfile::tempdir().unwrap();
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let Some(path) = made(dir.path(), codec) else { continue };
        let mut demuxer = open(&path);
        let base = demuxer.tracks()[0].time_base;
        let all = rows(&samples(&mut *open(&path)));
        // Forwards, backwards, before, between and behind.
        for to in [45, 0, 19, 20, 1000, 25, 39, 59] {
            assert!(demuxer.seek(TrackId(1), Timestamp::new(to, base)).unwrap());
            let start = all.iter().rposition(|r| r.3 && r.0 <= to).unwrap();
            assert!(to < 20 || start > 0, "the clip has several key frames");
            assert_eq!(rows(&samples(&mut *demuxer)), all[start..], "{codec} {to}");
        }
        assert!(!demuxer.seek(TrackId(1), Timestamp::new(-1, base)).unwrap());
        assert!(!demuxer.seek(TrackId(2), Timestamp::new(20, base)).unwrap());
        // A time between two ticks never gives a frame that lies after it.
        let between = Timestamp::new(2 * 1001 * 20 - 1, TimeBase::new(1, 60_000).unwrap());
        assert!(demuxer.seek(TrackId(1), between).unwrap());
        assert_eq!(demuxer.next_packet().unwrap().unwrap().pts.unwrap().ticks(), 0);
        demuxer.select_tracks(&[]);
        assert!(demuxer.next_packet().unwrap().is_none());
    }
}

/// A VP8 file: key frame, 2 others, with these payload sizes.
fn small_file(sizes: [usize; 3]) -> Vec<u8> {
    let track = vp8_track();
    let samples: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(i, size)| {
            let key = [0, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 8, 0];
            let data = if i == 0 { &key } else { &[1; 10] };
            sample(i as i64 * 5 + 7, &data[..*size], track.time_base)
        })
        .collect();
    let mut out = Cursor::new(Vec::new());
    mux(&mut out, &track, &samples);
    out.into_inner()
}

fn vp8_track() -> Track {
    let mut header = b"DKIF\0\0\x20\0VP80".to_vec();
    header.extend_from_slice(&[16, 0, 8, 0, 0x30, 0x75, 0, 0, 0xe9, 3, 0, 0]);
    header.resize(32, 0);
    IvfDemuxer::new(Cursor::new(header), "a").unwrap().tracks()[0].clone()
}

fn sample(pts: i64, data: &[u8], base: TimeBase) -> Packet {
    let pts = Timestamp::new(pts, base);
    Packet::new(None, BitstreamLayout::Opaque, data.to_vec()).at(pts, pts).on(TrackId(1))
}

#[test]
fn header_fields_are_where_they_belong() {
    let track = vp8_track();
    let video = track.video.unwrap();
    assert_eq!(video.dimensions, Dimensions::new(16, 8).unwrap());
    assert_eq!(track.time_base, TimeBase::new(1001, 30_000).unwrap());
    assert_eq!(video.frame_rate.unwrap().to_string(), "30000/1001");
    assert_eq!(track.sample_count, None, "the header's count is not to be trusted");
    let file = small_file([10, 4, 0]);
    assert_eq!(file.len(), 32 + 3 * 12 + 14);
    assert_eq!(file[24..32], [3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(file[32..44], [10, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
    let read = samples(&mut IvfDemuxer::new(Cursor::new(file), "a").unwrap());
    assert_eq!(rows(&read), [(7, 7, 10, true), (12, 12, 4, false), (17, 17, 0, false)]);
}

#[test]
fn pipes_carry_ivf_with_an_honest_frame_count() {
    let (reader, writer) = io::pipe().unwrap();
    let thread = std::thread::spawn(move || {
        let track = vp8_track();
        let samples: Vec<_> = (0..300).map(|i| sample(i, &[1; 1000], track.time_base)).collect();
        mux(NonSeekable(writer), &track, &samples)
    });
    let mut demuxer = IvfDemuxer::new(NonSeekable(reader), "-").unwrap();
    assert!(!demuxer.seek(TrackId(1), Timestamp::new(0, TimeBase::NANOS)).unwrap());
    assert_eq!(samples(&mut demuxer).len(), 300);
    assert_eq!(thread.join().unwrap(), 32 + 300 * 1012);

    let mut bytes = Vec::new();
    let track = vp8_track();
    mux(NonSeekable(&mut bytes), &track, &[sample(0, &[1], track.time_base)]);
    assert_eq!(bytes[24..28], [0; 4], "unknown");
}

/// The file header has no place for it, and a pipe cannot be read again.
#[test]
fn light_is_told_of_the_first_frame_which_is_read_once() {
    let light = ContentLight { max_cll: 1000, max_fall: 400 };
    let metadata = [&[0x2a, 6, 1][..], &light.sei_payload(), &[0x80]].concat();
    let frame = [0x32, 3, 1, 2, 3];
    let mut file = b"DKIF\0\0\x20\0AV01".to_vec();
    file.extend_from_slice(&[16, 0, 8, 0, 25, 0, 0, 0, 1, 0, 0, 0]);
    file.resize(32, 0);
    for (pts, data) in [(0, [&metadata[..], &frame].concat()), (1, frame.to_vec())] {
        file.extend_from_slice(&(data.len() as u32).to_le_bytes());
        file.extend_from_slice(&u64::to_le_bytes(pts));
        file.extend_from_slice(&data);
    }
    let hdr = |demuxer: &dyn Demuxer| demuxer.tracks()[0].video.as_ref().unwrap().hdr;
    let mut piped = IvfDemuxer::new(NonSeekable(Cursor::new(file.clone())), "-").unwrap();
    assert_eq!(hdr(&piped), HdrMetadata { mastering_display: None, content_light: Some(light) });
    let times = |samples: &[Packet]| samples.iter().map(|s| s.pts.unwrap().ticks()).collect::<Vec<_>>();
    assert_eq!(times(&samples(&mut piped)), [0, 1]);
    let mut seen = IvfDemuxer::new(Cursor::new(file.clone()), "a.ivf").unwrap();
    assert!(!hdr(&seen).is_empty());
    assert_eq!(times(&samples(&mut seen)), [0, 1]);
    // Damage there is told when the frame is asked for, as ever.
    for cut in 33..file.len() - 17 {
        let mut demuxer = IvfDemuxer::new(Cursor::new(&file[..cut]), "a.ivf").unwrap();
        assert!(hdr(&demuxer).is_empty());
        let error = demuxer.next_packet().unwrap_err();
        assert!(error.is_recoverable() && error.to_string().contains("cut short"), "{error}");
        assert!(demuxer.next_packet().unwrap().is_none());
    }
    let mut empty = IvfDemuxer::new(Cursor::new(&file[..32]), "a.ivf").unwrap();
    assert!(empty.next_packet().unwrap().is_none());
}

#[test]
fn damage_is_told_with_its_place() {
    let open = |bytes: &[u8]| IvfDemuxer::new(Cursor::new(bytes.to_vec()), "a.ivf");
    let header_error = |change: fn(&mut Vec<u8>)| {
        let mut file = small_file([10, 4, 5]);
        change(&mut file);
        open(&file).err().unwrap().to_string()
    };
    assert!(header_error(|f| f.truncate(31)).contains("31 of 32 bytes"));
    assert!(header_error(|f| f[0] = b'X').contains("DKIF"));
    assert!(header_error(|f| f[4] = 1).contains("version 1"));
    assert!(header_error(|f| f[8..12].copy_from_slice(b"H\x00\x1b4")).contains(r"H\\x00\\x1b4"));
    assert!(
        header_error(|f| {
            f.truncate(32);
            f[12..14].fill(0);
        })
        .contains("picture size")
    );
    assert!(header_error(|f| f[16..20].fill(0)).contains("1001/0"));

    let file = small_file([10, 4, 5]);
    for (cut, what) in [
        (file.len() - 1, "frame 2 at byte 70 is cut short: 4 of 5 bytes"),
        (70 + 7, "header of frame 2 at byte 70 is cut short: 7 of 12 bytes"),
    ] {
        let mut demuxer = open(&file[..cut]).unwrap();
        assert!(demuxer.next_packet().unwrap().is_some());
        assert!(demuxer.next_packet().unwrap().is_some());
        let error = demuxer.next_packet().unwrap_err();
        assert!(error.is_recoverable());
        assert!(error.to_string().contains(what), "{error}");
        assert!(demuxer.next_packet().unwrap().is_none());
    }
    let mut huge = file.clone();
    huge[54..58].fill(0xff);
    let mut demuxer = open(&huge).unwrap();
    assert!(demuxer.next_packet().unwrap().is_some());
    let error = demuxer.next_packet().unwrap_err();
    assert!(error.to_string().contains("frame 1 at byte 54 claims 4294967295 bytes"), "{error}");
    assert!(demuxer.next_packet().unwrap().is_none());
    assert!(demuxer.seek(TrackId(1), Timestamp::new(1 << 40, TimeBase::MPEG)).unwrap());
    assert_eq!(
        demuxer.next_packet().unwrap().unwrap().pts.unwrap().ticks(),
        7,
        "what lies before is reached"
    );
}

#[test]
fn a_size_missing_in_the_header_is_found_in_the_first_frame() {
    let dir = tempfile::tempdir().unwrap();
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let Some(path) = made(dir.path(), codec) else { continue };
        let mut file = std::fs::read(&path).unwrap();
        let all = samples(&mut *open(&path));
        file[12..16].fill(0);
        let mut demuxer = IvfDemuxer::new(NonSeekable(&file[..]), "a").unwrap();
        assert_eq!(demuxer.tracks()[0].video.as_ref().unwrap().dimensions, Dimensions::new(64, 64).unwrap());
        assert_eq!(rows(&samples(&mut demuxer)), rows(&all), "the frame looked at is not lost");
        let mut demuxer = IvfDemuxer::new(Cursor::new(&file[..]), "a").unwrap();
        assert!(demuxer.seek(TrackId(1), all[45].pts.unwrap()).unwrap());
        assert_eq!(rows(&samples(&mut demuxer)), rows(&all[40..]));
    }
}

#[test]
fn longer_headers_are_skipped() {
    let mut file = small_file([10, 4, 5]);
    file[6] = 40;
    file.splice(32..32, [0xee; 8]);
    let mut demuxer = IvfDemuxer::new(Cursor::new(file), "a").unwrap();
    assert_eq!(samples(&mut demuxer).len(), 3);
}

#[test]
fn the_muxer_refuses_what_ivf_cannot_hold() {
    let track = vp8_track();
    let mut muxer = IvfMuxer::new(Cursor::new(Vec::new()), "a");
    assert!(muxer.write(&sample(0, &[1], track.time_base)).is_err(), "no track yet");
    let mut h264 = track.clone();
    h264.video.as_mut().unwrap().codec = Codec::H264;
    h264.codec_name = "h264".into();
    let error = muxer.add_track(&h264).unwrap_err().to_string();
    assert!(error.contains("h264 in IVF"), "{error}");
    assert!(muxer.add_track(&Track { video: None, ..track.clone() }).is_err());
    muxer.add_track(&track).unwrap();
    assert!(muxer.add_track(&track).is_err());
    muxer.write(&sample(5, &[1], track.time_base)).unwrap();
    let error = muxer.write(&sample(4, &[1], track.time_base)).unwrap_err().to_string();
    assert!(error.contains("pts 4 after 5"), "{error}");
    assert!(muxer.write(&Packet { pts: None, ..sample(6, &[1], track.time_base) }).is_err());
    // 6006 / 30000 s in another base.
    muxer.write(&sample(18_018, &[1], TimeBase::MPEG)).unwrap();
    assert_eq!(muxer.finish().unwrap().samples, 2);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        codec in prop::sample::select(vec![*b"VP80", *b"VP90", *b"AV01"]),
        body in prop::collection::vec(prop_oneof![Just(0u8), Just(10), any::<u8>()], 0..600),
        to in any::<i64>(),
    ) {
        let mut file = small_file([10, 4, 5])[..32].to_vec();
        file[8..12].copy_from_slice(&codec);
        file.extend_from_slice(&body);
        let mut demuxer = IvfDemuxer::new(Cursor::new(file.clone()), "a").unwrap();
        let mut total = 0;
        while let Ok(Some(sample)) = demuxer.next_packet() {
            total += 12 + sample.data.len();
        }
        prop_assert!(total <= body.len());
        if demuxer.seek(TrackId(1), Timestamp::new(to, TimeBase::MPEG)).unwrap() {
            let sample = demuxer.next_packet().unwrap().unwrap();
            prop_assert!(sample.keyframe);
            prop_assert!(sample.pts.unwrap() <= Timestamp::new(to, TimeBase::MPEG));
        }
    }

    #[test]
    fn changed_bytes_never_panic(at in 0usize..80, value in any::<u8>(), cut in 0usize..80) {
        let mut file = small_file([10, 4, 5]);
        if let Some(byte) = file.get_mut(at) {
            *byte = value;
        }
        file.truncate(cut.max(20));
        if let Ok(mut demuxer) = IvfDemuxer::new(NonSeekable(&file[..]), "a") {
            while let Ok(Some(_)) = demuxer.next_packet() {}
        }
    }

    #[test]
    fn packets_round_trip(
        gaps in prop::collection::vec((0i64..1 << 40, prop::collection::vec(any::<u8>(), 0..50)), 0..20),
        start in -1000i64..1000,
    ) {
        let track = vp8_track();
        let mut pts = start;
        let sent: Vec<_> = gaps.iter().map(|(gap, data)| {
            pts += gap;
            sample(pts, data, track.time_base)
        }).collect();
        let mut out = Cursor::new(b"in front".to_vec());
        out.set_position(8);
        let bytes = mux(&mut out, &track, &sent);
        prop_assert_eq!(bytes + 8, out.get_ref().len() as u64);
        out.set_position(8);
        let back = samples(&mut IvfDemuxer::new(out, "a").unwrap());
        prop_assert_eq!(back.len(), sent.len());
        for (a, b) in back.iter().zip(&sent) {
            prop_assert_eq!(&a.data, &b.data);
            prop_assert_eq!(a.pts.unwrap().ticks(), b.pts.unwrap().ticks());
        }
    }
}
