//! HDR10 metadata of an input in what a transcode makes of it; ffprobe is the judge.

#[cfg(target_os = "linux")]
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::container::ivf::IvfDemuxer;
use video_hw::container::{Demuxer, Input, open_input};
use video_hw::hdr::HdrMetadata;
use video_hw::pipeline::TranscodeReport;
use video_hw::stream_io::NonSeekable;

const DISPLAY: &str = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)";
const LIGHT: &str = "1000,400";
/// What ffprobe says of these numbers.
const WORDS: [&str; 7] = [
    "red_x=34000/50000",
    "green_y=34500/50000",
    "white_point_x=15635/50000",
    "min_luminance=50/10000",
    "max_luminance=10000000/10000",
    "max_content=1000",
    "max_average=400",
];
/// The same numbers in the steps of AV1.
const AV1_WORDS: [&str; 7] = [
    "red_x=44564/65536",
    "green_y=45220/65536",
    "white_point_x=20493/65536",
    "min_luminance=82/16384",
    "max_luminance=256000/256",
    "max_content=1000",
    "max_average=400",
];

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH").env_remove("NVSIM_REPORT").stdin(std::process::Stdio::null());
    command
}

/// A film that x265 has written the metadata into, of this transfer; `None`, and says so, where there is no x265.
fn film(directory: &Path, name: &str, transfer: &str) -> Option<PathBuf> {
    let file = directory.join(name);
    let parameters = format!(
        "log-level=none:bframes=0:hdr10=1:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:master-display={DISPLAY}:\
         max-cll={LIGHT}"
    );
    let made = command("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=320x192:r=25:d=0.6"])
        .args([
            "-pix_fmt",
            "yuv420p10le",
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            &parameters,
        ])
        .arg(&file)
        .output();
    let made = made.is_ok_and(|output| output.status.success());
    if !made {
        let _ = std::io::stderr().write_all(b"SKIPPED: no ffmpeg with libx265 to make a film of HDR\n");
    }
    made.then_some(file)
}

fn probe(file: &Path, arguments: &[&str]) -> String {
    let said = command("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0"])
        .args(arguments)
        .arg(file)
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

/// What ffprobe reads of the container, whatever the stream says.
fn in_container(file: &Path) -> String {
    probe(file, &["-show_streams"])
}

/// What it reads with the first picture.
fn in_stream(file: &Path) -> String {
    probe(file, &["-show_frames", "-read_intervals", "%+#1"])
}

fn assert_said(said: &str, words: &[&str], what: &str) {
    for word in words {
        assert!(said.contains(word), "{what}: no {word} in\n{said}");
    }
}

fn assert_not_said(said: &str, what: &str) {
    for word in ["max_luminance", "max_content"] {
        assert!(!said.contains(word), "{what}: {word} in\n{said}");
    }
}

fn by_software(input: &Path, output: &Path) -> TranscodeReport {
    video_hw::transcode(input, output).backend(BackendKind::Software).run().unwrap()
}

/// What our own reader says of a file.
fn read(file: &Path) -> HdrMetadata {
    let Input::Demuxer(demuxer) = open_input(file).unwrap() else { panic!("{}", file.display()) };
    demuxer.tracks().iter().find_map(|track| track.video.as_ref()).unwrap().hdr
}

fn wanted() -> HdrMetadata {
    HdrMetadata { mastering_display: DISPLAY.parse().ok(), content_light: LIGHT.parse().ok() }
}

/// The encoder writes no SEI: the file's boxes have it, and what is made of that file has it from there.
#[test]
fn boxes_carry_what_the_encoder_does_not_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    for name in ["in.mp4", "in.h265"] {
        let Some(input) = film(directory.path(), name, "smpte2084") else { return };
        assert_eq!(read(&input), wanted(), "{name}");
        let (first, second) = (path("first.mp4"), path("second.mp4"));
        let report = by_software(&input, &first);
        let notes = &report.encode.receipt.notes;
        assert!(notes.iter().any(|note| note.contains("HDR10 metadata is not in the stream")), "{notes:?}");
        assert_said(&in_container(&first), &WORDS, name);
        by_software(&first, &second);
        assert_said(&in_container(&second), &WORDS, "from boxes alone");
        assert_eq!(read(&second), wanted());
        std::fs::remove_file(&first).unwrap();
        std::fs::remove_file(&second).unwrap();
    }
}

/// Where there are no boxes either, the metadata is gone, and that is told where everybody reads it.
#[test]
fn metadata_that_nothing_states_is_lost_aloud() {
    let directory = tempfile::tempdir().unwrap();
    let Some(input) = film(directory.path(), "in.mp4", "smpte2084") else { return };
    let (raw, boxes) = (directory.path().join("out.h264"), directory.path().join("out.mp4"));
    let report = by_software(&input, &raw);
    assert_not_said(&in_stream(&raw), "a raw stream");
    let lost =
        |report: &TranscodeReport| report.notes.iter().any(|note| note.what.contains("metadata is lost"));
    let words = "software (openh264";
    assert!(lost(&report) && report.notes.iter().any(|note| note.what.contains(words)), "{:?}", report.notes);
    assert!(!lost(&by_software(&input, &boxes)), "the boxes have it");
    let plain = film(directory.path(), "sdr.mp4", "bt709").unwrap();
    std::fs::remove_file(&raw).unwrap();
    assert!(!lost(&by_software(&plain, &raw)), "it was left out, for another reason");
}

