//! The structural similarity of windows of 8x8 samples.
//!
//! With `n` samples in a window, and the sums of `a`, `b`, `a*a + b*b` and `a*b`, everything is multiplied by `n` as
//! often as it takes to stay with integers: means become sums, variances (of a sample, that is over `n - 1`) become
//! `n * sum of squares - square of sum`, and the two constants grow to fit.
//!
//! The first constant grows by `n` only, where the means grew by `n` squared: it is 64 times smaller than in the paper,
//! as in x264 and ffmpeg, with whose figures these can be compared. It matters in nearly black pictures only.

use super::blocks::Sums;

/// Samples of a window.
const SAMPLES: i32 = 64;
/// Windows that are computed at once.
const LANES: usize = 8;

/// `(K1 * peak)^2 * n` and `(K2 * peak)^2 * n * (n - 1)`, as integers.
fn constants(peak: u32) -> (i64, i64) {
    let square = |factor: f64| (factor * f64::from(peak)).powi(2) * f64::from(SAMPLES);
    ((square(0.01) + 0.5) as i64, (square(0.03) * f64::from(SAMPLES - 1) + 0.5) as i64)
}

/// The sum of the similarities of all windows between two rows of blocks, of which `blocks` are whole.
pub(super) fn sum_windows(above: &Sums, below: &Sums, blocks: usize, peak: u32) -> f64 {
    let (c1, c2) = constants(peak);
    if peak == 255 {
        // All intermediate values stay below 2^30.
        sum_by(above, below, blocks, |s| bytes(s, c1 as i32, c2 as i32))
    } else {
        sum_by(above, below, blocks, |s| words(s, c1 as f64, c2 as f64))
    }
}

/// The four sums of some neighbouring windows.
struct Lanes {
    a: [i32; LANES],
    b: [i32; LANES],
    squares: [i32; LANES],
    products: [i32; LANES],
}

fn sum_by(above: &Sums, below: &Sums, blocks: usize, similarity: impl Fn(&Lanes) -> [f32; LANES]) -> f64 {
    let windows = blocks.saturating_sub(1);
    let mut total = 0.0;
    let mut sums = [0_f32; LANES];
    let mut at = 0;
    while at < windows {
        let used = (windows - at).min(LANES);
        let lanes = Lanes {
            a: add(&above.a, &below.a, at, used),
            b: add(&above.b, &below.b, at, used),
            squares: add(&above.squares, &below.squares, at, used),
            products: add(&above.products, &below.products, at, used),
        };
        let values = similarity(&lanes);
        if used == LANES {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value;
            }
        } else {
            total += values.iter().take(used).map(|&v| f64::from(v)).sum::<f64>();
        }
        at += used;
    }
    total + sums.iter().map(|&v| f64::from(v)).sum::<f64>()
}

/// Two blocks of the row above and the two below them.
#[inline]
fn add(above: &[i32], below: &[i32], at: usize, used: usize) -> [i32; LANES] {
    let mut out = [0; LANES];
    if used == LANES
        && let (Some(above), Some(below)) = (above.get(at..=at + LANES), below.get(at..=at + LANES))
    {
        for (i, out) in out.iter_mut().enumerate() {
            *out = above[i] + above[i + 1] + below[i] + below[i + 1];
        }
    } else {
        for (i, out) in out.iter_mut().enumerate().take(used) {
            let two = |row: &[i32]| row.iter().skip(at + i).take(2).sum::<i32>();
            *out = two(above) + two(below);
        }
    }
    out
}

#[inline]
fn bytes(s: &Lanes, c1: i32, c2: i32) -> [f32; LANES] {
    std::array::from_fn(|i| {
        let (a, b) = (s.a[i], s.b[i]);
        let (means, product) = (a * a + b * b, a * b);
        let variances = s.squares[i] * SAMPLES - means;
        let covariance = s.products[i] * SAMPLES - product;
        let over = (2 * product + c1) as f32 * (2 * covariance + c2) as f32;
        over / ((means + c1) as f32 * (variances + c2) as f32)
    })
}

/// In floating point, where all but the last two products are still exact integers (below 2^53).
#[inline]
fn words(s: &Lanes, c1: f64, c2: f64) -> [f32; LANES] {
    std::array::from_fn(|i| {
        let (a, b) = (f64::from(s.a[i]), f64::from(s.b[i]));
        let (means, product) = (a * a + b * b, a * b);
        let samples = f64::from(SAMPLES);
        let variances = f64::from(s.squares[i]) * samples - means;
        let covariance = f64::from(s.products[i]) * samples - product;
        let over = (2.0 * product + c1) * (2.0 * covariance + c2);
        (over / ((means + c1) * (variances + c2))) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(value: i32, blocks: usize) -> Sums {
        Sums {
            a: vec![16 * value; blocks],
            b: vec![0; blocks],
            squares: vec![16 * value * value; blocks],
            products: vec![0; blocks],
        }
    }

    /// Flat white against flat black: no variance, so that c1 / (peak^2 + c1) is left.
    #[test]
    fn white_against_black_is_the_first_constant() {
        for (peak, scale) in [(255_u32, 255.0_f64), (1023, 1023.0), (4095, 4095.0)] {
            let c1 = (0.01 * scale).powi(2) / 64.0;
            let expected = c1 / (scale * scale + c1);
            for blocks in [2, 3, 9, 10, 40] {
                let sums = flat(peak as i32, blocks);
                let mean = sum_windows(&sums, &sums, blocks, peak) / (blocks - 1) as f64;
                assert!(
                    (mean - expected).abs() < 1e-3 * expected,
                    "{peak} {blocks}: {mean} is not {expected}"
                );
            }
        }
    }

    #[test]
    fn one_block_has_no_window() {
        let sums = flat(255, 1);
        assert_eq!(sum_windows(&sums, &sums, 1, 255).to_bits(), 0.0_f64.to_bits());
        assert_eq!(sum_windows(&sums, &sums, 0, 255).to_bits(), 0.0_f64.to_bits());
    }
}
