//! Sessions against scripted backends: order, times, losses, backpressure, reuse.

use std::collections::BTreeSet;
use std::time::Duration;

use video_hw::Error;
use video_hw::backend::BackendKind;
use video_hw::backend::mock::{MockDecoder, MockEncoder, Script, mock_packet};
use video_hw::codec::Codec;
use video_hw::config::{CommonDecodeConfig, CommonEncodeConfig, DecodeOutputMode};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface, Surface};
use video_hw::packet::{Packet, PictureType};
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, EncodeSession, LossKind, Submit};
use video_hw::time::{Rational, TimeBase, Timestamp};

const SIZE: Dimensions = Dimensions::new(16, 16).unwrap();

fn at(ticks: i64) -> Timestamp {
    Timestamp::new(ticks, TimeBase::MPEG)
}

fn script(fail: &[u64]) -> Script {
    Script { fail: fail.iter().copied().collect(), ..Script::default() }
}

fn decoder(settings: MockDecoder) -> DecodeSession {
    let config = CommonDecodeConfig::new(Codec::H264);
    DecodeSession::with_backend(config, |sink| Ok(settings.open(sink))).unwrap()
}

/// Packets in coding order I0 P2 b1 P4 b3 ..., pts = 1000 + 10 * display index.
fn reordered(n: u64) -> Vec<Packet> {
    let order = (0..n).map(|i| match i {
        0 => 0,
        i if i % 2 == 1 => (i + 1).min(n - 1),
        i => i - 1,
    });
    order
        .enumerate()
        .map(|(dts, display)| {
            mock_packet(display).at(at(1000 + 10 * display as i64), at(990 + 10 * dts as i64))
        })
        .collect()
}

fn submit_all(session: &mut DecodeSession, packets: Vec<Packet>, out: &mut Vec<Frame>) {
    for mut packet in packets {
        while let Submit::Full(back) = session.submit(packet).unwrap() {
            packet = back;
            out.extend(session.reap_timeout(Duration::from_millis(20)).unwrap());
        }
    }
}

#[test]
fn frames_come_in_presentation_order_with_their_own_times() {
    let mut session = decoder(MockDecoder { reorder_depth: 1, ..MockDecoder::default() });
    let mut frames = Vec::new();
    submit_all(&mut session, reordered(101), &mut frames);
    frames.extend(session.drain().unwrap().map(Result::unwrap));
    let pts: Vec<_> = frames.iter().map(|f| f.pts.ticks()).collect();
    assert_eq!(pts, (0..101).map(|i| 1000 + 10 * i).collect::<Vec<_>>());
    for (i, frame) in frames.iter().enumerate() {
        assert_eq!(frame.as_host().unwrap().plane(0).unwrap().row(0)[0], i as u8, "picture {i}");
    }
    let summary = session.summary();
    assert!(summary.ledger.balances(), "{:?}", summary.ledger);
    assert_eq!((summary.ledger.delivered, summary.ledger.pending), (101, 0));
    assert_eq!(summary.synthesised_timestamps, 0);
}

#[test]
fn a_full_session_hands_the_packet_back_and_loses_nothing() {
    let mut session = decoder(MockDecoder::default());
    let mut accepted = 0;
    let refused = loop {
        match session.submit(mock_packet(accepted)).unwrap() {
            Submit::Accepted => accepted += 1,
            // The worker may take one more out of the queue after it looked full; wait for a real standstill.
            Submit::Full(packet) => {
                std::thread::sleep(Duration::from_millis(20));
                match session.submit(packet).unwrap() {
                    Submit::Accepted => accepted += 1,
                    Submit::Full(packet) => break packet,
                }
            }
        }
    };
    assert_eq!(refused.data, mock_packet(accepted).data);
    let frames = session.drain().unwrap().flatten().count() as u64;
    assert_eq!(frames, accepted);
    assert!(session.summary().ledger.balances());
}

#[test]
fn an_empty_flush_is_empty_and_sessions_live_on_after_flush() {
    let mut session = decoder(MockDecoder { reorder_depth: 2, ..MockDecoder::default() });
    assert_eq!(session.drain().unwrap().count(), 0);
    for round in 0..3 {
        for i in 0..5 {
            assert!(matches!(session.submit(mock_packet(i)).unwrap(), Submit::Accepted));
        }
        session.flush().unwrap();
        assert_eq!(session.drain().unwrap().count(), 5, "round {round}");
        assert!(session.is_drained());
    }
    // Without times in the packets the frames are numbered at 25 per second, on through the flushes.
    assert_eq!(session.summary().synthesised_timestamps, 15);
}

