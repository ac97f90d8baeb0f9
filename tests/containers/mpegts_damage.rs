//! MPEG transport streams with damage: what is whole comes out, each damage is told once, and no bytes do harm.

use std::path::Path;

use proptest::prelude::*;
use video_hw::container::mpegts::MpegTsDemuxer;
use video_hw::container::{Demuxer, OpenOptions, TrackKind};
use video_hw::limits::Limits;
use video_hw::packet::Packet;
use video_hw::stream_io::NonSeekable;

use crate::mpegts::{H264, PICTURE, SOUND, made, of, open, read, same, track_of};
use crate::support::streams::{ffmpeg_md5s, frame_md5, have, text};

fn sample(dir: &Path) -> Vec<u8> {
    std::fs::read(made(dir, "whole.ts", &format!("{PICTURE} {SOUND} {H264} -c:a aac"))).unwrap()
}

fn read_bytes(bytes: &[u8]) -> (Vec<Packet>, Vec<String>, Box<dyn Demuxer + '_>) {
    let mut demuxer = Box::new(MpegTsDemuxer::new(NonSeekable(bytes), "bytes").unwrap());
    let (packets, faults) = read(&mut *demuxer);
    (packets, faults, demuxer)
}

/// Packets of the undamaged stream that are missing in the other one; all others must be as they were.
fn missing(whole: &[Packet], damaged: &[Packet]) -> usize {
    let mut rest = damaged.iter().peekable();
    let missing = whole.iter().filter(|packet| {
        let here = rest.next_if(|other| other.data == packet.data && other.pts == packet.pts);
        here.is_none()
    });
    let count = missing.count();
    assert!(rest.next().is_none(), "what comes out is of the undamaged stream");
    count
}

/// Does harm to a stream at this byte, where a packet begins.
type Damage = fn(&mut Vec<u8>, usize);

#[test]
fn each_damage_is_told_once_and_costs_no_more_than_it_hits() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bytes = sample(dir.path());
    let (whole, faults, demuxer) = read_bytes(&bytes);
    assert_eq!(faults, [""; 0]);
    let video = track_of(&*demuxer, TrackKind::Video);
    let whole = of(&whole, &video);
    assert_eq!(whole.len(), 50);
    let count = bytes.len() / 188;
    let damages: [(&str, Damage); 5] = [
        ("dropped", |bytes, at| drop(bytes.drain(at..at + 3 * 188))),
        ("no sync byte", |bytes, at| bytes[at] ^= 1),
        ("cut", |bytes, at| drop(bytes.drain(at + 50..at + 188 + 70))),
        ("more", |bytes, at| drop(bytes.splice(at..at, [0x47; 300]))),
        ("marked", |bytes, at| bytes[at + 1] |= 0x80),
    ];
    for (name, damage) in damages {
        for part in 1..8 {
            let mut damaged = bytes.clone();
            damage(&mut damaged, count * part / 8 * 188);
            let (packets, faults, _) = read_bytes(&damaged);
            let lost = missing_loosely(&whole, &of(&packets, &video));
            assert!(lost <= 3, "{name} at {part}/8: {lost} pictures are missing");
            assert!(faults.len() <= 1, "{name} at {part}/8: {faults:?}");
            assert!(lost == 0 || faults.len() == 1, "{name} at {part}/8: {lost} pictures without a word");
        }
    }
}

/// As [`missing`]; the last picture before a gap may be cut, which the packet says.
fn missing_loosely(whole: &[Packet], damaged: &[Packet]) -> usize {
    let sure: Vec<_> = damaged.iter().filter(|packet| !packet.unterminated).cloned().collect();
    let unsure = damaged.len() - sure.len();
    assert!(unsure <= 2);
    let lost = missing(whole, &sure);
    lost.saturating_sub(unsure)
}

