//! CoreMedia: times, format descriptions, and the buffers that carry coded frames.

pub mod block;
pub mod format;
#[path = "../../../codec/parameter_sets.rs"]
pub mod parameter_sets;
pub mod sample;
pub mod time;
