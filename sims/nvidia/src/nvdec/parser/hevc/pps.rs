//! Picture parameter sets of HEVC (7.3.2.3).

use crate::core::unescape;

use super::super::bits::Bits;
use super::scaling::{self, ScalingLists};

/// A picture parameter set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pps {
    pub(super) id: u32,
    pub(super) sps: u32,
    pub(super) dependent_slices: bool,
    pub(super) output_flag: bool,
    pub(super) extra_bits: u32,
    pub(super) sign_hiding: bool,
    pub(super) cabac_init: bool,
    pub(super) refs: [u8; 2],
    pub(super) init_qp: i32,
    pub(super) constrained_intra: bool,
    pub(super) transform_skip: bool,
    pub(super) cu_qp_delta: Option<u8>,
    pub(super) chroma_offset: [i32; 2],
    pub(super) slice_chroma_offsets: bool,
    pub(super) weighted: bool,
    pub(super) weighted_bi: bool,
    pub(super) transquant_bypass: bool,
    pub(super) tiles: Option<Tiles>,
    pub(super) wavefront: bool,
    pub(super) filter_across_slices: bool,
    pub(super) deblocking_override: bool,
    pub(super) deblocking_disabled: bool,
    pub(super) beta_offset: i32,
    pub(super) tc_offset: i32,
    pub(super) scaling: Option<ScalingLists>,
    pub(super) lists_modification: bool,
    pub(super) merge_level: u8,
    pub(super) slice_extension: bool,
    pub(super) range: Option<Range>,
    pub(super) raw: Vec<u8>,
}

/// Tiles of a picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tiles {
    pub(super) columns_minus1: u8,
    pub(super) rows_minus1: u8,
    pub(super) uniform: bool,
    /// As they are sent: all but the last.
    pub(super) widths_minus1: Vec<u16>,
    pub(super) heights_minus1: Vec<u16>,
    pub(super) filter_across: bool,
}

/// The range extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) transform_skip_size: u8,
    pub(super) cross_component: bool,
    pub(super) offset_depth: u8,
    pub(super) offsets: Vec<(i8, i8)>,
    pub(super) sao_luma: u8,
    pub(super) sao_chroma: u8,
}

/// Parses a picture parameter set NAL unit.
pub(super) fn pps(nal: &[u8], chroma_444: impl Fn(u32) -> bool) -> Option<Pps> {
    let data = unescape(nal.get(2..)?);
    let mut bits = Bits::new(&data);
    let mut pps = Pps { id: bits.ue(), sps: bits.ue(), raw: nal.to_vec(), ..Pps::default() };
    pps.dependent_slices = bits.flag();
    pps.output_flag = bits.flag();
    pps.extra_bits = bits.u(3);
    pps.sign_hiding = bits.flag();
    pps.cabac_init = bits.flag();
    pps.refs = std::array::from_fn(|_| bits.ue().min(255) as u8);
    pps.init_qp = bits.se();
    pps.constrained_intra = bits.flag();
    pps.transform_skip = bits.flag();
    pps.cu_qp_delta = bits.flag().then(|| bits.ue().min(255) as u8);
    pps.chroma_offset = std::array::from_fn(|_| bits.se());
    pps.slice_chroma_offsets = bits.flag();
    pps.weighted = bits.flag();
    pps.weighted_bi = bits.flag();
    pps.transquant_bypass = bits.flag();
    let tiled = bits.flag();
    pps.wavefront = bits.flag();
    if bits.overrun() || pps.id > 63 || pps.sps > 15 || pps.refs.iter().any(|&refs| refs > 14) {
        return None;
    }
    if tiled {
        pps.tiles = Some(tiles(&mut bits)?);
    }
    pps.filter_across_slices = bits.flag();
    if bits.flag() {
        pps.deblocking_override = bits.flag();
        pps.deblocking_disabled = bits.flag();
        if !pps.deblocking_disabled {
            pps.beta_offset = bits.se();
            pps.tc_offset = bits.se();
        }
    }
    let chroma_444 = chroma_444(pps.sps);
    if bits.flag() {
        pps.scaling = Some(scaling::read(&mut bits, chroma_444)?);
    }
    pps.lists_modification = bits.flag();
    pps.merge_level = bits.ue().min(255) as u8;
    pps.slice_extension = bits.flag();
    if bits.overrun() {
        return None;
    }
    if bits.flag() {
        let range = bits.flag();
        bits.skip(7);
        if range {
            let range = range_extension(&mut bits, pps.transform_skip);
            pps.range = (!bits.overrun()).then_some(range);
        }
    }
    Some(pps)
}

fn tiles(bits: &mut Bits) -> Option<Tiles> {
    let (columns, rows) = (bits.ue(), bits.ue());
    // Level limits: 20 columns, 22 rows.
    if columns > 19 || rows > 21 {
        return None;
    }
    let mut tiles = Tiles { columns_minus1: columns as u8, rows_minus1: rows as u8, ..Tiles::default() };
    tiles.uniform = bits.flag();
    if !tiles.uniform {
        tiles.widths_minus1 = (0..columns).map(|_| bits.ue().min(0xffff) as u16).collect();
        tiles.heights_minus1 = (0..rows).map(|_| bits.ue().min(0xffff) as u16).collect();
    }
    tiles.filter_across = bits.flag();
    Some(tiles)
}

fn range_extension(bits: &mut Bits, transform_skip: bool) -> Range {
    let mut range = Range::default();
    if transform_skip {
        range.transform_skip_size = bits.ue().min(255) as u8;
    }
    range.cross_component = bits.flag();
    if bits.flag() {
        range.offset_depth = bits.ue().min(255) as u8;
        let count = bits.ue().min(5) + 1;
        let offset = |bits: &mut Bits| bits.se().clamp(-128, 127) as i8;
        range.offsets = (0..count).map(|_| (offset(bits), offset(bits))).collect();
    }
    range.sao_luma = bits.ue().min(255) as u8;
    range.sao_chroma = bits.ue().min(255) as u8;
    range
}
