//! VP8 through `oxideav-vp8`.

use bytes::Bytes;
use oxideav_vp8::Vp8DecoderState as Library;

use super::MAX_PIXELS;
use super::guard::guarded;
use super::output::{Output, PictureShape, StreamFacts};
use crate::backend::demand::{Demand, Kept};
use crate::backend::{CodedUnit, DecodeSink, DecoderBackend};
use crate::bitstream::vp8::FrameHeader;
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::packet::BitstreamLayout;
use crate::pixel::{Chroma, PixelFormat};

const LIBRARY: &str = "oxideav-vp8";

/// The VP8 decoder. The library decodes on the calling thread and holds nothing back.
pub(super) struct Vp8Decoder {
    library: Library,
    output: Output,
    /// At the start, after a flush and after a panic: only a key frame may come next.
    needs_key: bool,
    limits: Limits,
}

impl Vp8Decoder {
    pub(super) fn open(config: &CommonDecodeConfig, sink: DecodeSink) -> Self {
        Self {
            library: new_library(),
            output: Output::new(config, sink),
            needs_key: true,
            limits: config.limits.clone(),
        }
    }

    fn restart(&mut self) {
        self.library = new_library();
        self.needs_key = true;
    }
}

fn new_library() -> Library {
    Library::new().with_max_pixels_per_frame(u64::from(MAX_PIXELS))
}

impl DecoderBackend for Vp8Decoder {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::Opaque
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        let serial = unit.serial;
        // RFC 6386, section 9.1: the lowest bit of the frame tag is 0 in key frames.
        let key = unit.packet.data.first().is_some_and(|tag| tag & 1 == 0);
        self.output.accept(&unit, key);
        if self.needs_key && !key {
            self.output.no_picture(serial, "waiting for a key frame");
            return Ok(());
        }
        if key
            && let Ok(FrameHeader { size: Some((width, height)), .. }) = FrameHeader::parse(&unit.packet.data)
        {
            // Three to refer to, the one at hand and its copy; of each macroblock 1 KiB while it is decoded.
            let demand = Demand { width, height, chroma: Chroma::Yuv420, bit_depth: 8 };
            let kept = Kept { pictures: 5, each: demand.bytes(), work: 4 * demand.pixels(), waiting: 0 };
            demand.check(&self.limits, kept)?;
        }
        if key {
            self.output.trust_from(serial);
        }
        let library = &mut self.library;
        match guarded(LIBRARY, || library.decode_frame(&unit.packet.data)) {
            Ok(Ok(_)) if self.library.last_frame_shown() == Some(false) => {
                self.needs_key = false;
                self.output.no_picture(serial, "hidden frame");
            }
            Ok(Ok(frame)) => {
                self.needs_key = false;
                let (width, height) = (frame.width as usize, frame.height as usize);
                match PictureShape::new(width, height, Some(PixelFormat::I420)) {
                    // The library's planes are tight and ours to keep.
                    Ok(shape) => self.output.picture(serial, shape, &StreamFacts::NONE, false, || {
                        let chroma = width.div_ceil(2);
                        Ok([(frame.y, width), (frame.u, chroma), (frame.v, chroma)]
                            .map(|(samples, stride)| (Bytes::from(samples), stride))
                            .into())
                    }),
                    Err(error) => self.output.failed(serial, error),
                }
            }
            Ok(Err(error)) => {
                self.output.doubt_from(serial);
                self.output.failed(serial, Error::corrupt(format!("{LIBRARY}: {error}")));
            }
            Err(panicked) => {
                self.restart();
                self.output.failed(serial, panicked);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.restart();
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        LIBRARY
    }
}
