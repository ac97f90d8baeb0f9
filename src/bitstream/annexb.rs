//! The byte stream format: ITU-T H.264 and H.265, Annex B.
//!
//! A start code is the bytes 00 00 01; a further zero before it belongs to the start code, all other zeros
//! between NAL units are padding. Inside a NAL unit the three bytes cannot occur, because the encoder puts
//! a 03 (`emulation_prevention_three_byte`) behind every two zeros that a byte of 0 to 3 follows.

use memchr::memmem;

/// Three-byte start code prefix.
pub(super) const START_CODE: [u8; 3] = [0, 0, 1];

/// Four-byte start code, as written before the units that this crate produces.
pub(crate) const START_CODE_LONG: [u8; 4] = [0, 0, 0, 1];

/// Offset of the next 00 00 01 in `data`.
pub(crate) fn find_start_code(data: &[u8]) -> Option<usize> {
    memmem::find(data, &START_CODE)
}

/// The NAL units of a byte stream, without start codes and padding.
///
/// Bytes before the first start code are skipped; empty units are not reported.
pub fn nal_units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut codes = memmem::find_iter(data, &START_CODE);
    let mut next = codes.next().map(|at| at + START_CODE.len());
    std::iter::from_fn(move || {
        let start = next?;
        let code = codes.next();
        next = code.map(|at| at + START_CODE.len());
        data.get(start..code.unwrap_or(data.len())).map(trim_padding)
    })
    .filter(|unit| !unit.is_empty())
}

/// `unit` without `trailing_zero_8bits`: a NAL unit never ends in a zero byte.
pub(super) fn trim_padding(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    unit.get(..end).unwrap_or(unit)
}

/// Appends the bytes of a NAL unit without emulation prevention bytes to `out`.
pub fn remove_emulation_prevention(nal: &[u8], out: &mut Vec<u8>) {
    out.reserve(nal.len());
    let mut rest = nal;
    while let Some(at) = memmem::find(rest, &[0, 0, 3]) {
        let (before, after) = rest.split_at(at + 2);
        out.extend_from_slice(before);
        rest = after.get(1..).unwrap_or(&[]);
    }
    out.extend_from_slice(rest);
}

/// Appends `rbsp` with the emulation prevention bytes it needs to `out`. A payload that ends in a zero byte
/// gets a final 03 (H.264 7.4.1), so that nothing is taken for padding.
pub fn add_emulation_prevention(rbsp: &[u8], out: &mut Vec<u8>) {
    out.reserve(rbsp.len() + rbsp.len() / 64);
    let mut zeros = 0;
    for &byte in rbsp {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
    if rbsp.last() == Some(&0) {
        out.push(3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_of_both_lengths_and_padding() {
        let data = [9, 9, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0x65, 3, 0];
        let units: Vec<_> = nal_units(&data).collect();
        assert_eq!(units, [&[0x67, 1][..], &[0x68, 2], &[0x65, 3]]);
        assert_eq!(find_start_code(&data), Some(2));
        assert_eq!(nal_units(&[]).count(), 0);
        assert_eq!(nal_units(&[0, 0, 1]).count(), 0);
    }

    #[test]
    fn prevention_is_added_exactly_where_needed() {
        let mut out = Vec::new();
        add_emulation_prevention(&[0, 0, 0, 0, 0, 1, 0, 0, 4, 0, 0, 3, 5, 0, 0], &mut out);
        assert_eq!(out, [0, 0, 3, 0, 0, 3, 0, 1, 0, 0, 4, 0, 0, 3, 3, 5, 0, 0, 3]);
        let mut back = Vec::new();
        remove_emulation_prevention(&out, &mut back);
        assert_eq!(back, [0, 0, 0, 0, 0, 1, 0, 0, 4, 0, 0, 3, 5, 0, 0]);
    }
}
