//! The simulated frameworks, as programs find them. Each test body that opens them runs in a process of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::undocumented_unsafe_blocks,
    missing_docs,
    non_snake_case,
    unreachable_pub,
    reason = "a test fails by panicking, and calls C all the time"
)]

mod client;
mod clips;
mod common;
mod decode;
mod encode;
mod faults;
mod machines;
mod metal;
mod rules;
mod values;
