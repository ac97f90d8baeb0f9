//! Programs that are not ffmpeg, or a bad one: each misbehaves in one way, and each time there is an error that says
//! so, nothing hangs, and no process is left.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::child::{Output, Process};
use super::nut::{self, Damage, NutReader};
use super::{encode_capability, open_encoder};
use crate::backend::{EncodeEvent, EncodeSink, EncodeUnit};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface};
use crate::pixel::PixelFormat;
use crate::time::{Rational, TimeBase, Timestamp};

const ANSWERS: &str = r#"#!/bin/sh
case "$*" in
*-version*) printf 'ffmpeg version 6.0-fake Copyright\nlibavcodec     60.  3.100 / 60.  3.100\n'; exit 0 ;;
*-encoders*) printf ' V....D libx264 x\n V....D libx265 x\n V....D h264_nvenc x\n'; exit 0 ;;
*encoder=*) printf '    Supported pixel formats: yuv420p nv12\n'; exit 0 ;;
esac
"#;

/// A folder with a program `ffmpeg` that is this script.
struct Fake {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Fake {
    /// Answers questions as ffmpeg does, and then behaves as `evil` says.
    fn encoder(evil: &str) -> Self {
        Self::script(&format!("{ANSWERS}{evil}\n"))
    }

    fn script(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (text_file, path) = (folder.path().join("text"), folder.path().join("ffmpeg"));
        std::fs::write(&text_file, text).unwrap();
        // By another process: a child that another test starts just now would hold this one's descriptor for a moment, and
        // a file that is open for writing is not run.
        let installed = Command::new("install").args(["-m", "755"]).arg(&text_file).arg(&path).status();
        assert!(installed.unwrap().success());
        Self { _folder: folder, path }
    }

    fn config(&self) -> CommonEncodeConfig {
        let size = Dimensions::new(64, 64).unwrap();
        let mut config = CommonEncodeConfig::new(Codec::H264, size, Rational::new(25, 1).unwrap());
        config.device = Some(self.path.display().to_string());
        config
    }

    /// Encodes ten pictures; what came out, and how it ended.
    fn encode(&self) -> (u64, Result<()>) {
        let reported = Arc::new(Mutex::new(0));
        let count = Arc::clone(&reported);
        let sink: EncodeSink = Box::new(move |event| {
            *count.lock().unwrap() += u64::from(matches!(event, EncodeEvent::Unit(_)));
            true
        });
        let opened = open_encoder(&self.config(), &BackendEncodeConfig::None, sink);
        let done = opened.and_then(|mut encoder| {
            for serial in 0..10 {
                encoder.submit(EncodeUnit { serial, frame: frame(serial) })?;
            }
            encoder.flush()
        });
        let reported = *reported.lock().unwrap();
        (reported, done)
    }

    /// The error's words; what is asked for has to be in them.
    fn fails_with(&self, message: &[&str]) -> Error {
        let (_, done) = self.encode();
        let error = done.unwrap_err();
        let text = error.to_string();
        assert!(message.iter().all(|word| text.contains(word)), "{message:?} in {text}");
        error
    }
}

fn frame(number: u64) -> Frame {
    let size = Dimensions::new(64, 64).unwrap();
    let picture = HostSurface::from_packed(PixelFormat::I420, size, vec![number as u8; 6144]).unwrap();
    Frame::host(Timestamp::new(number as i64, TimeBase::new(1, 25).unwrap()), picture)
}

#[test]
fn a_program_that_does_not_answer_like_ffmpeg_is_not_available() {
    for (script, message) in [
        ("#!/bin/sh\nexit 0\n", "does not answer like ffmpeg"),
        ("#!/bin/sh\necho hello\n", "does not answer like ffmpeg: \"hello"),
        ("#!/bin/sh\nexit 7\n", "ended with code 7"),
        ("#!/bin/sh\nkill -11 $$\n", "signal 11"),
        ("#!/bin/sh\nprintf 'ffmpeg version 4.3.1 x\\nlibavcodec 58. 91.100 / 58. 91.100\\n'\n", "too old"),
        ("#!/bin/sh\ncat /dev/zero\n", "more than 1048576 bytes"),
        ("not a program at all", "cannot be started"),
    ] {
        let fake = Fake::script(script);
        let error = fake.fails_with(&[message, fake.path.to_str().unwrap()]);
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        assert!(
            error.to_string().contains("Install ffmpeg") || message.contains("cannot be started"),
            "{error}"
        );
        let device = fake.path.to_str();
        assert!(encode_capability(device, &BackendEncodeConfig::None, Codec::H264).is_err());
    }
}

#[test]
fn a_child_that_dies_is_named_with_its_last_words() {
    let last = "echo first words >&2; echo last words >&2;";
    Fake::encoder(&format!("{last} exit 3")).fails_with(&["code 3", "first words; last words"]);
    Fake::encoder(&format!("{last} head -c 10000 >&2; kill -9 $$")).fails_with(&["signal 9", "last words"]);
    Fake::encoder("cat > /dev/null; kill -15 $$").fails_with(&["signal 15", "SIGTERM"]);
    // Well-mannered, but without any result.
    Fake::encoder("cat > /dev/null").fails_with(&["of 10 pictures 10 gave no packet"]);
    Fake::encoder("exit 0").fails_with(&["no packet"]);
}

#[test]
fn known_words_are_told_as_instructions() {
    let fake = Fake::encoder("echo \"[error] Unknown encoder 'libx264'\" >&2; exit 1");
    let error = fake.fails_with(&["Unknown encoder", "built without it"]);
    assert!(matches!(error, Error::Unsupported { .. }));
}

/// The fake lists NVENC first; opening has to find out that there is no card, and goes on to the next.
#[test]
fn a_hardware_encoder_that_is_only_listed_is_passed_over() {
    let evil = "case \"$*\" in *nvenc*) echo 'Cannot load libcuda.so.1' >&2; exit 1 ;; esac; cat > /dev/null";
    let fake = Fake::encoder(evil);
    let sink: EncodeSink = Box::new(|_| true);
    let encoder = open_encoder(&fake.config(), &BackendEncodeConfig::None, sink).unwrap();
    assert_eq!(encoder.implementation(), "ffmpeg, libx264");
    let named = crate::config::FfmpegEncodeConfig {
        encoder: Some("h264_nvenc".into()),
        ..crate::config::FfmpegEncodeConfig::default()
    };
    let sink: EncodeSink = Box::new(|_| true);
    let error = open_encoder(&fake.config(), &BackendEncodeConfig::Ffmpeg(named), sink).err().unwrap();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("libcuda") && error.to_string().contains("Install the driver"));
}

