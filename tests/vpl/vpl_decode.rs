//! Decoding: pictures against ffmpeg's checksums, manners, and answers when calls fail.

use md5::{Digest, Md5};
use video_hw::backend::{Backend, BackendKind};
use video_hw::bitstream::{AccessUnit, AccessUnitAssembler};
use video_hw::codec::Codec;
use video_hw::config::{CommonDecodeConfig, Crop, DecodeOutputMode, FailurePolicy};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::{Frame, Surface};
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::session::DecodeSession;
use video_hw::transform;

use crate::support::failover::{Random, long};
use crate::support::nvidia::{clip, decode, decode_into, golden, packets, planar};
use crate::support::vpl::{Machine, clean, clean_case};

const QSV: BackendKind = BackendKind::Qsv;

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
    let frames = video_hw::frames(clip(name)).backend(QSV).open().unwrap();
    assert_eq!(md5(frames.map(|frame| frame.unwrap())), golden(name), "{name}");
}

fn session(name: &str) -> (DecodeSession, Vec<Packet>) {
    let (config, packets) = packets(name);
    (DecodeSession::new(QSV, config).unwrap(), packets)
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
fn every_codec_is_exact() {
    clean("every_codec_is_exact", "", || {
        for name in ["small.h265", "small-10bit.h265", "small-vp9.ivf", "small-av1.ivf"] {
            decode_exactly(name);
        }
    });
}

#[test]
fn metadata_alone_reads_no_sample() {
    let run = clean("metadata_alone_reads_no_sample", "", || {
        let (config, packets) = packets("small.h264");
        let config = config.output(DecodeOutputMode::MetadataOnly);
        let mut session = DecodeSession::new(QSV, config).unwrap();
        let (frames, errors) = decode(&mut session, &packets);
        assert!(errors.is_empty() && frames.iter().all(|frame| frame.as_host().is_none()), "{errors:?}");
        assert_eq!(frames.len(), 50);
    });
    if let Some(run) = run {
        assert_eq!(run.calls("mfxFrameSurfaceInterface::Map"), 0);
        assert!(run.report().contains("\"video_memory\": true"), "{}", run.report());
    }
}

/// Frames are the runtime's own memory, and stay when everything else is gone.
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
    clean("native_frames_are_mapped_when_asked_for", "", || {
        for name in ["small.h264", "small-10bit.h265"] {
            let (config, packets) = packets(name);
            let config = config.output(DecodeOutputMode::NativeSurface);
            let mut session = DecodeSession::new(QSV, config).unwrap();
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
        assert_eq!(run.calls("MFXVideoDECODE_Init"), 1);
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

/// Another size or depth in mid-stream: what is inside comes out by the old parameters, and the decoder is opened anew.
#[test]
fn a_stream_that_becomes_another_is_exact() {
    let run = clean("a_stream_that_becomes_another_is_exact", "", || {
        for (codec, names) in [
            (Codec::H264, ["small.h264", "interlaced.h264", "small.h264"]),
            (Codec::Hevc, ["small.h265", "small-10bit.h265", "small.h265"]),
        ] {
            let packets = units(&names, codec);
            let decoded = |backend| {
                let mut session = DecodeSession::new(backend, CommonDecodeConfig::new(codec)).unwrap();
                let (frames, errors) = decode(&mut session, &packets);
                assert!(errors.is_empty(), "{errors:?}");
                assert_eq!(frames.len(), 150);
                md5(frames)
            };
            assert_eq!(decoded(QSV), decoded(BackendKind::Software), "{codec}");
        }
    });
    if let Some(run) = run {
        assert!(run.calls("MFXVideoDECODE_Init") >= 5, "{}", run.report());
    }
}

/// Decoding begins at any key frame, and what comes before it is told and not shown.
#[test]
fn a_stream_is_entered_at_a_key_frame() {
    clean("a_stream_is_entered_at_a_key_frame", "", || {
        let packets = units(&["small.h264"], Codec::H264);
        let second = packets.iter().skip(1).position(|packet| packet.keyframe).unwrap() + 1;
        let mut session = DecodeSession::new(QSV, CommonDecodeConfig::new(Codec::H264)).unwrap();
        let (frames, errors) = decode(&mut session, &packets[1..]);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(frames.len(), 50 - second);
        assert!(frames[0].keyframe && frames.iter().all(|frame| !frame.concealed));
    });
}

/// A GPU that is busy, for a call or for all surfaces of its pool, is asked again.
#[test]
fn a_busy_gpu_costs_nothing_but_time() {
    for settings in [
        "fail.decode.call=5:busy;fail.decode.call=6:busy",
        "fail.surface=7:13",
        "time.decode_us=2000",
        "surfaces=6",
    ] {
        clean("a_busy_gpu_costs_nothing_but_time", settings, || {
            decode_exactly("small.h264");
            let (config, packets) = packets("small.h265");
            for config in [config.clone().low_latency(true), config.max_display_delay(1)] {
                let mut session = DecodeSession::new(QSV, config).unwrap();
                let (count, hash) = {
                    let (mut hash, mut count) = (Md5::new(), 0);
                    decode_into(&mut session, &packets, |frame| {
                        hash.update(planar(&frame.unwrap()));
                        count += 1;
                    });
                    (count, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
                };
                assert_eq!((count, hash), golden("small.h265"));
            }
        });
    }
}

/// No memory for one operation, or for one surface: one unit is lost, and what refers to it is marked.
#[test]
fn no_memory_costs_a_unit() {
    for settings in ["fail.decode.call=5:memory", "fail.decode.at=5:memory", "fail.surface=5:memory"] {
        clean("no_memory_costs_a_unit", settings, || {
            let (mut session, packets) = session("small.h264");
            let (frames, errors) = decode(&mut session, &packets);
            let [Error::OutOfMemory { backend: QSV, .. }] = &errors[..] else { panic!("{errors:?}") };
            assert_eq!(frames.len(), 49);
            let marked = frames.iter().filter(|frame| frame.concealed).count();
            assert!((1..49).contains(&marked), "{marked} marked");
            let summary = session.summary();
            assert_eq!(summary.ledger.delivered + summary.ledger.failed, summary.ledger.submitted);
        });
    }
}

/// A picture that the decoder keeps for itself is told, and not waited for.
#[test]
fn a_picture_that_never_comes_out_is_told() {
    clean("a_picture_that_never_comes_out_is_told", "keep.decode.at=7;keep.decode.at=50", || {
        for name in ["small.h264", "small-vp9.ivf"] {
            let (mut session, packets) = session(name);
            let (frames, errors) = decode(&mut session, &packets);
            assert!(errors.is_empty(), "{errors:?}");
            // The faults are counted over both.
            assert_eq!(frames.len(), if name == "small.h264" { 48 } else { 50 });
            let ledger = session.summary().ledger;
            assert_eq!(ledger.delivered + ledger.dropped_total(), ledger.submitted, "{ledger:?}");
        }
    });
}

/// The device is gone, by each word that the runtime has for it: the session says so, and a job goes on with another decoder,
/// without a frame that is lost or wrong.
#[test]
fn a_lost_device_is_told_and_replaced() {
    for settings in [
        "lost.decode.at=20",
        "hang.decode.at=20",
        "fail.decode.at=20:lost",
        "fail.decode.at=20:hang",
        "fail.decode.at=20:failed",
    ] {
        clean("a_lost_device_is_told_and_replaced", settings, || {
            let (mut session, packets) = session("small.h264");
            let (frames, errors) = decode(&mut session, &packets);
            assert!(frames.len() <= 20, "{}", frames.len());
            assert!(matches!(&errors[..], [Error::DeviceLost { backend: QSV, .. }]), "{errors:?}");
        });
    }
}

#[test]
fn a_job_goes_on_where_its_device_is_lost() {
    for settings in [
        "lost.decode.at=20",
        "fail.decode.at=20:hang",
        "fail.decode.at=9:unknown",
        "fail.decode.call=9:aborted",
    ] {
        clean("a_job_goes_on_where_its_device_is_lost", settings, || {
            let frames =
                video_hw::frames(clip("small.h264")).backend(Backend::Auto).on_failure(FailurePolicy::Auto);
            let frames = frames.open().unwrap();
            assert_eq!(md5(frames.map(|frame| frame.unwrap())), golden("small.h264"));
        });
    }
}

/// A codec that cannot be opened is refused, and the next decoder is taken.
#[test]
fn a_decoder_that_does_not_open_is_told_and_the_next_is_taken() {
    for settings in ["init.decode.fail=-15", "init.decode.fail=-4", "init.decode.fail=-17", "session.fail=-3"]
    {
        let machine = Machine { settings, ..Machine::USUAL };
        clean_case(machine, "a_decoder_that_does_not_open_is_told_and_the_next_is_taken", "", |_| {
            let frames = video_hw::frames(clip("small.h264")).on_failure(FailurePolicy::Auto).open().unwrap();
            assert_eq!(md5(frames.map(|frame| frame.unwrap())), golden("small.h264"));
        });
    }
}

/// Work that the driver does on the CPU is done, and said.
#[test]
fn partial_acceleration_is_a_note() {
    clean("partial_acceleration_is_a_note", "init.decode.fail=4", || {
        let (mut session, packets) = session("small.h264");
        let (frames, errors) = decode(&mut session, &packets);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(frames.len(), 50);
        let notes = format!("{:?}", session.summary().notes);
        assert!(notes.contains("on the CPU"), "{notes}");
    });
}

/// Units that say nothing, and units that cannot be read, in front of a key frame and behind it.
#[test]
fn units_without_a_picture_are_answered() {
    clean("units_without_a_picture_are_answered", "", || {
        let (mut session, mut packets) = session("small.h264");
        let unit = |data: &[u8]| Packet::new(Codec::H264, BitstreamLayout::AnnexB, data.to_vec());
        // An end of sequence, and a cut-off parameter set.
        let (nothing, lost) = (unit(&[0, 0, 1, 10]), unit(&[0, 0, 1, 0x67]));
        packets.splice(0..0, [nothing.clone(), lost.clone()]);
        packets.splice(9..9, [nothing, lost]);
        let (frames, errors) = decode(&mut session, &packets);
        assert!(errors.iter().all(Error::is_recoverable), "{errors:?}");
        assert_eq!(frames.len(), 50);
        let summary = session.summary();
        let losses = format!("{:?}", summary.losses);
        assert!(losses.contains("no coded picture in the unit"), "{losses}");
        let ledger = summary.ledger;
        assert_eq!(
            ledger.delivered + ledger.failed + ledger.dropped.values().sum::<u64>(),
            ledger.submitted,
            "{ledger:?}"
        );
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
            let (whole, part) = (all(QSV, &packets), all(QSV, &packets[second..]));
            assert_eq!(whole, all(BackendKind::Software, &packets), "{name}");
            assert_eq!(part.len(), packets.len() - second - 3, "{name}: three leading pictures");
            assert!(whole.ends_with(&part), "{name}");
        }
    });
}

/// Damaged units: whatever is in them, each has its record, and the session goes on or says why it does not.
#[test]
fn damaged_streams_leave_every_ledger_balanced() {
    clean("damaged_streams_leave_every_ledger_balanced", "", || {
        let mut random = Random::new(21);
        let names = [
            "small.h264",
            "interlaced.h264",
            "small.h265",
            "small-10bit.h265",
            "small-vp9.ivf",
            "small-av1.ivf",
        ];
        for _ in 0..if long() { 60 } else { 2 } {
            for name in names {
                let (mut session, mut packets) = session(name);
                for _ in 0..random.within(1, 8) {
                    let at = random.within(0, packets.len() - 1);
                    let mut data = packets[at].data.to_vec();
                    match random.within(0, 3) {
                        0 => data.truncate(random.within(1, data.len())),
                        // In front, where headers are.
                        1 => data.iter_mut().take(24).for_each(|byte| *byte ^= 1 << random.within(0, 7)),
                        2 => data.iter_mut().for_each(|byte| *byte ^= u8::from(random.one_in(200)) * 0x10),
                        _ => data = packets[random.within(0, packets.len() - 1)].data.to_vec(),
                    }
                    packets[at].data = data.into();
                }
                let (frames, errors) = decode(&mut session, &packets);
                let ledger = session.summary().ledger;
                assert!(ledger.balances() && ledger.delivered == frames.len() as u64, "{name}: {ledger:?}");
                assert!(errors.len() as u64 <= ledger.failed + 1, "{name}: {errors:?}");
            }
        }
    });
}

/// Faults at random places: whatever goes wrong, each unit has its record, and where another decoder may go on, its picture.
#[test]
fn random_faults_leave_every_ledger_balanced() {
    let mut random = Random::new(20);
    for case in 0..if long() { 300 } else { 12 } {
        let place = random.of(&[
            "fail.decode.call",
            "fail.decode.at",
            "fail.decode.init",
            "fail.surface",
            "lost.decode.at",
            "hang.decode.at",
        ]);
        let status = random.of(&["busy", "lost", "failed", "hang", "memory", "aborted", "unknown"]);
        let number = random.within(1, 50);
        // Nothing is busy that is not open, nor an operation that was begun.
        let (number, status) = match (place, status) {
            ("fail.decode.init", "busy") => (1, "failed"),
            ("fail.decode.init", _) => (1, status),
            ("fail.decode.at", "busy") => (number, "failed"),
            _ => (number, status),
        };
        let is_last = place.starts_with("lost") || place.starts_with("hang");
        let settings =
            if is_last { format!("{place}={number}") } else { format!("{place}={number}:{status}") };
        let name = random.of(&["small.h264", "small-10bit.h265", "small-vp9.ivf"]);
        let machine = Machine { settings: settings.leak(), ..Machine::USUAL };
        clean_case(machine, "random_faults_leave_every_ledger_balanced", &case.to_string(), |_| {
            let frames = video_hw::frames(clip(name)).on_failure(FailurePolicy::Auto).open().unwrap();
            let (mut pictures, mut errors) = (Vec::new(), Vec::new());
            for frame in frames {
                match frame {
                    Ok(frame) => pictures.push(frame),
                    Err(error) => errors.push(error),
                }
            }
            // No memory costs one unit, which is told.
            let is_lost = errors.len() == 1 && matches!(errors[0], Error::OutOfMemory { .. });
            assert!(errors.is_empty() || is_lost && status == "memory", "{name}: {errors:?}");
            assert_eq!(pictures.len() + errors.len(), 50, "{name}");
            if errors.is_empty() {
                assert_eq!(md5(pictures), golden(name), "{name}");
            }
        });
    }
}

/// An operation that is never done is a lost device, and no wait without end; long form.
#[test]
fn an_operation_that_is_never_done_is_a_lost_device() {
    if !long() {
        return;
    }
    clean("an_operation_that_is_never_done_is_a_lost_device", "stuck.decode.at=10", || {
        let (mut session, packets) = session("small.h264");
        let (frames, errors) = decode(&mut session, &packets);
        assert_eq!(frames.len(), 9);
        let [Error::DeviceLost { backend: QSV, detail }] = &errors[..] else { panic!("{errors:?}") };
        assert!(detail.contains("not done after 20 s"), "{detail}");
    });
}
