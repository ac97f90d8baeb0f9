//! Pixel formats, each with its exact byte layout.

use std::fmt;
use std::str::FromStr;

use crate::dimensions::Dimensions;
use crate::error::Error;

/// Layout of the samples in memory. 16-bit samples are little-endian.
///
/// Planar and semi-planar formats name their planes in order; packed RGB formats name their bytes in
/// memory order, as ffmpeg does (NVENC's `ARGB` is word-ordered and is [`Self::Bgra`] here).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// 4:2:0, 8 bit, planes Y, Cb, Cr.
    I420,
    /// 4:2:2, 8 bit, planes Y, Cb, Cr.
    I422,
    /// 4:4:4, 8 bit, planes Y, Cb, Cr.
    I444,
    /// 4:2:0, 10 bit in the low bits of 16, planes Y, Cb, Cr.
    I010,
    /// 4:2:2, 10 bit in the low bits of 16, planes Y, Cb, Cr.
    I210,
    /// 4:4:4, 10 bit in the low bits of 16, planes Y, Cb, Cr.
    I410,
    /// 4:2:0, 12 bit in the low bits of 16, planes Y, Cb, Cr.
    I012,
    /// 4:2:2, 12 bit in the low bits of 16, planes Y, Cb, Cr.
    I212,
    /// 4:4:4, 12 bit in the low bits of 16, planes Y, Cb, Cr.
    I412,
    /// 4:2:0, 8 bit, planes Y and interleaved Cb Cr.
    Nv12,
    /// 4:2:0, 10 bit in the high bits of 16, planes Y and interleaved Cb Cr.
    P010,
    /// 4:2:0, 16 bit, planes Y and interleaved Cb Cr (NVDEC's output for 10 and 12 bit, high-aligned).
    P016,
    /// Luma only, 8 bit.
    Gray8,
    /// Luma only, 10 bit in the low bits of 16.
    Gray10,
    /// Luma only, 12 bit in the low bits of 16.
    Gray12,
    /// Bytes R, G, B.
    Rgb24,
    /// Bytes B, G, R.
    Bgr24,
    /// Bytes R, G, B, A.
    Rgba,
    /// Bytes B, G, R, A.
    Bgra,
    /// Bytes A, R, G, B.
    Argb,
    /// Bytes A, B, G, R.
    Abgr,
    /// Planar 32-bit float R, G, B in 0.0..=1.0 (the ML layout, channels first).
    RgbF32Planar,
}

/// Chroma subsampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chroma {
    /// Luma only.
    Monochrome,
    /// Half width, half height.
    Yuv420,
    /// Half width.
    Yuv422,
    /// Full size.
    Yuv444,
}

impl Chroma {
    /// Horizontal and vertical shift from luma to chroma size.
    pub const fn shifts(self) -> (u32, u32) {
        match self {
            Self::Yuv420 => (1, 1),
            Self::Yuv422 => (1, 0),
            Self::Monochrome | Self::Yuv444 => (0, 0),
        }
    }
}

impl fmt::Display for Chroma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Monochrome => "4:0:0",
            Self::Yuv420 => "4:2:0",
            Self::Yuv422 => "4:2:2",
            Self::Yuv444 => "4:4:4",
        })
    }
}

/// How a format's planes are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaneLayout {
    /// Y, Cb, Cr (or only Y).
    Planar(Chroma),
    /// Y and interleaved CbCr, 4:2:0.
    SemiPlanar,
    /// One plane of interleaved R, G, B (and A) bytes; the value is the bytes per pixel.
    PackedRgb(u32),
    /// Three planes of R, G, B floats.
    PlanarRgbF32,
}

/// Size of one plane in bytes and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneSize {
    /// Bytes of samples in a row, without padding.
    pub row_bytes: usize,
    /// Rows.
    pub rows: usize,
}

impl PixelFormat {
    /// Every format.
    pub const ALL: [Self; 22] = [
        Self::I420,
        Self::I422,
        Self::I444,
        Self::I010,
        Self::I210,
        Self::I410,
        Self::I012,
        Self::I212,
        Self::I412,
        Self::Nv12,
        Self::P010,
        Self::P016,
        Self::Gray8,
        Self::Gray10,
        Self::Gray12,
        Self::Rgb24,
        Self::Bgr24,
        Self::Rgba,
        Self::Bgra,
        Self::Argb,
        Self::Abgr,
        Self::RgbF32Planar,
    ];

    /// The planar YUV format for a chroma subsampling and bit depth (8, 10 or 12), if there is one.
    pub const fn planar(chroma: Chroma, bit_depth: u8) -> Option<Self> {
        Some(match (chroma, bit_depth) {
            (Chroma::Yuv420, 8) => Self::I420,
            (Chroma::Yuv422, 8) => Self::I422,
            (Chroma::Yuv444, 8) => Self::I444,
            (Chroma::Yuv420, 10) => Self::I010,
            (Chroma::Yuv422, 10) => Self::I210,
            (Chroma::Yuv444, 10) => Self::I410,
            (Chroma::Yuv420, 12) => Self::I012,
            (Chroma::Yuv422, 12) => Self::I212,
            (Chroma::Yuv444, 12) => Self::I412,
            (Chroma::Monochrome, 8) => Self::Gray8,
            (Chroma::Monochrome, 10) => Self::Gray10,
            (Chroma::Monochrome, 12) => Self::Gray12,
            _ => return None,
        })
    }

