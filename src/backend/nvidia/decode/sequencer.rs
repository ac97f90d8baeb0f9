//! What the parser's callbacks do: make the decoder, keep account of surfaces, send pictures on.

use std::sync::Arc;

use super::format::{color_of, display_area, output_of, rate_of};
use super::output::{Answers, MAPPED, OutputStage, Shape, Shown};
use crate::backend::DecodeEvent;
use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::driver::cuvid::{Decoder, Picture, caps, ulong};
use crate::backend::nvidia::driver::cuvid_abi::{
    CreateInfo, DisplayInfo, PREFER_CUVID, ShortRect, VideoFormat,
};
use crate::backend::nvidia::driver::parser::ParserEvents;
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};
use crate::time::Rational;

/// Decode surfaces beyond what the stream needs: pictures in the hardware's queue (4) and in the mapping stage.
const EXTRA_SURFACES: u32 = 4 + MAPPED as u32 + 1;
/// Most surfaces that the library takes.
const MAX_SURFACES: u32 = 32;

/// The unit whose picture is in a surface.
#[derive(Clone, Copy, Debug)]
struct Occupant {
    serial: u64,
    keyframe: bool,
}

/// The unit being parsed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Current {
    pub(super) serial: u64,
    pub(super) keyframe: bool,
    /// The parser found a picture in it.
    pub(super) decoded: bool,
    /// That was a first field whose second has not come yet.
    pub(super) half: bool,
    /// A picture was shown under its serial, or it has failed.
    pub(super) answered: bool,
    /// Surface of the picture just found.
    pub(super) index: Option<usize>,
}

/// State behind the callbacks.
pub(super) struct Sequencer {
    context: Arc<Context>,
    codec: Codec,
    /// No other size or part of the picture is asked for than the stream's own.
    plain: bool,
    pub(super) stage: OutputStage,
    pub(super) answers: Answers,
    shape: Option<(VideoFormat, Arc<Shape>)>,
    surfaces: Vec<Option<Occupant>>,
    /// The hardware has taken a picture of this sequence.
    healthy: bool,
    /// VP9: the surface of the picture in each reference slot.
    slots: [Option<usize>; 8],
    pub(super) current: Current,
}

impl Sequencer {
    pub(super) fn new(context: &Arc<Context>, config: &CommonDecodeConfig, answers: Answers) -> Result<Self> {
        Ok(Self {
            context: Arc::clone(context),
            codec: config.codec,
            plain: config.crop.is_none() && config.size.is_none(),
            stage: OutputStage::start(context, answers.clone(), config)?,
            answers,
            shape: None,
            surfaces: Vec::new(),
            healthy: false,
            slots: [None; 8],
            current: Current::default(),
        })
    }

    /// Units decoded but never shown get their answer.
    pub(super) fn settle(&mut self, reason: &'static str) {
        for occupant in self.surfaces.iter_mut().filter_map(Option::take) {
            self.answers.send(DecodeEvent::NoPicture { serial: occupant.serial, reason });
        }
    }

    /// VP9: the picture just decoded goes into these reference slots.
    pub(super) fn refresh(&mut self, flags: u8) {
        if let Some(index) = self.current.index.take() {
            for (slot, surface) in self.slots.iter_mut().enumerate() {
                if flags & (1 << slot) != 0 {
                    *surface = Some(index);
                }
            }
        }
    }

    /// VP9: shows the picture in a reference slot (again). The parser keeps its surface as long as it is referred to.
    pub(super) fn show_existing(&mut self, slot: u8) -> Result<()> {
        let surface = self.slots.get(usize::from(slot)).copied().flatten();
        let Some((index, (_, shape))) = surface.zip(self.shape.as_ref()) else {
            return Ok(());
        };
        self.current.answered = true;
        self.stage.show(Shown {
            serial: self.current.serial,
            keyframe: false,
            info: DisplayInfo { index: index as i32, progressive: 1, ..DisplayInfo::default() },
            shape: Arc::clone(shape),
        })
    }

    /// Refuses what the chip cannot decode, in words that say what it can.
    fn check(&self, format: &VideoFormat, depth: u32) -> Result<()> {
        let caps = caps(&self.context, format.codec, format.chroma, depth)?;
        let unsupported = |feature: String| Error::Unsupported {
            feature,
            remedy: "use --backend software, or a GPU that decodes it".to_owned(),
        };
        let name = format!("{} {depth}-bit chroma format {}", self.codec, format.chroma);
        if caps.supported == 0 {
            return Err(unsupported(format!("{name} on this GPU's decoder")));
        }
        let (width, height) = (format.coded_width, format.coded_height);
        let macroblocks = u64::from(width >> 4) * u64::from(height >> 4);
        if width > caps.max_width
            || height > caps.max_height
            || macroblocks > u64::from(caps.max_macroblocks)
            || width < u32::from(caps.min_width)
            || height < u32::from(caps.min_height)
        {
            return Err(unsupported(format!(
                "{name} at {width}x{height}; this GPU's decoder takes {}x{} to {}x{}",
                caps.min_width, caps.min_height, caps.max_width, caps.max_height
            )));
        }
        Ok(())
    }

    /// A picture that the hardware does not take, though its capabilities say it does: too many slices, say.
    fn refused(&self, error: Error) -> Error {
        match error {
            Error::Backend { code: 1, .. } => Error::Unsupported {
                feature: format!(
                    "a picture of this {} stream on this GPU's decoder (it answers: invalid value)",
                    self.codec
                ),
                remedy: "use --backend software".to_owned(),
            },
            other => other,
        }
    }

