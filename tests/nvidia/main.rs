//! The library on the simulated NVIDIA driver (`sims/nvidia/`): decoding, encoding, what stays on the card, what takes over where
//! a card is lost. Each test body runs in a process of its own.

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

mod areas;
#[cfg(feature = "futures")]
mod asynchronous;
mod chain;
mod control;
mod convert;
mod dataset;
mod dataset_cameras;
mod dataset_end;
mod device_input;
mod encode;
mod failover;
mod hangs;
mod hdr_carried;
mod input;
mod kernels;
mod many_transcodes;
mod nvenc_av1;
mod nvenc_contract;
mod nvenc_formats;
mod nvenc_limits;
mod nvenc_messages;
mod nvenc_random;
mod nvenc_stages;
mod output;
mod simulated;
mod split;
mod split_faults;
mod transcode;
mod utilization;
