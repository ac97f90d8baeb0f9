//! A part of a picture, without a copy.

use crate::config::Crop;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface, Surface};
use crate::pixel::{PixelFormat, PlaneLayout};

use super::convert::host;

/// The part of the picture that `crop` names. It shares the memory of the whole, which stays alive with it. The shape
/// of a sample does not change, so the sample aspect ratio stays.
///
/// # Errors
/// [`Error::InvalidInput`] when the picture is not in host memory, the part does not lie within it, or begins between
/// two chroma samples.
pub fn crop(frame: &Frame, crop: Crop) -> Result<Frame> {
    let source = host(frame)?;
    check(source.format(), source.dimensions(), crop)?;
    let format = source.format();
    let planes = source.planes().iter().enumerate().map(|(index, plane)| {
        let (column, row) = first_sample(format, index, crop);
        let start = (row * plane.stride() + column).min(plane.data().len());
        (plane.data().slice(start..), plane.stride())
    });
    let surface = HostSurface::new(format, crop.size, planes)?;
    let user_sei = frame.user_sei.clone();
    Ok(Frame { dimensions: crop.size, surface: Surface::Host(surface), user_sei, ..*frame })
}

/// Whether a `size` picture has this part.
pub(super) fn check(format: PixelFormat, size: Dimensions, crop: Crop) -> Result<()> {
    let reaches = |from: u32, length: u32, side: u32| from.checked_add(length).is_some_and(|end| end <= side);
    if !reaches(crop.left, crop.size.width(), size.width())
        || !reaches(crop.top, crop.size.height(), size.height())
    {
        return Err(Error::invalid(format!(
            "a crop of {} from column {}, row {} does not lie within a {size} picture",
            crop.size, crop.left, crop.top
        )));
    }
    let (across, down) = format.chroma().map_or((0, 0), |chroma| chroma.shifts());
    if !crop.left.is_multiple_of(1 << across) || !crop.top.is_multiple_of(1 << down) {
        return Err(Error::invalid(format!(
            "a crop from column {}, row {} begins between the chroma samples of {format}; {}",
            crop.left,
            crop.top,
            match (across, down) {
                (_, 0) => "the column must be even",
                _ => "column and row must be even",
            }
        )));
    }
    Ok(())
}

/// Where the part begins in plane `index`: bytes into a row, and rows.
fn first_sample(format: PixelFormat, index: usize, crop: Crop) -> (usize, usize) {
    let (left, top) = (crop.left as usize, crop.top as usize);
    let bytes = format.bytes_per_sample();
    match format.layout() {
        PlaneLayout::PackedRgb(channels) => (left * channels as usize, top),
        // A pair of chroma samples for every two columns.
        PlaneLayout::SemiPlanar if index == 1 => (left * bytes, top / 2),
        PlaneLayout::Planar(chroma) if index > 0 => {
            let (across, down) = chroma.shifts();
            ((left >> across) * bytes, top >> down)
        }
        PlaneLayout::SemiPlanar | PlaneLayout::Planar(_) | PlaneLayout::PlanarRgbF32 => (left * bytes, top),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{TimeBase, Timestamp};
    use crate::transform::{ScaleFilter, convert, scale};

    fn part(left: u32, top: u32, width: u32, height: u32) -> Crop {
        Crop { left, top, size: Dimensions::new(width, height).unwrap() }
    }

    fn picture(format: PixelFormat, size: Dimensions) -> Frame {
        let bytes = format.frame_bytes(size);
        let data: Vec<u8> = (0..bytes).map(|i| (i * 31 % 251) as u8).collect();
        let surface = HostSurface::from_packed(format, size, data).unwrap();
        Frame::host(Timestamp::new(0, TimeBase::MPEG), surface)
    }

    /// Sample by sample, the slow way.
    fn expected(source: &HostSurface, crop: Crop) -> Vec<u8> {
        let format = source.format();
        let mut out = Vec::new();
        for (index, plane) in source.planes().iter().enumerate() {
            let size = format.plane_size(index, crop.size).unwrap();
            let before = if crop.left == 0 {
                0
            } else {
                format.plane_size(index, part(0, 0, crop.left, 1).size).unwrap().row_bytes
            };
            let above = if crop.top == 0 {
                0
            } else {
                format.plane_size(index, part(0, 0, 1, crop.top).size).unwrap().rows
            };
            for y in 0..size.rows {
                out.extend_from_slice(&plane.row(above + y)[before..before + size.row_bytes]);
            }
        }
        out
    }

    #[test]
    fn every_format_gives_exactly_its_part_and_shares_the_memory() {
        let size = Dimensions::new(23, 17).unwrap();
        for format in PixelFormat::ALL {
            let whole = picture(format, size);
            let source = whole.as_host().unwrap();
            for crop in [part(0, 0, 23, 17), part(2, 4, 5, 3), part(22, 16, 1, 1), part(4, 0, 19, 17)] {
                let cut = super::crop(&whole, crop).unwrap();
                let host = cut.as_host().unwrap();
                assert_eq!(host.to_packed(), expected(source, crop), "{format} {crop:?}");
                assert_eq!((cut.dimensions, host.dimensions()), (crop.size, crop.size));
                let (first, last) = (source.planes()[0].data().as_ptr_range(), host.planes()[0].data());
                assert!(last.is_empty() || first.contains(&last.as_ptr()), "{format}: copied");
            }
        }
    }

    #[test]
    fn a_part_is_converted_and_scaled_like_a_picture_of_its_own() {
        let whole = picture(PixelFormat::I420, Dimensions::new(64, 48).unwrap());
        let cut = crop(&whole, part(6, 10, 33, 21)).unwrap();
        let packed = cut.as_host().unwrap().to_packed();
        let copy = HostSurface::from_packed(PixelFormat::I420, cut.dimensions, packed).unwrap();
        let copy = Frame::host(cut.pts, copy);
        let rgb =
            |frame: &Frame| convert(frame, PixelFormat::Rgb24).unwrap().frame.as_host().unwrap().to_packed();
        assert_eq!(rgb(&cut), rgb(&copy));
        let to = Dimensions::new(20, 30).unwrap();
        let small =
            |frame: &Frame| scale(frame, to, ScaleFilter::default()).unwrap().as_host().unwrap().to_packed();
        assert_eq!(small(&cut), small(&copy));
    }

    #[test]
    fn what_cannot_be_cut_is_refused_by_name() {
        let size = Dimensions::new(16, 16).unwrap();
        let yuv = picture(PixelFormat::I420, size);
        for outside in [part(0, 0, 17, 16), part(10, 0, 8, 2), part(0, 16, 1, 1), part(u32::MAX, 0, 2, 2)] {
            let error = crop(&yuv, outside).unwrap_err().to_string();
            assert!(error.contains("does not lie within a 16x16 picture"), "{error}");
        }
        let error = crop(&yuv, part(1, 0, 2, 2)).unwrap_err().to_string();
        assert!(error.contains("column and row must be even"), "{error}");
        assert!(crop(&picture(PixelFormat::I422, size), part(0, 1, 2, 2)).is_ok());
        assert!(crop(&picture(PixelFormat::I422, size), part(1, 1, 2, 2)).is_err());
        assert!(crop(&picture(PixelFormat::Rgb24, size), part(1, 1, 2, 2)).is_ok());
        let nowhere = Frame { surface: Surface::None, ..yuv };
        assert!(crop(&nowhere, part(0, 0, 2, 2)).is_err());
    }
}
