//! MP4 and QuickTime files, with ffmpeg and ffprobe as judges.

// Helpers outside of test functions may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod aspect;
mod demux;
mod descriptions;
mod edits;
mod fragmented;
mod hostile;
mod layouts;
mod mux;
mod pipe;
mod remux;
#[path = "../support/streams.rs"]
mod streams_common;
mod support;
mod tracks;
