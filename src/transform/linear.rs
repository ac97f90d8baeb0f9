//! Y'CbCr to R, G, B as one linear step: the numbers and the order of the arithmetic, which every conversion has, on the CPU
//! and where a backend has pictures.
//!
//! All of it is in 32-bit floats, and each operation is rounded by itself to the nearest (IEEE 754, ties to even; nothing
//! is fused): so the same samples come out as the same bytes on every machine. For each channel, with Y, Cb and Cr less
//! their offsets (exact: whole numbers),
//!
//! ```text
//! value = row[0] * Y + (row[1] * Cb + row[2] * Cr)
//! ```
//!
//! held between 0 and full intensity, which is 255 for bytes and 1 for floats; bytes are rounded to the nearest, ties to
//! even. This is within half a code and a ten-thousandth of what H.273 defines.

use crate::color::{ColorInfo, ColorRange, MatrixCoefficients};
use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::pixel::{Chroma, PixelFormat};

use super::color_plan::{depth, identity_needs_444};
use super::matrix::{Matrix, Quantiser};

/// The numbers of one conversion. Samples count as their words have them without padding, those of
/// [`PixelFormat::P016`] as 16 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Linear {
    /// Of R, G and B.
    pub(crate) rows: [[f32; 3]; 3],
    /// Of luma and chroma.
    pub(crate) offset: [f32; 2],
    /// Full intensity.
    pub(crate) most: f32,
}

impl Linear {
    /// From a Y'CbCr format with this colour to an R, G, B format; `size` decides what is assumed where the colour says
    /// nothing.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for a matrix that cannot be converted.
    pub(crate) fn to_rgb(
        from: PixelFormat,
        color: ColorInfo,
        size: Dimensions,
        to: PixelFormat,
    ) -> Result<Self> {
        let (resolved, _) = color.resolve(size);
        let identity = resolved.matrix == MatrixCoefficients::Identity;
        if identity && from.chroma() != Some(Chroma::Yuv444) {
            return Err(identity_needs_444());
        }
        let matrix = Matrix::new(resolved.matrix)?;
        Ok(Self::new(from, &matrix, resolved.range.unwrap_or(ColorRange::Limited), to))
    }

    pub(super) fn new(from: PixelFormat, matrix: &Matrix, range: ColorRange, to: PixelFormat) -> Self {
        let [luma, chroma] = Quantiser::pair(depth(from), range, matrix.identity);
        // The codes of the quantisers are of 12 bits.
        let unit = if from == PixelFormat::P016 { 16.0 } else { 1.0 };
        let most: f32 = if to == PixelFormat::RgbF32Planar { 1.0 } else { 255.0 };
        let by =
            |value: f64, quantiser: Quantiser| (value * f64::from(most) / (quantiser.scale * unit)) as f32;
        let rows = matrix.to_rgb.map(|[y, cb, cr]| [by(y, luma), by(cb, chroma), by(cr, chroma)]);
        let offset = [luma, chroma].map(|quantiser| (quantiser.offset * unit) as f32);
        Self { rows, offset, most }
    }
}
