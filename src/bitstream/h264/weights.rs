//! Explicit weights of predicted samples (7.3.3.2).

use super::{ParameterSets, SliceHeader, Sps};
use crate::bitstream::annexb::{add_emulation_prevention, remove_emulation_prevention, trim_padding};
use crate::bitstream::bits::{BitReader, BitResult};
use crate::error::{Error, Result};
use crate::pixel::Chroma;

/// An offset in the table and where its code begins, in bits as they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    at: usize,
    value: i32,
}

/// `pred_weight_table()`: the offsets, which are added to weighted samples.
pub(super) fn read_offsets(r: &mut BitReader, sps: &Sps, counts: [u8; 2]) -> BitResult<Vec<Offset>> {
    let has_chroma = sps.chroma != Chroma::Monochrome && !sps.separate_colour_planes;
    let mut offsets = Vec::new();
    let mut weight = |r: &mut BitReader| -> BitResult<()> {
        r.se()?;
        let at = r.position();
        offsets.push(Offset { at, value: r.se()? });
        Ok(())
    };
    r.ue_max(7, "luma_log2_weight_denom")?;
    if has_chroma {
        r.ue_max(7, "chroma_log2_weight_denom")?;
    }
    for _ in 0..u32::from(counts[0]) + u32::from(counts[1]) {
        if r.flag()? {
            weight(r)?;
        }
        if has_chroma && r.flag()? {
            weight(r)?;
            weight(r)?;
        }
    }
    Ok(offsets)
}

/// The slice `nal` with every weight offset multiplied by 2^`shift`, for decoders that take offsets for
/// distances of samples, whatever their depth (8.4.2.3.2: `o0 = luma_offset_l0 << (BitDepth - 8)`).
///
/// # Errors
/// [`Error::CorruptStream`]: the header cannot be read, or an offset is out of its range.
pub(crate) fn scale_weight_offsets(nal: &[u8], sets: &ParameterSets, shift: u32) -> Result<Vec<u8>> {
    let mut rbsp = Vec::new();
    let (&first, payload) = nal.split_first().ok_or_else(|| Error::corrupt("an empty H.264 slice"))?;
    remove_emulation_prevention(payload, &mut rbsp);
    let rbsp = trim_padding(&rbsp);
    let mut reader = BitReader::new(rbsp);
    let header = SliceHeader::read(nal, &mut reader, sets).map_err(|e| e.within("H.264 slice header"))?;
    let cabac = sets.pps(header.identity.pps_id).is_some_and(|pps| pps.cabac);
    let end = reader.position();
    let mut out = Bits::default();
    let mut at = 0;
    for offset in &header.weight_offsets {
        if !(-128..=127).contains(&offset.value) {
            return Err(Error::corrupt(format!("H.264 slice header: a weight offset of {}", offset.value)));
        }
        out.copy(rbsp, at, offset.at);
        out.put_se(offset.value << shift);
        at = offset.at + 2 * code(offset.value).ilog2() as usize + 1;
    }
    out.copy(rbsp, at, end);
    if cabac {
        // cabac_alignment_one_bit.
        while !out.used.is_multiple_of(8) {
            out.put(1, 1);
        }
        out.copy(rbsp, end.next_multiple_of(8), rbsp.len() * 8);
    } else {
        out.copy(rbsp, end, rbsp.len() * 8);
    }
    let mut scaled = vec![first];
    add_emulation_prevention(trim_padding(&out.bytes), &mut scaled);
    Ok(scaled)
}

