//! Sequence parameter sets of HEVC (7.3.2.2, annex E).

use crate::core::unescape;

use super::super::bits::Bits;
use super::super::format::{Look, look};
use super::rps::{self, Rps};
use super::scaling::{self, ScalingLists};

/// A sequence parameter set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sps {
    pub(super) id: u32,
    pub(super) vps: u32,
    pub(super) progressive_source: bool,
    pub(super) interlaced_source: bool,
    pub(super) chroma: u32,
    pub(super) separate_planes: bool,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Left, right, top, bottom, in luma samples.
    pub(super) crop: [u32; 4],
    pub(super) depth_luma: u32,
    pub(super) depth_chroma: u32,
    pub(super) poc_lsb_bits: u32,
    /// Of the highest sub-layer: `max_dec_pic_buffering_minus1`, `max_num_reorder_pics`,
    /// `max_latency_increase_plus1`.
    pub(super) buffering: u32,
    pub(super) reorder: u32,
    pub(super) latency_plus1: u32,
    /// `log2_min_luma_coding_block_size_minus3`, the difference to the largest, and the same of transform blocks.
    pub(super) block_sizes: [u8; 4],
    /// `max_transform_hierarchy_depth_inter`, `_intra`.
    pub(super) depth_inter: u8,
    pub(super) depth_intra: u8,
    pub(super) scaling: Option<ScalingLists>,
    pub(super) scaling_enabled: bool,
    pub(super) amp: bool,
    pub(super) sao: bool,
    pub(super) pcm: Option<Pcm>,
    pub(super) rps: Vec<Rps>,
    pub(super) long_term: bool,
    /// `lt_ref_pic_poc_lsb_sps`, `used_by_curr_pic_lt_sps_flag`.
    pub(super) long_term_pocs: Vec<(u32, bool)>,
    pub(super) temporal_mvp: bool,
    pub(super) strong_smoothing: bool,
    pub(super) vui: Option<Vui>,
    pub(super) range: Option<[bool; 9]>,
    pub(super) raw: Vec<u8>,
}

/// Raw sample blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pcm {
    pub(super) depth_luma_minus1: u8,
    pub(super) depth_chroma_minus1: u8,
    pub(super) log2_min_minus3: u8,
    pub(super) log2_diff: u8,
    pub(super) loop_filter_disabled: bool,
}

/// What this parser needs of the VUI.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Vui {
    pub(super) look: Look,
    pub(super) field_seq: bool,
    /// Picture timing messages have `pic_struct`.
    pub(super) frame_field_info: bool,
    pub(super) timing: Option<(u32, u32)>,
}

/// Largest picture taken each way: more than any level allows.
const MAX_SIDE: u32 = 16888;

/// Parses a sequence parameter set NAL unit.
pub(super) fn sps(nal: &[u8]) -> Option<Sps> {
    let data = unescape(nal.get(2..)?);
    let mut bits = Bits::new(&data);
    let mut sps = Sps { vps: bits.u(4), raw: nal.to_vec(), ..Sps::default() };
    let sub_layers = bits.u(3);
    bits.skip(1);
    profile_tier_level(&mut bits, sub_layers, &mut sps);
    sps.id = bits.ue();
    sps.chroma = bits.ue();
    if sps.chroma == 3 {
        sps.separate_planes = bits.flag();
    }
    sps.width = bits.ue();
    sps.height = bits.ue();
    let window = if bits.flag() { [bits.ue(), bits.ue(), bits.ue(), bits.ue()] } else { [0; 4] };
    sps.depth_luma = bits.ue();
    sps.depth_chroma = bits.ue();
    sps.poc_lsb_bits = bits.ue().saturating_add(4);
    let all_layers = bits.flag();
    for _ in if all_layers { 0 } else { sub_layers }..=sub_layers {
        sps.buffering = bits.ue();
        sps.reorder = bits.ue();
        sps.latency_plus1 = bits.ue();
    }
    sps.block_sizes = std::array::from_fn(|_| bits.ue().min(255) as u8);
    sps.depth_inter = bits.ue().min(255) as u8;
    sps.depth_intra = bits.ue().min(255) as u8;
    if bits.overrun()
        || sps.id > 15
        || sps.chroma > 3
        || !(1..=MAX_SIDE).contains(&sps.width)
        || !(1..=MAX_SIDE).contains(&sps.height)
        || sps.depth_luma > 8
        || sps.depth_chroma > 8
        || sps.poc_lsb_bits > 16
        || sps.buffering > 15
        || sps.reorder > sps.buffering
        || sps.block_sizes[0] > 3
        || sps.block_sizes[1] > 3
    {
        return None;
    }
    sps.crop = crop(&sps, window)?;
    sps.scaling_enabled = bits.flag();
    if sps.scaling_enabled && bits.flag() {
        sps.scaling = Some(scaling::read(&mut bits, sps.chroma == 3)?);
    }
    sps.amp = bits.flag();
    sps.sao = bits.flag();
    if bits.flag() {
        sps.pcm = Some(Pcm {
            depth_luma_minus1: bits.u8(4),
            depth_chroma_minus1: bits.u8(4),
            log2_min_minus3: bits.ue().min(255) as u8,
            log2_diff: bits.ue().min(255) as u8,
            loop_filter_disabled: bits.flag(),
        });
    }
    let sets = bits.ue() as usize;
    if sets > 64 {
        return None;
    }
    for index in 0..sets {
        let (set, _) = rps::read(&mut bits, index, &sps.rps, false)?;
        sps.rps.push(set);
    }
    sps.long_term = bits.flag();
    if sps.long_term {
        let count = bits.ue();
        if count > 32 {
            return None;
        }
        sps.long_term_pocs = (0..count).map(|_| (bits.u(sps.poc_lsb_bits), bits.flag())).collect();
    }
    sps.temporal_mvp = bits.flag();
    sps.strong_smoothing = bits.flag();
    if bits.overrun() {
        return None;
    }
    if bits.flag() {
        let vui = vui(&mut bits, sub_layers);
        sps.vui = (!bits.overrun()).then_some(vui);
    }
    if bits.flag() {
        let range = bits.flag();
        bits.skip(7);
        if range {
            sps.range = Some(std::array::from_fn(|_| bits.flag()));
        }
    }
    Some(sps)
}

