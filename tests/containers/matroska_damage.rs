//! Matroska files that are wrong in ways that writers, cut cables and enemies have: nothing is lost without a record, and nothing
//! is believed that costs more than it is.

use std::io::Cursor;
use std::path::PathBuf;

use video_hw::container::matroska::MatroskaDemuxer;
use video_hw::container::{Demuxer, TrackKind};
use video_hw::stream_io::NonSeekable;

use super::matroska_made::*;

/// Three clusters of two pictures each, at 0, 100 and 200 ms.
fn clusters() -> Vec<Vec<u8>> {
    let blocks = |value: u8| [simple(1, 0, KEY, &[value; 50]), simple(1, 40, 0, &[value + 1; 50])];
    (0..3_u8).map(|at| cluster(u64::from(at) * 100, &blocks(at * 2))).collect()
}

/// The first byte of each picture, and the errors: from a file, and from a pipe.
fn both_ways(film: &[u8]) -> [(Vec<u8>, Vec<String>); 2] {
    let firsts = |demuxer: &mut dyn Demuxer| {
        let (packets, errors) = read_all(demuxer);
        (packets.iter().map(|packet| packet.data[0]).collect(), errors)
    };
    let pipe = NonSeekable(Cursor::new(film.to_vec()));
    let mut pipe = MatroskaDemuxer::open(pipe, PathBuf::from("film.mkv")).unwrap();
    [firsts(&mut open_bytes(film.to_vec())), firsts(&mut pipe)]
}

#[test]
fn a_segment_size_that_is_too_small_costs_no_pictures() {
    let mut film = film(&[pictures(1, &[])], &clusters());
    let at = film.windows(4).position(|four| four == SEGMENT).unwrap() + 4;
    let whole = film.len() - at - 4;
    // It ends with the first cluster, within the second, and with the header.
    for size in [whole - 2 * 150, whole - 200, 70] {
        film[at..at + 4].copy_from_slice(&(size as u32 | 0x1000_0000).to_be_bytes());
        for (firsts, errors) in both_ways(&film) {
            assert_eq!((firsts, errors), ((0..6).collect(), vec![]), "{size} of {whole}");
        }
    }
}

#[test]
fn the_size_of_an_unknown_element_is_believed_where_something_known_follows() {
    let [first, second, third] = clusters().try_into().unwrap();
    let odd = |len| element(&[0x3f, 0xff, 0xfe], &vec![0x11; len]);
    // One of a later version is gone over, beside the clusters and in them.
    let inside = cluster(100, &[simple(1, 0, KEY, &[2; 50]), odd(20), simple(1, 40, 0, &[3; 50])]);
    let whole = film(&[pictures(1, &[])], &[first.clone(), odd(30), inside, third.clone()]);
    for (firsts, errors) in both_ways(&whole) {
        assert_eq!((firsts, errors), ((0..6).collect(), vec![]));
    }
    // One that claims half of the next cluster is none: that cluster is found.
    let mut liar = odd(30);
    liar[3..7].copy_from_slice(&(100_u32 + 0x1000_0000).to_be_bytes());
    let damaged = film(&[pictures(1, &[])], &[first, liar, second, third]);
    for (firsts, errors) in both_ways(&damaged) {
        assert_eq!(firsts, (0..6).collect::<Vec<_>>(), "{errors:?}");
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("an unknown element at byte"), "{errors:?}");
    }
}

#[test]
fn damage_in_front_of_the_tracks_does_not_hide_them() {
    let entries = [pictures(1, &[])];
    for noise in [vec![0; 40], vec![0xff; 17]] {
        let parts = [noise.clone(), info(), noise, tracks(&entries), clusters().concat()].concat();
        let film = [ebml(), element(&SEGMENT, &parts)].concat();
        for (firsts, errors) in both_ways(&film) {
            assert_eq!((firsts, errors), ((0..6).collect(), vec![]));
        }
    }
    // An element that nobody knows and that claims to reach into the tracks.
    let mut liar = element(&[0x3f, 0xff, 0xfe], &[0; 8]);
    liar[3..7].copy_from_slice(&(28_u32 + 0x1000_0000).to_be_bytes());
    let film =
        [ebml(), element(&SEGMENT, &[info(), liar, tracks(&entries), clusters().concat()].concat())].concat();
    let (packets, errors) = read_all(&mut open_bytes(film));
    assert_eq!((packets.len(), errors), (6, vec![]));
}

