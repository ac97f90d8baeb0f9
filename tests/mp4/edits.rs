//! What edit lists make of a film, picture by picture: by the definition (ISO/IEC 14496-12 clause 8.6.6), and by ffmpeg
//! where it plays them.

use std::path::{Path, PathBuf};

use video_hw::backend::BackendKind;
use video_hw::container::Demuxer;
use video_hw::time::Timestamp;

use crate::streams_common::{ffmpeg_md5s, frame_md5};
use crate::support::*;

/// Milliseconds, the picture (or between two) it starts with, rate. A start below zero is an empty edit.
type Edit = (u32, f64, f64);

/// One picture every 40 ms, 512 ticks; the first is composed at tick 1024.
const PICTURE_MS: f64 = 40.0;

fn film() -> Option<(tempfile::TempDir, PathBuf)> {
    make(&format!("{PICTURE} -c:v libx264 -preset veryfast -bf 3 -g 20 -pix_fmt yuv420p"), "a.mp4", "libx264")
}

/// The film with another edit list.
fn with_edits(path: &Path, edits: &[Edit]) -> PathBuf {
    let mut list = vec![0, edits.len() as u32];
    for (length, start, rate) in edits {
        let media_time = if *start < 0.0 { u32::MAX } else { 1024 + (start * 512.0) as u32 };
        list.extend([*length, media_time, (rate * 65_536.0) as u32]);
    }
    let edts = make_box(b"edts", &make_box(b"elst", &words(&list)));
    let bytes = edit(&std::fs::read(path).unwrap(), "moov/trak/edts", &mut |_| edts.clone());
    let out = path.with_file_name("edited.mp4");
    std::fs::write(&out, bytes).unwrap();
    out
}

/// Every picture with its sum, time and duration in milliseconds.
fn shown(path: &Path) -> Vec<(String, f64, f64)> {
    let frames = video_hw::frames(path).backend(BackendKind::Software).open().unwrap();
    let milliseconds = |time: Timestamp| time.as_secs_f64() * 1000.0;
    frames
        .map(|frame| {
            let frame = frame.unwrap();
            let end = frame.pts.offset(frame.duration.unwrap() as i64);
            (frame_md5(&frame), milliseconds(frame.pts), milliseconds(end) - milliseconds(frame.pts))
        })
        .collect()
}

/// Number, time and duration of the pictures, by the definition.
fn defined(edits: &[Edit]) -> Vec<(usize, f64, f64)> {
    let (mut pictures, mut now): (Vec<(usize, f64, f64)>, _) = (Vec::new(), 0.0);
    for &(length, start, rate) in edits {
        let length = f64::from(length);
        let until = now + length;
        if start < 0.0 {
            if let Some(last) = pictures.last_mut() {
                last.2 = until - last.1;
            }
        } else if rate == 0.0 {
            pictures.push((start as usize, now, length));
        } else {
            let end = start + length * rate / PICTURE_MS;
            let mut picture = start.floor();
            while picture < end && picture < 75.0 {
                let at = |place: f64| now + (place.clamp(start, end) - start) * PICTURE_MS / rate;
                pictures.push((picture as usize, at(picture), at(picture + 1.0) - at(picture)));
                picture += 1.0;
            }
        }
        now = until;
    }
    pictures
}

