//! Quarter turns and mirror images, as the matrix of a container asks players for them.

use bytes::Bytes;

use super::convert::{convert, host};
use super::extend::pixel_bytes;
use super::request::to_host;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{FieldOrder, Frame, HostSurface, Plane, Surface};
use crate::memory;
use crate::pixel::{Chroma, PixelFormat, PlaneLayout};
use crate::time::Rational;

/// Columns that are turned together: as many as keep the rows that are written in the cache.
const BAND: usize = 16;

/// One of the eight ways to lay a picture on its sides. The default leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Rows become columns. Done first.
    transposed: bool,
    /// Left and right change places.
    across: bool,
    /// Top and bottom change places.
    down: bool,
}

impl Turn {
    /// What an ISO/IEC 14496-12 matrix asks for; its scale and translation are ignored. `None` for one that is no turn by a
    /// multiple of 90 degrees and no mirror image.
    pub(crate) fn of_matrix(matrix: [i32; 9]) -> Option<Self> {
        let [a, b, _, c, d, ..] = matrix;
        match (a, b, c, d) {
            (a, 0, 0, d) if a != 0 && d != 0 => Some(Self { transposed: false, across: a < 0, down: d < 0 }),
            (0, b, c, 0) if b != 0 && c != 0 => Some(Self { transposed: true, across: c < 0, down: b < 0 }),
            _ => None,
        }
    }

    /// Whether width and height change places.
    pub(crate) const fn transposes(self) -> bool {
        self.transposed
    }

    /// The size of a turned picture, and of the one that it is made of.
    pub(crate) fn size(self, size: Dimensions) -> Dimensions {
        // Both sides are within the same bounds.
        if self.transposed { Dimensions::new(size.height(), size.width()).unwrap_or(size) } else { size }
    }

    /// The picture turned, in host memory. A quarter turn makes 4:4:4 of 4:2:2, whose chroma is halved in one direction only.
    ///
    /// # Errors
    /// A lost device; no memory.
    pub(crate) fn apply(self, frame: Frame) -> Result<Frame> {
        if self == Self::default() {
            return Ok(frame);
        }
        let mut frame = to_host(frame)?;
        if self.transposed
            && let Some(whole) = symmetric(frame.format)
        {
            if frame.as_host().is_some() {
                frame = convert(&frame, whole)?.frame;
            }
            frame.format = whole;
        }
        let size = self.size(frame.dimensions);
        let surface = match &frame.surface {
            Surface::None => Surface::None,
            Surface::Host(_) => Surface::Host(self.surface(host(&frame)?, size)?),
            Surface::Device(_) => {
                return Err(Error::invalid("a picture in a device's memory cannot be turned"));
            }
        };
        let inverse = |ratio: Rational| Rational::new(ratio.den(), ratio.num()).unwrap_or(ratio);
        Ok(Frame {
            dimensions: size,
            sample_aspect_ratio: frame
                .sample_aspect_ratio
                .map(|r| if self.transposed { inverse(r) } else { r }),
            fields: self.fields(&frame),
            surface,
            ..frame
        })
    }

    /// Fields are rows: none are left of them in a picture on its side, and upside down the last row is the first one.
    fn fields(self, frame: &Frame) -> Option<FieldOrder> {
        let swaps = self.down && frame.dimensions.height().is_multiple_of(2);
        match frame.fields? {
            FieldOrder::TopFirst | FieldOrder::BottomFirst if self.transposed => None,
            FieldOrder::TopFirst if swaps => Some(FieldOrder::BottomFirst),
            FieldOrder::BottomFirst if swaps => Some(FieldOrder::TopFirst),
            same => Some(same),
        }
    }

    fn surface(self, source: &HostSurface, size: Dimensions) -> Result<HostSurface> {
        let format = source.format();
        let planes = source.planes().iter().enumerate().map(|(index, plane)| {
            let (data, columns) = match pixel_bytes(format, index) {
                1 => (self.plane::<1>(plane)?, 1),
                2 => (self.plane::<2>(plane)?, 2),
                3 => (self.plane::<3>(plane)?, 3),
                _ => (self.plane::<4>(plane)?, 4),
            };
            let stride = if self.transposed { plane.rows() * columns } else { plane.row_bytes() };
            Ok((Bytes::from(data), stride))
        });
        HostSurface::new(format, size, planes.collect::<Result<Vec<_>>>()?)
    }

    /// One plane of which a position holds `N` bytes.
    fn plane<const N: usize>(self, plane: &Plane) -> Result<Vec<u8>> {
        let (columns, rows) = (plane.row_bytes() / N, plane.rows());
        if !self.transposed {
            let mut out = memory::room(columns * rows * N)?;
            for y in 0..rows {
                let row = plane.row(if self.down { rows - 1 - y } else { y });
                if self.across {
                    out.extend(row.rchunks_exact(N).flatten());
                } else {
                    out.extend_from_slice(row);
                }
            }
            return Ok(out);
        }
        // Each column becomes a row of the result.
        let mut out = memory::filled(0, columns * rows * N)?;
        for left in (0..columns).step_by(BAND) {
            for y in 0..rows {
                let to_column = if self.across { rows - 1 - y } else { y };
                let band = plane.row(y).chunks_exact(N).enumerate().skip(left).take(BAND);
                for (x, pixel) in band {
                    let to_row = if self.down { columns - 1 - x } else { x };
                    let at = (to_row * rows + to_column) * N;
                    if let Some(to) = out.get_mut(at..at + N) {
                        to.copy_from_slice(pixel);
                    }
                }
            }
        }
        Ok(out)
    }
}