#[test]
fn a_track_that_cannot_be_read_leaves_the_others() {
    let long_number = element(&[0xae], &element(&[0xd7], &[1; 9]));
    let cut = element(&[0xae], &[uint(&[0xd7], 2), vec![0x86, 0x8f, b'A']].concat());
    let none = sound(0, "A_AAC", &[]);
    let twice = sound(1, "A_AAC", &[]);
    for bad in [long_number, cut, none, twice] {
        for entries in [[bad.clone(), pictures(1, &[])], [pictures(1, &[]), bad.clone()]] {
            // Of two with one number the first counts.
            if entries[0] == sound(1, "A_AAC", &[]) {
                continue;
            }
            let mut demuxer = open_bytes(film(&entries, &clusters()));
            assert_eq!(demuxer.tracks().len(), 1);
            let notes = demuxer.notes().join("; ");
            assert!(notes.contains("track is not read: "), "{notes}");
            let (packets, errors) = read_all(&mut demuxer);
            assert_eq!((packets.len(), errors), (6, vec![]));
        }
    }
    // Without pictures beside it, it is what is wrong with the file.
    let film = film(&[sound(0, "A_AAC", &[])], &clusters());
    let error = MatroskaDemuxer::open(Cursor::new(film), PathBuf::from("film.mkv")).unwrap_err();
    assert!(error.to_string().contains("track number 0"), "{error}");
}

/// A `ContentEncodings` element: a compression with these settings.
fn encodings(algorithm: u64, settings: &[u8]) -> Vec<u8> {
    let fields = [uint(&[0x42, 0x54], algorithm), element(&[0x42, 0x55], settings)].concat();
    element(&[0x6d, 0x80], &element(&[0x62, 0x40], &element(&[0x50, 0x34], &fields)))
}

#[test]
fn header_stripping_makes_no_large_packets_of_small_ones() {
    let laced = cluster(
        0,
        &[simple(1, 0, KEY, b"p"), simple(2, 0, FIXED | KEY, &[&[99_u8][..], &[7; 100]].concat())],
    );
    let open = |settings: &[u8]| {
        let sound = sound(2, "A_AAC", &[encodings(3, settings)]);
        open_bytes(film(&[pictures(1, &[]), sound], std::slice::from_ref(&laced)))
    };
    let (packets, errors) = read_all(&mut open(&[5; 10]));
    assert_eq!((packets.len(), errors), (101, vec![]));
    assert!(packets[1..].iter().all(|packet| packet.data.len() == 11));
    let mut many = open(&[5; 5000]);
    let notes = many.notes().join("; ");
    assert!(notes.contains("track 2: more header stripping than anybody writes is not read"), "{notes}");
    let (packets, errors) = read_all(&mut many);
    assert_eq!((packets.len(), errors), (1, vec![]));
}

#[test]
fn laces_of_nothing_are_told_once_a_block() {
    let stripped = pictures(1, &[encodings(3, b"front")]);
    for entry in [stripped, pictures(1, &[])] {
        let empty = simple(1, 0, KEY | FIXED, &[255]);
        let film = film(&[entry], &[cluster(0, &[empty, simple(1, 40, KEY, b"p")])]);
        for (packets, errors) in both_ways(&film) {
            assert_eq!((packets.len(), errors.len()), (1, 1), "{errors:?}");
            assert!(errors[0].contains("holds 256 empty frames"), "{errors:?}");
        }
    }
}

#[test]
fn the_end_of_opus_is_cut_once() {
    let head = [&b"OpusHead\x01\x02"[..], &[0, 0], &48_000_u32.to_le_bytes(), &[0, 0, 0]].concat();
    let opus = sound(1, "A_OPUS", &[element(&[0x63, 0xa2], &head)]);
    // A frame of 20 ms, of which 7 are not to be heard.
    let frame = [0xfc, 0xff, 0xfe];
    let padding = discard_padding(7_000_000);
    let stated = group(1, 0, 0, &frame, &[block_duration(13), padding.clone()]);
    let unstated = group(1, 20, 0, &frame, &[padding]);
    let film = film(&[opus], &[cluster(0, &[stated, unstated])]);
    let mut demuxer = open_bytes(film);
    assert_eq!(demuxer.tracks()[0].kind, TrackKind::Audio);
    let (packets, errors) = read_all(&mut demuxer);
    assert_eq!(errors, [""; 0]);
    assert_eq!(times(&packets), [(0, Some(13)), (20, Some(13))]);
}

