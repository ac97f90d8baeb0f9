//! Slice header (7.3.3).

use std::ops::Range;

use super::sps::PicOrderCntType;
use super::{
    NAL_IDR, NAL_PARTITION_A, NAL_SEI, NAL_SLICE, ParameterSets, Pps, nal_ref_idc, nal_type, weights,
};
use crate::bitstream::bits::{BitReader, BitResult};
use crate::error::{Error, Result};

/// `slice_type` modulo 5 (table 7-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SliceType {
    /// Predicted from one list.
    P,
    /// Predicted from two lists.
    B,
    /// Intra.
    I,
    /// Switching P (Extended profile).
    Sp,
    /// Switching I (Extended profile).
    Si,
}

/// `memory_management_control_operation` with its operands (7.4.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MemoryManagement {
    /// 1: a short-term picture becomes unused.
    UnmarkShortTerm {
        /// `difference_of_pic_nums_minus1`.
        difference_of_pic_nums_minus1: u32,
    },
    /// 2: a long-term picture becomes unused.
    UnmarkLongTerm {
        /// `long_term_pic_num`.
        long_term_pic_num: u32,
    },
    /// 3: a short-term picture becomes long-term.
    ShortToLongTerm {
        /// `difference_of_pic_nums_minus1`.
        difference_of_pic_nums_minus1: u32,
        /// `long_term_frame_idx`.
        long_term_frame_idx: u32,
    },
    /// 4: sets the largest long-term index.
    MaxLongTermIndex {
        /// `max_long_term_frame_idx_plus1`.
        max_long_term_frame_idx_plus1: u32,
    },
    /// 5: everything becomes unused; order counts start again as after an IDR picture.
    UnmarkAll,
    /// 6: the current picture becomes long-term.
    CurrentToLongTerm {
        /// `long_term_frame_idx`.
        long_term_frame_idx: u32,
    },
}

/// The beginning of a slice header: all that tells one picture from the next (7.4.1.2.4) and that the
/// picture order count is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SliceIdentity {
    /// `nal_unit_type`: 1, 2 or 5.
    pub nal_type: u8,
    /// `nal_ref_idc`: 0 for pictures that no other refers to.
    pub nal_ref_idc: u8,
    /// `first_mb_in_slice`.
    pub first_mb: u32,
    /// `slice_type`.
    pub slice_type: SliceType,
    /// `pic_parameter_set_id`.
    pub pps_id: u8,
    /// `colour_plane_id`; 0 unless the planes are coded separately.
    pub colour_plane: u8,
    /// `frame_num`.
    pub frame_num: u32,
    /// `field_pic_flag`.
    pub field: bool,
    /// `bottom_field_flag`.
    pub bottom_field: bool,
    /// `idr_pic_id`, 0 in other pictures.
    pub idr_pic_id: u32,
    /// `pic_order_cnt_lsb`, 0 when not coded.
    pub poc_lsb: u32,
    /// `delta_pic_order_cnt_bottom`, 0 when not coded.
    pub delta_poc_bottom: i32,
    /// `delta_pic_order_cnt`, 0 where not coded.
    pub delta_poc: [i32; 2],
    /// `redundant_pic_cnt`: above 0 for slices of redundant coded pictures.
    pub redundant_pic_cnt: u32,
}

impl SliceIdentity {
    /// Reads the beginning of a NAL unit of type 1, 2 or 5; `nal` may be cut off behind it (128 bytes hold
    /// every one).
    ///
    /// # Errors
    /// [`Error::CorruptStream`], also for parameter sets that were not seen.
    pub(crate) fn parse(nal: &[u8], sets: &ParameterSets) -> Result<Self> {
        let mut r = slice_reader(nal)?;
        Self::read(nal, &mut r, sets).map_err(|e| e.within("H.264 slice header"))
    }

