//! Interlaced pictures to progressive ones, one for one.
//!
//! The field that is shown first stays as it is. Each row of the other one lies at another time; what would be there at the
//! time of the first field is estimated from the rows above and below along the direction in which they agree best, and
//! held to what the other field showed shortly before and shortly after: where nothing moves the row is taken from there, so
//! that still parts keep their full resolution, and the more moves, the further it may be from it.

use super::samples::{Samples, load, store};
use super::to_host;
use crate::error::Result;
use crate::frame::{FieldOrder, Frame, Surface};
use crate::memory;

/// Makes progressive pictures of interlaced ones. Needs the pictures before and after each, so it gives a picture when it
/// gets the next one.
#[derive(Debug, Default)]
pub(crate) struct Deinterlacer {
    before: Option<Picture>,
    now: Option<Picture>,
    done: u64,
}

/// A picture and its components.
#[derive(Debug)]
struct Picture {
    frame: Frame,
    parts: Vec<Samples>,
}

impl Picture {
    fn new(frame: Frame) -> Result<Self> {
        let frame = to_host(frame)?;
        let parts = match frame.as_host() {
            // Without chroma of their own rows R, G, B would need other arithmetic; decoders give none of interlaced pictures.
            Some(host) if !frame.format.is_rgb() => {
                (0..3).map(|component| load(host, component)).collect::<Result<_>>()?
            }
            _ => Vec::new(),
        };
        Ok(Self { frame, parts })
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.frame.dimensions, self.frame.format) == (other.frame.dimensions, other.frame.format)
    }
}

impl Deinterlacer {
    /// At the start of a sequence.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the next picture and gives the one before it, progressive ones and single fields as they are.
    ///
    /// # Errors
    /// A picture that cannot be brought to host memory.
    pub(crate) fn push(&mut self, frame: Frame) -> Result<Option<Frame>> {
        let next = Picture::new(frame)?;
        let Some(now) = self.now.take() else {
            self.now = Some(next);
            return Ok(None);
        };
        let shown = self.progressive(&now, Some(&next))?;
        (self.before, self.now) = (Some(now), Some(next));
        Ok(Some(shown))
    }

    /// Gives the last picture.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(crate) fn finish(&mut self) -> Result<Option<Frame>> {
        let now = self.now.take();
        let shown = now.as_ref().map(|now| self.progressive(now, None)).transpose()?;
        self.before = None;
        Ok(shown)
    }

    /// Pictures that were interlaced.
    pub(crate) const fn done(&self) -> u64 {
        self.done
    }

    fn progressive(&mut self, now: &Picture, next: Option<&Picture>) -> Result<Frame> {
        let keep_top = match now.frame.fields {
            Some(FieldOrder::TopFirst) => true,
            Some(FieldOrder::BottomFirst) => false,
            Some(FieldOrder::Single) | None => return Ok(now.frame.clone()),
        };
        if now.parts.is_empty() {
            return Ok(now.frame.clone());
        }
        // A picture of another size is none of its neighbours.
        let before = self.before.as_ref().filter(|before| before.is_like(now)).unwrap_or(now);
        let after = next.filter(|next| next.is_like(now)).unwrap_or(now);
        let parts: Vec<_> = before
            .parts
            .iter()
            .zip(&now.parts)
            .zip(&after.parts)
            .map(|((before, now), after)| fill(before, now, after, keep_top))
            .collect::<Result<_>>()?;
        let surface = store(now.frame.format, now.frame.dimensions, &parts)?;
        self.done += 1;
        Ok(Frame { fields: None, surface: Surface::Host(surface), ..now.frame.clone() })
    }
}

/// One component with the rows of the second field estimated at the time of the first.
fn fill(before: &Samples, now: &Samples, after: &Samples, keep_top: bool) -> Result<Samples> {
    let rows = now.rows;
    let mut data = memory::room(now.data.len())?;
    for y in 0..rows {
        if (y % 2 == 0) == keep_top || rows < 2 {
            data.extend_from_slice(row(now, y));
            continue;
        }
        // At the edges there is one neighbour.
        let above = y.checked_sub(1).unwrap_or(y + 1);
        let below = if y + 1 < rows { y + 1 } else { y - 1 };
        let far = (y >= 2 && y + 2 < rows).then(|| [y - 2, y + 2].map(|y| [row(before, y), row(now, y)]));
        let lines = Lines {
            above: row(now, above),
            below: row(now, below),
            other: [row(before, y), row(now, y)],
            earlier: [row(before, above), row(before, below)],
            later: [row(after, above), row(after, below)],
            far,
        };
        data.extend((0..now.width).map(|x| lines.estimate(x)));
    }
    Ok(Samples { data, width: now.width, rows })
}

fn row(samples: &Samples, y: usize) -> &[u16] {
    samples.data.get(y * samples.width..(y + 1) * samples.width).unwrap_or_default()
}

