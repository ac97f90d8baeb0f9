//! What the parser's callbacks do: keep account of surfaces and units, start the hardware, send pictures on.

use std::iter;
use std::sync::Arc;

use super::area::Stated;
use super::decoders::{Begun, Decoders, MAX_SURFACES, Setting};
use super::output::{Answers, OutputStage, Shape, Shown};
use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::driver::cuvid::Picture;
use crate::backend::nvidia::driver::cuvid_abi::{DisplayInfo, VideoFormat};
use crate::backend::nvidia::driver::parser::ParserEvents;
use crate::backend::{DecodeEvent, Download};
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Remedy, Result};

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
    /// Decoding can start with its picture.
    pub(super) entry: bool,
    /// Nothing that is shown before its picture lacks what it refers to.
    pub(super) closed: bool,
    /// The parser found a picture in it.
    pub(super) decoded: bool,
    /// That was a first field whose second has not come yet.
    pub(super) half: bool,
    /// A picture was shown under its serial, or it has failed.
    pub(super) answered: bool,
    /// It has failed: nothing more is heard of it.
    pub(super) failed: bool,
    /// Surface of the picture just found.
    pub(super) index: Option<usize>,
}

/// A picture that VP9 keeps: its surface, and the decoder as it was then.
#[derive(Clone, Debug)]
struct Held {
    index: usize,
    shape: Arc<Shape>,
    setting: Setting,
}

/// Most pictures that can be shown before one that is decoded before them (H.264, A.3.1: the size of its buffer).
const MAX_LEADING: u32 = 16;

/// The first picture that is decoded, until it is shown. H.264 can begin at a picture that is no IDR picture: what is shown
/// before it refers to pictures that were never sent. The parser shows those, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Awaited,
    Of { serial: u64, before: u32 },
    Over,
}

impl Opening {
    /// Whether the picture of `shown` is a leading one.
    fn leads(&mut self, shown: u64) -> bool {
        match self {
            Self::Of { serial, before } if *serial != shown && *before < MAX_LEADING => *before += 1,
            Self::Of { .. } => *self = Self::Over,
            Self::Awaited | Self::Over => {}
        }
        matches!(self, Self::Of { .. })
    }
}

/// State behind the callbacks.
pub(super) struct Sequencer {
    codec: Codec,
    pub(super) stage: OutputStage,
    pub(super) answers: Answers,
    decoders: Decoders,
    /// What the stream's headers state.
    pub(super) stated: Stated,
    /// The sequence at hand in the parser's words.
    reported: Option<VideoFormat>,
    surfaces: Vec<Option<Occupant>>,
    /// The decoder has taken a picture.
    healthy: bool,
    /// A new decoder lacks the pictures that the next ones refer to, until decoding can start anew.
    orphaned: bool,
    opening: Opening,
    /// VP9: the picture in each reference slot.
    slots: [Option<Held>; 8],
    pub(super) current: Current,
}

impl Sequencer {
    pub(super) fn new(
        context: &Arc<Context>,
        config: &CommonDecodeConfig,
        delay: u32,
        download: Download,
        answers: Answers,
    ) -> Result<Self> {
        Ok(Self {
            codec: config.codec,
            stage: OutputStage::start(context, answers.clone(), config, download)?,
            answers,
            decoders: Decoders::new(context, config, delay),
            stated: Stated::new(config.codec),
            reported: None,
            surfaces: Vec::new(),
            healthy: false,
            orphaned: false,
            opening: Opening::Awaited,
            slots: Default::default(),
            current: Current::default(),
        })
    }

    /// Whether the next picture is the first.
    pub(super) fn is_at_start(&self) -> bool {
        self.opening == Opening::Awaited
    }

    /// Whether the parser has found a sequence that it takes.
    pub(super) const fn has_begun(&self) -> bool {
        self.reported.is_some()
    }

