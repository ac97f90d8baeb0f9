//! VP9 through `rusty_vp9`.

use bytes::Bytes;
use rusty_vp9::{
    BitReader, DecodedFrame, Error as Vp9Error, FrameHeader, Vp9Decoder as Library, parse_uncompressed_header,
};

use super::MAX_PIXELS;
use super::guard::guarded;
use super::output::{Output, PictureShape, StreamFacts};
use crate::backend::demand::{Allowance, Demand, Kept};
use crate::backend::{CodedUnit, DecodeSink, DecoderBackend};
use crate::bitstream::vp9;
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;
use crate::pixel::{Chroma, PixelFormat};

/// Names of what is refused.
pub(super) const REFUSED: [&str; 1] = ["VP9 4:4:0 sampling"];

const LIBRARY: &str = "rusty_vp9";

/// The VP9 decoder. The library decodes on the calling thread and holds nothing back.
pub(super) struct Vp9Decoder {
    library: Library,
    output: Output,
    facts: StreamFacts,
    /// After a panic or a flush: only a key frame may come next.
    needs_key: bool,
    allowance: Allowance,
    /// Sampling and depth of the last key frame; the frames that follow do not repeat them.
    samples: (Chroma, u8),
}

impl Vp9Decoder {
    pub(super) fn open(config: &CommonDecodeConfig, sink: DecodeSink) -> Self {
        Self {
            library: new_library(),
            output: Output::new(config, sink),
            facts: StreamFacts::NONE,
            needs_key: true,
            allowance: Allowance::of(&config.limits),
            samples: (Chroma::Yuv420, 8),
        }
    }

    /// Looks at the headers of every frame in the unit before the library allocates for them. A superframe
    /// that the library would split in another way is refused: a header must not get past this.
    fn admit(&mut self, unit: &[u8]) -> Result<Admission> {
        let mut shows_key = false;
        for frame in vp9::split(unit)? {
            let header =
                guarded(LIBRARY, || parse_uncompressed_header(&mut BitReader::new(frame), &[(0, 0); 8]))?
                    .map_err(|e| Error::corrupt(format!("VP9 frame header: {e}")))?;
            if header.show_existing_frame {
                continue;
            }
            if u64::from(header.width) * u64::from(header.height) > u64::from(MAX_PIXELS) {
                return Err(Error::unsupported(format!("VP9 pictures above {MAX_PIXELS} luma samples")));
            }
            if header.key_frame {
                self.samples = samples(&header);
            }
            check(&header, self.samples, &mut self.allowance)?;
            if header.key_frame {
                self.facts.color = color(frame)?;
                self.needs_key = false;
                shows_key |= header.show_frame;
            }
        }
        Ok(if self.needs_key { Admission::Skip } else { Admission::Decode { key: shows_key } })
    }

    fn deliver(&mut self, serial: u64, frame: DecodedFrame) {
        let chroma = match (frame.subsampling_x, frame.subsampling_y) {
            (1, 1) => Some(Chroma::Yuv420),
            (1, 0) => Some(Chroma::Yuv422),
            (0, 0) => Some(Chroma::Yuv444),
            _ => None,
        };
        if chroma.is_none() {
            self.output.failed(serial, Error::unsupported(REFUSED[0]));
            return;
        }
        let format = chroma.and_then(|c| PixelFormat::planar(c, u8::try_from(frame.bit_depth).unwrap_or(0)));
        match PictureShape::new(frame.width as usize, frame.height as usize, format) {
            // The library's planes are tight and ours to keep.
            Ok(shape) => self.output.picture(serial, shape, &self.facts, false, || {
                Ok(frame.planes.into_iter().map(Bytes::from).zip(frame.strides).collect())
            }),
            Err(error) => self.output.failed(serial, error),
        }
    }
}

/// A library object that says "end of stream" when its queue of frames is empty. Otherwise it says "again",
/// which it also says for each hidden frame, so that nobody could know when a superframe is done.
fn new_library() -> Library {
    let mut library = Library::new();
    library.flush();
    library
}

/// Refuses frames of which the library would keep more than the limits allow: eight to refer to, the one at hand and two to
/// be used again, with 16 bits a sample in rows as long as the next power of two, and 72 bytes for each 8x8 block.
fn check(header: &FrameHeader, (chroma, bit_depth): (Chroma, u8), allowance: &mut Allowance) -> Result<()> {
    let demand = Demand { width: header.width, height: header.height, chroma, bit_depth };
    let plane = |width: u64, height: u64| 2 * (width + 72).next_power_of_two() * (height + 72);
    let (x, y) = chroma.shifts();
    let (width, height) = (u64::from(header.width), u64::from(header.height));
    let each = plane(width, height) + 2 * plane(width.div_ceil(1 << x), height.div_ceil(1 << y));
    allowance.check(demand, Kept { pictures: 11, each, work: 2 * demand.pixels(), waiting: 0 })
}

