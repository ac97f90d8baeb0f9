//! Writing streams that do not come out of an MP4 file.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proptest::prelude::*;
use video_hw::Error;
use video_hw::bitstream::convert::length_prefixed_to_annexb;
use video_hw::bitstream::{AvcConfig, HevcConfig};
use video_hw::codec::Codec;
use video_hw::container::mp4::{Mp4Demuxer, Mp4FragmentMuxer, Mp4MuxOptions, Mp4Muxer};
use video_hw::container::{CopyDescription, Demuxer, Muxer, Track, TrackId, TrackKind};
use video_hw::packet::BitstreamLayout;
use video_hw::packet::Packet;
use video_hw::time::{TimeBase, Timestamp};

use crate::support::*;

fn options() -> Mp4MuxOptions {
    Mp4MuxOptions::default().path(PathBuf::from("test.mp4"))
}

/// A file in memory that outlives its writer.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    file: Arc<Mutex<Cursor<Vec<u8>>>>,
    /// Writing past this length fails, as on a full disk.
    limit: Option<u64>,
}

impl Memory {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.file.lock().unwrap().get_ref().clone()
    }
}

impl Write for Memory {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap();
        if self.limit.is_some_and(|limit| file.position() + data.len() as u64 > limit) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        file.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Memory {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.lock().unwrap().seek(to)
    }
}

/// A track of opaque samples.
pub(crate) fn opaque_track(handler: [u8; 4], num: u32, den: u32) -> Track {
    let entry = Bytes::from_static(b"\0\0\0\x14mett\0\0\0\0\0\0\0\x01text");
    Track {
        id: TrackId(0),
        kind: TrackKind::Other,
        time_base: TimeBase::new(num, den).unwrap(),
        codec_name: "mett".into(),
        language: None,
        duration: None,
        sample_count: None,
        video: None,
        copy: Some(CopyDescription { handler, sample_entry: entry, media_header: None, matroska: None }),
    }
}

pub(crate) fn opaque_sample(track: &Track, id: TrackId, pts: i64, dts: i64) -> Packet {
    let [pts, dts] = [pts, dts].map(|ticks| Timestamp::new(ticks, track.time_base));
    Packet { keyframe: true, ..track.packet(vec![7; 5]).at(pts, dts).on(id) }
}

/// The parameter sets of a configuration record, after start codes.
fn parameter_sets(codec: Codec, config: &[u8]) -> Vec<u8> {
    let units = match codec {
        Codec::H264 => return AvcConfig::parse(config).unwrap().to_annexb(),
        Codec::Hevc => HevcConfig::parse(config).unwrap(),
        _ => return Vec::new(),
    };
    // x265 also puts a comment (SEI) there.
    let sets = units.units().filter(|nal| (32..=34).contains(&(nal[0] >> 1)));
    sets.flat_map(|nal| [&[0, 0, 0, 1], nal].concat()).collect()
}

/// Strips a file of what MP4 adds to its pictures, and writes it again from that.
fn rewrite_as_elementary_stream(path: &Path, out: &Path) {
    let mut demuxer = open(path);
    let mut track = demuxer.tracks()[0].clone();
    let video = track.video.as_mut().unwrap();
    let config = video.codec_config.take().unwrap();
    let layout = std::mem::replace(&mut video.layout, BitstreamLayout::elementary(video.codec));
    let sets = parameter_sets(video.codec, &config);
    let delimiter: &[u8] = match video.codec {
        Codec::H264 => &[0, 0, 0, 1, 9, 0xF0],
        Codec::Hevc => &[0, 0, 0, 1, 0x46, 1, 0x50],
        Codec::Av1 => &[0x12, 0],
        _ => &[],
    };
    let file = std::fs::File::create(out).unwrap();
    let mut muxer = Mp4Muxer::create(file, options()).unwrap();
    let id = muxer.add_track(&track).unwrap();
    demuxer.select_tracks(&[track.id]);
    for sample in read_all(&mut demuxer) {
        let mut data = delimiter.to_vec();
        if sample.keyframe {
            data.extend(&sets);
        }
        match layout {
            BitstreamLayout::Avcc { length_size } | BitstreamLayout::Hvcc { length_size } => {
                length_prefixed_to_annexb(&sample.data, length_size, &mut data).unwrap();
            }
            _ => data.extend(&sample.data),
        }
        muxer.write(&Packet { track: id, data: data.into(), ..sample }).unwrap();
    }
    muxer.finish().unwrap();
}