#[test]
fn garbage_and_floods_are_survived() {
    Fake::encoder("cat > /dev/null; head -c 1000000 /dev/urandom").fails_with(&["cannot be understood"]);
    Fake::encoder("cat > /dev/null; printf 'nut/multimedia con'").fails_with(&["cut short"]);
    // Both pipes full at once, and input that nobody reads.
    Fake::encoder("head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero; cat > /dev/null")
        .fails_with(&["cannot be understood"]);
    Fake::encoder("yes 'the same' | head -c 5000000 >&2; cat > /dev/null; exit 9")
        .fails_with(&["code 9", "the same"]);
}

/// Packets that are well-formed but not those of the pictures that were given.
#[test]
fn packets_that_nobody_asked_for_end_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("packets.nut");
    let mut bytes = nut::headers(*b"H264", 64, 64, (1, 25), 0);
    for pts in [0, 1, 1] {
        bytes.extend(nut::frame(pts, true, 4));
        bytes.extend([0, 0, 1, 0x65]);
    }
    std::fs::write(&file, &bytes).unwrap();
    let evil = format!("cat > /dev/null; cat {}", file.display());
    // No parameter sets in the first one.
    Fake::encoder(&evil).fails_with(&["begins without its headers"]);

    let mut bytes = nut::headers(*b"H264", 64, 64, (1, 25), 0);
    for pts in [90, 10] {
        bytes.extend(nut::frame(pts, true, 0));
    }
    std::fs::write(&file, &bytes).unwrap();
    Fake::encoder(&evil).fails_with(&["cannot be understood"]);
}

fn read_packets(output: Output) -> std::result::Result<(), Damage> {
    let mut reader = NutReader::new(output, 1 << 20);
    while reader.next_packet()?.is_some() {}
    Ok(())
}

fn start(script: &Fake, wanted: bool) -> Process {
    let patience = Duration::from_secs(2);
    Process::start_patient(&script.path, &[], Box::new(read_packets), Box::new(move || wanted), patience)
        .unwrap()
}

fn is_there(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

/// Fills the pipe of a child that reads nothing.
fn fill(process: &mut Process) -> Result<bool> {
    loop {
        let load = Box::new(|to: &mut dyn Write| to.write_all(&vec![0; 300_000]));
        match process.put(load) {
            Ok(true) => {}
            other => return other,
        }
    }
}

#[test]
fn a_child_that_hangs_is_killed_and_named() {
    let scratch = tempfile::tempdir().unwrap();
    let said = scratch.path().join("said");
    let script = format!("#!/bin/sh\necho 'still thinking' >&2\n: > '{}'\nexec sleep 1000\n", said.display());
    let hanging = Fake::script(&script);
    let mut process = start(&hanging, true);
    let number = process.id();
    // The shell may take longer to begin than it may hang.
    let begun = Instant::now();
    while !said.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the shell does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    let error = fill(&mut process).unwrap_err().to_string();
    assert!(error.contains("hung") && error.contains("still thinking"), "{error}");
    assert!(!is_there(number));

    let mut process = start(&hanging, true);
    let error = process.finish().unwrap_err().to_string();
    assert!(error.contains("given nothing"), "{error}");
    assert!(!is_there(process.id()));
}

/// A session that is given up does not wait for a child that hangs.
#[test]
fn nobody_waits_for_what_nobody_wants() {
    let hanging = Fake::script("#!/bin/sh\nexec sleep 1000\n");
    let mut process = Process::start(&hanging.path, &[], Box::new(read_packets), Box::new(|| false)).unwrap();
    let began = Instant::now();
    assert!(matches!(fill(&mut process), Err(Error::Cancelled)));
    assert!(began.elapsed() < Duration::from_secs(20), "the limit for one that hangs is 30 seconds");
    assert!(!is_there(process.id()));
}

/// The shell starts another program and waits for it, so that killing the shell leaves the pipes open.
#[test]
fn a_grandchild_that_keeps_the_pipes_open_holds_nobody_up() {
    let parent = Fake::script("#!/bin/sh\nsleep 60\necho done\n");
    let process = start(&parent, true);
    let number = process.id();
    let began = Instant::now();
    drop(process);
    assert!(began.elapsed() < Duration::from_secs(40) && !is_there(number));
}
