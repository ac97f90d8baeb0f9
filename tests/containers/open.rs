//! Opening inputs by content, and telling clearly what cannot be opened.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::streams::{have, run, streams, text};
use video_hw::codec::Codec;
use video_hw::container::ContainerFormat;
use video_hw::container::OutputFormat;
use video_hw::container::{Input, open_input, open_raw};
use video_hw::dimensions::Dimensions;
use video_hw::packet::BitstreamLayout;
use video_hw::pixel::PixelFormat;
use video_hw::time::Rational;

fn error(path: &Path) -> String {
    let message = open_input(path).expect_err(text(path)).to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    message
}

fn codec_of(path: &Path) -> (ContainerFormat, Codec) {
    match open_input(path).unwrap() {
        Input::Demuxer(demuxer) => {
            (demuxer.format(), demuxer.tracks()[0].video.as_ref().map(|v| v.codec).unwrap())
        }
        Input::Frames(_) => panic!("{} is not pictures", path.display()),
    }
}

#[test]
fn every_stream_is_recognised_whatever_its_name() {
    #[cfg(unix)]
    let dir = tempfile::tempdir().unwrap();
    for path in streams() {
        let name = text(&path);
        let extension = path.extension().and_then(|extension| extension.to_str());
        let expected = match extension {
            Some("h264") => (ContainerFormat::ElementaryStream, Codec::H264),
            Some("h265") => (ContainerFormat::ElementaryStream, Codec::Hevc),
            _ if name.ends_with("vp8.ivf") => (ContainerFormat::Ivf, Codec::Vp8),
            _ if name.ends_with("vp9.ivf") => (ContainerFormat::Ivf, Codec::Vp9),
            _ => (ContainerFormat::Ivf, Codec::Av1),
        };
        assert_eq!(codec_of(&path), expected, "{name}");
        #[cfg(unix)]
        for wrong in ["nothing", "x.h265", "x.h264", "x.mp4"] {
            let link = dir.path().join(wrong);
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert_eq!(codec_of(&link), expected, "{name} as {wrong}");
        }
    }
}

#[test]
fn what_is_no_video_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    assert!(error(&file("zero.mp4", b"")).ends_with("zero.mp4 is empty (0 bytes)"));
    assert!(error(dir.path()).ends_with("is a directory, not a file"));
    let missing = dir.path().join("missing.mp4");
    // In the words of the system.
    let expected = format!("open {}: {}", missing.display(), std::io::Error::from_raw_os_error(2));
    assert_eq!(error(&missing), expected);
    let message = error(&file("notes.h264", b"Dear diary,\ntoday ..."));
    assert!(message.contains("looks like text: \"Dear diary,\\ntoday ...\""), "{message}");
    let message = error(&file("x.mp4", &[0xd0, 0xcf, 0x11, 0xe0, 0xa1]));
    assert!(message.contains("begins with d0 cf 11 e0 a1)"), "{message}");
    let message = error(&file("x.mp4", b"\x1a\x45\xdf\xa3\x01"));
    assert!(message.contains("no readable EBML header"), "{message}");
    let message = error(&file("x.mp4", b"OggS"));
    assert!(message.contains("Ogg input") && message.contains("ffmpeg -i IN"), "{message}");
    let message = error(&file("x.yuv", &[0, 0, 1, 0x67, 66, 0, 30, 0, 0, 1, 0x65, 0x88]));
    assert!(message.contains("state their size, pixel format and frame rate"), "{message}");
    let message = error(&file("x.ivf", b"DKIF"));
    assert!(message.contains("4 of 32 bytes"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_file_without_permission_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret.mp4");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        // Root reads everything, without these capabilities it does not.
        let limited = Command::new("setpriv")
            .args(["--bounding-set", "-dac_override,-dac_read_search"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "open::a_file_without_permission_is_told"])
            .output()
            .unwrap();
        assert!(limited.status.success(), "{}", String::from_utf8_lossy(&limited.stdout));
        return;
    }
    assert_eq!(error(&path), format!("open {}: Permission denied (os error 13)", path.display()));
}

#[test]
fn raw_pictures_need_their_format_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.bin");
    fs::write(&path, [7; 24 * 2 + 1]).unwrap();
    let open = |path| {
        open_raw(path, PixelFormat::I420, Dimensions::new(4, 4).unwrap(), Rational::new(10, 1).unwrap())
    };
    let mut reader = open(&path).unwrap();
    assert_eq!(reader.next_frame().unwrap().unwrap().pts.to_string(), "0.000000s");
    assert_eq!(reader.next_frame().unwrap().unwrap().pts.to_string(), "0.100000s");
    let message = reader.next_frame().unwrap_err().to_string();
    assert!(message.contains("1 of 24 bytes, 23 missing"), "{message}");
    fs::write(&path, []).unwrap();
    assert!(open(&path).err().unwrap().to_string().contains("is empty (0 bytes)"));
}

