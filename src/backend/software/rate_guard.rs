//! Less detail where a bit rate cannot be kept otherwise. The library's rate control ends at quantiser 51, by which noise may take
//! many times the rate, and the quantiser of an IDR picture hardly depends on the picture. Frames are not skipped; they lose
//! detail before they are coded.

use super::driver::openh264::{Parameters, PlaneRef, Rate};
use crate::error::Result;
use crate::memory;
use crate::time::Rational;

/// Pictures are averaged over squares of up to 16x16 samples, two to the power of this.
const MOST: u8 = 4;
/// Average quantiser from which rate control cannot reduce the rate further.
const SPENT_QP: u32 = 50;
/// Average quantiser up to which the rate allows twice the detail.
const ROOMY_QP: u32 = 40;
/// The share of the rate that a stream may take in the long run.
const SHARE: f64 = 1.05;

/// Counts the bits of a stream with a rate, and decides on the detail of its pictures.
pub(super) struct RateGuard {
    /// Bits of a frame at the rate.
    frame: f64,
    /// Bits beyond the rate that are too many.
    limit: f64,
    /// Most bits of an IDR picture.
    idr_limit: f64,
    /// Frames from one IDR picture to the next, and those since the last one.
    gop: u32,
    since_idr: Option<u32>,
    /// Bits beyond the rate up to now.
    debt: f64,
    /// Two to the power of this is the side of the squares.
    level: u8,
    /// `level` of IDR pictures.
    idr_level: u8,
    /// Frames before more detail is tried, to begin with, now, and what is left of them.
    first_hold: u32,
    hold: u32,
    left: u32,
}

impl RateGuard {
    /// `None` without a bit rate. `frame_rate` is the true one.
    pub(super) fn new(parameters: &Parameters, frame_rate: Rational) -> Option<Self> {
        let Rate::Average(bits) = parameters.rate else { return None };
        let frame = f64::from(bits) / f64::from(parameters.frame_rate);
        let (second, gop) = (frame_rate.as_f64(), parameters.idr_period);
        let first_hold = (second / 4.0).clamp(1.0, 250.0) as u32;
        Some(Self {
            frame,
            limit: (frame * second * 0.3).max(frame),
            idr_limit: 0.85 * frame * second.min(f64::from(gop)),
            gop,
            since_idr: None,
            debt: 0.0,
            level: 0,
            idr_level: 0,
            first_hold,
            hold: first_hold,
            left: 0,
        })
    }

    /// The level of the next picture.
    pub(super) fn level(&self, forced: bool) -> u8 {
        let due = forced || self.since_idr.is_none_or(|since| since >= self.gop);
        if due { self.level.max(self.idr_level) } else { self.level }
    }

    /// Judges an IDR picture: the level at which it has to be coded again, if it is too large.
    pub(super) fn again(&mut self, bits: usize, level: u8) -> Option<u8> {
        let excess = bits as f64 / (self.idr_limit - self.debt).max(self.frame);
        if excess > 1.0 && level < MOST {
            // A level more takes away a half at least.
            let more = excess.log2().ceil().clamp(1.0, f64::from(MOST - level)) as u8;
            self.idr_level = level + more;
            return Some(self.idr_level);
        }
        if excess < 0.25 {
            self.idr_level = level.saturating_sub(1);
        }
        None
    }

    /// Counts a picture that was coded at a level. `qp` is its average quantiser.
    pub(super) fn count(&mut self, idr: bool, bits: usize, level: u8, qp: u32) {
        self.since_idr = Some(if idr { 1 } else { self.since_idr.unwrap_or(0).saturating_add(1) });
        let (bits, allowed) = (bits as f64, SHARE * self.frame);
        self.debt = (self.debt + bits - allowed).max(0.0);
        self.left = self.left.saturating_sub(1);
        if idr {
            // An IDR picture at a finer level would exceed the rate, and the following pictures would pay for it.
            if level > self.level {
                (self.level, self.left) = (level, self.hold);
            }
        } else if bits > allowed && self.debt > self.limit && (qp >= SPENT_QP || bits > self.limit) {
            if self.level < MOST {
                // Detail that has to go again so soon is tried later.
                self.hold =
                    if self.left > 0 { (2 * self.hold).min(64 * self.first_hold) } else { self.first_hold };
                self.level += 1;
            }
            self.left = self.hold;
        } else if qp <= ROOMY_QP && self.debt < self.limit && self.left == 0 && self.level > 0 {
            self.level -= 1;
            self.left = self.hold;
        }
    }
}

/// Writes a plane into `out` whose squares each have the average of their samples.
///
/// # Errors
/// Memory that is refused.
pub(super) fn average_squares(
    (data, stride): PlaneRef<'_>,
    (width, rows): (usize, usize),
    level: u8,
    out: &mut Vec<u8>,
) -> Result<()> {
    let side = 1_usize << level;
    out.clear();
    memory::grow(out, width * rows)?;
    let mut averages = Vec::with_capacity(width.div_ceil(side));
    for top in (0..rows).step_by(side) {
        let band: Vec<&[u8]> = (top..rows.min(top + side))
            .filter_map(|row| data.get(row * stride..row * stride + width))
            .collect();
        averages.clear();
        averages.extend((0..width).step_by(side).map(|left| {
            let right = width.min(left + side);
            let sum: u32 =
                band.iter().flat_map(|row| &row[left..right]).map(|sample| u32::from(*sample)).sum();
            let count = (band.len() * (right - left)).max(1) as u32;
            ((sum + count / 2) / count) as u8
        }));
        for _ in 0..band.len() {
            out.extend((0..width).map(|x| averages[x >> level]));
        }
    }
    Ok(())
}
