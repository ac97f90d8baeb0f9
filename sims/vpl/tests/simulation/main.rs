//! The simulated runtime, as programs find it. Each test body that opens it runs in a process of its own.

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
mod common;
mod decode;
mod encode;
mod extended;
mod faults;
mod foreign;
mod layout;
mod machines;
mod process;
mod rules;
