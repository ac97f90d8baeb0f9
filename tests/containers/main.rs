//! Files and pipes other than MP4, which has a binary of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failure here is a failed run"
)]

#[path = "../support/mod.rs"]
mod support;

mod elementary;
#[cfg(feature = "fuzzing")]
mod fuzz_seeds;
mod images;
mod ivf;
mod matroska;
mod matroska_damage;
mod matroska_index;
mod matroska_made;
mod matroska_mux;
mod mpegts;
mod mpegts_damage;
mod mpegts_jumps;
mod mpegts_mux;
mod mpegts_tracks;
mod open;
mod output_file;
mod rawvideo;
