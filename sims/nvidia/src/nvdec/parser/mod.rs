//! The video parser: bytes in, callbacks out. It is pure software (D-1): no GPU, no context, no thread of its own.
//!
//! `api` has the exported functions, `machine` takes a packet apart, one module for each codec finds the pictures in it
//! and keeps the references, and `stage` owns surfaces, display delay and callbacks.

mod api;
mod av1;
mod bits;
mod format;
mod h264;
mod hevc;
mod jpeg;
mod machine;
mod mpeg2;
mod mpeg4;
mod pair;
pub mod rules;
mod sei;
mod stage;
mod times;
mod units;
mod vc1;
mod vp8;
mod vp9;

#[cfg(test)]
mod hostile;

pub use api::{cuvidCreateVideoParser, cuvidDestroyVideoParser, cuvidParseVideoData, figures, leaks};
pub use sei::{CUSEIMESSAGE, CUVIDSEIMESSAGEINFO};
