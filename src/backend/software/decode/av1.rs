//! AV1 through `re_rav1d`.

use std::num::NonZeroUsize;
use std::thread;

use super::MAX_PIXELS;
use super::output::{Output, PictureShape, StreamFacts};
use crate::backend::software::driver::rav1d::{Data, Decoder, Picture, Refusal, Settings};
use crate::backend::{BackendKind, CodedUnit, DecodeSink, DecoderBackend};
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;
use crate::pixel::{Chroma, PixelFormat};
use crate::time::Rational;

const LIBRARY: &str = "re_rav1d";
/// Every temporal unit shows exactly one frame (AV1 specification, section 7.5); a unit that gives none held
/// headers or hidden frames alone.
const HIDDEN: &str = "the temporal unit shows no frame";

/// Fruitless attempts to make room, after which the library is taken to be stuck.
const MAX_STALLS: usize = 16;

/// Frames that the library decodes side by side, at most.
pub(super) const MAX_FRAME_DELAY: u32 = 256;

/// The AV1 decoder.
pub(super) struct Av1Decoder {
    decoder: Decoder,
    output: Output,
    /// Sequence header from the container, sent ahead of the first unit.
    config_obus: Vec<u8>,
    config_pending: bool,
}

impl Av1Decoder {
    pub(super) fn open(config: &CommonDecodeConfig, sink: DecodeSink) -> Result<Self> {
        let threads =
            config.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let frame_delay = match (config.low_latency, config.max_display_delay) {
            (true, _) => 1,
            (false, Some(delay)) => (delay as usize).saturating_add(1),
            (false, None) => 0,
        };
        let settings = Settings { threads, frame_delay, max_pixels: MAX_PIXELS };
        let decoder = Decoder::open(settings).map_err(|refusal| Error::Backend {
            backend: BackendKind::Software,
            call: "dav1d_open",
            code: match refusal {
                Refusal::Again => 0,
                Refusal::Code(code) => code.into(),
            },
            detail: format!("{LIBRARY} could not start with {threads} threads"),
        })?;
        // av1C: four bytes, then OBUs (AV1 Codec ISO Media File Format Binding, section 2.3.3).
        let config_obus = config.codec_config.as_ref().and_then(|c| c.get(4..)).unwrap_or(&[]).to_vec();
        let config_pending = !config_obus.is_empty();
        Ok(Self { decoder, output: Output::new(config, sink), config_obus, config_pending })
    }

    /// Takes one picture; `false` when there is none.
    fn take_picture(&mut self) -> bool {
        match self.decoder.picture() {
            Ok(picture) => {
                self.deliver(&picture);
                true
            }
            Err(Refusal::Again) => false,
            Err(Refusal::Code(code)) => {
                let serial = self.decoder.error_timestamp();
                self.fail(u64::try_from(serial).ok(), code);
                true
            }
        }
    }

    fn deliver(&mut self, picture: &Picture) {
        let Ok(serial) = u64::try_from(picture.timestamp()) else { return };
        self.output.settle_before(serial, HIDDEN);
        self.output.set_keyframe(serial, picture.is_key());
        let (width, height) = picture.size();
        let chroma = match picture.layout() {
            0 => Chroma::Monochrome,
            1 => Chroma::Yuv420,
            2 => Chroma::Yuv422,
            _ => Chroma::Yuv444,
        };
        match PictureShape::new(width, height, PixelFormat::planar(chroma, picture.bit_depth())) {
            Ok(shape) => self.output.picture(serial, shape, &facts(picture), false, || {
                (0..shape.format.plane_count())
                    .filter_map(|i| shape.format.plane_size(i, shape.dimensions).map(|size| (i, size)))
                    .map(|(i, size)| {
                        picture.plane(i, size.row_bytes, size.rows).ok_or_else(|| {
                            Error::corrupt(format!("{LIBRARY} gave a picture without plane {i}"))
                        })
                    })
                    .collect()
            }),
            Err(error) => self.output.failed(serial, error),
        }
    }

    fn fail(&mut self, serial: Option<u64>, code: i32) {
        if let Some(serial) = serial {
            let what = if code == -libc::ERANGE {
                Error::unsupported(format!("AV1 pictures above {MAX_PIXELS} luma samples"))
            } else {
                Error::corrupt(format!("{LIBRARY} could not decode the temporal unit (code {code})"))
            };
            self.output.failed(serial, what);
        }
    }

    fn feed(&mut self, bytes: &[u8], serial: Option<u64>) {
        let timestamp = serial.map_or(-1, |s| i64::try_from(s).unwrap_or(-1));
        let Some(mut data) = Data::new(bytes, timestamp) else { return };
        let mut stalls = 0;
        loop {
            match self.decoder.send(&mut data) {
                Ok(()) => break,
                // The library still has data of the unit before. Asking for a picture makes it go on, whether
                // one comes out or not; asking again makes it finish what is in flight.
                Err(Refusal::Again) if stalls < MAX_STALLS => {
                    stalls = if self.take_picture() { 0 } else { stalls + 1 };
                }
                Err(Refusal::Again) => {
                    self.fail(serial, -libc::EAGAIN);
                    break;
                }
                Err(Refusal::Code(code)) => {
                    self.fail(serial, code);
                    break;
                }
            }
        }
    }
}

fn facts(picture: &Picture) -> StreamFacts {
    let color = picture.color().map_or(ColorInfo::UNSPECIFIED, |c| ColorInfo {
        matrix: MatrixCoefficients::from_code(c.matrix),
        primaries: ColorPrimaries::from_code(c.primaries),
        transfer: TransferCharacteristics::from_code(c.transfer),
        range: Some(if c.full_range { ColorRange::Full } else { ColorRange::Limited }),
    });
    let frame_rate = picture.rate().and_then(|(scale, ticks)| Rational::new(scale, ticks));
    StreamFacts { color, sample_aspect_ratio: None, frame_rate }
}

impl DecoderBackend for Av1Decoder {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::Obu
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        self.output.accept(&unit, unit.packet.keyframe);
        if self.config_pending {
            self.config_pending = false;
            let obus = std::mem::take(&mut self.config_obus);
            self.feed(&obus, None);
            self.config_obus = obus;
        }
        if unit.packet.data.is_empty() {
            self.output.no_picture(unit.serial, HIDDEN);
            return Ok(());
        }
        self.feed(&unit.packet.data, Some(unit.serial));
        self.take_picture();
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        while self.take_picture() && !self.output.is_gone() {}
        self.output.settle_before(u64::MAX, HIDDEN);
        self.decoder.reset();
        self.config_pending = !self.config_obus.is_empty();
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        LIBRARY
    }
}
