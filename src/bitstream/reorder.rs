//! From decoding order to output order (ITU-T H.264, C.4; H.265, C.5.2).
//!
//! Within a period (from one picture that unmarks all others to the next) the output order is the order of the picture order
//! counts, and periods follow each other. What a decoder chooses is only how long it waits: until more pictures wait than the
//! stream may reorder, a picture with a lower count may still come. `no_output_of_prior_pics_flag` is not obeyed, so that
//! no picture is lost at a cut.

/// Pictures waiting for their turn.
#[derive(Debug)]
pub(crate) struct Reorder<T> {
    waiting: Vec<((u64, i32), T)>,
    depth: usize,
}

impl<T> Reorder<T> {
    /// `depth`: most pictures that wait for one with a lower count.
    pub(crate) const fn new(depth: usize) -> Self {
        Self { waiting: Vec::new(), depth }
    }

    /// From now on so many wait at most.
    #[cfg(feature = "backend-vt")]
    pub(crate) const fn set_depth(&mut self, depth: usize) {
        self.depth = depth;
    }

    /// Forgets what waits of this period and later ones.
    pub(crate) fn forget_from(&mut self, period: u64) {
        self.waiting.retain(|((of, _), _)| *of < period);
    }

    /// Adds a decoded picture with its period and count.
    pub(crate) fn push(&mut self, key: (u64, i32), picture: T) {
        self.waiting.push((key, picture));
    }

    /// The next picture that nothing can precede any more. `period` is the newest period.
    pub(crate) fn pop(&mut self, period: u64) -> Option<T> {
        let (index, ((first_period, _), _)) =
            self.waiting.iter().enumerate().min_by_key(|(_, (key, _))| *key)?;
        if *first_period < period || self.waiting.len() > self.depth {
            return Some(self.waiting.remove(index).1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_as_many_pictures_as_the_stream_reorders() {
        let mut reorder = Reorder::new(2);
        let mut out = Vec::new();
        for count in [0, 8, 4, 2, 6, 16, 12] {
            reorder.push((1, count), count);
            out.extend(reorder.pop(1));
        }
        assert_eq!(out, [0, 2, 4, 6, 8]);
    }

    #[test]
    fn a_new_period_releases_the_old_one() {
        let mut reorder = Reorder::new(4);
        reorder.push((1, 4), 'b');
        reorder.push((1, 2), 'a');
        reorder.push((2, 0), 'c');
        let out: Vec<_> = std::iter::from_fn(|| reorder.pop(2)).collect();
        assert_eq!(out, ['a', 'b']);
        assert_eq!(reorder.pop(u64::MAX), Some('c'));
    }
}
