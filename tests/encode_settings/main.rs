//! Every public setting of encoding on every encoder: applied, refused by its name before the first frame, or noted in the
//! receipt. The table of `docs/encode-settings.md` holds the results of these tests; `VIDEO_HW_WRITE_TABLE=1` writes it.

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

mod complete;
mod cpu;
mod judge;
mod look;
mod nvidia;
mod page;
mod rate;
mod rows;
mod run;
mod videotoolbox;
mod vpl;
