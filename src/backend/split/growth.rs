//! When one more decoder pays. Pure arithmetic; no threads.
//!
//! A hardware decoder takes some 40 ms to make, in which the others hardly get on (H200, driver 580.159). A short file is
//! done sooner with few: 303 frames of 1080p H.264 in six segments took a whole process 0.77 s with five decoders, 0.68 s with
//! three, and 0.85 s with one. How long a stream is nobody knows beforehand, so that it is judged by what has come of it.

use crate::dimensions::Dimensions;

/// Pixels that a decoder has to have before it for each that is there already, for the next one to pay: what an engine
/// decodes in about 0.15 s.
const ONE_MORE: u64 = 256 << 20;
/// Pixels after which decoders beyond the engines pay. They win some hundredths, by keeping engines busy while others are
/// drained.
const SPARE: u64 = 8 << 30;
/// Pictures smaller than this take as long as one of so many pixels.
const LEAST: u64 = 256 << 10;
/// Where the stream does not tell: full HD.
const USUAL: u64 = 1920 * 1080;

/// The rule for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend) enum Growth {
    /// A decoder for each segment that waits, at once: decoders cost nothing, or their number is somebody's wish.
    AtOnce,
    /// As the stream grows; so many engines are there.
    WithTheStream {
        /// Engines to be kept busy.
        engines: usize,
    },
}

impl Growth {
    /// Whether one more decoder than `lanes` pays, when so many pixels have come.
    fn pays(self, lanes: usize, pixels: u64) -> bool {
        match self {
            Self::AtOnce => true,
            Self::WithTheStream { engines } => {
                let spare = if lanes < engines { 0 } else { SPARE };
                pixels >= (lanes as u64).saturating_mul(ONE_MORE).max(spare)
            }
        }
    }
}

/// How much of a stream has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    growth: Growth,
    pixels: u64,
    /// Of a picture.
    each: u64,
}

impl Seen {
    pub(super) const fn new(growth: Growth) -> Self {
        Self { growth, pixels: 0, each: USUAL }
    }

    /// Another rule holds from now on.
    pub(super) const fn grow(&mut self, growth: Growth) {
        self.growth = growth;
    }

    /// Whether the size of pictures makes a difference.
    pub(super) fn wants_size(&self) -> bool {
        self.growth != Growth::AtOnce
    }

    pub(super) fn size(&mut self, size: Dimensions) {
        self.each = (u64::from(size.width()) * u64::from(size.height())).max(LEAST);
    }

    pub(super) fn picture(&mut self) {
        self.pixels = self.pixels.saturating_add(self.each);
    }

    pub(super) fn pays(&self, lanes: usize) -> bool {
        self.growth.pays(lanes, self.pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decoders after so many pictures, when segments always wait for one.
    fn lanes(growth: Growth, wanted: usize, size: (u32, u32), pictures: usize) -> usize {
        let mut seen = Seen::new(growth);
        seen.size(Dimensions::new(size.0, size.1).unwrap());
        let mut lanes = 1;
        for _ in 0..pictures {
            seen.picture();
            if lanes < wanted && seen.pays(lanes) {
                lanes += 1;
            }
        }
        lanes
    }

    #[test]
    fn a_short_stream_gets_few_a_long_one_all_and_spare_ones_last() {
        let seven = Growth::WithTheStream { engines: 7 };
        let hd = (1920, 1080);
        let after = |pictures| lanes(seven, 10, hd, pictures);
        assert_eq!([50, 150, 303, 600, 1_000, 4_000, 4_500].map(after), [1, 2, 3, 5, 7, 7, 10]);
        // Four times the pixels, four times the work.
        assert_eq!(lanes(seven, 10, (3840, 2160), 160), 5);
        // Tiny pictures are not free.
        assert_eq!(lanes(seven, 10, (160, 96), 2_000), 2);
        assert_eq!(lanes(seven, 10, (160, 96), 40_000), 10);
    }

    #[test]
    fn what_costs_nothing_or_was_asked_for_comes_at_once() {
        assert_eq!(lanes(Growth::AtOnce, 5, (1920, 1080), 4), 5);
    }
}
