//! Coded bytes: where units begin and end, and what their headers say.
//!
//! Nothing here decodes a picture. [`annexb`] finds NAL units, [`AccessUnitAssembler`] groups them into one
//! unit per frame from chunks of any size, [`convert`] changes the framing, and the codec modules read the
//! headers that tell a container or a decoder what a stream is. [`StreamInfo`] is the summary of all that.
//!
//! Every parser takes hostile bytes: it returns an error, never panics, and allocates in proportion to what
//! the input really holds.

pub mod annexb;
mod assembler;
pub mod av1;
mod bits;
pub mod convert;
mod fields;
mod foreign;
pub mod h264;
pub mod hevc;
mod random_access;
mod sei;
mod stream_info;
pub mod vp8;
pub mod vp9;

pub use assembler::{AccessUnit, AccessUnitAssembler};
pub use fields::FieldDetector;
pub(crate) use foreign::foreign_nal;
pub use random_access::{ActiveParameterSets, UnitRole};
pub use stream_info::{StreamInfo, hdr_of_unit};
