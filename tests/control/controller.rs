//! Handles.

use std::time::Duration;

use video_hw::backend::Backend;
use video_hw::config::BackendEncodeConfig;
use video_hw::control::{
    EncodeController, EncoderSessionHandle, SessionController, SessionSwitchRequest, StreamOptions,
    SwitchingEncoder,
};
use video_hw::session::Submit;

use crate::backend::{Plan, config, flexible, frame, in_turn, size};

fn adopted(controller: &mut EncodeController) -> EncoderSessionHandle {
    let source = in_turn(vec![Plan { in_place: flexible(), ..Plan::default() }]);
    let (none, options) = (BackendEncodeConfig::None, StreamOptions::default());
    controller.adopt(SwitchingEncoder::with_source(source, config(1), none, options).unwrap())
}

fn feed(
    controller: &mut EncodeController,
    handle: EncoderSessionHandle,
    numbers: std::ops::Range<u64>,
) -> Vec<u64> {
    let mut generations = Vec::new();
    for number in numbers {
        assert!(matches!(controller.submit(handle, frame(number, size(32, 32))), Ok(Submit::Accepted)));
        let packet = controller.reap_timeout(handle, Duration::from_secs(60)).unwrap().unwrap();
        generations.push(packet.generation);
    }
    generations
}

#[test]
fn a_handle_of_a_dead_generation_closes_and_switches_nothing() {
    let mut controller = EncodeController::new(Backend::Auto);
    let first = adopted(&mut controller);
    let other = adopted(&mut controller);
    assert_ne!(first.id, other.id);
    assert_eq!(feed(&mut controller, first, 0..2), [1, 1]);
    let request = || SessionSwitchRequest::immediate((config(2), BackendEncodeConfig::None));
    let second = controller.switch_encode_session(first, request()).unwrap();
    assert_eq!((second.id, second.generation), (first.id, 2));
    // Frames go by the stream, whatever the handle.
    assert_eq!(feed(&mut controller, first, 2..4), [2, 2]);
    assert_eq!(controller.current(first).unwrap(), second);
    let refused = controller.close_encode_session(first).unwrap_err().to_string();
    assert!(refused.contains("generation 1") && refused.contains("generation 2"), "{refused}");
    assert!(controller.switch_encode_session(first, request()).is_err());
    let never = EncoderSessionHandle { generation: 9, ..second };
    assert!(controller.close_encode_session(never).is_err());
    controller.close_encode_session(second).unwrap();
    for gone in [first, second] {
        assert!(controller.close_encode_session(gone).is_err());
        assert!(controller.try_reap(gone).is_err() && controller.summary(gone).is_err());
        assert!(controller.flush(gone).is_err() && controller.take_events(gone).is_err());
    }
    assert_eq!(feed(&mut controller, other, 0..3), [1, 1, 1], "the other stream goes on");
}

#[test]
fn a_switch_under_way_has_a_handle_that_is_alive() {
    let mut controller = EncodeController::new(Backend::Auto);
    let first = adopted(&mut controller);
    // Without a frame nothing begins, so the switch stays under way.
    let request = SessionSwitchRequest::immediate((config(2), BackendEncodeConfig::None));
    let second = controller.switch_encode_session(first, request.clone()).unwrap();
    let third = controller.switch_encode_session(second, request).unwrap();
    assert_eq!(third.generation, 3);
    assert!(controller.close_encode_session(second).is_err(), "a newer one has taken its place");
    assert_eq!(controller.current(third).unwrap(), first);
    controller.close_encode_session(third).unwrap();
}

#[test]
fn streams_are_started_on_the_backends_of_this_machine() {
    let mut controller = EncodeController::new(video_hw::backend::BackendKind::Software);
    let none = BackendEncodeConfig::None;
    let small = config(1).rate_control(None);
    let handle = controller.start_encode_session(small, none).unwrap();
    assert_eq!(feed(&mut controller, handle, 0..3), [1, 1, 1]);
    let summary = controller.summary(handle).unwrap();
    assert_eq!((summary.ledger.delivered, summary.generations.len()), (3, 1));
    assert!(summary.generations[0].receipt.to_string().contains("software"));
    controller.close_encode_session(handle).unwrap();
}
