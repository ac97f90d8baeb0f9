//! What is converted: every layout, matrix, range and target, odd sizes, rows with and without room between them.

use super::Laid;
use crate::backend::nvidia::transform::Source;
use crate::color::{ColorInfo, ColorRange, MatrixCoefficients};
use crate::dimensions::Dimensions;
use crate::frame::{DevicePlane, Frame, HostSurface};
use crate::pixel::PixelFormat;
use crate::time::{TimeBase, Timestamp};

pub(super) const SOURCES: [(PixelFormat, u32); 8] = [
    (PixelFormat::Nv12, 0),
    (PixelFormat::P010, 0),
    (PixelFormat::P016, 0),
    (PixelFormat::I444, 0),
    (PixelFormat::I410, 0),
    (PixelFormat::I410, 6),
    (PixelFormat::I412, 0),
    (PixelFormat::I412, 4),
];
pub(super) const TARGETS: [PixelFormat; 7] = [
    PixelFormat::Rgb24,
    PixelFormat::Bgr24,
    PixelFormat::Rgba,
    PixelFormat::Bgra,
    PixelFormat::Argb,
    PixelFormat::Abgr,
    PixelFormat::RgbF32Planar,
];

#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) from: Source,
    pub(super) to: PixelFormat,
    pub(super) color: ColorInfo,
    pub(super) to_size: Dimensions,
    /// Planes start and rows end on multiples of so many bytes; odd ones are made to miss wide words.
    pub(super) alignment: usize,
}

pub(super) fn size(width: u32, height: u32) -> Dimensions {
    Dimensions::new(width, height).unwrap()
}

pub(super) fn color(matrix: u8, range: Option<ColorRange>) -> ColorInfo {
    ColorInfo { matrix: MatrixCoefficients::from_code(matrix), range, ..ColorInfo::UNSPECIFIED }
}

/// Every source, target, matrix and range at the same size.
pub(super) fn same_size() -> Vec<Case> {
    let mut cases = Vec::new();
    for (matrix, range) in [1, 2, 4, 5, 6, 7, 8, 9, 0].into_iter().flat_map(|matrix| {
        [None, Some(ColorRange::Limited), Some(ColorRange::Full)].map(|range| (matrix, range))
    }) {
        for (format, shift) in SOURCES {
            if matrix == 0 && format.chroma() != Some(crate::pixel::Chroma::Yuv444) {
                continue;
            }
            for to in TARGETS {
                for (dimensions, alignment) in [(size(37, 23), 1), (size(140, 19), 256)] {
                    cases.push(Case {
                        from: Source { format, dimensions, shift },
                        to,
                        color: color(matrix, range),
                        to_size: dimensions,
                        alignment,
                    });
                }
            }
        }
    }
    cases
}

/// Samples moved to the low bits.
pub(super) fn shifts() -> Vec<Case> {
    let shape = [(size(37, 23), 1), (size(140, 19), 256)];
    SOURCES
        .into_iter()
        .filter(|(_, shift)| *shift > 0)
        .flat_map(|(format, shift)| {
            shape.map(|(dimensions, alignment)| Case {
                from: Source { format, dimensions, shift },
                to: format,
                color: ColorInfo::UNSPECIFIED,
                to_size: dimensions,
                alignment,
            })
        })
        .collect()
}

/// Other sizes: smaller, larger, one of each, extreme.
pub(super) fn scaled() -> Vec<Case> {
    let sizes = [
        (size(64, 36), size(32, 18)),
        (size(61, 33), size(23, 40)),
        (size(17, 9), size(50, 31)),
        (size(97, 64), size(2, 1)),
        (size(1, 1), size(5, 3)),
    ];
    let mut cases = Vec::new();
    for (index, (from, to_size)) in sizes.into_iter().enumerate() {
        for (format, shift) in SOURCES {
            for to in [PixelFormat::Rgb24, PixelFormat::Bgra, PixelFormat::Abgr, PixelFormat::RgbF32Planar] {
                cases.push(Case {
                    from: Source { format, dimensions: from, shift },
                    to,
                    color: color(1, Some(ColorRange::Limited)),
                    to_size,
                    alignment: if index % 2 == 0 { 256 } else { 1 },
                });
            }
        }
    }
    cases
}

impl Case {
    fn lay_out(&self, format: PixelFormat, size: Dimensions, mut next: impl FnMut() -> u8) -> Laid {
        let word = format.bytes_per_sample();
        let pitch_of = |row_bytes: usize| match self.alignment {
            1 => row_bytes + 3 * word,
            wide => row_bytes.next_multiple_of(wide),
        };
        let mut bytes = vec![0; if self.alignment == 1 { word } else { 0 }];
        let mut planes = Vec::new();
        for index in 0..format.plane_count() {
            let plane = format.plane_size(index, size).unwrap();
            let pitch = pitch_of(plane.row_bytes);
            planes.push(DevicePlane {
                address: bytes.len() as u64,
                pitch,
                row_bytes: plane.row_bytes,
                rows: plane.rows,
            });
            bytes.extend(std::iter::repeat_with(&mut next).take(pitch * plane.rows));
        }
        Laid { bytes, planes }
    }

    /// A picture as the decoder would write it: noise, and every extreme; the bits under `shift` hold noise too.
    pub(super) fn source(&self) -> Laid {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(self.color.matrix.code()) << 32;
        let extremes = [0, 255, 128, 16, 235];
        self.lay_out(self.from.format, self.from.dimensions, || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let byte = (state >> 40) as u8;
            let choice = (state >> 50) as usize % 20;
            extremes.get(choice).copied().unwrap_or(byte)
        })
        .limited(self.from)
    }

    /// Room for the result, filled with what must stay where no sample belongs.
    pub(super) fn target(&self) -> Laid {
        self.lay_out(self.to, self.to_size, || 0xa5)
    }

    /// The source as a frame in host memory, samples as its format says.
    pub(super) fn frame(&self, source: &Laid) -> Frame {
        let shift = self.from.shift;
        let mut packed = Vec::new();
        for row in source.rows() {
            if shift == 0 {
                packed.extend_from_slice(row);
            } else {
                packed.extend(
                    row.as_chunks::<2>()
                        .0
                        .iter()
                        .flat_map(|&w| (u16::from_le_bytes(w) >> shift).to_le_bytes()),
                );
            }
        }
        let surface = HostSurface::from_packed(self.from.format, self.from.dimensions, packed).unwrap();
        let mut frame = Frame::host(Timestamp::new(0, TimeBase::MPEG), surface);
        frame.color = self.color;
        frame
    }
}

impl Laid {
    /// The rows of all planes, without the room between them.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.planes.iter().flat_map(|plane| {
            (0..plane.rows).map(|y| {
                let start = plane.address as usize + y * plane.pitch;
                &self.bytes[start..start + plane.row_bytes]
            })
        })
    }

    /// With samples that fit their depth, where they lie in the low bits.
    fn limited(mut self, from: Source) -> Self {
        let low = matches!(from.format, PixelFormat::I410 | PixelFormat::I412);
        if low && from.shift == 0 {
            let max = (1_u16 << from.format.bit_depth()) - 1;
            let first = self.planes[0].address as usize;
            for word in self.bytes[first..].as_chunks_mut::<2>().0 {
                *word = (u16::from_le_bytes(*word) & max).to_le_bytes();
            }
        }
        self
    }
}
