//! What becomes of the pictures of a sequence between the decoder's memory and the frame: decided once, when the
//! sequence begins, so that what cannot be done is refused before the first frame.
//!
//! A frame in device memory is a copy of the mapped picture and never the mapped picture itself: a decoder has few of
//! those, and a consumer that kept them would stop it. The copy stays inside the device and costs next to nothing.

use std::sync::{Arc, Mutex};

use super::format::Output;
use super::output::MAPPED;
use super::pool::Lease;
use crate::backend::CardRoom;
use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::driver::memory::{DeviceBlock, PinnedMemory};
use crate::backend::nvidia::driver::planes::Planes;
use crate::backend::nvidia::driver::transfer::Memory;
use crate::backend::nvidia::transform::{Converter, Source, supported};
use crate::backend::{CopyBytes, Download};
use crate::color::{ColorInfo, ColorRange, MatrixCoefficients};
use crate::config::{CommonDecodeConfig, DamagePolicy, DecodeOutputMode};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{DeviceSurface, HostSurface, Surface};
use crate::pixel::PixelFormat;
use crate::sync::lock;

/// What a session wants of its pictures.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    mode: DecodeOutputMode,
    convert: Option<PixelFormat>,
    damage: DamagePolicy,
    /// What the container says of the colour; goes before what the stream says.
    color: ColorInfo,
    download: Download,
}

impl Wanted {
    pub(super) fn of(config: &CommonDecodeConfig, download: Download) -> Self {
        Self {
            mode: config.output,
            convert: config.convert.format(),
            damage: config.damage,
            color: config.color,
            download,
        }
    }

    /// For pictures that the session is to cut and scale: it converts them as well.
    ///
    /// # Errors
    /// Frames that are to stay in device memory, where nobody else scales them.
    pub(super) fn unshaped(&self) -> Result<Self> {
        if self.mode == DecodeOutputMode::NativeSurface {
            return Err(Error::Unsupported {
                feature: "another size of a part whose edges are not at multiples of four columns and rows, in this GPU's \
                          decoder"
                    .to_owned(),
                remedy: "choose such edges, ask for no other size, or ask for frames in host memory".into(),
            });
        }
        Ok(Self { convert: None, ..self.clone() })
    }

    /// Pictures are looked at, and not only counted.
    pub(super) const fn maps(&self) -> bool {
        !matches!(self.mode, DecodeOutputMode::MetadataOnly)
    }

    /// What to say of a picture whose status is `status`: whether it was mended.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] for a picture that must not be delivered.
    pub(super) fn judge(&self, status: Option<u32>) -> Result<bool> {
        /// `cuvidDecodeStatus_Error`: not concealed.
        const ERROR: u32 = 8;
        /// `cuvidDecodeStatus_Error_Concealed`.
        const CONCEALED: u32 = 9;
        match (status, self.damage) {
            (Some(ERROR), _) => {
                Err(Error::corrupt("a picture is damaged beyond what the decoder can conceal"))
            }
            (Some(CONCEALED), DamagePolicy::Strict) => {
                Err(Error::corrupt("a picture is damaged; the decoder could only conceal it"))
            }
            (status, _) => Ok(status == Some(CONCEALED)),
        }
    }
}

/// What becomes of the pictures of a sequence.
#[derive(Debug)]
pub(super) struct Plan {
    /// Of frames.
    pub(super) format: PixelFormat,
    pub(super) color: ColorInfo,
    /// Frames are in the format that is asked for.
    pub(super) converted: bool,
    dimensions: Dimensions,
    /// Makes frames of mapped pictures; without one their samples are copied as they are.
    pub(super) converter: Option<Converter>,
    /// Bits by which the CPU has to shift samples.
    shift: u32,
    device: Option<Lease<DeviceBlock>>,
    host: Option<Lease<PinnedMemory>>,
    /// Frames may stay in device memory for now, and somebody else downloads them.
    later: Option<Later>,
}

/// Of frames that wait on the card for their turn.
#[derive(Debug)]
struct Later {
    room: Arc<CardRoom>,
    card: u32,
    /// For pictures that are converted on a card that is full of those that wait: on their way to the host, all the same,
    /// they pass through its memory.
    passage: Mutex<Vec<DeviceBlock>>,
}

