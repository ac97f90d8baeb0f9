//! Which units go, judged by hand and by a decoder of a few lines.

use std::time::Duration;

use super::super::unit::Tag;
use super::*;
use crate::backend::mock::mock_packet;
use crate::dimensions::Dimensions;
use crate::frame::{Frame, HostSurface};
use crate::packet::Packet;
use crate::pixel::PixelFormat;
use crate::time::TimeBase;

fn time(ticks: i64) -> Timestamp {
    Timestamp::new(ticks, TimeBase::MPEG)
}

fn held(unit: impl Into<Unit>, since: Instant) -> Held {
    Held { unit: unit.into(), tag: Tag { generation: 0, credit: None, entered: since, since } }
}

fn frame(number: i64, idr: bool) -> Frame {
    let size = Dimensions::new(16, 16).unwrap();
    let surface = HostSurface::from_packed(PixelFormat::I420, size, vec![0; 384]).unwrap();
    Frame { force_keyframe: idr, ..Frame::host(time(number), surface) }
}

fn packet(pts: i64, keyframe: bool) -> Packet {
    Packet { pts: Some(time(pts)), keyframe, ..mock_packet(0) }
}

fn number(unit: &Unit) -> i64 {
    match unit {
        Unit::Frame(frame) => frame.pts.ticks(),
        Unit::Packet(packet) => packet.pts.map_or(-1, Timestamp::ticks),
    }
}

fn is_key(unit: &Unit) -> bool {
    match unit {
        Unit::Frame(frame) => frame.force_keyframe,
        Unit::Packet(packet) => packet.keyframe,
    }
}

fn live(max_queue: usize, idr: IdrAfterDrop) -> StageQueue {
    StageQueue::new(DropPolicy::Live(LiveRules { max_queue, max_age: None, idr }))
}

