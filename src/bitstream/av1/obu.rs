//! Open bitstream units (5.3).

use crate::error::{Error, Result};

/// `OBU_SEQUENCE_HEADER`.
pub(crate) const OBU_SEQUENCE_HEADER: u8 = 1;
/// `OBU_TEMPORAL_DELIMITER`.
pub(crate) const OBU_TEMPORAL_DELIMITER: u8 = 2;
/// `OBU_FRAME_HEADER`.
pub(crate) const OBU_FRAME_HEADER: u8 = 3;
/// `OBU_METADATA`.
pub(crate) const OBU_METADATA: u8 = 5;
/// `OBU_FRAME`: a frame header and a tile group.
pub(crate) const OBU_FRAME: u8 = 6;

/// One open bitstream unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Obu<'a> {
    /// `obu_type`.
    pub kind: u8,
    /// `temporal_id`, 0 without an extension.
    pub temporal_id: u8,
    /// `spatial_id`, 0 without an extension.
    pub spatial_id: u8,
    /// The unit without header and size.
    pub payload: &'a [u8],
    /// The whole unit.
    pub bytes: &'a [u8],
}

/// The units of a temporal unit or of `configOBUs`. A unit without a size field reaches to the end of the
/// data. Yields an error, once, where a unit is cut off.
pub(crate) fn obus(data: &[u8]) -> Obus<'_> {
    Obus { data, pos: 0 }
}

/// Iterator of [`obus`].
#[derive(Clone, Debug)]
pub(crate) struct Obus<'a> {
    data: &'a [u8],
    pos: usize,
}

impl<'a> Obus<'a> {
    fn take(&mut self) -> Result<Obu<'a>> {
        let at = self.pos;
        let cut_off = || Error::corrupt(format!("AV1 OBU at byte {at} is cut off"));
        let whole = self.data.get(at..).unwrap_or(&[]);
        let (&header, mut rest) = whole.split_first().ok_or_else(cut_off)?;
        if header & 0x80 != 0 {
            return Err(Error::corrupt(format!("AV1 OBU at byte {at}: obu_forbidden_bit is set")));
        }
        let mut extension = 0;
        if header & 4 != 0 {
            let (&byte, behind) = rest.split_first().ok_or_else(cut_off)?;
            (extension, rest) = (byte, behind);
        }
        let size = if header & 2 != 0 {
            let (size, length) = read_leb128(rest).ok_or_else(|| {
                Error::corrupt(format!("AV1 OBU at byte {at}: obu_size is not valid leb128"))
            })?;
            rest = rest.get(length..).unwrap_or(&[]);
            size as usize
        } else {
            rest.len()
        };
        let payload = rest.get(..size).ok_or_else(|| {
            Error::corrupt(format!(
                "AV1 OBU at byte {at}: obu_size {size} exceeds the {} bytes left",
                rest.len()
            ))
        })?;
        let length = whole.len() - rest.len() + size;
        self.pos = at + length;
        Ok(Obu {
            kind: (header >> 3) & 15,
            temporal_id: extension >> 5,
            spatial_id: (extension >> 3) & 3,
            payload,
            bytes: whole.get(..length).unwrap_or(whole),
        })
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = Result<Obu<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.pos >= self.data.len() {
            return None;
        }
        let obu = self.take();
        if obu.is_err() {
            self.pos = self.data.len();
        }
        Some(obu)
    }
}

/// `leb128()` (4.10.5): the value, at most 2^32 - 1, and its length of 1 to 8 bytes.
pub(crate) fn read_leb128(data: &[u8]) -> Option<(u32, usize)> {
    let mut value = 0_u64;
    for (i, &byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, i + 1));
        }
    }
    None
}

/// Appends a temporal unit without its temporal delimiters to `out`, as containers store it.
///
/// # Errors
/// [`Error::CorruptStream`] where a unit is cut off; `out` then holds the units before it.
pub(crate) fn strip_temporal_delimiters(temporal_unit: &[u8], out: &mut Vec<u8>) -> Result<()> {
    for obu in obus(temporal_unit) {
        let obu = obu?;
        if obu.kind != OBU_TEMPORAL_DELIMITER {
            out.extend_from_slice(obu.bytes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_with_and_without_size_fields() {
        let data = [0x12, 0, 0x0a, 0x82, 0x00, 7, 8, 0x34, 0x48, 1, 2, 3];
        let units: Vec<_> = obus(&data).map(|o| o.unwrap()).collect();
        assert_eq!(units.iter().map(|o| o.kind).collect::<Vec<_>>(), [2, 1, 6]);
        assert_eq!(units[1].payload, [7, 8]);
        assert_eq!((units[2].temporal_id, units[2].spatial_id, units[2].payload), (2, 1, &[1, 2, 3][..]));
        let mut out = Vec::new();
        strip_temporal_delimiters(&data, &mut out).unwrap();
        assert_eq!(out, data[2..]);
        assert!(obus(&[0x0a, 3, 1]).any(|o| o.is_err()));
        assert!(obus(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]).any(|o| o.is_err()));
    }
}
