//! From a codec library's sample memory to planes.

use bytes::Bytes;

use super::pool::BufferPool;
use crate::error::{Error, Result};

/// A rectangle of 16-bit samples in a larger plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window16<'a> {
    pub(super) samples: &'a [u16],
    /// Samples from one row to the next.
    pub(super) stride: usize,
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl<'a> Window16<'a> {
    fn rows(self) -> impl Iterator<Item = Result<&'a [u16]>> {
        (self.top..self.top + self.height).map(move |y| {
            let start = y * self.stride + self.left;
            self.samples
                .get(start..start + self.width)
                .ok_or_else(|| Error::corrupt(format!("row {y} of a plane lies outside the decoded picture")))
        })
    }
}

/// Copies the window as bytes (`wide == false`, samples of 8 bits) or little-endian 16-bit samples into a
/// pooled buffer without padding. Returns the memory and its stride in bytes.
///
/// # Errors
/// [`Error::CorruptStream`] when the window lies outside the plane.
pub(super) fn pack(pool: &BufferPool, window: Window16<'_>, wide: bool) -> Result<(Bytes, usize)> {
    let row_bytes = window.width * if wide { 2 } else { 1 };
    let mut out = pool.take(row_bytes * window.height)?;
    for row in window.rows() {
        let row = row?;
        if wide {
            out.extend(row.iter().flat_map(|v| v.to_le_bytes()));
        } else {
            // Both sides have a known length, so this becomes vector narrowing.
            out.extend(row.iter().map(|&v| v as u8));
        }
    }
    Ok((pool.share(out), row_bytes))
}

/// The rectangle of a plane of bytes as shared memory, without a copy. `stride` is kept.
///
/// # Errors
/// [`Error::CorruptStream`] when the rectangle lies outside the plane.
pub(super) fn crop(
    plane: &Bytes,
    stride: usize,
    (left_bytes, top): (usize, usize),
    (row_bytes, rows): (usize, usize),
) -> Result<(Bytes, usize)> {
    let start = top * stride + left_bytes;
    let end = start + rows.saturating_sub(1) * stride + row_bytes;
    if rows == 0 || left_bytes + row_bytes > stride || end > plane.len() {
        return Err(Error::corrupt("the cropping rectangle lies outside the decoded picture"));
    }
    Ok((plane.slice(start..end), stride))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_the_window_in_both_widths() {
        let samples: Vec<u16> = (0..20).collect();
        let window = Window16 { samples: &samples, stride: 5, left: 1, top: 1, width: 3, height: 2 };
        let pool = BufferPool::default();
        assert_eq!(&pack(&pool, window, false).unwrap().0[..], [6, 7, 8, 11, 12, 13]);
        let (wide, stride) = pack(&pool, window, true).unwrap();
        assert_eq!((&wide[..4], stride), (&[6, 0, 7, 0][..], 6));
        let outside = Window16 { height: 4, ..window };
        assert!(pack(&pool, outside, false).is_err());
    }

    #[test]
    fn crops_without_a_copy() {
        let plane = Bytes::from((0..20).collect::<Vec<u8>>());
        let (cropped, stride) = crop(&plane, 5, (1, 1), (3, 2)).unwrap();
        assert_eq!((&cropped[..], stride), (&[6, 7, 8, 9, 10, 11, 12, 13][..], 5));
        assert_eq!(cropped.as_ptr(), plane[6..].as_ptr());
        assert!(crop(&plane, 5, (3, 0), (3, 1)).is_err());
        assert!(crop(&plane, 5, (0, 3), (5, 2)).is_err());
    }
}
