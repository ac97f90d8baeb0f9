//! ISO base media file format (ISO/IEC 14496-12, 14496-14, 14496-15) and QuickTime movies.
//!
//! Headers are read and written with the box structures of the `shiguredo_mp4` crate. Sample tables, edit
//! lists and fragments are read by our own code, in place: tables stay the bytes of the file, counts are
//! checked against the bytes that are there, and a track that is not understood is carried as it is.

mod aspect;
#[cfg(test)]
mod bombs;
mod boxes;
mod demux;
mod descriptions;
mod edits;
mod entry;
mod fragment;
mod fragments;
mod legacy;
mod metadata;
mod movie;
mod mux;
mod mux_boxes;
mod mux_edits;
mod mux_fragments;
mod mux_moov;
mod mux_track;
mod output;
mod payload;
mod pcm;
mod schedule;
mod source;
mod steps;
mod tables;

pub(super) use aspect::from_display as display_aspect;
pub use demux::Mp4Demuxer;
pub(super) use demux::is_stored_in_order;
pub(super) use legacy::decoder_config;
pub(crate) use metadata::without_chapter_list;
pub use mux::{Mp4MuxOptions, Mp4Muxer};
pub use mux_fragments::Mp4FragmentMuxer;
pub(super) use output::{Output, Target};
pub(super) use payload::Payload;