    /// Arrangement of the planes.
    pub const fn layout(self) -> PlaneLayout {
        match self {
            Self::I420 | Self::I010 | Self::I012 => PlaneLayout::Planar(Chroma::Yuv420),
            Self::I422 | Self::I210 | Self::I212 => PlaneLayout::Planar(Chroma::Yuv422),
            Self::I444 | Self::I410 | Self::I412 => PlaneLayout::Planar(Chroma::Yuv444),
            Self::Gray8 | Self::Gray10 | Self::Gray12 => PlaneLayout::Planar(Chroma::Monochrome),
            Self::Nv12 | Self::P010 | Self::P016 => PlaneLayout::SemiPlanar,
            Self::Rgb24 | Self::Bgr24 => PlaneLayout::PackedRgb(3),
            Self::Rgba | Self::Bgra | Self::Argb | Self::Abgr => PlaneLayout::PackedRgb(4),
            Self::RgbF32Planar => PlaneLayout::PlanarRgbF32,
        }
    }

    /// Chroma subsampling; `None` for RGB.
    pub const fn chroma(self) -> Option<Chroma> {
        match self.layout() {
            PlaneLayout::Planar(chroma) => Some(chroma),
            PlaneLayout::SemiPlanar => Some(Chroma::Yuv420),
            PlaneLayout::PackedRgb(_) | PlaneLayout::PlanarRgbF32 => None,
        }
    }

    /// Whether the samples are R, G, B.
    pub const fn is_rgb(self) -> bool {
        self.chroma().is_none()
    }

    /// Significant bits per sample.
    pub const fn bit_depth(self) -> u8 {
        match self {
            Self::I010 | Self::I210 | Self::I410 | Self::P010 | Self::Gray10 => 10,
            Self::I012 | Self::I212 | Self::I412 | Self::Gray12 => 12,
            Self::P016 => 16,
            Self::RgbF32Planar => 32,
            _ => 8,
        }
    }

    /// Bytes per sample in memory.
    pub const fn bytes_per_sample(self) -> usize {
        match self.bit_depth() {
            8 => 1,
            32 => 4,
            _ => 2,
        }
    }

    /// Number of planes.
    pub const fn plane_count(self) -> usize {
        match self.layout() {
            PlaneLayout::Planar(Chroma::Monochrome) | PlaneLayout::PackedRgb(_) => 1,
            PlaneLayout::SemiPlanar => 2,
            PlaneLayout::Planar(_) | PlaneLayout::PlanarRgbF32 => 3,
        }
    }

    /// Size of plane `index` of a picture; chroma sizes round up for odd pictures. `None` past the last
    /// plane.
    pub const fn plane_size(self, index: usize, size: Dimensions) -> Option<PlaneSize> {
        if index >= self.plane_count() {
            return None;
        }
        let (w, h) = (size.width() as usize, size.height() as usize);
        let bytes = self.bytes_per_sample();
        Some(match self.layout() {
            PlaneLayout::PackedRgb(n) => PlaneSize { row_bytes: w * n as usize, rows: h },
            PlaneLayout::SemiPlanar if index == 1 => {
                PlaneSize { row_bytes: w.div_ceil(2) * 2 * bytes, rows: h.div_ceil(2) }
            }
            PlaneLayout::Planar(chroma) if index > 0 => {
                let (sx, sy) = chroma.shifts();
                PlaneSize { row_bytes: w.div_ceil(1 << sx) * bytes, rows: h.div_ceil(1 << sy) }
            }
            PlaneLayout::SemiPlanar | PlaneLayout::Planar(_) | PlaneLayout::PlanarRgbF32 => {
                PlaneSize { row_bytes: w * bytes, rows: h }
            }
        })
    }

    /// Bytes of a tightly packed picture (what a raw video file holds per frame).
    pub const fn frame_bytes(self, size: Dimensions) -> usize {
        let mut total = 0;
        let mut i = 0;
        while let Some(plane) = self.plane_size(i, size) {
            total += plane.row_bytes * plane.rows;
            i += 1;
        }
        total
    }

    /// ffmpeg's name (`-pix_fmt`); the planar float layout, where ffmpeg's plane order differs, has ours.
    pub const fn name(self) -> &'static str {
        match self {
            Self::I420 => "yuv420p",
            Self::I422 => "yuv422p",
            Self::I444 => "yuv444p",
            Self::I010 => "yuv420p10le",
            Self::I210 => "yuv422p10le",
            Self::I410 => "yuv444p10le",
            Self::I012 => "yuv420p12le",
            Self::I212 => "yuv422p12le",
            Self::I412 => "yuv444p12le",
            Self::Nv12 => "nv12",
            Self::P010 => "p010le",
            Self::P016 => "p016le",
            Self::Gray8 => "gray",
            Self::Gray10 => "gray10le",
            Self::Gray12 => "gray12le",
            Self::Rgb24 => "rgb24",
            Self::Bgr24 => "bgr24",
            Self::Rgba => "rgba",
            Self::Bgra => "bgra",
            Self::Argb => "argb",
            Self::Abgr => "abgr",
            Self::RgbF32Planar => "rgbf32p",
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PixelFormat {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let lower = s.to_ascii_lowercase();
        let wanted = match lower.as_str() {
            "i420" | "yuvj420p" => "yuv420p",
            "yuvj422p" => "yuv422p",
            "yuvj444p" => "yuv444p",
            "yuv420p10" | "i010" => "yuv420p10le",
            "p010" => "p010le",
            "p016" => "p016le",
            "rgb" | "rgb8" => "rgb24",
            "gray8" => "gray",
            other => other,
        };
        Self::ALL.into_iter().find(|f| f.name() == wanted).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|f| f.name()).collect();
            Error::invalid(format!("unknown pixel format {s:?}; known: {}", known.join(", ")))
        })
    }
}
