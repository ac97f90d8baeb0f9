//! NAL units: finding them, and writing them with emulation prevention.

/// The units of an Annex B stream, without start codes.
pub(in crate::codec) fn split(stream: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at + 3 <= stream.len() {
        if stream[at + 2] > 1 {
            at += 3;
        } else if stream[at..at + 3] == [0, 0, 1] {
            if let Some(start) = start {
                units.push(trimmed(&stream[start..at]));
            }
            at += 3;
            start = Some(at);
        } else {
            at += 1;
        }
    }
    if let Some(start) = start {
        units.push(trimmed(&stream[start..]));
    }
    units.retain(|unit| !unit.is_empty());
    units
}

/// Without the zeros that belong to the next start code.
fn trimmed(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &unit[..end]
}

/// Appends a four-byte start code and the unit with emulation prevention.
pub(in crate::codec) fn append_escaped(out: &mut Vec<u8>, unit: &[u8]) {
    out.reserve(unit.len() + unit.len() / 64 + 8);
    out.extend_from_slice(&[0, 0, 0, 1]);
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    // A unit (CABAC zero words) must not end in a zero byte.
    if zeros > 0 {
        out.push(3);
    }
}

/// Appends a four-byte start code and the unit as it is.
pub(in crate::codec) fn append(out: &mut Vec<u8>, unit: &[u8]) {
    out.extend_from_slice(&[0, 0, 0, 1]);
    out.extend_from_slice(unit);
}

/// One SEI unit with these messages (payload type and bytes) after the given unit header.
pub(in crate::codec) fn append_sei(out: &mut Vec<u8>, header: &[u8], messages: &[(u32, Vec<u8>)]) {
    let mut unit = header.to_vec();
    for (kind, payload) in messages {
        for number in [*kind as usize, payload.len()] {
            // Payload types have a few values and payloads are in memory: the run of 0xff is short.
            unit.extend(std::iter::repeat_n(0xff, number / 255));
            unit.push((number % 255) as u8);
        }
        unit.extend_from_slice(payload);
    }
    unit.push(0x80);
    append_escaped(out, &unit);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::unescape;

    #[test]
    fn escaping_round_trips() {
        let unit = [0x65, 0, 0, 0, 0, 1, 0, 0, 3, 0, 0, 2, 9, 0, 0, 4];
        let mut stream = Vec::new();
        append_escaped(&mut stream, &unit);
        append_escaped(&mut stream, &[0x68, 1]);
        let units = split(&stream);
        assert_eq!(units.len(), 2);
        assert!(!units[0].windows(3).any(|window| window[..2] == [0, 0] && window[2] < 3));
        assert_eq!(unescape(units[0]), unit);
        assert_eq!(units[1], [0x68, 1]);
    }

    #[test]
    fn both_start_codes_are_found() {
        assert_eq!(split(&[0, 0, 1, 7, 7, 0, 0, 0, 1, 8, 0, 0, 1, 9]), [&[7, 7][..], &[8], &[9]]);
        assert!(split(&[1, 2, 3]).is_empty());
        assert!(split(&[0, 0, 1]).is_empty());
    }

    #[test]
    fn long_messages_have_long_numbers() {
        let mut stream = Vec::new();
        append_sei(&mut stream, &[6], &[(300, vec![9; 256])]);
        assert_eq!(stream[4..9], [6, 255, 45, 255, 1]);
        assert_eq!(stream.last(), Some(&0x80));
    }
}
