//! A picture of each codec, made by `streams/make.sh`.

use crate::codec::Codec;
use crate::dimensions::Dimensions;
use crate::frame::HostSurface;

/// Their size: a legal one for every decoder that is known.
pub(super) const SIZE: (u32, u32) = (192, 160);

/// Largest luma of the left half, and smallest of the right half: far from both, so that rounding and a full range do not
/// matter.
const DARK: u8 = 90;
const BRIGHT: u8 = 150;

/// The coded picture, with all of its headers; `None`: there is none.
pub(super) const fn stream(codec: Codec) -> Option<&'static [u8]> {
    Some(match codec {
        Codec::H264 => include_bytes!("streams/h264.bin"),
        Codec::Hevc => include_bytes!("streams/hevc.bin"),
        Codec::Av1 => include_bytes!("streams/av1.bin"),
        Codec::Vp9 => include_bytes!("streams/vp9.bin"),
        Codec::Vp8 => include_bytes!("streams/vp8.bin"),
        Codec::Mpeg2 => include_bytes!("streams/mpeg2video.bin"),
        Codec::Mpeg4 => include_bytes!("streams/mpeg4.bin"),
        Codec::Mjpeg => include_bytes!("streams/mjpeg.bin"),
        Codec::Vc1 => return None,
    })
}

/// What is wrong with a decoded picture; `None`: it is the one of the streams.
pub(super) fn wrong(picture: &HostSurface) -> Option<String> {
    let (width, height) = SIZE;
    if Dimensions::new(width, height) != Some(picture.dimensions()) {
        return Some(format!("a picture of {} came out, not of {width}x{height}", picture.dimensions()));
    }
    let bytes = usize::from(picture.format().bit_depth()).div_ceil(8);
    let luma = picture.plane(0)?;
    // The middle of the picture is left out: the edge between the halves rings.
    let (left, right) = (width as usize / 2 - 16, width as usize / 2 + 16);
    let row_is_right = |y: usize| {
        let sample = |x: usize| luma.row(y).get((x + 1) * bytes - 1).copied().unwrap_or_default();
        (0..left).all(|x| sample(x) <= DARK) && (right..width as usize).all(|x| sample(x) >= BRIGHT)
    };
    let wrong = (0..luma.rows()).find(|y| !row_is_right(*y))?;
    Some(format!("another picture came out than was coded (row {wrong})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::PixelFormat;

    #[test]
    fn another_picture_is_noticed() {
        let size = Dimensions::new(SIZE.0, SIZE.1).unwrap();
        let row: Vec<u8> = (0..192).map(|x| if x < 96 { 51 } else { 191 }).collect();
        let mut bytes: Vec<u8> = row.iter().copied().cycle().take(192 * 160).collect();
        let of = |bytes: &[u8]| HostSurface::from_packed(PixelFormat::Gray8, size, bytes.to_vec()).unwrap();
        assert_eq!(wrong(&of(&bytes)), None);
        bytes[192 * 100 + 20] = 128;
        assert!(wrong(&of(&bytes)).unwrap().contains("row 100"));
        assert!(wrong(&of(&vec![0; 192 * 160])).is_some(), "a black picture is none");
        let small =
            HostSurface::from_packed(PixelFormat::Gray8, Dimensions::new(16, 16).unwrap(), vec![0; 256]);
        assert!(wrong(&small.unwrap()).unwrap().contains("16x16"));
    }

    #[test]
    fn streams_are_small() {
        for codec in super::super::Question::DECODED {
            let bytes = stream(codec).unwrap();
            assert!(bytes.len() < 1000, "{codec}: {}", bytes.len());
        }
        assert!(stream(Codec::Vc1).is_none());
    }
}
