//! One coded picture out for each picture in, in coding order, with no delay.

use std::borrow::Cow;

use super::ffi::{Handle, Input};
use super::settings::Change;
use super::stream::Stream;
use super::{CodecError, settings};

/// What is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncoderCodec {
    /// H.264, by libx264.
    H264,
    /// HEVC, by libx265.
    Hevc,
    /// AV1, by the libaom that libavcodec has: 4:2:0, in display order.
    Av1,
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
    /// Pictures that may precede another in coding order and follow it in display order (B pictures); 0: none. The
    /// headers must say so.
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

impl EncoderSpec {
    /// 8-bit 4:2:0 at 30 pictures a second with the fastest preset, in display order, one slice a picture, never another
    /// IDR picture, and nothing signalled that need not be.
    pub fn plain(codec: EncoderCodec, width: u32, height: u32, rate: Rate) -> Self {
        Self {
            codec,
            width,
            height,
            chroma: Chroma::Yuv420,
            depth: 8,
            fps: (30, 1),
            rate,
            preset: 1,
            reorder: 0,
            gop: u32::MAX,
            slices: 1,
            aud: false,
            cavlc: false,
            profile: 0,
            level: 0,
            sar: (0, 0),
            colour: None,
            full_range: None,
        }
    }
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
    /// SEI messages (AV1: metadata): type and bytes.
    pub sei: &'a [(u32, Vec<u8>)],
}

/// One coded picture: Annex B with four-byte start codes, or a temporal unit of AV1.
#[derive(Debug, Clone)]
pub struct PictureOut {
    /// The access unit.
    pub data: Vec<u8>,
    /// Average quantiser.
    pub qp: u32,
}

/// Whether a change lost the encoder's state: the next picture must then be an IDR picture, with its parameter sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reopened(pub bool);

/// An open encoder.
///
/// Every call of [`encode`](Self::encode) gives the bits of its own picture. The libraries cannot do that with B
/// slices, so a picture in a B position is coded from P slices that refer to the picture coded just before, and takes
/// its place in display order by its rewritten order count. All pictures are references.
#[derive(Debug)]
pub struct SoftEncoder {
    spec: EncoderSpec,
    handle: Handle,
    stream: Stream,
    // The frame rate that the library was opened with; see `settings`.
    opened_fps: (u32, u32),
}

impl SoftEncoder {
    /// Opens the library's encoder. Sizes are 16x16 (HEVC: 17x16) to 8192x8192, even for 4:2:0.
    pub fn open(spec: &EncoderSpec) -> Result<Self, CodecError> {
        settings::check(spec)?;
        let mut handle = Handle::open(spec.codec, &settings::settings(spec, spec.fps))?;
        let stream = Stream::new(spec, handle.headers()?)?;
        Ok(Self { spec: spec.clone(), handle, stream, opened_fps: spec.fps })
    }

    /// Parameter sets, Annex B: those that count from the next IDR picture on.
    pub fn parameter_sets(&self) -> Vec<u8> {
        self.stream.headers().to_vec()
    }

    /// Codes one picture. The first picture, and the first after a change that reopened the encoder, must be an IDR
    /// picture. After an error the stream goes on with an IDR picture only.
    pub fn encode(&mut self, picture: &PictureIn) -> Result<PictureOut, CodecError> {
        let place = self.stream.place(picture)?;
        let planes = self.planes(picture)?;
        let kind = match picture.kind {
            PictureKind::Idr => 0,
            PictureKind::I => 1,
            PictureKind::P | PictureKind::B => 2,
        };
        let qp = match (self.spec.rate, picture.kind) {
            (Rate::ConstQp { i, .. }, PictureKind::Idr | PictureKind::I) => Some(i),
            (Rate::ConstQp { p, .. }, PictureKind::P) => Some(p),
            (Rate::ConstQp { b, .. }, PictureKind::B) => Some(b),
            _ => None,
        };
        let input = Input {
            planes: planes.each_ref().map(|plane| &*plane.bytes),
            pitches: planes.each_ref().map(|plane| plane.pitch),
            kind,
            qp: qp.map(|qp| i32::from(qp.min(51))),
        };
        let result = self.handle.encode(&input).and_then(|coded| {
            let (data, qp) = self.stream.assemble(picture, place, &coded.data)?;
            Ok(PictureOut { data, qp: coded.qp.or(qp).unwrap_or(0) as u32 })
        });
        if result.is_err() {
            // The library may have counted the picture: only an IDR picture leads back to common ground.
            self.stream.lose();
        }
        result
    }

