use bytes::Bytes;

use super::*;

fn base(ticks: u32) -> TimeBase {
    TimeBase::new(1, ticks).unwrap()
}

/// `entries` are `(duration, media_time, rate)`; movie ticks are 1/1000, media ticks 1/10000.
fn parse(entries: &[(u32, i32, u32)]) -> Result<Edits> {
    let mut payload = vec![0, 0, 0, 0];
    payload.extend((entries.len() as u32).to_be_bytes());
    for (duration, time, rate) in entries {
        payload.extend(duration.to_be_bytes());
        payload.extend(time.to_be_bytes());
        payload.extend(rate.to_be_bytes());
    }
    let mut bytes = (payload.len() as u32 + 8).to_be_bytes().to_vec();
    bytes.extend(b"elst");
    bytes.extend(payload);
    let elst = Mp4Box::from_bytes(&Bytes::from(bytes)).unwrap();
    Edits::parse(&elst, base(1000), 10_000, &Limits::default())
}

fn at(cts: i64) -> Entry {
    let dts = cts - 40;
    Entry { number: 1, offset: 0, size: 1, dts, cts, duration: 100, sync: true, description: 1 }
}

/// `(start, end, begin, until, rate)` of every segment.
fn segments(entries: &[(u32, i32, u32)]) -> Vec<(i64, i64, i64, i64, u32)> {
    let edits = parse(entries).unwrap();
    edits.segments.iter().map(|s| (s.start, s.end, s.begin(), s.until, s.rate)).collect()
}

fn present(edits: &Edits, cts: i64, sound: bool) -> Presented {
    edits.present(edits.segment_for(cts), &Extent::UNKNOWN, &at(cts), 0, sound)
}

const ONE: u32 = 0x1_0000;

#[test]
fn an_empty_edit_delays_and_a_media_time_advances() {
    let list = [(50, -1, ONE), (1000, 200, ONE)];
    assert_eq!(segments(&list), [(200, 10_200, 500, 10_500, ONE)]);
    let edits = parse(&list).unwrap();
    let shown = present(&edits, 200, false);
    assert_eq!(shown, Presented { pts: 500, dts: 460, duration: 100, discard: false });
    assert!(present(&edits, 100, false).discard);
    assert!(present(&edits, 10_200, false).discard);
    // Half of this sound is heard.
    let heard = present(&edits, 150, true);
    assert_eq!((heard.pts, heard.discard), (450, false));
    assert!(present(&edits, 100, true).discard);
}

#[test]
fn the_picture_on_screen_when_the_edit_begins_is_shown_from_there() {
    let edits = parse(&[(1000, 250, ONE)]).unwrap();
    let extent = Extent { on_screen: 200, next: 300, last: i64::MIN };
    let of = |cts| edits.present(0, &extent, &at(cts), 0, false);
    assert_eq!(of(200), Presented { pts: 0, dts: -90, duration: 50, discard: false });
    assert!(of(100).discard);
    assert_eq!((of(300).pts, of(300).discard), (50, false));
    // Its own duration says otherwise where decoding and presentation do not go in step.
    let extent = Extent { next: 700, ..extent };
    assert_eq!(edits.present(0, &extent, &at(200), 0, false).duration, 450);
}

#[test]
fn the_last_sample_is_cut_at_the_end_of_its_edit() {
    let edits = parse(&[(100, 0, ONE)]).unwrap();
    assert_eq!(present(&edits, 950, true).duration, 50);
    assert_eq!(present(&edits, 900, true).duration, 100);
}

#[test]
fn segments_that_touch_are_one_and_a_gap_in_the_media_is_closed() {
    assert_eq!(segments(&[(10, 0, ONE), (20, 100, ONE)]), [(0, 300, 0, 300, ONE)]);
    assert_eq!(segments(&[(10, 0, ONE), (20, 500, ONE)]), [(0, 100, 0, 100, ONE), (500, 700, 100, 300, ONE)]);
}

