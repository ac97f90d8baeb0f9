//! Decoding: pictures against ffmpeg's checksums, manners, and answers when calls fail.

use std::process::Command;

use md5::{Digest, Md5};
use video_hw::backend::{Backend, BackendKind, devices, query_backend_capability};
use video_hw::bitstream::{AccessUnit, AccessUnitAssembler};
use video_hw::codec::Codec;
use video_hw::color::{ColorInfo, ColorRange};
use video_hw::config::{
    BackendDecodeConfig, ColorRequest, CommonDecodeConfig, Crop, DecodeOutputMode, FailurePolicy,
    VtDecodeConfig, VtHardware,
};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::{Frame, Surface};
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::pixel::PixelFormat;
use video_hw::session::DecodeSession;
use video_hw::transform;

use crate::support::nvidia::{clip, decode, golden, packets, planar};
use crate::support::streams::{ffmpeg_md5s, have, md5_hex, text};
use crate::support::videotoolbox::{clean, clean_case, clean_on};

const VT: BackendKind = BackendKind::VideoToolbox;

pub(crate) fn md5(frames: impl IntoIterator<Item = Frame>) -> (usize, String) {
    let (mut hash, mut count, mut last) = (Md5::new(), 0, None);
    for frame in frames {
        assert!(last.is_none_or(|last| last < frame.pts), "{} after {last:?}", frame.pts);
        last = Some(frame.pts);
        hash.update(planar(&frame));
        count += 1;
    }
    (count, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Decodes a clip and compares it with its checksum; times must rise.
fn decode_exactly(name: &str) {
    let frames = video_hw::frames(clip(name)).backend(VT).open().unwrap();
    assert_eq!(md5(frames.map(|frame| frame.unwrap())), golden(name), "{name}");
}

fn session(name: &str) -> (DecodeSession, Vec<Packet>) {
    let (config, packets) = packets(name);
    (DecodeSession::new(VT, config).unwrap(), packets)
}

#[test]
fn h264_is_exact() {
    clean("h264_is_exact", "", || {
        for name in ["bars.mp4", "small.h264", "vfr-rotated.mp4", "vfr-fragmented.mp4", "interlaced.h264"] {
            decode_exactly(name);
        }
    });
}

#[test]
fn hevc_is_exact_at_8_and_10_bits() {
    clean("hevc_is_exact_at_8_and_10_bits", "", || {
        decode_exactly("small.h265");
        decode_exactly("small-10bit.h265");
    });
}

#[test]
fn vp9_and_av1_are_exact_where_there_is_hardware() {
    clean_on("m3", "vp9_and_av1_are_exact_where_there_is_hardware", "", || {
        decode_exactly("small-vp9.ivf");
        decode_exactly("small-av1.ivf");
    });
}

#[test]
fn a_codec_without_hardware_is_refused_by_name() {
    clean("a_codec_without_hardware_is_refused_by_name", "", || {
        let (config, _) = packets("small-av1.ivf");
        let error = DecodeSession::new(VT, config).err().unwrap();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("av1 decoding by VideoToolbox"), "{error}");
        assert!(query_backend_capability(VT, Codec::Av1).unwrap().decode.is_none());
        let hevc = query_backend_capability(VT, Codec::Hevc).unwrap().decode.unwrap();
        assert!(hevc.formats.starts_with(&[PixelFormat::Nv12, PixelFormat::P010]) && hevc.native_on_device);
        assert_eq!(devices(VT).unwrap().len(), 1);
    });
}

#[test]
fn metadata_alone_reads_no_sample() {
    let run = clean("metadata_alone_reads_no_sample", "", || {
        let (config, packets) = packets("small.h264");
        let config = config.output(DecodeOutputMode::MetadataOnly);
        let mut session = DecodeSession::new(VT, config).unwrap();
        let (frames, errors) = decode(&mut session, &packets);
        assert!(errors.is_empty() && frames.iter().all(|frame| frame.as_host().is_none()), "{errors:?}");
        assert_eq!(frames.len(), 50);
    });
    if let Some(run) = run {
        assert_eq!(run.calls("CVPixelBufferLockBaseAddress"), 0);
    }
}

/// Frames are the decoder's own memory, and stay when everything else is gone.
#[test]
fn frames_outlive_their_session_without_a_copy() {
    clean("frames_outlive_their_session_without_a_copy", "", || {
        let (mut session, packets) = session("small.h265");
        let (frames, errors) = decode(&mut session, &packets);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(session.summary().output_copy_bytes, 0);
        drop(session);
        assert_eq!(md5(frames), golden("small.h265"));
    });
}

/// Frames that stay where they were decoded are mapped when somebody asks for their samples, and not before.
#[test]
fn native_frames_are_mapped_when_asked_for() {
    let run = clean("native_frames_are_mapped_when_asked_for", "", || {
        for name in ["small.h264", "small-10bit.h265"] {
            let (config, packets) = packets(name);
            let config = config.output(DecodeOutputMode::NativeSurface);
            let mut session = DecodeSession::new(VT, config).unwrap();
            let (frames, errors) = decode(&mut session, &packets);
            assert!(
                errors.is_empty() && frames.iter().all(|frame| frame.as_device().is_some()),
                "{errors:?}"
            );
            drop(session);
            let device = frames[0].as_device().unwrap();
            assert!(device.is_host_memory());
            // A part of a mapped picture is that part of the picture.
            let size = Dimensions::new(32, 16).unwrap();
            let crop = Crop { left: 8, top: 4, size };
            let whole = Frame { surface: Surface::Host(device.download().unwrap()), ..frames[0].clone() };
            let part = device.crop(crop).unwrap().download().unwrap();
            let wanted = transform::crop(&whole, crop).unwrap();
            assert_eq!(part.to_packed(), wanted.as_host().unwrap().to_packed());
            drop((part, wanted, whole));
            let mapped = frames.into_iter().map(|frame| transform::to_host(frame).unwrap());
            assert_eq!(md5(mapped), golden(name));
        }
    });
    if let Some(run) = run {
        // Each frame once, and the first of both twice more.
        assert_eq!(run.calls("CVPixelBufferLockBaseAddress"), 2 * (50 + 2));
    }
}

#[test]
fn a_flush_keeps_the_session_open() {
    let run = clean("a_flush_keeps_the_session_open", "", || {
        let (mut session, packets) = session("small.h264");
        for _ in 0..2 {
            let (frames, errors) = decode(&mut session, &packets);
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(md5(frames), golden("small.h264"));
        }
    });
    if let Some(run) = run {
        assert_eq!(run.calls("VTDecompressionSessionCreate"), 1);
    }
}

/// Parameter sets that change within what the session takes make another description of the format, and no other session.
#[test]
fn a_session_is_kept_where_it_takes_the_new_parameter_sets() {
    let run = clean("a_session_is_kept_where_it_takes_the_new_parameter_sets", "", || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut stream = Vec::new();
        for parameters in ["cabac=1:bframes=2", "cabac=0:bframes=0", "cabac=1:bframes=2"] {
            let options =
                ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-profile:v", "main", "-x264-params", parameters];
            let path = folder.path().join("part.h264");
            let source = ["-y", "-f", "lavfi", "-i", "testsrc2=s=178x146:d=0.4"];
            let mut made = Command::new("ffmpeg");
            let made = made.env_remove("LD_LIBRARY_PATH").args(["-v", "error"]).args(source).args(options);
            assert!(made.arg(&path).status().unwrap().success());
            stream.extend(std::fs::read(path).unwrap());
        }
        let path = folder.path().join("all.h264");
        std::fs::write(&path, stream).unwrap();
        let (mut session, packets) = session(text(&path));
        let (frames, errors) = decode(&mut session, &packets);
        assert!(errors.is_empty(), "{errors:?}");
        let found: Vec<_> = frames.iter().map(|frame| md5_hex(&planar(frame))).collect();
        assert_eq!(found, ffmpeg_md5s(&["-i", text(&path)]));
    });
    if let Some(run) = run {
        assert_eq!(run.calls("VTDecompressionSessionCanAcceptFormatDescription"), 2);
        assert_eq!(run.calls("VTDecompressionSessionCreate"), 1);
    }
}

