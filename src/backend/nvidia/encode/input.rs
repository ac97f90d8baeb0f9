//! Pictures on their way into the encoder: from host memory by a copy into the driver's, from device memory by none.
//!
//! A frame of this library's in device memory is complete when it is handed out (no work on it is outstanding), so that
//! nothing has to be waited for and no stream be told to the encoder. It is held, and with it its memory, until its own
//! coded picture was taken.

use std::any::Any;
use std::sync::Arc;

use super::upload;
use crate::backend::FrameCheck;
use crate::backend::nvidia::decode::pool::{Lease, Lent};
use crate::backend::nvidia::driver::cuda::{Context, Stream};
use crate::backend::nvidia::driver::memory::{DeviceBlock, copy_frame};
use crate::backend::nvidia::driver::nvenc::Encoder;
use crate::backend::nvidia::driver::nvenc_buffers::{InputBuffer, Picture};
use crate::backend::nvidia::driver::nvenc_resources::{MappedInput, Placement, Registrations};
use crate::backend::nvidia::driver::planes::Planes;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{DevicePlane, DeviceSurface, Frame, HostSurface, Surface};
use crate::pixel::PixelFormat;
use crate::stages::EncodeMeter;

/// Rows of a copy begin at multiples of this, as those of the decoder's frames do.
const PITCH: usize = 512;
/// Allocations begin at multiples of this. Whether the encoder reads pictures that do not is not documented, so that a
/// part of a picture that begins elsewhere is copied.
const ALIGNMENT: u64 = 256;

/// A picture where the encoder reads it, until its output was taken.
#[derive(Debug)]
pub(super) enum Input {
    /// A copy in memory of the driver.
    Host(InputBuffer),
    /// The frame itself. Unmapped before its memory may go back to where it came from.
    Device { mapped: MappedInput, _frame: DeviceSurface },
}

impl Input {
    /// The memory that another picture can be written to, of a picture that was not handed over.
    pub(super) fn into_spare(self) -> Option<InputBuffer> {
        match self {
            Self::Host(buffer) => Some(buffer),
            Self::Device { .. } => None,
        }
    }

    /// For handing the picture over.
    pub(super) fn picture(&self) -> Picture<'_> {
        match self {
            Self::Host(buffer) => buffer.picture(),
            Self::Device { mapped, .. } => mapped.picture(),
        }
    }
}

/// The input side of a session.
#[derive(Debug)]
pub(super) struct Inputs {
    /// Before the encoder that it registers memory with.
    registrations: Arc<Registrations>,
    /// For frames that lie in another way than the encoder reads; made by the first.
    aside: Option<Aside>,
    encoder: Arc<Encoder>,
    context: Arc<Context>,
    /// `NV_ENC_BUFFER_FORMAT`
    code: u32,
    format: PixelFormat,
    size: Dimensions,
    meter: Arc<EncodeMeter>,
}

/// Memory for copies inside the device.
#[derive(Debug)]
struct Aside {
    stream: Stream,
    pool: Lease<DeviceBlock>,
}

impl Inputs {
    pub(super) fn new(
        encoder: &Arc<Encoder>,
        context: &Arc<Context>,
        code: u32,
        format: PixelFormat,
        size: Dimensions,
        meter: &Arc<EncodeMeter>,
    ) -> Self {
        Self {
            registrations: Registrations::new(encoder, code, sides(size)),
            aside: None,
            encoder: Arc::clone(encoder),
            context: Arc::clone(context),
            code,
            format,
            size,
            meter: Arc::clone(meter),
        }
    }

    /// Brings a frame to where the encoder can read it. `idle` gives memory of the driver that no picture uses; where
    /// there is none and the frame needs some, it is made: there is one for each host frame that was ever inside at
    /// once.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a frame that is not as the encoder was opened for, or of another device;
    /// [`Error::OutOfMemory`]; a failing driver.
    pub(super) fn place(
        &mut self,
        frame: &Frame,
        idle: impl FnOnce() -> Option<InputBuffer>,
    ) -> Result<Input, (Box<Error>, Option<InputBuffer>)> {
        let none = |error| (Box::new(error), None);
        match &frame.surface {
            Surface::Host(host) => {
                self.check(host.format(), host.dimensions()).map_err(none)?;
                let mut buffer = idle().map_or_else(|| self.buffer(), Ok).map_err(none)?;
                match self.upload(host, &mut buffer) {
                    Ok(()) => Ok(Input::Host(buffer)),
                    Err(error) => Err((Box::new(error), Some(buffer))),
                }
            }
            Surface::Device(device) => {
                self.check(device.format(), device.dimensions()).map_err(none)?;
                self.device(device).map_err(none)
            }
            Surface::None => Err(none(no_picture())),
        }
    }

    pub(super) const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Pictures are of another size from now on. None may be inside.
    pub(super) fn resize(&mut self, size: Dimensions) {
        self.registrations = Registrations::new(&self.encoder, self.code, sides(size));
        self.aside = None;
        self.size = size;
    }

