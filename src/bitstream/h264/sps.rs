//! Sequence parameter set (7.3.2.1.1) and what follows from it.

use super::vui::Vui;
use super::{NAL_SPS, nal_type};
use crate::bitstream::bits::{BitReader, BitResult};
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::pixel::Chroma;

/// How picture order counts are coded (8.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PicOrderCntType {
    /// Type 0: the low bits are in every slice header.
    Lsb {
        /// Bits of `pic_order_cnt_lsb`, 4 to 16.
        bits: u8,
    },
    /// Type 1: expected increments, corrected in slice headers.
    Cycle {
        /// `delta_pic_order_always_zero_flag`.
        delta_always_zero: bool,
        /// `offset_for_non_ref_pic`.
        offset_for_non_ref_pic: i32,
        /// `offset_for_top_to_bottom_field`.
        offset_for_top_to_bottom_field: i32,
        /// `offset_for_ref_frame`, at most 255.
        offset_for_ref_frame: Vec<i32>,
    },
    /// Type 2: output order is decoding order.
    DecodingOrder,
}

/// Frame cropping in luma samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Crop {
    /// Columns cut at the left.
    pub left: u32,
    /// Columns cut at the right.
    pub right: u32,
    /// Rows cut at the top.
    pub top: u32,
    /// Rows cut at the bottom.
    pub bottom: u32,
}

/// Sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sps {
    /// `profile_idc`.
    pub profile_idc: u8,
    /// `constraint_set0_flag` (bit 7) to `constraint_set5_flag` (bit 2), as in the byte of the stream.
    pub constraint_flags: u8,
    /// `level_idc`: ten times the level.
    pub level_idc: u8,
    /// `seq_parameter_set_id`, 0 to 31.
    pub id: u8,
    /// `chroma_format_idc`.
    pub chroma: Chroma,
    /// `separate_colour_plane_flag`: three planes coded like luma, each with slices of its own.
    pub separate_colour_planes: bool,
    /// Bits per luma sample, 8 to 14.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample, 8 to 14.
    pub bit_depth_chroma: u8,
    /// `qpprime_y_zero_transform_bypass_flag`: lossless coding is possible.
    pub transform_bypass: bool,
    /// `seq_scaling_matrix_present_flag`.
    pub scaling_matrix: bool,
    /// Bits of `frame_num`, 4 to 16.
    pub frame_num_bits: u8,
    /// Coding of the picture order count.
    pub poc: PicOrderCntType,
    /// `max_num_ref_frames`, 0 to 16.
    pub max_num_ref_frames: u8,
    /// `gaps_in_frame_num_value_allowed_flag`.
    pub gaps_in_frame_num_allowed: bool,
    /// Macroblock columns.
    pub width_in_mbs: u32,
    /// `pic_height_in_map_units`: macroblock rows of a frame, or of a field when [`Self::frame_mbs_only`]
    /// is false.
    pub height_in_map_units: u32,
    /// `frame_mbs_only_flag`: no fields and no field macroblocks.
    pub frame_mbs_only: bool,
    /// `mb_adaptive_frame_field_flag`.
    pub mb_adaptive_frame_field: bool,
    /// `direct_8x8_inference_flag`.
    pub direct_8x8_inference: bool,
    /// Cropping, already in luma samples.
    pub crop: Crop,
    /// Video usability information, where present and readable.
    pub vui: Option<Vui>,
}

/// Profiles whose SPS holds the chroma format and what follows it.
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

impl Sps {
    /// Reads a NAL unit of type 7 (header byte included, emulation prevention as in the stream).
    ///
    /// # Errors
    /// [`Error::CorruptStream`].
    pub(crate) fn parse(nal: &[u8]) -> Result<Self> {
        let payload = match nal.split_first() {
            Some((_, payload)) if nal_type(nal) == Some(NAL_SPS) => payload,
            _ => return Err(Error::corrupt("H.264 SPS: the NAL unit is not of type 7")),
        };
        Self::read(&mut BitReader::nal(payload)).map_err(|e| e.within("H.264 SPS"))
    }

