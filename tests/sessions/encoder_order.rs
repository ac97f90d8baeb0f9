//! The one order of encoders, seen from outside: who is taken, who takes over from one that dies, and what receipts say of those
//! who were passed over. A program `ffmpeg` that is first on the PATH claims to have Quick Sync; libx264 does its work.

#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use video_hw::backend::{Backend, BackendKind, Candidate, Receipt, Verdict, query_backend_capability};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, FailurePolicy, RateControl};
use video_hw::control::{StreamOptions, SwitchingEncoder};
use video_hw::dataset::{EncoderConfig, EncoderType, GpuEncoderConfig, SessionVideoEncoder, VideoEncoder};
use video_hw::error::Remedy;
use video_hw::pipeline::TranscodeReport;
use video_hw::pixel::PixelFormat;
use video_hw::session::EncodeSession;
use video_hw::time::{TimeBase, Timestamp};

use crate::support::failover::{assert_whole, film, judge};
use crate::support::ffmpeg::{Picture, config, decode_here, ffmpeg_here, frame};
use crate::support::streams::have;

/// With words for what is to die: each child is killed when more than so many bytes of pictures have come.
const FAKE: &str = r#"#!/bin/bash
real=@REAL@
case "$*" in
*-encoders*) "$real" "$@"; echo ' V....D @CODEC@_qsv stands for Quick Sync'; exit ;;
*encoder=@CODEC@_qsv*) echo '    Supported pixel formats: nv12 p010le qsv'; exit ;;
*@CODEC@_vaapi*) echo 'no such card' >&2; exit 1 ;;
*@CODEC@_qsv*) limit=@QSV@ ;;
*'-c:v @CPU@'*) limit=@X264@ ;;
*) exec "$real" "$@" ;;
esac
if [ "$limit" = refuse ]; then echo 'Error initializing an internal MFX session' >&2; exit 1; fi
for word; do
    shift
    case "$word" in
    @CODEC@_qsv) set -- "$@" @CPU@ ;;
    -idr_interval:v) ;;
    *) [ "$before" = -idr_interval:v ] || set -- "$@" "$word" ;;
    esac
    before=$word
done
[ "$limit" = never ] && exec "$real" "$@"
# The process that pictures are given to is the one that dies, with whatever it holds.
exec "$real" "$@" < <(head -c "$limit"; [ "$(head -c 1 | wc -c)" -eq 1 ] && kill -9 $$)
"#;

/// Runs `body` in a process whose PATH begins with the fake; `None` as limit stands for no ffmpeg at all.
#[track_caller]
fn with_fake(test: &str, limits: Option<(&str, &str)>, body: impl FnOnce()) {
    with_fake_of(("h264", "libx264"), test, limits, body);
}

