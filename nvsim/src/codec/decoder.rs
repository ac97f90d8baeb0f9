//! One decoded picture for each coded picture, in coding order, with no delay.

use super::CodecError;

/// What is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "names of codecs")]
pub enum DecoderCodec {
    Mpeg1,
    Mpeg2,
    Mpeg4,
    Vc1,
    H264,
    Jpeg,
    Hevc,
    Vp8,
    Vp9,
    Av1,
}

/// A decoded picture, planar (or one plane), samples of 1 byte, or of 2 bytes little endian with the value in the low bits.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Luma size, cropped as the library crops (usually the display size; see `coded`).
    pub width: u32,
    /// Luma size.
    pub height: u32,
    /// 400, 420, 422, 444.
    pub chroma: u32,
    /// Bits per sample.
    pub depth: u8,
    /// Y, U, V without padding between rows.
    pub planes: [Vec<u8>; 3],
}

/// What became of a coded picture.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// The picture as it stands after this call; none when the data held nothing decodable, or when it was the second
    /// field of a picture given before (which then has changed: see `same_as_before`).
    pub picture: Option<Picture>,
    /// The data belonged to the picture of the call before (a second field).
    pub same_as_before: bool,
    /// The library reported an error or concealed one.
    pub damaged: bool,
}

/// An open decoder.
#[derive(Debug)]
pub struct SoftDecoder {
    codec: DecoderCodec,
}

impl SoftDecoder {
    /// Opens the library's decoder.
    pub fn open(codec: DecoderCodec, extradata: &[u8]) -> Result<Self, CodecError> {
        let _ = extradata;
        Ok(Self { codec })
    }

    /// Decodes the data of one picture (with the parameter sets it needs in front of it).
    pub fn decode(&mut self, data: &[u8]) -> Result<Decoded, CodecError> {
        let _ = data;
        Err(CodecError(format!("no decoder for {:?} yet", self.codec)))
    }
}