/// Places of the packets of each key frame.
fn key_frames(bytes: &[u8]) -> Vec<Vec<usize>> {
    let (mut keys, mut in_key) = (Vec::<Vec<usize>>::new(), false);
    for (number, packet) in bytes.chunks(188).enumerate() {
        if packet[1] & 0x1f != 1 || packet[2] != 0 {
            continue;
        }
        if packet[1] & 0x40 != 0 {
            in_key = packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x40 != 0;
            keys.extend(in_key.then(Vec::new));
        }
        if let Some(key) = keys.last_mut().filter(|_| in_key) {
            key.push(number * 188);
        }
    }
    keys
}

/// Without these packets.
fn without(bytes: &[u8], mut lost: Vec<usize>) -> Vec<u8> {
    lost.sort_unstable();
    let all = bytes.chunks(188).enumerate();
    all.filter(|(number, _)| lost.binary_search(&(number * 188)).is_err())
        .flat_map(|(_, packet)| packet)
        .copied()
        .collect()
}

#[test]
fn a_stream_without_a_whole_key_frame_opens_and_comes_out() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for codec in [H264, crate::mpegts::HEVC] {
        let path = made(dir.path(), "whole.ts", &format!("{PICTURE} {SOUND} {codec} -c:a aac"));
        let bytes = std::fs::read(&path).unwrap();
        let keys = key_frames(&bytes);
        assert_eq!(keys.len(), 5);
        let damaged = without(&bytes, keys.iter().map(|key| key[key.len() * 2 / 3]).collect());
        let (packets, faults, demuxer) = read_bytes(&damaged);
        let video = track_of(&*demuxer, TrackKind::Video);
        assert_eq!(video.video.as_ref().unwrap().dimensions.to_string(), "176x144");
        assert_eq!(faults.len(), 5, "{faults:?}");
        let pictures = of(&packets, &video);
        assert_eq!(pictures.len(), 50, "{codec}");
        assert!(pictures[..49].iter().all(|picture| picture.unterminated == picture.keyframe));
        let (whole, ..) = read_bytes(&bytes);
        let times = |packets: &[Packet]| packets.iter().map(|one| (one.pts, one.dts)).collect::<Vec<_>>();
        assert_eq!(times(&pictures), times(&of(&whole, &video)));
    }
}

#[test]
fn a_key_frame_whose_slices_are_whole_is_shown_as_it_is() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // One key frame, with what x264 says of its settings in front of its slices.
    let path =
        made(dir.path(), "whole.ts", &format!("{PICTURE} {H264} -g 100 -keyint_min 100 -sc_threshold 0"));
    let bytes = std::fs::read(&path).unwrap();
    let keys = key_frames(&bytes);
    assert_eq!(keys.len(), 1);
    let settings = bytes.windows(4).position(|four| four == b"core").unwrap();
    // In the middle of it.
    let lost = (settings / 188 + 1) * 188;
    assert!(keys[0].contains(&lost));
    let damaged = dir.path().join("damaged.ts");
    std::fs::write(&damaged, without(&bytes, vec![lost])).unwrap();
    let frames = video_hw::frames(&damaged).keep_going().backend(video_hw::backend::BackendKind::Software);
    let got: Vec<_> = frames.open().unwrap().map(|frame| frame_md5(&frame.unwrap())).collect();
    assert_eq!(got, ffmpeg_md5s(&["-i", text(&path)]));
}

#[test]
fn a_key_frame_that_is_whole_makes_broken_ones_be_left_out() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bytes = sample(dir.path());
    let keys = key_frames(&bytes);
    // The third is whole: those in front of it come out as they are, those behind it do not.
    let lost = [0, 1, 3, 4].map(|key| keys[key][keys[key].len() * 2 / 3]).to_vec();
    let damaged = without(&bytes, lost);
    let mut demuxer = MpegTsDemuxer::new(std::io::Cursor::new(&damaged), "damaged").unwrap();
    let video = track_of(&demuxer, TrackKind::Video);
    let keys_of = |demuxer: &mut MpegTsDemuxer<_>| {
        let pictures = of(&read(demuxer).0, &video);
        let keys = pictures.iter().filter(|picture| picture.keyframe);
        keys.map(|picture| (picture.pts.unwrap().ticks(), picture.unterminated)).collect::<Vec<_>>()
    };
    let first = keys_of(&mut demuxer);
    let expected = [(0, true), (36_000, true), (72_000, false)];
    assert_eq!(first, expected);
    // And the same when it is read again.
    demuxer.seek(video.id, video_hw::time::Timestamp::new(0, video_hw::time::TimeBase::MPEG)).unwrap();
    assert_eq!(keys_of(&mut demuxer), expected);
}

