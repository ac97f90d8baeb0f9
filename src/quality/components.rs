//! The components of a picture as rows of samples, whatever their layout in memory.

use crate::error::{Error, Result};
use crate::frame::{HostSurface, Plane};
use crate::pixel::{PixelFormat, PlaneLayout};

/// One component: its samples, and how they lie in its plane.
pub(super) struct Component<'a> {
    plane: &'a Plane,
    pub(super) width: usize,
    pub(super) rows: usize,
    /// 1 or 2 bytes.
    pub(super) bytes: usize,
    /// The sample of a row that is the first of this component.
    first: usize,
    /// Samples from one of this component to the next.
    step: usize,
    /// Bits below the sample in its word.
    shift: u32,
}

impl<'a> Component<'a> {
    /// Row `y` as bytes without gaps: the plane's own memory, or `scratch` where the samples had to be gathered.
    pub(super) fn row<'b>(&self, y: usize, scratch: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        let row = self.plane.row(y);
        if self.step == 1 && self.shift == 0 {
            return row;
        }
        scratch.resize(self.width * self.bytes, 0);
        match (self.bytes, self.step) {
            (1, 2) => gather::<2>(row, self.first, scratch),
            (1, 3) => gather::<3>(row, self.first, scratch),
            (1, _) => gather::<4>(row, self.first, scratch),
            (_, 1) => words::<2>(row, 0, self.shift, scratch),
            _ => words::<4>(row, 2 * self.first, self.shift, scratch),
        }
        scratch
    }
}

/// The byte at `first` of every group of `N`. Sizes are constants so that each gets a loop of its own.
fn gather<const N: usize>(row: &[u8], first: usize, out: &mut [u8]) {
    for (out, group) in out.iter_mut().zip(row.as_chunks::<N>().0) {
        *out = group[first % N];
    }
}

/// The word at byte `first` of every group of `N` bytes, moved down.
fn words<const N: usize>(row: &[u8], first: usize, shift: u32, out: &mut [u8]) {
    for (out, group) in out.as_chunks_mut::<2>().0.iter_mut().zip(row.as_chunks::<N>().0) {
        let word = u16::from_le_bytes([group[first % N], group[(first + 1) % N]]);
        *out = (word >> shift).to_le_bytes();
    }
}

/// Number of components that are compared: alpha is not.
pub(super) const fn count(format: PixelFormat) -> usize {
    match format.layout() {
        PlaneLayout::Planar(crate::pixel::Chroma::Monochrome) => 1,
        _ => 3,
    }
}

/// Names of the components, as scores are listed.
pub(super) const fn names(format: PixelFormat) -> [&'static str; 3] {
    if format.is_rgb() { ["R", "G", "B"] } else { ["Y", "U", "V"] }
}

/// Component `index`: Y, U, V or R, G, B.
pub(super) fn component(host: &HostSurface, index: usize) -> Result<Component<'_>> {
    let format = host.format();
    let (width, rows) = (host.dimensions().width() as usize, host.dimensions().height() as usize);
    let packed = |step, order: [usize; 3]| (0, step, order.get(index).copied().unwrap_or(0));
    let (plane, step, first) = match format {
        PixelFormat::Rgb24 => packed(3, [0, 1, 2]),
        PixelFormat::Bgr24 => packed(3, [2, 1, 0]),
        PixelFormat::Rgba => packed(4, [0, 1, 2]),
        PixelFormat::Bgra => packed(4, [2, 1, 0]),
        PixelFormat::Argb => packed(4, [1, 2, 3]),
        PixelFormat::Abgr => packed(4, [3, 2, 1]),
        _ if format.layout() == PlaneLayout::SemiPlanar && index > 0 => (1, 2, index - 1),
        _ => (index, 1, 0),
    };
    let (sx, sy) = if index == 0 { (0, 0) } else { format.chroma().map_or((0, 0), |c| c.shifts()) };
    let plane = host
        .plane(plane)
        .ok_or_else(|| Error::invalid(format!("the {format} picture has no component {index}")))?;
    Ok(Component {
        plane,
        width: width.div_ceil(1 << sx),
        rows: rows.div_ceil(1 << sy),
        bytes: format.bytes_per_sample(),
        first,
        step,
        shift: if format == PixelFormat::P010 { 6 } else { 0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dimensions::Dimensions;

    fn rows(format: PixelFormat, bytes: Vec<u8>, index: usize) -> Vec<Vec<u8>> {
        let host = HostSurface::from_packed(format, Dimensions::new(3, 2).unwrap(), bytes).unwrap();
        let part = component(&host, index).unwrap();
        let mut scratch = Vec::new();
        (0..part.rows).map(|y| part.row(y, &mut scratch).to_vec()).collect()
    }

    #[test]
    fn components_are_found_in_every_layout() {
        let rgb: Vec<u8> = (0..18).collect();
        assert_eq!(rows(PixelFormat::Rgb24, rgb.clone(), 1), [vec![1, 4, 7], vec![10, 13, 16]]);
        assert_eq!(rows(PixelFormat::Bgr24, rgb, 0), [vec![2, 5, 8], vec![11, 14, 17]]);
        let four: Vec<u8> = (0..24).collect();
        assert_eq!(rows(PixelFormat::Argb, four.clone(), 0)[0], [1, 5, 9]);
        assert_eq!(rows(PixelFormat::Abgr, four.clone(), 2)[0], [1, 5, 9]);
        assert_eq!(rows(PixelFormat::Bgra, four.clone(), 2)[1], [12, 16, 20]);
        assert_eq!(rows(PixelFormat::Rgba, four, 1)[0], [1, 5, 9]);
        let nv12 = vec![1, 2, 3, 4, 5, 6, 10, 20, 11, 21];
        assert_eq!(rows(PixelFormat::Nv12, nv12.clone(), 0), [vec![1, 2, 3], vec![4, 5, 6]]);
        assert_eq!(rows(PixelFormat::Nv12, nv12, 2), [vec![20, 21]]);
    }

    #[test]
    fn the_high_bits_of_p010_come_down() {
        let words = |values: &[u16]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let p010 =
            words(&[1 << 6, 2 << 6, 1023 << 6, 4 << 6, 5 << 6, 6 << 6, 7 << 6, 8 << 6, 9 << 6, 10 << 6]);
        assert_eq!(rows(PixelFormat::P010, p010.clone(), 0), [words(&[1, 2, 1023]), words(&[4, 5, 6])]);
        assert_eq!(rows(PixelFormat::P010, p010, 1), [words(&[7, 9])]);
    }
}
