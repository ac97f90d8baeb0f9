//! MPEG transport streams (ISO/IEC 13818-1): packets of 188 bytes, as they are broadcast and recorded.
//!
//! `packets` finds the packets, `sections` reads the tables that say what is in them, `pes` the headers with the
//! times, which `clock` puts on one line. `video` and `sound` cut the streams into pictures and frames.

mod clock;
mod demux;
mod follow;
mod kinds;
mod mux;
mod mux_packets;
mod mux_sound;
mod mux_streams;
mod packets;
mod pes;
mod probing;
mod program;
mod sections;
mod sets;
mod sound;
mod sound_frames;
mod stream;
mod timing;
mod video;

pub use demux::MpegTsDemuxer;
pub use mux::MpegTsMuxer;
pub(super) use packets::{recognise, recognise_anywhere};