/// The rows around one that is estimated.
struct Lines<'a> {
    above: &'a [u16],
    below: &'a [u16],
    /// The row itself in the other field, shortly before and shortly after.
    other: [&'a [u16]; 2],
    /// The rows above and below in the first field of the picture before, and of the one after.
    earlier: [&'a [u16]; 2],
    later: [&'a [u16]; 2],
    /// The rows of the other field two above and two below, each shortly before and shortly after.
    far: Option<[[&'a [u16]; 2]; 2]>,
}

impl Lines<'_> {
    fn estimate(&self, x: usize) -> u16 {
        let (up, down) = (at(self.above, x), at(self.below, x));
        let [sooner, later] = self.other.map(|row| at(row, x));
        let middle = i32::midpoint(sooner, later);
        let moved =
            |rows: &[&[u16]; 2]| i32::midpoint((at(rows[0], x) - up).abs(), (at(rows[1], x) - down).abs());
        let mut room = ((sooner - later).abs() / 2).max(moved(&self.earlier)).max(moved(&self.later));
        if let Some(far) = &self.far {
            // Rows that go up and down by turns are combed: the other field does not belong here, whatever is still.
            let [high, low] = far.map(|rows| i32::midpoint(at(rows[0], x), at(rows[1], x)));
            let (over, under) = (high - up, low - down);
            let most = (middle - down).max(middle - up).max(over.min(under));
            let least = (middle - down).min(middle - up).min(over.max(under));
            room = room.max(least).max(-most);
        }
        let along = self.along(x);
        // Never below zero or over the largest code: it lies between values that are neither.
        along.clamp(middle - room, middle + room).clamp(0, i32::from(u16::MAX)) as u16
    }

    /// The mean of the two nearest rows along the direction in which they agree best.
    fn along(&self, x: usize) -> i32 {
        let differ = |lean: isize| -> i32 {
            (-1..=1).map(|k| (near(self.above, x, k + lean) - near(self.below, x, k - lean)).abs()).sum()
        };
        let mut best = (differ(0) - 1, 0);
        for side in [-1, 1] {
            // The steeper lean only where the flatter one is better than none.
            for lean in [side, 2 * side] {
                let found = differ(lean);
                if found >= best.0 {
                    break;
                }
                best = (found, lean);
            }
        }
        i32::midpoint(near(self.above, x, best.1), near(self.below, x, -best.1))
    }
}

fn at(row: &[u16], x: usize) -> i32 {
    row.get(x).copied().map_or(0, i32::from)
}

/// The sample `by` beside `x`, or the last one on that side.
fn near(row: &[u16], x: usize, by: isize) -> i32 {
    let last = row.len().saturating_sub(1);
    at(row, x.saturating_add_signed(by).min(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dimensions::Dimensions;
    use crate::frame::HostSurface;
    use crate::pixel::PixelFormat;
    use crate::time::{TimeBase, Timestamp};

    const SIDE: usize = 32;

    /// A slanted edge `shift` to the right.
    fn shade(x: usize, y: usize, shift: usize) -> u8 {
        if x > y / 2 + shift { 200 } else { 40 + (x * 2) as u8 }
    }

    /// Picture `n` at `speed` samples a field, as it is woven of two fields, and as it is at the time of its first.
    fn picture(n: usize, speed: usize, order: FieldOrder, format: PixelFormat) -> (Frame, Vec<u8>) {
        let size = Dimensions::new(SIDE as u32, SIDE as u32).unwrap();
        let first = usize::from(order == FieldOrder::BottomFirst);
        let field = |y: usize| 2 * n + usize::from(y % 2 != first);
        let all = |time: &dyn Fn(usize) -> usize| -> Vec<u8> {
            (0..SIDE * SIDE).map(|i| shade(i % SIDE, i / SIDE, speed * time(i / SIDE))).collect()
        };
        let chroma = PixelFormat::Nv12.frame_bytes(size) - SIDE * SIDE;
        let mut data = all(&field);
        if format != PixelFormat::Gray8 {
            data.resize(SIDE * SIDE + chroma, 128);
        }
        let surface = HostSurface::from_packed(format, size, data).unwrap();
        let pts = Timestamp::new(n as i64, TimeBase::new(1, 25).unwrap());
        (Frame { fields: Some(order), ..Frame::host(pts, surface) }, all(&|_| 2 * n))
    }

    /// The worst difference from the truth in picture 1 of three.
    fn worst(speed: usize, order: FieldOrder, format: PixelFormat) -> (u8, u8) {
        let mut deinterlacer = Deinterlacer::new();
        let all: Vec<_> = (0..3).map(|n| picture(n, speed, order, format)).collect();
        let mut out = Vec::new();
        for (frame, _) in &all {
            out.extend(deinterlacer.push(frame.clone()).unwrap());
        }
        out.extend(deinterlacer.finish().unwrap());
        assert_eq!((out.len(), deinterlacer.done()), (3, 3));
        assert!(out.iter().zip(&all).all(|(frame, (woven, _))| frame.pts == woven.pts));
        assert!(out.iter().all(|frame| frame.fields.is_none() && frame.format == format));
        let differ = |frame: &Frame| {
            let luma = frame.as_host().unwrap().plane(0).unwrap().data();
            luma.iter().zip(&all[1].1).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
        };
        (differ(&out[1]), differ(&all[1].0))
    }

    #[test]
    fn still_parts_stay_as_they_are() {
        assert_eq!(worst(0, FieldOrder::TopFirst, PixelFormat::Gray8), (0, 0));
    }

    #[test]
    fn moving_edges_are_no_combs() {
        for order in [FieldOrder::TopFirst, FieldOrder::BottomFirst] {
            for format in [PixelFormat::Gray8, PixelFormat::I420, PixelFormat::Nv12] {
                let (after, before) = worst(2, order, format);
                assert!(before > 90 && after < before, "{order:?} {format}: {after}, woven {before}");
            }
        }
    }

    #[test]
    fn progressive_pictures_and_single_fields_pass() {
        let mut deinterlacer = Deinterlacer::new();
        let (woven, _) = picture(0, 3, FieldOrder::TopFirst, PixelFormat::Gray8);
        for fields in [None, Some(FieldOrder::Single)] {
            assert!(deinterlacer.push(Frame { fields, ..woven.clone() }).unwrap().is_none());
            let same = deinterlacer.finish().unwrap().unwrap();
            assert_eq!(same.as_host().unwrap().to_packed(), woven.as_host().unwrap().to_packed());
        }
        assert!(deinterlacer.finish().unwrap().is_none());
        assert_eq!(deinterlacer.done(), 0);
    }
}
