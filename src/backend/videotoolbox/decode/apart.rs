//! 4:2:2 and 4:4:4: pairs of chroma samples become two planes.

use bytes::Bytes;

use crate::backend::videotoolbox::driver::pixels::PixelBuffer;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::HostSurface;
use crate::memory;
use crate::pixel::{Chroma, PixelFormat};

/// The picture of this size whose first column and row in the buffer are `corner`, in three planes, and the bytes that were
/// copied for it. 10 bits go to the low end.
///
/// # Errors
/// A buffer that cannot be read, or has no such picture; no memory.
pub(super) fn planes(
    buffer: &PixelBuffer,
    format: PixelFormat,
    dimensions: Dimensions,
    (left, top): (u32, u32),
) -> Result<(HostSurface, u64)> {
    let [luma, chroma] = buffer.read()?;
    let bytes = format.bytes_per_sample();
    let (across, down) = format.chroma().map_or((0, 0), Chroma::shifts);
    let (left, top) = (left as usize, top as usize);
    let mut copied = 0;
    let mut planes = Vec::new();
    for index in 0..3 {
        let (plane, corner, take) = if index == 0 {
            (&luma, (left * bytes, top), Take { bytes, step: bytes, skip: 0 })
        } else {
            let corner = (left >> across) * 2 * bytes;
            (&chroma, (corner, top >> down), Take { bytes, step: 2 * bytes, skip: (index - 1) * bytes })
        };
        let Some(size) = format.plane_size(index, dimensions) else { break };
        if index == 0 && bytes == 1 {
            let (data, stride) = plane;
            let begin = corner.1.saturating_mul(*stride).saturating_add(corner.0);
            planes.push((data.slice(begin.min(data.len())..), *stride));
            continue;
        }
        let wanted = size.row_bytes / bytes * take.step;
        let mut out = memory::filled(0, size.row_bytes * size.rows)?;
        for (row, to) in out.chunks_exact_mut(size.row_bytes.max(1)).enumerate() {
            take.row(row_of(plane, (corner.0, corner.1 + row), wanted)?, to);
        }
        copied += out.len() as u64;
        planes.push((Bytes::from(out), size.row_bytes));
    }
    HostSurface::new(format, dimensions, planes).map(|surface| (surface, copied))
}

/// So many bytes of a row of a plane, from a byte on.
fn row_of((data, stride): &(Bytes, usize), (begin, row): (usize, usize), bytes: usize) -> Result<&[u8]> {
    let fits = begin.checked_add(bytes).is_some_and(|end| end <= *stride);
    let from = row.checked_mul(*stride).and_then(|from| from.checked_add(begin)).filter(|_| fits);
    let found = from.and_then(|from| data.get(from..from.checked_add(bytes)?));
    found.ok_or_else(|| {
        let from = format!("{bytes} bytes from {begin} of row {row}");
        Error::invalid(format!(
            "a pixel buffer whose plane of {} bytes, {stride} a row, has not {from}",
            data.len()
        ))
    })
}

/// Which samples of a row are taken: of this many bytes, so far apart, from there on.
#[derive(Clone, Copy, Debug)]
struct Take {
    bytes: usize,
    step: usize,
    skip: usize,
}

impl Take {
    fn row(self, from: &[u8], to: &mut [u8]) {
        let samples =
            from.chunks_exact(self.step).filter_map(|chunk| chunk.get(self.skip..self.skip + self.bytes));
        for (to, from) in to.chunks_exact_mut(self.bytes).zip(samples) {
            match (from, to) {
                ([low, high], [to_low, to_high]) => {
                    [*to_low, *to_high] = (u16::from_le_bytes([*low, *high]) >> 6).to_le_bytes();
                }
                (from, to) => to.copy_from_slice(from),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_a_buffer_does_not_have_are_refused() {
        let plane = (Bytes::from(vec![7; 24]), 8);
        assert_eq!(row_of(&plane, (2, 2), 6).unwrap(), [7; 6]);
        for (place, bytes) in [((0, 3), 8), ((2, 2), 7), ((0, usize::MAX), 8), ((usize::MAX, 0), 1)] {
            assert!(row_of(&plane, place, bytes).is_err(), "{place:?} {bytes}");
        }
        assert!(row_of(&(Bytes::new(), 0), (0, 0), 1).is_err(), "a plane that is not there");
    }

    #[test]
    fn pairs_become_planes_and_ten_bits_go_to_the_low_end() {
        let mut row = [0; 3];
        Take { bytes: 1, step: 2, skip: 1 }.row(&[1, 2, 3, 4, 5, 6, 7, 8], &mut row);
        assert_eq!(row, [2, 4, 6]);
        let high = [1_u16 << 6, 2 << 6, 1023 << 6, 4 << 6].map(u16::to_le_bytes).concat();
        let mut row = [0; 4];
        Take { bytes: 2, step: 4, skip: 0 }.row(&high, &mut row);
        assert_eq!(row, [1, 0, 255, 3]);
    }
}
