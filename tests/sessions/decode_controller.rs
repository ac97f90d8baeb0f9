//! Decode sessions behind handles: settings change at a random access point, no frame is lost, and handles tell generations.

use std::path::Path;
use std::time::Duration;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::{ColorRequest, CommonDecodeConfig};
use video_hw::container::{Input, open_input};
use video_hw::control::{DecodeController, DecodeSessionController, DecodedFrame, SessionSwitchRequest};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::Submit;

/// The access units of a raw stream.
fn packets() -> Vec<Packet> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips/small.h264");
    let Input::Demuxer(mut demuxer) = open_input(&path).unwrap() else { panic!("no stream") };
    let track = demuxer.tracks()[0].clone();
    let layout = track.video.as_ref().unwrap().layout;
    let mut packets = Vec::new();
    while let Some(sample) = demuxer.next_packet().unwrap() {
        let mut packet = Packet::new(Codec::H264, layout, sample.data.clone());
        packet.keyframe = sample.keyframe;
        packets.push(packet);
    }
    packets
}

fn rgb() -> CommonDecodeConfig {
    CommonDecodeConfig::new(Codec::H264).convert(ColorRequest::Rgb8)
}

/// Feeds the clip, asks for RGB, feeds it again; the frames that came.
fn switched(
    request: impl FnOnce(CommonDecodeConfig) -> SessionSwitchRequest<CommonDecodeConfig>,
) -> (Vec<DecodedFrame>, usize) {
    let packets = packets();
    let mut controller = DecodeController::new(BackendKind::Software);
    let first = controller.start_decode_session(CommonDecodeConfig::new(Codec::H264)).unwrap();
    let mut frames = Vec::new();
    let feed = |controller: &mut DecodeController, frames: &mut Vec<DecodedFrame>| {
        for packet in &packets {
            let mut packet = packet.clone();
            while let Submit::Full(back) = controller.submit(first, packet).unwrap() {
                packet = back;
                frames.extend(controller.reap_timeout(first, Duration::from_millis(20)).unwrap());
            }
        }
    };
    feed(&mut controller, &mut frames);
    let second = controller.switch_decode_session(first, request(rgb())).unwrap();
    assert_eq!((first.id, first.generation, second.generation), (second.id, 1, 2));
    // Packets that decoding cannot start with still go to the session before.
    assert_eq!(controller.current(first).unwrap().generation, 1);
    feed(&mut controller, &mut frames);
    assert_eq!(controller.current(first).unwrap(), second);
    let stale = controller.switch_decode_session(first, SessionSwitchRequest::immediate(rgb())).unwrap_err();
    assert!(stale.to_string().contains("generation 1"), "{stale}");
    assert!(controller.close_decode_session(first).is_err());
    controller.flush(second).unwrap();
    while !controller.is_drained(second).unwrap() {
        frames.extend(controller.reap_timeout(second, Duration::from_millis(20)).unwrap());
    }
    assert!(controller.summary(second).unwrap().ledger.balances());
    controller.close_decode_session(second).unwrap();
    assert!(controller.submit(second, packets[0].clone()).is_err(), "it is closed");
    (frames, packets.len())
}

#[test]
fn a_switch_takes_effect_at_a_random_access_point_and_loses_nothing() {
    for drains in [false, true] {
        let (frames, packets) = switched(|config| {
            if drains {
                SessionSwitchRequest::drain_then_swap(config)
            } else {
                SessionSwitchRequest::immediate(config)
            }
        });
        let seen: Vec<_> = frames.iter().map(|one| (one.generation, one.frame.format)).collect();
        let first = std::iter::repeat_n((1, PixelFormat::I420), packets);
        let second = std::iter::repeat_n((2, PixelFormat::Rgb24), packets);
        assert_eq!(seen, first.chain(second).collect::<Vec<_>>(), "drains: {drains}");
    }
}

#[test]
fn settings_that_no_backend_takes_change_nothing() {
    let mut controller = DecodeController::new(BackendKind::Software);
    let handle = controller.start_decode_session(CommonDecodeConfig::new(Codec::H264)).unwrap();
    let other = SessionSwitchRequest::immediate(CommonDecodeConfig::new(Codec::Mpeg2));
    assert!(controller.switch_decode_session(handle, other).is_err());
    assert_eq!(controller.current(handle).unwrap(), handle);
    let Submit::Accepted = controller.submit(handle, packets()[0].clone()).unwrap() else { panic!("full") };
    controller.flush(handle).unwrap();
    assert!(controller.reap_timeout(handle, Duration::from_secs(20)).unwrap().is_some());
}
