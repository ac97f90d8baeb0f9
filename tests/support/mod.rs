//! What the tests of several binaries share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "each test binary uses a part, and a failure here is a failed run"
)]

pub(crate) mod encoded;
pub(crate) mod failover;
pub(crate) mod ffmpeg;
pub(crate) mod nvenc;
pub(crate) mod nvidia;
pub(crate) mod nvidia_split;
pub(crate) mod parameter_sets;
pub(crate) mod picture;
pub(crate) mod streams;
pub(crate) mod switching;
pub(crate) mod videotoolbox;
pub(crate) mod vpl;