fn samples(key_frame: &FrameHeader) -> (Chroma, u8) {
    let chroma = match (key_frame.subsampling_x, key_frame.subsampling_y) {
        (0, 0) => Chroma::Yuv444,
        (1, 0) => Chroma::Yuv422,
        _ => Chroma::Yuv420,
    };
    (chroma, u8::try_from(key_frame.bit_depth).unwrap_or(16))
}

/// Colour of a key frame (VP9 bitstream specification, section 7.2.2).
fn color(key_frame: &[u8]) -> Result<ColorInfo> {
    let mut bits = BitReader::new(key_frame);
    let mut read = |n| bits.f(n).map_err(|e| Error::corrupt(format!("VP9 colour configuration: {e}")));
    read(2)?;
    let profile = read(1)? | read(1)? << 1;
    // Reserved bit of profile 3, then show_existing_frame, frame_type, show_frame, error_resilient_mode and
    // the sync code.
    read(if profile == 3 { 5 } else { 4 })?;
    read(24)?;
    if profile >= 2 {
        read(1)?;
    }
    let space = read(3)?;
    let full = space == 7 || read(1)? == 1;
    let (matrix, primaries, transfer) = match space {
        1 => (MatrixCoefficients::Bt470Bg, ColorPrimaries::Bt470Bg, TransferCharacteristics::Smpte170M),
        2 => (MatrixCoefficients::Bt709, ColorPrimaries::Bt709, TransferCharacteristics::Bt709),
        3 => (MatrixCoefficients::Smpte170M, ColorPrimaries::Smpte170M, TransferCharacteristics::Smpte170M),
        4 => (MatrixCoefficients::Smpte240M, ColorPrimaries::Smpte240M, TransferCharacteristics::Smpte240M),
        5 => (MatrixCoefficients::Bt2020Ncl, ColorPrimaries::Bt2020, TransferCharacteristics::Bt2020Ten),
        7 => (MatrixCoefficients::Identity, ColorPrimaries::Bt709, TransferCharacteristics::Srgb),
        _ => (
            MatrixCoefficients::Unspecified,
            ColorPrimaries::Unspecified,
            TransferCharacteristics::Unspecified,
        ),
    };
    let range = Some(if full { ColorRange::Full } else { ColorRange::Limited });
    Ok(ColorInfo { matrix, primaries, transfer, range })
}

enum Admission {
    Decode { key: bool },
    Skip,
}

impl DecoderBackend for Vp9Decoder {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::Opaque
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        let serial = unit.serial;
        self.output.accept(&unit, unit.packet.keyframe);
        match self.admit(&unit.packet.data) {
            Ok(Admission::Decode { key }) => {
                self.output.set_keyframe(serial, key);
                if key {
                    self.output.trust_from(serial);
                }
            }
            Ok(Admission::Skip) => {
                self.output.no_picture(serial, "waiting for a key frame");
                return Ok(());
            }
            Err(error @ Error::LimitExceeded { .. }) => return Err(error),
            Err(error) => {
                self.output.doubt_from(serial);
                self.output.failed(serial, error);
                return Ok(());
            }
        }
        let library = &mut self.library;
        let frames = guarded(LIBRARY, || {
            let mut frames = Vec::new();
            let mut error = library.push(&unit.packet.data, None).err();
            loop {
                match library.next_frame() {
                    Ok(frame) => frames.push(frame),
                    // A hidden frame.
                    Err(Vp9Error::Again) => {}
                    Err(Vp9Error::Eof) => break,
                    Err(e) => error = Some(e),
                }
            }
            (frames, error)
        });
        match frames {
            Ok((frames, error)) => {
                if error.is_some() {
                    self.output.doubt_from(serial);
                }
                for frame in frames {
                    self.deliver(serial, frame);
                }
                if let Some(error) = error {
                    self.output.failed(serial, Error::corrupt(format!("{LIBRARY}: {error}")));
                }
                self.output.no_picture(serial, "hidden frame");
            }
            Err(error) => {
                self.library = new_library();
                self.needs_key = true;
                self.output.failed(serial, error);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.library = new_library();
        self.needs_key = true;
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        LIBRARY
    }
}
