//! Pictures that stay in the surfaces of their decoder: an encoder takes the surface itself, and the CPU maps it where somebody
//! wants its samples.

use std::any::Any;
use std::sync::Arc;

use super::driver::abi::names::{FOURCC_NV12, FOURCC_P010, FOURCC_P016};
use super::driver::frames::Surface;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{DeviceMemory, DevicePlane, DeviceSurface, HostSurface};
use crate::pixel::PixelFormat;

/// A surface of two planes. Where its rows lie is known while it is mapped; addresses are counted as if each row were as long
/// as its samples, and one plane right behind the other.
#[derive(Debug)]
struct SurfaceMemory {
    surface: Arc<Surface>,
    format: PixelFormat,
    /// Bytes from row to row, of both planes.
    pitch: usize,
    /// Where chroma begins.
    chroma: u64,
}

/// The picture of a surface, from its first column and row on.
///
/// # Errors
/// A surface that has no such picture.
pub(super) fn of(
    surface: Arc<Surface>,
    format: PixelFormat,
    dimensions: Dimensions,
    (left, top): (u32, u32),
) -> Result<DeviceSurface> {
    let info = surface.info();
    let pitch = usize::from(info.width).next_multiple_of(2) * format.bytes_per_sample();
    let chroma = pitch as u64 * u64::from(info.height);
    // Chroma pairs: half the columns, two samples each.
    let corners = [(0, left, top), (chroma, left / 2 * 2, top / 2)];
    let planes = corners.into_iter().enumerate().filter_map(|(index, (begin, left, top))| {
        let size = format.plane_size(index, dimensions)?;
        let offset = u64::from(top) * pitch as u64 + u64::from(left) * format.bytes_per_sample() as u64;
        Some(DevicePlane { address: begin + offset, pitch, row_bytes: size.row_bytes, rows: size.rows })
    });
    let planes = planes.collect();
    DeviceSurface::new(format, dimensions, planes, Arc::new(SurfaceMemory { surface, format, pitch, chroma }))
}

/// The surface of a picture, with the column and row at which the picture begins in it; `None`: somebody else's memory.
pub(super) fn behind(picture: &DeviceSurface) -> Option<(&Arc<Surface>, (u32, u32))> {
    let memory: &dyn Any = picture.memory();
    let memory = memory.downcast_ref::<SurfaceMemory>()?;
    let (_, row, byte) = memory.place(picture.planes().first()?)?;
    Some((&memory.surface, ((byte / memory.format.bytes_per_sample()) as u32, row as u32)))
}

impl SurfaceMemory {
    /// Plane, row, and byte of the row.
    fn place(&self, plane: &DevicePlane) -> Option<(usize, usize, usize)> {
        let index = usize::from(plane.address >= self.chroma);
        let offset = usize::try_from(plane.address - if index == 0 { 0 } else { self.chroma }).ok()?;
        (plane.pitch == self.pitch && self.pitch > 0)
            .then(|| (index, offset / self.pitch, offset % self.pitch))
    }
}

impl DeviceMemory for SurfaceMemory {
    fn device(&self) -> u32 {
        self.surface.session().adapter().ordinal
    }

    fn download(&self, plane: &DevicePlane, _to: &mut [u8]) -> Result<()> {
        Err(Error::invalid(format!("{plane:?} is in a surface, which is mapped and not copied")))
    }

    fn is_host_memory(&self) -> bool {
        true
    }

    fn map(&self, picture: &DeviceSurface) -> Result<Option<HostSurface>> {
        let mapped = self.surface.read()?;
        let cut = |plane: &DevicePlane| {
            let place = self.place(plane).and_then(|(index, row, byte)| {
                let (bytes, pitch) = mapped.get(index)?;
                let from = row.checked_mul(*pitch)?.checked_add(byte)?;
                (from <= bytes.len()).then(|| (bytes.slice(from..), *pitch))
            });
            place.ok_or_else(|| Error::invalid(format!("{plane:?} is not in this surface")))
        };
        let planes = picture.planes().iter().map(cut).collect::<Result<Vec<_>>>()?;
        HostSurface::new(self.format, picture.dimensions(), planes).map(Some)
    }
}

/// The format of pictures in a surface of two planes.
pub(super) const fn semi_planar(fourcc: u32) -> Option<PixelFormat> {
    match fourcc {
        FOURCC_NV12 => Some(PixelFormat::Nv12),
        FOURCC_P010 => Some(PixelFormat::P010),
        FOURCC_P016 => Some(PixelFormat::P016),
        _ => None,
    }
}