/// Hardware, or not, or whatever there is.
#[test]
fn hardware_is_required_allowed_or_declined() {
    const TEST: &str = "hardware_is_required_allowed_or_declined";
    let on = |hardware: VtHardware| {
        let (config, packets) = packets("small.h264");
        let own = VtDecodeConfig::default().hardware(hardware);
        let mut session =
            DecodeSession::new(VT, config.special(BackendDecodeConfig::VideoToolbox(own))).unwrap();
        let (frames, errors) = decode(&mut session, &packets);
        let notes = session.summary().notes.join("; ");
        (frames.len(), errors, notes.contains("on the CPU"))
    };
    let run = clean_on("vm", TEST, "", || {
        let (frames, errors, _) = on(VtHardware::Require);
        assert!(frames == 0 && matches!(&errors[..], [Error::Unsupported { .. }, ..]), "{errors:?}");
        let (frames, errors, noted) = on(VtHardware::Allow);
        assert!(frames == 50 && errors.is_empty() && noted);
    });
    drop(run);
    let run = clean(TEST, "", || {
        for hardware in [VtHardware::Require, VtHardware::Never] {
            let (frames, errors, noted) = on(hardware);
            assert!(frames == 50 && errors.is_empty() && !noted, "{hardware:?}");
        }
    });
    if let Some(run) = run {
        for by in ["true", "false"] {
            assert!(run.report().contains(&format!("\"hardware\": {by}")), "{}", run.report());
        }
    }
}