    /// Units decoded but never shown get their answer.
    pub(super) fn settle(&mut self, reason: &'static str) {
        self.opening = Opening::Awaited;
        for occupant in self.surfaces.iter_mut().filter_map(Option::take) {
            self.answers.send(DecodeEvent::NoPicture { serial: occupant.serial, reason });
        }
    }

    /// VP9: the picture just decoded goes into these reference slots.
    pub(super) fn refresh(&mut self, flags: u8) {
        let (index, shape) = (self.current.index.take(), self.decoders.shape());
        let Some(((index, shape), setting)) = index.zip(shape).zip(self.decoders.setting()) else { return };
        for (slot, held) in self.slots.iter_mut().enumerate() {
            if flags & (1 << slot) != 0 {
                *held = Some(Held { index, shape: Arc::clone(shape), setting });
            }
        }
    }

    /// VP9: shows the picture in a reference slot (again). The parser keeps its surface as long as it is referred to.
    pub(super) fn show_existing(&mut self, slot: u8) -> Result<()> {
        let held = self.slots.get(usize::from(slot)).cloned().flatten();
        let Some(Held { index, shape, setting }) = held else { return Ok(()) };
        if Some(setting) != self.decoders.setting() {
            // The decoder would cut or stretch it.
            self.fail(Error::corrupt("a picture is shown again that was decoded before the size changed"));
        }
        if self.current.failed {
            return Ok(());
        }
        self.current.answered = true;
        self.stage.show(Shown {
            serial: self.current.serial,
            keyframe: false,
            surface: index,
            info: DisplayInfo { index: index as i32, progressive: 1, ..DisplayInfo::default() },
            shape,
        })
    }

    /// The unit being parsed is lost. It may hold several pictures: one failure is told, and nothing else of it.
    fn fail(&mut self, error: Error) {
        let serial = self.current.serial;
        for occupant in &mut self.surfaces {
            occupant.take_if(|occupant| occupant.serial == serial);
        }
        if !std::mem::replace(&mut self.current.failed, true) {
            self.current.answered = true;
            self.answers.send(DecodeEvent::Failed { serial, error });
        }
    }

    /// A picture that the hardware does not take, though its capabilities say it does: too many slices, say.
    fn refused(&self, error: Error) -> Error {
        match error {
            Error::Backend { code: 1, .. } => Error::Unsupported {
                feature: format!(
                    "a picture of this {} stream on this GPU's decoder (it answers: invalid value)",
                    self.codec
                ),
                remedy: Remedy::OtherBackend,
            },
            other => other,
        }
    }
}

/// A surface by the parser's number.
///
/// # Errors
/// No decoder has such a one.
fn surface(number: i32) -> Result<usize> {
    usize::try_from(number)
        .ok()
        .filter(|index| *index < MAX_SURFACES as usize)
        .ok_or_else(|| Error::corrupt(format!("the parser names surface {number}")))
}

/// Whether pictures may be shown in another order than they are coded in. VP8, VP9 and AV1 have hidden pictures
/// instead, and packets that show them.
pub(super) const fn reorders(codec: Codec) -> bool {
    match codec {
        Codec::H264 | Codec::Hevc | Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1 => true,
        Codec::Av1 | Codec::Vp9 | Codec::Vp8 | Codec::Mjpeg => false,
    }
}

impl ParserEvents for Sequencer {
    fn sequence(&mut self, format: &VideoFormat) -> Result<u32> {
        self.reported = Some(*format);
        let format = &self.stated.complete(format);
        if self.decoders.knows(format) {
            return Ok(self.decoders.surfaces());
        }
        // Pictures of the sequence before are shown by now; the decoder may change when they are out.
        if !self.stage.gate().wait_all() {
            return Err(Error::Cancelled);
        }
        self.settle("not shown before the sequence changed");
        let first = self.decoders.shape().is_none();
        // What VP9 keeps keeps the decoder, too.
        let letting_go = || self.slots = Default::default();
        if self.decoders.begin(format, &self.stage, letting_go)? == Begun::Fresh {
            self.surfaces.clear();
            self.healthy = false;
            // The others change their size at random access points only.
            self.orphaned = !first && matches!(self.codec, Codec::Vp9 | Codec::Av1);
        }
        Ok(self.decoders.surfaces())
    }