fn crop(sps: &Sps, window: [u32; 4]) -> Option<[u32; 4]> {
    let x = if matches!(sps.chroma, 1 | 2) { 2 } else { 1 };
    let y = if sps.chroma == 1 { 2 } else { 1 };
    let [left, right, top, bottom] = window;
    let crop = [left.checked_mul(x)?, right.checked_mul(x)?, top.checked_mul(y)?, bottom.checked_mul(y)?];
    let fits = crop[0].checked_add(crop[1])? < sps.width && crop[2].checked_add(crop[3])? < sps.height;
    fits.then_some(crop)
}

fn profile_tier_level(bits: &mut Bits, sub_layers: u32, sps: &mut Sps) {
    bits.skip(8 + 32);
    sps.progressive_source = bits.flag();
    sps.interlaced_source = bits.flag();
    bits.skip(46 + 8);
    let present: Vec<_> = (0..sub_layers).map(|_| (bits.flag(), bits.flag())).collect();
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers as usize));
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 });
    }
}

fn vui(bits: &mut Bits, sub_layers: u32) -> Vui {
    let mut vui = Vui { look: look(bits), ..Vui::default() };
    bits.skip(1); // neutral_chroma_indication_flag
    vui.field_seq = bits.flag();
    vui.frame_field_info = bits.flag();
    if bits.flag() {
        (0..4).for_each(|_| {
            bits.ue();
        });
    }
    if bits.flag() {
        vui.timing = Some((bits.u(32), bits.u(32)));
        if bits.flag() {
            bits.ue();
        }
        if bits.flag() {
            hrd(bits, sub_layers);
        }
    }
    if bits.flag() {
        bits.skip(3);
        (0..5).for_each(|_| {
            bits.ue();
        });
    }
    vui
}

fn hrd(bits: &mut Bits, sub_layers: u32) {
    let (nal, vcl) = (bits.flag(), bits.flag());
    let mut sub_pictures = false;
    if nal || vcl {
        sub_pictures = bits.flag();
        if sub_pictures {
            bits.skip(19);
        }
        bits.skip(8);
        if sub_pictures {
            bits.skip(4);
        }
        bits.skip(15);
    }
    for _ in 0..=sub_layers {
        let fixed_general = bits.flag();
        let fixed = fixed_general || bits.flag();
        let mut low_delay = false;
        if fixed {
            bits.ue();
        } else {
            low_delay = bits.flag();
        }
        let count = if low_delay { 1 } else { bits.ue().min(31) + 1 };
        for _ in 0..u32::from(nal) + u32::from(vcl) {
            for _ in 0..count {
                bits.ue();
                bits.ue();
                if sub_pictures {
                    bits.ue();
                    bits.ue();
                }
                bits.skip(1);
            }
        }
    }
}