    fn check(&self, format: PixelFormat, size: Dimensions) -> Result<()> {
        if (format, size) == (self.format, self.size) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the frame is {size} {format}, the encoder was opened for {} {}",
            self.size, self.format
        )))
    }

    fn buffer(&self) -> Result<InputBuffer> {
        let (rows, row_bytes) = upload::layout(self.format, self.size);
        InputBuffer::new(&self.encoder, sides(self.size), self.code, rows, row_bytes)
    }

    fn upload(&self, host: &HostSurface, buffer: &mut InputBuffer) -> Result<()> {
        let mut memory = buffer.lock()?;
        upload::upload(host, &mut memory)?;
        self.meter.copied_in(self.format.frame_bytes(self.size) as u64);
        Ok(())
    }

    /// Whether a frame can be read where it is, for the session to ask before it takes the frame.
    pub(super) fn admission(&self) -> FrameCheck {
        let (context, format) = (Arc::clone(&self.context), self.format);
        Arc::new(move |frame| match &frame.surface {
            Surface::Host(_) => Ok(()),
            Surface::Device(device) => readable(device, format, &context).map(|_| ()),
            Surface::None => Err(no_picture()),
        })
    }

    fn device(&mut self, frame: &DeviceSurface) -> Result<Input> {
        let block = readable(frame, self.format, &self.context)?;
        if let Some(placement) = placement(frame.planes(), block) {
            let mapped = self.registrations.map(block, placement)?;
            return Ok(Input::Device { mapped, _frame: frame.clone() });
        }
        let copy = self.copy(frame, block)?;
        self.meter.copied_on_device(self.format.frame_bytes(self.size) as u64);
        let block = readable(&copy, self.format, &self.context)?;
        let placement = placement(copy.planes(), block)
            .ok_or_else(|| Error::invalid(format!("{:?} cannot be read by NVENC", copy.planes())))?;
        let mapped = self.registrations.map(block, placement)?;
        Ok(Input::Device { mapped, _frame: copy })
    }

    /// The picture once more, as the encoder reads it.
    fn copy(&mut self, frame: &DeviceSurface, block: &DeviceBlock) -> Result<DeviceSurface> {
        let (rows, row_bytes) = upload::layout(self.format, self.size);
        let pitch = row_bytes.next_multiple_of(PITCH);
        let aside = if let Some(aside) = &self.aside {
            aside
        } else {
            let stream = Stream::new(&self.context)?;
            let pool = Lease::new(&self.context, pitch * rows);
            self.aside.insert(Aside { stream, pool })
        };
        let target = aside.pool.take()?;
        let step = self.size.height() as usize;
        let planes = Planes::stacked(self.format, self.size, target.address(), pitch, step);
        // The frame is the caller's again when this returns, so it is waited for.
        copy_frame(&aside.stream, frame.planes(), block, &planes, &target)?;
        DeviceSurface::new(self.format, self.size, planes.to_vec(), Arc::new(aside.pool.lend(target)))
    }
}

fn sides(size: Dimensions) -> (u32, u32) {
    (size.width(), size.height())
}

fn no_picture() -> Error {
    Error::invalid("the frame has no picture, only times and sizes")
}

/// The memory behind a frame, if the encoder of this context can read it.
///
/// # Errors
/// Memory of another device, or of somebody else, of which nothing is known but what it says of itself; a format that
/// only host frames can have.
fn readable<'a>(
    frame: &'a DeviceSurface,
    format: PixelFormat,
    context: &Arc<Context>,
) -> Result<&'a DeviceBlock> {
    if !upload::reads_as_it_lies(format) {
        return Err(Error::invalid(format!(
            "{format} frames are rewritten on their way from host memory, which those of a device cannot be; have them \
             decoded to nv12, or download them"
        )));
    }
    let memory: &dyn Any = frame.memory();
    let Some(block) = memory.downcast_ref::<Lent<DeviceBlock>>().and_then(Lent::block) else {
        return Err(Error::invalid(
            "the frame's device memory was not made by this library's decoder; download it before encoding",
        ));
    };
    if !Arc::ptr_eq(block.context(), context) {
        return Err(Error::invalid(format!(
            "the frame is in the memory of CUDA device {}, its encoder is on device {}; download it, or encode it there",
            block.device(),
            context.ordinal()
        )));
    }
    Ok(block)
}

/// How the encoder finds the planes of a frame; `None`: not as they lie. It wants one pitch, each plane right below the
/// one before, and whole rows up to the last.
fn placement(planes: &[DevicePlane], block: &DeviceBlock) -> Option<Placement> {
    let first = planes.first()?;
    let mut rows = 0;
    for plane in planes {
        let offset = u64::try_from(first.pitch.checked_mul(rows)?).ok()?;
        if plane.pitch != first.pitch || plane.address != first.address.checked_add(offset)? {
            return None;
        }
        rows += plane.rows;
    }
    let end = u64::try_from(first.pitch.checked_mul(rows)?).ok()?.checked_add(first.address)?;
    let room = block.address().checked_add(block.bytes() as u64)?;
    let aligned = first.pitch.is_multiple_of(4) && first.address.is_multiple_of(ALIGNMENT);
    (end <= room && aligned).then_some(Placement { address: first.address, pitch: first.pitch, rows })
}