    fn decode(&mut self, mut picture: Picture<'_>) -> Result<bool> {
        // What is the same for the parser may be another area.
        if let Some(reported) = self.reported
            && self.decoders.shape().is_some()
            && !self.decoders.knows(&self.stated.complete(&reported))
        {
            self.sequence(&reported)?;
        }
        let Some(shape) = self.decoders.shape() else {
            return Err(Error::corrupt("a picture before any sequence header"));
        };
        let index = surface(picture.index())?;
        if let (Codec::Mpeg2, Some(reported)) = (self.codec, self.reported) {
            picture.cover(reported.coded_width);
        }
        // With film grain AV1 writes two surfaces: what is shown, and what others refer to.
        let second = (self.codec == Codec::Av1).then(|| picture.without_grain());
        for index in iter::once(index).chain(second.and_then(|second| surface(second).ok())) {
            if !self.stage.gate().wait(index) {
                return Err(Error::Cancelled);
            }
        }
        self.orphaned &= !(self.current.entry && picture.intra());
        if self.orphaned {
            self.fail(Error::corrupt(
                "the picture refers to others of a smaller size, lost with the decoder that had them",
            ));
            return Ok(false);
        }
        if self.opening == Opening::Awaited && self.current.closed {
            // Even if the decoder refuses it: what follows does not lead, it only lacks this picture.
            self.opening = Opening::Over;
        }
        match shape.decoder.decode(&mut picture) {
            Ok(()) => self.healthy = true,
            // The hardware took pictures of this sequence before: this one is damaged.
            Err(error @ Error::Backend { code: 1, .. }) if self.healthy => {
                self.fail(Error::corrupt(format!("the GPU's decoder refuses a damaged picture: {error}")));
                return Ok(false);
            }
            Err(error) => return Err(self.refused(error)),
        }
        if self.opening == Opening::Awaited {
            self.opening = Opening::Of { serial: self.current.serial, before: 0 };
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
        let Some(shape) = self.decoders.shape() else { return Ok(()) };
        let index = surface(info.index)?;
        // The unit that the surface was decoded from, or, without reordering, the one at hand: it may show a
        // picture of an earlier one.
        let current = Occupant { serial: self.current.serial, keyframe: self.current.keyframe };
        let shown = self.surfaces.get_mut(index).and_then(Option::take).unwrap_or(current);
        if shown.serial == current.serial {
            // A picture of it that could not be decoded has failed it as a whole.
            if self.current.failed {
                return Ok(());
            }
            self.current.answered = true;
        }
        if self.opening.leads(shown.serial) {
            let reason = "leading picture that refers to pictures before the random access point";
            self.answers.send(DecodeEvent::NoPicture { serial: shown.serial, reason });
            return Ok(());
        }
        self.stage.show(Shown {
            serial: shown.serial,
            keyframe: shown.keyframe,
            surface: index,
            info: *info,
            shape: Arc::clone(shape),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_before_the_first_picture_leads_it() {
        let mut opening = Opening::Of { serial: 5, before: 0 };
        let leading: Vec<bool> = [7, 8, 5, 6, 9].into_iter().map(|shown| opening.leads(shown)).collect();
        assert_eq!(leading, [true, true, false, false, false]);
        // One that is never shown costs no more than can be shown before it.
        let mut opening = Opening::Of { serial: 5, before: 0 };
        assert_eq!((6..60).filter(|shown| opening.leads(*shown)).count(), MAX_LEADING as usize);
    }

    #[test]
    fn surfaces_that_no_decoder_has_are_refused() {
        assert_eq!(surface(0).unwrap(), 0);
        assert_eq!(surface(31).unwrap(), 31);
        for number in [-1, i32::MIN, 32, i32::MAX] {
            assert!(surface(number).is_err(), "{number}");
        }
    }
}
