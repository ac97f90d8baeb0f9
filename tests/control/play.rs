//! A stream that is fed frame by frame.

use std::time::Duration;

use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig};
use video_hw::control::{
    EncoderSource, EventKind, SessionSwitchMode, SessionSwitchRequest, StreamOptions, SwitchingEncoder,
};
use video_hw::frame::Frame;
use video_hw::session::Submit;

use crate::backend::{Plan, config, frame, in_turn, size};
use crate::run::{Got, number};

pub(crate) const NONE: BackendEncodeConfig = BackendEncodeConfig::None;

/// A stream that is fed frame by frame.
pub(crate) struct Play {
    pub(crate) stream: SwitchingEncoder,
    pub(crate) got: Got,
    pub(crate) next: u64,
    pub(crate) events: Vec<EventKind>,
}

impl Play {
    pub(crate) fn new(
        source: impl EncoderSource,
        config: CommonEncodeConfig,
        options: StreamOptions,
    ) -> Self {
        let stream = SwitchingEncoder::with_source(source, config, NONE, options).unwrap();
        Self { stream, got: Got::default(), next: 0, events: Vec::new() }
    }

    pub(crate) fn with(plans: Vec<Plan>) -> Self {
        Self::new(in_turn(plans), config(1), StreamOptions::default())
    }

    pub(crate) fn feed(&mut self, frames: u64) {
        self.feed_edited(frames, |_| {});
    }

    pub(crate) fn feed_edited(&mut self, frames: u64, edit: impl Fn(&mut Frame)) {
        for _ in 0..frames {
            let mut frame = frame(self.next, size(32, 32));
            edit(&mut frame);
            assert!(self.got.submit(&mut self.stream, frame));
            self.next += 1;
        }
    }

    /// A frame that goes in while no packet is taken.
    pub(crate) fn feed_unread(&mut self, frame: Frame) {
        let mut frame = Some(frame);
        while let Some(waiting) = frame.take() {
            match self.stream.submit(waiting).unwrap() {
                Submit::Accepted => self.got.accepted += 1,
                Submit::Full(back) => frame = Some(back),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// As many frames, each of whose packets is out before the next goes in.
    pub(crate) fn feed_slowly(&mut self, frames: u64) {
        for _ in 0..frames {
            self.feed(1);
            let wanted = self.next as usize;
            let Self { stream, got, .. } = self;
            while got.packets.len() < wanted {
                if let Some(outcome) = stream.reap_timeout(Duration::from_secs(30)).transpose() {
                    got.take(outcome);
                }
            }
        }
    }

    pub(crate) fn switch(&mut self, target: CommonEncodeConfig, mode: SessionSwitchMode) -> u64 {
        let request = SessionSwitchRequest { target: (target, NONE), mode, force_idr_on_activate: false };
        self.stream.request_switch(request).unwrap()
    }

    /// Waits for an event.
    pub(crate) fn until(&mut self, wanted: impl Fn(&EventKind) -> bool) {
        let Self { stream, got, events, .. } = self;
        got.reap_until(stream, |stream| {
            events.extend(stream.take_events().into_iter().map(|event| event.kind));
            events.iter().any(&wanted)
        });
    }

    pub(crate) fn until_ready(&mut self) {
        self.until(|kind| matches!(kind, EventKind::Ready { .. }));
    }

    pub(crate) fn finish(&mut self) {
        self.got.drain(&mut self.stream);
        self.events.extend(self.stream.take_events().into_iter().map(|event| event.kind));
        self.got.check(&self.stream.summary());
    }

    /// First frame of each generation.
    pub(crate) fn starts(&self) -> Vec<(u64, u64)> {
        let mut shown: Vec<_> =
            self.got.packets.iter().map(|packet| (packet.generation, number(packet))).collect();
        shown.sort_by_key(|(_, number)| *number);
        shown.dedup_by_key(|(generation, _)| *generation);
        shown
    }

    pub(crate) fn has(&self, wanted: impl Fn(&EventKind) -> bool) -> bool {
        self.events.iter().any(wanted)
    }
}

/// Settings that need a new session.
pub(crate) fn other_gop(bitrate: u32) -> CommonEncodeConfig {
    config(bitrate).gop_length(100)
}
