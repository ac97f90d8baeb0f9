//! The index of a Matroska file by the heads of its blocks: what reading the packets gives, without reading them.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use video_hw::container::matroska::MatroskaDemuxer;
use video_hw::container::{Demuxer, PacketBytes, PacketPlace, TrackId};
use video_hw::stream_io::NonSeekable;

use super::matroska::{films, open, small_film};
use super::matroska_made::*;
use crate::support::streams::have;

/// A packet as both ways tell of it: time, length, key frame, hidden, bytes at its start and end, how many there are.
type Fact = (i64, u64, bool, bool, Vec<u8>, u64);

fn ends(data: &[u8]) -> Vec<u8> {
    let tail = data.len().saturating_sub(7);
    [&data[..data.len().min(9)], &data[tail..]].concat()
}

/// The packets of a track up to the first error, and that error: by the heads of blocks.
fn by_heads(demuxer: &mut dyn Demuxer, track: TrackId) -> (Vec<Fact>, Vec<PacketPlace>, Option<String>) {
    let (mut facts, mut places) = (Vec::new(), Vec::new());
    let told = demuxer.index(track, &mut |place, bytes| {
        let bytes = bytes.expect("bytes can be looked at");
        let len = bytes.len();
        let mut look = |from: u64, len: usize| {
            let mut into = vec![0; len];
            let there = bytes.read(from, &mut into).unwrap();
            into.truncate(there);
            into
        };
        // The end first: looking goes to and fro.
        let tail = look(len.saturating_sub(7), 7);
        let data = [look(0, 9), tail].concat();
        assert_eq!(look(len, 1), [0_u8; 0]);
        facts.push((place.pts, place.duration, place.keyframe, place.discard, data, len));
        places.push(place);
        Ok(())
    });
    match told {
        Ok(told) => assert!(told, "it can be told"),
        Err(error) => return (facts, places, Some(error.to_string())),
    }
    (facts, places, None)
}

/// The same by reading them; and their places.
fn by_packets(demuxer: &mut dyn Demuxer, track: TrackId) -> (Vec<Fact>, Vec<u64>, Option<String>) {
    demuxer.select_tracks(&[track]);
    let (mut facts, mut places) = (Vec::new(), Vec::new());
    loop {
        match demuxer.next_packet() {
            Ok(Some(packet)) => {
                let pts = packet.pts.unwrap().ticks();
                let (data, len) = (ends(&packet.data), packet.data.len() as u64);
                let duration = packet.duration.unwrap_or(1);
                facts.push((pts, duration, packet.keyframe, packet.discard, data, len));
                places.push(demuxer.position().unwrap());
            }
            Ok(None) => return (facts, places, None),
            Err(error) => return (facts, places, Some(error.to_string())),
        }
    }
}

/// Holds one way against the other, and goes to some of the packets.
fn check(name: &str, mut open: impl FnMut() -> Box<dyn Demuxer>) -> usize {
    let mut demuxer = open();
    let videos: Vec<TrackId> =
        demuxer.tracks().iter().filter(|track| track.video.is_some()).map(|track| track.id).collect();
    let mut count = 0;
    for track in videos {
        let (read, positions, error) = by_packets(&mut *open(), track);
        let (told, places, told_error) = by_heads(&mut *demuxer, track);
        assert_eq!(told, read, "{name}");
        assert_eq!(told_error, error, "{name}");
        assert!(places.iter().map(|place| place.position).eq(positions.iter().copied()), "{name}");
        // It begins anew behind it.
        demuxer.select_tracks(&[track]);
        let first = demuxer.next_packet().ok().flatten().map(|packet| packet.pts.unwrap().ticks());
        assert_eq!(first, read.first().map(|fact| fact.0), "{name}");
        for at in (0..read.len()).step_by(1 + read.len() / 9).rev() {
            assert!(demuxer.resume(track, positions[at]).unwrap(), "{name}: {at}");
            let packet = loop {
                match demuxer.next_packet() {
                    Err(error) if error.is_recoverable() => {}
                    other => break other.unwrap().unwrap(),
                }
            };
            assert_eq!(packet.pts.unwrap().ticks(), read[at].0, "{name}: {at}");
            assert_eq!(ends(&packet.data), read[at].4, "{name}: {at}");
            assert_eq!(demuxer.position(), Some(positions[at]), "{name}: {at}");
            let next = demuxer.next_packet().ok().flatten().map(|packet| packet.pts.unwrap().ticks());
            if error.is_none() {
                assert_eq!(next, read.get(at + 1).map(|fact| fact.0), "{name}: behind {at}");
            }
        }
        count += read.len();
    }
    count
}

fn check_bytes(name: &str, bytes: &[u8]) -> usize {
    check(name, || Box::new(open_bytes(bytes.to_vec())))
}

