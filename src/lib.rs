//! Hardware video for Rust: decode, encode and transcode on whatever the machine has.

pub mod backend;
pub mod bitstream;
pub mod capability;
pub mod codec;
pub mod color;
pub mod config;
pub mod container;
pub mod dimensions;
pub mod error;
pub mod frame;
pub mod packet;
pub mod pixel;
pub mod time;

pub use error::{Error, Result};
