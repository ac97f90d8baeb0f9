//! The software codecs behind the simulation. The driver code above decides types, order and time; this room only
//! turns one picture into one coded picture and back, at once and in coding order.

#[path = "../../../codec/decoder.rs"]
pub mod decoder;
pub mod encoder;
mod ffi;
mod level;
mod rewrite;
mod settings;
mod stream;

use std::fmt;

/// Why a codec library refused or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError(pub String);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}
