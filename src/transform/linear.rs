//! Y'CbCr to R, G, B as one linear step, for backends that convert pictures where they are.

use crate::color::{ColorInfo, ColorRange, MatrixCoefficients};
use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::pixel::{Chroma, PixelFormat};

use super::matrix::{Matrix, Quantiser};
use super::meaning::{depth, identity_needs_444};

/// `channel = rows[channel] · (Y - offset[0], Cb - offset[1], Cr - offset[1])`: channels R, G, B in 0..=1 (before
/// clamping), components as codes of the format's bit depth ([`PixelFormat::P016`]: of 12 bit).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Linear {
    pub(crate) rows: [[f64; 3]; 3],
    pub(crate) offset: [f64; 2],
}

impl Linear {
    /// Of a Y'CbCr format with this colour; `size` decides what is assumed where the colour says nothing.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for a matrix that cannot be converted.
    pub(crate) fn to_rgb(format: PixelFormat, color: ColorInfo, size: Dimensions) -> Result<Self> {
        let (resolved, _) = color.resolve(size);
        let identity = resolved.matrix == MatrixCoefficients::Identity;
        if identity && format.chroma() != Some(Chroma::Yuv444) {
            return Err(identity_needs_444());
        }
        let matrix = Matrix::new(resolved.matrix)?;
        let range = resolved.range.unwrap_or(ColorRange::Limited);
        let [luma, chroma] = Quantiser::pair(depth(format), range, matrix.identity);
        let rows = matrix.to_rgb.map(|[y, cb, cr]| [y / luma.scale, cb / chroma.scale, cr / chroma.scale]);
        Ok(Self { rows, offset: [luma.offset, chroma.offset] })
    }
}