#[test]
fn losses_are_reported_once_and_counted() {
    let mut session = decoder(MockDecoder {
        script: Script { swallow: [4].into(), ..script(&[2, 5]) },
        ..MockDecoder::default()
    });
    let mut frames = Vec::new();
    let packets = (0..8).map(mock_packet).collect();
    submit_all(&mut session, packets, &mut frames);
    let rest: Vec<_> = session.drain().unwrap().collect();
    let errors: Vec<_> = rest.iter().filter_map(|r| r.as_ref().err()).collect();
    assert_eq!(errors.len(), 2);
    assert!(errors.iter().all(|e| e.is_recoverable()));
    let ledger = session.summary().ledger;
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!((ledger.delivered, ledger.failed, ledger.dropped["swallowed"]), (5, 2, 1));
    let losses = session.summary().losses;
    assert_eq!((losses.count(LossKind::Dropped), losses.count(LossKind::Failed)), (1, 2));
    let swallowed = losses.reasons().iter().find(|loss| loss.kind == LossKind::Dropped).unwrap();
    // These packets have no times.
    assert_eq!((swallowed.reason.as_str(), &swallowed.first[..]), ("swallowed", &[(4, None)][..]));
    let failed = losses.reasons().iter().filter(|loss| loss.kind == LossKind::Failed);
    assert_eq!(failed.flat_map(|loss| &loss.first).map(|(number, _)| *number).collect::<Vec<_>>(), [2, 5]);
}

#[test]
fn lost_packets_are_told_with_their_times_and_discarded_ones_by_their_reason() {
    let mut session = decoder(MockDecoder { script: script(&[3]), ..MockDecoder::default() });
    let mut packets: Vec<_> =
        (0..6).map(|i| mock_packet(i).at(at(10 * i as i64), at(10 * i as i64))).collect();
    packets[0].discard = true;
    submit_all(&mut session, packets, &mut Vec::new());
    assert_eq!(session.drain().unwrap().filter(Result::is_err).count(), 1);
    let losses = session.summary().losses;
    let [discarded, failed] = losses.reasons() else { panic!("{losses:?}") };
    assert_eq!((discarded.kind, discarded.reason.as_str()), (LossKind::Dropped, "before the presented part"));
    assert_eq!(discarded.first, [(0, Some(at(0)))]);
    assert_eq!((failed.kind, &failed.first[..]), (LossKind::Failed, &[(3, Some(at(30)))][..]));
}

#[test]
fn a_dead_or_panicking_backend_ends_the_session_with_a_reason_and_balanced_books() {
    // What a decoder still holds that only gives the stream up comes out before the end; a panicked one is not asked again.
    for (script, words, frames) in [
        (Script { die: [3].into(), ..Script::default() }, "scripted end at unit 3", 3),
        (Script { panic: [3].into(), ..Script::default() }, "scripted panic at unit 3", 2),
    ] {
        let mut session = decoder(MockDecoder { script, reorder_depth: 1, ..MockDecoder::default() });
        for i in 0..8 {
            if session.submit(mock_packet(i)).is_err() {
                break;
            }
        }
        let mut results = Vec::new();
        loop {
            match session.reap_timeout(Duration::from_secs(60)) {
                Ok(Some(frame)) => results.push(frame),
                Ok(None) => panic!("ended without a reason"),
                Err(error) => {
                    assert!(error.to_string().contains(words), "{error}");
                    assert!(!error.is_recoverable());
                    break;
                }
            }
        }
        assert_eq!(results.len(), frames);
        let error = loop {
            match session.submit(mock_packet(9)) {
                Ok(_) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => break error,
            }
        };
        // Who feeds and never reaps learns it too.
        assert!(error.to_string().contains(words), "{error}");
        assert!(session.flush().unwrap_err().to_string().contains(words));
        let ledger = session.summary().ledger;
        assert!(ledger.balances(), "{ledger:?}");
        let delivered = frames as u64;
        assert_eq!((ledger.delivered, ledger.pending), (delivered, 0), "{ledger:?}");
        assert_eq!(ledger.failed, ledger.submitted - delivered, "{ledger:?}");
        // Those that were inside; what waited in front of the decoder is in the ledger alone.
        let losses = session.summary().losses;
        assert!(losses.reasons().iter().any(|loss| loss.reason.contains(words)), "{losses:?}");
        let lost = losses.count(LossKind::Failed);
        assert!((1..=ledger.failed).contains(&lost), "{losses:?} {ledger:?}");
    }
}