    fn read(r: &mut BitReader) -> BitResult<Self> {
        let profile_idc = r.u8()?;
        let constraint_flags = r.u8()?;
        let level_idc = r.u8()?;
        let id = r.ue_max(31, "seq_parameter_set_id")? as u8;
        let mut chroma = Chroma::Yuv420;
        let mut separate_colour_planes = false;
        let (mut bit_depth_luma, mut bit_depth_chroma) = (8, 8);
        let (mut transform_bypass, mut scaling_matrix) = (false, false);
        if HIGH_PROFILES.contains(&profile_idc) {
            chroma = match r.ue_max(3, "chroma_format_idc")? {
                0 => Chroma::Monochrome,
                1 => Chroma::Yuv420,
                2 => Chroma::Yuv422,
                _ => Chroma::Yuv444,
            };
            if chroma == Chroma::Yuv444 {
                separate_colour_planes = r.flag()?;
            }
            bit_depth_luma = 8 + r.ue_max(6, "bit_depth_luma_minus8")? as u8;
            bit_depth_chroma = 8 + r.ue_max(6, "bit_depth_chroma_minus8")? as u8;
            transform_bypass = r.flag()?;
            scaling_matrix = r.flag()?;
            if scaling_matrix {
                skip_scaling_lists(r, if chroma == Chroma::Yuv444 { 12 } else { 8 })?;
            }
        }
        let frame_num_bits = 4 + r.ue_max(12, "log2_max_frame_num_minus4")? as u8;
        let poc = read_poc(r)?;
        let max_num_ref_frames = r.ue_max(16, "max_num_ref_frames")? as u8;
        let gaps_in_frame_num_allowed = r.flag()?;
        // 4096 macroblocks are 65,536 samples: more than Dimensions takes, so nothing valid is refused.
        let width_in_mbs = r.ue_max(4095, "pic_width_in_mbs_minus1")? + 1;
        let height_in_map_units = r.ue_max(4095, "pic_height_in_map_units_minus1")? + 1;
        let frame_mbs_only = r.flag()?;
        let mb_adaptive_frame_field = !frame_mbs_only && r.flag()?;
        let direct_8x8_inference = r.flag()?;
        let crop = if r.flag()? { read_crop(r, chroma, frame_mbs_only)? } else { Crop::default() };
        // Nothing in the VUI is needed for decoding; streams with a broken one are common.
        let vui = if r.flag()? { Vui::read(r).ok() } else { None };
        Ok(Self {
            profile_idc,
            constraint_flags,
            level_idc,
            id,
            chroma,
            separate_colour_planes,
            bit_depth_luma,
            bit_depth_chroma,
            transform_bypass,
            scaling_matrix,
            frame_num_bits,
            poc,
            max_num_ref_frames,
            gaps_in_frame_num_allowed,
            width_in_mbs,
            height_in_map_units,
            frame_mbs_only,
            mb_adaptive_frame_field,
            direct_8x8_inference,
            crop,
            vui,
        })
    }

    /// `constraint_setN_flag`.
    pub(crate) const fn constraint_set(&self, n: u8) -> bool {
        n < 6 && self.constraint_flags & (0x80 >> n) != 0
    }

    /// Macroblock rows of a frame.
    pub(crate) const fn frame_height_in_mbs(&self) -> u32 {
        self.height_in_map_units * if self.frame_mbs_only { 1 } else { 2 }
    }

    /// Width and height of the coded frame; `None` above [`Dimensions::MAX_SIDE`].
    pub(crate) const fn coded_dimensions(&self) -> Option<Dimensions> {
        Dimensions::new(self.width_in_mbs * 16, self.frame_height_in_mbs() * 16)
    }

    /// Width and height after cropping; `None` where the cropping leaves nothing.
    pub(crate) fn dimensions(&self) -> Option<Dimensions> {
        let crop = |size: u32, a: u32, b: u32| size.checked_sub(a)?.checked_sub(b);
        Dimensions::new(
            crop(self.width_in_mbs * 16, self.crop.left, self.crop.right)?,
            crop(self.frame_height_in_mbs() * 16, self.crop.top, self.crop.bottom)?,
        )
    }

    /// `MaxFrameNum`.
    pub(crate) const fn max_frame_num(&self) -> u32 {
        1 << self.frame_num_bits
    }

    /// Name of the profile, as ffmpeg prints it (`Constrained Baseline`, `High 4:2:2 Intra`).
    pub(crate) fn profile_name(&self) -> String {
        let intra = self.constraint_set(3);
        let name = match self.profile_idc {
            66 if self.constraint_set(1) => "Constrained Baseline",
            66 => "Baseline",
            77 => "Main",
            88 => "Extended",
            100 => "High",
            110 if intra => "High 10 Intra",
            110 => "High 10",
            122 if intra => "High 4:2:2 Intra",
            122 => "High 4:2:2",
            144 => "High 4:4:4",
            244 if intra => "High 4:4:4 Intra",
            244 => "High 4:4:4 Predictive",
            44 => "CAVLC 4:4:4",
            83 => "Scalable Baseline",
            86 => "Scalable High",
            118 => "Multiview High",
            128 => "Stereo High",
            other => return format!("profile {other}"),
        };
        name.to_owned()
    }

    /// Whether this is level 1b: `level_idc` 9, or 11 with `constraint_set3_flag` in the profiles that
    /// have no other use for the flag (table A-1).
    pub(crate) const fn is_level_1b(&self) -> bool {
        self.level_idc == 9
            || (self.level_idc == 11 && self.constraint_set(3) && matches!(self.profile_idc, 66 | 77 | 88))
    }

