//! Damaged and malicious files: an error that says what is wrong, no panic, no memory claimed by a number.

use std::io::Cursor;
use std::path::PathBuf;

use proptest::prelude::*;
use video_hw::Error;
use video_hw::container::mp4::{Mp4Demuxer, Mp4FragmentMuxer, Mp4MuxOptions, Mp4Muxer};
use video_hw::container::{Demuxer, Muxer, TrackId};
use video_hw::packet::Packet;
use video_hw::time::{TimeBase, Timestamp};

use crate::mux::{Memory, opaque_sample, opaque_track};
use crate::support::*;

fn open_bytes(bytes: Vec<u8>) -> Result<Mp4Demuxer, Error> {
    Mp4Demuxer::open(Cursor::new(bytes), PathBuf::from("hostile.mp4"))
}

fn refusal(bytes: impl Into<Vec<u8>>) -> String {
    open_bytes(bytes.into()).unwrap_err().to_string()
}

/// A small file with two tracks, reordered samples, a delay and samples that are not shown.
fn sample_file() -> Vec<u8> {
    let memory = Memory::default();
    let mut muxer = Mp4Muxer::create(memory.clone(), Mp4MuxOptions::default()).unwrap();
    let tracks = [opaque_track(*b"meta", 1, 1000), opaque_track(*b"soun", 1, 44_100)];
    let ids: Vec<TrackId> = tracks.iter().map(|track| muxer.add_track(track).unwrap()).collect();
    for at in 0..40_i64 {
        for (track, id) in tracks.iter().zip(&ids) {
            let mut sample = opaque_sample(track, *id, at * 40 - 80 + (at % 3) * 40, at * 40 - 80);
            sample.data = vec![at as u8; 10 + at as usize].into();
            sample.discard = sample.pts.unwrap().ticks() < 0;
            sample.keyframe = at % 7 == 0;
            muxer.write(&sample).unwrap();
        }
    }
    muxer.finish().unwrap();
    memory.bytes()
}

/// Reads everything, errors included, and seeks about.
fn exhaust(bytes: Vec<u8>) {
    let Ok(mut demuxer) = open_bytes(bytes) else { return };
    let ids: Vec<TrackId> = demuxer.tracks().iter().map(|track| track.id).collect();
    let drain = |demuxer: &mut Mp4Demuxer| {
        // What a few kilobytes can describe ends long before this.
        for _ in 0..200_000 {
            if matches!(demuxer.next_packet(), Ok(None)) {
                return;
            }
        }
        panic!("no end in sight");
    };
    drain(&mut demuxer);
    for id in ids.into_iter().take(3) {
        for seconds in [-1, 0, 1, i64::MAX] {
            let _ = demuxer.seek(id, Timestamp::new(seconds, TimeBase::new(1, 1).unwrap()));
            let _ = demuxer.next_packet();
        }
        let _ = demuxer.seek(id, Timestamp::new(0, TimeBase::new(1, 1).unwrap()));
        drain(&mut demuxer);
    }
}

/// Replaces bytes at a distance behind the first occurrence of a box type.
fn patch(file: &[u8], kind: [u8; 4], at: usize, bytes: &[u8]) -> Vec<u8> {
    let place = file.windows(4).position(|window| *window == kind).unwrap() + at;
    let mut out = file.to_vec();
    out[place..place + bytes.len()].copy_from_slice(bytes);
    out
}

#[test]
fn what_is_no_mp4_file_is_called_so() {
    assert!(refusal("").contains("empty (0 bytes)"));
    let text = refusal("Dear reader,\nthis is a letter and no film.\n");
    assert!(text.contains("not an MP4 or QuickTime file") && text.contains("Dear rea"), "{text}");
    assert!(refusal([0; 64]).contains("not an MP4"));
}

#[test]
fn unfinished_and_truncated_files_are_called_so() {
    let file = sample_file();
    let moov = file.windows(4).position(|window| window == b"moov").unwrap() - 4;
    for (cut, why) in [
        (20, "moov box not found"),
        (100, "moov box not found"),
        (moov, "moov box not found"),
        (moov + 100, "truncated"),
    ] {
        let message = refusal(&file[..cut]);
        assert!(message.contains(why), "cut at {cut}: {message}");
    }
    assert!(refusal(&file[..moov]).contains("recording interrupted?"));
}

#[test]
fn tables_that_claim_too_much_are_named() {
    let file = sample_file();
    let all = 0xFFFF_FFFF_u32.to_be_bytes();
    for (kind, count_at) in
        [(b"stts", 8), (b"ctts", 8), (b"stsc", 8), (b"stss", 8), (b"stco", 8), (b"stsz", 12)]
    {
        // Opaque tracks do not take the file with them: the error comes when they are read.
        let mut demuxer = open_bytes(patch(&file, *kind, count_at, &all)).unwrap();
        let message = loop {
            match demuxer.next_packet() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{} was not noticed", kind.escape_ascii()),
                Err(e) => break e.to_string(),
            }
        };
        let name = std::str::from_utf8(kind).unwrap();
        assert!(message.contains(name) && message.contains("4294967295"), "{message}");
    }
    // 2^32 samples of one size in a file of a few kilobytes.
    let mut fixed = 16_u32.to_be_bytes().to_vec();
    fixed.extend(all);
    let mut demuxer = open_bytes(patch(&file, *b"stsz", 8, &fixed)).unwrap();
    let message = demuxer.next_packet().unwrap_err().to_string();
    assert!(
        message.contains("4294967295 samples of 16 bytes") && message.contains("whole file"),
        "{message}"
    );
}