    fn open(&self, format: &VideoFormat, surfaces: u32) -> Result<Arc<Shape>> {
        let depth = 8 + u32::from(format.luma_depth_minus8);
        self.check(format, depth)?;
        let output = output_of(format.chroma, depth)?;
        let (left, top, size) = display_area(format)?;
        // The decoder's output is even; what is too much is left out when copying.
        let (even_width, even_height) = (size.width().next_multiple_of(2), size.height().next_multiple_of(2));
        let edge = |value: u32| i16::try_from(value).unwrap_or(i16::MAX);
        let info = CreateInfo {
            width: ulong(format.coded_width),
            height: ulong(format.coded_height),
            max_width: ulong(format.coded_width),
            max_height: ulong(format.coded_height),
            decode_surfaces: ulong(surfaces),
            codec: format.codec,
            chroma: format.chroma,
            flags: PREFER_CUVID,
            depth_minus8: ulong(depth - 8),
            display_area: ShortRect {
                left: edge(left),
                top: edge(top),
                right: edge(left + even_width),
                bottom: edge(top + even_height),
            },
            output_format: output.surface,
            target_width: ulong(even_width),
            target_height: ulong(even_height),
            output_surfaces: ulong(MAPPED as u32 + 1),
            ..CreateInfo::default()
        };
        let plan = self.stage.plan(output, size, color_of(format))?;
        let decoder = Arc::new(Decoder::new(&self.context, &info)?);
        Ok(Arc::new(Shape {
            decoder,
            output,
            dimensions: size,
            mapped_rows: even_height as usize,
            sample_aspect_ratio: sample_aspect_ratio(format, size.width(), size.height()),
            frame_rate: rate_of(format),
            shaped: self.plain,
            plan,
        }))
    }
}

/// Whether pictures may be shown in another order than they are coded in. VP8, VP9 and AV1 have hidden pictures
/// instead, and packets that show them.
pub(super) const fn reorders(codec: Codec) -> bool {
    matches!(codec, Codec::H264 | Codec::Hevc)
}

/// The parser states the shape of the whole picture; ours is that of a sample.
fn sample_aspect_ratio(format: &VideoFormat, width: u32, height: u32) -> Option<Rational> {
    let [x, y] = format.aspect.map(|side| u64::try_from(side).unwrap_or(0));
    let (num, den) = (x * u64::from(height), y * u64::from(width));
    if num == 0 || den == 0 || num == den {
        return None;
    }
    let divisor = gcd(num, den);
    Rational::new(u32::try_from(num / divisor).ok()?, u32::try_from(den / divisor).ok()?)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl ParserEvents for Sequencer {
    fn sequence(&mut self, format: &VideoFormat) -> Result<u32> {
        let surfaces = (u32::from(format.min_surfaces) + EXTRA_SURFACES).min(MAX_SURFACES);
        if self.shape.as_ref().is_some_and(|(known, _)| known == format) {
            // The same again, as after a flush: the decoder stays.
            return Ok(surfaces);
        }
        // Pictures of the sequence before are shown by now, and keep their decoder until they are mapped.
        if !self.stage.gate().wait_all() {
            return Err(Error::Cancelled);
        }
        self.settle("not shown before the sequence changed");
        self.surfaces.clear();
        self.healthy = false;
        self.slots = [None; 8];
        self.shape = None;
        self.shape = Some((*format, self.open(format, surfaces)?));
        Ok(surfaces)
    }

    fn decode(&mut self, mut picture: Picture<'_>) -> Result<bool> {
        let Some((_, shape)) = &self.shape else {
            return Err(Error::corrupt("a picture before any sequence header"));
        };
        let index = usize::try_from(picture.index()).unwrap_or(usize::MAX);
        if index >= MAX_SURFACES as usize {
            return Err(Error::corrupt(format!("the parser names surface {}", picture.index())));
        }
        if !self.stage.gate().wait(index) {
            return Err(Error::Cancelled);
        }
        match shape.decoder.decode(&mut picture) {
            Ok(()) => self.healthy = true,
            // The hardware took pictures of this sequence before: this one is damaged.
            Err(error @ Error::Backend { code: 1, .. }) if self.healthy => {
                self.current.answered = true;
                let error = Error::corrupt(format!("the GPU's decoder refuses a damaged picture: {error}"));
                self.answers.send(DecodeEvent::Failed { serial: self.current.serial, error });
                return Ok(false);
            }
            Err(error) => return Err(self.refused(error)),
        }
        self.current.decoded = true;
        self.current.index = Some(index);
        self.current.half = picture.field() && !picture.second_field();
        // Where pictures come out as they go in, the unit at hand is the one that shows.
        if reorders(self.codec) && !picture.second_field() {
            if self.surfaces.len() <= index {
                self.surfaces.resize(index + 1, None);
            }
            let occupant = Occupant { serial: self.current.serial, keyframe: self.current.keyframe };
            // A picture that was decoded for others to refer to and never shown.
            if let Some(hidden) = self.surfaces[index].replace(occupant)
                && hidden.serial != occupant.serial
            {
                self.answers.send(DecodeEvent::NoPicture { serial: hidden.serial, reason: "hidden" });
            }
        }
        Ok(true)
    }

    fn display(&mut self, info: &DisplayInfo) -> Result<()> {
        let Some((_, shape)) = &self.shape else { return Ok(()) };
        let index = usize::try_from(info.index).unwrap_or(usize::MAX);
        // The unit that the surface was decoded from, or, without reordering, the one at hand: it may show a
        // picture of an earlier one.
        let current = Occupant { serial: self.current.serial, keyframe: self.current.keyframe };
        let shown = self.surfaces.get_mut(index).and_then(Option::take).unwrap_or(current);
        if shown.serial == current.serial {
            self.current.answered = true;
        }
        self.stage.show(Shown {
            serial: shown.serial,
            keyframe: shown.keyframe,
            info: *info,
            shape: Arc::clone(shape),
        })
    }
}