#[test]
fn an_encoder_that_dies_leaves_a_list_of_all_that_was_inside() {
    let script = Script { die: [6].into(), ..Script::default() };
    let mut session = encoder(MockEncoder { script, b_frames: 3 }, false);
    for i in 0..7 {
        let mut next = frame(i);
        while let Submit::Full(back) = session.submit(next).unwrap() {
            next = back;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let end = loop {
        match session.reap_timeout(Duration::from_secs(60)) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended without a reason"),
            Err(error) => break error.to_string(),
        }
    };
    let summary = session.summary();
    // The first is an IDR picture, four came out as a group, and one was held back for the next.
    assert_eq!((summary.ledger.delivered, summary.ledger.failed), (5, 2));
    let [loss] = summary.losses.reasons() else { panic!("{:?}", summary.losses) };
    assert_eq!((loss.kind, loss.count, &loss.reason), (LossKind::Failed, 2, &end));
    assert!(summary.ledger.balances());
}

#[test]
fn a_packet_of_another_codec_is_refused() {
    let mut session = decoder(MockDecoder::default());
    let error = session.submit(Packet { codec: Some(Codec::Vp8), ..mock_packet(0) }).unwrap_err();
    assert!(error.to_string().contains("opened for h264"), "{error}");
    assert_eq!(session.summary().ledger.submitted, 0);
}

#[test]
fn discarded_packets_are_decoded_but_not_shown() {
    let mut session = decoder(MockDecoder::default());
    for i in 0..6 {
        let mut packet = mock_packet(i).at(at(i as i64), at(i as i64));
        packet.discard = i < 2;
        assert!(matches!(session.submit(packet).unwrap(), Submit::Accepted));
    }
    let shown: Vec<_> = session.drain().unwrap().map(|f| f.unwrap().pts.ticks()).collect();
    assert_eq!(shown, [2, 3, 4, 5]);
    assert_eq!(session.summary().ledger.dropped_total(), 2);
}

#[test]
fn metadata_only_carries_no_samples() {
    let config = CommonDecodeConfig::new(Codec::H264).output(DecodeOutputMode::MetadataOnly);
    let mut session =
        DecodeSession::with_backend(config, |sink| Ok(MockDecoder::default().open(sink))).unwrap();
    assert!(matches!(session.submit(mock_packet(0)).unwrap(), Submit::Accepted));
    let frames: Vec<_> = session.drain().unwrap().map(Result::unwrap).collect();
    assert!(matches!(frames[0].surface, Surface::None));
    assert_eq!(frames[0].dimensions, SIZE);
}

fn encoder(settings: MockEncoder, force_idr: bool) -> EncodeSession {
    let mut config = CommonEncodeConfig::new(Codec::H264, SIZE, Rational::new(25, 1).unwrap());
    config.force_idr = force_idr;
    EncodeSession::with_backend(config, |sink| Ok(settings.open(sink))).unwrap()
}

fn frame(ticks: i64) -> Frame {
    let data = vec![0; PixelFormat::I420.frame_bytes(SIZE)];
    Frame::host(at(ticks), HostSurface::from_packed(PixelFormat::I420, SIZE, data).unwrap())
}

fn encode(session: &mut EncodeSession, times: impl IntoIterator<Item = i64>) -> Vec<Packet> {
    let mut out = Vec::new();
    for ticks in times {
        let mut next = frame(ticks);
        while let Submit::Full(back) = session.submit(next).unwrap() {
            next = back;
            out.extend(session.reap_timeout(Duration::from_millis(20)).unwrap());
        }
    }
    out.extend(session.drain().unwrap().map(Result::unwrap));
    out
}

#[test]
fn packets_carry_the_times_of_their_own_frame_even_when_reordered() {
    let mut session = encoder(MockEncoder { b_frames: 2, ..MockEncoder::default() }, false);
    // Variable frame rate: gaps differ.
    let times: Vec<i64> = (0..40).map(|i| i * 3600 + (i % 7) * 11).collect();
    let packets = encode(&mut session, times.clone());
    assert_eq!(packets.len(), 40);
    for packet in &packets {
        let serial = u64::from_be_bytes(packet.data[..].try_into().unwrap());
        assert_eq!(packet.pts.unwrap().ticks(), times[serial as usize]);
        assert!(packet.dts.unwrap() <= packet.pts.unwrap(), "dts after pts");
    }
    assert!(packets.windows(2).all(|w| w[0].dts.unwrap() < w[1].dts.unwrap()), "dts not increasing");
    assert!(packets.iter().any(|p| p.picture_type == Some(PictureType::B)));
    assert!(session.summary().ledger.balances());
}

#[test]
fn keyframes_are_where_they_were_asked_for() {
    let mut session = encoder(MockEncoder::default(), false);
    for i in 0..4 {
        let mut f = frame(i);
        f.force_keyframe = i == 2;
        assert!(matches!(session.submit(f).unwrap(), Submit::Accepted));
    }
    let keys: Vec<_> = session.drain().unwrap().map(|p| p.unwrap().keyframe).collect();
    assert_eq!(keys, [true, false, true, false]);
    assert_eq!(encode(&mut session, [10]).iter().filter(|p| p.keyframe).count(), 1, "IDR after flush");
    let all = encode(&mut encoder(MockEncoder::default(), true), 0..5);
    assert!(all.iter().all(|p| p.keyframe));
}

#[test]
fn frames_that_do_not_fit_are_refused_before_the_encoder_sees_them() {
    let mut session = encoder(MockEncoder::default(), false);
    let small = Dimensions::new(8, 8).unwrap();
    let data = vec![0; PixelFormat::I420.frame_bytes(small)];
    let wrong = Frame::host(at(0), HostSurface::from_packed(PixelFormat::I420, small, data).unwrap());
    assert!(matches!(session.submit(wrong), Err(Error::InvalidInput { .. })));
    assert!(matches!(session.submit(frame(5)).unwrap(), Submit::Accepted));
    let error = session.submit(frame(5)).unwrap_err();
    assert!(error.to_string().contains("must increase"), "{error}");
    assert_eq!(session.drain().unwrap().count(), 1);
    assert_eq!(session.summary().ledger.submitted, 1);
}

#[test]
fn dropped_and_failed_frames_do_not_shift_the_times_of_others() {
    let script = Script { swallow: BTreeSet::from([3]), ..script(&[6]) };
    let mut session = encoder(MockEncoder { script, b_frames: 1 }, false);
    let mut packets = Vec::new();
    for i in 0..12 {
        let mut next = frame(i * 10);
        while let Submit::Full(back) = session.submit(next).unwrap() {
            next = back;
            packets.extend(session.reap_timeout(Duration::from_millis(20)).ok().flatten());
        }
    }
    packets.extend(session.drain().unwrap().filter_map(Result::ok));
    for packet in &packets {
        let serial = u64::from_be_bytes(packet.data[..].try_into().unwrap());
        assert_eq!(packet.pts.unwrap().ticks(), serial as i64 * 10);
        assert!(packet.dts <= packet.pts);
    }
    assert!(packets.windows(2).all(|w| w[0].dts < w[1].dts));
    let ledger = session.summary().ledger;
    assert_eq!((ledger.delivered, ledger.dropped_total(), ledger.failed), (10, 1, 1));
}

#[test]
fn the_two_ends_work_from_two_threads_and_dropping_either_frees_the_other() {
    let session = decoder(MockDecoder::default());
    let (mut input, mut output) = session.split();
    let feeder = std::thread::spawn(move || {
        for i in 0..500 {
            input.submit_blocking(mock_packet(i)).unwrap();
        }
        input.flush().unwrap();
    });
    let mut n = 0;
    while let Some(_frame) = output.reap().unwrap() {
        n += 1;
    }
    assert_eq!(n, 500);
    feeder.join().unwrap();

    let (mut input, output) = decoder(MockDecoder::default()).split();
    drop(output);
    let mut sent = 0;
    while input.submit_blocking(mock_packet(sent)).is_ok() && sent < 1000 {
        sent += 1;
    }
    assert!(sent < 1000, "the worker goes on with nobody to take its results");
}

/// A message that the encoder cannot put into the stream is refused with its frame, and nothing else suffers.
#[test]
fn a_frame_with_a_message_is_refused_by_an_encoder_without_messages() {
    use video_hw::frame::UserSei;
    let size = Dimensions::new(64, 64).unwrap();
    let config = CommonEncodeConfig::new(Codec::H264, size, Rational::new(25, 1).unwrap());
    let mut session = EncodeSession::new(BackendKind::Software, config).unwrap();
    let frame = |number| {
        let pts = Timestamp::new(number, TimeBase::new(1, 25).unwrap());
        let surface = HostSurface::from_packed(PixelFormat::I420, size, vec![90; 64 * 64 * 3 / 2]).unwrap();
        Frame::host(pts, surface)
    };
    assert!(matches!(session.submit(frame(0)).unwrap(), Submit::Accepted));
    let mut spoken = frame(1);
    spoken.user_sei.push(UserSei::new(5, vec![7; 20]));
    let refusal = session.submit(spoken).err().unwrap();
    assert!(matches!(refusal, Error::Unsupported { .. }), "{refusal}");
    assert!(refusal.to_string().contains("payload type 5"), "{refusal}");
    assert!(matches!(session.submit(frame(1)).unwrap(), Submit::Accepted));
    let packets: Vec<_> = session.drain().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(packets.len(), 2);
    assert!(session.summary().ledger.balances());
}
