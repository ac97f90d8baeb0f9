//! Which part of the coded picture becomes a frame, and how large. The decoder applies it when a picture is mapped, at
//! no cost: a frame is read from `source` and scaled to `target` in one go.
//!
//! Decoders begin at multiples of four columns and rows, and round down without a word (580.159, `sims/nvidia/facts`). So a part
//! is mapped in whole macroblocks, or from the picture's corner on, and the frame is made of what lies from `inside` on;
//! and what should be scaled as well and has other edges is left to the session ([`Geometry::shaped`]).

use super::format::display_area;
use crate::backend::nvidia::driver::cuvid_abi::{ShortRect, VideoFormat, codec};
use crate::config::{CommonDecodeConfig, Crop};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::time::Rational;

/// Whole macroblocks: columns and rows at which every decoder can begin and end.
const BLOCK: u32 = 16;
/// Where those that were asked can.
const STEP: u32 = 4;

/// What the caller wants of each picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    crop: Option<Crop>,
    size: Option<Dimensions>,
}

impl Wanted {
    pub(super) const fn of(config: &CommonDecodeConfig) -> Self {
        Self { crop: config.crop, size: config.size }
    }
}

/// The way from a coded picture to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Part of the coded picture: left, top, right, bottom.
    pub(super) source: ShortRect,
    /// Size of mapped pictures; always even.
    pub(super) target: (u32, u32),
    /// Where frames begin in mapped pictures: column and row.
    pub(super) inside: (u32, u32),
    /// Size of frames.
    pub(super) dimensions: Dimensions,
    /// Whether frames are as the caller wants them.
    pub(super) shaped: bool,
    /// The part that is shown, before scaling.
    part: Dimensions,
}

impl Geometry {
    /// What `wanted` means for pictures of this format.
    ///
    /// # Errors
    /// A crop outside the picture, or one that begins between two chroma samples.
    pub(super) fn new(format: &VideoFormat, wanted: Wanted) -> Result<Self> {
        let (left, top, whole) = display_area(format)?;
        let shown = (left, top, whole);
        let (left, top, part) = match wanted.crop {
            None => shown,
            Some(crop) => {
                check_crop(crop, whole, format)?;
                (left + crop.left, top + crop.top, crop.size)
            }
        };
        let dimensions = wanted.size.unwrap_or(part);
        let coded = (format.coded_width, format.coded_height);
        if dimensions == part {
            return Ok(Self::unscaled((left, top, part), coded, true));
        }
        let edges = [left, top, left + part.width(), top + part.height()];
        if (left, top) != (0, 0) && edges.iter().any(|edge| !edge.is_multiple_of(STEP)) {
            return Ok(Self::unscaled(shown, coded, false));
        }
        Ok(Self {
            source: rectangle((left, top), (edges[2], edges[3])),
            target: even(dimensions.width(), dimensions.height()),
            inside: (0, 0),
            dimensions,
            shaped: true,
            part,
        })
    }

    /// Part of the picture as large as it is.
    fn unscaled((left, top, part): (u32, u32, Dimensions), coded: (u32, u32), shaped: bool) -> Self {
        let end = (left + part.width(), top + part.height());
        let begin = (left - left % BLOCK, top - top % BLOCK);
        let blocks = (end.0.next_multiple_of(BLOCK), end.1.next_multiple_of(BLOCK));
        // A picture that ends inside its last macroblocks is read from its corner on, where any end is good.
        let (begin, end) = if begin == (0, 0) || blocks.0 > coded.0 || blocks.1 > coded.1 {
            ((0, 0), even(end.0, end.1))
        } else {
            (begin, blocks)
        };
        Self {
            source: rectangle(begin, end),
            // As large as it is read, or the decoder would scale after all.
            target: (end.0 - begin.0, end.1 - begin.1),
            inside: (left - begin.0, top - begin.1),
            dimensions: part,
            shaped,
            part,
        }
    }

    /// Whether frames are of another size than the part of the picture that they show.
    pub(super) fn scales(&self) -> bool {
        self.dimensions != self.part
    }

