//! Sequence and picture parameter sets of H.264 (7.3.2.1, 7.3.2.2, annex E).

use crate::core::unescape;

use super::super::bits::Bits;
use super::super::format::{Look, look};
use super::scaling::{Lists, read_lists};

/// A sequence parameter set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sps {
    pub(super) id: u32,
    pub(super) profile: u32,
    /// The byte of `constraint_set` flags.
    pub(super) constraints: u32,
    pub(super) level: u32,
    pub(super) chroma: u32,
    pub(super) separate_planes: bool,
    pub(super) depth_luma: u32,
    pub(super) depth_chroma: u32,
    pub(super) lossless_bypass: bool,
    pub(super) scaling: Option<Lists>,
    pub(super) frame_num_bits: u32,
    pub(super) poc_type: u32,
    pub(super) poc_lsb_bits: u32,
    pub(super) delta_always_zero: bool,
    pub(super) offset_non_ref: i32,
    pub(super) offset_top_to_bottom: i32,
    pub(super) offset_ref: Vec<i32>,
    pub(super) ref_frames: u32,
    pub(super) gaps: bool,
    pub(super) width_mbs: u32,
    /// Rows of macroblocks of a frame.
    pub(super) height_mbs: u32,
    pub(super) frame_mbs_only: bool,
    pub(super) mbaff: bool,
    pub(super) direct_8x8: bool,
    /// Left, right, top, bottom, in luma samples.
    pub(super) crop: [u32; 4],
    pub(super) vui: Option<Vui>,
    /// The NAL unit as it came.
    pub(super) raw: Vec<u8>,
}

/// What this parser needs of the VUI.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Vui {
    pub(super) look: Look,
    /// `num_units_in_tick`, `time_scale`.
    pub(super) timing: Option<(u32, u32)>,
    /// Bits per second.
    pub(super) bit_rate: u32,
    pub(super) hrd: Option<Hrd>,
    pub(super) pic_struct: bool,
    /// `max_num_reorder_frames`, `max_dec_frame_buffering`.
    pub(super) reordering: Option<(u32, u32)>,
}

/// Lengths that the picture timing SEI message depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hrd {
    pub(super) cpb_removal_bits: u32,
    pub(super) dpb_output_bits: u32,
    bit_rate: u64,
}

/// A picture parameter set. It depends on its sequence parameter set for the scaling lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pps {
    pub(super) id: u32,
    pub(super) sps: u32,
    pub(super) cabac: bool,
    pub(super) bottom_field_order: bool,
    pub(super) slice_groups: u32,
    pub(super) slice_group_type: u32,
    pub(super) slice_group_change_rate: u32,
    pub(super) refs: [u32; 2],
    pub(super) weighted: bool,
    pub(super) weighted_bi: u32,
    pub(super) init_qp: i32,
    pub(super) init_qs: i32,
    pub(super) chroma_offset: [i32; 2],
    pub(super) deblocking_control: bool,
    pub(super) constrained_intra: bool,
    pub(super) redundant: bool,
    pub(super) transform_8x8: bool,
    pub(super) scaling: Option<Lists>,
    /// The NAL unit as it came.
    pub(super) raw: Vec<u8>,
}

/// Profiles with the chroma format in their sequence parameter sets.
const HIGH: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Largest picture taken, in macroblocks each way: more than any level allows.
const MAX_MBS: u32 = 1024;