#[test]
fn a_gap_holds_the_picture_before_it_and_is_silent() {
    let list = [(10, 0, ONE), (30, -1, ONE), (10, 100, ONE), (5, -1, ONE)];
    assert_eq!(segments(&list), [(0, 100, 0, 400, ONE), (100, 200, 400, 550, ONE)]);
    let edits = parse(&list).unwrap();
    assert_eq!(present(&edits, 0, false).duration, 400);
    assert_eq!(present(&edits, 0, true).duration, 100);
    let second = present(&edits, 100, false);
    assert_eq!((second.pts, second.duration), (400, 150));
    assert_eq!(edits.presentation_end(), Some(550));
}

#[test]
fn repeats_and_rates_are_stretches_of_their_own() {
    let list = [(10, 0, ONE), (10, 0, ONE), (10, 0, 2 * ONE), (20, 200, ONE / 2), (30, 300, 0)];
    // Twice the speed needs half ticks.
    assert_eq!(
        segments(&list),
        [
            (0, 100, 0, 200, ONE),
            (0, 100, 200, 400, ONE),
            (0, 200, 400, 600, 2 * ONE),
            (200, 300, 600, 1000, ONE / 2),
            (300, 301, 1000, 1600, 0),
        ]
    );
    let edits = parse(&list).unwrap();
    assert_eq!((edits.factor(), edits.is_ordered()), (2, false));
    let of = |segment, cts| edits.present(segment, &Extent::UNKNOWN, &at(cts), 0, false);
    assert_eq!((of(1, 0).pts, of(1, 0).duration), (200, 200));
    assert_eq!((of(2, 100).pts, of(2, 100).duration), (500, 100));
    assert_eq!((of(3, 200).pts, of(3, 200).duration), (600, 400));
    assert_eq!((of(4, 300).pts, of(4, 300).duration), (1000, 600));
    for (segment, cts) in [(1, 37), (2, 120), (3, 250)] {
        assert_eq!(edits.cts(segment, edits.pts(segment, cts)), cts, "segment {segment}");
    }
    assert_eq!([599, 600, 5000, -1].map(|pts| edits.segment_at(pts)), [2, 3, 4, 0]);
}

#[test]
fn a_rate_that_never_comes_out_even_still_tells_all_pictures_apart() {
    let edits = parse(&[(1000, 0, 205_887)]).unwrap();
    assert_eq!(edits.factor(), 100);
    // 3.14 times faster than 1/10000 s.
    assert_eq!((0..4).map(|cts| edits.pts(0, cts)).collect::<Vec<_>>(), [0, 32, 64, 95]);
}

#[test]
fn a_last_picture_without_duration_is_shown_where_the_edit_ends() {
    let mut edits = parse(&[(100, 0, ONE)]).unwrap();
    edits.show_last(1000, 40, 5);
    let extent = Extent::UNKNOWN;
    let last = edits.present(0, &extent, &Entry { duration: 40, ..at(1000) }, 0, false);
    assert_eq!((last.pts, last.duration, last.discard), (1000, 40, false));
    // An edit that ends earlier means it.
    let mut cut = parse(&[(90, 0, ONE)]).unwrap();
    let before = cut.clone();
    cut.show_last(1000, 40, 5);
    assert_eq!(cut, before);
}

#[test]
fn what_means_nothing_is_refused() {
    assert!(matches!(parse(&[(10, -7, ONE)]), Err(Error::CorruptStream { .. })));
    assert!(matches!(parse(&[(10, 0, u32::MAX)]), Err(Error::Unsupported { .. })));
    let limits = Limits { edits: 1, ..Limits::default() };
    let elst = [&40_u32.to_be_bytes()[..], b"elst\0\0\0\0\0\0\0\x02", &[0; 24]].concat();
    let elst = Mp4Box::from_bytes(&Bytes::from(elst)).unwrap();
    let error = Edits::parse(&elst, base(1000), 1000, &limits).unwrap_err();
    assert!(matches!(error, Error::LimitExceeded { limit: Limit::Edits, wanted: 2, .. }), "{error}");
}

#[test]
fn a_zero_duration_reaches_to_the_end() {
    assert_eq!(segments(&[(0, 64, ONE)]), [(64, i64::MAX, 0, i64::MAX, ONE)]);
}
