//! Writing streams that do not come out of an MP4 file.