    /// The shape of a frame's sample. The parser states the shape of the whole picture; scaling changes it.
    pub(super) fn sample_aspect_ratio(&self, format: &VideoFormat) -> Option<Rational> {
        let (_, _, whole) = display_area(format).ok()?;
        let [x, y] = format.aspect.map(|side| u64::try_from(side).unwrap_or(0));
        let stated = reduced(x * u64::from(whole.height()), y * u64::from(whole.width()));
        // What is stated nowhere is taken for square.
        let (x, y) = stated.unwrap_or((1, 1));
        let (part, frame) = (self.part, self.dimensions);
        let across = u64::from(part.width()) * u64::from(frame.height());
        let down = u64::from(part.height()) * u64::from(frame.width());
        let (across, down) = reduced(across, down)?;
        let (num, den) = reduced(u64::from(x) * u64::from(across), u64::from(y) * u64::from(down))?;
        if num == den { None } else { Rational::new(num, den) }
    }

    /// What the decoder's refusal means, where it may be for what it is to do beyond decoding.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error {
            // Invalid value, invalid source (a target that is too large), not supported.
            Error::Backend { code: code @ (1 | 300 | 801), .. } if self.scales() => Error::Unsupported {
                feature: format!(
                    "scaling from {} to {} in this GPU's decoder (it answers with code {code})",
                    self.part, self.dimensions
                ),
                remedy: Remedy::OtherDevice("ask for a size nearer to the picture's".into()),
            },
            other => other,
        }
    }
}

fn even(width: u32, height: u32) -> (u32, u32) {
    (width.next_multiple_of(2), height.next_multiple_of(2))
}

fn rectangle((left, top): (u32, u32), (right, bottom): (u32, u32)) -> ShortRect {
    let edge = |value: u32| i16::try_from(value).unwrap_or(i16::MAX);
    ShortRect { left: edge(left), top: edge(top), right: edge(right), bottom: edge(bottom) }
}

