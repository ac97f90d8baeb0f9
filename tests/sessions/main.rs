//! Sessions on the CPU: what goes in, what comes out, and whether it is right.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failure here is a failed run"
)]

#[path = "../support/mod.rs"]
mod support;

mod av1_damage;
mod damage;
mod decode_controller;
mod e2e_video_hw;
mod encoder_order;
mod frames_builder;
mod parameter_sets;
mod quality;
mod reader;
mod recording;
mod ring_reckoned;
mod session;
mod session_shaping;
mod settings;
mod split;
mod transform;
mod transform_ffmpeg;
mod working_format;
