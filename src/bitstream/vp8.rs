//! VP8 frame header (RFC 6386, 9.1): what precedes the entropy-coded part.

use crate::error::{Error, Result};

/// The uncompressed data chunk of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// Version, 0 to 3: which filters are used.
    pub version: u8,
    /// `show_frame`.
    pub show: bool,
    /// Width and height in samples, in key frames.
    pub size: Option<(u32, u32)>,
}

impl FrameHeader {
    /// Reads the first bytes of a frame.
    ///
    /// # Errors
    /// [`Error::CorruptStream`].
    pub(crate) fn parse(frame: &[u8]) -> Result<Self> {
        let Some((&[tag, _, _], rest)) = frame.split_first_chunk() else {
            return Err(Error::corrupt(format!("VP8 frame of {} bytes has no frame tag", frame.len())));
        };
        let keyframe = tag & 1 == 0;
        let mut size = None;
        if keyframe {
            let Some((&[0x9d, 0x01, 0x2a, w0, w1, h0, h1], _)) = rest.split_first_chunk() else {
                return Err(Error::corrupt("VP8 key frame: start code 9d 01 2a is missing"));
            };
            // Two bits of upscaling hint, then 14 bits of size.
            let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
            size = Some((side(w0, w1), side(h0, h1)));
        }
        Ok(Self { keyframe, version: (tag >> 1) & 7, show: tag & 0x10 != 0, size })
    }
}