#[test]
fn what_cannot_be_opened_is_told_with_its_cause() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bytes = sample(dir.path());
    let keys = key_frames(&bytes);
    let refusal = |bytes: &[u8]| {
        let error = MpegTsDemuxer::new(NonSeekable(bytes), "broken").err().unwrap();
        assert_ne!(error.remedy(), video_hw::error::Remedy::None, "{error}");
        error.to_string()
    };
    // The packets with the parameter sets.
    let error = refusal(&without(&bytes, keys.iter().map(|key| key[0]).collect()));
    assert!(error.contains("PID 256 (h264): packets are missing at 4 places"), "{error}");
    let pictures =
        bytes.chunks(188).enumerate().filter(|(_, packet)| packet[1] & 0x1f == 1 && packet[2] == 0);
    let error = refusal(&without(&bytes, pictures.map(|(number, _)| number * 188).collect()));
    assert!(error.contains("names PID 256 (h264), of which no packet comes"), "{error}");
    // Nothing but what refers to the first key frame.
    let group = &bytes[..keys[1][0]];
    let error = refusal(&without(group, keys[0].clone()));
    assert!(error.contains("no picture with its parameter sets"), "{error}");
}

#[test]
fn two_files_one_behind_the_other_are_one_film() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bytes = sample(dir.path());
    let path = dir.path().join("two.ts");
    std::fs::write(&path, [&bytes[..], &bytes].concat()).unwrap();
    let mut demuxer = open(&path);
    let video = track_of(&*demuxer, TrackKind::Video);
    let (packets, faults) = read(&mut *demuxer);
    assert_eq!(faults, [""; 0], "a joint is no damage");
    assert!(demuxer.notes().iter().any(|note| note.contains("jumps")), "{:?}", demuxer.notes());
    let packets = of(&packets, &video);
    assert_eq!(packets.len(), 100);
    assert!(packets.windows(2).all(|pair| pair[0].dts < pair[1].dts));
    let (first, second) = packets.split_at(50);
    for (a, b) in first.iter().zip(second) {
        assert_eq!(a.data, b.data);
        assert_eq!(b.pts.unwrap().ticks() - a.pts.unwrap().ticks(), second[0].pts.unwrap().ticks());
    }
    let frames = video_hw::frames(&path).backend(video_hw::backend::BackendKind::Software).open().unwrap();
    let got: Vec<_> = frames.map(|frame| frame_md5(&frame.unwrap())).collect();
    assert_eq!(got, ffmpeg_md5s(&["-i", text(&path)]));
}

#[test]
fn a_truncated_file_gives_what_is_whole() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bytes = sample(dir.path());
    let (whole, ..) = read_bytes(&bytes);
    for part in 2..9 {
        let cut = bytes.len() * part / 9 / 188 * 188 + 77;
        let (packets, faults, _) = read_bytes(&bytes[..cut]);
        assert!(faults.iter().any(|fault| fault.contains("cut short")), "{faults:?}");
        let sure: Vec<_> = packets.iter().filter(|packet| !packet.unterminated).cloned().collect();
        assert!(sure.len() + 1 >= packets.len());
        // In storage order, tracks come in bursts: each by itself is the beginning of what it was.
        for track in [1, 2] {
            let of = |packets: &[Packet]| -> Vec<Packet> {
                packets.iter().filter(|packet| packet.track.0 == track).cloned().collect()
            };
            let (all, got) = (of(&whole), of(&sure));
            assert!(same(&got, &all[..got.len()]), "cut at {cut}");
        }
    }
}