/// B, G, R, A by the system: near what is made exactly, and not for parts or where the container says something else of the colours.
#[test]
fn bgra_is_made_by_the_system_where_it_is_allowed() {
    let run = clean("bgra_is_made_by_the_system_where_it_is_allowed", "metal=none", || {
        let own = || BackendDecodeConfig::VideoToolbox(VtDecodeConfig::default().system_bgra(true));
        let (config, mut packets) = packets("bars.mp4");
        packets.truncate(4);
        let bgra = config.convert(ColorRequest::To(PixelFormat::Bgra));
        let frames = |config: CommonDecodeConfig| {
            let mut session = DecodeSession::new(VT, config).unwrap();
            let (frames, errors) = decode(&mut session, &packets);
            assert!(errors.is_empty() && frames.len() == 4, "{errors:?}");
            assert!(frames.iter().all(|frame| frame.format == PixelFormat::Bgra));
            (frames, session.summary())
        };
        let bytes = |frame: &Frame| transform::to_host(frame.clone()).unwrap().as_host().unwrap().to_packed();
        let (exact, summary) = frames(bgra.clone());
        assert_eq!(summary.transform.transformed, 4);
        for output in [DecodeOutputMode::HostSurface, DecodeOutputMode::NativeSurface] {
            let (found, summary) = frames(bgra.clone().special(own()).output(output));
            assert_eq!(summary.transform.transformed, 0);
            assert_eq!(found[0].as_device().is_some(), output == DecodeOutputMode::NativeSurface);
            for (found, exact) in found.iter().zip(&exact) {
                assert_eq!(found.color, exact.color);
                let (found, exact) = (bytes(found), bytes(exact));
                let far: u64 = found.iter().zip(&exact).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
                assert!(far < 2 * exact.len() as u64, "{far} of {}", exact.len());
            }
        }
        let crop = Crop { left: 8, top: 4, size: Dimensions::new(64, 32).unwrap() };
        let full = ColorInfo { range: Some(ColorRange::Full), ..ColorInfo::UNSPECIFIED };
        for config in [bgra.clone().crop(crop), bgra.color(full)] {
            let (_, summary) = frames(config.special(own()));
            assert_eq!(summary.transform.transformed, 4);
        }
    });
    drop(run);
}

