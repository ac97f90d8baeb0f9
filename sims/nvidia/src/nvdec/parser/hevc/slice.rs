//! Slice segment headers of HEVC as far as the reference picture sets (7.3.6.1).

use crate::core::unescape;

use super::super::bits::Bits;
use super::pps::Pps;
use super::rps::{self, Rps};
use super::sets::Sps;

/// One long-term reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LongTerm {
    /// Low bits of its picture order count.
    pub(super) lsb: u32,
    /// `DeltaPocMsbCycleLt`, where the high bits are given.
    pub(super) msb_cycle: Option<u32>,
    pub(super) used: bool,
}

/// The header of the first slice segment of a picture.
#[derive(Debug, Clone, Default)]
pub(super) struct Slice {
    pub(super) nal_type: u8,
    pub(super) temporal_id: u8,
    pub(super) first: bool,
    /// A dependent slice segment has nothing of its own below.
    pub(super) dependent: bool,
    pub(super) no_output_of_prior: bool,
    pub(super) intra: bool,
    pub(super) output: bool,
    pub(super) poc_lsb: u32,
    pub(super) rps: Rps,
    /// `NumBitsForShortTermRPSInSlice`.
    pub(super) rps_bits: u32,
    /// `NumDeltaPocs` of the set that the slice's own set was predicted from.
    pub(super) rps_reference: u32,
    pub(super) long_terms: Vec<LongTerm>,
}

impl Slice {
    pub(super) fn is_irap(&self) -> bool {
        (16..=23).contains(&self.nal_type)
    }

    pub(super) fn is_idr(&self) -> bool {
        matches!(self.nal_type, 19 | 20)
    }

    pub(super) fn is_bla(&self) -> bool {
        (16..=18).contains(&self.nal_type)
    }

    pub(super) fn is_rasl(&self) -> bool {
        matches!(self.nal_type, 8 | 9)
    }

    fn is_radl(&self) -> bool {
        matches!(self.nal_type, 6 | 7)
    }

    /// True for a picture that later counts are derived from (8.3.1).
    pub(super) fn is_anchor(&self) -> bool {
        let unreferenced_in_layer = self.nal_type < 16 && self.nal_type.is_multiple_of(2);
        self.temporal_id == 0 && !self.is_rasl() && !self.is_radl() && !unreferenced_in_layer
    }
}

/// `slice_pic_parameter_set_id` of a slice segment NAL unit.
pub(super) fn pps_id(nal: &[u8]) -> Option<u32> {
    let data = unescape(nal.get(2..nal.len().min(16))?);
    let mut bits = Bits::new(&data);
    bits.skip(1);
    if (16..=23).contains(&(nal[0] >> 1 & 63)) {
        bits.skip(1);
    }
    let id = bits.ue();
    (!bits.overrun()).then_some(id)
}

/// Bytes that can hold the parsed part of a header.
const HEADER: usize = 1024;

/// Parses the header of a slice segment NAL unit.
pub(super) fn slice(nal: &[u8], sps: &Sps, pps: &Pps) -> Option<Slice> {
    let data = unescape(nal.get(2..nal.len().min(HEADER))?);
    let mut bits = Bits::new(&data);
    let mut slice = Slice {
        nal_type: nal[0] >> 1 & 63,
        temporal_id: (nal[1] & 7).saturating_sub(1),
        first: bits.flag(),
        output: true,
        ..Slice::default()
    };
    if slice.is_irap() {
        slice.no_output_of_prior = bits.flag();
    }
    bits.ue();
    if !slice.first {
        slice.dependent = pps.dependent_slices && bits.flag();
        bits.skip(address_bits(sps));
    }
    if slice.dependent {
        return (!bits.overrun()).then_some(slice);
    }
    bits.skip(pps.extra_bits as usize);
    slice.intra = bits.ue() == 2;
    if pps.output_flag {
        slice.output = bits.flag();
    }
    if sps.separate_planes {
        bits.skip(2);
    }
    if !slice.is_idr() {
        slice.poc_lsb = bits.u(sps.poc_lsb_bits);
        short_term(&mut bits, sps, &mut slice)?;
        if sps.long_term {
            long_term(&mut bits, sps, &mut slice)?;
        }
    }
    (!bits.overrun()).then_some(slice)
}

fn address_bits(sps: &Sps) -> usize {
    let log2 = 3 + u32::from(sps.block_sizes[0]) + u32::from(sps.block_sizes[1]);
    let blocks = |side: u32| side.div_ceil(1 << log2);
    log2_ceil(blocks(sps.width) * blocks(sps.height))
}

fn log2_ceil(count: u32) -> usize {
    if count <= 1 { 0 } else { (32 - (count - 1).leading_zeros()) as usize }
}

fn short_term(bits: &mut Bits, sps: &Sps, slice: &mut Slice) -> Option<()> {
    if bits.flag() {
        let index = bits.u(log2_ceil(sps.rps.len() as u32) as u32);
        slice.rps = sps.rps.get(index as usize)?.clone();
    } else {
        let start = bits.position();
        let (rps, reference) = rps::read(bits, sps.rps.len(), &sps.rps, true)?;
        slice.rps = rps;
        slice.rps_reference = reference as u32;
        slice.rps_bits = (bits.position() - start) as u32;
    }
    Some(())
}

fn long_term(bits: &mut Bits, sps: &Sps, slice: &mut Slice) -> Option<()> {
    let known = sps.long_term_pocs.len() as u32;
    let from_sps = if known > 0 { bits.ue() } else { 0 };
    let own = bits.ue();
    if from_sps > 16 || own > 16 || from_sps + own > 16 {
        return None;
    }
    let mut cycle = 0u32;
    for index in 0..from_sps + own {
        let (lsb, used) = if index < from_sps {
            let which = bits.u(log2_ceil(known) as u32);
            *sps.long_term_pocs.get(which as usize)?
        } else {
            (bits.u(sps.poc_lsb_bits), bits.flag())
        };
        let present = bits.flag();
        let delta = if present { bits.ue() } else { 0 };
        cycle = if index == 0 || index == from_sps { delta } else { cycle.wrapping_add(delta) };
        slice.long_terms.push(LongTerm { lsb, msb_cycle: present.then_some(cycle), used });
    }
    Some(())
}