    /// Changes rate, frame rate or size from the next picture on.
    ///
    /// Without a break, and with the parameter sets following at the next IDR picture, change: quantisers and (with
    /// quantisers, without loss or by quality alone) the frame rate; with H.264 also rates of the same kind and the
    /// frame rate always. Anything else opens the library's encoder anew, and the caller makes the next picture an IDR
    /// picture with parameter sets. After an error everything is as before.
    pub fn reconfigure(&mut self, spec: &EncoderSpec) -> Result<Reopened, CodecError> {
        settings::check(spec)?;
        if (EncoderSpec { gop: spec.gop, ..self.spec.clone() }) == *spec {
            self.spec.gop = spec.gop;
            return Ok(Reopened(false));
        }
        let kept = match settings::change(&self.spec, spec) {
            Change::Headers => true,
            Change::Rates => self.handle.reconfigure(&settings::settings(spec, self.opened_fps)).is_ok(),
            Change::Everything => false,
        };
        if kept {
            self.stream.change(spec)?;
            self.spec = spec.clone();
        } else {
            *self = Self::open(spec)?;
        }
        Ok(Reopened(!kept))
    }

    /// The planes of the picture coded last as a decoder will see them, without padding; none before the first
    /// picture or after a change.
    pub fn reconstruction(&self) -> Option<[Vec<u8>; 3]> {
        let sizes = self.plane_sizes();
        self.handle.reconstruction(sizes, if self.spec.depth > 8 { 2 } else { 1 })
    }

    /// Samples and rows of the planes.
    fn plane_sizes(&self) -> [(usize, usize); 3] {
        let (width, height) = (self.spec.width as usize, self.spec.height as usize);
        let chroma = match self.spec.chroma {
            Chroma::Yuv420 => (width / 2, height / 2),
            Chroma::Yuv444 => (width, height),
        };
        [(width, height), chroma, chroma]
    }

    /// The planes as the libraries may read them.
    fn planes<'a>(&self, picture: &PictureIn<'a>) -> Result<[Plane<'a>; 3], CodecError> {
        let sizes = self.plane_sizes();
        let plane = |index: usize| {
            let (width, height) = sizes[index];
            Plane::new(picture.planes[index], picture.pitches[index], width, height, self.spec.depth)
        };
        Ok([plane(0)?, plane(1)?, plane(2)?])
    }
}

/// One plane of the input.
struct Plane<'a> {
    bytes: Cow<'a, [u8]>,
    pitch: i32,
}

impl<'a> Plane<'a> {
    fn new(
        bytes: &'a [u8],
        pitch: usize,
        width: usize,
        height: usize,
        depth: u8,
    ) -> Result<Self, CodecError> {
        let row = if depth > 8 { width * 2 } else { width };
        let needed = pitch.checked_mul(height - 1).and_then(|before| before.checked_add(row));
        let pitch_told = i32::try_from(pitch).ok();
        let (Some(needed), Some(pitch_told)) = (needed, pitch_told) else {
            return Err(CodecError(format!("a pitch of {pitch}")));
        };
        if pitch < row || bytes.len() < needed {
            return Err(CodecError(format!(
                "a plane of {} bytes and pitch {pitch} does not hold {width}x{height}",
                bytes.len()
            )));
        }
        // Samples beyond the depth, or that lie askew, would lead the libraries out of their tables.
        let rows = || bytes.chunks(pitch).take(height).map(|line| &line[..row]);
        let high = |line: &[u8]| line.iter().skip(1).step_by(2).fold(0, |all, &byte| all | byte) > 3;
        if depth > 8
            && (!pitch.is_multiple_of(2) || !bytes.as_ptr().addr().is_multiple_of(2) || rows().any(high))
        {
            let mask = |line: &'a [u8]| line.chunks_exact(2).flat_map(|sample| [sample[0], sample[1] & 3]);
            return Ok(Self { bytes: rows().flat_map(mask).collect(), pitch: row as i32 });
        }
        Ok(Self { bytes: Cow::Borrowed(bytes), pitch: pitch_told })
    }
}