impl Later {
    /// Room for a picture to pass through.
    fn pass(&self) -> Option<DeviceBlock> {
        lock(&self.passage).pop()
    }

    /// Takes memory back that a picture has passed; what is more than all at once need is given back.
    fn passed(&self, block: DeviceBlock) -> Option<DeviceBlock> {
        let mut passage = lock(&self.passage);
        if passage.len() >= MAPPED {
            return Some(block);
        }
        passage.push(block);
        None
    }
}

impl Plan {
    /// For pictures that leave the decoder as `output`. `note` is told what is done otherwise than asked for.
    ///
    /// # Errors
    /// A conversion that the GPU cannot do for frames that are to stay on it; a lost device.
    pub(super) fn new(
        context: &Arc<Context>,
        wanted: &Wanted,
        output: Output,
        dimensions: Dimensions,
        color: ColorInfo,
        note: impl FnOnce(String),
    ) -> Result<Self> {
        let mut plan = Self {
            format: output.format,
            color,
            converted: true,
            dimensions,
            converter: None,
            shift: output.shift,
            device: None,
            host: None,
            later: None,
        };
        let stays = match wanted.mode {
            DecodeOutputMode::MetadataOnly => return Ok(plan),
            DecodeOutputMode::NativeSurface => true,
            DecodeOutputMode::HostSurface | DecodeOutputMode::CpuRgb => false,
        };
        // That RGB is made by the CPU, from the decoder's own samples.
        let asked = wanted.convert.filter(|_| wanted.mode != DecodeOutputMode::CpuRgb);
        let target = asked.unwrap_or(output.format);
        let source = Source { format: output.format, dimensions, shift: output.shift };
        let color = wanted.color.or(color);
        if target != output.format || output.shift > 0 {
            match converter(context, source, target, color) {
                Ok(converter) => plan.convert(converter, target, color),
                Err(error) if stays || matches!(error, Error::DeviceLost { .. }) => return Err(error),
                Err(error) => {
                    plan.converted = target == output.format;
                    // Frames that the CPU converts need their samples shifted all the same.
                    if target != output.format
                        && output.shift > 0
                        && let Ok(shifter) = converter(context, source, output.format, color)
                    {
                        plan.convert(shifter, output.format, color);
                        plan.converted = false;
                    }
                    // What has no kernel is the CPU's by design; one that does not start is a surprise.
                    if supported(output.format, target) {
                        note(format!("{target} is made on the CPU: {error}"));
                    }
                }
            }
        }
        let bytes = plan.format.frame_bytes(dimensions);
        // Samples that the CPU still has to shift are so only here.
        let room = match &wanted.download {
            Download::Later(room) if !stays && plan.shift == 0 => Some(room),
            _ => None,
        };
        let through_device = stays || room.is_some() || plan.converter.is_some();
        plan.device =
            through_device.then(|| Lease::new(context, Planes::frame_bytes(plan.format, dimensions)));
        plan.host = (!stays).then(|| Lease::new(context, bytes));
        if let Some(room) = room {
            let card = u32::try_from(context.ordinal()).unwrap_or(0);
            // Others may use the card as well. Where it cannot be asked, allocating will tell.
            if let Ok(memory) = context.memory() {
                room.limit_card(card, memory.free / 2);
            }
            let passage = match &plan.device {
                Some(lease) if plan.converter.is_some() => {
                    (0..MAPPED).map_while(|_| lease.take().ok()).collect()
                }
                _ => Vec::new(),
            };
            plan.later = Some(Later { room: Arc::clone(room), card, passage: Mutex::new(passage) });
        }
        Ok(plan)
    }

    fn convert(&mut self, converter: Converter, format: PixelFormat, color: ColorInfo) {
        self.converter = Some(converter);
        self.shift = 0;
        if format.is_rgb() && !self.format.is_rgb() {
            self.color =
                ColorInfo { matrix: MatrixCoefficients::Identity, range: Some(ColorRange::Full), ..color };
        }
        self.format = format;
    }

