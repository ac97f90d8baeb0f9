//! Slice headers of H.264 as far as the decoded reference picture marking (7.3.3).

use crate::core::unescape;

use super::super::bits::Bits;
use super::sets::{Pps, Sps};

/// What a slice is coded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    P,
    B,
    I,
}

/// One memory management control operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mmco {
    ForgetShort { difference: u32 },
    ForgetLong { number: u32 },
    MakeLong { difference: u32, index: u32 },
    LimitLong { limit: u32 },
    ForgetAll,
    CurrentLong { index: u32 },
}

/// A slice header.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub(super) nal_type: u8,
    pub(super) ref_idc: u8,
    pub(super) kind: Kind,
    pub(super) pps: u32,
    pub(super) frame_num: u32,
    pub(super) field: bool,
    pub(super) bottom: bool,
    pub(super) idr_id: u32,
    pub(super) poc_lsb: u32,
    pub(super) delta_bottom: i32,
    pub(super) delta: [i32; 2],
    pub(super) refs: [u32; 2],
    pub(super) redundant: u32,
    pub(super) no_output_of_prior: bool,
    pub(super) long_term: bool,
    /// None: the sliding window.
    pub(super) operations: Option<Vec<Mmco>>,
}

impl Slice {
    pub(super) fn is_idr(&self) -> bool {
        self.nal_type == 5
    }

    /// True when this slice belongs to another picture than `other`, the slice before it (7.4.1.2.4).
    pub(super) fn begins_picture_after(&self, other: &Self) -> bool {
        self.frame_num != other.frame_num
            || self.pps != other.pps
            || self.field != other.field
            || self.bottom != other.bottom
            || (self.ref_idc == 0) != (other.ref_idc == 0)
            || self.is_idr() != other.is_idr()
            || (self.is_idr() && self.idr_id != other.idr_id)
            || self.poc_lsb != other.poc_lsb
            || self.delta_bottom != other.delta_bottom
            || self.delta != other.delta
    }
}

/// `pic_parameter_set_id` of a slice NAL unit.
pub(super) fn pps_id(nal: &[u8]) -> Option<u32> {
    let data = unescape(nal.get(1..nal.len().min(24))?);
    let mut bits = Bits::new(&data);
    bits.ue();
    bits.ue();
    let id = bits.ue();
    (!bits.overrun()).then_some(id)
}

/// Bytes of a slice NAL unit that can hold its header: marking operations and weights of all references.
const HEADER: usize = 2048;

/// Parses the header of a slice NAL unit.
pub(super) fn slice(nal: &[u8], sps: &Sps, pps: &Pps) -> Option<Slice> {
    let nal_type = nal.first()? & 31;
    let ref_idc = nal[0] >> 5 & 3;
    let data = unescape(&nal[1..nal.len().min(HEADER)]);
    let mut bits = Bits::new(&data);
    bits.ue(); // first_mb_in_slice
    let kind = match bits.ue() % 5 {
        0 | 3 => Kind::P,
        1 => Kind::B,
        _ => Kind::I,
    };
    let mut slice = Slice {
        nal_type,
        ref_idc,
        kind,
        pps: bits.ue(),
        frame_num: 0,
        field: false,
        bottom: false,
        idr_id: 0,
        poc_lsb: 0,
        delta_bottom: 0,
        delta: [0; 2],
        refs: pps.refs,
        redundant: 0,
        no_output_of_prior: false,
        long_term: false,
        operations: None,
    };
    if sps.separate_planes {
        bits.skip(2);
    }
    slice.frame_num = bits.u(sps.frame_num_bits);
    if !sps.frame_mbs_only {
        slice.field = bits.flag();
        slice.bottom = slice.field && bits.flag();
    }
    if slice.is_idr() {
        slice.idr_id = bits.ue();
    }
    match sps.poc_type {
        0 => {
            slice.poc_lsb = bits.u(sps.poc_lsb_bits);
            if pps.bottom_field_order && !slice.field {
                slice.delta_bottom = bits.se();
            }
        }
        1 if !sps.delta_always_zero => {
            slice.delta[0] = bits.se();
            if pps.bottom_field_order && !slice.field {
                slice.delta[1] = bits.se();
            }
        }
        _ => {}
    }
    if pps.redundant {
        slice.redundant = bits.ue();
    }
    if kind == Kind::B {
        bits.skip(1); // direct_spatial_mv_pred_flag
    }
    if kind != Kind::I && bits.flag() {
        slice.refs[0] = bits.ue();
        if kind == Kind::B {
            slice.refs[1] = bits.ue();
        }
    }
    if slice.refs.iter().any(|&refs| refs > 31) {
        return None;
    }
    let lists = match kind {
        Kind::I => 0,
        Kind::P => 1,
        Kind::B => 2,
    };
    modifications(&mut bits, lists, nal_type == 20);
    if pps.weighted && kind == Kind::P || pps.weighted_bi == 1 && kind == Kind::B {
        weights(&mut bits, sps, &slice.refs[..lists]);
    }
    if ref_idc != 0 {
        marking(&mut bits, &mut slice);
    }
    (!bits.overrun()).then_some(slice)
}

fn modifications(bits: &mut Bits, lists: usize, views: bool) {
    let last = if views { 5 } else { 3 };
    for _ in 0..lists {
        if !bits.flag() {
            continue;
        }
        while !bits.overrun() {
            let operation = bits.ue();
            if operation == 3 || operation > last {
                break;
            }
            bits.ue();
        }
    }
}

fn weights(bits: &mut Bits, sps: &Sps, refs: &[u32]) {
    let colour = sps.chroma != 0 && !sps.separate_planes;
    bits.ue();
    if colour {
        bits.ue();
    }
    for &count in refs {
        for _ in 0..=count {
            if bits.flag() {
                bits.se();
                bits.se();
            }
            if colour && bits.flag() {
                (0..4).for_each(|_| {
                    bits.se();
                });
            }
        }
    }
}

fn marking(bits: &mut Bits, slice: &mut Slice) {
    if slice.is_idr() {
        slice.no_output_of_prior = bits.flag();
        slice.long_term = bits.flag();
        return;
    }
    if !bits.flag() {
        return;
    }
    let mut operations = Vec::new();
    // A frame has at most 32 fields to forget, and a few operations besides.
    while operations.len() < 66 && !bits.overrun() {
        operations.push(match bits.ue() {
            1 => Mmco::ForgetShort { difference: bits.ue() },
            2 => Mmco::ForgetLong { number: bits.ue() },
            3 => Mmco::MakeLong { difference: bits.ue(), index: bits.ue() },
            4 => Mmco::LimitLong { limit: bits.ue() },
            5 => Mmco::ForgetAll,
            6 => Mmco::CurrentLong { index: bits.ue() },
            _ => break,
        });
    }
    slice.operations = Some(operations);
}
