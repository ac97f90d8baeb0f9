//! MP4 and QuickTime files, with ffmpeg and ffprobe as judges.

// Helpers outside of test functions may fail like tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod demux;
mod descriptions;
mod fragmented;
mod hostile;
mod layouts;
mod mux;
mod remux;
mod support;
mod tracks;