#[test]
fn laced_frames_have_times_of_their_own() {
    let frames = |len: usize| [&[2_u8][..], &vec![7; 3 * len]].concat();
    let laced = |time| simple(1, time, KEY | FIXED, &frames(4));
    let blocks = [cluster(0, &[laced(0), laced(120)]), cluster(240, &[laced(0)])];
    let of = |entry: Vec<u8>| times(&read_all(&mut open_bytes(film(&[entry], &blocks))).0);
    let steps: Vec<i64> = (0..9).map(|at| at * 40).collect();
    // By the track, or by the block that follows, and the last by what was before.
    for entry in [pictures(1, &[default_duration(40)]), pictures(1, &[]), sound(1, "A_QUICKTIME", &[])] {
        let found = of(entry);
        assert_eq!(found.iter().map(|time| time.0).collect::<Vec<_>>(), steps);
        assert!(found.iter().all(|time| time.1 == Some(40)), "{found:?}");
    }
    // Frames of DTS say how long they are: 16 blocks of 32 samples.
    let frame = [0x7f, 0xfe, 0x80, 0x01, 0xfc, 0x3c, 0, 0];
    let dts = simple(1, 0, KEY | FIXED, &[&[2_u8][..], &frame.repeat(3)].concat());
    let film = film(&[sound(1, "A_DTS", &[])], &[cluster(0, &[dts])]);
    let (packets, _) = read_all(&mut open_bytes(film));
    assert_eq!(times(&packets), [(0, Some(11)), (11, Some(10)), (21, Some(11))]);
}

#[test]
fn a_second_file_behind_the_first_is_told() {
    let one = film(&[pictures(1, &[])], &clusters());
    let mut unknown = one.clone();
    let at = unknown.windows(4).position(|four| four == SEGMENT).unwrap() + 4;
    unknown[at..at + 4].copy_from_slice(&[0x1f, 0xff, 0xff, 0xff]);
    for first in [one.clone(), unknown] {
        for (firsts, errors) in both_ways(&[&first[..], &one[..]].concat()) {
            assert_eq!(firsts, (0..6).collect::<Vec<_>>());
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(
                errors[0].contains(&format!("another segment begins at byte {}", first.len())),
                "{errors:?}"
            );
            assert!(errors[0].contains("mkvmerge -o WHOLE.mkv FIRST.mkv + SECOND.mkv"), "{errors:?}");
        }
    }
}

#[test]
fn blocks_of_a_cluster_without_a_time_are_told_of() {
    let [first, _, third] = clusters().try_into().unwrap();
    let untimed = |blocks: &[Vec<u8>]| element(&CLUSTER, &blocks.concat());
    let block = simple(1, 0, KEY, &[9; 50]);
    for middle in [
        untimed(std::slice::from_ref(&block)),
        untimed(&[element(&[0xec], &[0; 5]), block.clone()]),
        untimed(&[group(1, 0, 0, &[9; 50], &[])]),
        // The time stands behind the blocks.
        untimed(&[block.clone(), uint(&[0xe7], 100)]),
    ] {
        let film = film(&[pictures(1, &[])], &[first.clone(), middle.clone(), middle, third.clone()]);
        for (firsts, errors) in both_ways(&film) {
            assert_eq!(firsts, [0, 1, 4, 5], "{errors:?}");
            assert!(
                !errors.is_empty() && errors[0].contains("a block before the time of its cluster"),
                "{errors:?}"
            );
        }
    }
}

#[test]
fn what_cannot_be_undone_is_told_with_what_helps() {
    for (algorithm, name) in [(1, "bzip2"), (2, "LZO")] {
        let sound = sound(2, "A_AAC", &[encodings(algorithm, &[])]);
        let demuxer = open_bytes(film(&[pictures(1, &[]), sound], &clusters()));
        let notes = demuxer.notes().join("; ");
        assert!(notes.contains(&format!("track 2: {name} compression is not read; mkvmerge -o")), "{notes}");
        let film = film(&[pictures(1, &[encodings(algorithm, &[])])], &clusters());
        let error = MatroskaDemuxer::open(Cursor::new(film), PathBuf::from("film.mkv")).unwrap_err();
        assert!(error.to_string().contains("mkvmerge -o OUT.mkv IN.mkv writes it without"), "{error}");
    }
    let more = pictures(1, &[uint(&[0x55, 0xee], 1)]);
    let notes = open_bytes(film(&[more], &clusters())).notes().join("; ");
    assert!(notes.contains("track 1: what its blocks carry beside their frames (BlockAdditions"), "{notes}");
}

/// "hello hello hello", as zlib has it.
const HELLO: [u8; 16] =
    [0x78, 0x9c, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x90, 0x00, 0x3a, 0x2e, 0x06, 0x7d];