#[test]
fn heads_of_blocks_say_what_the_packets_say() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, path) in films(dir.path()) {
        assert_eq!(check(name, || open(&path)), if name == "vfr.mkv" { 40 } else { 50 }, "{name}");
    }
}

/// Every kind of block, in clusters of both kinds.
fn odd_film() -> Vec<u8> {
    let frame = |value: u8, len: usize| vec![value; len];
    let laced = |sizes: &[u8], frames: &[Vec<u8>]| [sizes, &frames.concat()].concat();
    let three = [frame(1, 300), frame(2, 3), frame(3, 70)];
    let even = [frame(4, 40), frame(5, 40)];
    let first = cluster(
        100,
        &[
            simple(1, 0, KEY, &frame(9, 5000)),
            simple(2, 0, KEY, &frame(8, 200)),
            simple(1, 40, XIPH, &laced(&[2, 255, 45, 3], &three)),
            group(1, 160, FIXED, &laced(&[1], &even), &[block_duration(80), reference(-40)]),
            group(2, 200, 0, &frame(7, 100), &[]),
            // Sizes of EBML: 300, and 3 less 297.
            simple(1, 240, XIPH | FIXED, &laced(&[2, 0x41, 0x2c, 0x5e, 0xd6], &three)),
            // An empty frame is none.
            simple(1, 360, KEY | XIPH, &laced(&[1, 0], &even[..1])),
            element(&[0xec], &[0; 9000]),
        ],
    );
    let second = live_cluster(
        500,
        &[
            group(1, -10, 0, &frame(11, 70_000), &[block_duration(33)]),
            group(1, 30, 0, &frame(12, 10), &[reference(-40), discard_padding(1)]),
            // Its numbers are in front of its block.
            element(
                &[0xa0],
                &[block_duration(21), element(&[0xa1], &block(1, 70, 0, &frame(13, 600)))].concat(),
            ),
            simple(1, 110, 0, b"last"),
        ],
    );
    film(&[pictures(1, &[default_duration(40)]), sound(2, "A_AAC", &[])], &[first, second])
}

#[test]
fn every_kind_of_block_is_told_of() {
    let film = odd_film();
    assert_eq!(check_bytes("odd", &film), 1 + 3 + 2 + 3 + 1 + 4);
    // Bytes that the file leaves out count.
    let settings = [uint(&[0x42, 0x54], 3), element(&[0x42, 0x55], b"front")].concat();
    let encoding = element(&[0x62, 0x40], &element(&[0x50, 0x34], &settings));
    let stripped = pictures(1, &[element(&[0x6d, 0x80], &encoding)]);
    let blocks = [simple(1, 0, KEY, b"one"), simple(1, 40, XIPH, &[1, 2, 1, 2, 3, 4, 5, 6])];
    assert_eq!(check_bytes("stripped", &self::film(&[stripped], &[cluster(0, &blocks)])), 3);
}

#[test]
fn damage_ends_what_is_told_where_it_ends_reading() {
    let good = |time| cluster(time, &[simple(1, 0, KEY, &[1; 50]), simple(1, 40, 0, &[2; 50])]);
    let all_empty = simple(1, 80, FIXED, &[200]);
    let too_short = element(&[0xa3], &[0x81, 0]);
    let no_laces = simple(1, 80, XIPH, &[3, 255, 255]);
    let long_number = group(1, 80, 0, b"x", &[element(&[0x9b], &[0; 9])]);
    let cut_group = group(1, 80, 0, b"x", &[vec![0xfb]]);
    let of_none = simple(9, 80, 0, b"x");
    let unknown = element(&[0x3f, 0xff, 0xfe], &[0; 30]);
    for (name, damage) in [
        ("empty laces", all_empty),
        ("no header", too_short),
        ("no laces", no_laces),
        ("a long number", long_number),
        ("a group that is cut", cut_group),
        ("zeros", vec![0; 40]),
        ("an unknown element", [unknown, vec![0; 9]].concat()),
    ] {
        let middle = [cluster(100, &[simple(1, 0, KEY, b"a"), damage]), good(200)].concat();
        let film = film(&[pictures(1, &[])], &[good(0), middle]);
        assert_eq!(check_bytes(name, &film), 3, "{name}");
    }
    // A block of no track is no damage.
    let middle = [cluster(100, &[simple(1, 0, KEY, b"a"), of_none]), good(200)].concat();
    assert_eq!(check_bytes("of no track", &film(&[pictures(1, &[])], &[good(0), middle])), 5);
    let film = odd_film();
    for end in (300..film.len()).step_by(331) {
        check_bytes(&format!("cut at {end}"), &film[..end]);
    }
}

/// Counts the bytes that are read.
struct Counting(Cursor<Vec<u8>>, Arc<AtomicU64>);

