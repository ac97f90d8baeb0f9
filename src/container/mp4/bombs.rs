//! Files made to cost: of each kind one whose parts, multiplied with each other, would keep a reader busy for minutes.
//! Steps are counted, not time.

use std::io::Cursor;
use std::path::PathBuf;

use super::steps;
use crate::container::mp4::Mp4Demuxer;
use crate::container::{Demuxer, TrackId};
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};
use crate::time::{TimeBase, Timestamp};

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let payload = parts.concat();
    [&(payload.len() as u32 + 8).to_be_bytes()[..], kind, &payload].concat()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// A track of 1000 ticks a second, with `edits` (`elst` words behind the count) and sample tables.
fn track(id: u32, handler: &[u8; 4], edits: &[u32], tables: &[&[u8]]) -> Vec<u8> {
    let mut tkhd = vec![0; 84];
    tkhd[3] = 1;
    tkhd[12..16].copy_from_slice(&id.to_be_bytes());
    let mut mdhd = words(&[0, 0, 0, 1000, 0]);
    mdhd.extend([0x55, 0xc4, 0, 0]);
    let hdlr = [&[0; 8][..], handler, &[0; 13]].concat();
    let entry = boxed(b"mett", &[&[0, 0, 0, 0, 0, 0, 0, 1], b"a\0b\0"]);
    let stsd = boxed(b"stsd", &[&words(&[0, 1]), &entry]);
    let stbl = boxed(b"stbl", &[&[&stsd[..]], tables].concat());
    let minf = boxed(b"minf", &[&stbl]);
    let mdia = boxed(b"mdia", &[&boxed(b"mdhd", &[&mdhd]), &boxed(b"hdlr", &[&hdlr]), &minf]);
    let edts = match edits {
        [] => Vec::new(),
        edits => {
            let count = (edits.len() / 3) as u32;
            boxed(b"edts", &[&boxed(b"elst", &[&words(&[0, count]), &words(edits)])])
        }
    };
    boxed(b"trak", &[&boxed(b"tkhd", &[&tkhd]), &edts, &mdia])
}

/// Tables of `count` samples of two bytes each, one tick apart, every 100th of them a sync sample, at offset 8.
fn samples(count: u32) -> Vec<u8> {
    let syncs: Vec<u32> = (0..count.div_ceil(100)).map(|at| at * 100 + 1).collect();
    [
        boxed(b"stsz", &[&words(&[0, 2, count])]),
        boxed(b"stts", &[&words(&[0, 1, count, 1])]),
        boxed(b"stsc", &[&words(&[0, 1, 1, count, 1])]),
        boxed(b"stco", &[&words(&[0, 1, 8])]),
        boxed(b"stss", &[&words(&[0, syncs.len() as u32]), &words(&syncs)]),
    ]
    .concat()
}

/// A file: `mdat` of so many bytes, the header, and what follows it.
fn file(data: usize, traks: &[Vec<u8>], more: &[u8], behind: &[u8]) -> Vec<u8> {
    let mut mvhd = words(&[0, 0, 0, 1000, 0]);
    mvhd.extend(vec![0; 80]);
    let moov = boxed(b"moov", &[&boxed(b"mvhd", &[&mvhd]), &traks.concat(), more]);
    [&boxed(b"mdat", &[&vec![0; data]]), &moov, behind].concat()
}

fn open(file: Vec<u8>, limits: Limits) -> Result<Mp4Demuxer> {
    Mp4Demuxer::with_limits(Cursor::new(file), PathBuf::from("bomb.mp4"), limits)
}

/// Steps of opening a file, reading its first hundred samples and seeking in it.
fn steps_of_probing(file: Vec<u8>, limits: Limits) -> (u64, Mp4Demuxer) {
    steps::take();
    let mut demuxer = open(file, limits).unwrap();
    (0..100).for_each(|_| drop(demuxer.next_packet()));
    let first = demuxer.tracks()[0].id;
    let far = Timestamp::new(1 << 20, TimeBase::new(1, 1).unwrap());
    assert!(demuxer.seek(first, far).unwrap());
    drop(demuxer.next_packet());
    (steps::take(), demuxer)
}

