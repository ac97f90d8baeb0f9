use std::fs;

use super::*;

#[test]
fn times_are_read_exactly() {
    let s = TimeUnit::Seconds;
    for (text, unit, wanted) in [
        ("12.5", s, Some(12_500_000_000)),
        ("1700000000.123456789", s, Some(1_700_000_000_123_456_789)),
        ("1700000000123456789", TimeUnit::Nanos, Some(1_700_000_000_123_456_789)),
        ("1700000000123456789ns", s, Some(1_700_000_000_123_456_789)),
        ("40ms", s, Some(40_000_000)),
        ("40 ms", s, Some(40_000_000)),
        ("1.5us", s, Some(1_500)),
        ("1.5µs", s, Some(1_500)),
        ("3s", TimeUnit::Nanos, Some(3 * SECOND)),
        // What numpy writes.
        ("1.305031102175304031e+09", s, Some(1_305_031_102_175_304_031)),
        ("1e-9", s, Some(1)),
        ("4e-10", s, Some(0)),
        ("5e-10", s, Some(1)),
        ("-2.5", s, Some(-2_500_000_000)),
        (".5", s, Some(500_000_000)),
        ("0e99", s, Some(0)),
        ("1e-2147483648", s, Some(0)),
        ("1e99", s, None),
        ("9999999999999", s, None),
        ("1.2.3", s, None),
        (".", s, None),
        ("", s, None),
        ("--1", s, None),
        ("1:30", s, None),
        ("nan", s, None),
        ("inf", s, None),
    ] {
        assert_eq!(parse(text, unit), wanted, "{text}");
    }
}

#[test]
fn names_end_in_times() {
    for (name, unit, wanted) in [
        ("1403636579763555584.png", TimeUnit::Nanos, 1_403_636_579_763_555_584),
        ("left-000120.png", TimeUnit::Millis, 120_000_000),
        ("cam0_12.25.jpg", TimeUnit::Seconds, 12_250_000_000),
        ("1305031102.175304.png", TimeUnit::Seconds, 1_305_031_102_175_304_000),
        ("bildä7.png", TimeUnit::Nanos, 7),
    ] {
        assert_eq!(of_name(Path::new(name), unit).unwrap(), wanted, "{name}");
    }
    for name in ["left.png", "12a.png", ".png", "1.2.3.png"] {
        assert!(of_name(Path::new(name), TimeUnit::Nanos).unwrap_err().to_string().contains(name), "{name}");
    }
}

#[test]
fn lists_come_in_the_shapes_of_robotics() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("t.csv");
    let listed = |text: &str, unit| {
        fs::write(&path, text).unwrap();
        read(&path, unit).map(|l| l.into_iter().map(|l| (l.nanos, l.name, l.line)).collect::<Vec<_>>())
    };
    let name = |n: &str| Some(n.to_owned());
    assert_eq!(
        listed("#timestamp [ns],filename\n7,7.png\r\n\n9,9.png\n", TimeUnit::Nanos).unwrap(),
        [(7, name("7.png"), 2), (9, name("9.png"), 4)]
    );
    assert_eq!(
        listed("\u{feff}file;time\nrgb/a b.PNG;1.5\n", TimeUnit::Seconds).unwrap(),
        [(1_500_000_000, name("rgb/a b.PNG"), 2)]
    );
    assert_eq!(
        listed("1.5 rgb/1.5.png\n2 \"x.jpeg\"", TimeUnit::Seconds).unwrap(),
        [(1_500_000_000, name("rgb/1.5.png"), 1), (2_000_000_000, name("x.jpeg"), 2)]
    );
    assert_eq!(listed("0\n33ms", TimeUnit::Seconds).unwrap(), [(0, None, 1), (33_000_000, None, 2)]);
    for (text, message) in [
        ("0\nsoon\n", "line 2: \"soon\" is not a time"),
        ("1403636579763555584\n", "line 1: 1403636579763555584 is out of range; if it counts ns"),
        ("1x\n", "line 1: \"1x\" is not a time"),
        ("", "holds no times"),
        ("# nothing\n", "holds no times"),
        ("1,2\n", "line 1"),
        ("0\n\u{7f}\u{80}", "line 2"),
    ] {
        let error = listed(text, TimeUnit::Seconds).unwrap_err().to_string();
        assert!(error.contains(message), "{text:?}: {error}");
    }
    fs::write(&path, [b'0', b'\n', 0xff]).unwrap();
    assert!(read(&path, TimeUnit::Seconds).unwrap_err().to_string().contains("line 2: it is not text"));
    fs::write(&path, vec![b'1'; 100_000]).unwrap();
    assert!(read(&path, TimeUnit::Seconds).unwrap_err().to_string().contains("too long"));
}

