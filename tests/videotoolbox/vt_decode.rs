//! Decoding: pictures against ffmpeg's checksums, manners, and answers when calls fail.

use md5::{Digest, Md5};
use video_hw::backend::{Backend, BackendKind, devices, query_backend_capability};
use video_hw::bitstream::{AccessUnit, AccessUnitAssembler};
use video_hw::codec::Codec;
use video_hw::config::{CommonDecodeConfig, Crop, DecodeOutputMode, FailurePolicy};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::{Frame, Surface};
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::pixel::PixelFormat;
use video_hw::session::DecodeSession;
use video_hw::transform;

use crate::support::nvidia::{clip, decode, golden, packets, planar};
use crate::support::videotoolbox::{clean, clean_on};

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
