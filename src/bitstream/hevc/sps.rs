//! Sequence parameter set (7.3.2.2).

use super::profile::ProfileTierLevel;
use super::rps::skip_picture_sets;
use super::vui::Vui;
use super::{NAL_SPS, payload};
use crate::bitstream::bits::{BitReader, BitResult};
use crate::bitstream::h264::Crop;
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::pixel::Chroma;

/// Bounds on decoding delay for the highest temporal sub-layer (C.5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(clippy::struct_field_names, reason = "the names of the specification")]
pub(crate) struct SubLayerOrdering {
    /// `sps_max_dec_pic_buffering_minus1` + 1: pictures in the decoded picture buffer, 1 to 16.
    pub max_dec_pic_buffering: u32,
    /// `sps_max_num_reorder_pics`.
    pub max_num_reorder: u32,
    /// `sps_max_latency_increase_plus1`; 0 is no limit.
    pub max_latency_increase_plus1: u32,
}

/// Coding tools of the range extensions (7.3.2.2.2) that the version 1 profiles lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct RangeExtension {
    /// `transform_skip_rotation_enabled_flag`.
    pub transform_skip_rotation: bool,
    /// `transform_skip_context_enabled_flag`.
    pub transform_skip_context: bool,
    /// `implicit_rdpcm_enabled_flag`.
    pub implicit_rdpcm: bool,
    /// `explicit_rdpcm_enabled_flag`.
    pub explicit_rdpcm: bool,
    /// `extended_precision_processing_flag`.
    pub extended_precision: bool,
    /// `intra_smoothing_disabled_flag`.
    pub intra_smoothing_disabled: bool,
    /// `high_precision_offsets_enabled_flag`.
    pub high_precision_offsets: bool,
    /// `persistent_rice_adaptation_enabled_flag`.
    pub persistent_rice_adaptation: bool,
    /// `cabac_bypass_alignment_enabled_flag`.
    pub cabac_bypass_alignment: bool,
}

/// Sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sps {
    /// `sps_video_parameter_set_id`.
    pub vps_id: u8,
    /// `sps_max_sub_layers_minus1` + 1, 1 to 7.
    pub max_sub_layers: u8,
    /// `sps_temporal_id_nesting_flag`.
    pub temporal_id_nesting: bool,
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
    /// `sps_seq_parameter_set_id`, 0 to 15.
    pub id: u8,
    /// `chroma_format_idc`.
    pub chroma: Chroma,
    /// `separate_colour_plane_flag`.
    pub separate_colour_planes: bool,
    /// `pic_width_in_luma_samples`.
    pub width: u32,
    /// `pic_height_in_luma_samples`.
    pub height: u32,
    /// Conformance window, in luma samples.
    pub crop: Crop,
    /// Bits per luma sample, 8 to 16.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample, 8 to 16.
    pub bit_depth_chroma: u8,
    /// Bits of `slice_pic_order_cnt_lsb`, 4 to 16.
    pub poc_lsb_bits: u8,
    /// Delay of the highest sub-layer.
    pub ordering: SubLayerOrdering,
    /// `MinCbLog2SizeY`.
    pub min_cb_log2: u8,
    /// `CtbLog2SizeY`, 4 to 6.
    pub ctb_log2: u8,
    /// `scaling_list_enabled_flag`.
    pub scaling_lists: bool,
    /// `pcm_enabled_flag`.
    pub pcm: bool,
    /// `long_term_ref_pics_present_flag`.
    pub long_term_refs: bool,
    /// Video usability information, where present.
    pub vui: Option<Vui>,
    /// Range extension tools, where present.
    pub range_extension: Option<RangeExtension>,
    /// `sps_multilayer_extension_flag`, `sps_3d_extension_flag`, `sps_scc_extension_flag` and the four
    /// reserved ones, as the low seven bits.
    pub other_extensions: u8,
}

impl Sps {
    /// Reads a NAL unit of type 33 (header included) of the base layer.
    ///
    /// # Errors
    /// [`crate::Error::CorruptStream`], or [`crate::Error::Unsupported`] for an enhancement layer.
    pub(crate) fn parse(nal: &[u8]) -> Result<Self> {
        Self::read(&mut payload(nal, NAL_SPS, "H.265 SPS")?).map_err(|e| e.within("H.265 SPS"))
    }

