//! Picture parameter set (7.3.2.2).

use super::sps::skip_scaling_lists;
use super::{NAL_PPS, ParameterSets, nal_type};
use crate::bitstream::bits::{BitReader, BitResult};
use crate::error::{Error, Result};
use crate::pixel::Chroma;

/// Picture parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pps {
    /// `pic_parameter_set_id`, 0 to 255.
    pub id: u8,
    /// `seq_parameter_set_id`, 0 to 31.
    pub sps_id: u8,
    /// `entropy_coding_mode_flag`: CABAC instead of CAVLC.
    pub cabac: bool,
    /// `bottom_field_pic_order_in_frame_present_flag`.
    pub bottom_field_pic_order_present: bool,
    /// Slice groups, 1 to 8; more than one is flexible macroblock ordering.
    pub num_slice_groups: u8,
    /// `slice_group_map_type`, 0 when there is one group.
    pub slice_group_map_type: u8,
    /// Default number of active references of list 0 and list 1, 1 to 32.
    pub num_ref_idx_default_active: [u8; 2],
    /// `weighted_pred_flag`: explicit weights in P slices.
    pub weighted_pred: bool,
    /// `weighted_bipred_idc`: 0 none, 1 explicit, 2 implicit.
    pub weighted_bipred_idc: u8,
    /// `pic_init_qp_minus26` + 26.
    pub pic_init_qp: i8,
    /// `chroma_qp_index_offset` (Cb) and `second_chroma_qp_index_offset` (Cr), -12 to 12.
    pub chroma_qp_index_offset: [i8; 2],
    /// `deblocking_filter_control_present_flag`.
    pub deblocking_control_present: bool,
    /// `constrained_intra_pred_flag`.
    pub constrained_intra_pred: bool,
    /// `redundant_pic_cnt_present_flag`.
    pub redundant_pic_cnt_present: bool,
    /// `transform_8x8_mode_flag`.
    pub transform_8x8: bool,
    /// `pic_scaling_matrix_present_flag`.
    pub scaling_matrix: bool,
}

impl Pps {
    /// Reads a NAL unit of type 8. `sets` gives the chroma format of the sequence parameter set it refers
    /// to, on which the number of scaling lists depends; where that is missing 4:2:0 is taken.
    ///
    /// # Errors
    /// [`Error::CorruptStream`].
    pub(crate) fn parse(nal: &[u8], sets: &ParameterSets) -> Result<Self> {
        let payload = match nal.split_first() {
            Some((_, payload)) if nal_type(nal) == Some(NAL_PPS) => payload,
            _ => return Err(Error::corrupt("H.264 PPS: the NAL unit is not of type 8")),
        };
        Self::read(&mut BitReader::nal(payload), sets).map_err(|e| e.within("H.264 PPS"))
    }

    fn read(r: &mut BitReader, sets: &ParameterSets) -> BitResult<Self> {
        let id = r.ue_max(255, "pic_parameter_set_id")? as u8;
        let sps_id = r.ue_max(31, "seq_parameter_set_id")? as u8;
        let cabac = r.flag()?;
        let bottom_field_pic_order_present = r.flag()?;
        let num_slice_groups = r.ue_max(7, "num_slice_groups_minus1")? as u8 + 1;
        let slice_group_map_type =
            if num_slice_groups > 1 { skip_slice_groups(r, num_slice_groups)? } else { 0 };
        let list0 = r.ue_max(31, "num_ref_idx_l0_default_active_minus1")? as u8 + 1;
        let list1 = r.ue_max(31, "num_ref_idx_l1_default_active_minus1")? as u8 + 1;
        let weighted_pred = r.flag()?;
        let weighted_bipred_idc = r.u(2)? as u8;
        if weighted_bipred_idc > 2 {
            return Err(r.out_of_range("weighted_bipred_idc", 3));
        }
        let init_qp = r.se()?;
        if !(-62..=25).contains(&init_qp) {
            return Err(r.out_of_range("pic_init_qp_minus26", i64::from(init_qp)));
        }
        r.se()?; // pic_init_qs_minus26
        let cb_offset = read_chroma_offset(r)?;
        let deblocking_control_present = r.flag()?;
        let constrained_intra_pred = r.flag()?;
        let redundant_pic_cnt_present = r.flag()?;
        let (mut transform_8x8, mut scaling_matrix, mut cr_offset) = (false, false, cb_offset);
        if r.more_rbsp_data() {
            transform_8x8 = r.flag()?;
            scaling_matrix = r.flag()?;
            if scaling_matrix {
                let full_chroma = sets.sps(sps_id).is_some_and(|sps| sps.chroma == Chroma::Yuv444);
                let big_lists = if full_chroma { 6 } else { 2 };
                skip_scaling_lists(r, 6 + if transform_8x8 { big_lists } else { 0 })?;
            }
            cr_offset = read_chroma_offset(r)?;
        }
        Ok(Self {
            id,
            sps_id,
            cabac,
            bottom_field_pic_order_present,
            num_slice_groups,
            slice_group_map_type,
            num_ref_idx_default_active: [list0, list1],
            weighted_pred,
            weighted_bipred_idc,
            pic_init_qp: (init_qp + 26) as i8,
            chroma_qp_index_offset: [cb_offset, cr_offset],
            deblocking_control_present,
            constrained_intra_pred,
            redundant_pic_cnt_present,
            transform_8x8,
            scaling_matrix,
        })
    }
}

fn read_chroma_offset(r: &mut BitReader) -> BitResult<i8> {
    let offset = r.se()?;
    if !(-12..=12).contains(&offset) {
        return Err(r.out_of_range("chroma_qp_index_offset", i64::from(offset)));
    }
    Ok(offset as i8)
}

/// Reads past the slice group map and returns its type.
fn skip_slice_groups(r: &mut BitReader, groups: u8) -> BitResult<u8> {
    let map_type = r.ue_max(6, "slice_group_map_type")?;
    match map_type {
        0 => {
            for _ in 0..groups {
                r.ue()?; // run_length_minus1
            }
        }
        2 => {
            for _ in 1..groups {
                r.ue()?; // top_left
                r.ue()?; // bottom_right
            }
        }
        3..=5 => {
            r.skip(1)?; // slice_group_change_direction_flag
            r.ue()?; // slice_group_change_rate_minus1
        }
        6 => {
            // Every map unit takes bits of the input, so a large count ends with the data.
            let units = r.ue()?;
            let bits = u32::from(groups).next_power_of_two().trailing_zeros();
            for _ in 0..=units {
                r.skip(bits)?;
            }
        }
        _ => {}
    }
    Ok(map_type as u8)
}
