//! Interlaced inputs: told by default, made progressive on request; ffprobe and ffmpeg are the judges.

use crate::common::{Scratch, clip, have, plays, run, tool};

/// Edges as soft as those of a camera, which move to the side from field to field.
const SCENE: &str = "testsrc2=s=32x32:r=50,scale=128:128:flags=bicubic,scroll=h=0.03";

/// Interlaced pictures of the input as ffprobe sees them.
fn interlaced(file: &str) -> usize {
    let args = [
        "-v",
        "error",
        "-select_streams",
        "v",
        "-show_entries",
        "frame=interlaced_frame",
        "-of",
        "csv=p=0",
        file,
    ];
    tool("ffprobe", &args).lines().filter(|line| line.starts_with('1')).count()
}

/// Streams of 12 pictures: interlaced ones of both field orders, and such as only look like it.
fn streams(scratch: &Scratch) -> Vec<String> {
    let weave = |mode: &str, field: &str| {
        format!("{SCENE},trim=end_frame=24,tinterlace={mode},fps=25,setfield={field}")
    };
    let cases: [(&str, &str, &[&str]); 5] = [
        ("top.h264", "interleave_top", &["-c:v", "libx264", "-flags", "+ildct+ilme", "-top", "1"]),
        ("bottom.mp4", "interleave_bottom", &["-c:v", "libx264", "-flags", "+ildct+ilme", "-top", "0"]),
        ("fake.mp4", "interleave_top", &["-c:v", "libx264", "-x264-params", "fake-interlaced=1"]),
        ("progressive.mp4", "interleave_top", &["-c:v", "libx264"]),
        ("top.mp4", "interleave_top", &["-c:v", "libx265", "-x265-params", "log-level=none"]),
    ];
    let made = cases.map(|(name, mode, options)| {
        let field = if mode == "interleave_top" { "tff" } else { "bff" };
        let (source, output) = (weave(mode, field), scratch.path(name));
        let input = ["-v", "error", "-f", "lavfi", "-i", &source];
        let end = ["-pix_fmt", "yuv420p", "-threads", "1", "-y", &output];
        tool("ffmpeg", &[&input[..], options, &end].concat());
        output
    });
    made.into()
}

#[test]
fn interlaced_pictures_are_told_by_default() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let json = run(&["transcode", &clip("interlaced.h264"), &output, "-q", "--json"]).ok().json();
    assert_eq!(json["stages"]["filter"]["interlaced"], json["frames_in"], "{json}");
    let notes = json["notes"].to_string();
    assert!(notes.contains("encoded as frames") && notes.contains("--deinterlace"), "{notes}");
    let json = run(&["transcode", &clip("small.h264"), &output, "-y", "-q", "--json"]).ok().json();
    assert_eq!(json["stages"]["filter"]["interlaced"], 0);
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    for input in streams(&scratch) {
        let output = scratch.path("out.mp4");
        let json = run(&["transcode", &input, &output, "-y", "-q", "--json"]).ok().json();
        let told = json["stages"]["filter"]["interlaced"].as_u64().unwrap();
        assert_eq!(told as usize, interlaced(&input), "{input}: {json}");
    }
}

/// Pictures that do not say it themselves: the container does.
#[test]
fn the_container_s_word_counts_where_pictures_say_nothing() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    for (name, order, told) in [("top.mov", "tt", 6), ("progressive.mov", "progressive", 0)] {
        let (input, output) = (scratch.path(name), scratch.path("out.mp4"));
        let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25", "-frames:v", "6"];
        let codec = ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-field_order", order, "-y", &input];
        tool("ffmpeg", &[&source[..], &codec].concat());
        let args = ["transcode", &input, &output, "-y", "-q", "--json", "--decoder-backend", "ffmpeg"];
        let json = run(&args).ok().json();
        assert_eq!(json["stages"]["filter"]["interlaced"], told, "{name}: {json}");
    }
}

#[test]
fn deinterlacing_is_as_good_as_ffmpeg_s() {
    let scratch = Scratch::new();
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    for input in &streams(&scratch)[..2] {
        is_good(&scratch, input);
    }
}

#[track_caller]
fn is_good(scratch: &Scratch, input: &str) {
    let (output, judge) = (scratch.path("out.mp4"), scratch.path("judge.y4m"));
    let args = ["transcode", input, &output, "-y", "-q", "--json", "--deinterlace", "--qp", "10"];
    let json = run(&args).ok().json();
    assert_eq!(json["frames_out"], 12);
    assert_eq!(json["stages"]["filter"]["deinterlaced"], 12);
    assert!(json["notes"].to_string().contains("made progressive"), "{json}");
    plays(&output);
    assert_eq!(interlaced(&output), 0);
    // The truth: every other picture of the source that was woven.
    tool(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            &format!("{SCENE},trim=end_frame=24,framestep=2"),
            "-vsync",
            "passthrough",
            "-pix_fmt",
            "yuv420p",
            "-y",
            &judge,
        ],
    );
    let psnr = |file: &str, filter: &str| -> f64 {
        let graph = format!(
            "[0:v]settb=1/25,setpts=N,{filter}[a];[1:v]settb=1/25,setpts=N[b];[a][b]psnr=stats_file=-"
        );
        let out =
            tool("ffmpeg", &["-v", "error", "-i", file, "-i", &judge, "-lavfi", &graph, "-f", "null", "-"]);
        let luma = out
            .lines()
            .filter_map(|line| line.split("mse_y:").nth(1)?.split(' ').next()?.parse::<f64>().ok());
        let all: Vec<_> = luma.collect();
        assert_eq!(all.len(), 12, "{out}");
        10.0 * (255.0 * 255.0 / (all.iter().sum::<f64>() / all.len() as f64).max(0.01)).log10()
    };
    let (ours, theirs, woven) = (psnr(&output, "null"), psnr(input, "yadif=0"), psnr(input, "null"));
    assert!(ours > woven + 10.0, "{ours:.2} dB, woven {woven:.2} dB");
    assert!(ours > theirs - 1.0, "{ours:.2} dB, yadif {theirs:.2} dB");
}
