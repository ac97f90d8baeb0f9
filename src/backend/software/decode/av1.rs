//! AV1 through `re_rav1d`.

use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use super::MAX_PIXELS;
use super::output::{Output, PictureShape, StreamFacts};
use crate::backend::demand::{Demand, Kept};
use crate::backend::software::driver::rav1d::{Data, Decoder, Picture, Refusal, Settings};
use crate::backend::{BackendKind, CodedUnit, DecodeSink, DecoderBackend};
use crate::bitstream::av1;
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::config::CommonDecodeConfig;
use crate::cpu_time;
use crate::error::{Error, Result};
use crate::hang;
use crate::limits::Limits;
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

/// The AV1 decoder. The library is opened when the first sequence header has told what it will need.
pub(super) struct Av1Decoder {
    open: Option<Opened>,
    threads: usize,
    /// Frames in flight that are asked for; 0: the library's choice.
    frame_delay: usize,
    limits: Limits,
    output: Output,
    /// Sequence header from the container, sent ahead of the first unit.
    config_obus: Vec<u8>,
    config_pending: bool,
    /// CPU time of the library's threads.
    helpers: Duration,
}

struct Opened {
    decoder: Decoder,
    /// The sequence that it was last judged for.
    demand: Demand,
    frames: usize,
}

impl Av1Decoder {
    pub(super) fn open(config: &CommonDecodeConfig, sink: DecodeSink) -> Self {
        let threads =
            config.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let frame_delay = match (config.low_latency, config.max_display_delay) {
            (true, _) => 1,
            (false, Some(delay)) => (delay as usize).saturating_add(1),
            (false, None) => 0,
        };
        // av1C: four bytes, then OBUs (AV1 Codec ISO Media File Format Binding, section 2.3.3).
        let config_obus = config.codec_config.as_ref().and_then(|c| c.get(4..)).unwrap_or(&[]).to_vec();
        let config_pending = !config_obus.is_empty();
        Self {
            open: None,
            threads,
            frame_delay,
            limits: config.limits.clone(),
            output: Output::new(config, sink),
            config_obus,
            config_pending,
            helpers: Duration::ZERO,
        }
    }

    /// Gets the library ready for the sequences that begin in `obus`. It cannot change the number of frames in flight or its
    /// largest picture, so that another sequence can mean another library object: nothing refers across its header.
    fn prepare(&mut self, obus: &[u8]) -> Result<()> {
        let headers =
            av1::obus(obus).map_while(Result::ok).filter(|obu| obu.kind == av1::OBU_SEQUENCE_HEADER);
        for header in headers.filter_map(|obu| av1::SequenceHeader::parse(obu.payload).ok()) {
            let demand = Demand {
                width: header.max_width,
                height: header.max_height,
                chroma: header.chroma,
                bit_depth: header.bit_depth,
            };
            if self.open.as_ref().is_some_and(|open| open.demand == demand) {
                continue;
            }
            demand.check_pixels(&self.limits)?;
            if demand.pixels() > u64::from(MAX_PIXELS) {
                return Err(Error::unsupported(format!("AV1 pictures above {MAX_PIXELS} luma samples")));
            }
            let frames = self.frames_in_flight(demand);
            demand.check(&self.limits, kept(demand, frames))?;
            let same = |open: &Opened| {
                open.frames == frames
                    && (open.demand.chroma, open.demand.bit_depth) == (demand.chroma, demand.bit_depth)
            };
            if let Some(open) = self.open.as_mut().filter(|open| same(open)) {
                open.demand = demand;
                continue;
            }
            self.drain();
            self.open = None;
            self.open = Some(self.start(demand, frames)?);
        }
        Ok(())
    }

    /// As many as the library would choose, or as few as the limits leave room for.
    fn frames_in_flight(&self, demand: Demand) -> usize {
        let own = (1..=8).find(|n| n * n >= self.threads).unwrap_or(8);
        let most = if self.frame_delay == 0 { own } else { self.frame_delay.min(self.threads) };
        let fits = |n: &usize| demand.total(kept(demand, *n)) <= self.limits.picture_memory;
        (1..=most).rev().find(fits).unwrap_or(1)
    }

    fn start(&self, demand: Demand, frames: usize) -> Result<Opened> {
        // A frame's own header can state a larger size than the sequence's. All that is kept grows with the size.
        let each = demand.total(kept(demand, frames)).div_ceil(demand.pixels().max(1)).max(1);
        let most = (self.limits.picture_memory / each).min(self.limits.picture_pixels);
        let max_pixels =
            u32::try_from(most.max(demand.pixels())).map_or(MAX_PIXELS, |most| most.min(MAX_PIXELS));
        let settings = Settings { threads: self.threads, frame_delay: frames, max_pixels };
        let decoder = Decoder::open(settings).map_err(|refusal| Error::Backend {
            backend: BackendKind::Software,
            call: "dav1d_open",
            code: match refusal {
                Refusal::Again => 0,
                Refusal::Code(code) => code.into(),
            },
            detail: format!("{LIBRARY} could not start with {} threads", self.threads),
        })?;
        Ok(Opened { decoder, demand, frames })
    }

