//! `CUVIDPICPARAMS` of an HEVC picture.

use crate::nvdec::abi::{CUVIDHEVCPICPARAMS, CUVIDPICPARAMS, Zeroed};

use super::Open;
use super::dpb::{Dpb, RefSets, Use};
use super::pps::Pps;
use super::scaling::ScalingLists;
use super::sets::Sps;

/// Everything but the data.
pub(super) fn picture(
    open: &Open,
    sps: &Sps,
    dpb: &Dpb,
    refs: &RefSets,
    poc: i32,
    surface: i32,
) -> CUVIDPICPARAMS {
    let mut hevc = CUVIDHEVCPICPARAMS::zeroed();
    sequence(&mut hevc, sps);
    picture_set(&mut hevc, sps, &open.pps);
    hevc.IrapPicFlag = open.slice.is_irap().into();
    hevc.IdrPicFlag = open.slice.is_idr().into();
    hevc.NumBitsForShortTermRPSInSlice = open.slice.rps_bits as i32;
    hevc.NumDeltaPocsOfRefRpsIdx = open.slice.rps_reference as i32;
    hevc.CurrPicOrderCntVal = poc;
    references(&mut hevc, dpb, refs);

    let mut params = CUVIDPICPARAMS::zeroed();
    params.PicWidthInMbs = sps.width.div_ceil(16) as i32;
    params.FrameHeightInMbs = sps.height.div_ceil(16) as i32;
    params.CurrPicIdx = surface;
    params.ref_pic_flag = 1;
    params.intra_pic_flag = open.intra.into();
    params.CodecSpecific.hevc = hevc;
    params
}

fn sequence(hevc: &mut CUVIDHEVCPICPARAMS, sps: &Sps) {
    hevc.pic_width_in_luma_samples = sps.width as i32;
    hevc.pic_height_in_luma_samples = sps.height as i32;
    [
        hevc.log2_min_luma_coding_block_size_minus3,
        hevc.log2_diff_max_min_luma_coding_block_size,
        hevc.log2_min_transform_block_size_minus2,
        hevc.log2_diff_max_min_transform_block_size,
    ] = sps.block_sizes;
    if let Some(pcm) = sps.pcm {
        hevc.pcm_enabled_flag = 1;
        hevc.log2_min_pcm_luma_coding_block_size_minus3 = pcm.log2_min_minus3;
        hevc.log2_diff_max_min_pcm_luma_coding_block_size = pcm.log2_diff;
        hevc.pcm_sample_bit_depth_luma_minus1 = pcm.depth_luma_minus1;
        hevc.pcm_sample_bit_depth_chroma_minus1 = pcm.depth_chroma_minus1;
        hevc.pcm_loop_filter_disabled_flag = pcm.loop_filter_disabled.into();
    }
    hevc.strong_intra_smoothing_enabled_flag = sps.strong_smoothing.into();
    hevc.max_transform_hierarchy_depth_intra = sps.depth_intra;
    hevc.max_transform_hierarchy_depth_inter = sps.depth_inter;
    hevc.amp_enabled_flag = sps.amp.into();
    hevc.separate_colour_plane_flag = sps.separate_planes.into();
    hevc.log2_max_pic_order_cnt_lsb_minus4 = sps.poc_lsb_bits as u8 - 4;
    hevc.num_short_term_ref_pic_sets = sps.rps.len() as u8;
    hevc.long_term_ref_pics_present_flag = sps.long_term.into();
    hevc.num_long_term_ref_pics_sps = sps.long_term_pocs.len() as u8;
    hevc.sps_temporal_mvp_enabled_flag = sps.temporal_mvp.into();
    hevc.sample_adaptive_offset_enabled_flag = sps.sao.into();
    hevc.scaling_list_enable_flag = sps.scaling_enabled.into();
    hevc.bit_depth_luma_minus8 = sps.depth_luma as u8;
    hevc.bit_depth_chroma_minus8 = sps.depth_chroma as u8;
    if let Some(range) = sps.range {
        hevc.sps_range_extension_flag = 1;
        [
            hevc.transform_skip_rotation_enabled_flag,
            hevc.transform_skip_context_enabled_flag,
            hevc.implicit_rdpcm_enabled_flag,
            hevc.explicit_rdpcm_enabled_flag,
            hevc.extended_precision_processing_flag,
            hevc.intra_smoothing_disabled_flag,
            hevc.high_precision_offsets_enabled_flag,
            hevc.persistent_rice_adaptation_enabled_flag,
            hevc.cabac_bypass_alignment_enabled_flag,
        ] = range.map(u8::from);
    }
}

