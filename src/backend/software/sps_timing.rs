//! Adds the frame rate to an H.264 sequence parameter set.
//!
//! openh264 writes `timing_info_present_flag = 0` and has no setting for it. A raw stream would then carry
//! no frame rate at all, so the flag and the three fields after it (H.264 E.1.1) are put in here.

use crate::error::Result;
use crate::memory;
use crate::time::Rational;

const START_CODE: [u8; 3] = [0, 0, 1];

/// Copies an Annex B access unit, with `rate` added to the VUI of every sequence parameter set that states
/// none. A parameter set of a form that the encoder does not write passes through unchanged.
pub(super) fn with_frame_rate(unit: &[u8], rate: Rational) -> Result<Vec<u8>> {
    let mut out = memory::room(unit.len() + 32)?;
    let mut rest = unit;
    while let Some(at) = find_start_code(rest) {
        let body = at + START_CODE.len();
        let end = body + find_start_code(&rest[body..]).unwrap_or(rest.len() - body);
        out.extend_from_slice(&rest[..body]);
        // Zero bytes before the next start code belong to that (B.1.1), not to the NAL unit.
        let nal = &rest[body..end];
        let len = nal.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
        match nal.first().filter(|&&header| header & 0x1f == 7).and_then(|_| add_timing(&nal[..len], rate)) {
            Some(sps) => out.extend_from_slice(&sps),
            None => out.extend_from_slice(&nal[..len]),
        }
        out.extend_from_slice(&nal[len..]);
        rest = &rest[end..];
    }
    out.extend_from_slice(rest);
    Ok(out)
}

fn find_start_code(data: &[u8]) -> Option<usize> {
    data.windows(START_CODE.len()).position(|w| w == START_CODE)
}

fn add_timing(nal: &[u8], rate: Rational) -> Option<Vec<u8>> {
    let (header, escaped) = nal.split_first()?;
    let rbsp = unescape(escaped);
    // Two ticks per frame: the tick is a field (E.2.1).
    let rate = rate.reduced();
    let (tick, scale) = (rate.den(), rate.num().checked_mul(2)?);
    let last = *rbsp.last()?;
    let stop = rbsp.len() * 8 - 1 - last.trailing_zeros() as usize;
    let flag = timing_flag_position(&rbsp)?;

    let mut bits = Bits { data: &rbsp, at: 0 };
    let mut writer = BitWriter::default();
    while bits.at < flag {
        writer.put(u32::from(bits.bit()?), 1);
    }
    if bits.bit()? {
        return None;
    }
    writer.put(1, 1);
    writer.put(tick, 32);
    writer.put(scale, 32);
    // fixed_frame_rate_flag: the times of the frames are the container's, and may vary.
    writer.put(0, 1);
    while bits.at <= stop {
        writer.put(u32::from(bits.bit()?), 1);
    }
    let mut out = vec![*header];
    escape(&writer.bytes, &mut out);
    Some(out)
}

/// Bit position of `timing_info_present_flag` in the parameter set of a Baseline or Main stream (7.3.2.1.1).
fn timing_flag_position(rbsp: &[u8]) -> Option<usize> {
    let mut bits = Bits { data: rbsp, at: 0 };
    let profile = bits.read(8)?;
    if !matches!(profile, 66 | 77 | 88) {
        return None;
    }
    bits.read(16)?;
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    match bits.exp_golomb()? {
        0 => drop(bits.exp_golomb()?),
        2 => {}
        _ => return None,
    }
    bits.exp_golomb()?;
    bits.bit()?;
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    if !bits.bit()? {
        bits.bit()?;
    }
    bits.bit()?;
    if bits.bit()? {
        for _ in 0..4 {
            bits.exp_golomb()?;
        }
    }
    if !bits.bit()? {
        return None;
    }
    if bits.bit()? && bits.read(8)? == 255 {
        bits.read(32)?;
    }
    if bits.bit()? {
        bits.bit()?;
    }
    if bits.bit()? {
        bits.read(4)?;
        if bits.bit()? {
            bits.read(24)?;
        }
    }
    if bits.bit()? {
        bits.exp_golomb()?;
        bits.exp_golomb()?;
    }
    Some(bits.at)
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<bool> {
        let byte = *self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0_u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.bit()?);
        }
        Some(value)
    }

    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.read(zeros)?)
    }
}

/// Writes bits, most significant first.
#[derive(Default)]
pub(super) struct BitWriter {
    pub(super) bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    /// The lowest `count` bits of `value`.
    pub(super) fn put(&mut self, value: u32, count: u32) {
        for i in (0..count).rev() {
            if self.used == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> i & 1) as u8) << (7 - self.used);
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// Ones up to the next whole byte.
    pub(super) fn align_with_ones(&mut self) {
        let left = (8 - self.used) % 8;
        self.put(0xff, left);
    }

    /// An unsigned Exp-Golomb code (9.1), for values below 2^31.
    pub(super) fn golomb(&mut self, value: u32) {
        let bits = 32 - (value + 1).leading_zeros();
        self.put(0, bits - 1);
        self.put(value + 1, bits);
    }
}

/// Removes emulation prevention bytes (7.4.1.1).
pub(super) fn unescape(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut zeros = 0;
    for &byte in data {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Appends `rbsp` with emulation prevention bytes (7.4.1.1).
pub(super) fn escape(rbsp: &[u8], out: &mut Vec<u8>) {
    let mut zeros = 0;
    for &byte in rbsp {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn escaping_is_undone(data in proptest::collection::vec(0_u8..5, 0..64)) {
            let mut escaped = Vec::new();
            escape(&data, &mut escaped);
            prop_assert!(!escaped.windows(3).any(|w| w[0] == 0 && w[1] == 0 && w[2] < 3));
            prop_assert_eq!(unescape(&escaped), data);
        }

        #[test]
        fn any_bytes_pass_and_only_parameter_sets_change(data in proptest::collection::vec(any::<u8>(), 0..96)) {
            let rate = Rational::new(30_000, 1001).unwrap();
            let mut unit = vec![0, 0, 0, 1, 0x67];
            unit.extend_from_slice(&data);
            let _ = with_frame_rate(&unit, rate);
            unit[4] = 0x65;
            let changed = unit.windows(4).any(|w| w[..3] == START_CODE && w[3] & 0x1f == 7);
            prop_assert!(changed || with_frame_rate(&unit, rate).unwrap() == unit);
        }
    }
}
