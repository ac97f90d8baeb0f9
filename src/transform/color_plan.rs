//! What the samples of a frame mean for a conversion, and what its result means.

use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::pixel::{Chroma, PixelFormat};

use super::matrix::Matrix;

/// The numbers of one conversion.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColorPlan {
    /// Between R, G, B and Y, Cb, Cr.
    pub(super) matrix: Matrix,
    /// Range of the Y, Cb, Cr side.
    pub(super) range: ColorRange,
    /// Colour of the result.
    pub(super) result: ColorInfo,
    /// Whether something that the conversion depends on was not stated by the frame.
    pub(super) assumed: bool,
}

impl ColorPlan {
    /// Of converting `frame` to `to`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for colour that cannot be converted.
    pub(super) fn of(frame: &Frame, to: PixelFormat) -> Result<Self> {
        match (frame.format.is_rgb(), to.is_rgb()) {
            (false, false) => Self::kept(frame, to),
            (false, true) => Self::to_rgb(frame),
            (true, false) => Self::to_yuv(frame, to),
            (true, true) => Ok(Self {
                matrix: Matrix::new(MatrixCoefficients::Identity)?,
                range: rgb_range(frame, to)?,
                result: frame.color,
                assumed: false,
            }),
        }
    }

    fn kept(frame: &Frame, to: PixelFormat) -> Result<Self> {
        // Samples that only move or shift keep whatever matrix they have: its numbers are not needed.
        let code = frame.color.matrix;
        let identity = code == MatrixCoefficients::Identity;
        if identity && frame.format.chroma() != to.chroma() {
            return Err(identity_needs_444());
        }
        let matrix = if identity { code } else { MatrixCoefficients::Bt709 };
        let (resolved, _) = frame.color.resolve(frame.dimensions);
        let depth_changes = depth(frame.format) != depth(to);
        Ok(Self {
            matrix: Matrix::new(matrix)?,
            range: resolved.range.unwrap_or(ColorRange::Limited),
            result: frame.color,
            assumed: depth_changes && frame.color.range.is_none(),
        })
    }

    fn to_rgb(frame: &Frame) -> Result<Self> {
        let (resolved, _) = frame.color.resolve(frame.dimensions);
        if resolved.matrix == MatrixCoefficients::Identity && frame.format.chroma() != Some(Chroma::Yuv444) {
            return Err(identity_needs_444());
        }
        let gray = frame.format.chroma() == Some(Chroma::Monochrome);
        Ok(Self {
            matrix: Matrix::new(resolved.matrix)?,
            range: resolved.range.unwrap_or(ColorRange::Limited),
            result: ColorInfo {
                matrix: MatrixCoefficients::Identity,
                range: Some(ColorRange::Full),
                ..frame.color
            },
            assumed: frame.color.range.is_none()
                || (!gray && frame.color.matrix == MatrixCoefficients::Unspecified),
        })
    }

    /// A matrix in the frame's tags is the one to use. A frame that is tagged as R, G, B leaves the choice:
    /// the matrix that belongs to its primaries, else the default for its size; limited range.
    fn to_yuv(frame: &Frame, to: PixelFormat) -> Result<Self> {
        let tagged_rgb =
            matches!(frame.color.matrix, MatrixCoefficients::Identity | MatrixCoefficients::Unspecified);
        let (code, range) = if tagged_rgb {
            rgb_range(frame, to)?;
            (matrix_for(frame), ColorRange::Limited)
        } else {
            (frame.color.matrix, frame.color.range.unwrap_or(ColorRange::Limited))
        };
        Ok(Self {
            matrix: Matrix::new(code)?,
            range,
            result: ColorInfo { matrix: code, range: Some(range), ..frame.color },
            assumed: frame.color.range.is_none() || frame.color.matrix == MatrixCoefficients::Unspecified,
        })
    }
}

/// Bits of precision of a format. P016 carries NVDEC's 10 and 12 bit pictures in its high bits and is
/// handled as 12 bit.
pub(super) const fn depth(format: PixelFormat) -> u8 {
    match format {
        PixelFormat::P016 => 12,
        other => other.bit_depth(),
    }
}

fn matrix_for(frame: &Frame) -> MatrixCoefficients {
    match frame.color.primaries {
        ColorPrimaries::Bt709 => MatrixCoefficients::Bt709,
        ColorPrimaries::Bt470Bg => MatrixCoefficients::Bt470Bg,
        ColorPrimaries::Smpte170M => MatrixCoefficients::Smpte170M,
        ColorPrimaries::Smpte240M => MatrixCoefficients::Smpte240M,
        ColorPrimaries::Bt2020 => MatrixCoefficients::Bt2020Ncl,
        _ => ColorInfo::UNSPECIFIED.resolve(frame.dimensions).0.matrix,
    }
}

/// R, G, B samples are full range here; limited ones pass only where their values do not change.
fn rgb_range(frame: &Frame, to: PixelFormat) -> Result<ColorRange> {
    let changes = to.bit_depth() != frame.format.bit_depth() || !to.is_rgb();
    let tagged_rgb = frame.color.matrix == MatrixCoefficients::Identity;
    if changes && tagged_rgb && frame.color.range == Some(ColorRange::Limited) {
        return Err(Error::unsupported(format!("conversion of limited-range {} to {to}", frame.format)));
    }
    Ok(ColorRange::Full)
}

pub(super) fn identity_needs_444() -> Error {
    Error::unsupported("conversion of subsampled pictures with the identity matrix (gbr), which needs 4:4:4")
}
