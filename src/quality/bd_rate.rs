//! The mean distance of two rate-distortion curves (Bjontegaard, VCEG-M33, 2001).
//!
//! Each curve runs through its points, on a logarithmic axis of rates. BD-rate is the mean horizontal distance over
//! the qualities that both curves reach, told as a change of the rate; the BD difference of quality is the mean
//! vertical distance over the rates that both reach.

use crate::error::{Error, Result};

/// One encoding: what it cost and how good it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatePoint {
    /// Bits per second; any unit will do, if it is the same everywhere.
    pub rate: f64,
    /// PSNR, or any other quality that grows with the rate.
    pub quality: f64,
}

/// How a curve is laid through its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// One polynomial of third degree, by least squares where there are more than four points: the original method.
    /// It may swing between points that lie far apart.
    Cubic,
    /// Piecewise cubic Hermite with the slopes of Fritsch and Butland, which is monotone where the points are: that of
    /// the common test conditions of HEVC and VVC.
    #[default]
    Pchip,
}

impl Interpolation {
    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Pchip => "pchip",
        }
    }

    const fn points_needed(self) -> usize {
        match self {
            Self::Cubic => 4,
            Self::Pchip => 2,
        }
    }
}

/// The mean difference in rate of `test` against `anchor` at the same quality, in per cent: -10 saves a tenth.
///
/// # Errors
/// [`Error::InvalidInput`], in words for people, when there are too few points, when rates or qualities are no
/// positive finite numbers or do not grow together, or when the curves have no quality in common.
///
/// ```
/// use video_hw::quality::{Interpolation, RatePoint, bd_rate};
///
/// # fn main() -> video_hw::Result<()> {
/// let curve = |factor: f64| [1.0, 2.0, 4.0, 8.0].map(|mbps: f64| RatePoint {
///     rate: factor * mbps,
///     quality: 30.0 + 3.0 * mbps.log2(),
/// });
/// let saved = bd_rate(&curve(1.0), &curve(0.9), Interpolation::Pchip)?;
/// assert!((saved + 10.0).abs() < 1e-9);
/// # Ok(()) }
/// ```
pub fn bd_rate(anchor: &[RatePoint], test: &[RatePoint], method: Interpolation) -> Result<f64> {
    let difference = mean_difference(anchor, test, method, Axis::Quality)?;
    Ok((10_f64.powf(difference) - 1.0) * 100.0)
}

/// The mean difference in quality of `test` against `anchor` at the same rate, in the unit of the qualities.
///
/// # Errors
/// As [`bd_rate`].
pub fn bd_quality(anchor: &[RatePoint], test: &[RatePoint], method: Interpolation) -> Result<f64> {
    mean_difference(anchor, test, method, Axis::Rate)
}

/// What the curves are functions of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Axis {
    Quality,
    Rate,
}

fn mean_difference(
    anchor: &[RatePoint],
    test: &[RatePoint],
    method: Interpolation,
    axis: Axis,
) -> Result<f64> {
    let anchor = Curve::new("anchor", anchor, method, axis)?;
    let test = Curve::new("test", test, method, axis)?;
    let (from, to) = (anchor.first().max(test.first()), anchor.last().min(test.last()));
    if from >= to {
        let (what, unit) = match axis {
            Axis::Quality => ("quality", ""),
            Axis::Rate => ("rate", " (decades)"),
        };
        return Err(Error::invalid(format!(
            "the two curves have no {what} in common: the anchor covers {:.3} to {:.3}{unit}, the test {:.3} to {:.3}",
            anchor.first(),
            anchor.last(),
            test.first(),
            test.last()
        )));
    }
    let (origin, method) = (from, method);
    Ok((test.integral(origin, to, method) - anchor.integral(origin, to, method)) / (to - from))
}

/// Points in the order of `x`, which grows strictly.
struct Curve {
    x: Vec<f64>,
    y: Vec<f64>,
}

impl Curve {
    fn new(name: &str, points: &[RatePoint], method: Interpolation, axis: Axis) -> Result<Self> {
        let needed = method.points_needed();
        if points.len() < needed {
            return Err(Error::invalid(format!(
                "the {name} curve has {} points, {} needs {needed}",
                points.len(),
                method.name()
            )));
        }
        let mut points = points.to_vec();
        for point in &points {
            if !(point.rate.is_finite() && point.rate > 0.0 && point.quality.is_finite()) {
                return Err(Error::invalid(format!(
                    "the {name} curve has a point of rate {} and quality {}; both must be finite, the rate above 0",
                    point.rate, point.quality
                )));
            }
        }
        points.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        if let Some([low, high]) =
            points.array_windows().find(|[a, b]| a.rate >= b.rate || a.quality >= b.quality)
        {
            return Err(Error::invalid(format!(
                "the {name} curve does not rise: rate {:.0} has quality {:.3}, rate {:.0} has {:.3}",
                low.rate, low.quality, high.rate, high.quality
            )));
        }
        let rate = points.iter().map(|point| point.rate.log10()).collect();
        let quality = points.iter().map(|point| point.quality).collect();
        Ok(match axis {
            Axis::Quality => Self { x: quality, y: rate },
            Axis::Rate => Self { x: rate, y: quality },
        })
    }