#[test]
fn output_formats_come_from_the_name_or_are_stated() {
    let of = |path: &str, explicit: Option<&str>| OutputFormat::from_path(path.as_ref(), explicit);
    for (names, format) in [
        (&["mp4", "m4v", "mov", "MP4"][..], OutputFormat::Mp4),
        (&["264", "h264"], OutputFormat::Elementary(Codec::H264)),
        (&["265", "h265", "hevc"], OutputFormat::Elementary(Codec::Hevc)),
        (&["ivf"], OutputFormat::Ivf),
        (&["ts", "mpegts"], OutputFormat::MpegTs),
        (&["m2ts", "mts"], OutputFormat::M2ts),
        (&["y4m"], OutputFormat::Y4m),
        (&["yuv"], OutputFormat::RawVideo),
    ] {
        for name in names {
            assert_eq!(of(&format!("out.{name}"), None).unwrap(), format);
            assert_eq!(of("-", Some(name)).unwrap(), format);
            assert_eq!(of("out.png", Some(name)).unwrap(), format, "stated wins");
        }
        assert_eq!(of("-", Some(&format.to_string())).unwrap(), format, "the printed name is accepted");
    }
    assert_eq!(of("f-%03d.png", None).unwrap(), OutputFormat::PngSequence);
    assert_eq!(of("f-%03d", Some("png")).unwrap(), OutputFormat::PngSequence);
    assert_eq!(of("f.png", None).unwrap(), OutputFormat::PngSequence, "of one picture");
    assert!(of("f-%d-%d.png", None).unwrap_err().to_string().contains("frame-%05d.png"));
    assert!(of("-", None).unwrap_err().to_string().contains("standard output"));
    for (path, explicit) in [("out", None), ("out.xyz", None), (".mp4", None), ("out.mp4", Some("xyz"))] {
        let message = of(path, explicit).unwrap_err().to_string();
        assert!(
            message.contains("mp4, h264, hevc, ivf, mkv, webm, mpegts, m2ts, y4m, rawvideo, png"),
            "{message}"
        );
    }
}

/// Runs the test below in a process of its own with this standard input, and returns what it says.
fn through_stdin(stdin: Stdio, feed: Option<&[u8]>) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "open::opens_standard_input", "--nocapture"])
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let (Some(bytes), Some(mut pipe)) = (feed, child.stdin.take()) {
        use std::io::Write as _;
        // The child may have seen enough.
        let _ = pipe.write_all(bytes);
    }
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    said.lines().find_map(|l| l.strip_prefix("opened: ")).unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn packets_are_of_the_codec_of_their_track() {
    let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips");
    let mut formats = std::collections::BTreeSet::new();
    for entry in fs::read_dir(clips).unwrap() {
        let path = entry.unwrap().path();
        let Ok(Input::Demuxer(mut demuxer)) = open_input(&path) else { continue };
        let tracks = demuxer.tracks().to_vec();
        while let Some(packet) = demuxer.next_packet().unwrap() {
            let track = tracks.iter().find(|track| track.id == packet.track).unwrap();
            assert_eq!(packet.codec, track.video.as_ref().map(|video| video.codec), "{}", path.display());
            let layout = track.video.as_ref().map_or(BitstreamLayout::Opaque, |video| video.layout);
            assert_eq!(packet.layout, layout, "{}", path.display());
        }
        formats.insert(demuxer.format().to_string());
    }
    assert_eq!(formats.len(), 3, "{formats:?}");
}

#[test]
#[ignore = "part of standard_input_is_probed_and_loses_nothing"]
fn opens_standard_input() {
    let said = match open_input(Path::new("-")) {
        Ok(Input::Demuxer(mut demuxer)) => {
            let mut bytes = 0;
            while let Some(sample) = demuxer.next_packet().unwrap() {
                bytes += sample.data.len();
            }
            format!("{} of {bytes} bytes", demuxer.format())
        }
        Ok(Input::Frames(mut frames)) => {
            let mut count = 0;
            while frames.next_frame().unwrap().is_some() {
                count += 1;
            }
            format!("{count} frames of {}", frames.dimensions())
        }
        Err(e) => e.to_string(),
    };
    eprintln!("\nopened: {said}");
}

#[test]
fn standard_input_is_probed_and_loses_nothing() {
    let y4m = [&b"YUV4MPEG2 W64 H64 F25:1\n"[..], &[&b"FRAME\n"[..], &[9; 6144]].concat().repeat(5)].concat();
    assert_eq!(through_stdin(Stdio::piped(), Some(&y4m)), "5 frames of 64x64");
    assert_eq!(through_stdin(Stdio::null(), None), "invalid input: standard input is empty (0 bytes)");
    let mp4 = b"\0\0\0\x18ftypisom\0\0\0\0isommp42\0\0\0\x10mdat\0\0\0\0\0\0\0\0";
    let said = through_stdin(Stdio::piped(), Some(mp4));
    for words in ["standard input", "MP4 from a pipe", "moov", "save it to a file first", "`spool`"] {
        assert!(said.contains(words), "{said}");
    }
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.hevc");
    let source = "testsrc2=s=320x240:r=25";
    run("ffmpeg", &["-f", "lavfi", "-i", source, "-frames:v", "20", "-c:v", "libx265", text(&path)]);
    let bytes = fs::read(&path).unwrap();
    let expected = format!("elementary stream of {} bytes", bytes.len());
    assert_eq!(through_stdin(Stdio::piped(), Some(&bytes)), expected);
    assert_eq!(through_stdin(fs::File::open(&path).unwrap().into(), None), expected);
}