    /// Memory for a picture; nothing is waited for.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or a failing driver.
    pub(super) fn memory(&self) -> Result<Memory> {
        let device = match (&self.later, &self.device) {
            (Some(later), Some(lease)) => {
                if later.room.has(later.card) {
                    match lease.take() {
                        Ok(block) => return Ok(Memory { device: Some(block), host: None }),
                        Err(Error::OutOfMemory { .. }) => later.room.refused(later.card),
                        Err(error) => return Err(error),
                    }
                }
                // On a full card a picture does not wait, but goes to host memory at once.
                match self.converter {
                    Some(_) => Some(later.pass().map_or_else(|| lease.take(), Ok)?),
                    None => None,
                }
            }
            (_, lease) => lease.as_ref().map(Lease::take).transpose()?,
        };
        match self.host.as_ref().map(Lease::take).transpose() {
            Ok(host) => Ok(Memory { device, host }),
            Err(error) => {
                self.give_back(Memory { device, host: None });
                Err(error)
            }
        }
    }

    /// Takes memory back that became no frame.
    pub(super) fn give_back(&self, memory: Memory) {
        if let Some(block) = memory.device {
            self.give_block_back(block);
        }
        if let (Some(lease), Some(host)) = (&self.host, memory.host) {
            lease.give_back(host);
        }
    }

    fn give_block_back(&self, block: DeviceBlock) {
        let more = match &self.later {
            Some(later) if self.converter.is_some() => later.passed(block),
            _ => Some(block),
        };
        if let (Some(lease), Some(block)) = (&self.device, more) {
            lease.give_back(block);
        }
    }

    /// The planes of a frame in a block of device memory.
    pub(super) fn planes(&self, address: u64) -> Planes {
        Planes::of_frame(self.format, self.dimensions, address)
    }

    /// What was copied for a frame. A conversion writes it anew, and is none.
    pub(super) fn copied(&self, surface: &Surface) -> CopyBytes {
        let bytes = self.format.frame_bytes(self.dimensions) as u64;
        let to_host = matches!(surface, Surface::Host(_));
        let inside = matches!(surface, Surface::Device(_)) && self.converter.is_none();
        CopyBytes {
            input: 0,
            output: if to_host { bytes } else { 0 },
            device: if inside { bytes } else { 0 },
        }
    }

    /// The frame's surface over memory that a picture was copied to.
    ///
    /// # Errors
    /// Memory that is not the plan's.
    pub(super) fn surface(&self, memory: Memory) -> Result<Surface> {
        let foreign = || Error::invalid("memory of another kind than planned");
        let waits = self.later.is_some() && memory.host.is_none();
        let Some(host) = self.host.as_ref().filter(|_| !waits) else {
            let (Some(lease), Some(block)) = (&self.device, memory.device) else { return Err(foreign()) };
            let planes = self.planes(block.address()).to_vec();
            let memory = Arc::new(lease.lend(block));
            return DeviceSurface::new(self.format, self.dimensions, planes, memory).map(Surface::Device);
        };
        if let Some(block) = memory.device {
            self.give_block_back(block);
        }
        let bytes = self.format.frame_bytes(self.dimensions);
        let data = host.lend(memory.host.ok_or_else(foreign)?).into_bytes(bytes);
        if self.shift == 0 {
            return HostSurface::from_packed(self.format, self.dimensions, data).map(Surface::Host);
        }
        // The driver's samples are in the high bits, this format's in the low ones.
        let shifted: Vec<u8> = data
            .chunks_exact(2)
            .flat_map(|sample| (u16::from_le_bytes([sample[0], sample[1]]) >> self.shift).to_le_bytes())
            .collect();
        HostSurface::from_packed(self.format, self.dimensions, shifted).map(Surface::Host)
    }
}

fn converter(context: &Arc<Context>, source: Source, to: PixelFormat, color: ColorInfo) -> Result<Converter> {
    if !supported(source.format, to) {
        return Err(Error::Unsupported {
            feature: format!("{} to {to} on the GPU", source.format),
            remedy: "ask for frames in host memory, which the CPU converts".into(),
        });
    }
    Converter::new(context, source, to, color, source.dimensions)
}
