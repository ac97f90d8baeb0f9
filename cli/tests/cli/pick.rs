//! Chosen frames: `decode --frames-at`, `--times-at`, `--every`, `--index`, `thumbnails`, and parts that are exact to the frame.

use crate::common::{Scratch, clip, frame_times, have, run, tool};

/// `--frame-md5` of a file: number, time, and sum with size and format.
fn sums(args: &[&str]) -> Vec<(usize, String, String)> {
    let out = run(&[&["decode"], args, &["--frame-md5", "-q"]].concat()).ok().out();
    let line = |line: &str| {
        let (number, rest) = line.split_once(' ').unwrap();
        let (time, sum) = rest.split_once(' ').unwrap();
        (number.parse().unwrap(), time.to_owned(), sum.to_owned())
    };
    out.lines().map(line).collect()
}

#[test]
fn frames_come_in_the_order_asked_for_with_their_numbers_and_times() {
    let bars = clip("bars.mp4");
    let all = sums(&[&bars]);
    let picked = sums(&[&bars, "--frames-at", "100,3,3,0,119"]);
    let expected: Vec<_> = [100, 3, 3, 0, 119].map(|number: usize| all[number].clone()).into();
    assert_eq!(picked, expected);
    assert_eq!(sums(&[&bars, "--frames-at", "70,0-3"]), [&all[70..71], &all[..4]].concat());
    // The same by time: each frame from its time on.
    let times: Vec<f64> = all.iter().map(|frame| frame.1.parse().unwrap()).collect();
    let inside = |number: usize| format!("{:.3}", times[number] + 0.002);
    let asked = [inside(70), inside(5)].join(",");
    assert_eq!(sums(&[&bars, "--times-at", &asked]), [all[70].clone(), all[5].clone()]);
    // One for each half second.
    let numbers: Vec<usize> = sums(&[&bars, "--every", "500ms"]).into_iter().map(|frame| frame.0).collect();
    let shown = |time: f64| times.iter().rposition(|start| *start <= time + 1e-9).unwrap();
    let end = 120.0 * 1001.0 / 30_000.0;
    let expected: Vec<usize> =
        (0..9).map(|n| f64::from(n) * 0.5).filter(|time| *time < end).map(shown).collect();
    assert_eq!(numbers, expected);
    let part = ["--every", "500ms", "--start", "1", "--duration", "1.2", "--frames", "2"];
    let some: Vec<usize> =
        sums(&[&[bars.as_str()], &part[..]].concat()).into_iter().map(|frame| frame.0).collect();
    assert_eq!(some, [shown(1.0), shown(1.5)]);
}

#[test]
fn chosen_frames_go_wherever_frames_go() {
    let scratch = Scratch::new();
    let bars = clip("bars.mp4");
    run(&["decode", &bars, &scratch.path("p-%02d.png"), "--frames-at", "90,10", "-q"]).ok();
    let yuv = scratch.path("two.yuv");
    let json =
        run(&["decode", &bars, &yuv, "--frames-at", "90,10", "-q", "--json", "--size", "160x90"]).ok().json();
    assert_eq!(std::fs::metadata(&yuv).unwrap().len(), 2 * 160 * 90 * 3 / 2);
    assert_eq!((&json["picked"][0]["index"], &json["picked"][1]["index"]), (&90.into(), &10.into()));
    // 90 frames of 1001/30000 s, exactly.
    let exactly =
        (json["picked"][0]["pts"].as_u64().unwrap(), json["picked"][0]["time_base"].as_str().unwrap());
    let (num, den) = exactly.1.split_once('/').unwrap();
    let (num, den): (u64, u64) = (num.parse().unwrap(), den.parse().unwrap());
    assert_eq!(exactly.0 * num * 30_000, 90 * 1001 * den, "{exactly:?}");
    assert_eq!(json["frames"]["out"].as_u64().or(json["frames_out"].as_u64()), Some(2), "{json:#}");
    assert_eq!(scratch.names(), ["p-01.png", "p-02.png", "two.yuv"]);
    // One picture needs no number in its name, several do.
    let one = scratch.path("one.png");
    run(&["decode", &bars, &one, "--frames-at", "90", "-q"]).ok();
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(scratch.path("p-01.png")).unwrap());
    run(&["decode", &bars, &one, "--frames-at", "90", "-q"]).refused(2, &["exists"]);
    run(&["decode", &bars, &one, "--frames-at", "90,10", "-q", "-y"]).refused(2, &["frame-%05d.png"]);
    let sums = run(&["decode", &bars, "--frame-md5", "--md5", "--times-at", "0", "-q", "--json"]).ok().json();
    assert_eq!(sums["frame_md5"][0]["index"], 0);
    run(&["decode", &bars, "--null", "--frames-at", "5", "-q"]).ok();
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let bars = clip("bars.mp4");
    run(&["decode", &bars, "--md5", "--frames-at", "120"]).refused(2, &["--frames-at 120", "120 frames"]);
    run(&["decode", &bars, "--md5", "--frames-at", "7-120"]).refused(2, &["--frames-at 120", "120 frames"]);
    run(&["decode", &bars, "--md5", "--frames-at", "0..3"]).refused(2, &["0..3", "20-29"]);
    run(&["decode", &bars, "--md5", "--times-at", "99"])
        .refused(2, &["--times-at 99", "shows no frame then"]);
    run(&["decode", &bars, "--md5", "--frames-at", "1", "--fps", "30"]).refused(2, &["--fps"]);
    run(&["decode", &bars, "--md5", "--every", "1us"]).refused(2, &["--every", "make it longer"]);
    run(&["decode", "-", "--md5", "--frames-at", "1"]).refused(3, &["read only once"]);
    run(&["thumbnails", &bars, "sheet.jpg"]).refused(2, &["sheet.jpg", "PNG"]);
}

