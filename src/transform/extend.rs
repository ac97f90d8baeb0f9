//! Pictures of odd size for encoders that want even ones.

use bytes::Bytes;

use super::convert::host;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface, Surface};
use crate::memory;
use crate::pixel::{PixelFormat, PlaneLayout};

/// Makes a picture larger at the right and at the bottom by repeating its last column and row.
///
/// # Errors
/// [`Error::InvalidInput`] when the picture is not in host memory, or larger than `to`.
pub fn extend(frame: &Frame, to: Dimensions) -> Result<Frame> {
    let source = host(frame)?;
    let (format, from) = (source.format(), source.dimensions());
    if from == to {
        return Ok(frame.clone());
    }
    if from.width() > to.width() || from.height() > to.height() {
        return Err(Error::invalid(format!("a picture of {from} cannot be extended to {to}")));
    }
    let mut planes = Vec::new();
    for (index, plane) in source.planes().iter().enumerate() {
        let Some(size) = format.plane_size(index, to) else { continue };
        let pixel = pixel_bytes(format, index);
        let mut data = memory::room(size.row_bytes * size.rows)?;
        for y in 0..size.rows {
            let row = plane.row(y.min(plane.rows() - 1));
            data.extend_from_slice(row);
            let last = row.get(row.len().saturating_sub(pixel)..).unwrap_or_default();
            while data.len() < size.row_bytes * (y + 1) && !last.is_empty() {
                data.extend_from_slice(last);
            }
        }
        planes.push((Bytes::from(data), size.row_bytes));
    }
    let surface = HostSurface::new(format, to, planes)?;
    Ok(Frame { dimensions: to, surface: Surface::Host(surface), user_sei: frame.user_sei.clone(), ..*frame })
}

/// Bytes of what belongs to one position in a plane.
pub(super) fn pixel_bytes(format: PixelFormat, index: usize) -> usize {
    let samples = match format.layout() {
        PlaneLayout::PackedRgb(channels) => channels as usize,
        PlaneLayout::SemiPlanar if index > 0 => 2,
        _ => 1,
    };
    samples * format.bytes_per_sample()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{TimeBase, Timestamp};

    #[test]
    fn the_last_column_and_row_are_repeated() {
        let (small, large) = (Dimensions::new(3, 3).unwrap(), Dimensions::new(4, 4).unwrap());
        let pts = Timestamp::new(0, TimeBase::NANOS);
        for format in [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Rgb24, PixelFormat::P010] {
            let data: Vec<u8> = (0..format.frame_bytes(small)).map(|i| i as u8).collect();
            let frame = Frame::host(pts, HostSurface::from_packed(format, small, data).unwrap());
            let out = extend(&frame, large).unwrap();
            assert_eq!((out.dimensions, out.format), (large, format));
            let (old, new) = (frame.as_host().unwrap(), out.as_host().unwrap());
            for index in 0..format.plane_count() {
                let (old, new) = (old.plane(index).unwrap(), new.plane(index).unwrap());
                for y in 0..new.rows() {
                    let (from, to) = (old.row(y.min(old.rows() - 1)), new.row(y));
                    let pixel = pixel_bytes(format, index);
                    assert_eq!(&to[..from.len()], from, "{format} plane {index} row {y}");
                    let repeated = to[from.len()..].chunks(pixel);
                    assert!(
                        repeated.into_iter().all(|p| p == &from[from.len() - pixel..]),
                        "{format} {index} {y}"
                    );
                }
            }
            assert!(extend(&out, small).is_err());
        }
    }
}
