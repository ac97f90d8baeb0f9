//! The shape of samples that the size of a track on the screen implies.

use crate::dimensions::Dimensions;
use crate::time::Rational;

/// Largest term of a ratio: what bitstreams can state.
const MAX_TERM: u64 = u16::MAX as u64;

/// Sample aspect ratio out of the width and height of `tkhd`, which are 16.16 fixed point, for pictures of the size
/// `coded` whose bitstream states `stream`. `None` where `tkhd` says nothing else than the bitstream: writers round to
/// whole pixels, so less than one pixel is no difference.
pub(in crate::container) fn from_display(
    (width, height): (u32, u32),
    coded: Dimensions,
    stream: Option<Rational>,
    turned: bool,
) -> Option<Rational> {
    if width == 0 || height == 0 {
        return None;
    }
    let sides = |width: u32, height: u32| (f64::from(width) / 65_536.0, f64::from(height) / 65_536.0);
    let coded_sides = (f64::from(coded.width()), f64::from(coded.height()));
    // Some writers state the size after rotation.
    let (shown_width, shown_height) = match sides(width, height) {
        (w, h) if turned && (h, w) == coded_sides => (h, w),
        sides => sides,
    };
    // At the coded height: players scale the other side as well.
    let wide = shown_width * coded_sides.1 / shown_height;
    let same = |ratio: Rational| (coded_sides.0 * ratio.as_f64() - wide).abs() < 1.0;
    if same(Rational::ONE) || stream.is_some_and(same) {
        return None;
    }
    ratio(u64::from(width) * u64::from(coded.height()), u64::from(height) * u64::from(coded.width()))
}

/// `num / den` with terms that a bitstream can state: exact where that is possible, else the nearest convergent.
fn ratio(num: u64, den: u64) -> Option<Rational> {
    let (mut a, mut b) = (num, den);
    let (mut before, mut best) = ((0, 1), (1, 0));
    while b > 0 {
        let whole = a / b;
        let term = |legacy: u64, newer: u64| {
            whole.checked_mul(newer)?.checked_add(legacy).filter(|t| *t <= MAX_TERM)
        };
        let (Some(num), Some(den)) = (term(before.0, best.0), term(before.1, best.1)) else { break };
        (before, best) = (best, (num, den));
        (a, b) = (b, a % b);
    }
    let term = |term: u64| u32::try_from(term).ok().filter(|term| *term > 0);
    Rational::new(term(best.0)?, term(best.1)?)
}

/// The ratio with the terms that a bitstream can state.
pub(super) fn reduced(stated: Rational) -> Option<Rational> {
    ratio(stated.num().into(), stated.den().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn display(width: u32, height: u32, coded: (u32, u32), stream: Option<(u32, u32)>) -> Option<(u32, u32)> {
        let coded = Dimensions::new(coded.0, coded.1).unwrap();
        let stream = stream.and_then(|(num, den)| Rational::new(num, den));
        from_display((width << 16, height << 16), coded, stream, false)
            .map(|ratio| (ratio.num(), ratio.den()))
    }

    #[test]
    fn the_size_on_screen_is_a_ratio_where_it_says_something_new() {
        assert_eq!(display(1024, 576, (720, 576), None), Some((64, 45)));
        assert_eq!(display(640, 360, (640, 360), Some((4, 3))), None, "the bitstream's holds");
        // 853 is 720 * 32 / 27, rounded.
        assert_eq!(display(853, 480, (720, 480), Some((32, 27))), None);
        assert_eq!(display(853, 480, (720, 480), None), Some((853, 720)));
        assert_eq!(display(320, 180, (640, 360), None), None, "smaller, but of the same shape");
        assert_eq!(display(0, 180, (640, 360), None), None);
        let turned =
            |turned| from_display((360 << 16, 640 << 16), Dimensions::new(640, 360).unwrap(), None, turned);
        assert_eq!(turned(true), None);
        assert_eq!(turned(false).map(|r| (r.num(), r.den())), Some((81, 256)));
    }

    #[test]
    fn terms_fit_what_bitstreams_can_state() {
        let close = ratio(1_000_001, 1_000_000).unwrap();
        assert!(close.num() <= 65_535 && (close.as_f64() - 1.000_001).abs() < 1e-6);
        assert_eq!(ratio(65_536, 65_536), Some(Rational::ONE));
        assert_eq!(ratio(1, 1 << 40), None);
    }
}
