//! Picture parameter set (7.3.2.3): what slice headers and container records need of it.

use super::sps::skip_scaling_list_data;
use super::{NAL_PPS, payload};
use crate::bitstream::bits::{BitReader, BitResult};
use crate::error::Result;

/// Picture parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pps {
    /// `pps_pic_parameter_set_id`, 0 to 63.
    pub id: u8,
    /// `pps_seq_parameter_set_id`, 0 to 15.
    pub sps_id: u8,
    /// `dependent_slice_segments_enabled_flag`.
    pub dependent_slice_segments: bool,
    /// `output_flag_present_flag`.
    pub output_flag_present: bool,
    /// `num_extra_slice_header_bits`.
    pub num_extra_slice_header_bits: u8,
    /// `cabac_init_present_flag`.
    pub cabac_init_present: bool,
    /// Default number of active references of list 0 and list 1, 1 to 15.
    pub num_ref_idx_default_active: [u8; 2],
    /// `constrained_intra_pred_flag`.
    pub constrained_intra_pred: bool,
    /// `weighted_pred_flag`.
    pub weighted_pred: bool,
    /// `weighted_bipred_flag`.
    pub weighted_bipred: bool,
    /// `transquant_bypass_enabled_flag`: lossless coding is possible.
    pub transquant_bypass: bool,
    /// `tiles_enabled_flag`.
    pub tiles: bool,
    /// `entropy_coding_sync_enabled_flag` (wavefronts).
    pub entropy_coding_sync: bool,
    /// `pps_scaling_list_data_present_flag`.
    pub scaling_lists: bool,
    /// `lists_modification_present_flag`.
    pub lists_modification_present: bool,
    /// `slice_segment_header_extension_present_flag`.
    pub slice_header_extension_present: bool,
    /// `pps_range_extension_flag` (bit 7) and the other extension flags below it.
    pub extensions: u8,
}

impl Pps {
    /// Reads a NAL unit of type 34 (header included) of the base layer.
    ///
    /// # Errors
    /// [`crate::Error::CorruptStream`], or [`crate::Error::Unsupported`] for an enhancement layer.
    pub(crate) fn parse(nal: &[u8]) -> Result<Self> {
        Self::read(&mut payload(nal, NAL_PPS, "H.265 PPS")?).map_err(|e| e.within("H.265 PPS"))
    }

    fn read(r: &mut BitReader) -> BitResult<Self> {
        let id = r.ue_max(63, "pps_pic_parameter_set_id")? as u8;
        let sps_id = r.ue_max(15, "pps_seq_parameter_set_id")? as u8;
        let dependent_slice_segments = r.flag()?;
        let output_flag_present = r.flag()?;
        let num_extra_slice_header_bits = r.u(3)? as u8;
        r.skip(1)?; // sign_data_hiding_enabled_flag
        let cabac_init_present = r.flag()?;
        let list0 = r.ue_max(14, "num_ref_idx_l0_default_active_minus1")? as u8 + 1;
        let list1 = r.ue_max(14, "num_ref_idx_l1_default_active_minus1")? as u8 + 1;
        r.se()?; // init_qp_minus26
        let constrained_intra_pred = r.flag()?;
        r.skip(1)?; // transform_skip_enabled_flag
        if r.flag()? {
            r.ue()?; // diff_cu_qp_delta_depth
        }
        r.se()?; // pps_cb_qp_offset
        r.se()?; // pps_cr_qp_offset
        r.skip(1)?; // pps_slice_chroma_qp_offsets_present_flag
        let weighted_pred = r.flag()?;
        let weighted_bipred = r.flag()?;
        let transquant_bypass = r.flag()?;
        let tiles = r.flag()?;
        let entropy_coding_sync = r.flag()?;
        if tiles {
            skip_tiles(r)?;
        }
        r.skip(1)?; // pps_loop_filter_across_slices_enabled_flag
        if r.flag()? {
            r.skip(1)?; // deblocking_filter_override_enabled_flag
            if !r.flag()? {
                r.se()?; // pps_beta_offset_div2
                r.se()?; // pps_tc_offset_div2
            }
        }
        let scaling_lists = r.flag()?;
        if scaling_lists {
            skip_scaling_list_data(r)?;
        }
        let lists_modification_present = r.flag()?;
        r.ue()?; // log2_parallel_merge_level_minus2
        let slice_header_extension_present = r.flag()?;
        let extensions = if r.flag()? { r.u8()? } else { 0 };
        Ok(Self {
            id,
            sps_id,
            dependent_slice_segments,
            output_flag_present,
            num_extra_slice_header_bits,
            cabac_init_present,
            num_ref_idx_default_active: [list0, list1],
            constrained_intra_pred,
            weighted_pred,
            weighted_bipred,
            transquant_bypass,
            tiles,
            entropy_coding_sync,
            scaling_lists,
            lists_modification_present,
            slice_header_extension_present,
            extensions,
        })
    }
}

fn skip_tiles(r: &mut BitReader) -> BitResult<()> {
    // More columns or rows than samples cannot be; each takes bits of the input anyway.
    let columns = r.ue_max(65_535, "num_tile_columns_minus1")?;
    let rows = r.ue_max(65_535, "num_tile_rows_minus1")?;
    if !r.flag()? {
        for _ in 0..columns + rows {
            r.ue()?; // column_width_minus1, row_height_minus1
        }
    }
    r.skip(1) // loop_filter_across_tiles_enabled_flag
}
