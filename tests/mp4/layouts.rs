//! Forms of boxes that ffmpeg does not write, made by hand from files that are known to be read.

use video_hw::container::mp4::{Mp4MuxOptions, Mp4Muxer};
use video_hw::container::{Demuxer, Muxer};

use crate::mux::{Memory, opaque_sample, opaque_track};
use crate::support::*;

/// Everything that a reader sees.
fn view(bytes: &[u8]) -> Vec<(u32, Row, Vec<u8>)> {
    let samples = read_all(&mut open_bytes(bytes));
    samples.iter().map(|sample| (sample.track.0, row(sample), sample.data.to_vec())).collect()
}

/// Two tracks of reordered samples, of up to `largest` bytes, that begin late and hide their first sample.
fn file(largest: usize) -> Vec<u8> {
    let memory = Memory::default();
    let mut muxer = Mp4Muxer::create(memory.clone(), Mp4MuxOptions::default()).unwrap();
    let tracks = [opaque_track(*b"meta", 1, 1000), opaque_track(*b"soun", 1, 48_000)];
    let ids = tracks.each_ref().map(|track| muxer.add_track(track).unwrap());
    for at in 0..25_i64 {
        for (track, id) in tracks.iter().zip(ids) {
            let mut sample = opaque_sample(track, id, 960 + at * 40 + (at % 3) * 40, 960 + at * 40);
            sample.data = vec![at as u8; 1 + (at as usize * 7) % largest].into();
            sample.keyframe = at % 5 == 0;
            sample.discard = at == 0;
            muxer.write(&sample).unwrap();
        }
    }
    muxer.finish().unwrap();
    memory.bytes()
}

const STBL: &str = "moov/trak/mdia/minf/stbl";

#[test]
fn compact_sample_sizes_are_read() {
    for (bits, largest) in [(4, 15), (8, 255), (16, 60_000)] {
        let plain = file(largest);
        let compact = edit(&plain, &format!("{STBL}/stsz"), &mut |stsz| {
            let sizes: Vec<u32> =
                stsz[20..].chunks(4).map(|size| u32::from_be_bytes(size.try_into().unwrap())).collect();
            let mut payload = words(&[0, bits, sizes.len() as u32]);
            match bits {
                4 => payload.extend(
                    sizes.chunks(2).map(|pair| ((pair[0] << 4) | pair.get(1).copied().unwrap_or(0)) as u8),
                ),
                8 => payload.extend(sizes.iter().map(|size| *size as u8)),
                _ => payload.extend(sizes.iter().flat_map(|size| (*size as u16).to_be_bytes())),
            }
            make_box(b"stz2", &payload)
        });
        assert_ne!(plain, compact);
        assert_eq!(view(&plain), view(&compact), "{bits} bits");
    }
}

#[test]
fn box_sizes_of_64_bits_and_to_the_end_are_read() {
    let plain = file(200);
    let wide = |one: &[u8]| {
        let len = one.len() as u64 + 8;
        [&words(&[1])[..], &one[4..8], &len.to_be_bytes(), &one[8..]].concat()
    };
    let expected = view(&plain);
    for path in
        ["moov", "moov/trak", "moov/trak/mdia", STBL, &format!("{STBL}/stsz"), &format!("{STBL}/stsd")]
    {
        assert_eq!(view(&edit(&plain, path, &mut |one| wide(one))), expected, "{path}");
    }
    // The media data is preceded by a free box that makes room for the wide header.
    let at = plain.windows(4).position(|w| w == b"mdat").unwrap() - 12;
    assert_eq!(plain[at..at + 8], *b"\0\0\0\x08free");
    let len = u32::from_be_bytes(plain[at + 8..at + 12].try_into().unwrap());
    let mut wide_data = plain.clone();
    wide_data[at..at + 16]
        .copy_from_slice(&[&b"\0\0\0\x01mdat"[..], &(u64::from(len) + 8).to_be_bytes()].concat());
    assert_eq!(view(&wide_data), expected);

    let open_end = edit(&plain, "moov", &mut |moov| [&[0; 4], &moov[4..]].concat());
    assert_eq!(view(&open_end), expected);
    let (dir, path) = scratch("plain.mp4");
    std::fs::write(&path, &plain).unwrap();
    let front = dir.path().join("front.mp4");
    remux(&path, &front, true);
    let front = std::fs::read(front).unwrap();
    assert_eq!(view(&front), expected);
    let open_end = edit(&front, "mdat", &mut |mdat| [&[0; 4], &mdat[4..]].concat());
    assert_ne!(front, open_end);
    assert_eq!(view(&open_end), expected);
}

#[test]
fn edit_lists_of_version_1_are_read() {
    let plain = file(200);
    let mut lists = 0;
    let version_1 = edit(&plain, "moov/trak/edts/elst", &mut |elst| {
        lists += 1;
        // An empty edit, and one that begins behind the first sample.
        assert_eq!(elst[12..16], words(&[2]));
        let mut payload = [&[1, 0, 0, 0], &elst[12..16]].concat();
        for entry in elst[16..].chunks(12) {
            let time = i32::from_be_bytes(entry[4..8].try_into().unwrap());
            payload.extend([&[0; 4], &entry[..4], &i64::from(time).to_be_bytes(), &entry[8..]].concat());
        }
        make_box(b"elst", &payload)
    });
    assert_eq!(lists, 2);
    assert_eq!(view(&plain), view(&version_1));
    let rows: Vec<Row> =
        view(&plain).into_iter().filter(|(track, ..)| *track == 1).map(|(_, row, _)| row).collect();
    assert_eq!((rows[0].dts, rows[0].pts, rows[0].discard), (960, 960, true));
    assert_eq!((rows[1].dts, rows[1].pts, rows[1].discard), (1000, 1040, false));
}