/// The format in which a picture of this one can be laid on its side; `None` where it is this one.
fn symmetric(format: PixelFormat) -> Option<PixelFormat> {
    match format.layout() {
        PlaneLayout::Planar(Chroma::Yuv422) => PixelFormat::planar(Chroma::Yuv444, format.bit_depth()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{TimeBase, Timestamp};

    const ALL: [[i32; 4]; 8] = [
        [1, 0, 0, 1],
        [-1, 0, 0, 1],
        [1, 0, 0, -1],
        [-1, 0, 0, -1],
        [0, 1, 1, 0],
        [0, 1, -1, 0],
        [0, -1, 1, 0],
        [0, -1, -1, 0],
    ];

    fn turn([a, b, c, d]: [i32; 4]) -> Turn {
        Turn::of_matrix([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]).unwrap()
    }

    /// Pixel by pixel, by the matrix itself: where a pixel goes, moved back to where the picture begins.
    fn expected<const N: usize>(data: &[u8], (w, h): (i32, i32), [a, b, c, d]: [i32; 4]) -> Vec<u8> {
        let to = |x: i32, y: i32| (a * x + c * y, b * x + d * y);
        let corners = [to(0, 0), to(w - 1, 0), to(0, h - 1), to(w - 1, h - 1)];
        let left = corners.iter().map(|c| c.0).min().unwrap();
        let top = corners.iter().map(|c| c.1).min().unwrap();
        let width = corners.iter().map(|c| c.0).max().unwrap() - left + 1;
        let mut out = vec![0; data.len()];
        for (x, y) in (0..h).flat_map(|y| (0..w).map(move |x| (x, y))) {
            let (u, v) = to(x, y);
            let (from, at) = ((y * w + x) as usize * N, ((v - top) * width + u - left) as usize * N);
            out[at..at + N].copy_from_slice(&data[from..from + N]);
        }
        out
    }

    #[test]
    fn every_turn_puts_each_pixel_where_the_matrix_says() {
        let size = Dimensions::new(37, 21).unwrap();
        let at = Timestamp::new(0, TimeBase::MPEG);
        for matrix in ALL {
            for format in [PixelFormat::Gray8, PixelFormat::Rgb24, PixelFormat::Rgba, PixelFormat::Gray10] {
                let data: Vec<u8> = (0..format.frame_bytes(size)).map(|i| (i * 31 % 251) as u8).collect();
                let surface = HostSurface::from_packed(format, size, data.clone()).unwrap();
                let turned = turn(matrix).apply(Frame::host(at, surface)).unwrap();
                let expected = match format {
                    PixelFormat::Gray8 => expected::<1>(&data, (37, 21), matrix),
                    PixelFormat::Gray10 => expected::<2>(&data, (37, 21), matrix),
                    PixelFormat::Rgb24 => expected::<3>(&data, (37, 21), matrix),
                    _ => expected::<4>(&data, (37, 21), matrix),
                };
                assert_eq!(turned.as_host().unwrap().to_packed(), expected, "{matrix:?} {format}");
                assert_eq!(turned.dimensions, turned.as_host().unwrap().dimensions());
            }
        }
    }

    #[test]
    fn every_format_can_be_turned_and_turned_back() {
        let size = Dimensions::new(24, 10).unwrap();
        for format in PixelFormat::ALL {
            let data: Vec<u8> = (0..format.frame_bytes(size)).map(|i| (i % 3) as u8).collect();
            let surface = HostSurface::from_packed(format, size, data).unwrap();
            let frame = Frame::host(Timestamp::new(0, TimeBase::MPEG), surface);
            for (matrix, back) in ALL.into_iter().zip([0, 1, 2, 3, 4, 6, 5, 7].map(|at| ALL[at])) {
                let turned = turn(matrix).apply(frame.clone()).unwrap();
                let again = turn(back).apply(turned).unwrap();
                let wanted = if turn(matrix).transposes() {
                    symmetric(format).map_or(frame.clone(), |whole| convert(&frame, whole).unwrap().frame)
                } else {
                    frame.clone()
                };
                assert_eq!(again.format, wanted.format);
                let packed = |frame: &Frame| frame.as_host().unwrap().to_packed();
                assert_eq!(packed(&again), packed(&wanted), "{format} {matrix:?}");
            }
        }
    }

    #[test]
    fn other_matrices_are_none_and_fields_follow() {
        for other in [[0; 9], [1, 1, 0, -1, 1, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0, 0, 1]] {
            assert_eq!(Turn::of_matrix(other), None);
        }
        let size = Dimensions::new(4, 4).unwrap();
        let surface = HostSurface::from_packed(PixelFormat::Gray8, size, vec![0; 16]).unwrap();
        let frame = Frame {
            fields: Some(FieldOrder::TopFirst),
            sample_aspect_ratio: Rational::new(4, 3),
            ..Frame::host(Timestamp::new(0, TimeBase::MPEG), surface)
        };
        let over = turn(ALL[3]).apply(frame.clone()).unwrap();
        assert_eq!(
            (over.fields, over.sample_aspect_ratio),
            (Some(FieldOrder::BottomFirst), Rational::new(4, 3))
        );
        let side = turn(ALL[5]).apply(frame).unwrap();
        assert_eq!((side.fields, side.sample_aspect_ratio), (None, Rational::new(3, 4)));
    }
}
