//! The numbers of colour conversion, derived from Kr and Kb as H.273 does.

use crate::color::{ColorRange, MatrixCoefficients};
use crate::error::{Error, Result};

/// Both directions of a matrix, over R, G, B and Y in 0..=1 and Cb, Cr in -0.5..=0.5.
///
/// H.273 8.3 defines, with Kg = 1 - Kr - Kb,
///
/// ```text
/// Y  = Kr R + Kg G + Kb B
/// Cb = (B - Y) / (2 (1 - Kb))        so B = Y + 2 (1 - Kb) Cb
/// Cr = (R - Y) / (2 (1 - Kr))        so R = Y + 2 (1 - Kr) Cr
///                                       G = (Y - Kr R - Kb B) / Kg
///                                         = Y - 2 Kb (1 - Kb) / Kg Cb - 2 Kr (1 - Kr) / Kg Cr
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Matrix {
    /// Rows R, G, B over columns Y, Cb, Cr.
    pub(super) to_rgb: [[f64; 3]; 3],
    /// Rows Y, Cb, Cr over columns R, G, B.
    pub(super) to_yuv: [[f64; 3]; 3],
    /// Kr and Kb, where the matrix is made from them.
    pub(super) kr_kb: Option<(f64, f64)>,
    /// Whether all three components are quantised as luma (they are G, B, R).
    pub(super) identity: bool,
}

/// Kr and Kb (H.273 table 4).
const fn kr_kb(matrix: MatrixCoefficients) -> Option<(f64, f64)> {
    Some(match matrix {
        MatrixCoefficients::Bt709 => (0.2126, 0.0722),
        MatrixCoefficients::Fcc => (0.30, 0.11),
        MatrixCoefficients::Bt470Bg | MatrixCoefficients::Smpte170M => (0.299, 0.114),
        MatrixCoefficients::Smpte240M => (0.212, 0.087),
        MatrixCoefficients::Bt2020Ncl => (0.2627, 0.0593),
        _ => return None,
    })
}

impl Matrix {
    /// # Errors
    /// [`Error::Unsupported`] for a matrix without constant coefficients here.
    pub(super) fn new(matrix: MatrixCoefficients) -> Result<Self> {
        if let Some((kr, kb)) = kr_kb(matrix) {
            let kg = 1.0 - kr - kb;
            let (cb, cr) = (2.0 * (1.0 - kb), 2.0 * (1.0 - kr));
            return Ok(Self {
                to_rgb: [[1.0, 0.0, cr], [1.0, -kb * cb / kg, -kr * cr / kg], [1.0, cb, 0.0]],
                to_yuv: [
                    [kr, kg, kb],
                    [-kr / cb, -kg / cb, (1.0 - kb) / cb],
                    [(1.0 - kr) / cr, -kg / cr, -kb / cr],
                ],
                kr_kb: Some((kr, kb)),
                identity: false,
            });
        }
        match matrix {
            // H.273 equations 35 to 37 and 41 to 44: the components are G, B, R.
            MatrixCoefficients::Identity => Ok(Self {
                to_rgb: [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
                to_yuv: [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]],
                kr_kb: None,
                identity: true,
            }),
            // Cg is carried as Cb and Co as Cr: R = Y - Cg + Co, G = Y + Cg, B = Y - Cg - Co.
            MatrixCoefficients::YCgCo => Ok(Self {
                to_rgb: [[1.0, -1.0, 1.0], [1.0, 1.0, 0.0], [1.0, -1.0, -1.0]],
                to_yuv: [[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]],
                kr_kb: None,
                identity: false,
            }),
            other => Err(Error::Unsupported {
                feature: format!("colour conversion with matrix coefficients {other}"),
                remedy: "bt709, fcc, bt470bg, smpte170m, smpte240m, ycgco, bt2020nc and gbr can be converted"
                    .into(),
            }),
        }
    }
}

/// How a component's values become integers: `code = offset + scale * value` (H.273 equations 26 to 33).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quantiser {
    /// Code of the value 0.
    pub(super) offset: f64,
    /// Codes per unit.
    pub(super) scale: f64,
    /// Largest code.
    pub(super) max: f64,
}

impl Quantiser {
    /// Of luma and of chroma.
    pub(super) fn pair(depth: u8, range: ColorRange, identity: bool) -> [Self; 2] {
        let max = f64::from((1_u32 << depth) - 1);
        let unit = f64::from(1_u32 << (depth - 8));
        let (luma, chroma) = match range {
            ColorRange::Limited => ((16.0 * unit, 219.0 * unit), (128.0 * unit, 224.0 * unit)),
            ColorRange::Full => ((0.0, max), (128.0 * unit, max)),
        };
        let chroma = if identity { luma } else { chroma };
        [luma, chroma].map(|(offset, scale)| Self { offset, scale, max })
    }

    /// The value of a code.
    pub(super) fn value(self, code: f64) -> f64 {
        (code - self.offset) / self.scale
    }

    /// The nearest code of a value.
    pub(super) fn code(self, value: f64) -> u16 {
        (self.offset + self.scale * value + 0.5).floor().clamp(0.0, self.max) as u16
    }
}

pub(super) fn apply(matrix: &[[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_directions_undo_each_other() {
        for code in [0, 1, 4, 5, 6, 7, 8, 9] {
            let m = Matrix::new(MatrixCoefficients::from_code(code)).unwrap();
            for rgb in [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.7, 0.4]] {
                let back = apply(&m.to_rgb, apply(&m.to_yuv, rgb));
                assert!(back.iter().zip(rgb).all(|(a, b)| (a - b).abs() < 1e-12), "matrix {code}: {back:?}");
            }
        }
    }

    #[test]
    fn bt709_has_its_published_numbers() {
        let m = Matrix::new(MatrixCoefficients::Bt709).unwrap();
        assert!((m.to_rgb[0][2] - 1.5748).abs() < 1e-9);
        assert!((m.to_rgb[1][1] + 0.187_324).abs() < 1e-6);
        let [luma, chroma] = Quantiser::pair(10, ColorRange::Limited, false);
        assert_eq!((luma.code(1.0), luma.code(0.0), chroma.code(0.5), chroma.code(-0.5)), (940, 64, 960, 64));
        assert_eq!(Quantiser::pair(8, ColorRange::Full, false)[1].code(0.5), 255);
    }

    #[test]
    fn a_matrix_without_coefficients_is_refused_by_name() {
        let error = Matrix::new(MatrixCoefficients::Bt2020Cl).unwrap_err().to_string();
        assert!(error.contains("bt2020c"), "{error}");
    }
}
