//! The shape that frames are wanted in, where a width, a height or upright pictures are asked for instead of a size.

use std::path::Path;

use super::source::SourceOptions;
use crate::bitstream::StreamInfo;
use crate::config::{ColorRequest, DecodeOutputMode};
use crate::container::VideoTrack;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::limits::Limit;
use crate::rawvideo::VideoFormat;
use crate::time::Rational;
use crate::transform::{self, Turn};

/// What an input says of the shape of its pictures.
pub(super) struct Stated {
    size: Dimensions,
    aspect: Rational,
    matrix: Option<[i32; 9]>,
}

impl Stated {
    /// The container's word on the shape of samples wins over that of the headers in it.
    pub(super) fn of_track(video: &VideoTrack) -> Self {
        let of_headers = || {
            let config = video.codec_config.as_deref()?;
            StreamInfo::from_config(video.codec, config).ok().flatten()?.sample_aspect_ratio
        };
        let aspect = video.sample_aspect_ratio.or_else(of_headers).unwrap_or(Rational::ONE);
        Self { size: video.dimensions, aspect, matrix: video.matrix }
    }

    pub(super) fn of_pictures(format: &VideoFormat) -> Self {
        let aspect = format.sample_aspect_ratio.unwrap_or(Rational::ONE);
        Self { size: format.dimensions, aspect, matrix: None }
    }
}

/// What is done to frames behind the decoder and its scaler.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    turn: Turn,
    /// Samples were made square, as nearly as whole numbers of them allow.
    square: bool,
    /// The format to come back to where a turn had to leave it.
    convert: ColorRequest,
}

impl Fit {
    /// Refuses what cannot be asked for together.
    pub(super) fn check(options: &SourceOptions) -> Result<()> {
        let sized = options.size.is_some();
        let pairs = [
            (
                "width",
                options.width.is_some(),
                "height",
                options.height.is_some(),
                "give one, or size for both",
            ),
            ("width", options.width.is_some(), "size", sized, "give one of them"),
            ("height", options.height.is_some(), "size", sized, "give one of them"),
            ("upright", options.upright, "size", sized, "give width or height, which keep the shape"),
            (
                "upright",
                options.upright,
                "pictures in the decoder's own memory (native)",
                options.output == DecodeOutputMode::NativeSurface,
                "pictures are turned in host memory",
            ),
        ];
        for (one, has_one, other, has_other, remedy) in pairs {
            if has_one && has_other {
                return Err(Error::invalid(format!("{one} and {other} exclude each other: {remedy}")));
            }
        }
        for (name, side) in [("width", options.width), ("height", options.height)] {
            if side.is_some_and(|side| side == 0 || side > Dimensions::MAX_SIDE) {
                let side = side.unwrap_or_default();
                return Err(Error::invalid(format!("{name} {side} is not in 1..={}", Dimensions::MAX_SIDE)));
            }
        }
        Ok(())
    }

    /// Puts the size that follows from the input in the place of a width or a height.
    ///
    /// # Errors
    /// A matrix that is no turn, or a size beyond the limits.
    pub(super) fn resolve(options: &mut SourceOptions, stated: &Stated, path: &Path) -> Result<Self> {
        let mut turn = Turn::default();
        if options.upright
            && let Some(matrix) = stated.matrix
        {
            turn = Turn::of_matrix(matrix).ok_or_else(|| Error::Unsupported {
                feature: format!(
                    "upright frames of {}, whose matrix is no turn by 90 degrees",
                    path.display()
                ),
                remedy: "take the frames as they are stored".into(),
            })?;
        }
        let asked = options.width.is_some() || options.height.is_some() || options.upright;
        // A size was there before: this source opens an input for the second time.
        let fit = Self { turn, square: asked, convert: options.convert };
        if !asked || options.size.is_some() {
            return Ok(fit);
        }
        let stored = options.crop.map_or(stated.size, |crop| crop.size);
        let shown = Shown::of(stored, stated.aspect, turn);
        let size = shown.with(options.width.take(), options.height.take());
        let beyond = || {
            let (aspect, most) = (stated.aspect, Dimensions::MAX_SIDE);
            let what = format!(
                "is shown at {aspect} for each sample of {stored}: no picture of that shape has sides up to {most}"
            );
            Error::invalid_file(path, what)
        };
        let size = turn.size(size.ok_or_else(beyond)?);
        if size != stored {
            let what = format!("{}: a picture of {size}", path.display());
            options.limits.check(Limit::PicturePixels, size.pixels(), what)?;
            options.size = Some(size);
        }
        Ok(fit)
    }

