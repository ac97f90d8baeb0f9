//! Matroska and WebM (RFC 8794, RFC 9559 and the WebM container guidelines).
//!
//! Elements are read and written by our own code: sizes are checked against the bytes that are there before anything is done
//! with them, and only elements that are understood are gone into, so that nothing recurs.

mod block;
mod codecs;
mod demux;
mod ebml;
mod encodings;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod header;
mod ids;
mod lace_times;
mod metadata;
mod mux;
mod mux_track;
mod picture;
mod places;
mod resync;
mod seek;
mod source;
mod text;
mod times;
mod tracks;
mod vorbis;

pub use demux::MatroskaDemuxer;
#[cfg(feature = "fuzzing")]
pub(crate) use fuzzing::fuzz;
pub(crate) use metadata::MatroskaMetadata;
pub use mux::MatroskaMuxer;
