//! Picture order count (8.2.1): the order in which pictures are shown.

use super::{PicOrderCntType, SliceHeader, Sps};

/// Where a picture stands in output order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PictureOrder {
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
    pub(crate) fn count(&self) -> i32 {
        match (self.top, self.bottom) {
            (Some(top), Some(bottom)) => top.min(bottom),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => 0,
        }
    }

    /// Sorts pictures of a stream into output order.
    pub(crate) fn key(&self) -> (u64, i32) {
        (self.period, self.count())
    }
}

/// Computes picture order counts for all three types (8.2.1.1 to 8.2.1.3).
///
/// Gaps in `frame_num` need no extra call: the frames that 8.2.5.2 infers carry no order count of type 0,
/// and for types 1 and 2 they raise `FrameNumOffset` exactly where the next real picture would.
#[derive(Clone, Debug, Default)]
pub(crate) struct PocDecoder {
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
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The order of the next picture in decoding order. Call once for each frame or field, with the header
    /// of any slice of its primary coded picture.
    ///
    /// For a picture with memory management operation 5 the counts are those after decoding, relative to
    /// itself: the ones that output order uses.
    pub(crate) fn next_picture(&mut self, sps: &Sps, header: &SliceHeader) -> PictureOrder {
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

#[cfg(test)]
mod tests {
    use super::super::{MemoryManagement, SliceIdentity, SliceType};
    use super::*;
    use crate::bitstream::bits::tests::BitWriter;

    /// Frames of 16x16, 4 bits of `frame_num`.
    fn sps(poc: PicOrderCntType) -> Sps {
        let mut w = BitWriter::default();
        w.u(8, 77).u(8, 0).u(8, 30).ue(0).ue(0).ue(2).ue(1).u(1, 0).ue(0).ue(0).u(1, 1).u(1, 1).u(2, 0);
        let nal = [&[0x67][..], &w.trailing()].concat();
        Sps { poc, ..Sps::parse(&nal).unwrap() }
    }

    fn picture(frame_num: u32, nal_ref_idc: u8, poc_lsb: u32) -> SliceHeader {
        SliceHeader {
            identity: SliceIdentity {
                nal_type: 1,
                nal_ref_idc,
                first_mb: 0,
                slice_type: SliceType::P,
                pps_id: 0,
                colour_plane: 0,
                frame_num,
                field: false,
                bottom_field: false,
                idr_pic_id: 0,
                poc_lsb,
                delta_poc_bottom: 0,
                delta_poc: [0, 0],
                redundant_pic_cnt: 0,
            },
            direct_spatial_mv_pred: false,
            num_ref_idx_active: [1, 0],
            weight_offsets: Vec::new(),
            no_output_of_prior_pics: false,
            long_term_reference: false,
            adaptive_marking: false,
            marking: 0..0,
            memory_management: Vec::new(),
            qp_delta: 0,
            deblocking: crate::bitstream::h264::slice::Deblocking::default(),
        }
    }

    fn idr() -> SliceHeader {
        let mut header = picture(0, 3, 0);
        header.identity.nal_type = 5;
        header
    }

    fn counts(sps: &Sps, pictures: &[SliceHeader]) -> Vec<(u64, i32)> {
        let mut decoder = PocDecoder::new();
        pictures.iter().map(|p| decoder.next_picture(sps, p).key()).collect()
    }

    #[test]
    fn type_0_wraps_in_both_directions_and_follows_reference_pictures_only() {
        let sps = sps(PicOrderCntType::Lsb { bits: 4 });
        let pictures = [
            idr(),
            picture(1, 1, 8),
            picture(2, 1, 0),
            picture(3, 0, 14),
            picture(3, 0, 2),
            picture(3, 1, 6),
        ];
        // 0, 8, 16 (wrapped up), 14 (wrapped down, not a reference), 18, 22.
        let expected = [0, 8, 16, 14, 18, 22].map(|count| (1, count));
        assert_eq!(counts(&sps, &pictures), expected);
    }

    #[test]
    fn type_1_repeats_its_cycle() {
        let sps = sps(PicOrderCntType::Cycle {
            delta_always_zero: true,
            offset_for_non_ref_pic: -2,
            offset_for_top_to_bottom_field: 1,
            offset_for_ref_frame: vec![4, 6],
        });
        let pictures = [idr(), picture(1, 1, 0), picture(2, 0, 0), picture(2, 1, 0), picture(3, 1, 0)];
        // Expected counts of frames 1, 2, 3 are 4, 10, 14; a non-reference one takes that of the frame
        // before it, less 2.
        assert_eq!(counts(&sps, &pictures), [0, 4, 2, 10, 14].map(|count| (1, count)));
        let order = PocDecoder::new().next_picture(&sps, &idr());
        assert_eq!((order.top, order.bottom), (Some(0), Some(1)));
    }

    #[test]
    fn type_2_counts_in_decoding_order_across_a_wrap() {
        let sps = sps(PicOrderCntType::DecodingOrder);
        assert_eq!(sps.max_frame_num(), 16);
        let pictures = [idr(), picture(1, 0, 0), picture(1, 1, 0), picture(15, 1, 0), picture(0, 1, 0)];
        assert_eq!(counts(&sps, &pictures), [0, 1, 2, 30, 32].map(|count| (1, count)));
    }

    #[test]
    fn operation_5_begins_a_new_period() {
        for (poc, next) in [(PicOrderCntType::Lsb { bits: 4 }, 4), (PicOrderCntType::DecodingOrder, 2)] {
            let sps = sps(poc);
            let mut reset = picture(3, 1, 6);
            reset.adaptive_marking = true;
            reset.memory_management = vec![MemoryManagement::UnmarkAll];
            let keys = counts(&sps, &[idr(), reset, picture(1, 1, 4)]);
            assert_eq!(keys, [(1, 0), (2, 0), (2, next)]);
        }
    }

    #[test]
    fn both_fields_of_an_idr_frame_are_in_one_period() {
        let sps = sps(PicOrderCntType::Lsb { bits: 4 });
        let (mut top, mut bottom) = (idr(), picture(0, 1, 1));
        top.identity.field = true;
        bottom.identity.field = true;
        bottom.identity.bottom_field = true;
        assert_eq!(counts(&sps, &[top, bottom]), [(1, 0), (1, 1)]);
    }
}