const ONE: u32 = 1 << 16;

#[test]
fn edits_are_not_looked_for_sample_by_sample() {
    let (count, edits) = (200_000, 8_000_u32);
    // In order with gaps in between, and from the end to the start.
    let ordered = |at: u32| at * 25;
    let backwards = |at: u32| (edits - 1 - at) * 25;
    for (handler, start) in [
        (b"meta", &ordered as &dyn Fn(u32) -> u32),
        (b"soun", &ordered),
        (b"meta", &backwards),
        (b"soun", &backwards),
    ] {
        let list: Vec<u32> = (0..edits).flat_map(|at| [10, start(at), ONE]).collect();
        let trak = track(1, handler, &list, &[&samples(count)]);
        let bytes = file(2 * count as usize, &[trak], &[], &[]);
        let (steps, mut demuxer) = steps_of_probing(bytes, Limits::default());
        // A few passes, each with two searches of 16 steps for a sample.
        assert!(steps < 80 * u64::from(count), "{steps} steps for {}", handler.escape_ascii());
        // Reading everything stays in step with what is read.
        demuxer.seek(TrackId(1), Timestamp::new(0, TimeBase::NANOS)).unwrap();
        steps::take();
        let mut read = 0;
        while demuxer.next_packet().unwrap().is_some() {
            read += 1;
        }
        let steps = steps::take();
        assert!(read >= 80_000, "{read} samples");
        assert!(steps < 80 * (u64::from(count) + read), "{steps} steps for {read} samples");
    }
}

#[test]
fn too_many_edits_tracks_and_boxes_are_refused_by_name() {
    let limited = |bytes: Vec<u8>, limits: Limits| match open(bytes, limits) {
        Err(Error::LimitExceeded { limit, wanted, allowed, what }) => {
            assert!(wanted > allowed && what.contains("offset"), "{what}: {wanted} of {allowed}");
            limit
        }
        other => panic!("{other:?}"),
    };
    let trak = |id| track(id, b"meta", &[10, 0, ONE, 10, 20, ONE], &[&samples(100)]);
    let bytes = file(200, &[trak(1), trak(2)], &[], &[]);
    let with = |change: &dyn Fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    assert!(open(bytes.clone(), Limits::default()).is_ok());
    for (limit, limits) in [
        (Limit::Tracks, with(&|limits| limits.tracks = 1)),
        (Limit::Edits, with(&|limits| limits.edits = 1)),
        (Limit::BoxDepth, with(&|limits| limits.box_depth = 4)),
        (Limit::IndexMemory, with(&|limits| limits.index_memory = 500)),
    ] {
        assert_eq!(limited(bytes.clone(), limits), limit);
    }
    let mut demuxer = open(bytes.clone(), with(&|limits| limits.packet_bytes = 1)).unwrap();
    let error = demuxer.next_packet().unwrap_err();
    assert!(matches!(error, Error::LimitExceeded { limit: Limit::PacketBytes, .. }), "{error}");
    let many: Vec<Vec<u8>> = (1..=1025).map(trak).collect();
    assert_eq!(limited(file(200, &many, &[], &[]), Limits::default()), Limit::Tracks);
}

/// A fragment of the samples of tracks.
fn moof(runs: &[(u32, u32)]) -> Vec<u8> {
    let traf = |&(id, count): &(u32, u32)| {
        let tfhd = boxed(b"tfhd", &[&words(&[0x02_0018, id, 1, 1])]);
        let trun = boxed(b"trun", &[&words(&[1, count, 8])]);
        boxed(b"traf", &[&tfhd, &trun])
    };
    boxed(b"moof", &[&runs.iter().flat_map(traf).collect::<Vec<u8>>()])
}

