//! Hardware decoders: made for the first sequence, and kept for the next ones wherever the driver allows it.

use std::sync::Arc;

use super::format::{coded_size, color_of, output_of, rate_of};
use super::geometry::{Geometry, Wanted};
use super::output::{MAPPED, OutputStage, Shape};
use super::pool::make_room;
use crate::backend::demand::Demand;
use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::driver::cuvid::{Decoder, caps, ulong};
use crate::backend::nvidia::driver::cuvid_abi::{
    CreateInfo, DecodeCaps, PREFER_CUVID, ReconfigureInfo, VideoFormat,
};
use crate::backend::nvidia::driver::result::CuResult;
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Remedy, Result};
use crate::limits::Limits;
use crate::pixel::Chroma;

/// Decode surfaces beyond what the stream needs: pictures in the hardware's queue (4) and in the mapping stage.
const EXTRA_SURFACES: u32 = 4 + MAPPED as u32 + 1;
/// Most surfaces that the library takes.
pub(super) const MAX_SURFACES: u32 = 32;
/// Room for pictures that grow between key frames: see [`Decoders::room`].
const USUAL_PICTURE: (u32, u32) = (1920, 1088);

/// What became of the pictures in the decode surfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// They are still there: others may refer to them.
    Kept,
    /// There is a new decoder, with nothing in it.
    Fresh,
}

/// What a decoder is set to: pictures can be mapped while it is as it was when they were decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    coded: (u32, u32),
    geometry: Geometry,
}

/// The decoder at work, and what it was set to.
struct Running {
    format: VideoFormat,
    setting: Setting,
    surfaces: u32,
    /// Largest coded size that it can be set to.
    room: (u32, u32),
    /// Size of the mapped pictures at first. The driver (580.159) takes a larger one in a reconfiguration, but what is
    /// mapped then is as small as before.
    target_room: (u32, u32),
    shape: Arc<Shape>,
}

/// Makes and keeps the decoder of a session.
pub(super) struct Decoders {
    context: Arc<Context>,
    codec: Codec,
    wanted: Wanted,
    /// Pictures that the parser holds back on purpose.
    delay: u32,
    running: Option<Running>,
    /// Largest sides of the pictures so far.
    largest: (u32, u32),
    limits: Limits,
}

impl Decoders {
    pub(super) fn new(context: &Arc<Context>, config: &CommonDecodeConfig, delay: u32) -> Self {
        Self {
            context: Arc::clone(context),
            codec: config.codec,
            wanted: Wanted::of(config),
            delay,
            running: None,
            largest: (0, 0),
            limits: config.limits.clone(),
        }
    }

    /// The decoder of the sequence at hand, and what its pictures share.
    pub(super) fn shape(&self) -> Option<&Arc<Shape>> {
        self.running.as_ref().map(|running| &running.shape)
    }

    /// What the decoder is set to.
    pub(super) fn setting(&self) -> Option<Setting> {
        self.running.as_ref().map(|running| running.setting)
    }

    /// Whether this sequence is the one at hand: the same again, as after a flush.
    pub(super) fn knows(&self, format: &VideoFormat) -> bool {
        self.running.as_ref().is_some_and(|running| running.format == *format)
    }

    /// Decode surfaces of the decoder at work.
    pub(super) fn surfaces(&self) -> u32 {
        self.running.as_ref().map_or(0, |running| running.surfaces)
    }

    /// Gets ready for another sequence. The caller has seen to it that no picture waits to be mapped.
    ///
    /// A change of colour or frame rate alone touches nothing; sizes are changed in the decoder that is there, where
    /// they fit; only what is left needs a new one, and before that `letting_go` is called, for the caller to do so.
    pub(super) fn begin(
        &mut self,
        format: &VideoFormat,
        stage: &OutputStage,
        letting_go: impl FnOnce(),
    ) -> Result<Begun> {
        let geometry = Geometry::new(format, self.wanted)?;
        let depth = depth(format);
        let caps = caps(self.context.ordinal(), format.codec, format.chroma, depth)?;
        self.check(format, &caps)?;
        let coded = coded_size(format);
        let setting = Setting { coded, geometry };
        self.largest = (self.largest.0.max(coded.0), self.largest.1.max(coded.1));
        let wanted = (u32::from(format.min_surfaces) + EXTRA_SURFACES + self.delay).min(MAX_SURFACES);
        self.allow(format, coded, wanted)?;
        if let Some(running) = &mut self.running
            && let Some(surfaces) = running.adapt(format, setting, wanted)?
        {
            let decoder = Arc::clone(&running.shape.decoder);
            let (room, target_room) = (running.room, running.target_room);
            let shape = describe(stage, decoder, format, &geometry, &caps)?;
            self.running = Some(Running { format: *format, setting, surfaces, room, target_room, shape });
            return Ok(Begun::Kept);
        }
        // Its memory goes before the next one's is taken.
        letting_go();
        self.running = None;
        let room = self.room(coded, &caps);
        let decoder = self.open(format, &geometry, &caps, room, wanted)?;
        let shape = describe(stage, Arc::new(decoder), format, &geometry, &caps)?;
        let target_room = geometry.target;
        self.running = Some(Running { format: *format, setting, surfaces: wanted, room, target_room, shape });
        Ok(Begun::Fresh)
    }

    /// Refuses a sequence whose surfaces would take more of the card than the limits allow.
    fn allow(&self, format: &VideoFormat, (width, height): (u32, u32), surfaces: u32) -> Result<()> {
        let chroma = match format.chroma {
            0 => Chroma::Monochrome,
            2 => Chroma::Yuv422,
            3 => Chroma::Yuv444,
            _ => Chroma::Yuv420,
        };
        let bit_depth = u8::try_from(depth(format)).unwrap_or(16);
        let demand = Demand { width, height, chroma, bit_depth };
        let pictures = u64::from(surfaces) + MAPPED as u64 + 1;
        demand.check_on_card(&self.limits, pictures)
    }