#[test]
fn the_time_base_holds_every_time_exactly() {
    let place = |n| format!("line {n}");
    for (times, per_second) in [
        (&[0, 40_000_000, 90_000_000][..], 1000),
        (&[5, 40_000_005, 40_001_005], 1_000_000),
        (&[0, 33_333_333, 66_666_667], SECOND),
        // Ten seconds in nanoseconds do not fit 32 bits, but in tenths of a microsecond they do.
        (&[0, 100, 10_000_000_000], 10_000_000),
        (&[7], 1000),
    ] {
        let schedule = Schedule::exact(times, REORDERED, place).unwrap();
        assert_eq!(schedule.base(), TimeBase::new(1, per_second as u32).unwrap(), "{times:?}");
        for (number, time) in times.iter().enumerate() {
            let (ticks, length) = schedule.get(number).unwrap();
            assert_eq!(ticks * (SECOND / per_second), time - times[0]);
            assert!(length > 0);
        }
        assert!(schedule.get(times.len()).is_none());
        assert!(!schedule.notes().iter().any(|note| note.contains("rounded")), "{:?}", schedule.notes());
    }
    // Ten pictures a second, in nanoseconds: too far from coding to showing with B frames for ffmpeg.
    let slow: Vec<_> = (0..20).map(|n| n * 100_000_001).collect();
    assert_eq!(Schedule::exact(&slow, 0, place).unwrap().base(), TimeBase::NANOS);
    let rounded = Schedule::exact(&slow, REORDERED, place).unwrap();
    assert_eq!(rounded.base(), TimeBase::new(1, 100_000_000).unwrap());
    assert!(rounded.notes()[0].contains("no B frames"), "{:?}", rounded.notes());
    let rounded = Schedule::exact(&[0, 1, 10_000_000_000], REORDERED, place);
    assert!(rounded.unwrap_err().to_string().contains("line 1"), "two times would become one");
    let rounded = Schedule::exact(&[0, 1_000_000_001, 10_000_000_000], REORDERED, place).unwrap();
    assert!(rounded.notes()[0].contains("rounded"), "{:?}", rounded.notes());
    let (ticks, _) = rounded.get(1).unwrap();
    let per_second = i64::from(rounded.base().seconds_per_tick().den());
    assert!((ticks * SECOND / per_second - 1_000_000_001).abs() <= SECOND / per_second / 2 + 1);
}

#[test]
fn times_that_do_not_rise_are_refused_with_their_place() {
    let place = |n| format!("line {}", n + 1);
    for times in [&[0, 0][..], &[5, 4], &[1, 2, 3, 3], &[i64::MIN, i64::MAX]] {
        let error = Schedule::exact(times, REORDERED, place).unwrap_err().to_string();
        assert!(error.contains(&format!("line {}", times.len())), "{error}");
    }
    let error = Schedule::exact(&[1_500_000_000, 1_250_000_000], REORDERED, place).unwrap_err().to_string();
    assert!(error.contains("1.25 s is not after 1.5 s"), "{error}");
}

#[test]
fn the_rate_is_the_average() {
    let times: Vec<_> = (0..31).map(|n| n * 33_366_667).collect();
    let schedule = Schedule::exact(&times, REORDERED, |_| String::new()).unwrap();
    assert_eq!(schedule.rate(), Rational::new(2997, 100).unwrap());
    let alone = Schedule::exact(&[3], REORDERED, |_| String::new()).unwrap();
    assert_eq!(alone.rate(), Rational::new(25, 1).unwrap());
    assert_eq!(alone.get(0), Some((0, 40)));
}
