//! A file, opened for decoding.

use std::path::Path;

use video_hw::config::CommonDecodeConfig;
use video_hw::container::{Demuxer, Input, TrackKind, VideoTrack, open_input};
use video_hw::packet::Packet;
use video_hw::session::DecodeSession;
use video_hw::{Error, Result};

use crate::args::Options;

pub(crate) struct Clip {
    demuxer: Box<dyn Demuxer>,
    video: VideoTrack,
}

impl Clip {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let Input::Demuxer(mut demuxer) = open_input(path)? else {
            return Err(Error::invalid(format!("{} is not compressed", path.display())));
        };
        let found = demuxer.tracks().iter().find(|t| t.kind == TrackKind::Video && t.video.is_some());
        let Some((id, Some(video))) = found.map(|track| (track.id, track.video.clone())) else {
            return Err(Error::invalid(format!("{} has no video that can be decoded", path.display())));
        };
        demuxer.select_tracks(&[id]);
        Ok(Self { demuxer, video })
    }

    pub(crate) fn session(&self, options: &Options, low_latency: bool) -> Result<DecodeSession> {
        let config = CommonDecodeConfig::new(self.video.codec)
            .low_latency(low_latency)
            .output(options.output)
            .convert(options.convert)
            .size(options.size)
            .engines(options.engines)
            .reorder_window(options.window)
            .codec_config(self.video.codec_config.clone())
            .color(self.video.color)
            .threads(options.threads)
            .device(options.device.clone());
        DecodeSession::new(options.backend, config)
    }

    pub(crate) fn next_packet(&mut self) -> Result<Option<Packet>> {
        self.demuxer.next_packet()
    }
}