/// Does what [`with_fake`] does for the encoders of another codec.
#[track_caller]
fn with_fake_of((codec, cpu): (&str, &str), test: &str, limits: Option<(&str, &str)>, body: impl FnOnce()) {
    const MARK: &str = "VIDEO_HW_ENCODER_ORDER";
    if std::env::var(MARK).is_ok_and(|name| name == test) {
        body();
        std::process::exit(0);
    }
    if !have(&["ffmpeg", "bash"]) {
        return;
    }
    if query_backend_capability(BackendKind::Nvidia, Codec::H264).is_ok() {
        eprintln!("SKIPPED: there is an NVIDIA card, which comes first");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut path = folder.path().as_os_str().to_owned();
    if let Some((qsv, x264)) = limits {
        let real = ffmpeg_here().unwrap();
        let text =
            FAKE.replace("@REAL@", real.to_str().unwrap()).replace("@QSV@", qsv).replace("@X264@", x264);
        let text = text.replace("@CODEC@", codec).replace("@CPU@", cpu);
        let (script, program) = (folder.path().join("text"), folder.path().join("ffmpeg"));
        std::fs::write(&script, text).unwrap();
        // By another process: one that is being started has copies of this one's open files, and a file that is open for
        // writing is not run.
        let installed = Command::new("install").args(["-m", "755"]).arg(&script).arg(&program).status();
        assert!(installed.unwrap().success());
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("encoder_order::{test}"), "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
}

fn reason(receipt: &Receipt, wanted: Candidate) -> &str {
    let found = receipt.entries.iter().find(|(candidate, _)| *candidate == wanted);
    match found {
        Some((_, Verdict::Refused { reason, .. })) => reason,
        _ => panic!("{wanted} was not refused: {receipt:#}"),
    }
}

const FRAMES: usize = 120;
/// A little more than the picture that an encoder on hardware is tried with has.
const LIMITS: (&str, &str) = ("900000", "700000");

fn transcode(folder: &Path, backend: Backend) -> TranscodeReport {
    let (input, output) = (folder.join("in.y4m"), folder.join("out.mp4"));
    film(&input, FRAMES);
    let job = video_hw::transcode(&input, &output).codec(Codec::H264).bitrate(600_000).gop_length(25);
    let report = job.encode_backend(backend).on_failure(FailurePolicy::Auto).overwrite(true).run().unwrap();
    assert_whole(&report, FRAMES, "transcode");
    judge(&output, FRAMES, "transcode");
    report
}

#[test]
fn a_transcode_goes_from_hardware_to_x264_to_the_embedded_encoder() {
    let test = "a_transcode_goes_from_hardware_to_x264_to_the_embedded_encoder";
    with_fake(test, Some(LIMITS), || {
        let folder = tempfile::tempdir().unwrap();
        let report = transcode(folder.path(), Backend::Auto);
        let went: Vec<_> = report.encode.takeovers.iter().map(|t| (t.from, t.to.map(|to| to.0))).collect();
        let [qsv, x264, embedded] = [Candidate::FfmpegQsv, Candidate::Ffmpeg, Candidate::Embedded];
        assert_eq!(went, [(qsv, Some(x264)), (x264, Some(embedded))], "{:?}", report.encode.takeovers);
        let receipt = &report.encode.receipt;
        assert_eq!(receipt.engine(), Some(embedded), "{receipt:#}");
        for dead in [qsv, x264] {
            assert!(reason(receipt, dead).contains("signal 9"), "{receipt:#}");
        }
        assert!(reason(receipt, Candidate::Nvidia).contains("nvidia is not available"), "{receipt:#}");
        let elsewhere = "VideoToolbox is part of macOS, and this is another system";
        for engine in [Candidate::VideoToolbox, Candidate::FfmpegVideoToolbox] {
            let reason = reason(receipt, engine);
            assert!(cfg!(target_os = "macos") || reason.contains(elsewhere), "{reason}");
        }
    });
}

#[test]
fn a_dataset_goes_the_same_way() {
    with_fake("a_dataset_goes_the_same_way", Some(LIMITS), || {
        let size = config(Codec::H264).dimensions;
        let config = EncoderConfig::new(Codec::H264, PixelFormat::I420, size).gop_size(25);
        let gpu = GpuEncoderConfig::default().enable_ring_buffer(false);
        let mut encoder = SessionVideoEncoder::open(&config, &gpu).unwrap();
        assert_eq!(encoder.encoder_type(), EncoderType::FfmpegQsv);
        let mut chunks = Vec::new();
        for number in 0..FRAMES {
            let picture = frame(number, PixelFormat::I420).as_host().unwrap().to_packed();
            chunks.extend(encoder.encode_frame(&picture).unwrap());
        }
        chunks.extend(encoder.flush().unwrap());
        let packets: Vec<_> = chunks.into_iter().map(video_hw::dataset::EncodedChunk::into_packet).collect();
        assert_eq!(packets.len(), FRAMES);
        let frames = decode_here(Codec::H264, &packets);
        assert_eq!(frames.len(), FRAMES);
        frames.iter().enumerate().for_each(|(number, frame)| Picture::of(frame).assert_is(number));
        assert_eq!(encoder.encoder_type(), EncoderType::Embedded);
        let summary = encoder.summary().unwrap().stream;
        let ran: Vec<_> = summary.generations.iter().map(|one| one.receipt.engine()).collect();
        assert_eq!(ran, [Candidate::FfmpegQsv, Candidate::Ffmpeg, Candidate::Embedded].map(Some));
        let last = &summary.generations.last().unwrap().receipt;
        for dead in [Candidate::FfmpegQsv, Candidate::Ffmpeg] {
            assert!(reason(last, dead).contains("signal 9"), "{last:#}");
        }
    });
}

/// The one that dies reads another arrangement of samples than the next, and the clock steps back meanwhile.
#[test]
fn a_recording_goes_on_in_the_format_of_the_next_encoder() {
    let test = "a_recording_goes_on_in_the_format_of_the_next_encoder";
    with_fake_of(("hevc", "libx265"), test, Some((LIMITS.0, "never")), || {
        let codec = Codec::Hevc;
        let config = EncoderConfig::new(codec, PixelFormat::Nv12, config(codec).dimensions).gop_size(25);
        let gpu = GpuEncoderConfig::default().enable_ring_buffer(false);
        let mut encoder = SessionVideoEncoder::open(&config, &gpu).unwrap();
        assert_eq!(encoder.encoder_type(), EncoderType::FfmpegQsv, "{:#}", encoder.receipt());
        let milliseconds = TimeBase::new(1, 1000).unwrap();
        let times: Vec<_> = (0..FRAMES as i64).map(|n| 40 * n - 1500 * i64::from(n > 50)).collect();
        let mut chunks = Vec::new();
        for (number, time) in times.iter().enumerate() {
            let picture = frame(number, PixelFormat::Nv12).as_host().unwrap().to_packed();
            chunks.extend(encoder.encode_frame_at(&picture, Timestamp::new(*time, milliseconds)).unwrap());
        }
        chunks.extend(encoder.flush().unwrap());
        let mut given: Vec<_> = chunks.iter().map(|chunk| (chunk.pts, chunk.given.ticks())).collect();
        given.sort_unstable_by_key(|(pts, _)| *pts);
        assert!(given.iter().map(|(_, given)| *given).eq(times), "each chunk has the time that was given");
        let packets: Vec<_> = chunks.into_iter().map(video_hw::dataset::EncodedChunk::into_packet).collect();
        let frames = decode_here(codec, &packets);
        assert_eq!(frames.len(), FRAMES);
        frames.iter().enumerate().for_each(|(number, frame)| Picture::of(frame).assert_is(number));
        let summary = encoder.summary().unwrap();
        let formats: Vec<_> = summary.stream.generations.iter().map(|one| one.config.format).collect();
        assert_eq!(formats, [PixelFormat::Nv12, PixelFormat::I420]);
        assert!(summary.stream.converted > 0, "those that the first had are converted for the second");
        assert_eq!(summary.stream.converted + summary.converted, summary.stream.generations[1].frames);
    });
}

fn session(backend: Backend, edit: impl FnOnce(&mut CommonEncodeConfig)) -> Receipt {
    let mut config = config(Codec::H264);
    edit(&mut config);
    EncodeSession::new(backend, config).unwrap().receipt().clone()
}

/// Everybody asks in the same order, and what a trial found out is in every receipt.
#[test]
fn all_programs_ask_in_one_order_and_keep_the_reasons() {
    let test = "all_programs_ask_in_one_order_and_keep_the_reasons";
    with_fake(test, Some(("refuse", "never")), || {
        let folder = tempfile::tempdir().unwrap();
        let stream = SwitchingEncoder::with_source(
            Backend::Auto,
            config(Codec::H264),
            BackendEncodeConfig::None,
            StreamOptions::default(),
        );
        let size = config(Codec::H264).dimensions;
        let dataset = EncoderConfig::new(Codec::H264, PixelFormat::I420, size);
        let dataset = SessionVideoEncoder::open(&dataset, &GpuEncoderConfig::default()).unwrap();
        let receipts = [
            ("encode", session(Backend::Auto, |_| {})),
            ("transcode", transcode(folder.path(), Backend::Auto).encode.receipt),
            ("live", stream.unwrap().summary().generations[0].receipt.clone()),
            ("dataset", dataset.receipt().clone()),
        ];
        for (program, receipt) in receipts {
            let order: Vec<_> = receipt.entries.iter().map(|(candidate, _)| *candidate).collect();
            assert_eq!(order, Candidate::ORDER, "{program}");
            assert_eq!(receipt.engine(), Some(Candidate::Ffmpeg), "{program}: {receipt:#}");
            assert!(reason(&receipt, Candidate::FfmpegQsv).contains("MFX session"), "{program}: {receipt:#}");
            assert_eq!(receipt.entries[7], (Candidate::Embedded, Verdict::NotTried), "{program}");
        }
        // Who is named is not replaced, and of a program that is named its own are asked in order.
        let embedded = session(Backend::Only(BackendKind::Software), |_| {});
        assert_eq!(embedded.engine(), Some(Candidate::Embedded));
        assert!(embedded.entries[..7].iter().all(|(_, verdict)| *verdict == Verdict::NotTried));
        let program = session(Backend::Only(BackendKind::Ffmpeg), |_| {});
        assert_eq!(program.engine(), Some(Candidate::Ffmpeg));
        assert!(reason(&program, Candidate::FfmpegQsv).contains("MFX session"), "{program:#}");
        assert_eq!(program.entries[7], (Candidate::Embedded, Verdict::NotTried));
        // Live streams change while they run, which a child process cannot.
        let live = session(Backend::Auto, |config| {
            config.low_latency = true;
            config.rate_control = Some(RateControl::Cbr { bitrate_bps: 500_000 });
        });
        assert_eq!(live.engine(), Some(Candidate::Embedded), "{live:#}");
        assert!(reason(&live, Candidate::Ffmpeg).contains("low latency"), "{live:#}");
    });
}

#[test]
fn an_encoder_that_works_comes_before_those_of_the_cpu() {
    with_fake("an_encoder_that_works_comes_before_those_of_the_cpu", Some(("never", "never")), || {
        let receipt = session(Backend::Auto, |config| config.format = PixelFormat::Nv12);
        assert_eq!(receipt.engine(), Some(Candidate::FfmpegQsv), "{receipt:#}");
        // What it does not have the next one does, and it is said.
        let receipt = session(Backend::Auto, |config| config.b_frames = Some(9));
        assert_eq!(receipt.engine(), Some(Candidate::Ffmpeg), "{receipt:#}");
        assert!(!reason(&receipt, Candidate::FfmpegQsv).is_empty());
        let named = Backend::Only(BackendKind::Ffmpeg);
        let special = crate::support::ffmpeg::special("libx264", "ultrafast");
        let named = EncodeSession::with_special(named, config(Codec::H264), &special).unwrap();
        assert_eq!(named.receipt().engine(), Some(Candidate::Ffmpeg));
        assert_eq!(
            named.receipt().entries[2],
            (Candidate::FfmpegQsv, Verdict::NotTried),
            "another was named"
        );
    });
}

/// The next encoder must be able to go on: with the same frames where the first refuses a setting.
#[test]
fn the_format_of_frames_suits_those_who_come_behind() {
    with_fake("the_format_of_frames_suits_those_who_come_behind", Some(("refuse", "never")), || {
        let deep = crate::support::nvidia::clip("small-10bit.h265");
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        let job = || video_hw::transcode(&deep, &output).codec(Codec::H264).overwrite(true);
        for (job, engine) in
            [(job(), Candidate::Ffmpeg), (job().profile("main".parse().unwrap()), Candidate::Embedded)]
        {
            let report = job.run().unwrap();
            assert_eq!(report.encode.receipt.engine(), Some(engine), "{:#}", report.encode.receipt);
            assert!(
                report.notes.iter().any(|note| note.what.contains("2 bit are lost")),
                "{:?}",
                report.notes
            );
        }
        let named = job().encode_backend(BackendKind::Ffmpeg).run().unwrap();
        assert!(!named.notes.iter().any(|note| note.what.contains("bit are lost")), "{:?}", named.notes);
    });
}

#[test]
fn without_ffmpeg_the_embedded_encoder_does_the_work() {
    with_fake("without_ffmpeg_the_embedded_encoder_does_the_work", None, || {
        let receipt = session(Backend::Auto, |_| {});
        assert_eq!(receipt.engine(), Some(Candidate::Embedded));
        for absent in [Candidate::FfmpegQsv, Candidate::Vaapi, Candidate::Ffmpeg] {
            assert!(reason(&receipt, absent).contains("no ffmpeg on the PATH"), "{receipt:#}");
        }
    });
}

/// The error says what is missing in one line: what works now, and each candidate's own reason in order.
#[test]
fn without_an_encoder_of_the_codec_everybody_says_so() {
    with_fake("without_an_encoder_of_the_codec_everybody_says_so", None, || {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in.y4m"), folder.path().join("out.mp4"));
        film(&input, 3);
        for codec in [Codec::Hevc, Codec::Av1] {
            let dataset = EncoderConfig::new(codec, PixelFormat::Rgb24, config(codec).dimensions);
            let none = BackendEncodeConfig::None;
            let errors = [
                SessionVideoEncoder::open(&dataset, &GpuEncoderConfig::default()).err().unwrap(),
                SwitchingEncoder::new(Backend::Auto, config(codec), none).err().unwrap(),
                EncodeSession::new(Backend::Auto, config(codec)).err().unwrap(),
                video_hw::transcode(&input, &output).codec(codec).run().unwrap_err(),
            ];
            for error in errors {
                let Remedy::OtherCodec { works, or } = error.remedy() else { panic!("{error}") };
                assert_eq!(works, Some(Codec::H264));
                assert!(or.iter().any(|remedy| remedy.to_string().contains("ffmpeg")), "{or:?}");
                let words = error.to_string();
                let begin =
                    format!("unsupported: encoding {codec}: no encoder for it is available here (nvidia: ");
                assert!(words.starts_with(&begin) && !words.contains('\n'), "{words}");
                assert!(words.contains("); h264 works now (`codec`)"), "{words}");
                let at = |what: &str| words.find(what).unwrap_or_else(|| panic!("no {what} in {words}"));
                assert!(
                    at("nvidia: ") < at("; ffmpeg: ")
                        && at("; ffmpeg: ") < at("; software: it does not encode")
                );
                assert_eq!(words.matches("no ffmpeg on the PATH").count(), 1, "{words}");
            }
        }
        // Where the file's name asks for the codec, another file is what can be written.
        for name in ["out.webm", "out.h265"] {
            let error = video_hw::transcode(&input, folder.path().join(name)).run().unwrap_err();
            let Remedy::OtherCodec { works: None, or } = error.remedy() else { panic!("{error}") };
            assert!(
                or[0].to_string().ends_with(".mp4 and .mkv hold H.264, which is encoded everywhere"),
                "{or:?}"
            );
        }
    });
}