    /// Name of the level: `1b`, `3.1`, `4`.
    pub(crate) fn level_name(&self) -> String {
        match (self.level_idc / 10, self.level_idc % 10) {
            _ if self.is_level_1b() => "1b".to_owned(),
            (major, 0) => major.to_string(),
            (major, minor) => format!("{major}.{minor}"),
        }
    }

    /// `MaxDpbFrames` (A.3.1 h, table A-1), 1 to 16: most frames that a decoder of this level holds. Levels
    /// that the table does not name count as 6.2.
    pub(crate) fn max_dpb_frames(&self) -> u8 {
        let max_dpb_mbs: u32 = match self.level_idc {
            _ if self.is_level_1b() => 396,
            10 => 396,
            11 => 900,
            12 | 13 | 20 => 2376,
            21 => 4752,
            22 | 30 => 8100,
            31 => 18_000,
            32 => 20_480,
            40 | 41 => 32_768,
            42 => 34_816,
            50 => 110_400,
            51 | 52 => 184_320,
            _ => 696_320,
        };
        let frame_mbs = self.width_in_mbs * self.frame_height_in_mbs();
        (max_dpb_mbs / frame_mbs).clamp(1, 16) as u8
    }

    /// Most frames that precede another in decoding order and follow it in output order
    /// (`max_num_reorder_frames`): what the VUI states, or 0 where the stream implies it (order count type
    /// 2; intra profiles, E.2.1). `None` when nothing is said: the bound is then
    /// [`Self::max_dpb_frames`].
    pub(crate) fn reorder_frames(&self) -> Option<u32> {
        let stated =
            self.vui.as_ref().and_then(|v| v.bitstream_restriction).map(|b| b.max_num_reorder_frames);
        let intra_profile =
            matches!(self.profile_idc, 44 | 86 | 100 | 110 | 122 | 244) && self.constraint_set(3);
        let implied = self.poc == PicOrderCntType::DecodingOrder || intra_profile;
        if implied { Some(0) } else { stated }
    }

    /// Frames that output order may be made from (`max_dec_frame_buffering`): what the VUI states, at
    /// least `max_num_ref_frames`, else [`Self::max_dpb_frames`].
    pub(crate) fn dpb_frames(&self) -> u8 {
        let stated =
            self.vui.as_ref().and_then(|v| v.bitstream_restriction).map(|b| b.max_dec_frame_buffering);
        match stated {
            Some(n) => n.clamp(1, 16) as u8,
            None => self.max_dpb_frames(),
        }
        .max(self.max_num_ref_frames)
    }

    /// Colour as the VUI states it.
    pub(crate) fn color(&self) -> ColorInfo {
        self.vui.as_ref().map_or(ColorInfo::UNSPECIFIED, |v| v.color)
    }
}

/// Skips `count` scaling lists with their presence flags: six of 16 entries, then of 64 (7.3.2.1.1.1).
pub(super) fn skip_scaling_lists(r: &mut BitReader, count: u32) -> BitResult<()> {
    for i in 0..count {
        if !r.flag()? {
            continue;
        }
        let (mut last, mut next) = (8_i32, 8_i32);
        for _ in 0..if i < 6 { 16 } else { 64 } {
            if next != 0 {
                let delta = r.se()?;
                if !(-128..=127).contains(&delta) {
                    return Err(r.out_of_range("delta_scale", i64::from(delta)));
                }
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Ok(())
}

fn read_poc(r: &mut BitReader) -> BitResult<PicOrderCntType> {
    Ok(match r.ue_max(2, "pic_order_cnt_type")? {
        0 => PicOrderCntType::Lsb { bits: 4 + r.ue_max(12, "log2_max_pic_order_cnt_lsb_minus4")? as u8 },
        1 => {
            let delta_always_zero = r.flag()?;
            let offset_for_non_ref_pic = r.se()?;
            let offset_for_top_to_bottom_field = r.se()?;
            let count = r.ue_max(255, "num_ref_frames_in_pic_order_cnt_cycle")?;
            let offset_for_ref_frame = (0..count).map(|_| r.se()).collect::<BitResult<_>>()?;
            PicOrderCntType::Cycle {
                delta_always_zero,
                offset_for_non_ref_pic,
                offset_for_top_to_bottom_field,
                offset_for_ref_frame,
            }
        }
        _ => PicOrderCntType::DecodingOrder,
    })
}

fn read_crop(r: &mut BitReader, chroma: Chroma, frame_mbs_only: bool) -> BitResult<Crop> {
    // Equations 7-19 to 7-22; separate colour planes are 4:4:4 and have units of one sample as well.
    let (sx, sy) = chroma.shifts();
    let unit_x = 1 << sx;
    let unit_y = (1 << sy) * if frame_mbs_only { 1 } else { 2 };
    let mut side = |unit: u32| Ok(r.ue_max(65_535, "frame_crop_offset")? * unit);
    Ok(Crop { left: side(unit_x)?, right: side(unit_x)?, top: side(unit_y)?, bottom: side(unit_y)? })
}
