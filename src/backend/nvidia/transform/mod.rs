//! Colour conversion on the GPU, before anything is copied: pictures as the decoder wrote them to R, G, B of any size.
//!
//! The kernels (kernels.cu) mean what [`crate::transform`] means: chroma is repeated, samples are rounded to the nearest
//! code, light below black is not cut before the matrix. A picture of another size is resampled by the filter of
//! [`crate::transform::ScaleFilter::Bilinear`], but not rounded to codes before it is converted.

use std::ffi::CStr;
use std::sync::{Arc, Mutex, Weak};

use super::driver::cuda::Context;
use super::driver::module::{Launch, Module};
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::frame::DevicePlane;
use crate::pixel::PixelFormat;
use crate::sync::lock;

mod frames;
mod plan;
#[cfg(test)]
mod tests;

pub(in crate::backend::nvidia) use frames::of_frames;
pub(crate) use plan::Source;
use plan::{Arguments, Plan};

/// Text for the driver's compiler; which drivers take it is told in scripts/build-kernels.py.
const PTX: &CStr = match CStr::from_bytes_with_nul(concat!(include_str!("kernels.ptx"), "\0").as_bytes()) {
    Ok(text) => text,
    Err(_) => panic!("the text has a NUL inside"),
};

/// Whether a [`Converter`] between these formats can be made. The same format means: samples moved to the low bits.
pub(crate) fn supported(from: PixelFormat, to: PixelFormat) -> bool {
    plan::supported(from, to)
}

/// A conversion that is ready to run on any number of pictures.
#[derive(Debug)]
pub(crate) struct Converter {
    kernels: Arc<Module>,
    plan: Plan,
}

impl Converter {
    /// Of pictures like `from`, in `color` (gaps are filled by [`ColorInfo::resolve`] for the source's size), to pictures
    /// of `to_size` in the format `to`. The first one of a context has the driver compile the kernels.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for formats, colours and sizes that are not converted here, and for a driver that cannot
    /// compile the kernels; the CPU can still do it.
    pub(crate) fn new(
        context: &Arc<Context>,
        from: Source,
        to: PixelFormat,
        color: ColorInfo,
        to_size: Dimensions,
    ) -> Result<Self> {
        let plan = Plan::new(from, to, color, to_size)?;
        Ok(Self { kernels: kernels(context)?, plan })
    }

    /// The conversion of one picture, to be enqueued by whoever owns the memory. The kernel takes one [`Arguments`], which
    /// names no memory but rows and columns inside these planes; they were checked against the two pictures.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] for planes that are not those of the two pictures.
    pub(crate) fn launch(
        &self,
        source: &[DevicePlane],
        target: &[DevicePlane],
    ) -> Result<Launch<'_, Arguments>> {
        let parameter = self.plan.arguments(source, target)?;
        Ok(Launch { module: &self.kernels, kernel: self.plan.kernel, shape: self.plan.shape, parameter })
    }
}

/// The kernels in a context, compiled once as long as somebody uses them.
fn kernels(context: &Arc<Context>) -> Result<Arc<Module>> {
    static LOADED: Mutex<Vec<Weak<Module>>> = Mutex::new(Vec::new());
    // Held while the driver compiles: who asks meanwhile wants the same result.
    let mut loaded = lock(&LOADED);
    loaded.retain(|module| module.strong_count() > 0);
    let same =
        |module: &Weak<Module>| module.upgrade().filter(|module| Arc::ptr_eq(module.context(), context));
    if let Some(module) = loaded.iter().find_map(same) {
        return Ok(module);
    }
    let module = Arc::new(Module::load(context, PTX, &plan::KERNELS)?);
    loaded.push(Arc::downgrade(&module));
    Ok(module)
}
