//! Slices of a picture that takes more reference pictures out of use than its encoder knew of.

use super::unit::{Sets, Unit};
use crate::backend::software::sps_timing::{BitWriter, escape, unescape};
use crate::bitstream::annexb::{START_CODE_LONG, nal_units};
use crate::bitstream::h264::{MemoryManagement, NAL_SLICE, ParameterSets, SliceHeader, nal_type};
use crate::error::Result;
use crate::memory;

/// The slices of a frame, each with operations that unmark short-term pictures (8.2.5.4.1). `before`: by how much `frame_num`
/// of each was lower than the frame's own. Where there was a sliding window there is none: with these pictures gone nothing
/// has to leave.
pub(super) fn with_unmarked(unit: &Unit, sets: &Sets, before: &[u32]) -> Result<Vec<u8>> {
    let mut out = memory::room(unit.data.len() + unit.slices.len() * 64)?;
    let mut sets = unit.sets(sets).clone();
    for nal in nal_units(&unit.data) {
        out.extend_from_slice(&START_CODE_LONG);
        if let (Some(NAL_SLICE), Some((kind, payload))) = (nal_type(nal), nal.split_first()) {
            let changed = changed(nal, &unescape(payload), &sets, before)?;
            out.push(*kind);
            escape(&changed, &mut out);
        } else {
            sets.insert(nal)?;
            out.extend_from_slice(nal);
        }
    }
    Ok(out)
}

fn changed(nal: &[u8], payload: &[u8], sets: &ParameterSets, before: &[u32]) -> Result<Vec<u8>> {
    let (header, data) = SliceHeader::of_payload(nal, payload, sets)?;
    let mut bits = BitWriter::default();
    memory::grow(&mut bits.bytes, payload.len() + 8 * before.len() + 8)?;
    copy(payload, 0..header.marking.start, &mut bits);
    // `adaptive_ref_pic_marking_mode_flag`.
    bits.put(1, 1);
    if header.adaptive_marking {
        // Its own operations, without the 0 that ends them.
        copy(payload, header.marking.start + 1..header.marking.end - 1, &mut bits);
    }
    for distance in before {
        let difference_of_pic_nums_minus1 = distance - 1;
        let own = MemoryManagement::UnmarkShortTerm { difference_of_pic_nums_minus1 };
        if !header.memory_management.contains(&own) {
            bits.golomb(1);
            bits.golomb(difference_of_pic_nums_minus1);
        }
    }
    bits.golomb(0);
    copy(payload, header.marking.end..data, &mut bits);
    let cabac = sets.pps(header.identity.pps_id).is_some_and(|pps| pps.cabac);
    if cabac {
        // `cabac_alignment_one_bit`; the slice data are whole bytes.
        bits.align_with_ones();
        bits.bytes.extend_from_slice(payload.get(data.div_ceil(8)..).unwrap_or_default());
    } else {
        copy(payload, data..payload.len() * 8, &mut bits);
        while bits.bytes.last() == Some(&0) {
            bits.bytes.pop();
        }
    }
    Ok(bits.bytes)
}

fn copy(from: &[u8], mut range: std::ops::Range<usize>, to: &mut BitWriter) {
    while let Some(byte) = from.get(range.start / 8).filter(|_| !range.is_empty()) {
        let (first, left) = (range.start % 8, range.len());
        let count = (8 - first).min(left);
        to.put(u32::from(byte << first) >> (8 - count) & 0xff >> (8 - count), count as u32);
        range.start += count;
    }
}