    /// The frame as it is wanted.
    ///
    /// # Errors
    /// As [`Turn::apply`] and [`transform::apply`].
    pub(super) fn of(self, mut frame: Frame) -> Result<Frame> {
        if self.turn != Turn::default() {
            frame = self.turn.apply(frame)?;
            if let Some(format) = self.convert.format().filter(|format| *format != frame.format) {
                if frame.as_host().is_some() {
                    frame = transform::apply(frame, self.convert)?.frame;
                }
                frame.format = format;
            }
        }
        if self.square
            && let Some(ratio) = frame.sample_aspect_ratio
            && is_nearly_square(ratio, frame.dimensions)
        {
            frame.sample_aspect_ratio = Some(Rational::ONE);
        }
        Ok(frame)
    }
}

/// A picture as it is seen, in samples of the picture that are square.
struct Shown {
    /// The size, where samples are square already.
    exact: Option<Dimensions>,
    /// Width to height.
    shape: (u128, u128),
    /// The size at which no row and no column is lost.
    whole: (u64, u64),
}

impl Shown {
    fn of(stored: Dimensions, aspect: Rational, turn: Turn) -> Self {
        let (num, den) = (u128::from(aspect.num()), u128::from(aspect.den()));
        let (width, height) = (u128::from(stored.width()), u128::from(stored.height()));
        let shape = (width * num, height * den);
        let rounded = |side: u128, num: u128, den: u128| even(side * num, den);
        let (width, height) = (stored.width().into(), stored.height().into());
        let whole = if num >= den {
            (rounded(u128::from(stored.width()), num, den), height)
        } else {
            (width, rounded(u128::from(stored.height()), den, num))
        };
        let swap = turn.transposes();
        Self {
            exact: (num == den).then(|| turn.size(stored)),
            shape: if swap { (shape.1, shape.0) } else { shape },
            whole: if swap { (whole.1, whole.0) } else { whole },
        }
    }

    /// The size of the picture with this width or this height, or else in full; `None` where no picture can be so large.
    fn with(&self, width: Option<u32>, height: Option<u32>) -> Option<Dimensions> {
        let (across, down) = self.shape;
        if let Some(exact) = self.exact
            && width.is_none_or(|width| width == exact.width())
            && height.is_none_or(|height| height == exact.height())
        {
            return Some(exact);
        }
        let (width, height) = match (width, height) {
            (Some(width), _) => (width.into(), even(u128::from(width) * down, across)),
            (None, Some(height)) => (even(u128::from(height) * across, down), height.into()),
            (None, None) => self.whole,
        };
        Dimensions::new(u32::try_from(width).ok()?, u32::try_from(height).ok()?)
    }
}

/// The even number next to a quotient, 2 at least: every format and every scaler takes it.
fn even(num: u128, den: u128) -> u64 {
    let den = den.max(1);
    u64::try_from((num + den) / (2 * den) * 2).unwrap_or(u64::MAX).max(2)
}

