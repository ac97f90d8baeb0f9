//! Separable resampling of one plane: rows first, then columns, in 32-bit floats.
//!
//! Written out because pic-scale 0.7.12 cuts the last tap of its kernels wherever the phase is over a half
//! (bilinear enlargement to 3:2 gives 200 where 167 is right).

use std::f32::consts::PI;

use super::scale::ScaleFilter;
use crate::error::Result;
use crate::memory;

impl ScaleFilter {
    /// Half the width of the kernel, in source samples.
    const fn radius(self) -> f32 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos3 => 3.0,
        }
    }

    fn weight(self, x: f32) -> f32 {
        let x = x.abs();
        match self {
            _ if x >= self.radius() => 0.0,
            Self::Bilinear => 1.0 - x,
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Lanczos3 if x < 1e-4 => 1.0,
            Self::Lanczos3 => (PI * x).sin() * (PI * x / 3.0).sin() * 3.0 / (PI * PI * x * x),
        }
    }
}

/// The source samples that each new sample is made of: `len` from its start on, with their weights.
struct Taps {
    len: usize,
    starts: Vec<usize>,
    weights: Vec<f32>,
}

impl Taps {
    fn new(filter: ScaleFilter, from: usize, to: usize) -> Result<Self> {
        let step = from as f64 / to as f64;
        let widen = step.max(1.0);
        let radius = f64::from(filter.radius()) * widen;
        let len = ((2.0 * radius).floor() as usize + 1).min(from);
        let mut starts = memory::room(to)?;
        let mut weights = memory::room(to * len)?;
        for i in 0..to {
            let center = (i as f64 + 0.5) * step - 0.5;
            let (first, last) = ((center - radius).ceil() as i64, (center + radius).floor() as i64);
            let start = first.clamp(0, (from - len) as i64) as usize;
            let at = weights.len();
            weights.resize(at + len, 0.0);
            for j in first..=last {
                // Past the edge, the last sample goes on.
                let inside = j.clamp(start as i64, (start + len - 1) as i64) as usize;
                weights[at + inside - start] += filter.weight(((j as f64 - center) / widen) as f32);
            }
            let sum: f32 = weights[at..].iter().sum();
            weights[at..].iter_mut().for_each(|w| *w /= sum);
            starts.push(start);
        }
        Ok(Self { len, starts, weights })
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.starts.iter().copied().zip(self.weights.chunks_exact(self.len))
    }
}

/// A kind of sample.
pub(super) trait Sample: Copy {
    fn to_f32(self) -> f32;
    /// The nearest sample, within 0 and `max`.
    fn from_f32(value: f32, max: f32) -> Self;
}

impl Sample for u8 {
    fn to_f32(self) -> f32 {
        f32::from(self)
    }
    fn from_f32(value: f32, max: f32) -> Self {
        (value + 0.5).clamp(0.0, max) as Self
    }
}

impl Sample for u16 {
    fn to_f32(self) -> f32 {
        f32::from(self)
    }
    fn from_f32(value: f32, max: f32) -> Self {
        (value + 0.5).clamp(0.0, max) as Self
    }
}

impl Sample for f32 {
    fn to_f32(self) -> f32 {
        self
    }
    fn from_f32(value: f32, max: f32) -> Self {
        value.max(0.0).min(max)
    }
}

/// Resamples a plane of `N` interleaved channels from `from` (width, rows) to `to`.
pub(super) fn resample<'a, T: Sample + 'a, const N: usize>(
    row: impl Fn(usize) -> &'a [T],
    from: (usize, usize),
    to: (usize, usize),
    filter: ScaleFilter,
    max: f32,
) -> Result<Vec<T>> {
    let (columns, rows) = (Taps::new(filter, from.0, to.0)?, Taps::new(filter, from.1, to.1)?);
    let mut out = memory::room(to.0 * to.1 * N)?;
    let mut line = memory::filled([0.0_f32; N], from.0)?;
    for (start, weights) in rows.iter() {
        line.as_flattened_mut().fill(0.0);
        for (y, &weight) in (start..).zip(weights) {
            for (sum, &v) in line.as_flattened_mut().iter_mut().zip(row(y)) {
                *sum += weight * v.to_f32();
            }
        }
        for (start, weights) in columns.iter() {
            let mut sum = [0.0_f32; N];
            for (pixel, &weight) in line[start..start + weights.len()].iter().zip(weights) {
                sum.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += weight * v);
            }
            out.extend(sum.map(|v| T::from_f32(v, max)));
        }
    }
    Ok(out)
}
