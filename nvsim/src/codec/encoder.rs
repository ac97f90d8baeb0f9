//! One coded picture out for each picture in, in coding order, with no delay.

use super::CodecError;

/// What is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncoderCodec {
    /// H.264, by libx264.
    H264,
    /// HEVC, by libx265.
    Hevc,
}

/// Chroma sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chroma {
    /// 4:2:0.
    Yuv420,
    /// 4:4:4.
    Yuv444,
}

/// How bits are spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Fixed quantisers for I, P and B pictures.
    ConstQp {
        /// I pictures.
        i: u8,
        /// P pictures.
        p: u8,
        /// B pictures.
        b: u8,
    },
    /// Average bit rate with a ceiling.
    Vbr {
        /// Bits per second.
        average: u32,
        /// Bits per second; 0: no ceiling.
        max: u32,
        /// Bits; 0: one second of `max`.
        vbv: u32,
    },
    /// Constant bit rate.
    Cbr {
        /// Bits per second.
        average: u32,
        /// Bits; 0: one second.
        vbv: u32,
    },
    /// Constant quality, 0 to 51, with a ceiling.
    Quality {
        /// As `targetQuality`.
        quality: u8,
        /// Bits per second; 0: no ceiling.
        max: u32,
    },
    /// No loss.
    Lossless,
}

/// Everything an encoder is opened with.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderSpec {
    /// What is coded.
    pub codec: EncoderCodec,
    /// Luma size.
    pub width: u32,
    /// Luma size.
    pub height: u32,
    /// Chroma sampling.
    pub chroma: Chroma,
    /// Bits per sample, 8 or 10.
    pub depth: u8,
    /// Frames per second as a fraction.
    pub fps: (u32, u32),
    /// How bits are spent.
    pub rate: Rate,
    /// Preset, 1 (fast) to 7.
    pub preset: u8,
    /// True when the client will send pictures out of display order (B pictures): the headers must say so.
    pub reorder: u8,
    /// Longest distance between IDR pictures, for the rate control; `u32::MAX`: never again.
    pub gop: u32,
    /// Slices of a picture.
    pub slices: u32,
    /// Access unit delimiters.
    pub aud: bool,
    /// CAVLC instead of CABAC (H.264).
    pub cavlc: bool,
    /// `profile_idc` asked for, or 0.
    pub profile: u32,
    /// `level_idc` asked for, or 0.
    pub level: u32,
    /// Sample aspect ratio; (0, 0): not signalled.
    pub sar: (u32, u32),
    /// Colour description of the VUI: primaries, transfer, matrix.
    pub colour: Option<(u8, u8, u8)>,
    /// Full range flag of the VUI.
    pub full_range: Option<bool>,
}

/// What a picture is coded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureKind {
    /// Decoding can start here.
    Idr,
    /// Intra only.
    I,
    /// Predicted from the past.
    P,
    /// In a B position: comes before its P in display order and after it in coding order.
    B,
}

/// One picture, planar, samples of 1 byte (8 bit) or 2 bytes little endian with the value in the low bits.
#[derive(Debug, Clone)]
pub struct PictureIn<'a> {
    /// Y, U, V.
    pub planes: [&'a [u8]; 3],
    /// Bytes from row to row.
    pub pitches: [usize; 3],
    /// Type.
    pub kind: PictureKind,
    /// Position in display order since the session began. Coding order is the order of the calls.
    pub display_index: u64,
    /// Put the parameter sets before this picture.
    pub parameter_sets: bool,
    /// SEI messages: payload type and bytes.
    pub sei: &'a [(u32, Vec<u8>)],
}

/// One coded picture: Annex B with four-byte start codes.
#[derive(Debug, Clone)]
pub struct PictureOut {
    /// The access unit.
    pub data: Vec<u8>,
    /// Average quantiser.
    pub qp: u32,
}

/// An open encoder.
#[derive(Debug)]
pub struct SoftEncoder {
    spec: EncoderSpec,
}

impl SoftEncoder {
    /// Opens the library's encoder.
    pub fn open(spec: &EncoderSpec) -> Result<Self, CodecError> {
        Ok(Self { spec: spec.clone() })
    }

    /// Parameter sets, Annex B.
    pub fn parameter_sets(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Codes one picture.
    pub fn encode(&mut self, picture: &PictureIn) -> Result<PictureOut, CodecError> {
        let _ = picture;
        Err(CodecError(format!("no encoder for {:?} yet", self.spec.codec)))
    }

    /// Changes rate, frame rate or size from the next picture on. The caller makes that picture an IDR when the
    /// size changes.
    pub fn reconfigure(&mut self, spec: &EncoderSpec) -> Result<(), CodecError> {
        self.spec = spec.clone();
        Ok(())
    }
}
