//! Hardware video for Rust: decode, encode and transcode on whatever the machine has.

#[cfg(feature = "futures")]
pub mod asynchronous;
pub mod backend;
mod backend_kind;
pub mod bitstream;
pub mod capability;
pub mod codec;
pub mod color;
pub mod config;
pub mod container;
pub mod control;
pub mod dataset;
pub mod dimensions;
pub mod error;
pub mod figures;
pub mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hang;
pub mod hdr;
pub mod limits;
mod memory;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod output_file;
pub mod packet;
pub mod pipeline;
pub mod pixel;
pub mod probing;
pub mod quality;
pub mod queue;
pub mod rawvideo;
pub mod session;
pub mod stages;
pub mod stream_io;
mod sync;
pub mod time;
pub mod transform;
mod user_sei;

pub use error::{Error, Result};
pub use pipeline::{frames, transcode};

/// The examples of the README are compiled and run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So is that of the document on datasets.
#[cfg(doctest)]
#[doc = include_str!("../docs/dataset.md")]
struct Dataset;