/// Its unit is lost, as one that the decoder fails at, and nobody waits for ever.
#[test]
fn a_callback_that_never_comes_costs_its_unit() {
    clean("a_callback_that_never_comes_costs_its_unit", "lose.decode.at=5", || {
        let (mut session, packets) = session("small.h264");
        let (frames, errors) = decode(&mut session, &packets);
        let [error @ Error::CorruptStream { .. }] = &errors[..] else { panic!("{errors:?}") };
        assert!(error.to_string().contains("told nothing of this unit"), "{error}");
        assert_eq!(frames.len(), 49);
    });
}

/// A Mac that was asleep: all sessions are lost, and new ones work.
#[test]
fn the_same_decoder_goes_on_after_sleep() {
    let run = clean("the_same_decoder_goes_on_after_sleep", "sleep.decode.at=20", || {
        let frames = video_hw::frames(clip("small.h264")).backend(VT).on_failure(FailurePolicy::Reopen);
        let frames = frames.open().unwrap();
        assert_eq!(md5(frames.map(|frame| frame.unwrap())), golden("small.h264"));
    });
    if let Some(run) = run {
        assert_eq!(run.calls("VTDecompressionSessionCreate"), 2);
    }
}

/// H.264 in fields of raw macroblocks: each field is of one value.
struct Fields {
    stream: Vec<u8>,
    bits: Vec<bool>,
}

impl Fields {
    const SIDE: usize = 2;

    fn new() -> Self {
        let mut new = Self { stream: Vec::new(), bits: Vec::new() };
        // Main profile, level 3, 32x64, fields.
        new.u(8, 77).u(8, 0).u(8, 30);
        for code in [0, 0, 0, 4, 1] {
            new.ue(code);
        }
        new.u(1, 0).ue(1).ue(1).u(1, 0).u(1, 0).u(1, 1).u(1, 0).u(1, 0).end(0x67);
        new.ue(0).ue(0).u(2, 0);
        for code in [0, 0, 0] {
            new.ue(code);
        }
        // The deblocking filter can be switched off.
        new.u(3, 0).ue(0).ue(0).ue(0).u(3, 0b100).end(0x68);
        new
    }

    fn u(&mut self, count: u32, value: u32) -> &mut Self {
        self.bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn ue(&mut self, value: u32) -> &mut Self {
        let bits = (value + 1).ilog2();
        self.u(bits, 0).u(bits + 1, value + 1)
    }

    /// Ends a NAL unit.
    fn end(&mut self, header: u8) {
        self.u(1, 1);
        let bytes = self
            .bits
            .chunks(8)
            .map(|bits| bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at)));
        self.stream.extend([0, 0, 0, 1, header]);
        let mut zeros = 0;
        for byte in bytes {
            if zeros >= 2 && byte <= 3 {
                self.stream.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            self.stream.push(byte);
        }
        self.bits.clear();
    }

    /// A field of a frame.
    fn field(&mut self, frame: u32, is_bottom: bool, value: u8) {
        let is_idr = frame == 0 && !is_bottom;
        self.ue(0).ue(7).ue(0).u(4, frame % 16).u(1, 1).u(1, u32::from(is_bottom));
        if is_idr {
            self.ue(0);
        }
        self.u(8, 2 * frame + u32::from(is_bottom));
        self.u(if is_idr { 2 } else { 1 }, 0).ue(0).ue(1);
        for _ in 0..Self::SIDE * Self::SIDE {
            self.ue(25);
            while !self.bits.len().is_multiple_of(8) {
                self.u(1, 0);
            }
            for _ in 0..16 * 16 * 3 / 2 {
                self.u(8, u32::from(value));
            }
        }
        self.end(if is_idr { 0x65 } else { 0x61 });
    }
}

