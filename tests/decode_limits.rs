//! Streams of a few bytes that ask for gigabytes are refused by the limit's name, and what a stream really takes stays below
//! what it is judged by.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop where something is wrong"
)]

#[path = "support/bombs.rs"]
mod bombs;

use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use video_hw::Error;
use video_hw::backend::BackendKind;
use video_hw::bitstream::AccessUnitAssembler;
use video_hw::codec::Codec;
use video_hw::config::{CommonDecodeConfig, Engines};
use video_hw::container::Demuxer;
use video_hw::container::ivf::IvfDemuxer;
use video_hw::limits::{Limit, Limits};
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::session::{DecodeSession, Submit};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// One at a time: the allocator counts for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// How a stream ended.
#[derive(Debug)]
struct Ended {
    frames: usize,
    error: Option<Error>,
    /// Most heap in use at once beyond what there was before, once the first frame was out or the end was reached.
    peak: usize,
}

/// Decodes with the software decoders until the session ends.
fn decode(codec: Codec, units: &[Vec<u8>], limits: Limits) -> Ended {
    decode_on(Engines::One, codec, units, limits)
}

fn decode_on(engines: Engines, codec: Codec, units: &[Vec<u8>], limits: Limits) -> Ended {
    let before = ALLOCATOR.current_usage();
    let config = CommonDecodeConfig::new(codec).limits(limits).threads(NonZeroUsize::new(1)).engines(engines);
    let session = DecodeSession::new(BackendKind::Software, config).unwrap();
    ALLOCATOR.reset_peak_usage();
    let (mut input, mut output) = session.split();
    let (mut frames, mut error) = (0, None);
    // Takes what the session has for now, or waits until it has something; false once it has ended.
    let mut reap = |wait: Duration| match output.reap_timeout(wait) {
        Ok(Some(_)) => {
            frames += 1;
            // What was asked for in one piece and given back, to prove that it is there, is not counted.
            if frames == 1 {
                ALLOCATOR.reset_peak_usage();
            }
            true
        }
        Ok(None) => !output.is_finished(),
        Err(e) if e.is_recoverable() => true,
        Err(e) => {
            error = Some(e);
            false
        }
    };
    let began = Instant::now();
    let mut open = true;
    for unit in units {
        let mut packet = Packet::new(codec, BitstreamLayout::elementary(codec), unit.clone());
        while open && let Ok(Submit::Full(back)) = input.submit(packet) {
            packet = back;
            open = reap(Duration::from_millis(20));
        }
    }
    // Without its input the session ends when the last frame is out.
    let _ = input.flush();
    drop(input);
    while open {
        open = reap(Duration::from_secs(60));
        assert!(began.elapsed() < Duration::from_secs(300), "{codec}: the session does not end");
    }
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    Ended { frames, error, peak }
}

/// Refused by the limits that everybody has, before anything was allocated.
fn expect_refusal(codec: Codec, units: &[Vec<u8>]) {
    let bytes: usize = units.iter().map(Vec::len).sum();
    let Ended { frames, error, peak } = decode(codec, units, Limits::default());
    let error = error
        .unwrap_or_else(|| panic!("{codec}: {bytes} bytes were not refused, {frames} frames, {peak} bytes"));
    assert!(
        matches!(error, Error::LimitExceeded { limit: Limit::PictureMemory | Limit::PicturePixels, .. }),
        "{codec}: {error}"
    );
    assert_eq!(frames, 0, "{codec}");
    assert!(peak < 16 * MIB + 4 * bytes, "{codec}: {bytes} bytes took {peak}: {error}");
}

#[test]
fn streams_that_claim_gigabytes_are_refused_by_name() {
    let _alone = ALONE.lock();
    expect_refusal(Codec::H264, &bombs::h264(500, 500, 16, 30));
    expect_refusal(Codec::Hevc, &bombs::hevc(8192, 8192, 16));
    expect_refusal(Codec::Vp9, &bombs::vp9(8192, 8192));
    expect_refusal(Codec::Vp8, &bombs::vp8(16_383, 16_383));
    expect_refusal(Codec::Av1, &bombs::av1(8192, 8192));
    // Beyond what any decoder here takes it is a limit all the same.
    expect_refusal(Codec::Av1, &bombs::av1(65_536, 65_536));
}