    fn read(r: &mut BitReader) -> BitResult<Self> {
        let vps_id = r.u(4)? as u8;
        let max_sub_layers_minus1 = r.u(3)?;
        if max_sub_layers_minus1 > 6 {
            return Err(r.out_of_range("sps_max_sub_layers_minus1", 7));
        }
        let temporal_id_nesting = r.flag()?;
        let profile = ProfileTierLevel::read(r, max_sub_layers_minus1)?;
        let id = r.ue_max(15, "sps_seq_parameter_set_id")? as u8;
        let chroma = match r.ue_max(3, "chroma_format_idc")? {
            0 => Chroma::Monochrome,
            1 => Chroma::Yuv420,
            2 => Chroma::Yuv422,
            _ => Chroma::Yuv444,
        };
        let separate_colour_planes = chroma == Chroma::Yuv444 && r.flag()?;
        let width = r.ue_max(Dimensions::MAX_SIDE, "pic_width_in_luma_samples")?;
        let height = r.ue_max(Dimensions::MAX_SIDE, "pic_height_in_luma_samples")?;
        let crop = if r.flag()? { read_window(r, chroma)? } else { Crop::default() };
        let bit_depth_luma = 8 + r.ue_max(8, "bit_depth_luma_minus8")? as u8;
        let bit_depth_chroma = 8 + r.ue_max(8, "bit_depth_chroma_minus8")? as u8;
        let poc_lsb_bits = 4 + r.ue_max(12, "log2_max_pic_order_cnt_lsb_minus4")? as u8;
        let all_sub_layers = r.flag()?;
        let mut ordering = SubLayerOrdering::default();
        for _ in 0..=if all_sub_layers { max_sub_layers_minus1 } else { 0 } {
            ordering = SubLayerOrdering {
                max_dec_pic_buffering: r.ue_max(15, "sps_max_dec_pic_buffering_minus1")? + 1,
                max_num_reorder: r.ue_max(15, "sps_max_num_reorder_pics")?,
                max_latency_increase_plus1: r.ue()?,
            };
        }
        let min_cb_log2 = 3 + r.ue_max(3, "log2_min_luma_coding_block_size_minus3")? as u8;
        let ctb_log2 = min_cb_log2 + r.ue_max(3, "log2_diff_max_min_luma_coding_block_size")? as u8;
        if !(4..=6).contains(&ctb_log2) {
            return Err(r.out_of_range("CtbLog2SizeY", i64::from(ctb_log2)));
        }
        r.ue()?; // log2_min_luma_transform_block_size_minus2
        r.ue()?; // log2_diff_max_min_luma_transform_block_size
        r.ue()?; // max_transform_hierarchy_depth_inter
        r.ue()?; // max_transform_hierarchy_depth_intra
        let scaling_lists = r.flag()?;
        if scaling_lists && r.flag()? {
            skip_scaling_list_data(r)?;
        }
        r.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
        let pcm = r.flag()?;
        if pcm {
            r.skip(8)?; // two bit depths
            r.ue()?;
            r.ue()?;
            r.skip(1)?; // pcm_loop_filter_disabled_flag
        }
        let sets = r.ue_max(64, "num_short_term_ref_pic_sets")?;
        skip_picture_sets(r, sets)?;
        let long_term_refs = r.flag()?;
        if long_term_refs {
            for _ in 0..r.ue_max(32, "num_long_term_ref_pics_sps")? {
                r.skip(u32::from(poc_lsb_bits) + 1)?;
            }
        }
        r.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
        let vui = if r.flag()? { Some(Vui::read(r, max_sub_layers_minus1)?) } else { None };
        let (mut range_extension, mut other_extensions) = (None, 0);
        if r.flag()? {
            let range = r.flag()?;
            other_extensions = r.u(7)? as u8;
            range_extension = if range { Some(RangeExtension::read(r)?) } else { None };
        }
        Ok(Self {
            vps_id,
            max_sub_layers: max_sub_layers_minus1 as u8 + 1,
            temporal_id_nesting,
            profile,
            id,
            chroma,
            separate_colour_planes,
            width,
            height,
            crop,
            bit_depth_luma,
            bit_depth_chroma,
            poc_lsb_bits,
            ordering,
            min_cb_log2,
            ctb_log2,
            scaling_lists,
            pcm,
            long_term_refs,
            vui,
            range_extension,
            other_extensions,
        })
    }

    /// Width and height of the coded pictures; `None` when one is zero.
    pub(crate) const fn coded_dimensions(&self) -> Option<Dimensions> {
        Dimensions::new(self.width, self.height)
    }

    /// Width and height inside the conformance window; `None` where it leaves nothing.
    pub(crate) fn dimensions(&self) -> Option<Dimensions> {
        let crop = |size: u32, a: u32, b: u32| size.checked_sub(a)?.checked_sub(b);
        Dimensions::new(
            crop(self.width, self.crop.left, self.crop.right)?,
            crop(self.height, self.crop.top, self.crop.bottom)?,
        )
    }

    /// `PicSizeInCtbsY`.
    pub(crate) const fn picture_ctbs(&self) -> u32 {
        let ctb = 1 << self.ctb_log2;
        self.width.div_ceil(ctb) * self.height.div_ceil(ctb)
    }

    /// Colour as the VUI states it.
    pub(crate) fn color(&self) -> ColorInfo {
        self.vui.as_ref().map_or(ColorInfo::UNSPECIFIED, |v| v.color)
    }
}

impl RangeExtension {
    fn read(r: &mut BitReader) -> BitResult<Self> {
        Ok(Self {
            transform_skip_rotation: r.flag()?,
            transform_skip_context: r.flag()?,
            implicit_rdpcm: r.flag()?,
            explicit_rdpcm: r.flag()?,
            extended_precision: r.flag()?,
            intra_smoothing_disabled: r.flag()?,
            high_precision_offsets: r.flag()?,
            persistent_rice_adaptation: r.flag()?,
            cabac_bypass_alignment: r.flag()?,
        })
    }
}

fn read_window(r: &mut BitReader, chroma: Chroma) -> BitResult<Crop> {
    let (sx, sy) = chroma.shifts();
    let mut side = |shift: u32| Ok(r.ue_max(65_535, "conf_win_offset")? << shift);
    Ok(Crop { left: side(sx)?, right: side(sx)?, top: side(sy)?, bottom: side(sy)? })
}

/// `scaling_list_data()` (7.3.4).
pub(super) fn skip_scaling_list_data(r: &mut BitReader) -> BitResult<()> {
    for size in 0..4_u32 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !r.flag()? {
                r.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            if size > 1 {
                r.se()?; // scaling_list_dc_coef_minus8
            }
            for _ in 0..(16 << (2 * size)).min(64) {
                r.se()?; // scaling_list_delta_coef
            }
        }
    }
    Ok(())
}
