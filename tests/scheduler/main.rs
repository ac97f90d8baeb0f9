//! The scheduler of many streams, with stages that do as they are told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failure here is a failed run"
)]

mod ends;
mod engines;
mod fair;
mod generations;
mod live;
mod random;
mod sessions;
mod still;
mod support;