/// Units that are left, by number and whether they are key frames, and those that went, with the reason.
type Outcome = (Vec<(i64, bool)>, Vec<(i64, &'static str)>);

fn outcome(queue: &mut StageQueue, dropped: &[Dropped]) -> Outcome {
    let mut rest = Vec::new();
    let left = std::iter::from_fn(|| queue.pop(Instant::now(), &mut rest))
        .map(|held| (number(&held.unit), is_key(&held.unit)))
        .collect();
    (left, dropped.iter().chain(&rest).map(|(held, why)| (number(&held.unit), *why)).collect())
}

fn run(queue: &mut StageQueue, units: impl IntoIterator<Item = Unit>) -> Outcome {
    let mut dropped = Vec::new();
    for unit in units {
        queue.push(held(unit, Instant::now()), &mut dropped);
    }
    outcome(queue, &dropped)
}

#[test]
fn offline_keeps_everything() {
    let (left, gone) =
        run(&mut StageQueue::new(DropPolicy::Offline), (0..100).map(|n| frame(n, false).into()));
    assert_eq!((left.len(), gone), (100, vec![]));
}

#[test]
fn the_oldest_ordinary_frame_goes_and_the_next_is_an_idr() {
    let units =
        [(0, true), (1, false), (2, false), (3, true), (4, false)].map(|(n, idr)| frame(n, idr).into());
    let (left, gone) = run(&mut live(3, IdrAfterDrop::Never), units);
    assert_eq!(left, [(0, true), (3, true), (4, false)]);
    assert_eq!(gone, [(1, "queue full"), (2, "queue full")]);

    let rule = IdrAfterDrop::After { dropped: 2, apart: 2 };
    let mut queue = live(2, rule);
    let (left, _) = run(&mut queue, (0..4).map(|n| frame(n, false).into()));
    assert_eq!(left, [(2, true), (3, false)], "two are missing");
    let (left, _) = run(&mut queue, (4..7).map(|n| frame(n, false).into()));
    assert_eq!(left, [(5, false), (6, false)], "one is missing");
    let (left, _) = run(&mut queue, (7..12).map(|n| frame(n, false).into()));
    assert_eq!(left, [(10, true), (11, false)]);
    // The next gap comes too soon after that one: the IDR comes when they are far enough apart.
    let mut queue = live(2, IdrAfterDrop::After { dropped: 1, apart: 3 });
    let mut keys = Vec::new();
    for n in 0..8 {
        let (left, _) = run(&mut queue, (3 * n..3 * n + 3).map(|n| frame(n, false).into()));
        keys.extend(left.iter().map(|(_, key)| u8::from(*key)));
    }
    assert_eq!(keys, [1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1]);
}

#[test]
fn an_idr_that_has_to_go_is_inherited() {
    let units = [(0, true), (1, true), (2, true), (3, false)].map(|(n, idr)| frame(n, idr).into());
    let (left, gone) = run(&mut live(2, IdrAfterDrop::Never), units);
    assert_eq!(left, [(1, true), (2, true)]);
    assert_eq!(gone, [(0, "queue full"), (3, "queue full")]);
    let (left, gone) =
        run(&mut live(1, IdrAfterDrop::Never), [frame(0, true).into(), frame(1, false).into()]);
    assert_eq!((left, gone), (vec![(0, true)], vec![(1, "queue full")]));
}

#[test]
fn late_frames_go_while_a_younger_one_waits() {
    let start = Instant::now();
    let age = Some(Duration::from_millis(100));
    let rules = LiveRules { max_queue: 9, max_age: age, idr: IdrAfterDrop::Never };
    let mut queue = StageQueue::new(DropPolicy::Live(rules));
    let mut dropped = Vec::new();
    for n in 0..4 {
        queue.push(held(frame(n, n == 1), start), &mut dropped);
    }
    let later = start + Duration::from_secs(1);
    let first = queue.pop(later, &mut dropped).unwrap();
    assert_eq!((number(&first.unit), is_key(&first.unit)), (3, true), "the wish of frame 1");
    assert!(dropped.iter().all(|(_, why)| *why == "late") && dropped.len() == 3);
    // What came back from a full stage is not counted twice.
    queue.put_back(first);
    assert_eq!((queue.len(), number(&queue.pop(later, &mut dropped).unwrap().unit)), (1, 3));

    let mut queue = StageQueue::new(DropPolicy::Live(rules));
    for (n, key) in [(0, true), (1, false), (2, true), (3, false)] {
        queue.push(held(packet(n, key), start), &mut dropped);
    }
    dropped.clear();
    assert_eq!(number(&queue.pop(later, &mut dropped).unwrap().unit), 2, "up to the key that waits");
    assert_eq!(number(&queue.pop(later, &mut dropped).unwrap().unit), 3, "no key waits: on, however late");
    assert_eq!(dropped.len(), 2);
}

#[test]
fn packets_go_where_nothing_refers_to_them() {
    // The last before a key.
    let units = [(0, true), (1, false), (2, false), (3, true), (4, false)].map(|(n, k)| packet(n, k).into());
    let (left, gone) = run(&mut live(4, IdrAfterDrop::Never), units);
    assert_eq!(left, [(0, true), (1, false), (3, true), (4, false)]);
    assert_eq!(gone, [(2, "queue full")]);
    // No such: the newest, and all up to the next key.
    let units = [(0, true), (1, false), (2, false), (3, false), (4, true)].map(|(n, k)| packet(n, k).into());
    let (left, gone) = run(&mut live(2, IdrAfterDrop::Never), units);
    assert_eq!(left, [(0, true), (4, true)]);
    assert_eq!(gone, [(2, "queue full"), (3, "up to the next key frame"), (1, "queue full")]);
    // Leading pictures of a key behind a gap: 6 is a key in coding order, 4 and 5 are shown before it.
    let units = [(0, true), (1, false), (2, false), (6, true), (4, false), (5, false), (7, false)]
        .map(|(n, k)| packet(n, k).into());
    let (left, gone) = run(&mut live(3, IdrAfterDrop::Never), units);
    assert_eq!(left, [(0, true), (6, true), (7, false)]);
    let wait = "up to the next key frame";
    assert_eq!(gone, [(2, "queue full"), (4, wait), (5, wait), (1, "queue full")]);
}

/// A decoder that says whether everything a packet refers to was there: the packets since the last key, and for leading
/// pictures also those before it.
#[test]
fn whatever_is_dropped_the_rest_can_be_decoded() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    for round in 0..400 {
        let open_groups = round % 2 == 0;
        let mut queue = live(1 + random(6) as usize, IdrAfterDrop::Never);
        // (coding number, shown at, key)
        let mut stream: Vec<(usize, i64, bool)> = Vec::new();
        for coded in 0..120_usize {
            let key = coded == 0 || random(7) == 0;
            let lead = open_groups && key && coded > 0;
            stream.push((coded, coded as i64 * 10 + if lead { 25 } else { 0 }, key));
        }
        let mut survivors = Vec::new();
        let (mut dropped, mut sent) = (Vec::new(), 0);
        for (_, pts, key) in &stream {
            queue.push(held(packet(*pts, *key), Instant::now()), &mut dropped);
            sent += 1;
            while random(3) == 0
                && let Some(held) = queue.pop(Instant::now(), &mut dropped)
            {
                survivors.push(number(&held.unit));
            }
        }
        while let Some(held) = queue.pop(Instant::now(), &mut dropped) {
            survivors.push(number(&held.unit));
        }
        assert_eq!(survivors.len() + dropped.len(), sent, "each has one fate");
        // Order is kept, and each survivor has its references.
        let coded: Vec<usize> =
            survivors.iter().map(|pts| stream.iter().position(|unit| unit.1 == *pts).unwrap()).collect();
        assert!(coded.is_sorted());
        for number in &coded {
            if stream[*number].2 {
                continue;
            }
            let group = (0..*number).rfind(|at| stream[*at].2).unwrap();
            let leads = |at: usize| stream[at].1 < stream[(0..=at).rfind(|key| stream[*key].2).unwrap()].1;
            // Nothing but leading pictures refers to leading pictures.
            let whole = |mut range: std::ops::Range<usize>, with_leading: bool| {
                range.all(|at| coded.contains(&at) || (leads(at) && !with_leading))
            };
            assert!(whole(group..*number, leads(*number)), "round {round}: {number} without its group");
            if leads(*number) {
                let before = (0..group).rfind(|at| stream[*at].2).unwrap();
                assert!(whole(before..group, false), "round {round}: leading picture {number} across a gap");
            }
        }
    }
}