    /// Refuses what the chip cannot decode, in words that say what it can.
    fn check(&self, format: &VideoFormat, caps: &DecodeCaps) -> Result<()> {
        let unsupported = |feature: String| Error::Unsupported {
            feature,
            remedy: Remedy::OtherDevice("use a GPU that decodes it".into()),
        };
        let name = format!("{} {}-bit chroma format {}", self.codec, depth(format), format.chroma);
        if caps.supported == 0 {
            return Err(unsupported(format!("{name} on this GPU's decoder")));
        }
        let (width, height) = (format.coded_width, format.coded_height);
        if !fits((width, height), caps)
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

    /// The size up to which a new decoder can be set. Every surface takes the memory of the largest picture, so there is
    /// no room to spare: the largest sides so far, which lets a stream go up and down between sizes it has had.
    /// Only VP9 and AV1 may grow without a key frame, when a new decoder would lack the pictures that the next ones
    /// refer to; for them there is room for what calls and adaptive streams grow to.
    fn room(&self, coded: (u32, u32), caps: &DecodeCaps) -> (u32, u32) {
        let (long, short) = match self.codec {
            Codec::Vp9 | Codec::Av1 => USUAL_PICTURE,
            _ => (0, 0),
        };
        let usual = if coded.0 < coded.1 { (short, long) } else { (long, short) };
        let room = (
            self.largest.0.max(usual.0).min(caps.max_width),
            self.largest.1.max(usual.1).min(caps.max_height),
        );
        if fits(room, caps) { room } else { coded }
    }

    fn open(
        &self,
        format: &VideoFormat,
        geometry: &Geometry,
        caps: &DecodeCaps,
        room: (u32, u32),
        surfaces: u32,
    ) -> Result<Decoder> {
        let (width, height) = coded_size(format);
        let output = output_of(format, caps)?;
        let info = CreateInfo {
            width: ulong(width),
            height: ulong(height),
            max_width: ulong(room.0),
            max_height: ulong(room.1),
            decode_surfaces: ulong(surfaces),
            codec: format.codec,
            chroma: format.chroma,
            flags: PREFER_CUVID,
            depth_minus8: ulong(depth(format) - 8),
            display_area: geometry.source,
            output_format: output.surface,
            target_width: ulong(geometry.target.0),
            target_height: ulong(geometry.target.1),
            output_surfaces: ulong(MAPPED as u32 + 1),
            ..CreateInfo::default()
        };
        let made = match Decoder::new(&self.context, &info) {
            Err(error) if is_out_of_memory(&error) => {
                // What frames have left idle may be enough.
                make_room();
                Decoder::new(&self.context, &info)
            }
            made => made,
        };
        made.map_err(|error| geometry.explain(error))
    }
}

/// What the pictures of a sequence share.
fn describe(
    stage: &OutputStage,
    decoder: Arc<Decoder>,
    format: &VideoFormat,
    geometry: &Geometry,
    caps: &DecodeCaps,
) -> Result<Arc<Shape>> {
    let output = output_of(format, caps)?;
    Ok(Arc::new(Shape {
        decoder,
        output,
        dimensions: geometry.dimensions,
        inside: geometry.inside,
        mapped_rows: geometry.target.1 as usize,
        sample_aspect_ratio: geometry.sample_aspect_ratio(format),
        frame_rate: rate_of(format),
        shaped: geometry.shaped,
        plan: stage.plan(output, geometry, color_of(format))?,
    }))
}

impl Running {
    /// Sets the decoder to another sequence; `None` where it cannot be, otherwise how many decode surfaces it has then.
    fn adapt(&self, format: &VideoFormat, setting: Setting, surfaces: u32) -> Result<Option<u32>> {
        let before = &self.format;
        let same_kind = |f: &VideoFormat| (f.codec, f.chroma, f.luma_depth_minus8, f.chroma_depth_minus8);
        let Setting { coded: (width, height), geometry } = setting;
        if same_kind(before) != same_kind(format) || width > self.room.0 || height > self.room.1 {
            return Ok(None);
        }
        if geometry.target.0 > self.target_room.0 || geometry.target.1 > self.target_room.1 {
            return Ok(None);
        }
        // Fewer would only have to be made again.
        let surfaces = surfaces.max(self.surfaces);
        if surfaces == self.surfaces && setting == self.setting {
            return Ok(Some(surfaces));
        }
        let decoder = &self.shape.decoder;
        // The caller may hold pictures that are still mapped.
        if decoder.has_mapped() {
            return Ok(None);
        }
        let info = ReconfigureInfo {
            width,
            height,
            target_width: geometry.target.0,
            target_height: geometry.target.1,
            decode_surfaces: surfaces,
            display_area: geometry.source,
            ..ReconfigureInfo::default()
        };
        match decoder.reconfigure(&info) {
            Ok(()) => Ok(Some(surfaces)),
            // What this driver does not change it may still make anew, or refuse then in its own words.
            Err(Error::Backend { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_out_of_memory(error: &Error) -> bool {
    matches!(error, Error::Backend { code, .. } if *code == i64::from(CuResult::OUT_OF_MEMORY.0))
}

fn depth(format: &VideoFormat) -> u32 {
    8 + u32::from(format.luma_depth_minus8)
}

/// Whether pictures of this size are not too large.
fn fits((width, height): (u32, u32), caps: &DecodeCaps) -> bool {
    let macroblocks = u64::from(width >> 4) * u64::from(height >> 4);
    width <= caps.max_width && height <= caps.max_height && macroblocks <= u64::from(caps.max_macroblocks)
}
