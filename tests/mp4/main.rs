//! MP4 and QuickTime files against ffmpeg and ffprobe as judges.

mod demux;
mod support;