    /// Takes all pictures that are inside.
    fn drain(&mut self) {
        while self.take_picture() && !self.output.is_gone() {}
    }

    /// Takes one picture; `false` when there is none.
    fn take_picture(&mut self) -> bool {
        let Some(Opened { decoder, .. }) = &mut self.open else { return false };
        match during(self.threads, &mut self.helpers, || decoder.picture()) {
            Ok(picture) => {
                self.deliver(&picture);
                true
            }
            Err(Refusal::Again) => false,
            Err(Refusal::Code(code)) => {
                let serial = decoder.error_timestamp();
                self.fail(u64::try_from(serial).ok(), code);
                true
            }
        }
    }

    fn deliver(&mut self, picture: &Picture) {
        let Ok(serial) = u64::try_from(picture.timestamp()) else { return };
        self.output.settle_before(serial, HIDDEN);
        self.output.set_keyframe(serial, picture.is_key());
        if picture.is_key() {
            self.output.trust_from(serial);
        }
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
                Error::corrupt(
                    "an AV1 frame that is larger than the limits allow, and than its sequence header states",
                )
            } else {
                Error::corrupt(format!("{LIBRARY} could not decode the temporal unit (code {code})"))
            };
            self.output.doubt_from(serial);
            self.output.failed(serial, what);
        }
    }

    fn feed(&mut self, bytes: &[u8], serial: Option<u64>) {
        let timestamp = serial.map_or(-1, |s| i64::try_from(s).unwrap_or(-1));
        let Some(mut data) = Data::new(bytes, timestamp) else { return };
        let mut stalls = 0;
        loop {
            let Some(Opened { decoder, .. }) = &mut self.open else { return };
            match during(self.threads, &mut self.helpers, || decoder.send(&mut data)) {
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

/// What the library keeps with `frames` in flight: eight pictures to refer to, one for each frame in flight and the one that
/// is shown, each with motion and segments of its blocks; and with several frames in flight all coefficients of each (16 bits,
/// above 8 bits of depth 32) and its blocks.
fn kept(demand: Demand, frames: usize) -> Kept {
    let frames = frames as u64;
    let each = demand.bytes() + demand.bytes() / 16 + demand.pixels() / 4;
    let coefficients = demand.samples() * if demand.bit_depth > 8 { 4 } else { 2 };
    let work = if frames > 1 { frames * (coefficients + 3 * demand.pixels()) } else { 2 * demand.pixels() };
    Kept { pictures: 9 + frames, each, work, waiting: 0 }
}

/// Makes a call that decodes, and adds to `helpers` what the library's own threads work meanwhile. They cannot be asked: it is
/// the time for which the call waits, and no more than the whole process works in it.
fn during<T>(threads: usize, helpers: &mut Duration, call: impl FnOnce() -> T) -> T {
    let call = || hang::during(BackendKind::Software, LIBRARY, hang::CODEC_CALL, call);
    if threads == 1 {
        return call();
    }
    let (begun, process, own) = (Instant::now(), cpu_time::of_process(), cpu_time::of_thread());
    let done = call();
    let most = begun.elapsed().min(cpu_time::of_process().saturating_sub(process));
    *helpers += most.saturating_sub(cpu_time::of_thread().saturating_sub(own));
    done
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
            let ready = self.prepare(&obus);
            if ready.is_ok() {
                self.feed(&obus, None);
            }
            self.config_obus = obus;
            ready?;
        }
        if unit.packet.data.is_empty() {
            self.output.no_picture(unit.serial, HIDDEN);
            return Ok(());
        }
        match self.prepare(&unit.packet.data) {
            Err(error @ Error::LimitExceeded { .. }) => {
                self.drain();
                return Err(error);
            }
            Err(error) => self.output.failed(unit.serial, error),
            Ok(()) if self.open.is_none() => {
                self.output
                    .failed(unit.serial, Error::corrupt("a temporal unit before the first sequence header"));
            }
            Ok(()) => {
                self.feed(&unit.packet.data, Some(unit.serial));
                self.take_picture();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.drain();
        self.output.settle_before(u64::MAX, HIDDEN);
        self.output.trust_from(u64::MAX - 1);
        if let Some(open) = &mut self.open {
            open.decoder.reset();
        }
        self.config_pending = !self.config_obus.is_empty();
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        LIBRARY
    }

    fn helper_time(&self) -> Duration {
        self.helpers
    }
}