/// A file of so many tracks with `fragments` behind it.
fn fragmented(tracks: u32, fragments: &[u8]) -> Vec<u8> {
    let empty = [
        boxed(b"stsz", &[&words(&[0, 0, 0])]),
        boxed(b"stts", &[&words(&[0, 0])]),
        boxed(b"stsc", &[&words(&[0, 0])]),
        boxed(b"stco", &[&words(&[0, 0])]),
    ]
    .concat();
    let traks: Vec<Vec<u8>> = (1..=tracks).map(|id| track(id, b"meta", &[], &[&empty])).collect();
    file(1 << 20, &traks, &boxed(b"mvex", &[]), fragments)
}

#[test]
fn fragments_cost_what_they_hold_and_not_the_number_of_tracks() {
    let tracks = 1000;
    // Without samples, with one of the first track, and with one of each of two far apart.
    for runs in [&[][..], &[(1, 1)], &[(1, 1), (tracks, 1)]] {
        let (one, count) = (moof(runs), 20_000_usize);
        let bytes = fragmented(tracks, &one.repeat(count));
        let (steps, mut demuxer) = steps_of_probing(bytes, Limits::default());
        let opening = 30 * u64::from(tracks);
        let fair = opening + 40 * (count * (runs.len() + 1)) as u64;
        assert!(steps < fair, "{steps} steps for {count} fragments of {runs:?}, {fair} are fair");
        demuxer.seek(TrackId(1), Timestamp::new(0, TimeBase::NANOS)).unwrap();
        steps::take();
        let mut read = 0;
        while demuxer.next_packet().unwrap().is_some() {
            read += 1;
        }
        assert_eq!(read, count * runs.len());
        let steps = steps::take();
        assert!(steps < fair, "{steps} steps to read {read} samples of {runs:?}, {fair} are fair");
    }
    let bytes = fragmented(1, &moof(&[(1, 1)]).repeat(3));
    let mut demuxer = open(bytes, Limits { fragments: 2, ..Limits::default() }).unwrap();
    let error = (0..4).find_map(|_| demuxer.next_packet().err()).unwrap();
    assert!(matches!(error, Error::LimitExceeded { limit: Limit::Fragments, wanted: 3, .. }), "{error}");
}

#[test]
fn fragments_that_claim_the_same_bytes_together_are_not_counted_through() {
    // Each claims a million samples of the same megabyte, in 100 bytes.
    let bytes = fragmented(1, &moof(&[(1, 1 << 20)]).repeat(1000));
    let (steps, _) = steps_of_probing(bytes, Limits::default());
    // The first is true, as far as the file tells, and is gone through for the seek.
    assert!(steps < 5 << 20, "{steps} steps");
}

#[test]
fn boxes_side_by_side_and_in_each_other_are_passed_over_once() {
    let trak = track(1, b"meta", &[], &[&samples(100)]);
    let many = boxed(b"free", &[]).repeat(200_000);
    let (steps, _) = steps_of_probing(file(200, std::slice::from_ref(&trak), &many, &[]), Limits::default());
    assert!(steps < 6 * 200_000, "{steps} steps for 200000 boxes");
    let deep = (0..5_000).fold(Vec::new(), |inside, _| boxed(b"udta", &[&inside]));
    let (steps, _) = steps_of_probing(file(200, &[trak], &deep, &deep), Limits::default());
    assert!(steps < 10_000, "{steps} steps for 5000 boxes in each other");
}

#[test]
fn runs_of_nothing_are_gone_through_once() {
    let nothing = words(&[0, 7]).repeat(200_000);
    let mut tables = samples(100);
    let stts = boxed(b"stts", &[&words(&[0, 200_001]), &nothing, &words(&[100, 1])]);
    let ctts = boxed(b"ctts", &[&words(&[0, 200_001]), &nothing, &words(&[100, 1])]);
    let plain = boxed(b"stts", &[&words(&[0, 1, 100, 1])]);
    let at = tables.windows(plain.len()).position(|window| window == plain).unwrap();
    tables.splice(at..at + plain.len(), [stts, ctts].concat());
    let trak = track(1, b"meta", &[50, 20, ONE], &[&tables]);
    let (steps, _) = steps_of_probing(file(200, &[trak], &[], &[]), Limits::default());
    assert!(steps < 14 * 200_000, "{steps} steps for twice 200000 runs");
}
