//! `CUVIDPICPARAMS` of an H.264 picture.

use crate::nvdec::abi::{CUVIDH264DPBENTRY, CUVIDH264PICPARAMS, CUVIDPICPARAMS, Zeroed};

use super::Open;
use super::dpb::{Dpb, Frame};
use super::scaling;
use super::sets::Sps;

/// Everything but the data. `frame` is the current picture, `second` the place of the frame it completes.
pub(super) fn picture(
    open: &Open,
    sps: &Sps,
    dpb: &Dpb,
    frame: &Frame,
    second: Option<usize>,
) -> CUVIDPICPARAMS {
    let (slice, pps) = (&open.slice, &open.pps);
    let mut h264 = CUVIDH264PICPARAMS::zeroed();
    h264.log2_max_frame_num_minus4 = sps.frame_num_bits as i32 - 4;
    h264.pic_order_cnt_type = sps.poc_type as i32;
    h264.log2_max_pic_order_cnt_lsb_minus4 = (sps.poc_lsb_bits as i32 - 4).max(0);
    h264.delta_pic_order_always_zero_flag = sps.delta_always_zero.into();
    h264.frame_mbs_only_flag = sps.frame_mbs_only.into();
    h264.direct_8x8_inference_flag = sps.direct_8x8.into();
    h264.num_ref_frames = sps.ref_frames as i32;
    h264.residual_colour_transform_flag = sps.separate_planes.into();
    h264.bit_depth_luma_minus8 = sps.depth_luma as u8;
    h264.bit_depth_chroma_minus8 = sps.depth_chroma as u8;
    h264.qpprime_y_zero_transform_bypass_flag = sps.lossless_bypass.into();
    h264.entropy_coding_mode_flag = pps.cabac.into();
    h264.pic_order_present_flag = pps.bottom_field_order.into();
    h264.num_ref_idx_l0_active_minus1 = pps.refs[0] as i32;
    h264.num_ref_idx_l1_active_minus1 = pps.refs[1] as i32;
    h264.weighted_pred_flag = pps.weighted.into();
    h264.weighted_bipred_idc = pps.weighted_bi as i32;
    h264.pic_init_qp_minus26 = pps.init_qp;
    h264.deblocking_filter_control_present_flag = pps.deblocking_control.into();
    h264.redundant_pic_cnt_present_flag = pps.redundant.into();
    h264.transform_8x8_mode_flag = pps.transform_8x8.into();
    h264.MbaffFrameFlag = (sps.mbaff && !slice.field).into();
    h264.constrained_intra_pred_flag = pps.constrained_intra.into();
    h264.chroma_qp_index_offset = pps.chroma_offset[0];
    h264.second_chroma_qp_index_offset = pps.chroma_offset[1];
    h264.ref_pic_flag = (slice.ref_idc != 0).into();
    h264.frame_num = slice.frame_num as i32;
    h264.CurrFieldOrderCnt = match second {
        // The pair has both counts.
        Some(index) if slice.bottom => [dpb.frames[index].poc[0], frame.poc[1]],
        Some(index) => [frame.poc[0], dpb.frames[index].poc[1]],
        None if slice.field && slice.bottom => [0, frame.poc[1]],
        None if slice.field => [frame.poc[0], 0],
        None => frame.poc,
    };
    h264.dpb = entries(dpb);
    (h264.WeightScale4x4, h264.WeightScale8x8) = scaling::matrices(sps, pps);
    h264.fmo_aso_enable = (pps.slice_groups > 0).into();
    h264.num_slice_groups_minus1 = pps.slice_groups as u8;
    h264.slice_group_map_type = pps.slice_group_type as u8;
    h264.pic_init_qs_minus26 = pps.init_qs.clamp(-128, 127) as i8;
    h264.slice_group_change_rate_minus1 = pps.slice_group_change_rate;

    let mut params = CUVIDPICPARAMS::zeroed();
    params.PicWidthInMbs = sps.width_mbs as i32;
    params.FrameHeightInMbs = sps.height_mbs as i32;
    params.CurrPicIdx = frame.surface.as_deref().copied().unwrap_or(-1);
    params.field_pic_flag = slice.field.into();
    params.bottom_field_flag = slice.bottom.into();
    params.second_field = second.is_some().into();
    params.ref_pic_flag = (slice.ref_idc != 0).into();
    params.intra_pic_flag = open.intra.into();
    params.CodecSpecific.h264 = h264;
    params
}

/// The reference frames. Of a frame with only one field as reference, the other field's count does not matter.
fn entries(dpb: &Dpb) -> [CUVIDH264DPBENTRY; 16] {
    let unused = CUVIDH264DPBENTRY {
        PicIdx: -1,
        FrameIdx: 0,
        is_long_term: 0,
        not_existing: 0,
        used_for_reference: 0,
        FieldOrderCnt: [0; 2],
    };
    let mut entries = [unused; 16];
    let references = dpb.frames.iter().filter(|frame| frame.short | frame.long != 0);
    for (entry, frame) in entries.iter_mut().zip(references) {
        let long = frame.long != 0;
        *entry = CUVIDH264DPBENTRY {
            PicIdx: frame.surface.as_deref().copied().unwrap_or(-1),
            FrameIdx: if long { frame.long_index } else { frame.frame_num } as i32,
            is_long_term: long.into(),
            not_existing: frame.surface.is_none().into(),
            used_for_reference: (frame.short | frame.long).into(),
            FieldOrderCnt: [0, 1]
                .map(|field| if frame.fields & 1 << field != 0 { frame.poc[field] } else { 0 }),
        };
    }
    entries
}
