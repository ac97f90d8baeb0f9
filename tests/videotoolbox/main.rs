//! The library on the simulated VideoToolbox (`sims/apple/`), and where there is none. Each test body on the simulation runs in a
//! process of its own. No Mac has run any of it.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failure here is a failed run"
)]

#[path = "../support/mod.rs"]
mod support;

mod absent;
mod vt_clips;
mod vt_decode;
mod vt_encode;
mod vt_gpu;
mod vt_kill;
mod vt_mpeg;
mod vt_random;
mod vt_switch;