#[test]
fn every_kind_of_edit_list_is_played_as_defined() {
    let Some((_dir, path)) = film() else { return };
    let whole = ffmpeg_md5s(&["-i", path.to_str().unwrap()]);
    assert_eq!(whole.len(), 75);
    for (edits, ffmpeg_agrees) in [
        // A gap in the middle, and an edit that begins inside a group of pictures. (This ffmpeg plays the start of the film
        // in a gap.)
        (&[(1000, 0.0, 1.0), (500, -1.0, 1.0), (1000, 25.0, 1.0)][..], false),
        // The same twice, then backwards over the film.
        (&[(1000, 10.0, 1.0), (1000, 10.0, 1.0)], true),
        (&[(800, 50.0, 1.0), (800, 5.0, 1.0)], true),
        // Delays and gaps, at the end too.
        (&[(300, -1.0, 1.0), (400, 3.0, 1.0), (200, -1.0, 1.0), (400, 30.0, 1.0), (600, -1.0, 1.0)], false),
        // Faster, slower, still.
        (&[(1000, 0.0, 2.0), (2000, 30.0, 0.5), (400, 60.0, 0.0)], false),
        (&[(1200, 7.0, 0.0)], false),
        (&[(900, 0.0, 1.0), (600, 20.0, 1.5), (80, 41.0, 1.0)], false),
        // Between two pictures.
        (&[(1000, 10.5, 1.0)], false),
        (&[(1000, 10.5, 1.0), (1000, 30.25, 1.0), (700, 30.75, 1.0)], false),
        (&[(1000, 10.25, 2.0), (120, 33.75, 0.0)], false),
        // Less than a picture.
        (&[(20, 10.25, 1.0), (20, 44.25, 1.0), (1000, 12.0, 1.0)], false),
    ] {
        let edited = with_edits(&path, edits);
        let (ours, defined) = (shown(&edited), defined(edits));
        let sums = |pictures: &[(usize, f64, f64)]| -> Vec<String> {
            pictures.iter().map(|(number, _, _)| whole[*number].clone()).collect()
        };
        let numbers: Vec<_> =
            ours.iter().map(|(sum, _, _)| whole.iter().position(|other| other == sum)).collect();
        let wanted: Vec<_> = defined.iter().map(|(number, _, _)| Some(*number)).collect();
        assert_eq!(numbers, wanted, "pictures of {edits:?}");
        for ((_, pts, duration), (number, at, length)) in ours.iter().zip(&defined) {
            assert!((pts - at).abs() < 0.1, "picture {number} of {edits:?} at {pts} ms, not at {at}");
            assert!(
                (duration - length).abs() < 0.2,
                "picture {number} of {edits:?} for {duration}, not {length} ms"
            );
        }
        if ffmpeg_agrees {
            assert_eq!(ffmpeg_md5s(&["-i", edited.to_str().unwrap()]), sums(&defined), "{edits:?}");
        }
        let length: u32 = edits.iter().map(|(length, _, _)| length).sum();
        let duration = open(&edited).tracks()[0].duration.unwrap().as_secs_f64();
        assert!((duration * 1000.0 - f64::from(length)).abs() < 0.1, "{edits:?} lasts {duration} s");
    }
}

#[test]
fn seeking_in_a_played_list_lands_before_the_wanted_time_and_loses_nothing() {
    let Some((_dir, path)) = film() else { return };
    let edits = [(1000, 50.0, 1.0), (400, -1.0, 1.0), (2000, 5.0, 1.0), (1000, 30.0, 0.5)];
    let edited = with_edits(&path, &edits);
    let all = shown(&edited);
    for start in [0, 500, 999, 1000, 1200, 1400, 2600, 3400, 3900, 4399] {
        let from = std::time::Duration::from_millis(start);
        let frames = video_hw::frames(&edited).backend(BackendKind::Software).start(from).open().unwrap();
        let sums: Vec<_> = frames.map(|frame| frame_md5(&frame.unwrap())).collect();
        let wanted: Vec<_> = all.iter().filter(|(_, at, _)| *at >= start as f64 - 0.01).collect();
        assert_eq!(sums.len(), wanted.len(), "from {start} ms");
        assert!(sums.iter().zip(wanted).all(|(sum, wanted)| *sum == wanted.0), "from {start} ms");
    }
}

#[test]
fn a_transcode_writes_plain_times() {
    let Some((dir, path)) = film() else { return };
    let edits = [(400, 0.0, 1.0), (200, -1.0, 1.0), (400, 20.5, 2.0), (400, 3.0, 1.0), (120, 9.0, 0.0)];
    let edited = with_edits(&path, &edits);
    let out = dir.path().join("out.mp4");
    let report =
        video_hw::transcode(&edited, &out).backend(BackendKind::Software).overwrite(true).run().unwrap();
    let defined = defined(&edits);
    assert!(report.balances());
    assert_eq!(report.video_samples, defined.len() as u64);
    let mut demuxer = open(&out);
    let base = demuxer.tracks()[0].time_base.seconds_per_tick().as_f64() * 1000.0;
    let id = demuxer.tracks()[0].id;
    let written = rows(&read_all(&mut demuxer), id);
    assert_eq!(ffmpeg_md5s(&["-i", out.to_str().unwrap()]).len(), defined.len());
    for (row, (number, at, length)) in written.iter().zip(&defined) {
        assert!((row.pts as f64 * base - at).abs() < 0.1, "picture {number}: {row:?}, not at {at}");
        assert!(
            (row.duration as f64 * base - length).abs() < 0.2,
            "picture {number}: {row:?}, not {length} ms"
        );
    }
}

