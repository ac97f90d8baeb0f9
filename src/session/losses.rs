//! Units (frames, or packets of a decoder) that went in and gave nothing: how many for which reason, and which were the first.

use crate::time::Timestamp;

/// Reasons that are told apart; what comes beyond is counted under one.
const MOST_REASONS: usize = 16;
/// Frames that are named for each reason.
const NAMED: usize = 5;

const OTHERS: &str = "other reasons";

/// What became of a frame that gave no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossKind {
    /// Rightly, or by policy.
    Dropped,
    /// By an error.
    Failed,
}

/// The frames that gave no output for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// What became of them.
    pub kind: LossKind,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// Number (of those that went in, from 0) and presentation time of the first five; packets of a raw stream have no times.
    pub first: Vec<(u64, Option<Timestamp>)>,
}

/// All frames that gave no output, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses(Vec<Loss>);

impl Losses {
    /// By reason, in the order of their first frames.
    pub fn reasons(&self) -> &[Loss] {
        &self.0
    }

    /// How many ended so.
    pub fn count(&self, kind: LossKind) -> u64 {
        self.0.iter().filter(|loss| loss.kind == kind).map(|loss| loss.count).sum()
    }

    pub(crate) fn note(&mut self, kind: LossKind, reason: &str, number: u64, pts: Option<Timestamp>) {
        if let Some(loss) = self.count_one(kind, reason)
            && loss.first.len() < NAMED
        {
            loss.first.push((number, pts));
        }
    }

    /// Counts one; the entry that it belongs to.
    pub(crate) fn count_one(&mut self, kind: LossKind, reason: &str) -> Option<&mut Loss> {
        let known = |losses: &[Loss], reason: &str| {
            losses.iter().position(|loss| loss.kind == kind && loss.reason == reason)
        };
        let full = self.0.len() >= MOST_REASONS;
        let at = known(&self.0, reason).or_else(|| if full { known(&self.0, OTHERS) } else { None });
        let at = at.unwrap_or_else(|| {
            let reason = if full { OTHERS } else { reason }.to_owned();
            self.0.push(Loss { kind, reason, count: 0, first: Vec::new() });
            self.0.len() - 1
        });
        let loss = self.0.get_mut(at)?;
        loss.count += 1;
        Some(loss)
    }

    /// Adds those of another stage.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::TimeBase;

    #[test]
    fn reasons_are_counted_and_the_first_frames_named() {
        let mut losses = Losses::default();
        let at = |n: u64| Timestamp::new(n as i64, TimeBase::new(1, 25).unwrap());
        for n in 0..9 {
            losses.note(LossKind::Dropped, "frame rate", n, Some(at(n)));
        }
        losses.note(LossKind::Failed, "frame rate", 9, None);
        assert_eq!((losses.count(LossKind::Dropped), losses.count(LossKind::Failed)), (9, 1));
        let [dropped, failed] = losses.reasons() else { panic!("two") };
        assert_eq!(dropped.first.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(failed.first, [(9, None)]);
    }

    #[test]
    fn words_that_differ_with_each_frame_do_not_add_up_in_memory() {
        let mut losses = Losses::default();
        let at = Timestamp::new(0, TimeBase::new(1, 25).unwrap());
        for n in 0..1000 {
            losses.note(LossKind::Failed, &format!("frame {n} is lost"), n, Some(at));
        }
        assert_eq!(losses.count(LossKind::Failed), 1000);
        assert!(losses.reasons().len() <= MOST_REASONS + 2);
        assert_eq!(losses.reasons().last().unwrap().count, 1000 - MOST_REASONS as u64);
    }
}
