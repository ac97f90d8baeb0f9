//! Elementary streams cut into what makes one picture.

use crate::abi::{CODEC_AVC, CODEC_HEVC, CODEC_JPEG, CODEC_MPEG2};

/// Units behind start codes: where the start code begins, and the bytes after it. The last one goes to the end of the data.
pub fn units(data: &[u8]) -> Vec<(usize, &[u8])> {
    let starts = starts(data, usize::MAX);
    (0..starts.len())
        .map(|number| {
            let at = starts[number];
            let end = starts.get(number + 1).copied().unwrap_or(data.len());
            // A longer start code, or zeros behind the unit before.
            let begin = if at > 0 && data[at - 1] == 0 { at - 1 } else { at };
            (begin, &data[at + 3..end])
        })
        .collect()
}

/// Positions of up to so many start codes of three bytes.
fn starts(data: &[u8], most: usize) -> Vec<usize> {
    let (mut found, mut at) = (Vec::new(), 2);
    while at < data.len() && found.len() < most {
        match data[at] {
            0 => at += 1,
            1 if data[at - 1] == 0 && data[at - 2] == 0 => {
                found.push(at - 2);
                at += 3;
            }
            _ => at += 3,
        }
    }
    found
}

/// Where the first picture ends, if the data show that: where the next one begins.
pub fn end(codec: u32, data: &[u8]) -> Option<usize> {
    match codec {
        CODEC_AVC | CODEC_HEVC | CODEC_MPEG2 => end_of_units(codec, data),
        CODEC_JPEG => {
            let begin = data.windows(2).position(|pair| pair == [0xff, 0xd8])?;
            data[begin..].windows(2).position(|pair| pair == [0xff, 0xd9]).map(|at| begin + at + 2)
        }
        // Each buffer is one.
        _ => Some(data.len()),
    }
}

/// Where the first AVC parameter set behind a slice begins.
pub fn second_set(data: &[u8]) -> Option<usize> {
    let kinds = || units(data).into_iter().map(|(at, unit)| (at, unit.first().map_or(0, |head| head & 0x1f)));
    let slices = kinds().skip_while(|(_, kind)| !matches!(kind, 1..=5));
    slices.skip(1).find(|(_, kind)| matches!(kind, 7 | 8)).map(|(at, _)| at)
}

fn end_of_units(codec: u32, data: &[u8]) -> Option<usize> {
    let (mut picture, mut from) = (false, 0);
    loop {
        let at = from + *starts(&data[from..], 1).first()?;
        let unit = &data[at + 3..];
        let (begins, holds) = match codec {
            CODEC_AVC => avc(*unit.first()?, unit.get(1)),
            CODEC_HEVC => hevc(*unit.first()?, unit.get(2)),
            _ => mpeg2(*unit.first()?),
        }?;
        if picture && begins {
            // MPEG-2's slices may end with a byte of zero, which is theirs.
            return Some(if codec != CODEC_MPEG2 && data[at - 1] == 0 { at - 1 } else { at });
        }
        picture |= holds;
        from = at + 3;
    }
}

/// Whether a unit cannot belong to a picture before it, and whether it holds a part of one. None: more has to be seen of it.
fn avc(head: u8, next: Option<&u8>) -> Option<(bool, bool)> {
    Some(match head & 0x1f {
        // A slice that begins with the first macroblock.
        1 | 2 | 5 => (next? & 0x80 != 0, true),
        6..=9 | 14..=18 => (true, false),
        _ => (false, false),
    })
}

fn hevc(head: u8, third: Option<&u8>) -> Option<(bool, bool)> {
    Some(match head >> 1 & 0x3f {
        0..=31 => (third? & 0x80 != 0, true),
        32..=37 | 39 | 41..=44 | 48..=55 => (true, false),
        _ => (false, false),
    })
}

fn mpeg2(code: u8) -> Option<(bool, bool)> {
    Some(match code {
        0 => (true, true),
        0xb3 | 0xb8 => (true, false),
        _ => (false, false),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_picture_ends_where_the_next_one_begins() {
        let data =
            [0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 0x88, 2, 0, 0, 1, 0x65, 0x08, 0, 0, 0, 1, 0x41, 0x9a, 7];
        assert_eq!(end(CODEC_AVC, &data), Some(17));
        assert_eq!(end(CODEC_AVC, &data[..20]), None);
        assert_eq!(end(CODEC_AVC, &data[17..]), None);
        let kinds: Vec<u8> = units(&data).iter().map(|(_, unit)| unit[0] & 31).collect();
        assert_eq!(kinds, [7, 5, 5, 1]);
        assert_eq!(end(CODEC_JPEG, &[0xff, 0xd8, 1, 0xff, 0xd9, 0xff]), Some(5));
    }
}
