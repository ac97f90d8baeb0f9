//! MP4 and QuickTime files, with ffmpeg and ffprobe as judges.

mod demux;
mod hostile;
mod mux;
mod remux;
mod support;
