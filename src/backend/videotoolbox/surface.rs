//! Pictures that stay in the pixel buffers of their decoder: an encoder takes the buffer itself, and the CPU maps it where
//! somebody wants its samples. Memory is the host's in any case.

use std::any::Any;
use std::sync::Arc;

use super::driver::pixels::{PLANES, PixelBuffer};
use super::transform;
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{DeviceConverter, DeviceMemory, DevicePlane, DeviceSurface, HostSurface};
use crate::pixel::{PixelFormat, PlaneLayout};

/// A pixel buffer of two planes, or one of BGRA. Addresses of planes are counted as if one lay right behind the other.
#[derive(Debug)]
struct BufferMemory {
    buffer: PixelBuffer,
    format: PixelFormat,
    /// Bytes from row to row and where the plane begins.
    planes: [(usize, u64); PLANES],
}

/// The picture of this size whose first column and row in the buffer are `corner`.
///
/// # Errors
/// A buffer that has no such picture.
pub(super) fn of_buffer(
    buffer: PixelBuffer,
    format: PixelFormat,
    dimensions: Dimensions,
    (left, top): (u32, u32),
) -> Result<DeviceSurface> {
    let [(luma_pitch, luma_rows), (chroma_pitch, _)] = buffer.layout();
    let memory = BufferMemory {
        buffer,
        format,
        planes: [(luma_pitch, 0), (chroma_pitch, (luma_pitch as u64).saturating_mul(luma_rows as u64))],
    };
    // Chroma pairs: half the columns, two samples each.
    let corners = [(left, top), (left / 2 * 2, top / 2)];
    let column = match format.layout() {
        PlaneLayout::PackedRgb(bytes) => bytes as usize,
        _ => format.bytes_per_sample(),
    };
    let planes = memory.planes.into_iter().zip(corners).enumerate().filter_map(|(index, (plane, corner))| {
        let ((pitch, begin), (left, top)) = (plane, corner);
        let size = format.plane_size(index, dimensions)?;
        let offset =
            u64::from(top).saturating_mul(pitch as u64).saturating_add(u64::from(left) * column as u64);
        Some(DevicePlane {
            address: begin.saturating_add(offset),
            pitch,
            row_bytes: size.row_bytes,
            rows: size.rows,
        })
    });
    DeviceSurface::new(format, dimensions, planes.collect(), Arc::new(memory))
}

/// The buffer of a picture that fills it and has this `kCVPixelFormatType_*`; `None`: somebody else's memory, or a part.
pub(super) fn whole_buffer(picture: &DeviceSurface, pixel_format: u32) -> Option<&PixelBuffer> {
    let memory: &dyn Any = picture.memory();
    let memory = memory.downcast_ref::<BufferMemory>()?;
    let size = picture.dimensions();
    let fills = memory.buffer.size() == (size.width() as usize, size.height() as usize)
        && picture.planes().iter().zip(memory.planes).all(|(plane, (_, begin))| plane.address == begin);
    (fills && memory.buffer.pixel_format() == pixel_format).then_some(&memory.buffer)
}

/// The buffer that a picture is in, and the column and row at which it begins there; `None`: somebody else's memory.
pub(super) fn buffer_of(picture: &DeviceSurface) -> Option<(&PixelBuffer, (u32, u32))> {
    let memory: &dyn Any = picture.memory();
    let memory = memory.downcast_ref::<BufferMemory>()?;
    let (_, offset) = memory.place(picture.planes().first()?).ok()?;
    let (pitch, _) = memory.planes[0];
    let row = offset.checked_div(pitch)?;
    let column = offset % pitch / memory.format.bytes_per_sample();
    Some((&memory.buffer, (u32::try_from(column).ok()?, u32::try_from(row).ok()?)))
}

impl BufferMemory {
    /// Where a plane begins in which plane of the buffer.
    fn place(&self, plane: &DevicePlane) -> Result<(usize, usize)> {
        let index = usize::from(plane.address >= self.planes[1].1);
        let (pitch, begin) = self.planes[index];
        let offset = plane.address.checked_sub(begin).and_then(|offset| usize::try_from(offset).ok());
        offset
            .filter(|_| plane.pitch == pitch)
            .map(|offset| (index, offset))
            .ok_or_else(|| Error::invalid(format!("{plane:?} is not in this pixel buffer")))
    }
}

impl DeviceMemory for BufferMemory {
    fn converter(
        &self,
        picture: &DeviceSurface,
        color: ColorInfo,
        to: PixelFormat,
    ) -> Result<Option<Arc<dyn DeviceConverter>>> {
        transform::of_frames(picture, color, to)
    }

    fn device(&self) -> u32 {
        0
    }

    fn download(&self, plane: &DevicePlane, _to: &mut [u8]) -> Result<()> {
        Err(Error::invalid(format!("{plane:?} is in a pixel buffer, which is mapped and not copied")))
    }

    fn is_host_memory(&self) -> bool {
        true
    }

    fn map(&self, picture: &DeviceSurface) -> Result<Option<HostSurface>> {
        let mapped = self.buffer.read()?;
        let cut = |plane: &DevicePlane| {
            let (index, offset) = self.place(plane)?;
            let (bytes, pitch) = &mapped[index];
            Ok((bytes.slice(offset.min(bytes.len())..), *pitch))
        };
        let planes = picture.planes().iter().map(cut).collect::<Result<Vec<_>>>()?;
        HostSurface::new(self.format, picture.dimensions(), planes).map(Some)
    }
}