#[test]
fn elementary_streams_become_the_same_file() {
    for (encoder, args) in CODECS {
        let Some((_dir, path)) = make(&format!("{PICTURE} {args}"), "a.mp4", encoder) else { continue };
        let out = path.with_file_name("out.mp4");
        rewrite_as_elementary_stream(&path, &out);
        assert_eq!(probe(&path, 0), probe(&out, 0), "{encoder}");
        assert_eq!(complaints(&out), "", "{encoder}");
        assert_eq!(frame_md5(&path, false), frame_md5(&out, false), "{encoder}");
        let kinds: &[&[u8]] = &[b"avc1", b"hvc1", b"vp09", b"av01"];
        let bytes = std::fs::read(&out).unwrap();
        assert!(kinds.iter().any(|kind| bytes.windows(4).any(|w| w == *kind)), "{encoder}");
    }
}

#[test]
fn parameter_sets_that_change_stay_in_the_samples() {
    // A fragmented file has written its header by the time they change.
    for ((encoder, args), fragmented, seconds, entry) in [
        (CODECS[0], false, 1, "avc3"),
        (CODECS[1], false, 1, "hev1"),
        (CODECS[0], true, 1, "avc3"),
        (CODECS[0], true, 3, "avc1"),
        (CODECS[1], true, 3, "hvc1"),
    ] {
        let small = format!("-f lavfi -i testsrc2=size=160x96:rate=25:duration={seconds}");
        let Some((dir, first)) = make(&format!("{small} {args}"), "a.mp4", encoder) else { continue };
        let second = dir.path().join("b.mp4");
        ffmpeg(&format!("-f lavfi -i testsrc2=size=192x112:rate=25:duration=1 {args}"), &second);
        let out = dir.path().join("out.mp4");
        let file = std::fs::File::create(&out).unwrap();
        let mut muxer: Box<dyn Muxer> = if fragmented {
            Box::new(Mp4FragmentMuxer::new(file, options()))
        } else {
            Box::new(Mp4Muxer::create(file, options()).unwrap())
        };
        let mut id = None;
        let mut shift = 0;
        // Back to the first size at the end: its sets must not be dropped as "known".
        for path in [&first, &second, &first] {
            let mut demuxer = open(path);
            let mut track = demuxer.tracks()[0].clone();
            let video = track.video.as_mut().unwrap();
            let config = video.codec_config.take().unwrap();
            video.layout = BitstreamLayout::AnnexB;
            let sets = parameter_sets(video.codec, &config);
            let id = *id.get_or_insert_with(|| muxer.add_track(&track).unwrap());
            for sample in read_all(&mut demuxer) {
                let mut data = if sample.keyframe { sets.clone() } else { Vec::new() };
                length_prefixed_to_annexb(&sample.data, 4, &mut data).unwrap();
                let moved = |time: Option<Timestamp>| time.map(|time| time.offset(shift));
                let (pts, dts) = (moved(sample.pts), moved(sample.dts));
                muxer.write(&Packet { track: id, data: data.into(), pts, dts, ..sample }).unwrap();
            }
            shift += 12_800 * if *path == first { seconds } else { 1 };
        }
        muxer.finish().unwrap();
        let tag = run(
            "ffprobe",
            &[
                "-v",
                "error",
                "-show_entries",
                "stream=codec_tag_string",
                "-of",
                "csv=p=0",
                out.to_str().unwrap(),
            ],
        );
        assert_eq!(tag.trim(), entry);
        assert_eq!(complaints(&out), "", "{encoder}");
        let sizes = run(
            "ffprobe",
            &["-v", "error", "-show_entries", "frame=width", "-of", "csv=p=0", out.to_str().unwrap()],
        );
        let widths = sizes.lines().map(|line| line.trim_end_matches(','));
        let widths: Vec<&str> = widths.filter(|line| !line.is_empty()).collect();
        let frames = 25 * seconds as usize;
        assert_eq!(widths.len(), 2 * frames + 25, "{encoder}");
        let looked =
            (widths[0], widths[frames - 1], widths[frames + 5], widths[frames + 25], widths[2 * frames + 24]);
        assert_eq!(looked, ("160", "160", "192", "160", "160"), "{encoder}");
    }
}

