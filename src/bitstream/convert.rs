//! Between the two framings of NAL units: start codes (Annex B) and big-endian lengths (ISO/IEC 14496-15).

use super::annexb::{START_CODE_LONG, nal_units};
use super::{h264, hevc};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::memory;

/// Iterates over length-prefixed NAL units; `length_size` is 1, 2, 3 or 4 bytes.
///
/// Yields an error, once, where a length points past the end or a length field is cut off. Zero lengths
/// are skipped.
pub fn length_prefixed_units(data: &[u8], length_size: u8) -> impl Iterator<Item = Result<&[u8]>> {
    LengthPrefixedUnits { data, pos: 0, length_size: usize::from(length_size) }
}

/// Iterator of [`length_prefixed_units`].
struct LengthPrefixedUnits<'a> {
    data: &'a [u8],
    pos: usize,
    length_size: usize,
}

impl<'a> LengthPrefixedUnits<'a> {
    fn take(&mut self) -> Result<&'a [u8]> {
        if !(1..=4).contains(&self.length_size) {
            return Err(Error::invalid(format!("NAL length size {} is not 1 to 4", self.length_size)));
        }
        let at = self.pos;
        let rest = self.data.get(at..).unwrap_or(&[]);
        let (field, rest) = rest.split_at_checked(self.length_size).ok_or_else(|| {
            Error::corrupt(format!("NAL length field of {} bytes cut off at byte {at}", self.length_size))
        })?;
        let length = field.iter().fold(0_usize, |acc, &b| (acc << 8) | usize::from(b));
        let unit = rest.get(..length).ok_or_else(|| {
            Error::corrupt(format!("NAL length {length} at byte {at} exceeds the {} bytes left", rest.len()))
        })?;
        self.pos = at + self.length_size + length;
        Ok(unit)
    }
}

impl<'a> Iterator for LengthPrefixedUnits<'a> {
    type Item = Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.pos < self.data.len() {
            match self.take() {
                Ok([]) => {}
                Ok(unit) => return Some(Ok(unit)),
                Err(error) => {
                    self.pos = self.data.len();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// Appends the units of a length-prefixed sample to `out`, each after a four-byte start code.
///
/// # Errors
/// [`Error::CorruptStream`] for lengths that exceed the sample; `out` then holds the units before the damage.
pub fn length_prefixed_to_annexb(data: &[u8], length_size: u8, out: &mut Vec<u8>) -> Result<()> {
    memory::grow(out, data.len())?;
    for unit in length_prefixed_units(data, length_size) {
        let unit = unit?;
        memory::grow(out, START_CODE_LONG.len() + unit.len())?;
        out.extend_from_slice(&START_CODE_LONG);
        out.extend_from_slice(unit);
    }
    Ok(())
}

/// Which NAL units [`annexb_to_length_prefixed`] leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Keep {
    /// Every unit.
    #[default]
    All,
    /// No parameter sets (they are in the codec configuration) and no access unit delimiters, as MP4's
    /// `avc1` and `hvc1` want it.
    WithoutParameterSets,
}

/// Whether a NAL unit is one that [`Keep::WithoutParameterSets`] drops.
fn is_redundant_in_container(codec: Codec, nal: &[u8]) -> bool {
    match codec {
        Codec::Hevc => {
            matches!(hevc::nal_type(nal), Some(hevc::NAL_VPS | hevc::NAL_SPS | hevc::NAL_PPS | hevc::NAL_AUD))
        }
        _ => matches!(
            h264::nal_type(nal),
            Some(h264::NAL_SPS | h264::NAL_SPS_EXTENSION | h264::NAL_PPS | h264::NAL_AUD)
        ),
    }
}

/// Appends the units of an Annex-B access unit to `out`, each after its length in `length_size` bytes.
///
/// # Errors
/// [`Error::InvalidInput`] when a unit is too long for the length field or the codec has no NAL units.
pub fn annexb_to_length_prefixed(
    codec: Codec,
    data: &[u8],
    length_size: u8,
    keep: Keep,
    out: &mut Vec<u8>,
) -> Result<()> {
    if !codec.uses_nal_units() {
        return Err(Error::invalid(format!("{codec} has no NAL units to put lengths before")));
    }
    if !(1..=4).contains(&length_size) {
        return Err(Error::invalid(format!("NAL length size {length_size} is not 1 to 4")));
    }
    memory::grow(out, data.len())?;
    for unit in nal_units(data) {
        if keep == Keep::WithoutParameterSets && is_redundant_in_container(codec, unit) {
            continue;
        }
        let length = unit.len() as u64;
        if length >> (8 * u32::from(length_size)) != 0 {
            return Err(Error::invalid(format!(
                "NAL unit of {length} bytes does not fit a length field of {length_size} bytes; use 4"
            )));
        }
        let bytes = (length as u32).to_be_bytes();
        memory::grow(out, bytes.len() + unit.len())?;
        out.extend_from_slice(bytes.get(4 - usize::from(length_size)..).unwrap_or(&bytes));
        out.extend_from_slice(unit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_lengths_are_errors_that_name_the_byte() {
        let mut out = Vec::new();
        let error = length_prefixed_to_annexb(&[0, 2, 0x65, 1, 0, 3, 0x41], 2, &mut out).unwrap_err();
        assert!(error.to_string().contains("length 3 at byte 4"), "{error}");
        assert_eq!(out, [0, 0, 0, 1, 0x65, 1]);
        assert!(length_prefixed_to_annexb(&[0, 0], 4, &mut out).is_err());
        assert!(length_prefixed_to_annexb(&[0, 0], 0, &mut out).is_err());
        assert!(length_prefixed_to_annexb(&[], 4, &mut out).is_ok());
    }

    #[test]
    fn parameter_sets_and_delimiters_are_dropped_on_request() {
        let data = [0, 0, 1, 0x09, 0x10, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 3];
        let mut out = Vec::new();
        annexb_to_length_prefixed(Codec::H264, &data, 4, Keep::WithoutParameterSets, &mut out).unwrap();
        assert_eq!(out, [0, 0, 0, 2, 0x65, 3]);
        out.clear();
        annexb_to_length_prefixed(Codec::H264, &data, 1, Keep::All, &mut out).unwrap();
        assert_eq!(out, [2, 0x09, 0x10, 2, 0x67, 1, 2, 0x68, 2, 2, 0x65, 3]);
        let long = [&[0, 0, 1, 0x65][..], &[1; 300]].concat();
        assert!(annexb_to_length_prefixed(Codec::H264, &long, 1, Keep::All, &mut out).is_err());
    }
}
