//! Every example that one runs to see something is run, and what it made is looked at.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Runs an example in a folder of its own; `clips/` of an argument is that of the repository. Its standard output.
#[track_caller]
fn run(folder: &Path, name: &str, args: &[&str]) -> String {
    let output = output(folder, name, args, |_| ());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same for one that may fail: whether it did not, and all that it said.
fn attempt(folder: &Path, name: &str, args: &[&str], change: impl FnOnce(&mut Command)) -> (bool, String) {
    let output = output(folder, name, args, change);
    let words = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&words).into_owned())
}

fn output(
    folder: &Path,
    name: &str,
    args: &[&str],
    change: impl FnOnce(&mut Command),
) -> std::process::Output {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let program: PathBuf =
        deps.parent().unwrap().join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    // `cargo test` builds them, `cargo test --test programs` by itself does not.
    assert!(program.exists(), "{} is not built: cargo build --examples", program.display());
    let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips");
    let args = args.iter().map(|arg| match arg.strip_prefix("clips/") {
        Some(clip) => clips.join(clip).into_os_string(),
        None => arg.into(),
    });
    let mut command = Command::new(&program);
    command.args(args).current_dir(folder).env_remove("VIDEO_HW_NV_METRICS");
    change(&mut command);
    command.output().unwrap()
}

/// A folder with the simulated driver under the driver's names; none (said loudly) when it is not built.
#[cfg(target_os = "linux")]
fn simulated_driver() -> Option<TempDir> {
    let library = std::env::current_exe().unwrap().parent().unwrap().join("libnvsim.so");
    if !library.exists() {
        let words =
            format!("SKIPPED: {} is not built (cargo test --workspace builds it)\n", library.display());
        let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
        return None;
    }
    let names = TempDir::new().unwrap();
    for name in ["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1", "libnvidia-ml.so.1"] {
        std::os::unix::fs::symlink(&library, names.path().join(name)).unwrap();
    }
    Some(names)
}

fn frames(path: &Path) -> usize {
    video_hw::frames(path).open().unwrap().inspect(|frame| assert!(frame.is_ok(), "{frame:?}")).count()
}

fn pictures(folder: &Path) -> usize {
    let is_png = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().path().extension().is_some_and(|e| e == "png")
    };
    folder.read_dir().unwrap().filter_map(|entry| is_png(entry).then_some(())).count()
}

#[test]
fn decode_annexb() {
    let folder = TempDir::new().unwrap();
    let said = run(folder.path(), "decode_annexb", &["clips/small.h264", "--chunk", "1000"]);
    let count = frames(&Path::new(env!("CARGO_MANIFEST_DIR")).join("clips/small.h264"));
    assert!(said.contains(&format!("{count} frames")), "{said}");
}

/// The types of a stream's pictures in the order in which they are shown, and which are key frames, by ffprobe; none (said
/// loudly) where it is not installed.
fn pictures_of(path: &Path) -> Option<Vec<(char, bool)>> {
    let words = [
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        "frame=pict_type,key_frame",
        "-of",
        "csv=p=0",
    ];
    let Ok(output) = Command::new("ffprobe").args(words).arg(path).output() else {
        let words = b"SKIPPED: ffprobe is not installed\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), words);
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let picture = |line: &str| {
        let (key, kind) = line.trim_end_matches(',').split_once(',').unwrap();
        (kind.chars().next().unwrap(), key == "1")
    };
    Some(text.lines().filter(|line| !line.is_empty()).map(picture).collect())
}

fn key_frames(pictures: &[(char, bool)]) -> Vec<usize> {
    pictures.iter().enumerate().filter_map(|(at, (_, key))| key.then_some(at)).collect()
}

#[test]
fn encode_synthetic() {
    let folder = TempDir::new().unwrap();
    for (name, option) in [("a.h264", "--nv-gop-length"), ("b.h264", "--gop-length")] {
        let args = [name, "--frames", "20", option, "5", "--backend", "software"];
        run(folder.path(), "encode_synthetic", &args);
        let path = folder.path().join(name);
        assert_eq!(frames(&path), 20);
        if let Some(pictures) = pictures_of(&path) {
            assert_eq!(key_frames(&pictures), [0, 5, 10, 15]);
        }
    }
}

/// The interval between P frames arrives at an encoder that has B frames, and is refused by one that has none.
#[test]
fn encode_synthetic_has_b_frames_where_they_are_asked_for() {
    let folder = TempDir::new().unwrap();
    let with = |backend: &str, interval: &str| {
        let words = ["s.h264", "--frames", "13", "--gop-length", "12", "--nv-frame-interval-p", interval];
        attempt(folder.path(), "encode_synthetic", &[&words[..], &["--backend", backend]].concat(), |_| ())
    };
    let (ok, said) = with("software", "3");
    assert!(!ok && said.contains("frame_interval_p 3"), "{said}");
    for wrong in ["0", "-1", "-2147483648"] {
        let (ok, said) = with("software", wrong);
        assert!(!ok && said.contains(&format!("frame_interval_p {wrong}")), "{said}");
    }
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: ffmpeg is not installed\n");
        return;
    }
    for wrong in ["0", "-1", "-2147483648"] {
        let (ok, said) = with("ffmpeg", wrong);
        assert!(!ok && said.contains(&format!("frame_interval_p {wrong}")), "{said}");
    }
    let (ok, said) = with("ffmpeg", "3");
    assert!(ok, "{said}");
    let pictures = pictures_of(&folder.path().join("s.h264")).unwrap();
    let kinds: String = pictures.iter().map(|(kind, _)| *kind).collect();
    assert!(kinds.starts_with("IBBPBBP"), "{kinds}");
    assert_eq!(key_frames(&pictures), [0, 12]);
}