#[test]
fn chunk_offsets_of_64_bits_are_read() {
    let plain = file(200);
    let mut tables = 0;
    let wide = edit(&plain, &format!("{STBL}/stco"), &mut |stco| {
        tables += 1;
        let offsets = stco[16..].chunks(4).flat_map(|offset| [&[0; 4], offset].concat());
        make_box(b"co64", &[stco[8..16].to_vec(), offsets.collect()].concat())
    });
    assert_eq!(tables, 2);
    assert_eq!(view(&plain), view(&wide));
    // An offset that no file reaches is the error of its samples, and of no others.
    let mut far = false;
    let edited = edit(&wide, &format!("{STBL}/co64"), &mut |co64| {
        let mut co64 = co64.to_vec();
        if !std::mem::replace(&mut far, true) {
            co64[16..24].copy_from_slice(&(u64::MAX - 3).to_be_bytes());
        }
        co64
    });
    let (rows, errors) = read_with_errors(&edited);
    assert!(!rows.is_empty() && rows.len() < 25 && rows.len() + errors.len() == 25, "{errors:?}");
    assert!(errors.iter().all(|error| error.contains("track 1, sample")), "{errors:?}");
}

/// QuickTime and later ISO files put composition times before decoding times and say so in `cslg`.
#[test]
fn negative_composition_offsets_with_cslg_are_read() {
    let plain = file(200);
    let edited = edit(&plain, &format!("{STBL}/ctts"), &mut |ctts| {
        let mut payload = [&[1, 0, 0, 0], &ctts[12..16]].concat();
        for entry in ctts[16..].chunks(8) {
            let offset = i32::from_be_bytes(entry[4..].try_into().unwrap());
            payload.extend([&entry[..4], &(offset - 40).to_be_bytes()].concat());
        }
        let cslg = make_box(b"cslg", &words(&[0, 40, (-40_i32) as u32, 40, 0, 2000]));
        [make_box(b"ctts", &payload), cslg].concat()
    });
    for ((track, before, data), (_, after, same)) in view(&plain).iter().zip(&view(&edited)) {
        assert_eq!(data, same);
        assert_eq!(before.dts - 40, after.dts, "track {track}");
        assert_eq!(before.pts - 40, after.pts, "track {track}");
    }
    let negative = "-movflags negative_cts_offsets";
    let Some((_dir, path)) = make(&format!("{BOTH} {negative}"), "a.mp4", "libx264") else { return };
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(find(&bytes, &format!("{STBL}/ctts")).unwrap()[8], 1, "ctts has version 1");
}

/// Reads to the end: samples, and what went wrong on the way.
fn read_with_errors(bytes: &[u8]) -> (Vec<Row>, Vec<String>) {
    let mut demuxer = open_bytes(bytes);
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    loop {
        match demuxer.next_packet() {
            Ok(Some(sample)) if sample.track.0 == 1 => rows.push(row(&sample)),
            Ok(Some(_)) => {}
            Ok(None) => return (rows, errors),
            Err(e) => {
                assert!(e.is_recoverable(), "{e}");
                errors.push(format!("{} {e}", rows.len()));
            }
        }
    }
}

#[test]
fn tables_that_disagree_are_told_and_the_sizes_count() {
    let plain = file(200);
    let (all, none) = read_with_errors(&plain);
    assert_eq!((all.len(), none.len()), (25, 0));
    for (timed, after) in [(20_u32, 20), (31, 25)] {
        let edited =
            edit(&plain, &format!("{STBL}/stts"), &mut |_| make_box(b"stts", &words(&[0, 1, timed, 40])));
        let (rows, errors) = read_with_errors(&edited);
        assert_eq!(rows.len(), 25);
        assert_eq!(rows.iter().map(|row| row.pts).max(), all.iter().map(|row| row.pts).max());
        let own: Vec<_> = errors.iter().filter(|e| e.contains("track 1:")).collect();
        assert_eq!(own.len(), 1, "{errors:?}");
        let wanted = format!("(stsz) for 25 samples, durations (stts) for {timed}");
        assert!(own[0].starts_with(&format!("{after} ")) && own[0].contains(&wanted), "{}", own[0]);
    }
    // Fewer chunks than samples need.
    let short = edit(&plain, &format!("{STBL}/stsc"), &mut |_| make_box(b"stsc", &words(&[0, 1, 1, 1, 1])));
    assert_eq!(read_with_errors(&short).0.len(), 25);
    let short = edit(&plain, &format!("{STBL}/stco"), &mut |stco| {
        make_box(b"stco", &[words(&[0, 10]), stco[16..56].to_vec()].concat())
    });
    let (rows, errors) = read_with_errors(&short);
    assert_eq!(rows.len(), 10);
    assert!(
        errors.iter().any(|e| e.contains("sample 11 of 25") && e.contains("only 10 chunks")),
        "{errors:?}"
    );
}