/// The H.264 bomb is a stream like any other where its pictures are small: it is refused for its size and nothing else.
#[test]
fn the_same_streams_with_small_pictures_are_decoded() {
    let _alone = ALONE.lock();
    let Ended { frames, error, .. } = decode(Codec::H264, &bombs::h264(5, 4, 16, 30), Limits::default());
    assert!(error.is_none() && frames == 31, "{frames} frames, {error:?}");
}

/// What the caller allows is what counts.
#[test]
fn a_lower_limit_refuses_what_is_decoded_otherwise() {
    let _alone = ALONE.lock();
    let units = bombs::h264(40, 30, 4, 3);
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        decode(Codec::H264, &units, limits)
    };
    let refused = with(|limits| limits.picture_memory = 1 << 20);
    assert!(
        matches!(refused.error, Some(Error::LimitExceeded { limit: Limit::PictureMemory, .. })),
        "{refused:?}"
    );
    let refused = with(|limits| limits.picture_pixels = 640 * 480 - 1);
    assert!(
        matches!(refused.error, Some(Error::LimitExceeded { limit: Limit::PicturePixels, .. })),
        "{refused:?}"
    );
    let decoded = with(|limits| limits.picture_pixels = 640 * 480);
    assert!(decoded.error.is_none() && decoded.frames == 4, "{decoded:?}");
}

/// Units of a VP9 clip of 320x240 whose key frame is made to say 320x49392; `None` where ffmpeg cannot make the clip.
fn tall_pictures() -> Option<Vec<Vec<u8>>> {
    let source = "testsrc=s=320x240:r=25:d=4";
    let coding =
        ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "50k", "-g", "999"];
    let mut units = made(Codec::Vp9, source, &coding)?;
    // Frame marker, profile, three flags and the frame type in 8 bits, the sync code, 4 bits of colour, the width less one.
    let key = units.first_mut().filter(|key| key[1..4] == [0x49, 0x83, 0x42])?;
    let mut header = u128::from_be_bytes(key[..16].try_into().unwrap());
    let at = 128 - (8 + 24 + 4 + 16) - 16;
    assert_eq!(header >> at & 0xffff, 239, "the height less one");
    header = header & !(0xffff << at) | 49_391 << at;
    key[..16].copy_from_slice(&header.to_be_bytes());
    Some(units)
}

/// Pictures of 15.8 million samples in a few hundred bytes each, on one decoder and on several that share the limit.
#[test]
fn little_input_does_not_buy_much_time() {
    let _alone = ALONE.lock();
    let Some(units) = tall_pictures() else { return };
    let impatient = Limits::default().decode_time(Duration::from_millis(1));
    for engines in [Engines::One, Engines::Count(NonZeroUsize::new(2).unwrap())] {
        let ended = decode_on(engines, Codec::Vp9, &units, impatient.clone());
        assert!(ended.frames < units.len(), "{engines:?}: {ended:?}");
        let error = ended.error.unwrap_or_else(|| panic!("{engines:?}: not refused"));
        assert!(
            matches!(error, Error::LimitExceeded { limit: Limit::DecodeTime, .. }),
            "{engines:?}: {error}"
        );
        assert!(error.to_string().contains("decode-time"), "{error}");
    }
}

/// A picture that stands still is coded in a dozen bytes, which are not what its copies are paid by.
#[test]
fn still_pictures_are_decoded_however_long_they_stand() {
    let _alone = ALONE.lock();
    let units = bombs::h264(120, 68, 1, 1500);
    let bytes: usize = units[1..].iter().map(Vec::len).sum();
    assert!(bytes < 16 * units.len(), "{bytes}");
    let ended = decode(Codec::H264, &units, Limits::default());
    assert!(ended.error.is_none() && ended.frames == units.len(), "{ended:?}");
}