    fn read(nal: &[u8], r: &mut BitReader, sets: &ParameterSets) -> BitResult<Self> {
        let nal_type = nal_type(nal).unwrap_or(0);
        let first_mb = r.ue()?;
        let slice_type = match r.ue_max(9, "slice_type")? % 5 {
            0 => SliceType::P,
            1 => SliceType::B,
            2 => SliceType::I,
            3 => SliceType::Sp,
            _ => SliceType::Si,
        };
        let pps_id = r.ue_max(255, "pic_parameter_set_id")? as u8;
        let (sps, pps) = sets.require(pps_id)?;
        let colour_plane = if sps.separate_colour_planes { r.u(2)? as u8 } else { 0 };
        let frame_num = r.u(u32::from(sps.frame_num_bits))?;
        let field = !sps.frame_mbs_only && r.flag()?;
        let bottom_field = field && r.flag()?;
        let idr_pic_id = if nal_type == NAL_IDR { r.ue_max(65_535, "idr_pic_id")? } else { 0 };
        let (mut poc_lsb, mut delta_poc_bottom, mut delta_poc) = (0, 0, [0, 0]);
        match sps.poc {
            PicOrderCntType::Lsb { bits } => {
                poc_lsb = r.u(u32::from(bits))?;
                if pps.bottom_field_pic_order_present && !field {
                    delta_poc_bottom = r.se()?;
                }
            }
            PicOrderCntType::Cycle { delta_always_zero: false, .. } => {
                delta_poc[0] = r.se()?;
                if pps.bottom_field_pic_order_present && !field {
                    delta_poc[1] = r.se()?;
                }
            }
            _ => {}
        }
        let redundant_pic_cnt =
            if pps.redundant_pic_cnt_present { r.ue_max(127, "redundant_pic_cnt")? } else { 0 };
        Ok(Self {
            nal_type,
            nal_ref_idc: nal_ref_idc(nal).unwrap_or(0),
            first_mb,
            slice_type,
            pps_id,
            colour_plane,
            frame_num,
            field,
            bottom_field,
            idr_pic_id,
            poc_lsb,
            delta_poc_bottom,
            delta_poc,
            redundant_pic_cnt,
        })
    }

    /// Whether the slice belongs to an IDR picture.
    pub(crate) const fn is_idr(&self) -> bool {
        self.nal_type == NAL_IDR
    }

    /// Whether the slice belongs to another primary coded picture than `previous` (7.4.1.2.4). The order
    /// count fields are 0 where they are not coded, so comparing them all covers every order count type.
    pub(crate) fn starts_new_picture(&self, previous: &Self) -> bool {
        self.frame_num != previous.frame_num
            || self.pps_id != previous.pps_id
            || self.field != previous.field
            || self.bottom_field != previous.bottom_field
            || (self.nal_ref_idc != previous.nal_ref_idc
                && (self.nal_ref_idc == 0 || previous.nal_ref_idc == 0))
            || self.poc_lsb != previous.poc_lsb
            || self.delta_poc_bottom != previous.delta_poc_bottom
            || self.delta_poc != previous.delta_poc
            || self.is_idr() != previous.is_idr()
            || self.idr_pic_id != previous.idr_pic_id
    }

    /// Whether this field completes the frame that the field `first` began (3.30 complementary reference
    /// field pair and complementary non-reference field pair).
    pub(crate) const fn completes_frame_of(&self, first: &Self) -> bool {
        self.field
            && first.field
            && self.bottom_field != first.bottom_field
            && self.frame_num == first.frame_num
            && (self.nal_ref_idc == 0) == (first.nal_ref_idc == 0)
            && (!self.is_idr() || first.is_idr())
    }
}

/// Loop filter settings of a slice (7.4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deblocking {
    /// `disable_deblocking_filter_idc`: 0 filters, 1 does not, 2 filters within the slice only.
    pub disable_idc: u8,
    /// `slice_alpha_c0_offset_div2`, -6 to 6.
    pub alpha_offset_div2: i8,
    /// `slice_beta_offset_div2`, -6 to 6.
    pub beta_offset_div2: i8,
}

/// Slice header up to and including the loop filter settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SliceHeader {
    /// The beginning of the header.
    pub identity: SliceIdentity,
    /// `direct_spatial_mv_pred_flag`.
    pub direct_spatial_mv_pred: bool,
    /// Active references of list 0 and list 1, 0 where the slice type has none.
    pub num_ref_idx_active: [u8; 2],
    /// The offsets among the explicit weights.
    pub(super) weight_offsets: Vec<weights::Offset>,
    /// `no_output_of_prior_pics_flag`.
    pub no_output_of_prior_pics: bool,
    /// `long_term_reference_flag` of IDR pictures.
    pub long_term_reference: bool,
    /// `adaptive_ref_pic_marking_mode_flag`: [`Self::memory_management`] replaces the sliding window.
    pub adaptive_marking: bool,
    /// The operations, in order, without the terminating 0.
    pub memory_management: Vec<MemoryManagement>,
    /// First bit of `dec_ref_pic_marking()` and of what follows it, in the bytes that were read.
    pub marking: Range<usize>,
    /// `slice_qp_delta`, added to [`Pps::pic_init_qp`].
    pub qp_delta: i8,
    /// Loop filter settings.
    pub deblocking: Deblocking,
}

