//! Picture order counts of H.264 (8.2.1).

use super::sets::Sps;
use super::slice::{Mmco, Slice};

/// What the next picture's order count depends on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Order {
    /// Of the previous reference picture (type 0).
    prev_msb: i64,
    prev_lsb: i64,
    /// Of the previous picture (types 1 and 2).
    prev_frame_num: u32,
    prev_offset: i64,
}

impl Order {
    /// Top and bottom order counts of a picture; those of a field that it does not have mean nothing.
    pub(super) fn next(&mut self, sps: &Sps, slice: &Slice) -> [i32; 2] {
        let counts = match sps.poc_type {
            0 => self.by_lsb(sps, slice),
            kind => self.by_frame_num(sps, slice, kind),
        };
        counts.map(|count| count.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32)
    }

    fn by_lsb(&mut self, sps: &Sps, slice: &Slice) -> [i64; 2] {
        if slice.is_idr() {
            (self.prev_msb, self.prev_lsb) = (0, 0);
        }
        let max = 1i64 << sps.poc_lsb_bits;
        let lsb = i64::from(slice.poc_lsb);
        let msb = if lsb < self.prev_lsb && self.prev_lsb - lsb >= max / 2 {
            self.prev_msb + max
        } else if lsb > self.prev_lsb && lsb - self.prev_lsb > max / 2 {
            self.prev_msb - max
        } else {
            self.prev_msb
        };
        let first = msb + lsb;
        if slice.ref_idc != 0 {
            (self.prev_msb, self.prev_lsb) = (msb, lsb);
        }
        if slice.field { [first; 2] } else { [first, first + i64::from(slice.delta_bottom)] }
    }

    fn by_frame_num(&mut self, sps: &Sps, slice: &Slice, kind: u32) -> [i64; 2] {
        let max = 1i64 << sps.frame_num_bits;
        let offset = if slice.is_idr() {
            0
        } else if self.prev_frame_num > slice.frame_num {
            self.prev_offset + max
        } else {
            self.prev_offset
        };
        self.prev_frame_num = slice.frame_num;
        self.prev_offset = offset;
        let number = offset + i64::from(slice.frame_num);
        if kind == 2 {
            let count = if slice.is_idr() { 0 } else { 2 * number - i64::from(slice.ref_idc == 0) };
            return [count; 2];
        }
        let cycle = sps.offset_ref.len() as i64;
        let mut number = if cycle > 0 { number } else { 0 };
        if slice.ref_idc == 0 && number > 0 {
            number -= 1;
        }
        let mut expected = 0;
        if number > 0 {
            let sum: i64 = sps.offset_ref.iter().map(|&offset| i64::from(offset)).sum();
            let (rounds, rest) = ((number - 1) / cycle, (number - 1) % cycle);
            expected = rounds * sum;
            expected +=
                sps.offset_ref.iter().take(rest as usize + 1).map(|&offset| i64::from(offset)).sum::<i64>();
        }
        if slice.ref_idc == 0 {
            expected += i64::from(sps.offset_non_ref);
        }
        let bottom = i64::from(sps.offset_top_to_bottom);
        let delta = slice.delta.map(i64::from);
        if !slice.field {
            let top = expected + delta[0];
            [top, top + bottom + delta[1]]
        } else if slice.bottom {
            [expected + bottom + delta[0]; 2]
        } else {
            [expected + delta[0]; 2]
        }
    }

    /// A frame inferred from a gap: it counts as the previous one for types 1 and 2.
    pub(super) fn gap(&mut self, frame_num: u32, max: i64) {
        if self.prev_frame_num > frame_num {
            self.prev_offset += max;
        }
        self.prev_frame_num = frame_num;
    }

    /// After a picture that forgot all others: the standard counts on as if it had been an IDR picture. `counts`
    /// are the picture's own after that.
    pub(super) fn after_forget_all(&mut self, slice: &Slice, counts: [i32; 2]) {
        self.prev_msb = 0;
        self.prev_lsb = if slice.bottom { 0 } else { i64::from(counts[0]) };
        self.prev_frame_num = 0;
        self.prev_offset = 0;
    }
}

/// True when the operations forget all pictures.
pub(super) fn forgets_all(slice: &Slice) -> bool {
    slice.operations.as_ref().is_some_and(|operations| operations.contains(&Mmco::ForgetAll))
}