#[test]
fn samples_past_the_end_are_recoverable_and_named() {
    let file = sample_file();
    let mut demuxer = open_bytes(patch(&file, *b"stco", 12, &0x00FF_0000_u32.to_be_bytes())).unwrap();
    let (mut good, mut bad) = (0, Vec::new());
    loop {
        match demuxer.next_packet() {
            Ok(Some(_)) => good += 1,
            Ok(None) => break,
            Err(e) => {
                assert!(e.is_recoverable());
                bad.push(e.to_string());
            }
        }
    }
    assert_eq!((good, bad.len()), (79, 1));
    let message = &bad[0];
    assert!(message.contains("track 1, sample 1") && message.contains("16711680"), "{message}");
    assert!(message.contains(&format!("{} bytes", file.len())), "{message}");
}

#[test]
fn encrypted_video_is_refused_by_name() {
    let Some((_dir, path)) = make(PICTURE, "a.mp4", "libx264") else { return };
    let protected = path.with_file_name("b.mp4");
    let key = "-encryption_scheme cenc-aes-ctr -encryption_key 00112233445566778899aabbccddeeff \
               -encryption_kid 00112233445566778899aabbccddeeff";
    ffmpeg(&format!("-i {} -c copy {key}", path.display()), &protected);
    let bytes = std::fs::read(protected).unwrap();
    let message = refusal(bytes);
    assert!(message.contains("encv") && message.contains("avc1") && message.contains("cenc"), "{message}");
}

fn mutated(file: &[u8], changes: &[(usize, u8)], cut: Option<usize>) -> Vec<u8> {
    let mut out = file.to_vec();
    for (at, value) in changes {
        let at = at % out.len();
        out[at] = *value;
    }
    out.truncate(cut.map_or(out.len(), |cut| cut % (file.len() + 1)));
    out
}

/// Largest amount of memory that this process ever held, where the system tells.
fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn mutations_of_real_files_do_no_harm() {
    if !have_ffmpeg("mutations") {
        return;
    }
    let short = "-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.6 -f lavfi -i sine=duration=0.6 -c:v libx264 -bf 2 \
                 -g 5 -c:a aac";
    for (options, file) in [
        ("-movflags faststart", "a.mp4"),
        ("-movflags frag_keyframe+empty_moov", "a.mp4"),
        ("-movflags frag_keyframe+empty_moov+default_base_moof", "a.mp4"),
        ("-c:a pcm_s16le -f mov", "a.mov"),
    ] {
        let Some((_dir, path)) = make(&format!("{short} {options}"), file, "libx264") else { return };
        let bytes = std::fs::read(path).unwrap();
        // Most bytes are pictures; the headers are where damage hurts.
        let heads: Vec<usize> = [&b"moov"[..], b"moof"]
            .iter()
            .flat_map(|kind| bytes.windows(4).enumerate().filter(move |(_, w)| w == kind).map(|(at, _)| at))
            .collect();
        let mut seed = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        for round in 0..600 {
            let changes: Vec<(usize, u8)> = (0..=random(6))
                .map(|_| {
                    let value = [0, 0xFF, 0x7F, 0x80, 1, random(256) as u8][random(6)];
                    (heads[random(heads.len())] + random(1600), value)
                })
                .collect();
            exhaust(mutated(&bytes, &changes, (round % 10 == 0).then(|| random(bytes.len()))));
        }
    }
    assert!(peak_memory_kib().is_none_or(|peak| peak < 512 * 1024), "memory grew with claimed numbers");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn mutations_do_no_harm(
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..8),
        cut in prop::option::of(any::<usize>()),
    ) {
        thread_local!(static FILE: Vec<u8> = sample_file());
        exhaust(FILE.with(|file| mutated(file, &changes, cut)));
    }

    #[test]
    fn noise_behind_a_box_does_no_harm(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut file = b"\0\0\0\x08free\0\0\0\0moov".to_vec();
        file.extend(noise);
        exhaust(file);
    }
}

/// Each run alone could be true; a few kilobytes of them are billions of samples.
#[test]
fn runs_that_claim_the_same_bytes_over_and_over_are_named() {
    for size in [0, 1] {
        let pipe = crate::fragmented::Pipe::default();
        let mut muxer = Mp4FragmentMuxer::new(pipe.clone(), Mp4MuxOptions::default());
        let track = opaque_track(*b"meta", 1, 1000);
        let id = muxer.add_track(&track).unwrap();
        for at in 0..400 {
            let sample = opaque_sample(&track, id, at, at);
            muxer.write(&Packet { data: vec![7; 1].into(), duration: Some(1), ..sample }).unwrap();
        }
        muxer.finish().unwrap();
        let bytes = pipe.bytes();
        // Duration, size and flags in tfhd; the size is the second.
        let sized = edit(&bytes, "moof/traf/tfhd", &mut |tfhd| {
            assert_eq!(tfhd[20..24], words(&[1]));
            [&tfhd[..20], &words(&[size]), &tfhd[24..]].concat()
        });
        let one = open_bytes(sized.clone()).unwrap().next_packet().unwrap().unwrap();
        assert_eq!(one.data.len(), size as usize);
        let many = edit(&sized, "moof/traf/trun", &mut |trun| trun.repeat(9));
        let error = open_bytes(many).unwrap().next_packet().unwrap_err();
        assert!(error.is_recoverable(), "{error}");
        let said = format!("claims 400 samples of {size} bytes");
        assert!(error.to_string().contains(&said), "{error}");
    }
}
