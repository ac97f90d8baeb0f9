use std::process::Command;

use super::*;
use crate::dimensions::Dimensions;
use crate::frame::{Frame, HostSurface};
use crate::pixel::PixelFormat;
use crate::time::{TimeBase, Timestamp};

#[test]
fn what_can_be_read_once_only_is_not_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let (file, fifo) = (directory.path().join("file"), directory.path().join("fifo"));
    std::fs::write(&file, b"x").unwrap();
    assert!(can_be_read_again(&file) && can_be_read_again(directory.path()));
    assert!(can_be_read_again(&directory.path().join("image%03d.png")));
    assert!(!can_be_read_again(Path::new("-")) && !can_be_read_again(Path::new("/dev/null")));
    if !Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()) {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: no mkfifo\n");
        return;
    }
    assert!(!can_be_read_again(&fifo));
    assert!(recovery(fifo, &SourceOptions::default(), None).is_none());
}

const FRAMES: usize = 6;

/// A film of gray pictures, each brighter than the one before; the last is cut off if asked for.
fn film(path: &Path, whole: bool) {
    let mut bytes = b"YUV4MPEG2 W2 H2 F25:1 Ip A1:1 C420jpeg\n".to_vec();
    for number in 0..FRAMES {
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend_from_slice(&[number as u8; 6]);
    }
    if !whole {
        bytes.truncate(bytes.len() - 3);
    }
    std::fs::write(path, bytes).unwrap();
}

/// The lost frame of this number, at so many a second.
fn lost(number: i64, rate: u32) -> Frame {
    let surface =
        HostSurface::from_packed(PixelFormat::I420, Dimensions::new(2, 2).unwrap(), vec![0; 6]).unwrap();
    Frame::host(Timestamp::new(number, TimeBase::new(1, rate).unwrap()), surface)
}

fn shade(frame: &Frame) -> u8 {
    frame.as_host().unwrap().plane(0).unwrap().row(0)[0]
}

#[test]
fn frames_come_again_from_an_earlier_one_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("film.y4m");
    film(&path, true);
    let mut same = recovery(path.clone(), &SourceOptions::default(), None).unwrap();
    let double = Some(Rational::new(50, 1).unwrap());
    let mut doubled = recovery(path, &SourceOptions::default(), double).unwrap();
    for number in [1, 2, 4, 0, 1, 5] {
        let found = same(&lost(number, 25)).unwrap();
        assert_eq!((i64::from(shade(&found)), found.pts), (number, lost(number, 25).pts));
        let found = doubled(&lost(2 * number + 1, 50)).unwrap();
        assert_eq!((i64::from(shade(&found)), found.pts), (number, lost(2 * number + 1, 50).pts));
    }
}

#[test]
fn after_a_failure_no_old_frame_is_given_for_a_later_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("film.y4m");
    film(&path, false);
    let double = Some(Rational::new(50, 1).unwrap());
    let mut again = recovery(path.clone(), &SourceOptions::default(), double).unwrap();
    assert_eq!(shade(&again(&lost(4, 50)).unwrap()), 2);
    let first = again(&lost(10, 50)).unwrap_err().to_string();
    assert_eq!(again(&lost(12, 50)).unwrap_err().to_string(), first);
    // One that never begins is not begun with each frame.
    std::fs::write(&path, b"YUV4MPEG2 W2 H2 F25:1\nFRAME\nx").unwrap();
    let mut again = recovery(path.clone(), &SourceOptions::default(), double).unwrap();
    assert!(again(&lost(0, 50)).is_err());
    film(&path, true);
    assert!(again(&lost(1, 50)).is_err());
}

#[test]
fn the_end_of_a_cancelled_source_is_no_last_frame() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("film.y4m");
    film(&path, true);
    let options = SourceOptions::default();
    let mut again = recovery(path, &options, Some(Rational::new(50, 1).unwrap())).unwrap();
    again(&lost(0, 50)).unwrap();
    options.cancel.cancel();
    assert!(again(&lost(20, 50)).is_err());
    assert!(again(&lost(21, 50)).is_err());
}
