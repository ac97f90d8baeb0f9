//! 4:2:2 and 4:4:4: samples that lie packed in surfaces become three planes.

use std::sync::Arc;

use bytes::Bytes;

use crate::backend::vpl::driver::abi::names::{
    FOURCC_AYUV, FOURCC_Y210, FOURCC_Y216, FOURCC_Y410, FOURCC_Y416, FOURCC_YUY2,
};
use crate::backend::vpl::driver::frames::Surface;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::HostSurface;
use crate::memory;
use crate::pixel::PixelFormat;

/// Where the samples of a plane are: the first at this byte of a row, so many bytes each and from each to the next; their bits
/// begin here.
#[derive(Clone, Copy, Debug)]
struct Take {
    at: usize,
    bytes: usize,
    step: usize,
    shift: u32,
    bits: u32,
}

const fn take(at: usize, bytes: usize, step: usize, shift: u32, bits: u32) -> Take {
    Take { at, bytes, step, shift, bits }
}

/// The format of the planes, and where each is; `None`: no such packed format.
const fn packed(fourcc: u32) -> Option<(PixelFormat, [Take; 3])> {
    Some(match fourcc {
        FOURCC_YUY2 => (PixelFormat::I422, [take(0, 1, 2, 0, 8), take(1, 1, 4, 0, 8), take(3, 1, 4, 0, 8)]),
        // Samples are at the high end of 16 bits.
        FOURCC_Y210 => {
            (PixelFormat::I210, [take(0, 2, 4, 6, 10), take(2, 2, 8, 6, 10), take(6, 2, 8, 6, 10)])
        }
        FOURCC_Y216 => {
            (PixelFormat::I212, [take(0, 2, 4, 4, 12), take(2, 2, 8, 4, 12), take(6, 2, 8, 4, 12)])
        }
        // V, U, Y, A.
        FOURCC_AYUV => (PixelFormat::I444, [take(2, 1, 4, 0, 8), take(1, 1, 4, 0, 8), take(0, 1, 4, 0, 8)]),
        // U, Y, V in the low bits of 32.
        FOURCC_Y410 => {
            (PixelFormat::I410, [take(0, 4, 4, 10, 10), take(0, 4, 4, 0, 10), take(0, 4, 4, 20, 10)])
        }
        // U, Y, V, A.
        FOURCC_Y416 => {
            (PixelFormat::I412, [take(2, 2, 8, 4, 12), take(0, 2, 8, 4, 12), take(4, 2, 8, 4, 12)])
        }
        _ => return None,
    })
}

/// The format of what [`planes`] makes of a surface.
pub(super) fn format(fourcc: u32) -> Option<PixelFormat> {
    packed(fourcc).map(|(format, _)| format)
}

/// The picture of this size whose first column and row in the surface are `corner`, in three planes, and the bytes that were
/// copied for it.
///
/// # Errors
/// A surface that cannot be read, or has no such picture; no memory.
pub(super) fn planes(
    surface: &Arc<Surface>,
    dimensions: Dimensions,
    (left, top): (u32, u32),
) -> Result<(HostSurface, u64)> {
    let wrong = || Error::invalid("a surface without packed samples");
    let (format, takes) = packed(surface.info().fourcc).ok_or_else(wrong)?;
    let mapped = surface.read()?;
    let (bytes, pitch) = mapped.first().ok_or_else(wrong)?;
    let mut planes = Vec::new();
    let mut copied = 0;
    for (index, take) in takes.into_iter().enumerate() {
        let size = format.plane_size(index, dimensions).ok_or_else(wrong)?;
        // Luma and chroma of a pixel, or of two.
        let column = left as usize * takes[0].step / take.step;
        let mut out = memory::filled(0, size.row_bytes * size.rows)?;
        for (row, to) in out.chunks_exact_mut(size.row_bytes.max(1)).enumerate() {
            let from = (top as usize + row) * pitch + column * take.step;
            take.row(bytes.get(from..).unwrap_or_default(), to);
        }
        copied += out.len() as u64;
        planes.push((Bytes::from(out), size.row_bytes));
    }
    HostSurface::new(format, dimensions, planes).map(|surface| (surface, copied))
}

impl Take {
    fn row(self, from: &[u8], to: &mut [u8]) {
        let mask = u32::MAX >> (32 - self.bits);
        let samples = from.chunks(self.step).filter_map(|pixel| pixel.get(self.at..self.at + self.bytes));
        let samples = samples.map(|sample| {
            let mut word = [0; 4];
            word[..self.bytes].copy_from_slice(sample);
            (u32::from_le_bytes(word) >> self.shift) & mask
        });
        let each = if self.bits > 8 { 2 } else { 1 };
        for (to, sample) in to.chunks_exact_mut(each).zip(samples) {
            to.copy_from_slice(&sample.to_le_bytes()[..each]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fourcc: u32, plane: usize, from: &[u8], bytes: usize) -> Vec<u8> {
        let mut to = vec![0; bytes];
        packed(fourcc).unwrap().1[plane].row(from, &mut to);
        to
    }

    #[test]
    fn packed_samples_become_planes() {
        let yuy2 = [10, 1, 11, 2, 12, 3, 13, 4];
        assert_eq!(row(FOURCC_YUY2, 0, &yuy2, 4), [10, 11, 12, 13]);
        assert_eq!(row(FOURCC_YUY2, 1, &yuy2, 2), [1, 3]);
        assert_eq!(row(FOURCC_YUY2, 2, &yuy2, 2), [2, 4]);
        let ayuv = [30, 20, 10, 0xff, 31, 21, 11, 0xff];
        assert_eq!([0, 1, 2].map(|plane| row(FOURCC_AYUV, plane, &ayuv, 2)), [[10, 11], [20, 21], [30, 31]]);
        let words = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let y210 = words(&[700 << 6, 1 << 6, 701 << 6, 1023 << 6]);
        assert_eq!(row(FOURCC_Y210, 0, &y210, 4), words(&[700, 701]));
        assert_eq!(row(FOURCC_Y210, 2, &y210, 2), words(&[1023]));
        let y416 = words(&[2 << 4, 4095 << 4, 3 << 4, 0]);
        let planes = [0, 1, 2].map(|plane| row(FOURCC_Y416, plane, &y416, 2));
        assert_eq!(planes, [[4095], [2], [3]].map(|one| words(&one)));
        let y410 = (5_u32 | 1023 << 10 | 7 << 20 | 3 << 30).to_le_bytes();
        let planes = [0, 1, 2].map(|plane| row(FOURCC_Y410, plane, &y410, 2));
        assert_eq!(planes, [[1023], [5], [7]].map(|one| words(&one)));
    }
}
