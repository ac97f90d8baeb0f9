//! The simulated driver, as programs find it and as it is inside. Each test body that opens it runs in a process of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../cuda_support/mod.rs"]
mod cuda_support;
#[path = "../encoder/mod.rs"]
mod encoder;
#[path = "../foreign/mod.rs"]
mod foreign;
#[path = "../nvdec_client/mod.rs"]
mod nvdec_client;
#[path = "../nvdec_clips/mod.rs"]
mod nvdec_clips;
#[path = "../common/nvenc_client.rs"]
mod nvenc_client;
#[path = "../parser_client/mod.rs"]
mod parser_client;
#[path = "../parser_clips/mod.rs"]
mod parser_clips;

mod codec_encoder;
mod codec_encoder_rates;
mod codec_encoder_settings;
mod cuda_api;
#[cfg(target_os = "linux")]
mod cuda_colors;
mod cuda_faults;
mod cuda_rules;
mod facts;
mod foreign_ffmpeg;
mod foreign_python;
mod nvdec_decoder_abi;
mod nvdec_decoder_decode;
mod nvdec_decoder_ffmpeg;
mod nvdec_decoder_rules;
mod nvdec_decoder_soft;
mod nvdec_engines;
mod nvdec_parser;
mod nvenc_faults;
mod nvenc_ffmpeg;
mod nvenc_layout;
mod nvenc_queries;
mod nvenc_replay;
mod nvenc_rules;
mod nvenc_stream;
mod nvenc_time;
mod strict;