/// A frame that is lost does not give its number to the next one.
#[test]
fn frames_keep_their_numbers_where_others_are_lost() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let (whole, cut) = (scratch.path("whole.ts"), scratch.path("cut.ts"));
    let source = "testsrc2=s=320x180:r=25:d=3";
    let coded = ["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "2", "-y", &whole];
    tool("ffmpeg", &[&["-v", "error", "-f", "lavfi", "-i", source][..], &coded].concat());
    let mut bytes = std::fs::read(&whole).unwrap();
    // The payloads cannot be read from the second group on.
    bytes.chunks_mut(188).skip(300).for_each(|packet| packet[3] |= 0x80);
    std::fs::write(&cut, bytes).unwrap();
    let all = sums(&[&whole]);
    let last = run(&["decode", &cut, "--frame-md5", "-q", "--keep-going"]).out().lines().count();
    for lost in last.saturating_sub(2)..last + 2 {
        let numbers = format!("{lost},1,5");
        let asked =
            run(&["decode", &cut, "--frame-md5", "-q", "--keep-going", "--frames-at", &numbers]).out();
        for number in [1_usize, 5] {
            let line = format!("{number} {} {}", all[number].1, all[number].2);
            assert!(asked.is_empty() || asked.contains(&line), "{numbers}: {asked}");
        }
    }
}

#[test]
fn an_index_is_kept_where_it_is_asked_for_and_refused_when_it_is_stale() {
    let scratch = Scratch::new();
    let film = scratch.path("film.h264");
    std::fs::copy(clip("small.h264"), &film).unwrap();
    let index = scratch.path("film.index");
    let first = sums(&[&film, "--frames-at", "40,2", "--index", &index]);
    let kept = std::fs::read(&index).unwrap();
    assert_eq!(sums(&[&film, "--frames-at", "40,2", "--index", &index]), first);
    assert_eq!(std::fs::read(&index).unwrap(), kept);
    let longer = [std::fs::read(&film).unwrap(), std::fs::read(&film).unwrap()].concat();
    std::fs::write(&film, longer).unwrap();
    let refused = run(&["decode", &film, "--md5", "--frames-at", "1", "--index", &index]);
    refused.refused(1, &["film.index", "another state", "made again"]);
    assert_eq!(sums(&[&film, "--frames-at", "90"]).len(), 1);
}

