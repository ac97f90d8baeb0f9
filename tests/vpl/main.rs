//! The library on the simulated runtime of oneVPL (`sims/vpl/`), and where there is none. Each test body on the simulation runs
//! in a process of its own. No GPU of Intel's has run any of it.

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

mod encode_basic;
mod encode_faults;
mod encode_random;
mod encode_scale;
mod encode_switch;
mod vpl_chain;
mod vpl_clips;
mod vpl_decode;
