//! What the user should know of a transcode when it is done.

use std::fmt;
use std::time::Duration;

use super::filter::{FilterOptions, FilterSummary};
use crate::config::RateControl;
use crate::dimensions::Dimensions;
use crate::error::Remedy;

/// Something that the user should know of a job that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// What was done.
    pub what: String,
    /// What the user can do to have it otherwise.
    pub remedy: Remedy,
}

impl From<String> for Note {
    fn from(what: String) -> Self {
        Self { what, remedy: Remedy::None }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remedy {
            Remedy::None => f.write_str(&self.what),
            remedy => write!(f, "{}; {remedy}", self.what),
        }
    }
}

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
) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |what: String, remedy| notes.push(Note { what, remedy });
    if options.deinterlace && filter.deinterlaced > 0 {
        note(format!("{} interlaced pictures were made progressive", filter.deinterlaced), Remedy::None);
    } else if filter.interlaced > 0 {
        let what =
            format!("{} interlaced pictures were encoded as frames, both fields in one", filter.interlaced);
        note(what, Remedy::Deinterlace);
    }
    if filter.single_fields > 0 {
        let what = "pictures are single fields and were encoded as frames of half the height";
        note(format!("{} {what}", filter.single_fields), Remedy::None);
    }
    if let Some((at, from, to)) = filter.first_size_change.filter(|_| !resized) {
        let what = format!(
            "the picture size changes {} times in mid-stream, first at {at} from {from} to {to}: {} frames were scaled to {first}, \
             the size of the first",
            filter.size_changes, filter.scaled
        );
        note(what, Remedy::Size);
    }
    if let Some(size) = options.extend_to.filter(|_| filter.extended > 0) {
        let why = "the encoder wants even sides, so the last column or row is repeated";
        note(format!("{first} became {size}: {why}"), Remedy::Size);
    }
    notes
}

/// Of a bit rate that the encoder did not keep to.
pub(super) fn of_rate(asked: Option<RateControl>, bytes: u64, length: Duration) -> Option<Note> {
    let (Some(RateControl::Cbr { bitrate_bps: asked } | RateControl::Vbr { avg_bps: asked, .. }), true) =
        (asked, length >= RATE_SHORTEST)
    else {
        return None;
    };
    let got = bytes as f64 * 8.0 / length.as_secs_f64();
    (got > f64::from(asked) * RATE_TOLERANCE).then(|| Note {
        what: format!(
            "the bit rate is {:.0} kb/s where {:.0} kb/s were asked for: the pictures need more at the coarsest quantiser",
            got / 1e3,
            f64::from(asked) / 1e3
        ),
        remedy: Remedy::FewerPixels,
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
                .is_some_and(|note| note.what.contains("1200 kb/s where 500 kb/s"))
        );
        assert!(of_rate(cbr, 12 * bytes, second).is_none());
        assert!(of_rate(None, 12 * bytes, 5 * second).is_none());
    }
}
