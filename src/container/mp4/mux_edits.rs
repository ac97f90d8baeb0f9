//! The edit list that reproduces the times of a track (ISO/IEC 14496-12 clause 8.6.6).

use super::mux_track::{MuxTrack, Times};
use crate::error::{Error, Result};

/// When a track is presented, in ticks of its timescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// Start of the presentation of this track: the length of the empty edit.
    pub(super) delay: u64,
    /// Media time of that point.
    pub(super) media_time: u64,
    /// Length of what is presented from there.
    pub(super) length: u64,
    /// Whether samples follow that are not presented.
    pub(super) cut: bool,
    /// Added to all composition offsets, where decoding starts only after presentation.
    pub(super) raise: i64,
}

/// Places a track. `None` where it has nothing to present, or nothing that reaches past zero.
pub(super) fn place(times: &Times, track: u32) -> Result<Option<Placement>> {
    let Some((first, last, end)) = times.presented else { return Ok(None) };
    let after = times.discarded.iter().copied().filter(|&pts| pts > last).min();
    if let Some(inside) = times.discarded.iter().find(|&&pts| pts >= first && pts <= last) {
        return Err(Error::invalid(format!(
            "track {track}: the sample presented at {inside} is not to be shown, but lies between samples that are; \
             an edit list cannot say that"
        )));
    }
    // An edit that starts with the track's first picture also hides what is stored before it. One that starts earlier
    // would show the picture in front of it up to there.
    let start = first.max(0);
    // The last sample is shown even where it has no duration: what begins at the end is outside.
    let end = after.map_or(end, |after| end.min(after)).max(last.saturating_add(1));
    if end <= start {
        return Ok(None);
    }
    let media_time = start.saturating_sub(times.first_dts);
    Ok(Some(Placement {
        delay: start.unsigned_abs(),
        media_time: media_time.max(0).unsigned_abs(),
        length: (end - start).unsigned_abs(),
        cut: after.is_some(),
        raise: (-media_time).max(0),
    }))
}

/// Timescales that readers are sure to take: 31 bits.
const MAX_TIMESCALE: u64 = i32::MAX as u64;

/// The usual movie timescale, used where it loses nothing that matters.
const MILLISECONDS: u64 = 1000;

/// The timescale of the movie, in which edit durations are given: one in which every delay and every cut is
/// a whole number.
pub(super) fn movie_timescale(tracks: &[(&MuxTrack, Placement)]) -> Result<u32> {
    let exact_points = |(track, placement): &(&MuxTrack, Placement)| {
        let scale = u64::from(track.timescale);
        let cut = if placement.cut { placement.length } else { 0 };
        [(placement.delay, scale), (cut, scale)]
    };
    let fits = |movie: u64| {
        let whole =
            |(ticks, scale): (u64, u64)| (u128::from(ticks) * u128::from(movie)).is_multiple_of(scale.into());
        tracks.iter().flat_map(exact_points).all(whole)
    };
    let mut all = MILLISECONDS;
    let mut needed = 1;
    for (track, placement) in tracks {
        let scale = u64::from(track.timescale);
        all = lcm(all, scale);
        if placement.delay > 0 || placement.cut {
            needed = lcm(needed, scale);
        }
    }
    let choice = [MILLISECONDS, all, needed].into_iter().find(|&movie| movie <= MAX_TIMESCALE && fits(movie));
    match choice.map(u32::try_from) {
        Some(Ok(movie)) => Ok(movie),
        _ => Err(Error::invalid(format!(
            "no movie timescale can express the start of all tracks exactly; their timescales are {}",
            tracks.iter().map(|(track, _)| track.timescale.to_string()).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// Least common multiple; saturates above what can be used.
fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a.checked_div(x).unwrap_or(0).saturating_mul(b)
}

/// Ticks of the movie, rounded up unless the end is a cut, so that rounding hides no sample.
pub(super) fn to_movie(ticks: u64, timescale: u32, movie: u32, cut: bool) -> u64 {
    let scaled = u128::from(ticks) * u128::from(movie);
    let scale = u128::from(timescale);
    let rounded = if cut { scaled / scale } else { scaled.div_ceil(scale) };
    u64::try_from(rounded).unwrap_or(u64::MAX)
}
