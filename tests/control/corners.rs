//! Switches and failures that meet: what waits, what is full, what comes twice.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use video_hw::control::{EventKind, SessionSwitchMode, StreamOptions, StreamState};

use crate::backend::{Coded, Plan, config, flexible, frame, in_turn, size};
use crate::play::Play;

/// The packets are not looked at, and the session dies when all of them are there: nothing can move, and the call returns.
#[test]
fn a_dead_session_behind_a_full_output_does_not_keep_the_caller() {
    const OUTPUT: u64 = 64;
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let dies = Plan { in_place: flexible(), die_behind: Some(OUTPUT), ..Plan::default() };
        let source = in_turn(vec![dies, Plan { in_place: flexible(), ..Plan::default() }]);
        let log = Arc::clone(&source.log);
        let mut play = Play::new(source, config(1), StreamOptions::default());
        for number in 0..OUTPUT {
            play.feed_unread(frame(number, size(32, 32)));
        }
        // Its packets are on their way out, and it is gone.
        while log.live.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        play.switch(config(2), SessionSwitchMode::DrainThenSwap);
        play.feed_unread(frame(OUTPUT, size(32, 32)));
        assert_eq!(play.stream.state(), StreamState::SwitchPending { to: 2 });
        play.next = OUTPUT + 1;
        // The switch comes after the session that takes over.
        play.until(|kind| *kind == EventKind::Renumbered { from: 2, to: 4 });
        play.feed(5);
        play.finish();
        assert_eq!(play.got.packets.len() as u64, OUTPUT + 6);
        assert_eq!(Coded::of(&play.got.packets.last().unwrap().data).bitrate, 2);
        tell.send(()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(60)).expect("the stream's call returns, and all comes out");
}
