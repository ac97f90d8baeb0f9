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

/// Whether the driver reads a format plane by plane as it is, so that frames in device memory may be of it. Others are
/// rewritten on their way from host memory.
pub(in crate::backend::nvidia) const fn reads_as_it_lies(format: PixelFormat) -> bool {
    matches!(
        format,
        PixelFormat::Nv12
            | PixelFormat::P010
            | PixelFormat::P016
            | PixelFormat::I444
            | PixelFormat::Bgra
            | PixelFormat::Rgba
    )
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
        (format, planes) if reads_as_it_lies(format) => {
            let mut first = 0;
            for plane in planes {
                copy(plane, first, memory);
                first += plane.rows();
            }
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
