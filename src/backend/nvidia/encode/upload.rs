//! Copying a picture from host memory into the driver's.

use crate::backend::nvidia::driver::nvenc_buffers::LockedInput;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{HostSurface, Plane};
use crate::pixel::PixelFormat;

/// Rows of all planes together, and bytes of samples in a row, of a picture in the driver's memory: every format that
/// is used has planes of equally long rows.
pub(super) fn layout(format: PixelFormat, size: Dimensions) -> (usize, usize) {
    let stored = stored(format);
    let planes = (0..stored.plane_count()).filter_map(|index| stored.plane_size(index, size));
    planes.fold((0, 0), |(rows, bytes), plane| (rows + plane.rows, bytes.max(plane.row_bytes)))
}

/// The format in the driver's memory of a frame's format.
const fn stored(format: PixelFormat) -> PixelFormat {
    match format {
        PixelFormat::I420 => PixelFormat::Nv12,
        other => other,
    }
}

/// Writes a picture.
///
/// # Errors
/// Planes that are not those of the format.
pub(super) fn upload(host: &HostSurface, memory: &mut LockedInput<'_>) -> Result<()> {
    match (host.format(), host.planes()) {
        (PixelFormat::I420, [luma, cb, cr]) => {
            copy(luma, 0, memory);
            for (line, (cb, cr)) in cb.iter_rows().zip(cr.iter_rows()).enumerate() {
                let pairs = memory.row(luma.rows() + line).as_chunks_mut::<2>().0;
                for (pair, (cb, cr)) in pairs.iter_mut().zip(cb.iter().zip(cr)) {
                    *pair = [*cb, *cr];
                }
            }
            Ok(())
        }
        (PixelFormat::Nv12 | PixelFormat::P010, [luma, chroma]) => {
            copy(luma, 0, memory);
            copy(chroma, luma.rows(), memory);
            Ok(())
        }
        (PixelFormat::I444, planes) => {
            for (index, plane) in planes.iter().enumerate() {
                copy(plane, index * plane.rows(), memory);
            }
            Ok(())
        }
        // The ten bits lie at the bottom in the frame, at the top in the driver's memory.
        (PixelFormat::I410, planes) => {
            for (index, plane) in planes.iter().enumerate() {
                for (line, from) in plane.iter_rows().enumerate() {
                    let to = memory.row(index * plane.rows() + line).as_chunks_mut::<2>().0;
                    for (to, from) in to.iter_mut().zip(from.as_chunks::<2>().0) {
                        *to = (u16::from_le_bytes(*from) << 6).to_le_bytes();
                    }
                }
            }
            Ok(())
        }
        (PixelFormat::Bgra | PixelFormat::Rgba, [pixels]) => {
            copy(pixels, 0, memory);
            Ok(())
        }
        (format, _) => Err(Error::invalid(format!("{format} frames cannot be handed to NVENC"))),
    }
}

/// Rows of a plane to the rows from `first` on.
fn copy(plane: &Plane, first: usize, memory: &mut LockedInput<'_>) {
    for (line, from) in plane.iter_rows().enumerate() {
        let to = memory.row(first + line);
        // Equally long by construction; a shorter one is no reason to panic.
        let bytes = to.len().min(from.len());
        to[..bytes].copy_from_slice(&from[..bytes]);
    }
}
