//! Jumps, wraps and resets of the clock of a transport stream.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use video_hw::container::TrackKind;
use video_hw::time::{TimeBase, Timestamp};

use crate::mpegts::{made, of, open, read, track_of};
use crate::support::streams::have;

/// Seconds at which parts begin. Each join is a jump, and a part at 95,438 s or later wraps.
const OFFSETS: [&[f64]; 3] =
    [&[0.0, 95_438.2, 5_000.0, 17.0], &[95_440.5, 300.0, 30.0], &[700.0, 740.5, 650.0, 40_000.0, 0.5]];

/// Parts of 2.4 s with B frames and sound, one behind the other.
fn joined(dir: &Path, name: &str, offsets: &[f64]) -> PathBuf {
    let mut bytes = Vec::new();
    for (number, offset) in offsets.iter().enumerate() {
        let part = made(
            dir,
            "part.ts",
            &format!(
                "-f lavfi -i testsrc2=size=64x64:rate=25:duration=2.4 -f lavfi -i sine=frequency={}:duration=2.4 -vf hue=h={} \
                 -c:v libx264 -preset ultrafast -g 12 -bf 2 -c:a aac -output_ts_offset {offset}",
                220 * (number + 1),
                50 * number,
            ),
        );
        bytes.extend(std::fs::read(part).unwrap());
    }
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Times of sound are rounded to samples from the packet in which reading began.
fn near(one: (Option<Timestamp>, Option<Timestamp>), other: (Option<Timestamp>, Option<Timestamp>)) -> bool {
    let near = |one: Option<Timestamp>, other: Option<Timestamp>| {
        let (one, other) = (one.unwrap(), other.unwrap());
        one == other || one.ticks().abs_diff(other.ticks()) <= u64::from(one.base() != TimeBase::MPEG)
    };
    near(one.0, other.0) && near(one.1, other.1)
}

#[test]
fn times_are_the_same_wherever_reading_begins() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (number, offsets) in OFFSETS.iter().enumerate() {
        let path = joined(dir.path(), &format!("{number}.ts"), offsets);
        let mut demuxer = open(&path);
        let (video, sound) = (track_of(&*demuxer, TrackKind::Video), track_of(&*demuxer, TrackKind::Audio));
        let (all, faults) = read(&mut *demuxer);
        assert_eq!(faults, [""; 0]);
        let pictures = of(&all, &video);
        assert_eq!(pictures.len(), 60 * offsets.len());
        assert!(pictures.is_sorted_by_key(|packet| packet.dts), "{offsets:?}");
        let mut times: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for packet in &all {
            times.entry((packet.track.0, packet.data.clone())).or_default().push((packet.pts, packet.dts));
        }
        // Each time by a new demuxer, and by one that has been everywhere.
        let mut used = open(&path);
        for to in pictures.iter().step_by(7).rev() {
            for demuxer in [&mut used, &mut open(&path)] {
                assert!(demuxer.seek(video.id, to.pts.unwrap()).unwrap());
                let mut first = None;
                for _ in 0..60 {
                    let Some(packet) = demuxer.next_packet().unwrap() else { break };
                    let known = times.get(&(packet.track.0, packet.data.clone()));
                    let known = known.unwrap_or_else(|| panic!("{offsets:?}: a packet that was not there"));
                    assert!(
                        known.iter().any(|known| near(*known, (packet.pts, packet.dts))),
                        "{offsets:?}: {:?}, {known:?}",
                        packet.pts
                    );
                    if packet.track == video.id {
                        first.get_or_insert((packet.keyframe, packet.pts));
                    }
                }
                let (keyframe, pts) = first.unwrap();
                assert!(keyframe && pts <= to.pts, "{offsets:?}: {pts:?} for {:?}", to.pts);
            }
        }
        assert!(of(&all, &sound).len() > 90 * offsets.len());
    }
}