/// Parses a sequence parameter set NAL unit.
pub(super) fn sps(nal: &[u8]) -> Option<Sps> {
    let data = unescape(nal.get(1..)?);
    let mut bits = Bits::new(&data);
    let mut sps = Sps {
        profile: bits.u(8),
        constraints: bits.u(8),
        level: bits.u(8),
        id: bits.ue(),
        chroma: 1,
        raw: nal.to_vec(),
        ..Sps::default()
    };
    if HIGH.contains(&sps.profile) {
        sps.chroma = bits.ue();
        if sps.chroma == 3 {
            sps.separate_planes = bits.flag();
        }
        sps.depth_luma = bits.ue();
        sps.depth_chroma = bits.ue();
        sps.lossless_bypass = bits.flag();
        if bits.flag() {
            sps.scaling = Some(read_lists(&mut bits, if sps.chroma == 3 { 12 } else { 8 }));
        }
    }
    sps.frame_num_bits = bits.ue().saturating_add(4);
    sps.poc_type = bits.ue();
    match sps.poc_type {
        0 => sps.poc_lsb_bits = bits.ue().saturating_add(4),
        1 => {
            sps.delta_always_zero = bits.flag();
            sps.offset_non_ref = bits.se();
            sps.offset_top_to_bottom = bits.se();
            let count = bits.ue();
            if count > 255 {
                return None;
            }
            sps.offset_ref = (0..count).map(|_| bits.se()).collect();
        }
        2 => {}
        _ => return None,
    }
    sps.ref_frames = bits.ue();
    sps.gaps = bits.flag();
    sps.width_mbs = bits.ue().saturating_add(1);
    let map_units = bits.ue().saturating_add(1);
    sps.frame_mbs_only = bits.flag();
    sps.height_mbs = map_units.saturating_mul(if sps.frame_mbs_only { 1 } else { 2 });
    if !sps.frame_mbs_only {
        sps.mbaff = bits.flag();
    }
    sps.direct_8x8 = bits.flag();
    let crops = if bits.flag() { [bits.ue(), bits.ue(), bits.ue(), bits.ue()] } else { [0; 4] };
    if bits.overrun()
        || sps.id > 31
        || sps.chroma > 3
        || sps.depth_luma > 6
        || sps.depth_chroma > 6
        || sps.frame_num_bits > 16
        || sps.poc_lsb_bits > 16
        || sps.ref_frames > 16
        || sps.width_mbs > MAX_MBS
        || sps.height_mbs > MAX_MBS
    {
        return None;
    }
    sps.crop = crop(&sps, crops)?;
    if bits.flag() {
        let vui = vui(&mut bits);
        // A damaged VUI is no reason to refuse the stream: it only describes.
        sps.vui = (!bits.overrun()).then_some(vui);
    }
    Some(sps)
}

/// Cropping in luma samples; none when it leaves nothing.
fn crop(sps: &Sps, units: [u32; 4]) -> Option<[u32; 4]> {
    let mono = sps.chroma == 0 || sps.separate_planes;
    let x = if !mono && sps.chroma < 3 { 2 } else { 1 };
    let y = if !mono && sps.chroma == 1 { 2 } else { 1 } * if sps.frame_mbs_only { 1 } else { 2 };
    let [left, right, top, bottom] = units;
    let crop = [left.checked_mul(x)?, right.checked_mul(x)?, top.checked_mul(y)?, bottom.checked_mul(y)?];
    let fits = crop[0].checked_add(crop[1])? < sps.width_mbs * 16
        && crop[2].checked_add(crop[3])? < sps.height_mbs * 16;
    fits.then_some(crop)
}

fn vui(bits: &mut Bits) -> Vui {
    let mut vui = Vui { look: look(bits), ..Vui::default() };
    if bits.flag() {
        vui.timing = Some((bits.u(32), bits.u(32)));
        bits.skip(1); // fixed_frame_rate_flag
    }
    let nal = bits.flag().then(|| hrd(bits));
    let vcl = bits.flag().then(|| hrd(bits));
    if nal.is_some() || vcl.is_some() {
        bits.skip(1); // low_delay_hrd_flag
    }
    vui.hrd = nal.or(vcl);
    vui.bit_rate = vui.hrd.map_or(0, |hrd| u32::try_from(hrd.bit_rate).unwrap_or(0));
    vui.pic_struct = bits.flag();
    if bits.flag() {
        bits.skip(1); // motion_vectors_over_pic_boundaries_flag
        for _ in 0..4 {
            bits.ue();
        }
        vui.reordering = Some((bits.ue(), bits.ue()));
    }
    vui
}

fn hrd(bits: &mut Bits) -> Hrd {
    let mut hrd = Hrd::default();
    let count = bits.ue().min(31) + 1;
    let scale = bits.u(4);
    bits.skip(4);
    for _ in 0..count {
        // The last is the one with the highest rate.
        hrd.bit_rate = (u64::from(bits.ue()) + 1) << (6 + scale);
        bits.ue();
        bits.skip(1);
    }
    bits.skip(5);
    hrd.cpb_removal_bits = bits.u(5) + 1;
    hrd.dpb_output_bits = bits.u(5) + 1;
    bits.skip(5);
    hrd
}

