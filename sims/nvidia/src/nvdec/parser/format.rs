//! Filling `CUVIDEOFORMAT`, and the parts of the VUI that H.264 and HEVC share.

use crate::nvdec::abi::{
    AspectRatio, CUVIDEOFORMAT, FrameRate, IntRect, VideoSignalDescription, chroma_format,
};

use super::bits::Bits;

/// Sample shape and colour: the first part of the VUI of both standards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Sample aspect ratio; (0, 0): unspecified.
    pub(super) sample_aspect: (u32, u32),
    pub(super) signal: VideoSignalDescription,
}

/// What a stream says of itself when it says nothing: unspecified throughout.
pub(super) fn unspecified() -> VideoSignalDescription {
    VideoSignalDescription {
        format_and_range: 5,
        color_primaries: 2,
        transfer_characteristics: 2,
        matrix_coefficients: 2,
    }
}

/// Widths and heights of samples by `aspect_ratio_idc`.
const SHAPES: [(u32, u32); 17] = [
    (0, 0),
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];

/// Reads from `aspect_ratio_info_present_flag` to the chroma location, which both standards begin their VUI with.
pub(super) fn look(bits: &mut Bits) -> Look {
    let mut look = Look { sample_aspect: (0, 0), signal: unspecified() };
    if bits.flag() {
        let shape = bits.u(8);
        look.sample_aspect = if shape == 255 {
            (bits.u(16), bits.u(16))
        } else {
            SHAPES.get(shape as usize).copied().unwrap_or((0, 0))
        };
    }
    if bits.flag() {
        bits.skip(1); // overscan_appropriate_flag
    }
    if bits.flag() {
        let video_format = bits.u8(3);
        let full_range = bits.u8(1);
        look.signal.format_and_range = video_format | full_range << 3;
        if bits.flag() {
            look.signal.color_primaries = bits.u8(8);
            look.signal.transfer_characteristics = bits.u8(8);
            look.signal.matrix_coefficients = bits.u8(8);
        }
    }
    if bits.flag() {
        bits.ue();
        bits.ue();
    }
    look
}

/// A format with the given sizes; the rest is what a progressive 8-bit 4:2:0 stream has that says nothing more.
/// Coded sizes are whole macroblocks of 16.
pub(super) fn basic(codec: u32, width: u32, height: u32) -> CUVIDEOFORMAT {
    CUVIDEOFORMAT {
        codec,
        progressive_sequence: 1,
        coded_width: width.next_multiple_of(16),
        coded_height: height.next_multiple_of(16),
        display_area: IntRect { left: 0, top: 0, right: width as i32, bottom: height as i32 },
        chroma_format: chroma_format::YUV420,
        display_aspect_ratio: aspect(width, height, (1, 1)),
        video_signal_description: unspecified(),
        ..CUVIDEOFORMAT::default()
    }
}

/// `chroma_format_idc` of both standards is NVIDIA's number.
pub(super) fn chroma(idc: u32) -> u32 {
    idc.min(chroma_format::YUV444)
}

/// Display aspect ratio in lowest terms.
pub(super) fn aspect(width: u32, height: u32, sample: (u32, u32)) -> AspectRatio {
    let sample = if sample.0 == 0 || sample.1 == 0 { (1, 1) } else { sample };
    let x = u64::from(width) * u64::from(sample.0);
    let y = u64::from(height) * u64::from(sample.1);
    let divisor = gcd(x, y).max(1);
    AspectRatio { x: (x / divisor).min(i32::MAX as u64) as i32, y: (y / divisor).min(i32::MAX as u64) as i32 }
}

/// A frame rate in lowest terms; zeros for one that is not given.
pub(super) fn rate(numerator: u64, denominator: u64) -> FrameRate {
    if numerator == 0 || denominator == 0 {
        return FrameRate::default();
    }
    let divisor = gcd(numerator, denominator);
    match (u32::try_from(numerator / divisor), u32::try_from(denominator / divisor)) {
        (Ok(numerator), Ok(denominator)) => FrameRate { numerator, denominator },
        _ => FrameRate::default(),
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_come_in_lowest_terms() {
        assert_eq!(aspect(1920, 1080, (0, 0)), AspectRatio { x: 16, y: 9 });
        assert_eq!(aspect(720, 576, (16, 11)), AspectRatio { x: 20, y: 11 });
        assert_eq!(rate(60000, 2002), FrameRate { numerator: 30000, denominator: 1001 });
        assert_eq!(rate(5, 0), FrameRate::default());
    }
}