/// Both fields of a frame are one picture, and a field that is alone is one too.
#[test]
fn fields_with_and_without_their_others_are_pictures() {
    clean("fields_with_and_without_their_others_are_pictures", "", || {
        let mut fields = Fields::new();
        for (frame, tops, bottoms) in [(0, 1, 1), (1, 1, 0), (2, 1, 1), (3, 0, 1), (4, 1, 1)] {
            for (is_bottom, count) in [(false, tops), (true, bottoms)] {
                for _ in 0..count {
                    fields.field(frame, is_bottom, 20 + 20 * frame as u8 + u8::from(is_bottom));
                }
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fields.h264");
        std::fs::write(&path, &fields.stream).unwrap();
        let (mut session, packets) = session(text(&path));
        assert_eq!(packets.len(), 5);
        let (frames, errors) = decode(&mut session, &packets);
        assert!(errors.is_empty(), "{errors:?}");
        let lines = |frame: &Frame| [0, 1].map(|line| planar(frame)[line * 32]);
        let found: Vec<_> = frames.iter().map(lines).collect();
        assert_eq!(found.len(), 5, "{found:?}");
        for whole in [0, 2, 4] {
            assert_eq!(found[whole], [20 + 20 * whole as u8, 21 + 20 * whole as u8], "{found:?}");
        }
        assert!(found[1][0] == 40 && found[3][1] == 81, "{found:?}");
    });
}

/// The access units of raw streams, one behind the other.
fn units(names: &[&str], codec: Codec) -> Vec<Packet> {
    let mut assembler = AccessUnitAssembler::new(codec).unwrap();
    for name in names {
        assembler.push(&std::fs::read(clip(name)).unwrap()).unwrap();
    }
    assembler.finish();
    let packet = |unit: AccessUnit| Packet {
        keyframe: unit.keyframe,
        ..Packet::new(codec, BitstreamLayout::AnnexB, unit.data)
    };
    std::iter::from_fn(|| assembler.next_unit()).map(packet).collect()
}

#[test]
fn a_stream_that_becomes_another_gets_another_session() {
    let run = clean("a_stream_that_becomes_another_gets_another_session", "", || {
        let names = ["small.h264", "interlaced.h264", "small.h264"];
        let packets = units(&names, Codec::H264);
        let decoded = |backend| {
            let mut session = DecodeSession::new(backend, CommonDecodeConfig::new(Codec::H264)).unwrap();
            let (frames, errors) = decode(&mut session, &packets);
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(frames.len(), 150);
            md5(frames)
        };
        assert_eq!(decoded(VT), decoded(BackendKind::Software));
    });
    if let Some(run) = run {
        assert_eq!(run.calls("VTDecompressionSessionCreate"), 3);
    }
}

/// Decoding begins at any key frame, and what comes before it is told and not shown.
#[test]
fn a_stream_is_entered_at_a_key_frame() {
    clean("a_stream_is_entered_at_a_key_frame", "", || {
        let packets = units(&["small.h264"], Codec::H264);
        let second = packets.iter().skip(1).position(|packet| packet.keyframe).unwrap() + 1;
        let mut session = DecodeSession::new(VT, CommonDecodeConfig::new(Codec::H264)).unwrap();
        let (frames, errors) = decode(&mut session, &packets[1..]);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(frames.len(), 50 - second);
        assert!(frames[0].keyframe && frames.iter().all(|frame| !frame.concealed));
    });
}

/// Whichever way a decoder tells it, one unit is lost, and what refers to it is marked.
#[test]
fn damage_costs_the_unit_that_has_it() {
    for settings in [
        "fail.decode.at=5:-12909",
        "fail.decode.call=5:-12909",
        "fail.decode.at=5:-17694",
        "fail.decode.at=5:-12909;decode.error=both",
    ] {
        clean("damage_costs_the_unit_that_has_it", settings, || {
            let (mut session, packets) = session("small.h264");
            let (frames, errors) = decode(&mut session, &packets);
            let [Error::CorruptStream { recoverable: true, .. }] = &errors[..] else { panic!("{errors:?}") };
            assert_eq!(frames.len(), 49);
            let marked = frames.iter().filter(|frame| frame.concealed).count();
            assert!((1..49).contains(&marked), "{marked} marked");
        });
    }
}

#[test]
fn a_frame_that_the_decoder_drops_is_told() {
    clean("a_frame_that_the_decoder_drops_is_told", "drop.decode.at=7", || {
        let (mut session, packets) = session("small.h265");
        let (frames, errors) = decode(&mut session, &packets);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(frames.len(), 49);
        let losses = format!("{:?}", session.summary().losses);
        assert!(losses.contains("dropped by the decoder"), "{losses}");
        let marked = frames.iter().filter(|frame| frame.concealed).count();
        assert!((1..=44).contains(&marked), "{marked} of those behind it may refer to it");
    });
}

#[test]
fn a_lost_session_is_a_lost_device() {
    clean("a_lost_session_is_a_lost_device", "invalidate.decode.at=20", || {
        let (mut session, packets) = session("small.h264");
        let (frames, errors) = decode(&mut session, &packets);
        assert!(frames.len() < 20, "{}", frames.len());
        let [Error::DeviceLost { backend: VT, detail }] = &errors[..] else { panic!("{errors:?}") };
        assert!(detail.contains("-12903"), "{detail}");
    });
}

/// Another decoder goes on, and no frame is lost or wrong.
#[test]
fn a_job_goes_on_where_its_session_is_lost() {
    clean("a_job_goes_on_where_its_session_is_lost", "invalidate.decode.at=20", || {
        let frames =
            video_hw::frames(clip("small.h264")).backend(Backend::Auto).on_failure(FailurePolicy::Auto);
        let frames = frames.open().unwrap();
        assert_eq!(md5(frames.map(|frame| frame.unwrap())), golden("small.h264"));
    });
}

#[test]
fn a_slow_decoder_gives_the_same() {
    clean("a_slow_decoder_gives_the_same", "delay.decode_ms=2", || {
        decode_exactly("small.h264");
        let (config, packets) = packets("small.h265");
        for config in [config.clone().low_latency(true), config.max_display_delay(1)] {
            let mut session = DecodeSession::new(VT, config).unwrap();
            let (frames, errors) = decode(&mut session, &packets);
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(md5(frames), golden("small.h265"));
        }
    });
}

#[test]
fn a_decoder_that_is_not_free_is_told_and_the_next_is_taken() {
    clean("a_decoder_that_is_not_free_is_told_and_the_next_is_taken", "create.decode.fail=-12913", || {
        let (mut session, packets) = session("small.h264");
        let (frames, errors) = decode(&mut session, &packets);
        assert!(frames.is_empty());
        assert!(matches!(&errors[..], [Error::SessionLimit { backend: VT, .. }]), "{errors:?}");
        let frames = video_hw::frames(clip("small.h264")).on_failure(FailurePolicy::Auto).open().unwrap();
        assert_eq!(md5(frames.map(|frame| frame.unwrap())), golden("small.h264"));
    });
}

/// Whatever a decoder names as its reason not to open, the next one is asked, and without a next one it is told.
#[test]
fn a_stream_that_the_decoder_does_not_open_is_taken_by_the_next() {
    for code in [-12911, -12909, -8971] {
        let settings = format!("create.decode.fail={code}");
        clean_case(
            "m1",
            "a_stream_that_the_decoder_does_not_open_is_taken_by_the_next",
            &settings,
            "",
            |_| {
                let (mut session, packets) = session("small.h264");
                let (frames, errors) = decode(&mut session, &packets);
                assert!(frames.is_empty());
                let [error @ Error::Unsupported { .. }] = &errors[..] else { panic!("{errors:?}") };
                assert!(error.to_string().contains(&code.to_string()), "{error}");
                let frames = video_hw::frames(clip("small.h264")).open().unwrap();
                assert_eq!(md5(frames.map(|frame| frame.unwrap())), golden("small.h264"));
            },
        );
    }
}

/// It is told to hold nothing back, and waited for once more.
#[test]
fn a_picture_that_does_not_come_is_not_waited_for_for_ever() {
    let run =
        clean("a_picture_that_does_not_come_is_not_waited_for_for_ever", "delay.decode_ms=1100", || {
            let (config, packets) = packets("small.h264");
            let mut session = DecodeSession::new(VT, config.low_latency(true)).unwrap();
            let (frames, errors) = decode(&mut session, &packets[..1]);
            assert_eq!((frames.len(), errors.len()), (1, 0), "{errors:?}");
        });
    if let Some(run) = run {
        assert!(run.calls("VTDecompressionSessionFinishDelayedFrames") > 1);
    }
}

/// Units that say nothing, and units that cannot be read, in front of a key frame and behind it.
#[test]
fn units_without_a_picture_are_answered() {
    clean("units_without_a_picture_are_answered", "", || {
        let (mut session, mut packets) = session("small.h264");
        let unit = |data: &[u8]| Packet::new(Codec::H264, BitstreamLayout::AnnexB, data.to_vec());
        // An end of sequence, and a slice of parameter sets that nobody has.
        let (nothing, lost) = (unit(&[0, 0, 1, 10]), unit(&[0, 0, 1, 0x41, 0x9a, 0x7f, 0xff, 0xff]));
        packets.splice(0..0, [nothing.clone(), lost.clone()]);
        packets.splice(9..9, [nothing, lost]);
        let (frames, errors) = decode(&mut session, &packets);
        let [Error::CorruptStream { recoverable: true, .. }] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!(frames.len(), 50);
        assert!(frames.iter().any(|frame| frame.concealed));
        let losses = format!("{:?}", session.summary().losses);
        for words in ["no coded picture in the unit", "before the first random access point"] {
            assert!(losses.contains(words), "{losses}");
        }
    });
}

/// An open group that is entered at its first picture: leading pictures that refer to what was never sent are told, and not shown.
#[test]
fn an_open_group_is_entered_without_its_leading_pictures() {
    clean("an_open_group_is_entered_without_its_leading_pictures", "", || {
        let folder = tempfile::tempdir().unwrap();
        let params = "open-gop=1:bframes=3:b-adapt=0:keyint=8:min-keyint=8:scenecut=0";
        for (name, encoder, option) in
            [("open.h264", "libx264", "-x264-params"), ("open.h265", "libx265", "-x265-params")]
        {
            let path = folder.path().join(name);
            let made = std::process::Command::new("ffmpeg")
                .env_remove("LD_LIBRARY_PATH")
                .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=96x64:d=1", "-c:v", encoder])
                .args(["-pix_fmt", "yuv420p", option, params])
                .arg(&path)
                .stderr(std::process::Stdio::null())
                .status();
            if !made.is_ok_and(|status| status.success()) {
                eprintln!("SKIPPED: no ffmpeg with {encoder}");
                return;
            }
            let (config, packets) = packets(&path);
            let second = packets.iter().skip(1).position(|packet| packet.keyframe).unwrap() + 1;
            let all = |backend, packets: &[Packet]| {
                let mut session = DecodeSession::new(backend, config.clone()).unwrap();
                let (frames, errors) = decode(&mut session, packets);
                assert!(errors.is_empty(), "{errors:?}");
                frames.iter().map(planar).collect::<Vec<_>>()
            };
            let (whole, part) = (all(VT, &packets), all(VT, &packets[second..]));
            assert_eq!(whole, all(BackendKind::Software, &packets), "{name}");
            assert_eq!(part.len(), packets.len() - second - 3, "{name}: three leading pictures");
            assert!(whole.ends_with(&part), "{name}");
        }
    });
}
