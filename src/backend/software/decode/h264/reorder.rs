//! From decoding order to output order (ITU-T H.264, C.4).
//!
//! Within a period (from one IDR picture, or picture with memory management operation 5, to the next) the
//! output order is the order of `PicOrderCnt`, and periods follow each other. What a decoder chooses is only
//! how long it waits: until more pictures wait than the stream may reorder, a picture with a lower count may
//! still come. `no_output_of_prior_pics_flag` is not obeyed, so that no picture is lost at a cut.

use crate::bitstream::h264::{PicOrderCntType, Sps};
use crate::config::CommonDecodeConfig;

/// Most pictures that wait for one with a lower count (`max_num_reorder_frames`, E.2.1).
pub(super) fn depth(sps: &Sps, config: &CommonDecodeConfig) -> usize {
    if sps.poc == PicOrderCntType::DecodingOrder {
        return 0;
    }
    if let Some(stated) = sps.vui.as_ref().and_then(|vui| vui.bitstream_restriction) {
        return (stated.max_num_reorder_frames as usize).min(16);
    }
    // Not stated. Intra profiles do not reorder (E.2.1: inferred 0 with constraint_set3_flag).
    if matches!(sps.profile_idc, 44 | 86 | 100 | 110 | 122 | 244) && sps.constraint_set(3) {
        return 0;
    }
    let inferred = usize::from(sps.max_dpb_frames()).max(usize::from(sps.max_num_ref_frames));
    // Baseline has no B slices, so its encoders do not reorder, though the syntax would let them.
    if config.low_latency && sps.profile_idc == 66 { 0 } else { inferred }
}

/// Pictures waiting for their turn.
#[derive(Debug)]
pub(super) struct Reorder<T> {
    waiting: Vec<((u64, i32), T)>,
    depth: usize,
}

impl<T> Reorder<T> {
    /// `depth`: most pictures that wait for one with a lower count.
    pub(super) const fn new(depth: usize) -> Self {
        Self { waiting: Vec::new(), depth }
    }

    /// Forgets what waits of this period and later ones.
    pub(super) fn forget_from(&mut self, period: u64) {
        self.waiting.retain(|((of, _), _)| *of < period);
    }

    /// Adds a decoded picture with its period and count.
    pub(super) fn push(&mut self, key: (u64, i32), picture: T) {
        self.waiting.push((key, picture));
    }

    /// The next picture that nothing can precede any more. `period` is the newest period.
    pub(super) fn pop(&mut self, period: u64) -> Option<T> {
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
