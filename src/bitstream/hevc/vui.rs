//! Video usability information (annex E).

use crate::bitstream::bits::{BitReader, BitResult};
use crate::bitstream::h264::vui::{read_sample_aspect_ratio, read_signal_type};
use crate::color::ColorInfo;
use crate::time::Rational;

/// Video usability information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vui {
    /// Sample aspect ratio; `None` where unspecified.
    pub sample_aspect_ratio: Option<Rational>,
    /// Colour description and range.
    pub color: ColorInfo,
    /// `field_seq_flag`: every picture is a field.
    pub field_seq: bool,
    /// `frame_field_info_present_flag`: picture timing SEI tells how pictures are shown.
    pub frame_field_info: bool,
    /// Pictures per second by `vui_time_scale / vui_num_units_in_tick`.
    pub frame_rate: Option<Rational>,
    /// `min_spatial_segmentation_idc`, 0 to 4095.
    pub min_spatial_segmentation: u16,
}

impl Vui {
    pub(super) fn read(r: &mut BitReader, max_sub_layers_minus1: u32) -> BitResult<Self> {
        let sample_aspect_ratio = if r.flag()? { read_sample_aspect_ratio(r)? } else { None };
        if r.flag()? {
            r.skip(1)?; // overscan_appropriate_flag
        }
        let color = if r.flag()? { read_signal_type(r)? } else { ColorInfo::UNSPECIFIED };
        if r.flag()? {
            r.ue_max(5, "chroma_sample_loc_type_top_field")?;
            r.ue_max(5, "chroma_sample_loc_type_bottom_field")?;
        }
        r.skip(1)?; // neutral_chroma_indication_flag
        let field_seq = r.flag()?;
        let frame_field_info = r.flag()?;
        if r.flag()? {
            // The default display window is a hint for players and crops nothing that is decoded.
            for _ in 0..4 {
                r.ue()?;
            }
        }
        let mut frame_rate = None;
        if r.flag()? {
            let units = r.u(32)?;
            let scale = r.u(32)?;
            frame_rate = Rational::new(scale, units).map(Rational::reduced);
            if r.flag()? {
                r.ue()?; // vui_num_ticks_poc_diff_one_minus1
            }
            if r.flag()? {
                skip_hrd(r, max_sub_layers_minus1)?;
            }
        }
        let mut min_spatial_segmentation = 0;
        if r.flag()? {
            r.skip(3)?; // tiles_fixed_structure, motion_vectors_over_pic_boundaries, restricted_ref_pic_lists
            min_spatial_segmentation = r.ue_max(4095, "min_spatial_segmentation_idc")? as u16;
            for _ in 0..4 {
                r.ue()?; // max_bytes_per_pic_denom to log2_max_mv_length_vertical
            }
        }
        Ok(Self {
            sample_aspect_ratio,
            color,
            field_seq,
            frame_field_info,
            frame_rate,
            min_spatial_segmentation,
        })
    }
}

/// `hrd_parameters( 1, maxNumSubLayersMinus1 )` (E.2.2).
fn skip_hrd(r: &mut BitReader, max_sub_layers_minus1: u32) -> BitResult<()> {
    let nal = r.flag()?;
    let vcl = r.flag()?;
    let mut sub_pic = false;
    if nal || vcl {
        sub_pic = r.flag()?;
        if sub_pic {
            r.skip(19)?;
        }
        r.skip(8)?; // bit_rate_scale, cpb_size_scale
        if sub_pic {
            r.skip(4)?; // cpb_size_du_scale
        }
        r.skip(15)?; // three lengths of 5 bits
    }
    for _ in 0..=max_sub_layers_minus1 {
        let fixed_general = r.flag()?;
        let fixed_within_cvs = fixed_general || r.flag()?;
        let low_delay = if fixed_within_cvs {
            r.ue_max(2047, "elemental_duration_in_tc_minus1")?;
            false
        } else {
            r.flag()?
        };
        let count = if low_delay { 1 } else { r.ue_max(31, "cpb_cnt_minus1")? + 1 };
        for _ in 0..count * (u32::from(nal) + u32::from(vcl)) {
            for _ in 0..if sub_pic { 4 } else { 2 } {
                r.ue()?;
            }
            r.skip(1)?; // cbr_flag
        }
    }
    Ok(())
}