#[test]
fn sound_is_repeated_without_overlap() {
    let Some((dir, path)) =
        make("-f lavfi -i sine=duration=2:sample_rate=8000 -c:a pcm_s16le", "a.mov", "pcm_s16le")
    else {
        return;
    };
    let bytes = std::fs::read(&path).unwrap();
    // Frames 4000 to 8000, a gap of half a second, frames 1000 to 5000, and the same again.
    let list = [0, 4, 500, 4000, 1 << 16, 500, u32::MAX, 1 << 16, 500, 1000, 1 << 16, 500, 1000, 1 << 16];
    let edts = make_box(b"edts", &make_box(b"elst", &words(&list)));
    let edited = if find(&bytes, "moov/trak/edts").is_some() {
        edit(&bytes, "moov/trak/edts", &mut |_| edts.clone())
    } else {
        edit(&bytes, "moov/trak/tkhd", &mut |tkhd| [tkhd.to_vec(), edts.clone()].concat())
    };
    let raw = dir.path().join("a.raw");
    ffmpeg(&format!("-i {} -c copy -f s16le", path.display()), &raw);
    let raw = std::fs::read(raw).unwrap();
    let (mut heard, mut now) = (Vec::new(), 0);
    for sample in read_all(&mut open_bytes(&edited)).iter().filter(|sample| !sample.discard) {
        let pts = sample.pts.unwrap().ticks();
        assert!(pts >= now, "{pts} overlaps {now}");
        if pts > now {
            assert_eq!((now, pts), (4000, 8000), "silence");
        }
        now = pts + sample.duration.unwrap() as i64;
        heard.extend_from_slice(&sample.data);
    }
    assert_eq!(now, 16_000);
    assert!(heard == [&raw[8000..16_000], &raw[2000..10_000], &raw[2000..10_000]].concat());
}

#[test]
fn a_fragmented_file_that_repeats_is_refused_by_name() {
    let options = "-movflags frag_keyframe+delay_moov+default_base_moof";
    let args = format!("{PICTURE} -c:v libx264 -bf 2 -g 20 {options}");
    let Some((_dir, path)) = make(&args, "a.mp4", "libx264") else { return };
    let list = words(&[0, 2, 500, 1024, 1 << 16, 500, 1024, 1 << 16]);
    let edts = make_box(b"edts", &make_box(b"elst", &list));
    let bytes = edit(&std::fs::read(&path).unwrap(), "moov/trak/edts", &mut |_| edts.clone());
    assert!(find(&bytes, "moov/trak/edts").is_some(), "ffmpeg writes an edit list here");
    let error = open_bytes(&bytes).next_packet().unwrap_err().to_string();
    assert!(error.contains("repeats") && error.contains("fragmented"), "{error}");
}

/// Replaces a table of the first track.
fn with_table(path: &Path, table: &str, change: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> PathBuf {
    let place = format!("moov/trak/mdia/minf/stbl/{table}");
    let bytes = edit(&std::fs::read(path).unwrap(), &place, change);
    let out = path.with_file_name("changed.mp4");
    std::fs::write(&out, bytes).unwrap();
    out
}

#[test]
fn a_last_picture_without_duration_is_shown() {
    let Some((_dir, path)) = film() else { return };
    let whole = shown(&path);
    assert_eq!(whole.len(), 75);
    let timeless = with_table(&path, "stts", &mut |_| make_box(b"stts", &words(&[0, 2, 74, 512, 1, 0])));
    // Where the last picture begins, the edit ends.
    for length in [2960, 2959] {
        let edited = with_edits(&timeless, &[(length, 0.0, 1.0)]);
        assert_eq!(shown(&edited), whole, "{length} ms");
    }
    // An end before that is meant.
    let edited = with_edits(&timeless, &[(2900, 0.0, 1.0)]);
    assert_eq!(shown(&edited).len(), 73);
}

#[test]
fn pictures_that_all_have_the_same_time_are_all_shown_and_told() {
    let Some((dir, path)) = film() else { return };
    let whole = shown(&path);
    let timeless = with_table(&path, "stts", &mut |_| make_box(b"stts", &words(&[0, 1, 75, 0])));
    assert_eq!(shown(&timeless), whole, "by the duration of the media");
    let source = video_hw::frames(&timeless).backend(BackendKind::Software).open().unwrap();
    let note = source.info().notes.join("\n");
    assert!(note.contains("all 75 samples the same time") && note.contains("512/12800 s"), "{note}");
    // And without that.
    let place = "moov/trak/mdia/mdhd";
    let silent = edit(&std::fs::read(&timeless).unwrap(), place, &mut |mdhd| {
        let mut mdhd = mdhd.to_vec();
        mdhd[24..28].fill(0);
        mdhd
    });
    let silent_path = dir.path().join("silent.mp4");
    std::fs::write(&silent_path, silent).unwrap();
    assert_eq!(shown(&silent_path), whole, "a 25th of a second");
}
