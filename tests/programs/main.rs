//! The examples, run as programs, and the rules of the architecture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failure here is a failed run"
)]

#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod decode_many;
mod examples;
mod rooms;
