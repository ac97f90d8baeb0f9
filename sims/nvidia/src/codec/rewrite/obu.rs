//! The units of AV1 (OBUs): a temporal unit put together as a driver would write it.

/// Kinds of unit.
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const METADATA: u8 = 5;

fn leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Kind and bytes of each unit; every one has to state its size.
fn split(mut data: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut units = Vec::new();
    while let Some(&header) = data.first() {
        let mut at = if header & 4 != 0 { 2 } else { 1 };
        if header & 2 == 0 {
            return None;
        }
        let mut size = 0usize;
        for shift in 0..4 {
            let byte = *data.get(at)?;
            at += 1;
            size |= usize::from(byte & 0x7f) << (7 * shift);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let end = at.checked_add(size)?;
        units.push((header >> 3 & 15, data.get(..end)?));
        data = &data[end..];
    }
    Some(units)
}

/// The sequence header in what a library gives as such.
pub(in crate::codec) fn sequence_header(data: &[u8]) -> Option<Vec<u8>> {
    split(data)?.into_iter().find(|(kind, _)| *kind == SEQUENCE_HEADER).map(|(_, unit)| unit.to_vec())
}

/// The delimiter, the sequence header where there is one to write, metadata (type and bytes), and the picture.
pub(in crate::codec) fn temporal_unit(
    coded: &[u8],
    header: Option<&[u8]>,
    metadata: &[(u32, Vec<u8>)],
) -> Option<Vec<u8>> {
    let mut out = vec![TEMPORAL_DELIMITER << 3 | 2, 0];
    out.extend_from_slice(header.unwrap_or_default());
    for (kind, bytes) in metadata {
        let mut body = Vec::with_capacity(bytes.len() + 6);
        leb128(&mut body, *kind as usize);
        body.extend_from_slice(bytes);
        // Trailing bits.
        body.push(0x80);
        out.push(METADATA << 3 | 2);
        leb128(&mut out, body.len());
        out.extend(body);
    }
    let before = out.len();
    for (kind, unit) in split(coded)? {
        if !matches!(kind, SEQUENCE_HEADER | TEMPORAL_DELIMITER) {
            out.extend_from_slice(unit);
        }
    }
    (out.len() > before).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_put_together() {
        let coded = [0x12, 0, 0x0a, 1, 9, 0x32, 2, 7, 8];
        assert_eq!(sequence_header(&coded).unwrap(), [0x0a, 1, 9]);
        let unit = temporal_unit(&coded, Some(&[0x0a, 1, 9]), &[(1, vec![3, 4])]).unwrap();
        assert_eq!(unit, [0x12, 0, 0x0a, 1, 9, 0x2a, 4, 1, 3, 4, 0x80, 0x32, 2, 7, 8]);
        assert_eq!(temporal_unit(&coded, None, &[]).unwrap(), [0x12, 0, 0x32, 2, 7, 8]);
    }

    #[test]
    fn damaged_units_are_none() {
        for data in [&[0x32][..], &[0x32, 5, 1], &[0x30, 1], &[0x32, 0x80], &[0x12, 0]] {
            assert!(temporal_unit(data, None, &[]).is_none(), "{data:?}");
        }
    }
}