#[test]
fn what_mp4_cannot_carry_is_refused_and_leaves_the_file_usable() {
    let memory = Memory::default();
    let mut muxer = Mp4Muxer::create(memory.clone(), options()).unwrap();
    let track = opaque_track(*b"meta", 1001, 30_000);
    let id = muxer.add_track(&track).unwrap();
    muxer.write(&opaque_sample(&track, id, 3, 3)).unwrap();
    let mut untimed = opaque_sample(&track, id, 0, 0);
    (untimed.pts, untimed.dts) = (None, None);
    let milliseconds = TimeBase::new(1, 1000).unwrap();
    let mut inexact = opaque_sample(&track, id, 0, 0);
    (inexact.pts, inexact.dts) =
        (Some(Timestamp::new(150, milliseconds)), Some(Timestamp::new(150, milliseconds)));
    for refused in [
        untimed,
        inexact,
        opaque_sample(&track, id, 2, 2),
        opaque_sample(&track, id, i64::MAX, 4),
        opaque_sample(&track, id, 1 << 40, 1 << 40),
        opaque_sample(&track, TrackId(9), 4, 4),
    ] {
        assert!(matches!(muxer.write(&refused), Err(Error::InvalidInput { .. })), "{refused:?}");
    }
    muxer.write(&opaque_sample(&track, id, 4, 4)).unwrap();
    assert!(muxer.add_track(&track).is_err());
    muxer.finish().unwrap();
    assert!(muxer.finish().is_err());
    let mut demuxer = Mp4Demuxer::open(Cursor::new(memory.bytes()), PathBuf::new()).unwrap();
    // 1001/30000 s become ticks of 1/30000 s.
    let rows: Vec<Row> = read_all(&mut demuxer).iter().map(row).collect();
    assert_eq!(rows.iter().map(|row| row.pts).collect::<Vec<_>>(), [3003, 4004]);
}

/// An edit list cannot begin before zero: such a track has nothing to present.
#[test]
fn a_track_that_ends_before_zero_is_left_out() {
    for first in [i64::MIN, i64::MIN + 1, -40] {
        let memory = Memory::default();
        let mut muxer = Mp4Muxer::create(memory.clone(), options()).unwrap();
        let track = opaque_track(*b"meta", 1, 1000);
        let ids = [muxer.add_track(&track).unwrap(), muxer.add_track(&track).unwrap()];
        let early = opaque_sample(&track, ids[0], first, first);
        muxer.write(&Packet { duration: Some(40), ..early }).unwrap();
        muxer.write(&opaque_sample(&track, ids[1], 0, 0)).unwrap();
        muxer.finish().unwrap();
        let mut demuxer = Mp4Demuxer::open(Cursor::new(memory.bytes()), PathBuf::new()).unwrap();
        let samples = read_all(&mut demuxer);
        assert_eq!((demuxer.tracks().len(), samples.len()), (1, 1), "{first}");
        assert_eq!((samples[0].track, samples[0].pts.unwrap().ticks()), (ids[1], 0), "{first}");
    }
}

#[test]
fn a_full_disk_is_an_io_error() {
    let track = opaque_track(*b"meta", 1, 1000);
    // Full while samples are written, and full at the very end.
    for (limit, samples) in [(1 << 19, 1_000_000), (600, 100)] {
        let mut muxer =
            Mp4Muxer::create(Memory { limit: Some(limit), ..Memory::default() }, options()).unwrap();
        let id = muxer.add_track(&track).unwrap();
        let written = (0..samples).try_for_each(|at| muxer.write(&opaque_sample(&track, id, at, at)));
        let failed = written.and_then(|()| muxer.finish().map(drop));
        assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    }
    let mut muxer = Mp4Muxer::create(Memory::default(), options()).unwrap();
    muxer.add_track(&track).unwrap();
    assert!(matches!(muxer.finish(), Err(Error::InvalidInput { .. })), "a file without samples");
}

/// Keeps small writes, with their places, and forgets large ones.
#[derive(Clone, Default)]
struct Sparse {
    pieces: Arc<Mutex<BTreeMap<u64, Vec<u8>>>>,
    position: u64,
}

impl Write for Sparse {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.len() < 1 << 20 {
            self.pieces.lock().unwrap().insert(self.position, data.to_vec());
        }
        self.position += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(position) = to else { return Err(io::Error::from(io::ErrorKind::Unsupported)) };
        self.position = position;
        Ok(position)
    }
}