/// What `se(v)` writes for a value, its leading zeros left out (9.1, 9.1.1).
const fn code(value: i32) -> u32 {
    let magnitude = value.unsigned_abs();
    if value > 0 { 2 * magnitude } else { 2 * magnitude + 1 }
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn put(&mut self, count: u32, value: u32) {
        for bit in (0..count).rev().map(|i| (value >> i & 1) as u8) {
            match self.bytes.last_mut() {
                Some(last) if !self.used.is_multiple_of(8) => *last |= bit << (7 - self.used % 8),
                _ => self.bytes.push(bit << 7),
            }
            self.used += 1;
        }
    }

    fn put_se(&mut self, value: i32) {
        let code = code(value);
        self.put(code.ilog2(), 0);
        self.put(code.ilog2() + 1, code);
    }

    /// Appends the bits `from` up to `to` of `data`.
    fn copy(&mut self, data: &[u8], from: usize, to: usize) {
        let mut at = from;
        while at < to {
            let (byte, skipped) = (data.get(at / 8).copied().unwrap_or(0), at % 8);
            if skipped == 0 && to - at >= 8 {
                if self.used.is_multiple_of(8) {
                    self.bytes.push(byte);
                    self.used += 8;
                } else {
                    self.put(8, byte.into());
                }
                at += 8;
            } else {
                self.put(1, u32::from(byte >> (7 - skipped) & 1));
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitstream::bits::tests::BitWriter;

    /// High 10, 4:2:0, 16x16; explicit weights in P slices.
    fn sets(cabac: bool) -> ParameterSets {
        let mut sets = ParameterSets::new();
        let mut w = BitWriter::default();
        w.u(8, 110).u(8, 0).u(8, 30).ue(0).ue(1).ue(2).ue(2).u(2, 0);
        w.ue(0).ue(2).ue(1).u(1, 0).ue(0).ue(0).u(1, 1).u(1, 1).u(2, 0);
        sets.insert(&[&[0x67][..], &w.trailing()].concat()).unwrap();
        let mut w = BitWriter::default();
        w.ue(0)
            .ue(0)
            .u(1, u64::from(cabac))
            .u(1, 0)
            .ue(0)
            .ue(0)
            .ue(0)
            .u(1, 1)
            .u(2, 0)
            .se(0)
            .se(0)
            .se(0)
            .u(3, 0);
        sets.insert(&[&[0x68][..], &w.trailing()].concat()).unwrap();
        sets
    }

    fn slice(cabac: bool, offsets: [i32; 3], data: &[u8]) -> Vec<u8> {
        let mut w = BitWriter::default();
        w.ue(0).ue(0).ue(0).u(4, 1).u(1, 0).u(1, 0).ue(5).ue(5);
        w.u(1, 1).se(33).se(offsets[0]).u(1, 1).se(31).se(offsets[1]).se(-7).se(offsets[2]);
        w.u(1, 0);
        if cabac {
            w.ue(0);
        }
        w.se(0);
        if cabac {
            let filled = w.bits().next_multiple_of(8) - w.bits();
            w.u(filled as u32, (1 << filled) - 1);
        }
        for byte in data {
            w.u(8, u64::from(*byte));
        }
        let mut nal = vec![0x41];
        add_emulation_prevention(trim_padding(&w.trailing()), &mut nal);
        nal
    }

    /// The same slice is written with the offsets asked for, whatever that moves.
    #[test]
    fn offsets_are_scaled_and_everything_else_stays() {
        let data = [0, 0, 1, 0, 0, 0, 9, 255, 0, 0, 3, 0x5a];
        for cabac in [false, true] {
            for offsets in [[0, 0, 0], [1, -1, 5], [-128, 127, 64], [-3, 100, 0]] {
                let nal = slice(cabac, offsets, &data);
                let scaled = scale_weight_offsets(&nal, &sets(cabac), 2).unwrap();
                assert_eq!(scaled, slice(cabac, offsets.map(|o| o << 2), &data), "{offsets:?} {cabac}");
                assert_eq!(scale_weight_offsets(&nal, &sets(cabac), 0).unwrap(), nal);
            }
        }
    }

    #[test]
    fn offsets_out_of_range_and_cut_headers_are_errors() {
        let nal = slice(true, [128, 0, 0], &[1]);
        assert!(scale_weight_offsets(&nal, &sets(true), 2).is_err());
        let nal = slice(true, [1, 0, 0], &[1]);
        for length in 0..8 {
            assert!(scale_weight_offsets(&nal[..length], &sets(true), 2).is_err(), "{length}");
        }
    }
}