    fn first(&self) -> f64 {
        self.x.first().copied().unwrap_or(0.0)
    }

    fn last(&self) -> f64 {
        self.x.last().copied().unwrap_or(0.0)
    }

    fn integral(&self, from: f64, to: f64, method: Interpolation) -> f64 {
        match method {
            Interpolation::Cubic => {
                let middle = f64::midpoint(self.first(), self.last());
                let cubic = self.least_squares(middle);
                integrate(cubic, to - middle) - integrate(cubic, from - middle)
            }
            Interpolation::Pchip => self.pchip_integral(from, to),
        }
    }

    /// Coefficients of the cubic in `x - middle`, the lowest power first. Centred, so that the equations stay well
    /// conditioned.
    fn least_squares(&self, middle: f64) -> [f64; 4] {
        // The normal equations, with the right side as a fifth column.
        let mut rows = [[0.0; 5]; 4];
        for (x, y) in self.x.iter().zip(&self.y) {
            let x = x - middle;
            let powers = [1.0, x, x * x, x * x * x];
            for (row, left) in rows.iter_mut().zip(powers) {
                for (cell, right) in row.iter_mut().zip(powers) {
                    *cell += left * right;
                }
                row[4] += left * y;
            }
        }
        solve(rows)
    }

    /// The integral of the piecewise interpolant: on each piece that of its cubic.
    fn pchip_integral(&self, from: f64, to: f64) -> f64 {
        let slopes = self.pchip_slopes();
        let mut total = 0.0;
        for i in 0..self.x.len().saturating_sub(1) {
            let (x0, x1, y0, y1) = (self.x[i], self.x[i + 1], self.y[i], self.y[i + 1]);
            let (start, end) = (x0.max(from), x1.min(to));
            if start >= end {
                continue;
            }
            let width = x1 - x0;
            let secant = (y1 - y0) / width;
            let (d0, d1) = (slopes[i], slopes[i + 1]);
            let second = (3.0 * secant - 2.0 * d0 - d1) / width;
            let third = (d0 + d1 - 2.0 * secant) / (width * width);
            let cubic = [y0, d0, second, third];
            total += integrate(cubic, end - x0) - integrate(cubic, start - x0);
        }
        total
    }

    /// Slopes at the points: within, the harmonic mean of the neighbouring secants, weighted by the widths; at the
    /// ends the slope of a parabola through three points, held back so that the curve stays monotone.
    fn pchip_slopes(&self) -> Vec<f64> {
        let widths: Vec<f64> = self.x.array_windows().map(|[a, b]| b - a).collect();
        let rises = self.y.array_windows().map(|[a, b]| b - a);
        let secants: Vec<f64> = rises.zip(&widths).map(|(rise, width)| rise / width).collect();
        let last = secants.len() - 1;
        if last == 0 {
            return vec![secants[0]; 2];
        }
        let mut slopes = vec![end_slope(widths[0], widths[1], secants[0], secants[1])];
        for i in 0..last {
            let (w0, w1, s0, s1) = (widths[i], widths[i + 1], secants[i], secants[i + 1]);
            slopes.push(if s0 * s1 > 0.0 {
                let (a, b) = (2.0 * w1 + w0, w1 + 2.0 * w0);
                (a + b) / (a / s0 + b / s1)
            } else {
                0.0
            });
        }
        slopes.push(end_slope(widths[last], widths[last - 1], secants[last], secants[last - 1]));
        slopes
    }
}

fn end_slope(near: f64, far: f64, secant: f64, next: f64) -> f64 {
    let slope = ((2.0 * near + far) * secant - near * next) / (near + far);
    if slope * secant <= 0.0 {
        0.0
    } else if secant * next <= 0.0 && slope.abs() > 3.0 * secant.abs() {
        3.0 * secant
    } else {
        slope
    }
}

/// The integral of a cubic from 0 to `x`.
fn integrate(cubic: [f64; 4], x: f64) -> f64 {
    x * (cubic[0] + x * (cubic[1] / 2.0 + x * (cubic[2] / 3.0 + x * cubic[3] / 4.0)))
}

/// Gauss' elimination with the largest pivot of each column.
fn solve(mut rows: [[f64; 5]; 4]) -> [f64; 4] {
    for column in 0..4 {
        let largest = (column..4).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
        rows.swap(column, largest.unwrap_or(column));
        let pivot = rows[column];
        for row in rows.iter_mut().skip(column + 1) {
            let factor = row[column] / pivot[column];
            for (cell, above) in row.iter_mut().zip(pivot) {
                *cell -= factor * above;
            }
        }
    }
    let mut solution = [0.0; 4];
    for column in (0..4).rev() {
        let known: f64 = (column + 1..4).map(|i| rows[column][i] * solution[i]).sum();
        solution[column] = (rows[column][4] - known) / rows[column][column];
    }
    solution
}
