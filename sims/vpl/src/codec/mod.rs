//! The software codecs behind the simulation: libavcodec, and through it libx264 and libx265.

#[path = "../../../codec/decoder.rs"]
pub mod decoder;
#[path = "../../../codec/encoder.rs"]
pub mod encoder;
#[path = "../../../codec/parameter_sets.rs"]
pub mod parameter_sets;
pub mod recorded;

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