#[test]
fn what_zlib_has_compressed_is_inflated_within_bounds() {
    // 3000 zeros.
    let zeros: Vec<u8> = [
        &[0x78, 0xda, 0xed, 0xc1, 0x31, 0x01, 0, 0, 0, 0xc2, 0xa0, 0xf5, 0x4f, 0x6d, 0x0d, 0x0f, 0xa0, 0][..],
        &[0, 0x80, 0x77, 0x03, 0x0b, 0xb8, 0, 0x01],
    ]
    .concat();
    let laced = [&[1, HELLO.len() as u8][..], &HELLO, &zeros].concat();
    let broken = [&HELLO[..8], &[0xff; 8]].concat();
    let blocks = [simple(1, 0, KEY | XIPH, &laced), simple(1, 40, KEY, &broken), simple(1, 80, KEY, &HELLO)];
    let film = film(&[pictures(1, &[encodings(0, &[]), default_duration(20)])], &[cluster(0, &blocks)]);
    let (packets, errors) = read_all(&mut open_bytes(film.clone()));
    let found: Vec<&[u8]> = packets.iter().map(|packet| &packet.data[..]).collect();
    assert_eq!(found, [&b"hello hello hello"[..], &[0; 3000], b"hello hello hello"]);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("a block of track 1 at byte") && errors[0].contains("zlib"), "{errors:?}");
    // Both frames of the first block count.
    let limits = video_hw::limits::Limits::default().packet_bytes(3010);
    let file = Cursor::new(film);
    let mut demuxer = MatroskaDemuxer::with_limits(file, PathBuf::from("film.mkv"), limits).unwrap();
    let error = demuxer.next_packet().unwrap_err();
    assert!(matches!(error, video_hw::Error::LimitExceeded { .. }), "{error}");
}

#[test]
fn blocks_of_a_track_that_is_not_described_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("film.mkv");
    let stray = simple(9, 20, 0, b"x");
    let blocks = [simple(1, 0, KEY, b"a"), stray.clone(), simple(1, 40, 0, b"b"), stray];
    std::fs::write(&path, film(&[pictures(1, &[])], &[cluster(0, &blocks), clusters().remove(1)])).unwrap();
    for (firsts, errors) in both_ways(&std::fs::read(&path).unwrap()) {
        assert_eq!((firsts, errors), (vec![b'a', b'b', 2, 3], Vec::new()));
    }
    let report = video_hw::remux(&path, dir.path().join("copy.mkv")).run().unwrap();
    assert_eq!(report.video_samples(), 4);
    let notes: Vec<_> = report.notes.iter().map(|note| &note.what).collect();
    assert!(notes.iter().any(|note| note.contains("2 blocks") && note.contains("track 9")), "{notes:?}");
}

#[test]
fn a_disabled_track_stays_disabled_in_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("film.mkv"), dir.path().join("copy.mkv"));
    let blocks = [simple(1, 0, KEY, b"a"), simple(2, 0, KEY, b"b")];
    let entries = [pictures(1, &[]), pictures(2, &[uint(&[0xb9], 0)])];
    std::fs::write(&path, film(&entries, &[cluster(0, &blocks)])).unwrap();
    video_hw::remux(&path, &copy).run().unwrap();
    let demuxer = open_bytes(std::fs::read(&copy).unwrap());
    assert_eq!(demuxer.tracks().len(), 2);
    let disabled: Vec<_> =
        demuxer.notes().iter().filter(|note| note.contains("marked as disabled")).collect();
    assert_eq!(disabled.len(), 1, "{:?}", demuxer.notes());
}

/// Motion JPEG is read; what has other times than those of presentation, or no decoder, is named.
#[test]
fn a_track_of_video_for_windows_is_read_or_named_by_its_code() {
    let of = |code: &[u8; 4]| {
        let private = element(&[0x63, 0xa2], &[&[40, 0, 0, 0], &[0; 12][..], code, &[0; 20]].concat());
        let size = [uint(&[0xb0], 160), uint(&[0xba], 96)].concat();
        let entry = entry(1, 1, "V_MS/VFW/FOURCC", &[private, element(&[0xe0], &size)]);
        open_bytes(film(&[entry], &[cluster(0, &[simple(1, 0, KEY, b"a")])])).tracks()[0].clone()
    };
    assert_eq!(of(b"MJPG").video.unwrap().codec, video_hw::codec::Codec::Mjpeg);
    for code in [b"XVID", b"DX50", b"DIV3", b"H264"] {
        let track = of(code);
        assert!(track.video.is_none());
        assert!(track.codec_name.contains(std::str::from_utf8(code).unwrap()), "{}", track.codec_name);
    }
}