/// Makes boxes of these kinds into free space, as if whoever wrote the file had not known of them.
fn blank(file: &Path, kinds: &[&[u8; 4]]) {
    let mut bytes = std::fs::read(file).unwrap();
    for at in 0..bytes.len() - 4 {
        if kinds.iter().any(|kind| bytes[at..].starts_with(&kind[..])) {
            bytes[at..at + 4].copy_from_slice(b"free");
        }
    }
    std::fs::write(file, bytes).unwrap();
}

/// As hardware leaves it: messages in band, and the container knows nothing of them.
#[test]
fn messages_of_the_first_picture_are_found_behind_a_silent_container() {
    let directory = tempfile::tempdir().unwrap();
    let Some(raw) = film(directory.path(), "in.h265", "smpte2084") else { return };
    let (input, output) = (directory.path().join("in.mp4"), directory.path().join("out.mp4"));
    let copied = command("ffmpeg")
        .args(["-v", "error", "-f", "hevc", "-i"])
        .arg(&raw)
        .args(["-c", "copy"])
        .arg(&input)
        .status();
    assert!(copied.unwrap().success());
    blank(&input, &[b"mdcv", b"clli"]);
    assert!(read(&input).is_empty());
    assert_said(&in_stream(&input), &WORDS, "in band");
    by_software(&input, &output);
    assert_said(&in_container(&output), &WORDS, "from the first picture");
}

#[test]
fn what_is_not_hdr_has_no_metadata_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let Some(input) = film(directory.path(), "in.mp4", "bt709") else { return };
    let output = directory.path().join("out.mp4");
    let report = by_software(&input, &output);
    assert!(report.notes.iter().any(|note| note.what.contains("bt709 is not HDR")), "{:?}", report.notes);
    assert_not_said(&in_container(&output), "bt709");
}

/// Who says what the light is means it: an encoder that cannot state it is refused, as ever.
#[test]
fn what_the_caller_states_is_no_wish() {
    let directory = tempfile::tempdir().unwrap();
    let Some(input) = film(directory.path(), "in.mp4", "smpte2084") else { return };
    let output = directory.path().join("out.mp4");
    let job = video_hw::transcode(&input, &output).backend(BackendKind::Software);
    let refused = job.content_light("1,1".parse().unwrap()).run().unwrap_err();
    assert!(refused.to_string().contains("content_light 1,1"), "{refused}");
    assert!(!output.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn nvenc_states_what_its_input_did() {
    crate::support::nvidia::clean_on("ada", "nvenc_states_what_its_input_did", "", || {
        let directory = tempfile::tempdir().unwrap();
        let Some(input) = film(directory.path(), "in.mp4", "smpte2084") else { return };
        for (codec, name) in
            [(Codec::Hevc, "out.mp4"), (Codec::Hevc, "out.h265"), (Codec::Av1, "out-av1.mp4")]
        {
            let output = directory.path().join(name);
            let job = video_hw::transcode(&input, &output).codec(codec).encode_backend(BackendKind::Nvidia);
            let report = job.run().unwrap();
            let notes = &report.encode.receipt.notes;
            assert!(!notes.iter().any(|note| note.contains("HDR10")), "{notes:?}");
            assert_eq!(read(&output), wanted(), "{name}");
            assert_said(&in_stream(&output), if codec == Codec::Av1 { &AV1_WORDS } else { &WORDS }, name);
            if name.ends_with("mp4") {
                assert_said(&in_container(&output), &WORDS, name);
            }
        }
        // One half in a box, the other with the first picture alone.
        for (name, kind) in [("out.mp4", b"clli"), ("out-av1.mp4", b"mdcv")] {
            let [mixed, half] = ["mixed.mp4", "half.mp4"].map(|name| directory.path().join(name));
            std::fs::copy(directory.path().join(name), &mixed).unwrap();
            blank(&mixed, &[kind]);
            let stated = read(&mixed);
            assert!(!stated.is_whole() && !stated.is_empty(), "{name}: {stated:?}");
            by_software(&mixed, &half);
            assert_eq!(read(&half), wanted(), "{name}");
            std::fs::remove_file(&half).unwrap();
        }
        // IVF says nothing of light: what comes of it is what AV1 says in band, by a pipe too.
        let (av1, silent, last) = ("out-av1.mp4", "silent.ivf", "last.mp4");
        let [av1, silent, last] = [av1, silent, last].map(|name| directory.path().join(name));
        let copy = ["-v", "error", "-i", av1.to_str().unwrap(), "-c", "copy", silent.to_str().unwrap()];
        assert!(command("ffmpeg").args(copy).status().unwrap().success());
        let pipe = NonSeekable(std::fs::File::open(&silent).unwrap());
        let piped = IvfDemuxer::new(pipe, "-").unwrap().tracks()[0].video.as_ref().unwrap().hdr;
        assert_eq!((read(&silent), piped), (wanted(), wanted()));
        by_software(&silent, &last);
        assert_eq!(read(&last), wanted());
        // What the caller states takes the place of all of it.
        let output = directory.path().join("own.mp4");
        let job = video_hw::transcode(&input, &output).codec(Codec::Hevc).encode_backend(BackendKind::Nvidia);
        let report = job.content_light("77,7".parse().unwrap()).run().unwrap();
        let said = in_stream(&output);
        assert!(said.contains("max_content=77") && !said.contains("max_luminance"), "{said}");
        let told = report.notes.iter().any(|note| note.what.contains("mastering display is left out"));
        assert!(told, "{:?}", report.notes);
    });
}