impl SliceHeader {
    /// Reads the header of a NAL unit of type 1, 2 or 5; `nal` may be cut off behind it.
    ///
    /// # Errors
    /// [`Error::CorruptStream`], also for parameter sets that were not seen.
    pub(crate) fn parse(nal: &[u8], sets: &ParameterSets) -> Result<Self> {
        let mut r = slice_reader(nal)?;
        Self::read(nal, &mut r, sets).map_err(|e| e.within("H.264 slice header"))
    }

    /// As [`Self::parse`], of the payload of `nal` without emulation prevention bytes; and where in it the slice data begin, in bits.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(crate) fn of_payload(nal: &[u8], payload: &[u8], sets: &ParameterSets) -> Result<(Self, usize)> {
        let mut r = BitReader::new(payload);
        let header = Self::read(nal, &mut r, sets).map_err(|e| e.within("H.264 slice header"))?;
        Ok((header, r.position()))
    }

    pub(super) fn read(nal: &[u8], r: &mut BitReader, sets: &ParameterSets) -> BitResult<Self> {
        let identity = SliceIdentity::read(nal, r, sets)?;
        let (sps, pps) = sets.require(identity.pps_id)?;
        let is_b = identity.slice_type == SliceType::B;
        let is_p = matches!(identity.slice_type, SliceType::P | SliceType::Sp);
        let direct_spatial_mv_pred = is_b && r.flag()?;
        let num_ref_idx_active = read_ref_counts(r, pps, is_p, is_b)?;
        for _ in 0..u32::from(is_p || is_b) + u32::from(is_b) {
            skip_list_modification(r)?;
        }
        let mut weight_offsets = Vec::new();
        if (pps.weighted_pred && is_p) || (pps.weighted_bipred_idc == 1 && is_b) {
            weight_offsets = weights::read_offsets(r, sps, num_ref_idx_active)?;
        }
        let mut header = Self {
            identity,
            direct_spatial_mv_pred,
            num_ref_idx_active,
            weight_offsets,
            no_output_of_prior_pics: false,
            long_term_reference: false,
            adaptive_marking: false,
            memory_management: Vec::new(),
            marking: 0..0,
            qp_delta: 0,
            deblocking: Deblocking::default(),
        };
        if identity.nal_ref_idc != 0 {
            let begin = r.position();
            header.read_marking(r)?;
            header.marking = begin..r.position();
        }
        if pps.cabac && (is_p || is_b) {
            r.ue_max(2, "cabac_init_idc")?;
        }
        let qp_delta = r.se()?;
        if !(-87..=87).contains(&qp_delta) {
            return Err(r.out_of_range("slice_qp_delta", i64::from(qp_delta)));
        }
        header.qp_delta = qp_delta as i8;
        if matches!(identity.slice_type, SliceType::Sp | SliceType::Si) {
            if identity.slice_type == SliceType::Sp {
                r.flag()?; // sp_for_switch_flag
            }
            r.se()?; // slice_qs_delta
        }
        if pps.deblocking_control_present {
            header.deblocking = read_deblocking(r)?;
        }
        Ok(header)
    }

    /// `dec_ref_pic_marking()`.
    fn read_marking(&mut self, r: &mut BitReader) -> BitResult<()> {
        let header = self;
        if header.identity.is_idr() {
            header.no_output_of_prior_pics = r.flag()?;
            header.long_term_reference = r.flag()?;
            return Ok(());
        }
        header.adaptive_marking = r.flag()?;
        while header.adaptive_marking {
            let operation = match r.ue_max(6, "memory_management_control_operation")? {
                0 => break,
                1 => MemoryManagement::UnmarkShortTerm { difference_of_pic_nums_minus1: r.ue()? },
                2 => MemoryManagement::UnmarkLongTerm { long_term_pic_num: r.ue()? },
                3 => MemoryManagement::ShortToLongTerm {
                    difference_of_pic_nums_minus1: r.ue()?,
                    long_term_frame_idx: r.ue()?,
                },
                4 => MemoryManagement::MaxLongTermIndex { max_long_term_frame_idx_plus1: r.ue()? },
                5 => MemoryManagement::UnmarkAll,
                _ => MemoryManagement::CurrentToLongTerm { long_term_frame_idx: r.ue()? },
            };
            // No valid picture needs more than one operation for each of 32 fields, twice.
            if header.memory_management.len() >= 66 {
                return Err(r.out_of_range("number of memory management operations", 67));
            }
            header.memory_management.push(operation);
        }
        Ok(())
    }

    /// Whether explicit weights are coded that come with an offset.
    pub(crate) fn has_weight_offsets(&self) -> bool {
        !self.weight_offsets.is_empty()
    }

    /// Whether the picture resets order counts as an IDR picture does (operation 5).
    pub(crate) fn unmarks_all(&self) -> bool {
        self.memory_management.contains(&MemoryManagement::UnmarkAll)
    }
}

