//! `vhw_scale_*`: Y'CbCr to R, G, B of another size. Each plane is resampled by a triangle with aligned outer edges,
//! wider where the picture shrinks, in 64-bit floats; chroma of 4:2:0 is then repeated. A thread makes one pixel.

use super::picture::{BYTES, Picture, Plane};
use super::{Kernel, Launch, Touch};

macro_rules! kernel {
    ($constant:ident, $name:literal, $bytes:literal, $semi:literal) => {
        pub(super) const $constant: Kernel = Kernel {
            name: $name,
            parameters: &[BYTES],
            touches: |launch| touches(launch, $bytes, $semi),
            run: |launch| run(launch, $bytes, $semi),
        };
    };
}

kernel!(SEMI8, "vhw_scale_semi8", 1, true);
kernel!(SEMI16, "vhw_scale_semi16", 2, true);
kernel!(PLANAR8, "vhw_scale_planar8", 1, false);
kernel!(PLANAR16, "vhw_scale_planar16", 2, false);

/// Source samples and their weights, which sum to 1.
type Taps = Vec<(u64, f64)>;

fn taps(at: u64, from: u64, to: u64) -> Taps {
    let step = from as f64 / to as f64;
    let (center, half) = ((at as f64 + 0.5) * step - 0.5, step.max(1.0));
    let (first, last) = ((center - half).ceil() as i64, (center + half).floor() as i64);
    let all: Taps = (first..=last)
        .map(|tap| {
            let weight = (1.0 - (tap as f64 - center).abs() / half).max(0.0);
            (tap.clamp(0, from as i64 - 1) as u64, weight)
        })
        .collect();
    let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
    all.into_iter().map(|(tap, weight)| (tap, weight / sum)).collect()
}

fn axis(covered: u64, from: u64, to: u64) -> Vec<Taps> {
    (0..covered).map(|at| taps(at, from, to)).collect()
}

/// Samples up to the last one that is read.
fn reach(axis: &[Taps]) -> u64 {
    axis.iter().flatten().map(|(tap, _)| tap + 1).max().unwrap_or(0)
}

/// Taps along both axes, of luma and of chroma.
struct Grid {
    luma: [Vec<Taps>; 2],
    chroma: [Vec<Taps>; 2],
}

impl Grid {
    fn of(picture: &Picture, launch: &Launch, semi: bool) -> Self {
        let covered = [picture.width.min(launch.threads(0)), picture.height.min(launch.threads(1))];
        let (from, to) = ([picture.source_width, picture.source_height], [picture.width, picture.height]);
        let halved = |value: u64| if semi { value.div_ceil(2) } else { value };
        let of = |covered: u64, from: u64, to: u64| {
            if from == 0 || to == 0 { Vec::new() } else { axis(covered, from, to) }
        };
        Self {
            luma: [0, 1].map(|i| of(covered[i], from[i], to[i])),
            chroma: [0, 1].map(|i| of(halved(covered[i]), halved(from[i]), halved(to[i]))),
        }
    }
}

fn touches(launch: &Launch, bytes: u64, semi: bool) -> Vec<Touch> {
    let picture = Picture::of(launch);
    let grid = Grid::of(&picture, launch, semi);
    let area = |axes: &[Vec<Taps>; 2]| (reach(&axes[0]), reach(&axes[1]));
    let mut out = Vec::new();
    picture.reads(bytes, semi, area(&grid.luma), area(&grid.chroma), &mut out);
    picture.writes((grid.luma[0].len() as u64, grid.luma[1].len() as u64), &mut out);
    out
}

/// # Safety
/// `touches` named the samples.
unsafe fn mean(
    plane: Plane,
    bytes: u64,
    shift: u32,
    across: &Taps,
    down: &Taps,
    place: impl Fn(u64) -> u64,
) -> f64 {
    let mut sum = 0.0;
    for (y, by_row) in down {
        for (x, by_column) in across {
            // SAFETY: promised by the caller.
            let word = unsafe { plane.sample(bytes, place(*x), *y) };
            sum += by_row * by_column * f64::from(word >> shift);
        }
    }
    sum
}

fn run(launch: &Launch, bytes: u64, semi: bool) {
    let picture = Picture::of(launch);
    let grid = Grid::of(&picture, launch, semi);
    let [luma, first, second] = picture.source;
    let shift = picture.shift;
    for (y, down) in grid.luma[1].iter().enumerate() {
        for (x, across) in grid.luma[0].iter().enumerate() {
            // SAFETY: `touches` named these samples and pixels.
            unsafe {
                let light = mean(luma, bytes, shift, across, down, |x| x);
                let (cb, cr) = if semi {
                    let (across, down) = (&grid.chroma[0][x / 2], &grid.chroma[1][y / 2]);
                    let pair = |which| mean(first, bytes, shift, across, down, |x| 2 * x + which);
                    (pair(0), pair(1))
                } else {
                    (
                        mean(first, bytes, shift, across, down, |x| x),
                        mean(second, bytes, shift, across, down, |x| x),
                    )
                };
                picture.pixel(x as u64, y as u64, [light, cb, cr]);
            }
        }
    }
}