/// A stream that ffmpeg makes of moving noise, which leaves the libraries as little to save as may be; `None` where it cannot.
fn encoded(codec: Codec, encoder: &[&str]) -> Option<Vec<Vec<u8>>> {
    made(codec, "testsrc2=s=1280x720:r=25:d=0.6,noise=alls=20:allf=t:all_seed=3", encoder)
}

/// Units of a stream that ffmpeg makes of this source; `None`, said loudly, where it cannot.
fn made(codec: Codec, source: &str, encoder: &[&str]) -> Option<Vec<Vec<u8>>> {
    let (format, name) = match codec {
        Codec::H264 => ("h264", "H.264"),
        Codec::Hevc => ("hevc", "HEVC"),
        _ => ("ivf", "IVF"),
    };
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", source, "-threads", "1"])
        .args(encoder)
        .args(["-f", format, "-"])
        .env_remove("LD_LIBRARY_PATH")
        .stderr(Stdio::null())
        .output();
    let Some(made) = made.ok().filter(|made| made.status.success() && !made.stdout.is_empty()) else {
        let words = format!("SKIPPED: no ffmpeg that makes {name} with {}\n", encoder.join(" "));
        let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
        return None;
    };
    let mut units = Vec::new();
    if codec.uses_nal_units() {
        let mut assembler = AccessUnitAssembler::new(codec).unwrap();
        assembler.push(&made.stdout).unwrap();
        assembler.finish();
        units.extend(std::iter::from_fn(|| assembler.next_unit()).map(|unit| unit.data.to_vec()));
    } else {
        let mut demuxer = IvfDemuxer::new(std::io::Cursor::new(made.stdout), "made").unwrap();
        while let Some(sample) = demuxer.next_packet().unwrap() {
            units.push(sample.data.to_vec());
        }
    }
    Some(units)
}

/// The figures by which streams are judged are those of the libraries: none takes more, and none is said to take many times of
/// what it takes.
#[test]
fn no_library_takes_more_than_its_streams_are_judged_by() {
    let _alone = ALONE.lock();
    let cases: [(Codec, &[&str]); 7] = [
        (
            Codec::H264,
            &["-c:v", "libx264", "-preset", "ultrafast", "-refs", "16", "-bf", "2", "-pix_fmt", "yuv420p"],
        ),
        (Codec::H264, &["-c:v", "libx264", "-preset", "ultrafast", "-refs", "8", "-pix_fmt", "yuv420p10le"]),
        (
            Codec::Hevc,
            &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:pools=1:ref=4"],
        ),
        (
            Codec::Hevc,
            &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                "log-level=none:pools=1",
                "-pix_fmt",
                "yuv420p10le",
            ],
        ),
        (Codec::Vp9, &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "4M"]),
        (Codec::Vp8, &["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "4M"]),
        (Codec::Av1, &["-c:v", "libsvtav1", "-preset", "12", "-pix_fmt", "yuv420p10le"]),
    ];
    for (codec, encoder) in cases {
        let Some(units) = encoded(codec, encoder) else { continue };
        let mut nothing = Limits::default();
        nothing.picture_memory = 1;
        let refused = decode(codec, &units, nothing);
        let Some(Error::LimitExceeded { wanted, .. }) = refused.error else {
            panic!("{codec} {encoder:?}: {refused:?}")
        };
        // Memory is judged here; an emulator may take its time.
        let mut patient = Limits::default();
        patient.silent_time = Duration::MAX;
        patient.decode_time = Duration::MAX;
        let taken = decode(codec, &units, patient);
        assert!(taken.error.is_none() && taken.frames > 10, "{codec} {encoder:?}: {taken:?}");
        let peak = taken.peak as u64;
        eprintln!("{codec} {}: {} of {} MiB", encoder.join(" "), peak >> 20, wanted >> 20);
        assert!(peak <= wanted, "{codec} {encoder:?} took {peak} bytes, and is judged by {wanted}");
        assert!(wanted <= 12 * peak, "{codec} {encoder:?} took {peak} bytes, and is judged by {wanted}");
    }
}
