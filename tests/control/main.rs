//! Streams whose session changes while they run, with encoders that fail on command.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failure here is a failed run"
)]

mod backend;
mod controller;
mod corners;
mod play;
mod random;
mod run;
mod switches;
