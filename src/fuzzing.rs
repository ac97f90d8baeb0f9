//! Entrances for the fuzz targets (feature `fuzzing`): parsers of what other programs and files say, which nothing public
//! reaches with bytes alone. Each panics when a rule is broken that has to hold for all bytes.

/// What a child ffmpeg writes: as it is, and as packets that are given the checksums they need.
pub fn nut(bytes: &[u8]) {
    crate::backend::fuzz_nut(bytes);
}

/// An image file: its header, and its picture where that is small.
pub fn image(bytes: &[u8]) {
    crate::rawvideo::fuzz_image(bytes);
}

/// A raw stream of MPEG-2 video, which must not depend on how it is cut.
pub fn mpeg2(bytes: &[u8], chunk: usize) {
    crate::container::fuzz_mpeg2(bytes, chunk);
}

/// An index of a video file, without the sum behind it.
pub fn reader_index(bytes: &[u8]) {
    crate::reader::fuzz_index(bytes);
}

/// Lines of a probing child, and of the cache.
pub fn probing(bytes: &[u8]) {
    crate::probing::fuzz_wire(&String::from_utf8_lossy(bytes));
}

/// H.264 and H.265 parameter sets, slice headers and picture order counts.
pub fn nal_headers(bytes: &[u8]) {
    crate::bitstream::read_nal_headers(bytes);
}

/// AV1 units, VP9 superframes, VP8 frames.
pub fn frame_headers(bytes: &[u8]) {
    crate::bitstream::read_frame_headers(bytes);
}

/// A Matroska or WebM file: read to its end from what can seek and what cannot, sought in, and written again.
pub fn matroska(bytes: &[u8]) {
    crate::container::fuzz_matroska(bytes);
}
