//! A packet is one picture for the driver's parser: of a frame in two fields it takes the first, and the second has to be
//! fed by itself.

use crate::bitstream::{annexb, h264};
use crate::codec::Codec;

/// Where the second field begins in an access unit of two fields; `None` where there is one picture.
pub(super) fn second_field(codec: Codec, data: &[u8]) -> Option<usize> {
    let begins_picture: fn(&[u8]) -> bool = match codec {
        // The first slice of a picture begins with macroblock 0: Exp-Golomb zero, a set bit.
        Codec::H264 => |nal| {
            matches!(h264::nal_type(nal), Some(1 | 5)) && nal.get(1).is_some_and(|byte| byte & 0x80 != 0)
        },
        // A picture header.
        Codec::Mpeg2 => |unit| unit.first() == Some(&0),
        _ => return None,
    };
    let second = annexb::nal_units(data).filter(|unit| begins_picture(unit)).nth(1)?;
    let at = second.as_ptr() as usize - data.as_ptr() as usize;
    // With its start code.
    at.checked_sub(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_picture_of_a_unit_is_found() {
        let slice = |first: u8| [0, 0, 1, 0x65, first, 7];
        let fields = [slice(0x80), slice(0x40), slice(0x80)].concat();
        assert_eq!(second_field(Codec::H264, &fields), Some(12));
        assert_eq!(second_field(Codec::H264, &fields[..12]), None);
        let pictures = [&[0, 0, 1, 0xb3, 9][..], &[0, 0, 1, 0, 9, 0, 0, 1, 1, 9], &[0, 0, 1, 0, 9]].concat();
        assert_eq!(second_field(Codec::Mpeg2, &pictures), Some(15));
        assert_eq!(second_field(Codec::Hevc, &fields), None);
    }
}