fn check_crop(crop: Crop, whole: Dimensions, format: &VideoFormat) -> Result<()> {
    let inside = |from: u32, length: u32, all: u32| from.checked_add(length).is_some_and(|end| end <= all);
    if !inside(crop.left, crop.size.width(), whole.width())
        || !inside(crop.top, crop.size.height(), whole.height())
    {
        return Err(Error::invalid(format!(
            "the crop of {} at {},{} is not inside the picture of {whole}",
            crop.size, crop.left, crop.top
        )));
    }
    // JPEG comes out as 4:2:0 whatever it is.
    let (across, down) = match format.chroma {
        _ if format.codec == codec::JPEG => (2, 2),
        0 | 1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    if !crop.left.is_multiple_of(across) || !crop.top.is_multiple_of(down) {
        return Err(Error::Unsupported {
            feature: format!(
                "a crop that begins at {},{}: this picture has one chroma sample for {across}x{down} pixels, and the \
                 GPU's decoder cannot begin between two",
                crop.left, crop.top
            ),
            remedy: Remedy::OtherDevice("begin at even numbers".into()),
        });
    }
    Ok(())
}

/// The fraction in lowest terms, where both sides fit 32 bits and neither is zero.
fn reduced(num: u64, den: u64) -> Option<(u32, u32)> {
    if num == 0 || den == 0 {
        return None;
    }
    let divisor = gcd(num, den);
    Some((u32::try_from(num / divisor).ok()?, u32::try_from(den / divisor).ok()?))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format() -> VideoFormat {
        VideoFormat {
            codec: codec::H264,
            coded_width: 192,
            coded_height: 160,
            display_area: [0, 0, 178, 145],
            chroma: 1,
            aspect: [178, 145],
            ..VideoFormat::default()
        }
    }

    fn size(width: u32, height: u32) -> Dimensions {
        Dimensions::new(width, height).unwrap()
    }

    fn geometry(crop: Option<Crop>, size: Option<Dimensions>) -> Result<Geometry> {
        Geometry::new(&format(), Wanted { crop, size })
    }

    #[test]
    fn an_odd_side_is_decoded_even_and_not_scaled() {
        let all = geometry(None, None).unwrap();
        assert_eq!(all.source, ShortRect { left: 0, top: 0, right: 178, bottom: 146 });
        assert_eq!((all.target, all.dimensions), ((178, 146), size(178, 145)));
        assert!(!all.scales());
        assert_eq!(all.sample_aspect_ratio(&format()), None);
    }

    #[test]
    fn crop_and_size_are_applied_in_this_order() {
        let crop = Crop { left: 12, top: 20, size: size(100, 52) };
        let both = geometry(Some(crop), Some(size(51, 51))).unwrap();
        assert_eq!(both.source, ShortRect { left: 12, top: 20, right: 112, bottom: 72 });
        assert_eq!((both.target, both.inside, both.dimensions), ((52, 52), (0, 0), size(51, 51)));
        assert!(both.shaped);
        // 25 as wide as 13 high before, as wide as high now: samples are as much wider.
        assert_eq!(both.sample_aspect_ratio(&format()), Rational::new(25, 13));
        let anamorphic = VideoFormat { aspect: [356, 145], ..format() };
        assert_eq!(both.sample_aspect_ratio(&anamorphic), Rational::new(50, 13));
    }

    #[test]
    fn what_begins_between_macroblocks_is_mapped_from_the_one_before() {
        let crop = Crop { left: 26, top: 62, size: size(101, 51) };
        let found = geometry(Some(crop), None).unwrap();
        assert_eq!(found.source, ShortRect { left: 16, top: 48, right: 128, bottom: 128 });
        assert_eq!((found.target, found.inside, found.dimensions), ((112, 80), (10, 14), size(101, 51)));
        assert!(found.shaped && !found.scales());
        // The same where the stream cuts: what it cuts is no part of what a crop counts from.
        let cut = VideoFormat { display_area: [26, 62, 178, 146], ..format() };
        let inner = Crop { left: 6, top: 2, size: size(100, 50) };
        let found = Geometry::new(&cut, Wanted { crop: Some(inner), size: None }).unwrap();
        assert_eq!((found.source.left, found.source.top, found.inside), (32, 64, (0, 0)));
    }

    #[test]
    fn what_no_decoder_can_begin_with_and_scale_is_left_to_others() {
        for (left, width) in [(10, 102), (12, 101)] {
            let crop = Crop { left, top: 20, size: size(width, 52) };
            let found = geometry(Some(crop), Some(size(51, 51))).unwrap();
            assert_eq!((found.dimensions, found.shaped), (size(178, 145), false));
        }
        let found =
            geometry(Some(Crop { left: 0, top: 0, size: size(101, 51) }), Some(size(51, 51))).unwrap();
        assert!(found.shaped);
        let found = geometry(Some(Crop { left: 10, top: 20, size: size(9, 9) }), Some(size(5, 5))).unwrap();
        assert_eq!(found.target, (178, 146));
    }

    #[test]
    fn crops_that_cannot_be_are_refused_by_name() {
        for (left, top, width, height) in
            [(0, 0, 179, 10), (100, 0, 79, 10), (0, 140, 10, 6), (u32::MAX, 0, 2, 2)]
        {
            let crop = Crop { left, top, size: size(width, height) };
            let error = geometry(Some(crop), None).unwrap_err();
            assert!(
                matches!(&error, Error::InvalidInput { what, .. } if what.contains("178x145")),
                "{error}"
            );
        }
        for (left, top) in [(1, 0), (0, 1)] {
            let crop = Crop { left, top, size: size(10, 10) };
            let error = geometry(Some(crop), None).unwrap_err();
            assert!(
                matches!(&error, Error::Unsupported { feature, .. } if feature.contains("chroma")),
                "{error}"
            );
        }
        let full = VideoFormat { chroma: 3, ..format() };
        let crop = Some(Crop { left: 1, top: 1, size: size(10, 10) });
        assert!(Geometry::new(&full, Wanted { crop, size: None }).is_ok());
    }
}
