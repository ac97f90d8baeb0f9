//! Planes of one picture in device memory, without an allocation for each picture.

use std::ops::Deref;

use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::DevicePlane;
use crate::pixel::{Chroma, PixelFormat, PlaneLayout};

/// No format has more.
const MOST: usize = 3;

/// Rows of frames in device memory begin at multiples of this: what the driver's own pitched allocations do, and enough
/// for every access of a kernel, a texture or the encoder.
const PITCH: usize = 512;

/// The planes of a picture, in the format's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planes {
    list: [DevicePlane; MOST],
    count: usize,
}

impl Planes {
    /// Planes one below the other with one pitch: each begins `step` rows below the one before. This is how the
    /// decoder lays pictures out, and what its encoder reads.
    pub(crate) fn stacked(
        format: PixelFormat,
        size: Dimensions,
        address: u64,
        pitch: usize,
        step: usize,
    ) -> Self {
        let mut planes = Self {
            list: [DevicePlane { address, pitch, row_bytes: 0, rows: 0 }; MOST],
            count: format.plane_count().min(MOST),
        };
        for (index, plane) in planes.list.iter_mut().enumerate().take(planes.count) {
            if let Some(size) = format.plane_size(index, size) {
                let distance = (index as u64).saturating_mul(step as u64).saturating_mul(pitch as u64);
                plane.address = address.saturating_add(distance);
                plane.row_bytes = size.row_bytes;
                plane.rows = size.rows;
            }
        }
        planes
    }

    /// The planes of a frame of ours, which begins at this address.
    pub(crate) fn of_frame(format: PixelFormat, size: Dimensions, address: u64) -> Self {
        let plane = |index| format.plane_size(index, size);
        let widest =
            (0..format.plane_count()).filter_map(plane).map(|plane| plane.row_bytes).max().unwrap_or(0);
        let rows = plane(0).map_or(0, |plane| plane.rows);
        Self::stacked(format, size, address, widest.next_multiple_of(PITCH), rows)
    }

    /// Bytes that a frame of ours takes.
    pub(crate) fn frame_bytes(format: PixelFormat, size: Dimensions) -> usize {
        let planes = Self::of_frame(format, size, 0);
        planes.last().map_or(0, |last| last.address as usize + last.pitch * last.rows)
    }

    /// The same planes with their first samples at this column and row of luma, which lie between no chroma samples.
    pub(crate) fn from(mut self, format: PixelFormat, (column, row): (u32, u32)) -> Self {
        for (index, plane) in self.list.iter_mut().enumerate().take(self.count) {
            let (across, down) = format.chroma().filter(|_| index > 0).map_or((0, 0), Chroma::shifts);
            let interleaved = index > 0 && format.layout() == PlaneLayout::SemiPlanar;
            let sample = (format.bytes_per_sample() as u64) << u32::from(interleaved);
            let rows = u64::from(row >> down).saturating_mul(plane.pitch as u64);
            plane.address = plane.address.saturating_add(rows + u64::from(column >> across) * sample);
        }
        self
    }

    /// Refuses planes that are not within `bytes` bytes at `address`.
    pub(crate) fn check(&self, address: u64, bytes: usize) -> Result<()> {
        if self.iter().all(|plane| lies_in(plane, address, bytes)) {
            return Ok(());
        }
        Err(Error::invalid(format!("{:?} are not inside {bytes} bytes at {address:#x}", &self[..])))
    }
}

impl Deref for Planes {
    type Target = [DevicePlane];

    fn deref(&self) -> &[DevicePlane] {
        &self.list[..self.count]
    }
}

/// Whether all samples of a plane are within `bytes` bytes at `address`.
pub(super) fn lies_in(plane: &DevicePlane, address: u64, bytes: usize) -> bool {
    let span = plane
        .rows
        .checked_sub(1)
        .and_then(|rows| rows.checked_mul(plane.pitch))
        .and_then(|rows| rows.checked_add(plane.row_bytes));
    let offset = plane.address.checked_sub(address).and_then(|offset| usize::try_from(offset).ok());
    plane.pitch >= plane.row_bytes
        && span
            .zip(offset)
            .and_then(|(span, offset)| span.checked_add(offset))
            .is_some_and(|end| end <= bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x7000_0000;

    #[test]
    fn planes_of_an_odd_picture_follow_one_another() {
        let size = Dimensions::new(33, 17).unwrap();
        let planes = Planes::stacked(PixelFormat::Nv12, size, BASE, 256, 18);
        let found: Vec<_> = planes.iter().map(|p| (p.address - BASE, p.row_bytes, p.rows)).collect();
        assert_eq!(found, [(0, 33, 17), (18 * 256, 34, 9)]);
        assert!(planes.check(BASE, 256 * 26 + 34).is_ok());
        assert!(planes.check(BASE, 256 * 26 + 33).is_err());
        assert!(planes.check(BASE + 1, 1 << 20).is_err());
    }

    #[test]
    fn planes_begin_inside_a_picture() {
        let size = Dimensions::new(16, 8).unwrap();
        let starts = |format, at| {
            let planes = Planes::stacked(format, size, BASE, 256, 32).from(format, at);
            planes.iter().map(|plane| plane.address - BASE).collect::<Vec<_>>()
        };
        assert_eq!(starts(PixelFormat::Nv12, (10, 14)), [14 * 256 + 10, (32 + 7) * 256 + 10]);
        assert_eq!(starts(PixelFormat::P010, (10, 14)), [14 * 256 + 20, (32 + 7) * 256 + 20]);
        let all = [5 * 256 + 3, (32 + 5) * 256 + 3, (64 + 5) * 256 + 3];
        assert_eq!(starts(PixelFormat::I444, (3, 5)), all);
    }

    #[test]
    fn absurd_planes_are_outside_of_everything() {
        let plane = |address, pitch, row_bytes, rows| DevicePlane { address, pitch, row_bytes, rows };
        assert!(lies_in(&plane(BASE, 64, 64, 2), BASE, 128));
        assert!(!lies_in(&plane(BASE, 32, 64, 2), BASE, 128), "rows that overlap");
        assert!(!lies_in(&plane(BASE, usize::MAX, 64, 3), BASE, 128), "a span that overflows");
        assert!(!lies_in(&plane(u64::MAX, 64, 64, 2), BASE, 128), "far behind");
        assert!(!lies_in(&plane(BASE, 64, 64, 0), BASE, 128), "no rows");
    }
}
