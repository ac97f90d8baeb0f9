//! What the user should know of a transcode when it is done.

use std::time::Duration;

use super::filter::{FilterOptions, FilterSummary};
use crate::config::RateControl;
use crate::dimensions::Dimensions;

/// By how much the bit rate may miss what was asked for without a word.
const RATE_TOLERANCE: f64 = 1.1;
/// Below this, one key frame decides the average.
const RATE_SHORTEST: Duration = Duration::from_secs(2);

/// Of the pictures: their fields and their size. `first`: the size of the first one; `resized`: a size was asked for.
pub(super) fn of_pictures(
    filter: &FilterSummary,
    options: &FilterOptions,
    first: Dimensions,
    resized: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    if options.deinterlace && filter.deinterlaced > 0 {
        notes.push(format!("{} interlaced pictures were made progressive", filter.deinterlaced));
    } else if filter.interlaced > 0 {
        notes.push(format!(
            "{} interlaced pictures were encoded as frames, both fields in one; --deinterlace makes them progressive",
            filter.interlaced
        ));
    }
    if filter.single_fields > 0 {
        notes.push(format!(
            "{} pictures are single fields and were encoded as frames of half the height",
            filter.single_fields
        ));
    }
    if let Some((at, from, to)) = filter.first_size_change.filter(|_| !resized) {
        notes.push(format!(
            "the picture size changes {} times in mid-stream, first at {at} from {from} to {to}: {} frames were scaled to {first}, \
             the size of the first; --size chooses another",
            filter.size_changes, filter.scaled
        ));
    }
    if let Some(size) = options.extend_to.filter(|_| filter.extended > 0) {
        notes.push(format!(
            "{first} became {size}: the encoder wants even sides, so the last column or row is repeated; --size chooses another size"
        ));
    }
    notes
}

/// Of a bit rate that the encoder did not keep to.
pub(super) fn of_rate(asked: Option<RateControl>, bytes: u64, length: Duration) -> Option<String> {
    let (Some(RateControl::Cbr { bitrate_bps: asked } | RateControl::Vbr { avg_bps: asked, .. }), true) =
        (asked, length >= RATE_SHORTEST)
    else {
        return None;
    };
    let got = bytes as f64 * 8.0 / length.as_secs_f64();
    (got > f64::from(asked) * RATE_TOLERANCE).then(|| {
        format!(
            "the bit rate is {:.0} kb/s where {:.0} kb/s were asked for: the pictures need more at the coarsest quantiser; a \
             smaller --size or a lower --fps needs less",
            got / 1e3,
            f64::from(asked) / 1e3
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_where_it_was_asked_for_and_missed() {
        let cbr = Some(RateControl::Cbr { bitrate_bps: 500_000 });
        let (second, bytes) = (Duration::from_secs(1), 62_500);
        assert!(of_rate(cbr, 5 * bytes, 5 * second).is_none());
        assert!(
            of_rate(cbr, 12 * bytes, 5 * second)
                .is_some_and(|note| note.contains("1200 kb/s where 500 kb/s"))
        );
        assert!(of_rate(cbr, 12 * bytes, second).is_none());
        assert!(of_rate(None, 12 * bytes, 5 * second).is_none());
    }
}
