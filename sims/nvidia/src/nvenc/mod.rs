//! The encoder library: sessions, buffers, pictures in and out.
//!
//! The way of a picture: `api` takes the call, `encode` checks the submission, `plan` decides when the picture is
//! coded and as what, `coder` turns it into bytes on the session's own thread (or takes bytes made before: a gradient,
//! or with `replay` what an earlier session made of the same picture), and `lock` hands them out in order of
//! submission.

pub mod abi;
pub mod api;
mod buffers;
mod canned_file;
pub mod caps;
mod coder;
mod configure;
mod digest;
mod encode;
mod gpu;
pub mod input;
mod lock;
pub mod plan;
pub mod presets;
mod replay;
mod replay_file;
mod reported;
pub mod rules;
mod session;
pub mod settings;
mod shared;
pub mod versions;

use crate::core::report::Section;

/// What this library adds to the report.
pub const SECTION: Section = Section { name: "nvenc", figures: session::figures, leaks: session::leaks };