#[test]
fn a_sheet_has_the_pictures_that_a_player_shows() {
    let scratch = Scratch::new();
    let sheet = scratch.path("sheet.png");
    let bars = clip("bars.mp4");
    let json =
        run(&["thumbnails", &bars, &sheet, "--grid", "3x2", "--width", "80", "-q", "--json"]).ok().json();
    assert_eq!((json["size"].as_str(), json["picked"].as_array().unwrap().len()), (Some("248x96"), 6));
    // In the middle of each sixth.
    let numbers: Vec<u64> =
        json["picked"].as_array().unwrap().iter().map(|one| one["index"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [10, 30, 50, 70, 90, 110]);
    assert!(std::fs::read(&sheet).unwrap().starts_with(b"\x89PNG"));
    run(&["thumbnails", &bars, &sheet]).refused(2, &["exists"]);
    // Stored on its side: upright on the sheet, in its own shape.
    let json = run(&[
        "thumbnails",
        &clip("vfr-rotated.mp4"),
        &sheet,
        "--grid",
        "2x1",
        "--width",
        "72",
        "-y",
        "-q",
        "--json",
    ]);
    assert_eq!(json.ok().json()["size"], "148x88");
    let large = run(&["thumbnails", &bars, &sheet, "-y", "--grid", "100x100", "--width", "4000"]);
    large.refused(2, &["is larger than"]);
    if have("ffmpeg") {
        // The samples of one cell are those of the frame, scaled and converted in the same way.
        let one = scratch.path("one.png");
        run(&["thumbnails", &bars, &one, "--grid", "1x1", "--width", "640", "-q"]).ok();
        run(&["decode", &bars, &scratch.path("f-%d.png"), "--frames-at", "60", "-q"]).ok();
        let raw = |file: &str| tool("ffmpeg", &["-v", "error", "-i", file, "-f", "md5", "-"]);
        assert_eq!(raw(&one), raw(&scratch.path("f-1.png")));
    }
}

/// Films on which a start is hard to find.
fn films(scratch: &Scratch) -> Vec<String> {
    let source = ["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25:duration=4"];
    let made = |name: &str, args: &str| {
        let path = scratch.path(name);
        let args: Vec<&str> = args.split(' ').collect();
        tool("ffmpeg", &[&source[..], &["-pix_fmt", "yuv420p"], &args, &[&path]].concat());
        path
    };
    let open = made("open.mp4", "-c:v libx264 -preset veryfast -g 25 -bf 3 -x264-params open-gop=1");
    let uneven =
        "-vf setpts=PTS+mod(N*37\\,11)/250/TB -fps_mode vfr -c:v libx264 -preset veryfast -g 20 -bf 2";
    let uneven = made("uneven.mp4", uneven);
    let cut = scratch.path("cut.mp4");
    tool("ffmpeg", &["-v", "error", "-y", "-ss", "1.3", "-i", &open, "-c", "copy", &cut]);
    let leading =
        "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=25:open-gop=1:bframes=3";
    vec![open, uneven, cut, made("leading.mp4", leading)]
}

#[test]
fn a_part_of_a_transcode_begins_and_ends_at_the_exact_frame() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    for film in films(&scratch) {
        let all = sums(&[&film]);
        for (start, length) in [(0.0, 0.5), (0.999, 0.77), (1.0, 1.0), (1.041, 0.04), (2.013, 5.0)] {
            let inside = |time: &str| {
                let time: f64 = time.parse().unwrap();
                time >= start - 1e-6 && time < start + length - 1e-6
            };
            let expected: Vec<&(usize, String, String)> =
                all.iter().filter(|frame| inside(&frame.1)).collect();
            if expected.is_empty() {
                continue;
            }
            let part = ["--start".to_owned(), start.to_string(), "--duration".to_owned(), length.to_string()];
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            let got = sums(&[&[film.as_str()], &part[..]].concat());
            let samples =
                |frames: &[&(usize, String, String)]| frames.iter().map(|f| f.2.clone()).collect::<Vec<_>>();
            assert_eq!(
                samples(&got.iter().collect::<Vec<_>>()),
                samples(&expected),
                "{film} {start} {length}"
            );
            let out = scratch.path("part.mp4");
            run(&[&["transcode", &film, &out, "-y", "-q", "--backend", "software"], &part[..]].concat()).ok();
            let times = frame_times(&out);
            let expected: Vec<f64> = expected.iter().map(|f| f.1.parse::<f64>().unwrap() - start).collect();
            assert_eq!(times.len(), expected.len(), "{film} {start} {length}");
            let apart = times.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < 0.0011, "{film} {start} {length}: {times:?} {expected:?}");
        }
    }
}