fn slice_reader(nal: &[u8]) -> Result<BitReader<'_>> {
    match (nal_type(nal), nal.split_first()) {
        (Some(NAL_SLICE | NAL_PARTITION_A | NAL_IDR), Some((_, payload))) => Ok(BitReader::nal(payload)),
        _ => Err(Error::corrupt("H.264 slice header: the NAL unit is not of type 1, 2 or 5")),
    }
}

fn read_deblocking(r: &mut BitReader) -> BitResult<Deblocking> {
    let disable_idc = r.ue_max(2, "disable_deblocking_filter_idc")? as u8;
    let mut offset = || -> BitResult<i8> {
        if disable_idc == 1 {
            return Ok(0);
        }
        let offset = r.se()?;
        if !(-6..=6).contains(&offset) {
            return Err(r.out_of_range("slice deblocking offset", i64::from(offset)));
        }
        Ok(offset as i8)
    };
    Ok(Deblocking { disable_idc, alpha_offset_div2: offset()?, beta_offset_div2: offset()? })
}

fn read_ref_counts(r: &mut BitReader, pps: &Pps, is_p: bool, is_b: bool) -> BitResult<[u8; 2]> {
    if !is_p && !is_b {
        return Ok([0, 0]);
    }
    let mut counts = pps.num_ref_idx_default_active;
    if r.flag()? {
        counts[0] = r.ue_max(31, "num_ref_idx_l0_active_minus1")? as u8 + 1;
        if is_b {
            counts[1] = r.ue_max(31, "num_ref_idx_l1_active_minus1")? as u8 + 1;
        }
    }
    if !is_b {
        counts[1] = 0;
    }
    Ok(counts)
}

/// One list of `ref_pic_list_modification()`.
fn skip_list_modification(r: &mut BitReader) -> BitResult<()> {
    if r.flag()? {
        while r.ue_max(5, "modification_of_pic_nums_idc")? != 3 {
            r.ue()?;
        }
    }
    Ok(())
}

/// Whether a slice (of whatever NAL unit type) says that it is intra, as far as its first codes can be read.
pub(crate) fn is_intra_slice(nal: &[u8]) -> bool {
    let mut r = BitReader::nal(nal.get(1..).unwrap_or(&[]));
    let kind = r.ue().and_then(|_first_mb| r.ue());
    kind.is_ok_and(|kind| kind <= 9 && matches!(kind % 5, 2 | 4))
}

/// Whether an SEI NAL unit holds a recovery point message (D.1.8, payload type 6): decoding may start at
/// this access unit, correct pictures follow after a number of frames.
pub(crate) fn has_recovery_point(sei: &[u8]) -> bool {
    recovery_point(sei).is_some()
}

/// `recovery_frame_cnt` of a recovery point message in an SEI NAL unit: the picture whose `frame_num` is so much
/// higher is correct when decoding starts at this access unit, and so are those that follow it in output order.
pub(crate) fn recovery_frame_count(sei: &[u8]) -> Option<u32> {
    recovery_point(sei)?.ue().ok()
}

fn recovery_point(sei: &[u8]) -> Option<BitReader<'_>> {
    if nal_type(sei) != Some(NAL_SEI) {
        return None;
    }
    crate::bitstream::sei::find(sei.get(1..).unwrap_or(&[]), 6).map(|(message, _)| message)
}
