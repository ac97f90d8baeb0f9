//! Which picture is coded when, and as what: the decisions that the driver takes with `enablePTD`.
//!
//! A fixed pattern: every `interval`-th picture is an anchor (I or P), those between are B pictures and wait for the
//! anchor after them. GOPs are closed: the last picture before an IDR is an anchor. Lookahead keeps so many pictures
//! back that each later submission lets exactly one picture go.

use std::collections::VecDeque;

use crate::codec::encoder::PictureKind;

/// The pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// Distance from one intra picture to the next; `u32::MAX`: only the first.
    pub gop: u32,
    /// Distance from one IDR picture to the next.
    pub idr: u32,
    /// Distance from one anchor to the next; 0: every picture is intra.
    pub interval: u32,
    /// Pictures kept back for lookahead.
    pub lookahead: u32,
}

/// What the client asked for a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Force {
    /// The pattern decides.
    #[default]
    None,
    /// At least intra.
    Intra,
    /// IDR.
    Idr,
}

/// Pictures that wait, and where in the GOP the next one will be.
#[derive(Debug)]
pub struct Planner<T> {
    pattern: Pattern,
    /// In display order, with the intra period's verdict: known at arrival.
    waiting: VecDeque<(T, Verdict)>,
    /// In coding order, kinds decided.
    ready: VecDeque<(T, PictureKind)>,
    since_idr: u32,
    since_intra: u32,
    started: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Idr,
    Intra,
    /// At this distance from the last intra picture.
    Inter(u32),
}

impl<T> Planner<T> {
    /// A planner before its first picture.
    pub fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            since_idr: 0,
            since_intra: 0,
            started: false,
        }
    }

    /// Takes the next picture in display order and gives back those whose turn has come, in coding order.
    pub fn push(&mut self, picture: T, force: Force) -> Vec<(T, PictureKind)> {
        let verdict = self.judge(force);
        self.waiting.push_back((picture, verdict));
        let mut out = Vec::new();
        while self.waiting.len() + self.ready.len() > self.pattern.lookahead as usize {
            if self.ready.is_empty() && !self.form(false) {
                break;
            }
            out.extend(self.ready.pop_front());
        }
        out
    }

    /// Lets everything go.
    pub fn flush(&mut self) -> Vec<(T, PictureKind)> {
        while self.form(true) {}
        self.ready.drain(..).collect()
    }

    /// The next picture begins anew with an IDR.
    pub fn restart(&mut self) {
        self.started = false;
    }

    /// Every picture held, in no particular order.
    pub fn held(&self) -> usize {
        self.waiting.len() + self.ready.len()
    }

    fn judge(&mut self, force: Force) -> Verdict {
        let due_idr = !self.started || force == Force::Idr || self.since_idr >= self.pattern.idr;
        let due_intra =
            force == Force::Intra || self.pattern.interval == 0 || self.since_intra >= self.pattern.gop;
        self.started = true;
        let verdict = if due_idr {
            self.since_idr = 0;
            self.since_intra = 0;
            Verdict::Idr
        } else if due_intra {
            self.since_intra = 0;
            Verdict::Intra
        } else {
            Verdict::Inter(self.since_intra)
        };
        self.since_idr = self.since_idr.saturating_add(1);
        self.since_intra = self.since_intra.saturating_add(1);
        verdict
    }

    /// Moves one group (an anchor and the B pictures before it) from `waiting` to `ready`. False when the anchor has
    /// not come yet; with `last` the newest picture becomes it.
    fn form(&mut self, last: bool) -> bool {
        let Some((_, first)) = self.waiting.front() else { return false };
        let anchor = if matches!(first, Verdict::Idr | Verdict::Intra) {
            Some(0)
        } else {
            (0..self.waiting.len()).find(|&at| self.is_anchor(at)).or(last.then(|| self.waiting.len() - 1))
        };
        let Some(anchor) = anchor else { return false };
        let mut group: Vec<_> = self.waiting.drain(..=anchor).collect();
        if let Some((picture, verdict)) = group.pop() {
            let kind = match verdict {
                Verdict::Idr => PictureKind::Idr,
                Verdict::Intra => PictureKind::I,
                Verdict::Inter(_) => PictureKind::P,
            };
            self.ready.push_back((picture, kind));
        }
        self.ready.extend(group.into_iter().map(|(picture, _)| (picture, PictureKind::B)));
        true
    }

    fn is_anchor(&self, at: usize) -> bool {
        let place = match self.waiting[at].1 {
            // A group before an IDR ends with the picture before it, found one step earlier.
            Verdict::Idr | Verdict::Intra => return true,
            Verdict::Inter(place) => place,
        };
        let interval = self.pattern.interval.max(1);
        let ends_gop =
            place + 1 >= self.pattern.gop || matches!(self.waiting.get(at + 1), Some((_, Verdict::Idr)));
        place % interval == 0 || ends_gop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pattern: Pattern, pictures: u32, forced: &[u32]) -> Vec<String> {
        let mut planner = Planner::new(pattern);
        let text = |list: Vec<(u32, PictureKind)>| -> String {
            list.iter().map(|(n, kind)| format!("{}{n} ", format!("{kind:?}").to_lowercase())).collect()
        };
        let mut out: Vec<_> = (0..pictures)
            .map(|n| {
                let force = if forced.contains(&n) { Force::Idr } else { Force::None };
                text(planner.push(n, force))
            })
            .collect();
        out.push(text(planner.flush()));
        out
    }

    const IBBP: Pattern = Pattern { gop: 250, idr: 250, interval: 3, lookahead: 0 };

    #[test]
    fn b_pictures_wait_for_their_anchor() {
        assert_eq!(run(IBBP, 6, &[]), ["idr0 ", "", "", "p3 b1 b2 ", "", "", "p5 b4 "]);
    }

    #[test]
    fn a_forced_idr_closes_the_group_before_it() {
        assert_eq!(run(IBBP, 6, &[2]), ["idr0 ", "", "p1 idr2 ", "", "", "p5 b3 b4 ", ""]);
    }

    #[test]
    fn a_gop_ends_with_an_anchor() {
        let pattern = Pattern { gop: 5, idr: 5, ..IBBP };
        assert_eq!(run(pattern, 6, &[]), ["idr0 ", "", "", "p3 b1 b2 ", "p4 ", "idr5 ", ""]);
    }

    #[test]
    fn lookahead_lets_one_go_for_each_that_comes() {
        let pattern = Pattern { lookahead: 4, ..IBBP };
        let out = run(pattern, 9, &[]);
        assert_eq!(out[..4], ["", "", "", ""]);
        assert_eq!(out[4..9], ["idr0 ", "p3 ", "b1 ", "b2 ", "p6 "]);
        assert_eq!(out[9], "b4 b5 p8 b7 ");
    }

    #[test]
    fn idr_period_and_intra_period_differ() {
        let pattern = Pattern { gop: 2, idr: 4, interval: 1, lookahead: 0 };
        let kinds: Vec<_> = run(pattern, 5, &[]).concat().split(' ').map(str::to_owned).collect();
        assert_eq!(kinds[..5], ["idr0", "p1", "i2", "p3", "idr4"]);
    }
}
