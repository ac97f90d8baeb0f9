//! What a stream asks of a decoder's memory, judged when its headers are read and before anything is allocated for it.

use crate::backend_kind::BackendKind;
use crate::bitstream::StreamInfo;
use crate::error::{Error, Remedy, Result};
use crate::limits::{Limit, Limits};
use crate::pixel::Chroma;

/// Pictures that have left a decoder and that its session still holds: those in the output queue, one on its way into it and
/// one in the caller's hands.
const ON_THE_WAY: u64 = 8;

/// The pictures of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Coded size, in luma samples.
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) chroma: Chroma,
    pub(crate) bit_depth: u8,
}

/// What a decoder keeps of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Pictures inside the decoder: those that the stream may refer to, the one being decoded, those kept to be used again.
    pub(crate) pictures: u64,
    /// Bytes of each, as the decoder stores it.
    pub(crate) each: u64,
    /// Bytes that do not grow with the number of pictures.
    pub(crate) work: u64,
    /// Pictures in their own format that wait for their turn outside the decoder.
    pub(crate) waiting: u64,
}

impl Demand {
    /// Luma samples of a picture.
    pub(crate) const fn pixels(&self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Samples of a picture, of all its planes.
    pub(crate) const fn samples(&self) -> u64 {
        let chroma = match self.chroma {
            Chroma::Monochrome => 0,
            chroma => {
                let (x, y) = chroma.shifts();
                2 * (self.width as u64).div_ceil(1 << x) * (self.height as u64).div_ceil(1 << y)
            }
        };
        self.pixels() + chroma
    }

    /// Bytes of a picture in its own format.
    pub(crate) const fn bytes(&self) -> u64 {
        self.samples() * if self.bit_depth > 8 { 2 } else { 1 }
    }

    /// Refuses what goes beyond the limits, or beyond the memory that there is.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`]; [`Error::OutOfMemory`].
    pub(crate) fn check(&self, limits: &Limits, kept: Kept) -> Result<()> {
        self.check_pixels(limits)?;
        let wanted = self.total(kept);
        let pictures = kept.pictures + kept.waiting + ON_THE_WAY;
        let what =
            format!("{pictures} decoded pictures of {}x{} {}", self.width, self.height, self.describe());
        limits.check(Limit::PictureMemory, wanted, what.as_str())?;
        // A codec library takes its memory in pieces and cannot be refused one. So it is asked for here, in one piece and
        // without touching it: half, because few streams use all that they claim.
        let mut proof = Vec::<u8>::new();
        let half = usize::try_from(wanted / 2).unwrap_or(usize::MAX);
        proof.try_reserve_exact(half).map_err(|_| Error::OutOfMemory {
            backend: BackendKind::EMBEDDED,
            what: format!("{half} bytes for {what}"),
            remedy: Remedy::OtherDevice("use a machine with more memory".into()),
        })
    }

    /// The same for a card, whose driver refuses what it has no memory for: so many surfaces.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`].
    pub(crate) fn check_on_card(&self, limits: &Limits, surfaces: u64) -> Result<()> {
        self.check_pixels(limits)?;
        let what = format!("{surfaces} surfaces of {}x{} {}", self.width, self.height, self.describe());
        limits.check(Limit::PictureMemory, surfaces.saturating_mul(self.bytes()), what)
    }

    /// Refuses pictures that are too large, however few of them are kept.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`].
    pub(crate) fn check_pixels(&self, limits: &Limits) -> Result<()> {
        limits.check(
            Limit::PicturePixels,
            self.pixels(),
            format!("a picture of {}x{}", self.width, self.height),
        )
    }

    /// Bytes of all pictures alive at once.
    pub(crate) const fn total(&self, kept: Kept) -> u64 {
        let inside = kept.pictures.saturating_mul(kept.each).saturating_add(kept.work);
        let outside = (kept.waiting + ON_THE_WAY).saturating_mul(self.bytes());
        inside.saturating_add(outside)
    }

    fn describe(&self) -> String {
        format!("{} with {} bits", self.chroma, self.bit_depth)
    }
}

/// The limits of a stream, and what of it they have allowed: headers are repeated, and each is judged once.
#[derive(Debug)]
pub(crate) struct Allowance {
    pub(crate) limits: Limits,
    allowed: Option<(Demand, Kept)>,
}

impl Allowance {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self { limits: limits.clone(), allowed: None }
    }

    /// As [`Demand::check`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn check(&mut self, demand: Demand, kept: Kept) -> Result<()> {
        if self.allowed != Some((demand, kept)) {
            demand.check(&self.limits, kept)?;
            self.allowed = Some((demand, kept));
        }
        Ok(())
    }
}

impl From<&StreamInfo> for Demand {
    fn from(info: &StreamInfo) -> Self {
        Self {
            width: info.coded_dimensions.width(),
            height: info.coded_dimensions.height(),
            chroma: info.chroma,
            bit_depth: info.bit_depth(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUGE: Demand = Demand { width: 8000, height: 8000, chroma: Chroma::Yuv420, bit_depth: 8 };

    #[test]
    fn a_picture_is_counted_with_its_chroma_and_depth() {
        assert_eq!(HUGE.bytes(), 96_000_000);
        assert_eq!(Demand { bit_depth: 10, chroma: Chroma::Yuv422, ..HUGE }.bytes(), 256_000_000);
        assert_eq!(Demand { chroma: Chroma::Monochrome, ..HUGE }.bytes(), 64_000_000);
        assert_eq!(Demand { width: 3, height: 3, chroma: Chroma::Yuv444, bit_depth: 12 }.bytes(), 54);
    }

    #[test]
    fn the_limit_is_named_with_what_was_wanted() {
        let kept = Kept { pictures: 17, each: HUGE.bytes(), work: 1, waiting: 2 };
        let limits = Limits { picture_memory: 1 << 30, ..Limits::default() };
        let error = HUGE.check(&limits, kept).unwrap_err();
        let Error::LimitExceeded { limit: Limit::PictureMemory, wanted, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(wanted, 27 * 96_000_000 + 1);
        let small = Limits { picture_pixels: 63_999_999, ..Limits::default() };
        let error = HUGE.check(&small, kept).unwrap_err();
        assert!(matches!(error, Error::LimitExceeded { limit: Limit::PicturePixels, .. }), "{error}");
    }

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        let kept = Kept { pictures: 1, each: u64::MAX, work: 0, waiting: 0 };
        let error = HUGE.check(&Limits::none(), kept).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    }
}