fn picture_set(hevc: &mut CUVIDHEVCPICPARAMS, sps: &Sps, pps: &Pps) {
    let small = |value: i32| value.clamp(-128, 127) as i8;
    hevc.dependent_slice_segments_enabled_flag = pps.dependent_slices.into();
    hevc.slice_segment_header_extension_present_flag = pps.slice_extension.into();
    hevc.sign_data_hiding_enabled_flag = pps.sign_hiding.into();
    hevc.cu_qp_delta_enabled_flag = pps.cu_qp_delta.is_some().into();
    hevc.diff_cu_qp_delta_depth = pps.cu_qp_delta.unwrap_or(0);
    hevc.init_qp_minus26 = small(pps.init_qp);
    hevc.pps_cb_qp_offset = small(pps.chroma_offset[0]);
    hevc.pps_cr_qp_offset = small(pps.chroma_offset[1]);
    hevc.constrained_intra_pred_flag = pps.constrained_intra.into();
    hevc.weighted_pred_flag = pps.weighted.into();
    hevc.weighted_bipred_flag = pps.weighted_bi.into();
    hevc.transform_skip_enabled_flag = pps.transform_skip.into();
    hevc.transquant_bypass_enabled_flag = pps.transquant_bypass.into();
    hevc.entropy_coding_sync_enabled_flag = pps.wavefront.into();
    hevc.log2_parallel_merge_level_minus2 = pps.merge_level;
    hevc.num_extra_slice_header_bits = pps.extra_bits as u8;
    hevc.loop_filter_across_slices_enabled_flag = pps.filter_across_slices.into();
    hevc.output_flag_present_flag = pps.output_flag.into();
    hevc.num_ref_idx_l0_default_active_minus1 = pps.refs[0];
    hevc.num_ref_idx_l1_default_active_minus1 = pps.refs[1];
    hevc.lists_modification_present_flag = pps.lists_modification.into();
    hevc.cabac_init_present_flag = pps.cabac_init.into();
    hevc.pps_slice_chroma_qp_offsets_present_flag = pps.slice_chroma_offsets.into();
    hevc.deblocking_filter_override_enabled_flag = pps.deblocking_override.into();
    hevc.pps_deblocking_filter_disabled_flag = pps.deblocking_disabled.into();
    hevc.pps_beta_offset_div2 = small(pps.beta_offset);
    hevc.pps_tc_offset_div2 = small(pps.tc_offset);
    if let Some(tiles) = &pps.tiles {
        hevc.tiles_enabled_flag = 1;
        hevc.loop_filter_across_tiles_enabled_flag = tiles.filter_across.into();
        hevc.uniform_spacing_flag = tiles.uniform.into();
        hevc.num_tile_columns_minus1 = tiles.columns_minus1;
        hevc.num_tile_rows_minus1 = tiles.rows_minus1;
        for (to, &from) in hevc.column_width_minus1.iter_mut().zip(&tiles.widths_minus1) {
            *to = from;
        }
        for (to, &from) in hevc.row_height_minus1.iter_mut().zip(&tiles.heights_minus1) {
            *to = from;
        }
    }
    if let Some(range) = &pps.range {
        hevc.pps_range_extension_flag = 1;
        hevc.log2_max_transform_skip_block_size_minus2 = range.transform_skip_size;
        hevc.cross_component_prediction_enabled_flag = range.cross_component.into();
        hevc.chroma_qp_offset_list_enabled_flag = (!range.offsets.is_empty()).into();
        hevc.diff_cu_chroma_qp_offset_depth = range.offset_depth;
        hevc.chroma_qp_offset_list_len_minus1 = range.offsets.len().saturating_sub(1) as u8;
        for (index, &(cb, cr)) in range.offsets.iter().enumerate().take(6) {
            hevc.cb_qp_offset_list[index] = cb;
            hevc.cr_qp_offset_list[index] = cr;
        }
        hevc.log2_sao_offset_scale_luma = range.sao_luma;
        hevc.log2_sao_offset_scale_chroma = range.sao_chroma;
    }
    let lists = match (&pps.scaling, &sps.scaling) {
        _ if !sps.scaling_enabled => ScalingLists::flat(),
        (Some(lists), _) | (None, Some(lists)) => lists.clone(),
        (None, None) => ScalingLists::default(),
    };
    hevc.ScalingList4x4 = lists.four;
    hevc.ScalingList8x8 = lists.eight;
    hevc.ScalingList16x16 = lists.sixteen;
    hevc.ScalingList32x32 = [lists.thirty_two[0], lists.thirty_two[3]];
    hevc.ScalingListDCCoeff16x16 = lists.dc_sixteen;
    hevc.ScalingListDCCoeff32x32 = [lists.dc_thirty_two[0], lists.dc_thirty_two[3]];
}

fn references(hevc: &mut CUVIDHEVCPICPARAMS, dpb: &Dpb, refs: &RefSets) {
    hevc.RefPicIdx = [-1; 16];
    let held: Vec<_> = dpb.pictures.iter().filter(|picture| picture.usage != Use::Unused).take(16).collect();
    for (index, picture) in held.iter().enumerate() {
        hevc.RefPicIdx[index] = *picture.surface;
        hevc.PicOrderCntVal[index] = picture.poc;
        hevc.IsLongTerm[index] = (picture.usage == Use::Long).into();
    }
    // A reference that is missing is replaced by the picture nearest to it: decoding goes on with what there is.
    let place = |poc: i32| {
        let distance = |index: &usize| held[*index].poc.abs_diff(poc);
        (0..held.len()).min_by_key(distance).unwrap_or(0) as u8
    };
    let fill = |to: &mut [u8; 8], from: &[i32]| {
        for (to, &poc) in to.iter_mut().zip(from) {
            *to = place(poc);
        }
        from.len().min(8) as i32
    };
    hevc.NumPocStCurrBefore = fill(&mut hevc.RefPicSetStCurrBefore, &refs.before);
    hevc.NumPocStCurrAfter = fill(&mut hevc.RefPicSetStCurrAfter, &refs.after);
    hevc.NumPocLtCurr = fill(&mut hevc.RefPicSetLtCurr, &refs.long);
    hevc.NumPocTotalCurr = hevc.NumPocStCurrBefore + hevc.NumPocStCurrAfter + hevc.NumPocLtCurr;
}
