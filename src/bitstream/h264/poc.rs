//! Picture order count (8.2.1): the order in which pictures are shown.

use super::{PicOrderCntType, SliceHeader, Sps};

/// Where a picture stands in output order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PictureOrder {
    /// Counts IDR pictures and pictures with memory management operation 5: every picture of a period is
    /// shown after every picture of the periods before it.
    pub period: u64,
    /// `TopFieldOrderCnt`; `None` for a bottom field.
    pub top: Option<i32>,
    /// `BottomFieldOrderCnt`; `None` for a top field.
    pub bottom: Option<i32>,
}

impl PictureOrder {
    /// `PicOrderCnt()` of the frame or field (equation 8-1).
    pub fn count(&self) -> i32 {
        match (self.top, self.bottom) {
            (Some(top), Some(bottom)) => top.min(bottom),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => 0,
        }
    }

    /// Sorts pictures of a stream into output order.
    pub fn key(&self) -> (u64, i32) {
        (self.period, self.count())
    }
}

/// Computes picture order counts for all three types (8.2.1.1 to 8.2.1.3).
///
/// Gaps in `frame_num` need no extra call: the frames that 8.2.5.2 infers carry no order count of type 0,
/// and for types 1 and 2 they raise `FrameNumOffset` exactly where the next real picture would.
#[derive(Clone, Debug, Default)]
pub struct PocDecoder {
    period: u64,
    /// `prevPicOrderCntMsb`, `prevPicOrderCntLsb`.
    prev_msb: i32,
    prev_lsb: i32,
    /// `prevFrameNum`, `prevFrameNumOffset`.
    prev_frame_num: u32,
    prev_frame_num_offset: i64,
    /// First field of an IDR picture whose second field may follow, and its parity.
    idr_first_field_bottom: Option<bool>,
}

impl PocDecoder {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The order of the next picture in decoding order. Call once for each frame or field, with the header
    /// of any slice of its primary coded picture.
    ///
    /// For a picture with memory management operation 5 the counts are those after decoding, relative to
    /// itself: the ones that output order uses.
    pub fn next_picture(&mut self, sps: &Sps, header: &SliceHeader) -> PictureOrder {
        let id = &header.identity;
        if id.is_idr() {
            let second_field =
                id.field && self.idr_first_field_bottom.is_some_and(|bottom| bottom != id.bottom_field);
            if !second_field {
                self.period += 1;
            }
            self.idr_first_field_bottom = (id.field && !second_field).then_some(id.bottom_field);
            self.prev_msb = 0;
            self.prev_lsb = 0;
            self.prev_frame_num_offset = 0;
            self.prev_frame_num = 0;
        } else {
            self.idr_first_field_bottom = None;
        }
        let (mut top, mut bottom) = match &sps.poc {
            PicOrderCntType::Lsb { bits } => self.by_lsb(*bits, header),
            PicOrderCntType::Cycle {
                offset_for_non_ref_pic,
                offset_for_top_to_bottom_field,
                offset_for_ref_frame,
                ..
            } => self.by_cycle(
                sps,
                header,
                *offset_for_non_ref_pic,
                *offset_for_top_to_bottom_field,
                offset_for_ref_frame,
            ),
            PicOrderCntType::DecodingOrder => self.by_decoding_order(sps, header),
        };
        if header.unmarks_all() {
            // End of 8.2.1: tempPicOrderCnt is taken off, so that the picture counts from zero.
            self.period += 1;
            let base = if id.field { if id.bottom_field { bottom } else { top } } else { top.min(bottom) };
            top = top.wrapping_sub(base);
            bottom = bottom.wrapping_sub(base);
            self.prev_msb = 0;
            self.prev_lsb = if id.bottom_field { 0 } else { top };
            self.prev_frame_num = 0;
            self.prev_frame_num_offset = 0;
        }
        PictureOrder {
            period: self.period,
            top: (!id.bottom_field).then_some(top),
            bottom: (!id.field || id.bottom_field).then_some(bottom),
        }
    }

    /// Type 0. Counts wrap as 32-bit integers: a valid stream never gets there.
    fn by_lsb(&mut self, bits: u8, header: &SliceHeader) -> (i32, i32) {
        let id = &header.identity;
        let max_lsb = 1_i32 << bits;
        let lsb = id.poc_lsb as i32;
        let msb = if lsb < self.prev_lsb && self.prev_lsb - lsb >= max_lsb / 2 {
            self.prev_msb.wrapping_add(max_lsb)
        } else if lsb > self.prev_lsb && lsb.saturating_sub(self.prev_lsb) > max_lsb / 2 {
            self.prev_msb.wrapping_sub(max_lsb)
        } else {
            self.prev_msb
        };
        let first = msb.wrapping_add(lsb);
        let bottom = if id.field { first } else { first.wrapping_add(id.delta_poc_bottom) };
        if id.nal_ref_idc != 0 {
            self.prev_msb = msb;
            self.prev_lsb = lsb;
        }
        (first, bottom)
    }

    /// `FrameNumOffset`, for types 1 and 2.
    fn frame_num_offset(&mut self, sps: &Sps, frame_num: u32) -> i64 {
        let mut offset = self.prev_frame_num_offset;
        if self.prev_frame_num > frame_num {
            offset = offset.saturating_add(i64::from(sps.max_frame_num()));
        }
        self.prev_frame_num = frame_num;
        self.prev_frame_num_offset = offset;
        offset
    }

    fn by_cycle(
        &mut self,
        sps: &Sps,
        header: &SliceHeader,
        offset_for_non_ref_pic: i32,
        offset_for_top_to_bottom_field: i32,
        offset_for_ref_frame: &[i32],
    ) -> (i32, i32) {
        let id = &header.identity;
        let offset = self.frame_num_offset(sps, id.frame_num);
        let cycle = offset_for_ref_frame.len() as i64;
        let mut number = if cycle == 0 { 0 } else { offset.saturating_add(i64::from(id.frame_num)) };
        if id.nal_ref_idc == 0 && number > 0 {
            number -= 1;
        }
        let mut expected = 0_i64;
        if number > 0 {
            let whole: i64 = offset_for_ref_frame.iter().map(|&o| i64::from(o)).sum();
            let in_cycle = ((number - 1) % cycle) as usize;
            let part: i64 = offset_for_ref_frame.iter().take(in_cycle + 1).map(|&o| i64::from(o)).sum();
            expected = ((number - 1) / cycle).saturating_mul(whole).saturating_add(part);
        }
        if id.nal_ref_idc == 0 {
            expected = expected.saturating_add(i64::from(offset_for_non_ref_pic));
        }
        let first = expected.saturating_add(i64::from(id.delta_poc[0]));
        let below = first.saturating_add(i64::from(offset_for_top_to_bottom_field));
        let bottom = if id.field { below } else { below.saturating_add(i64::from(id.delta_poc[1])) };
        (first as i32, bottom as i32)
    }

    fn by_decoding_order(&mut self, sps: &Sps, header: &SliceHeader) -> (i32, i32) {
        let id = &header.identity;
        let offset = self.frame_num_offset(sps, id.frame_num);
        let mut count = offset.saturating_add(i64::from(id.frame_num)).saturating_mul(2);
        if id.nal_ref_idc == 0 {
            count -= 1;
        }
        if id.is_idr() {
            count = 0;
        }
        (count as i32, count as i32)
    }
}
