//! `vhw_convert_*`: Y'CbCr to R, G, B at the same size, and `vhw_shift16`: samples moved to the low bits. A thread makes
//! four columns (and two rows, where it converts).

use super::picture::{BYTES, Picture};
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

kernel!(SEMI8, "vhw_convert_semi8", 1, true);
kernel!(SEMI16, "vhw_convert_semi16", 2, true);
kernel!(PLANAR8, "vhw_convert_planar8", 1, false);
kernel!(PLANAR16, "vhw_convert_planar16", 2, false);

pub(super) const SHIFT16: Kernel =
    Kernel { name: "vhw_shift16", parameters: &[BYTES], touches: shift_touches, run: shift };

/// Columns and rows that have a thread.
fn covered(picture: &Picture, launch: &Launch, rows_of_thread: u64) -> (u64, u64) {
    (picture.width.min(4 * launch.threads(0)), picture.height.min(rows_of_thread * launch.threads(1)))
}

fn chroma_of(luma: (u64, u64), semi: bool) -> (u64, u64) {
    if semi { (luma.0.div_ceil(2), luma.1.div_ceil(2)) } else { luma }
}

fn touches(launch: &Launch, bytes: u64, semi: bool) -> Vec<Touch> {
    let picture = Picture::of(launch);
    let luma = covered(&picture, launch, 2);
    let mut out = Vec::new();
    picture.reads(bytes, semi, luma, chroma_of(luma, semi), &mut out);
    picture.writes(luma, &mut out);
    out
}

fn run(launch: &Launch, bytes: u64, semi: bool) {
    let picture = Picture::of(launch);
    let (width, height) = covered(&picture, launch, 2);
    let [luma, first, second] = picture.source;
    for y in 0..height {
        for x in 0..width {
            // SAFETY: `touches` named these samples and pixels.
            unsafe {
                let (cb, cr) = if semi {
                    let (x, y) = (x / 2 * 2, y / 2);
                    (first.sample(bytes, x, y), first.sample(bytes, x + 1, y))
                } else {
                    (first.sample(bytes, x, y), second.sample(bytes, x, y))
                };
                let codes = [luma.sample(bytes, x, y), cb, cr].map(|word| f64::from(word >> picture.shift));
                picture.pixel(x, y, codes);
            }
        }
    }
}

fn shift_touches(launch: &Launch) -> Vec<Touch> {
    let picture = Picture::of(launch);
    let covered = covered(&picture, launch, 1);
    let mut out = Vec::new();
    // Every layer of the grid is a plane: all of them, or the copy would be half of one.
    if launch.threads(2) >= 3 {
        picture.reads(2, false, covered, covered, &mut out);
        picture.sample_writes(covered, &mut out);
    }
    out
}

fn shift(launch: &Launch) {
    let picture = Picture::of(launch);
    if launch.threads(2) < 3 {
        return;
    }
    let (width, height) = covered(&picture, launch, 1);
    for (from, to) in picture.source.into_iter().zip(picture.target) {
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            // SAFETY: `touches` named these samples.
            unsafe {
                let sample = (from.sample(2, x, y) >> picture.shift) as u16;
                to.write(y, x * 2, &sample.to_le_bytes());
            }
        }
    }
}