#[test]
fn more_than_four_gigabytes_get_wide_sizes_and_offsets() {
    let sink = Sparse::default();
    let mut muxer = Mp4Muxer::create(sink.clone(), options()).unwrap();
    let track = opaque_track(*b"meta", 1, 1000);
    let ids = [muxer.add_track(&track).unwrap(), muxer.add_track(&track).unwrap()];
    let block = Bytes::from(vec![0; 256 << 20]);
    for at in 0..17 {
        let sample = opaque_sample(&track, ids[at % 2], at as i64, at as i64);
        muxer.write(&Packet { data: block.clone(), ..sample }).unwrap();
    }
    let summary = muxer.finish().unwrap();
    let data = 17 * block.len() as u64;
    assert!(summary.bytes > data);
    let pieces = sink.pieces.lock().unwrap();
    let mut wide = b"\0\0\0\x01mdat".to_vec();
    wide.extend((data + 16).to_be_bytes());
    assert!(pieces.values().any(|piece| *piece == wide), "no wide mdat header");
    let moov = pieces.values().find(|piece| piece.windows(4).any(|w| w == b"moov")).unwrap();
    let co64 = moov.windows(4).position(|w| w == b"co64").unwrap();
    // Version and flags, the number of chunks, and the first of them.
    assert_eq!(moov[co64 + 8..co64 + 12], 9_u32.to_be_bytes());
    let mdat = pieces.iter().find(|(_, piece)| **piece == wide).unwrap().0;
    assert_eq!(moov[co64 + 12..co64 + 20], (mdat + 16).to_be_bytes());
}

/// Samples of one track: `(dts step, pts - dts)`, first decoding time, and which part is presented.
type Plan = (Vec<(u16, u16)>, i32, std::ops::Range<u8>);

fn plan() -> impl Strategy<Value = Plan> {
    let samples = prop::collection::vec((0_u16..2000, 0_u16..5000), 1..40);
    (samples, -60_000_i32..200_000, (0_u8..40, 200_u8..255).prop_map(|(from, to)| from..to))
}

/// The samples of a plan. Presentation is a range of times, so that an edit list can express it.
fn samples(plan: &Plan, track: &Track, id: TrackId) -> Vec<Packet> {
    let (steps, first, part) = plan;
    let mut dts = i64::from(*first);
    let mut out = Vec::new();
    for (index, (step, offset)) in steps.iter().enumerate() {
        let mut sample = opaque_sample(track, id, dts + i64::from(*offset), dts);
        sample.keyframe = index == 0;
        sample.duration = Some((*step).into());
        out.push(sample);
        dts += i64::from(*step);
    }
    let times: Vec<i64> = out.iter().map(|sample| sample.pts.unwrap().ticks()).collect();
    let (low, high) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
    let point = |at: u8| low + (high - low) * i64::from(at) / 254;
    for sample in &mut out {
        let pts = sample.pts.unwrap().ticks();
        sample.discard = pts < point(part.start).max(0) || pts > point(part.end);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn times_come_back_exactly(
        plans in prop::collection::vec((plan(), prop::sample::select(vec![600_u32, 1000, 12_800, 44_100, 90_000])), 1..4),
    ) {
        let memory = Memory::default();
        let mut muxer = Mp4Muxer::create(memory.clone(), options()).unwrap();
        let mut tracks = Vec::new();
        for (plan, scale) in &plans {
            let track = opaque_track(*b"meta", 1, *scale);
            let id = muxer.add_track(&track).unwrap();
            tracks.push((id, samples(plan, &track, id)));
        }
        for (_, samples) in &tracks {
            for sample in samples {
                muxer.write(sample).unwrap();
            }
        }
        tracks.retain(|(_, samples)| samples.iter().any(|sample| !sample.discard));
        if tracks.is_empty() {
            prop_assert!(muxer.finish().is_err());
            return Ok(());
        }
        muxer.finish().unwrap();
        let mut demuxer = Mp4Demuxer::open(Cursor::new(memory.bytes()), PathBuf::new()).unwrap();
        let read = read_all(&mut demuxer);
        for (id, samples) in &tracks {
            let times = |all: &[Packet]| {
                let own = all.iter().filter(|sample| sample.track == *id);
                own.map(|s| (s.pts.unwrap().ticks(), s.dts.unwrap().ticks(), s.discard, s.data.clone())).collect::<Vec<_>>()
            };
            prop_assert_eq!(times(&read), times(samples));
        }
    }
}
