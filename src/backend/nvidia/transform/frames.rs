//! Conversion of frames in device memory outside of the decoder: what made them is over, and they stay on their card.

use std::any::Any;
use std::sync::{Arc, Mutex};

use super::{Converter, Source, supported};
use crate::backend::nvidia::decode::pool::{Lease, Lent};
use crate::backend::nvidia::driver::cuda::{Context, Waiting};
use crate::backend::nvidia::driver::memory::DeviceBlock;
use crate::backend::nvidia::driver::planes::Planes;
use crate::backend::nvidia::driver::transfer::{Lane, convert_frame};
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{DeviceConverter, DeviceSurface};
use crate::pixel::PixelFormat;
use crate::sync::lock;

/// Converts frames of one kind.
#[derive(Debug)]
struct FrameConverter {
    converter: Converter,
    context: Arc<Context>,
    to: PixelFormat,
    dimensions: Dimensions,
    memory: Lease<DeviceBlock>,
    /// Those that no conversion uses; there are as many as were ever needed at once.
    lanes: Mutex<Vec<Lane>>,
}

/// What converts frames like this one, which lies in memory of `context`; `None` where no kernel does.
///
/// # Errors
/// A driver that cannot compile the kernels; a colour or size that they do not take.
pub(in crate::backend::nvidia) fn of_frames(
    context: &Arc<Context>,
    frame: &DeviceSurface,
    color: ColorInfo,
    to: PixelFormat,
) -> Result<Option<Arc<dyn DeviceConverter>>> {
    let (format, dimensions) = (frame.format(), frame.dimensions());
    if format == to || !supported(format, to) {
        return Ok(None);
    }
    let source = Source { format, dimensions, shift: 0 };
    Ok(Some(Arc::new(FrameConverter {
        converter: Converter::new(context, source, to, color, dimensions)?,
        context: Arc::clone(context),
        to,
        dimensions,
        memory: Lease::new(context, Planes::frame_bytes(to, dimensions)),
        lanes: Mutex::default(),
    })))
}

impl DeviceConverter for FrameConverter {
    fn convert(&self, frame: &DeviceSurface) -> Result<DeviceSurface> {
        let memory: &dyn Any = frame.memory();
        let block = memory.downcast_ref::<Lent<DeviceBlock>>().and_then(Lent::block);
        let block = block
            .filter(|block| Arc::ptr_eq(block.context(), &self.context))
            .ok_or_else(|| Error::invalid("a frame in memory of another device"))?;
        let lanes = || lock(&self.lanes);
        let idle = lanes().pop();
        // Asleep: the workers that convert are many, and decoders may need every core.
        let lane = idle.map_or_else(|| Lane::new(&self.context, Waiting::Asleep), Ok)?;
        let mut target = self.memory.take()?;
        let planes = Planes::of_frame(self.to, self.dimensions, target.address());
        let done = convert_frame(&lane, &self.converter, (frame.planes(), block), (&planes, &mut target));
        lanes().push(lane);
        let memory = Arc::new(self.memory.lend(target));
        done?;
        DeviceSurface::new(self.to, self.dimensions, planes.to_vec(), memory)
    }
}