#[test]
fn encode_raw_argb() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("in.raw"), vec![77; 64 * 48 * 4 * 5]).unwrap();
    let args = ["in.raw", "out.h264", "--size", "64x48", "--order", "bgra", "--nv-gop-length", "2"];
    let args = [&args[..], &["--codec", "h264", "--backend", "software"]].concat();
    let said = run(folder.path(), "encode_raw_argb", &args);
    assert!(said.contains("converted on the CPU") && said.contains("5 frames"), "{said}");
    let path = folder.path().join("out.h264");
    assert_eq!(frames(&path), 5);
    if let Some(pictures) = pictures_of(&path) {
        assert_eq!(key_frames(&pictures), [0, 2, 4]);
    }
    // What is only for NVENC is refused by others.
    let (ok, said) = attempt(
        folder.path(),
        "encode_raw_argb",
        &[&args[..], &["--nv-max-in-flight", "2"]].concat(),
        |_| (),
    );
    assert!(!ok && said.contains("backend settings nvidia"), "{said}");
}

#[test]
fn encode_raw_argb_takes_no_picture_that_is_cut_off() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("in.raw"), vec![77; 64 * 48 * 4 * 2 + 1]).unwrap();
    let args = ["in.raw", "out.h264", "--size", "64x48", "--backend", "software"];
    let (ok, said) = attempt(folder.path(), "encode_raw_argb", &args, |_| ());
    assert!(!ok && said.contains("picture 2 is cut off: 1 of 12288 bytes"), "{said}");
}

/// On a card pictures go to NVENC as they are, with the in-flight number that is asked for; figures come on request.
#[test]
#[cfg(target_os = "linux")]
fn encode_raw_argb_on_a_simulated_card() {
    let Some(names) = simulated_driver() else { return };
    let folder = TempDir::new().unwrap();
    let grey = |n: u8| vec![n * 9; 192 * 128 * 4];
    std::fs::write(folder.path().join("in.raw"), (1..25).flat_map(grey).collect::<Vec<_>>()).unwrap();
    for codec in ["h264", "hevc"] {
        let words = ["in.raw", "out.bin", "--size", "192x128", "--codec", codec, "--backend", "nvidia"];
        let words =
            [&words[..], &["--nv-max-in-flight", "3", "--nv-gop-length", "8", "--nv-frame-interval-p", "1"]]
                .concat();
        let (ok, said) = attempt(folder.path(), "encode_raw_argb", &words, |command| {
            command
                .env("LD_LIBRARY_PATH", names.path())
                .env("NVSIM_PROFILE", "ada")
                .env("TMPDIR", names.path())
                .env("NVSIM_SET", "time.enabled=true;time.encode_ns_per_frame=20000000")
                .env("VIDEO_HW_NV_METRICS", "1");
        });
        assert!(ok && said.contains("encoded as they are") && said.contains("24 frames"), "{said}");
        let line = said.lines().find(|line| line.starts_with("[nv.encode] ")).unwrap();
        // Pictures pile up in front of an engine that is slower than the program, as far as they may.
        let peak = line.split(' ').find_map(|word| word.strip_prefix("queue_peak=")).unwrap();
        assert!((2..=3).contains(&peak.parse::<u32>().unwrap()), "{line}");
        assert!(line.contains(" lock_ms_per_picture="), "{line}");
        assert!(line.contains(&format!(" input_copy_bytes={} ", 24 * 192 * 128 * 4)), "{line}");
        if let Some(pictures) = pictures_of(&folder.path().join("out.bin")) {
            assert_eq!(key_frames(&pictures), [0, 8, 16], "{codec}");
        }
    }
}

