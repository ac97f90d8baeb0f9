//! Conversion of frames in pixel buffers, outside of the decoder, to memory that the GPU and the CPU share.

use std::sync::{Arc, Mutex, Weak};

use super::plan::{GROUP, Plan, supported};
use crate::backend::videotoolbox::driver::metal::{Kernel, Memory};
use crate::backend::videotoolbox::surface::buffer_of;
use crate::color::ColorInfo;
use crate::error::{Error, Result};
use crate::frame::{DeviceConverter, DeviceMemory, DevicePlane, DeviceSurface, HostSurface};
use crate::pixel::PixelFormat;
use crate::sync::lock;

/// Text for the system's compiler (scripts/build-metal.py).
const TEXT: &str = include_str!("kernel.metal");
const NAME: &str = "vhw_convert";

/// Blocks of memory that are kept for later pictures.
const KEPT: usize = 8;

/// Converts frames of one kind.
#[derive(Debug)]
struct FrameConverter {
    kernel: Arc<Kernel>,
    plan: Plan,
    from: PixelFormat,
    to: PixelFormat,
    /// Some of those that pictures were made in; what nobody else has any more is used again.
    memory: Mutex<Vec<Arc<Memory>>>,
}

/// The memory of a converted picture.
#[derive(Debug)]
struct Converted(Arc<Memory>);

/// What converts frames like this one; `None` where the kernel does not.
///
/// # Errors
/// No Metal, or a compiler that does not take the kernel; a colour or size that it does not take.
pub(in crate::backend::videotoolbox) fn of_frames(
    picture: &DeviceSurface,
    color: ColorInfo,
    to: PixelFormat,
) -> Result<Option<Arc<dyn DeviceConverter>>> {
    let from = picture.format();
    if !supported(from, to) {
        return Ok(None);
    }
    let plan = Plan::new(from, picture.dimensions(), color, to)?;
    Ok(Some(Arc::new(FrameConverter { kernel: kernel()?, plan, from, to, memory: Mutex::default() })))
}

/// The kernel, compiled once as long as somebody uses it.
fn kernel() -> Result<Arc<Kernel>> {
    static COMPILED: Mutex<Weak<Kernel>> = Mutex::new(Weak::new());
    // Held while the system compiles: who asks meanwhile wants the same result.
    let mut compiled = lock(&COMPILED);
    if let Some(kernel) = compiled.upgrade() {
        return Ok(kernel);
    }
    let kernel = Arc::new(Kernel::new(TEXT, NAME)?);
    *compiled = Arc::downgrade(&kernel);
    Ok(kernel)
}

impl FrameConverter {
    /// Memory that nobody else has.
    fn memory(&self) -> Result<Memory> {
        let mut kept = lock(&self.memory);
        let idle = kept.iter().position(|memory| Arc::strong_count(memory) == 1);
        let idle = idle.and_then(|at| Arc::into_inner(kept.swap_remove(at)));
        drop(kept);
        idle.map_or_else(|| self.kernel.memory(self.plan.bytes()), Ok)
    }
}

impl DeviceConverter for FrameConverter {
    fn convert(&self, picture: &DeviceSurface) -> Result<DeviceSurface> {
        let found = buffer_of(picture)
            .filter(|_| (picture.format(), picture.dimensions()) == (self.from, self.plan.dimensions()));
        let (buffer, corner) = found.ok_or_else(|| Error::invalid("a picture of another kind"))?;
        let mut memory = self.memory()?;
        let arguments = self.plan.arguments_at(corner);
        let bytes = self.from.bytes_per_sample();
        self.kernel.run(buffer, bytes, &arguments, &mut memory, self.plan.groups(), GROUP)?;
        let memory = Arc::new(memory);
        let mut kept = lock(&self.memory);
        if kept.len() < KEPT {
            kept.push(Arc::clone(&memory));
        }
        drop(kept);
        DeviceSurface::new(self.to, self.plan.dimensions(), self.plan.planes(), Arc::new(Converted(memory)))
    }
}

impl DeviceMemory for Converted {
    fn device(&self) -> u32 {
        0
    }

    fn download(&self, plane: &DevicePlane, _to: &mut [u8]) -> Result<()> {
        Err(Error::invalid(format!("{plane:?} is in memory of the host, which is mapped and not copied")))
    }

    fn is_host_memory(&self) -> bool {
        true
    }

    fn map(&self, picture: &DeviceSurface) -> Result<Option<HostSurface>> {
        let all = Memory::bytes(Arc::clone(&self.0));
        let cut = |plane: &DevicePlane| {
            let begin = usize::try_from(plane.address).unwrap_or(usize::MAX).min(all.len());
            (all.slice(begin..), plane.pitch)
        };
        let planes: Vec<_> = picture.planes().iter().map(cut).collect();
        HostSurface::new(picture.format(), picture.dimensions(), planes).map(Some)
    }
}