#[test]
fn scrambled_streams_are_refused_by_name() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = sample(dir.path());
    for packet in bytes.chunks_mut(188) {
        if packet[1] & 0x1f == 1 && packet[2] == 0 {
            packet[3] |= 0x80;
        }
    }
    let error = MpegTsDemuxer::new(NonSeekable(&bytes[..]), "scrambled").err().unwrap().to_string();
    assert!(error.contains("scrambled"), "{error}");
}

#[test]
fn memory_follows_the_limits() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("limited.ts");
    std::fs::write(&path, sample(dir.path())).unwrap();
    let opened = OpenOptions::new().limits(Limits::default().tracks(1)).open(&path);
    assert!(opened.unwrap_err().to_string().contains("tracks"));
}

/// One stream for all cases.
fn seed() -> Option<&'static [u8]> {
    static SEED: std::sync::OnceLock<Option<Vec<u8>>> = std::sync::OnceLock::new();
    let seed = SEED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let args = "-f lavfi -i testsrc2=size=64x64:rate=25:duration=0.4 -f lavfi -i sine=duration=0.4 -c:v libx264 \
                    -bf 2 -g 4 -c:a aac";
        have(&["ffmpeg"]).then(|| std::fs::read(made(dir.path(), "seed.ts", args)).unwrap())
    });
    seed.as_deref()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn no_bytes_do_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        cut in any::<prop::sample::Index>(),
        repeats in 0_usize..3,
    ) {
        let Some(seed) = seed() else { return Ok(()) };
        let mut bytes = seed.to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let once = bytes.clone();
        (0..repeats).for_each(|_| bytes.extend_from_slice(&once));
        if let Ok(mut demuxer) = MpegTsDemuxer::new(std::io::Cursor::new(&bytes), "mutated") {
            let (mut given, mut calls) = (0, 0);
            loop {
                calls += 1;
                prop_assert!(calls <= bytes.len() + 1000, "it does not end");
                match demuxer.next_packet() {
                    Ok(Some(packet)) => given += packet.data.len(),
                    Ok(None) => break,
                    Err(error) if error.is_recoverable() => {}
                    Err(_) => break,
                }
            }
            prop_assert!(given <= bytes.len());
            let track = demuxer.tracks()[0].id;
            let to = video_hw::time::Timestamp::new(9000, video_hw::time::TimeBase::MPEG);
            let _ = demuxer.seek(track, to);
        }
    }
}

/// CPU time of this thread so far.
#[cfg(target_os = "linux")]
fn cpu_time() -> std::time::Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    std::time::Duration::from_nanos(times.split_whitespace().next().unwrap().parse().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn small_packets_are_probed_in_linear_time() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let sample = sample(dir.path());
    let tables =
        sample.chunks_exact(188).filter(|packet| matches!(packet[1] & 0x1f, 0 | 0x10) && packet[2] == 0);
    let tables: Vec<u8> = tables.take(2).flatten().copied().collect();
    // A delimiter and a slice of no key frame in a PES packet, behind an adaptation field that fills the packet.
    let pes = [
        0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1, 0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41, 0x9a, 2, 3,
    ];
    let cost = |count: usize| {
        let mut bytes = tables.clone();
        for number in 0..count {
            let stuffing = 184 - pes.len();
            bytes.extend([0x47, 0x41, 0, 0x30 | (number & 15) as u8, (stuffing - 1) as u8, 0]);
            bytes.resize(bytes.len() + stuffing - 2, 0xff);
            bytes.extend(pes);
        }
        let began = cpu_time();
        let _ = MpegTsDemuxer::new(std::io::Cursor::new(bytes), "small.ts");
        cpu_time().saturating_sub(began)
    };
    let (few, many) = (cost(20_000), cost(80_000));
    assert!(many < 8 * few + std::time::Duration::from_millis(200), "{few:?} for 20000, {many:?} for 80000");
}