/// Whether square samples would make the picture longer or shorter by less than a column or a row on each side.
fn is_nearly_square(ratio: Rational, size: Dimensions) -> bool {
    let (num, den) = (u64::from(ratio.num()), u64::from(ratio.den()));
    let off = num.abs_diff(den);
    let within = |side: u32, of: u64| u128::from(off) * u128::from(side) <= 2 * u128::from(of);
    within(size.width(), den) || within(size.height(), num)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: [i32; 9] = [0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30];

    fn size(width: u32, height: u32) -> Dimensions {
        Dimensions::new(width, height).unwrap()
    }

    /// The size that a decoder is asked for, and the options that are left.
    fn resolved(
        stored: (u32, u32),
        (num, den): (u32, u32),
        matrix: Option<[i32; 9]>,
        options: SourceOptions,
    ) -> Result<Option<Dimensions>> {
        Fit::check(&options)?;
        let mut options = options;
        let aspect = Rational::new(num, den).unwrap();
        let stated = Stated { size: size(stored.0, stored.1), aspect, matrix };
        Fit::resolve(&mut options, &stated, Path::new("in.mp4"))?;
        assert_eq!((options.width, options.height), (None, None));
        Ok(options.size)
    }

    fn width(width: u32) -> SourceOptions {
        SourceOptions { width: Some(width), ..SourceOptions::default() }
    }

    fn height(height: u32) -> SourceOptions {
        SourceOptions { height: Some(height), ..SourceOptions::default() }
    }

    #[test]
    fn one_side_decides_the_other() {
        let some = |w, h| Some(size(w, h));
        let square = |options| resolved((640, 360), (1, 1), None, options).unwrap();
        assert_eq!(square(width(160)), some(160, 90));
        assert_eq!(square(height(90)), some(160, 90));
        assert_eq!(square(width(640)), None);
        assert_eq!(square(width(1)), some(1, 2));
        assert_eq!(resolved((641, 361), (1, 1), None, height(361)).unwrap(), None);
        // PAL, shown at 16:9: 1024x576.
        assert_eq!(resolved((720, 576), (64, 45), None, width(512)).unwrap(), some(512, 288));
        assert_eq!(resolved((720, 576), (64, 45), None, height(576)).unwrap(), some(1024, 576));
    }

    #[test]
    fn upright_pictures_are_turned_and_none_of_their_samples_lost() {
        let up = SourceOptions { upright: true, ..SourceOptions::default() };
        let some = |w, h| Some(size(w, h));
        let anamorphic = |matrix, aspect, options| resolved((720, 576), aspect, matrix, options).unwrap();
        assert_eq!(anamorphic(None, (64, 45), up.clone()), some(1024, 576));
        assert_eq!(anamorphic(None, (8, 9), up.clone()), some(720, 648));
        // The decoder's size is that of the picture on its side.
        assert_eq!(anamorphic(Some(QUARTER), (64, 45), up.clone()), some(1024, 576));
        let wide = SourceOptions { width: Some(288), ..up.clone() };
        assert_eq!(anamorphic(Some(QUARTER), (64, 45), wide), some(512, 288));
        assert_eq!(resolved((640, 360), (1, 1), Some(QUARTER), up.clone()).unwrap(), None);
        let skewed = [1, 1, 0, -1, 1, 0, 0, 0, 1];
        assert!(matches!(resolved((640, 360), (1, 1), Some(skewed), up), Err(Error::Unsupported { .. })));
    }

    #[test]
    fn shapes_beyond_reason_and_combinations_without_meaning_are_refused_by_name() {
        let wide = (u32::MAX, 1);
        assert!(matches!(resolved((640, 360), wide, None, height(360)), Err(Error::InvalidInput { .. })));
        assert!(matches!(
            resolved((640, 360), (1, 100), None, width(20_000)),
            Err(Error::InvalidInput { .. } | Error::LimitExceeded { .. })
        ));
        assert!(resolved((65_535, 1), wide, None, width(65_535)).is_ok());
        let refused = |options: SourceOptions, names: [&str; 2]| {
            let error = Fit::check(&options).unwrap_err().to_string();
            assert!(names.iter().all(|name| error.contains(name)), "{error}");
        };
        let sized = Some(size(4, 4));
        refused(SourceOptions { height: Some(9), ..width(16) }, ["width", "height"]);
        refused(SourceOptions { size: sized, ..width(16) }, ["width", "size"]);
        refused(SourceOptions { size: sized, ..height(16) }, ["height", "size"]);
        let up = SourceOptions { upright: true, ..SourceOptions::default() };
        refused(SourceOptions { size: sized, ..up.clone() }, ["upright", "size"]);
        refused(SourceOptions { output: DecodeOutputMode::NativeSurface, ..up }, ["upright", "native"]);
        refused(width(0), ["width 0", "1..=65535"]);
        refused(height(65_536), ["height 65536", "1..=65535"]);
    }

    #[test]
    fn samples_are_square_within_a_pixel() {
        let near = |num, den, w, h| is_nearly_square(Rational::new(num, den).unwrap(), size(w, h));
        assert!(near(1, 1, 640, 360) && near(160, 161, 160, 90));
        assert!(!near(12, 11, 720, 576) && !near(64, 45, 160, 90));
    }
}