#[test]
fn encode_to_mp4() {
    let folder = TempDir::new().unwrap();
    let said = run(folder.path(), "encode_to_mp4", &["out.mp4", "--frames", "45", "--backend", "software"]);
    assert!(said.starts_with("h264 encode: software (") && said.contains("45 frames"), "{said}");
    let path = folder.path().join("out.mp4");
    assert_eq!(frames(&path), 45);
    let entries = "stream=codec_name,width,height,time_base,avg_frame_rate,nb_frames,duration_ts";
    let words = ["-v", "error", "-show_entries", entries, "-of", "default=nw=1"];
    let Ok(output) = Command::new("ffprobe").args(words).arg(&path).output() else {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: ffprobe is not installed\n");
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "codec_name=h264",
        "width=320",
        "height=180",
        "time_base=1/30",
        "avg_frame_rate=30/1",
        "nb_frames=45",
        "duration_ts=45",
    ] {
        assert!(text.lines().any(|said| said == line), "no {line}: {text}");
    }
}

#[test]
fn transform_nv12_rgb() {
    let folder = TempDir::new().unwrap();
    let said = run(folder.path(), "transform_nv12_rgb", &["--frames", "12", "--threads", "2"]);
    assert!(said.contains("12 pictures of 1280x720 in order"), "{said}");
    assert!(said.contains("on 2 threads"), "{said}");
}

#[test]
fn decode_rgb() {
    let folder = TempDir::new().unwrap();
    let said = run(folder.path(), "decode_rgb", &["clips/small.h264"]);
    let count = frames(&Path::new(env!("CARGO_MANIFEST_DIR")).join("clips/small.h264"));
    assert!(said.starts_with(&format!("{count} frames, ")), "{said}");
}

#[test]
fn decode_to_png() {
    let folder = TempDir::new().unwrap();
    let said = run(
        folder.path(),
        "decode_to_png",
        &["clips/bars.mp4", "f-%03d.png", "--start", "0.5", "--frames", "4"],
    );
    assert!(said.contains("4 pictures"), "{said}");
    assert_eq!(pictures(folder.path()), 4);
}

#[test]
fn thumbnails() {
    let folder = TempDir::new().unwrap();
    let said =
        run(folder.path(), "thumbnails", &["clips/bars.mp4", "t-%02d.png", "--count", "3", "--width", "80"]);
    assert_eq!((pictures(folder.path()), said.lines().count()), (3, 3), "{said}");
    // Three different pictures, not one three times.
    let png = |n: u32| std::fs::read(folder.path().join(format!("t-{n:02}.png"))).unwrap();
    assert!(png(1) != png(2) && png(2) != png(3));
}

#[test]
fn random_frames() {
    let said =
        run(TempDir::new().unwrap().path(), "random_frames", &["clips/bars.mp4", "40", "3", "119", "3"]);
    let lines: Vec<_> = said.lines().collect();
    assert!(lines.len() == 6 && lines[0].contains("120 frames, 4.004 s"), "{said}");
    assert!(lines[1].starts_with("frame 40 at 1.335 s: 224x126") && lines[2] == lines[4], "{said}");
    assert!(lines[5].starts_with("at 2.002 s: the frame of 2.002 s"), "{said}");
}

#[test]
fn transcode_gpu_without_a_gpu() {
    let folder = TempDir::new().unwrap();
    let said = run(folder.path(), "transcode_gpu", &["clips/bars.mp4", "out.mp4", "--bitrate", "500000"]);
    assert!(said.contains("between decoder and encoder"), "{said}");
    let bars = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips/bars.mp4");
    assert_eq!(frames(&folder.path().join("out.mp4")), frames(&bars));
}

#[test]
fn switch_bitrate() {
    let folder = TempDir::new().unwrap();
    run(folder.path(), "switch_bitrate", &["s.h264", "--frames", "30", "--backend", "software"]);
    assert_eq!(frames(&folder.path().join("s.h264")), 30);
}

#[test]
fn switch_scheduled() {
    let folder = TempDir::new().unwrap();
    let said = run(folder.path(), "switch_scheduled", &["s.h264", "--frames", "40", "--backend", "software"]);
    assert_eq!(frames(&folder.path().join("s.h264")), 40);
    assert!(said.contains("generation 2:") && said.contains("accounted for: true"), "{said}");
}