/// Parses a picture parameter set NAL unit. `chroma_444` tells whether its sequence parameter set has 4:4:4.
pub(super) fn pps(nal: &[u8], chroma_444: impl Fn(u32) -> bool) -> Option<Pps> {
    let data = unescape(nal.get(1..)?);
    let mut bits = Bits::new(&data);
    let mut pps = Pps { id: bits.ue(), sps: bits.ue(), raw: nal.to_vec(), ..Pps::default() };
    pps.cabac = bits.flag();
    pps.bottom_field_order = bits.flag();
    pps.slice_groups = bits.ue();
    if pps.slice_groups > 7 {
        return None;
    }
    if pps.slice_groups > 0 {
        slice_groups(&mut bits, &mut pps);
    }
    pps.refs = [bits.ue(), bits.ue()];
    pps.weighted = bits.flag();
    pps.weighted_bi = bits.u(2);
    pps.init_qp = bits.se();
    pps.init_qs = bits.se();
    pps.chroma_offset = [bits.se(); 2];
    pps.deblocking_control = bits.flag();
    pps.constrained_intra = bits.flag();
    pps.redundant = bits.flag();
    if bits.overrun() || pps.id > 255 || pps.sps > 31 || pps.refs.iter().any(|&refs| refs > 31) {
        return None;
    }
    if bits.more_data() {
        pps.transform_8x8 = bits.flag();
        if bits.flag() {
            let eights = if chroma_444(pps.sps) { 6 } else { 2 };
            pps.scaling = Some(read_lists(&mut bits, 6 + if pps.transform_8x8 { eights } else { 0 }));
        }
        pps.chroma_offset[1] = bits.se();
    }
    Some(pps)
}

fn slice_groups(bits: &mut Bits, pps: &mut Pps) {
    pps.slice_group_type = bits.ue();
    match pps.slice_group_type {
        0 => (0..=pps.slice_groups).for_each(|_| {
            bits.ue();
        }),
        2 => (0..pps.slice_groups * 2).for_each(|_| {
            bits.ue();
        }),
        3..=5 => {
            bits.skip(1);
            pps.slice_group_change_rate = bits.ue();
        }
        6 => {
            let count = bits.ue() as usize + 1;
            let width = 32 - pps.slice_groups.leading_zeros();
            bits.skip(count.saturating_mul(width as usize));
        }
        _ => {}
    }
}

impl Sps {
    /// Frames that the decoded picture buffer holds (A.3.1, E.2.1).
    pub(super) fn dpb_frames(&self) -> usize {
        // MaxDpbMbs of table A-1.
        let macroblocks = match (self.level, self.constraints & 0x10 != 0) {
            (11, true) if matches!(self.profile, 66 | 77 | 88) => 396,
            (9 | 10, _) => 396,
            (11, _) => 900,
            (12 | 13 | 20, _) => 2376,
            (21, _) => 4752,
            (22 | 30, _) => 8100,
            (31, _) => 18000,
            (32, _) => 20480,
            (40 | 41, _) => 32768,
            (42, _) => 34816,
            (50, _) => 110_400,
            (51 | 52, _) => 184_320,
            (60..=62, _) => 696_320,
            _ => 32768,
        };
        let by_level = (macroblocks / (self.width_mbs * self.height_mbs)).min(16);
        let said = self.vui.as_ref().and_then(|vui| vui.reordering).map(|(_, buffering)| buffering);
        said.unwrap_or(by_level).max(self.ref_frames).clamp(1, 16) as usize
    }

    /// Frames that may precede another in decoding order and follow it in output order.
    pub(super) fn reorder(&self) -> usize {
        let dpb = self.dpb_frames();
        if self.poc_type == 2 {
            return 0;
        }
        if let Some((reorder, _)) = self.vui.as_ref().and_then(|vui| vui.reordering) {
            return (reorder as usize).min(dpb);
        }
        // Profiles of only intra pictures.
        let intra_only =
            self.constraints & 0x10 != 0 && matches!(self.profile, 44 | 86 | 100 | 110 | 122 | 244);
        if intra_only { 0 } else { dpb }
    }
}
