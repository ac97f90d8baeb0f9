//! The decoded picture buffer of HEVC: reference picture sets (8.3.2) and output by bumping (C.5.2).

use std::collections::VecDeque;

use super::super::stage::{Shown, Surface};
use super::sets::Sps;
use super::slice::Slice;

/// How a picture is used for reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Unused,
    Short,
    Long,
}

/// A decoded picture.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub(super) surface: Surface,
    pub(super) poc: i32,
    pub(super) usage: Use,
    /// What to show, until it is handed out for output.
    pub(super) output: Option<Shown>,
    /// Pictures decoded since it waits.
    latency: u32,
}

impl Picture {
    pub(super) fn new(surface: Surface, poc: i32, output: Option<Shown>) -> Self {
        Self { surface, poc, usage: Use::Short, output, latency: 0 }
    }

    fn needed(&self) -> bool {
        self.output.is_some() || self.usage != Use::Unused
    }
}

/// The pictures that the current one may refer to, as picture order counts. A missing one stays in the list.
#[derive(Debug, Clone, Default)]
pub(super) struct RefSets {
    pub(super) before: Vec<i32>,
    pub(super) after: Vec<i32>,
    pub(super) long: Vec<i32>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Dpb {
    pub(super) pictures: Vec<Picture>,
    /// Pictures whose turn in output order has come.
    pub(super) ready: VecDeque<Shown>,
    capacity: usize,
    reorder: usize,
    latency: Option<u32>,
}

impl Dpb {
    /// Takes the limits of a sequence.
    pub(super) fn configure(&mut self, sps: &Sps) {
        self.capacity = sps.buffering as usize + 1;
        self.reorder = sps.reorder as usize;
        self.latency = (sps.latency_plus1 > 0).then(|| sps.reorder.saturating_add(sps.latency_plus1 - 1));
    }

    /// Puts the waiting picture with the lowest count to the ready ones; false when none waits.
    pub(super) fn bump(&mut self) -> bool {
        let waiting = self.pictures.iter_mut().filter(|picture| picture.output.is_some());
        let Some(picture) = waiting.min_by_key(|picture| picture.poc) else { return false };
        self.ready.extend(picture.output.take());
        self.pictures.retain(Picture::needed);
        true
    }

    pub(super) fn bump_all(&mut self) {
        while self.bump() {}
    }

    fn over_limits(&self) -> bool {
        let waiting = || self.pictures.iter().filter(|picture| picture.output.is_some());
        waiting().count() > self.reorder
            || self.latency.is_some_and(|limit| waiting().any(|picture| picture.latency >= limit))
    }

    /// Makes room for the current picture, whose references are marked (C.5.2.2).
    pub(super) fn make_room(&mut self) {
        self.pictures.retain(Picture::needed);
        while self.over_limits() && self.bump() {}
        while self.pictures.len() >= self.capacity {
            if !self.bump() {
                // Only a damaged stream keeps more references than fit.
                self.pictures.remove(0);
            }
        }
    }

    /// Stores the current picture and outputs what need not wait (C.5.2.3).
    pub(super) fn store(&mut self, picture: Picture) {
        if picture.output.is_some() {
            for other in self.pictures.iter_mut().filter(|other| other.output.is_some()) {
                other.latency += 1;
            }
        }
        self.pictures.push(picture);
        while self.over_limits() && self.bump() {}
    }

    fn nearest_short(&self, poc: i32) -> Option<usize> {
        let short = self.pictures.iter().enumerate().filter(|(_, picture)| picture.usage == Use::Short);
        short.min_by_key(|(_, picture)| picture.poc.abs_diff(poc)).map(|(index, _)| index)
    }

    /// Applies the reference picture set of `slice`: what is not in it is no reference any more.
    pub(super) fn refer(&mut self, slice: &Slice, poc: i32, lsb_bits: u32) -> RefSets {
        let mask = (1i32 << lsb_bits) - 1;
        let mut sets = RefSets::default();
        let mut usage = vec![Use::Unused; self.pictures.len()];
        for long in &slice.long_terms {
            let lsb = long.lsb as i32;
            let (wanted, whole) = match long.msb_cycle {
                Some(cycle) => {
                    let back = i64::from(cycle) << lsb_bits;
                    let count = i64::from(poc) - back - i64::from(poc & mask) + i64::from(lsb);
                    (count.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32, true)
                }
                None => (lsb, false),
            };
            let found = self.pictures.iter().position(|picture| {
                picture.usage != Use::Unused
                    && if whole { picture.poc == wanted } else { picture.poc & mask == wanted }
            });
            if let Some(index) = found {
                usage[index] = Use::Long;
            }
            if long.used {
                sets.long.push(found.map_or(wanted, |index| self.pictures[index].poc));
            }
        }
        for (list, side) in [(&slice.rps.before, &mut sets.before), (&slice.rps.after, &mut sets.after)] {
            for &(distance, used) in list {
                let wanted = poc.saturating_add(distance);
                let found = self
                    .pictures
                    .iter()
                    .position(|picture| picture.usage == Use::Short && picture.poc == wanted);
                // For one that is missing the nearest in order stands in, and stays for that (measured on 580.159).
                let found = found.or_else(|| self.nearest_short(wanted).filter(|_| used));
                if let Some(index) = found.filter(|&index| usage[index] == Use::Unused) {
                    usage[index] = Use::Short;
                }
                if used {
                    side.push(found.map_or(wanted, |index| self.pictures[index].poc));
                }
            }
        }
        for (picture, usage) in self.pictures.iter_mut().zip(usage) {
            picture.usage = usage;
        }
        sets
    }
}