impl Read for Counting {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buf)?;
        self.1.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for Counting {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn the_packets_are_not_read() {
    // Pictures of many sizes between packets of sound; a quarter of them in groups.
    let picture = |at: u64| vec![at as u8; 20_000 + (at as usize * 7919) % 60_000];
    let mut clusters = Vec::new();
    for at in 0..20 {
        let blocks = (0..10).flat_map(|frame| {
            let time = frame as i16 * 40;
            let data = picture(at * 10 + frame);
            let video = match frame % 4 {
                1 => group(1, time, 0, &data, &[reference(-40), block_duration(40)]),
                _ => simple(1, time, if frame == 0 { KEY } else { 0 }, &data),
            };
            [video, simple(2, time, KEY, &[0; 300]), simple(2, time + 20, KEY, &[0; 300])]
        });
        clusters.push(cluster(at * 400, &blocks.collect::<Vec<_>>()));
    }
    let film = film(&[pictures(1, &[]), sound(2, "A_AAC", &[])], &clusters);
    let size = film.len() as u64;
    let read = Arc::new(AtomicU64::new(0));
    let mut demuxer =
        MatroskaDemuxer::open(Counting(Cursor::new(film), read.clone()), PathBuf::from("film.mkv")).unwrap();
    read.store(0, Ordering::Relaxed);
    let mut packets = 0;
    let told = demuxer.index(TrackId(1), &mut |_, bytes| {
        let mut head = [0; 16];
        assert_eq!(bytes.unwrap().read(0, &mut head).unwrap(), head.len());
        packets += 1;
        Ok(())
    });
    assert!(told.unwrap() && packets == 200);
    let read = read.load(Ordering::Relaxed);
    assert!(read < size / 20, "{read} of {size} bytes were read");
}

fn nobody(_: PacketPlace, _: Option<&mut dyn PacketBytes>) -> video_hw::Result<()> {
    panic!("it is told of")
}

#[test]
fn what_cannot_be_told_is_left_to_reading() {
    let film = film(&[pictures(1, &[]), sound(2, "A_AAC", &[])], &[cluster(0, &[simple(1, 0, KEY, b"a")])]);
    let mut pipe =
        MatroskaDemuxer::open(NonSeekable(Cursor::new(film.clone())), PathBuf::from("film.mkv")).unwrap();
    assert!(!pipe.index(TrackId(1), &mut nobody).unwrap());
    assert!(!pipe.resume(TrackId(1), 0).unwrap());
    assert!(pipe.next_packet().unwrap().is_some() && pipe.position().is_none());
    let mut file = open_bytes(film);
    assert!(!file.index(TrackId(2), &mut nobody).unwrap(), "lengths of sound stand in its packets");
    assert!(!file.index(TrackId(3), &mut nobody).unwrap());
    // Places that are none.
    for place in [0, 1 << 20, u64::MAX, 5] {
        assert!(!file.resume(TrackId(1), place).unwrap());
    }
    assert!(file.next_packet().is_ok());
}

#[test]
fn a_block_beyond_the_limit_is_refused_as_in_reading() {
    let film = film(&[pictures(1, &[])], &[cluster(0, &[simple(1, 0, KEY, &[0; 5000])])]);
    let limits = video_hw::limits::Limits::default().packet_bytes(1000);
    let open = || {
        let film = Cursor::new(film.clone());
        MatroskaDemuxer::with_limits(film, PathBuf::from("film.mkv"), limits.clone()).unwrap()
    };
    let read = open().next_packet().unwrap_err().to_string();
    let told = open().index(TrackId(1), &mut |_, _| Ok(())).unwrap_err().to_string();
    assert_eq!(told, read);
    assert!(told.contains("packet-bytes"), "{told}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_agree_on_damaged_files(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut film = odd_film();
        for (at, byte) in changes {
            let at = at.index(film.len());
            film[at] = byte;
        }
        let open = || MatroskaDemuxer::open(Cursor::new(film.clone()), PathBuf::from("film.mkv"));
        if open().is_ok() {
            check("changed", || Box::new(open().unwrap()));
        }
    }

    #[test]
    fn both_ways_agree_on_damaged_files_of_ffmpeg(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        static FILM: std::sync::OnceLock<Option<Vec<u8>>> = std::sync::OnceLock::new();
        let film = FILM.get_or_init(|| have(&["ffmpeg"]).then(|| small_film(tempfile::tempdir().unwrap().path())).flatten());
        let Some(film) = film else { return Ok(()) };
        let mut film = film.clone();
        for (at, byte) in changes {
            let at = at.index(film.len());
            film[at] = byte;
        }
        let open = || MatroskaDemuxer::open(Cursor::new(film.clone()), PathBuf::from("film.mkv"));
        if open().is_ok() {
            check("changed", || Box::new(open().unwrap()));
        }
    }
}
