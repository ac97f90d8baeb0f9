//! `nvsim_fill_u8(u64 address, u64 pitch, u32 width, u32 height, u8 value)`: thread (x, y) writes the value at
//! `address + y * pitch + x` when x < width and y < height. The sample of how a kernel is written: a grid that does
//! not cover the rectangle leaves the rest of it alone, as on a card.

use super::{Kernel, Launch, Touch};

pub(super) const FILL_U8: Kernel =
    Kernel { name: "nvsim_fill_u8", parameters: &[8, 8, 4, 4, 1], touches, run };

/// Rows and columns that have a thread.
fn covered(launch: &Launch) -> (u64, u64) {
    (launch.number(2).min(launch.threads(0)), launch.number(3).min(launch.threads(1)))
}

fn touches(launch: &Launch) -> Vec<Touch> {
    let (width, height) = covered(launch);
    if width == 0 || height == 0 {
        return Vec::new();
    }
    let (address, pitch) = (launch.number(0), launch.number(1));
    // A span that overflows lies outside every allocation.
    let length = (height - 1).checked_mul(pitch).and_then(|rows| rows.checked_add(width)).unwrap_or(u64::MAX);
    vec![Touch { address, length, writes: true }]
}

fn run(launch: &Launch) {
    let (width, height) = covered(launch);
    let (address, pitch, value) = (launch.number(0), launch.number(1), launch.number(4) as u8);
    for y in 0..height {
        let row = (address + y * pitch) as usize as *mut u8;
        // SAFETY: `touches` named these bytes, and they were found to be allocated.
        unsafe { std::ptr::write_bytes(row, value, width as usize) };
    }
}
