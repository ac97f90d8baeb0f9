//! The program, run as its users run it.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed run")]

mod bench;
mod bench_against;
mod bench_faults;
mod bench_report;
mod bench_verify;
mod canary;
mod carried;
mod common;
mod compare;
mod copy;
mod decode;
mod decoys;
mod doctor;
mod documents;
mod edges;
mod environment;
mod exact;
mod failover;
mod failures;
mod ffmpeg_child;
mod images;
mod intel;
mod interlaced;
mod interrupt;
mod limits;
mod metrics;
mod nvenc;
mod nvenc_contract;
mod nvenc_metrics;
mod nvidia_transcode;
mod odd_times;
mod packaging;
mod pick;
mod pipes;
mod printed;
mod probe;
mod probe_schema;
mod readme;
mod remedies;
mod retired;
mod session_limits;
mod stages;
mod transcode;
mod videotoolbox;
