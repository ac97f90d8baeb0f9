//! Which samples of a track's tables are read at all.
//!
//! A sample outside the presented part is given out, marked, only if decoding may need it: from the sync
//! sample in front of the presentation to the one behind it.

use super::movie::MovieTrack;
use super::tables::{Cursor, Entry};

/// Where reading begins: at the last sync sample presented no later than the presentation starts. Sound
/// begins a second earlier, since its decoders need a run-up although every packet is a sync sample.
pub(super) fn first_cursor(track: &MovieTrack) -> Cursor {
    let mut cursor = Cursor::default();
    let mut start = cursor;
    let Some(edge) = track.edits.segments().first().map(|segment| segment.start) else { return start };
    let scale = i64::from(track.public.time_base.seconds_per_tick().den());
    let edge = if track.sound { edge.saturating_sub(scale) } else { edge };
    loop {
        let place = cursor;
        match cursor.advance(&track.table) {
            Ok(Some(entry)) if entry.dts.saturating_sub(track.table.dts_shift()) <= edge => {
                if entry.sync && entry.cts <= edge {
                    start = place;
                }
            }
            _ => return start,
        }
    }
}

/// Whether reading ends with this sample: the presentation is over, and what follows is not needed to
/// decode it. With reordered pictures that is known one sync sample later, since pictures that are stored
/// behind a sync sample may be presented before it. `behind_end` remembers the first.
pub(super) fn ends_with(track: &MovieTrack, entry: &Entry, behind_end: &mut bool) -> bool {
    let Some(last) = track.edits.segments().last() else { return false };
    let end = entry.cts.saturating_add(entry.duration.into());
    if end < last.end || !(entry.sync || track.sound) {
        return false;
    }
    let first = !std::mem::replace(behind_end, true);
    !(first && !track.sound && track.table.has_composition_offsets())
}

/// Whether the sample lies between two presented stretches. [`MovieTrack`] refuses tracks in which such a
/// sample would be needed.
pub(super) fn between_segments(track: &MovieTrack, entry: &Entry) -> bool {
    let segments = track.edits.segments();
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return false };
    let inside = |cts: i64| segments.iter().any(|s| (s.start..s.end).contains(&cts));
    segments.len() > 1 && entry.cts >= first.end && entry.cts < last.start && !inside(entry.cts)
}

/// Presentation time and place of the last sync sample presented at or before `to`, in ticks of the track.
pub(super) fn sync_at_or_before(track: &MovieTrack, to: i64) -> Option<(i64, Cursor)> {
    let mut cursor = first_cursor(track);
    let (mut found, mut behind_end) = (None, false);
    loop {
        let place = cursor;
        let Ok(Some(entry)) = cursor.advance(&track.table) else { return found };
        let times = track.edits.present(&entry, track.table.dts_shift(), track.sound);
        if times.dts > to {
            return found;
        }
        if entry.sync && times.pts <= to && !between_segments(track, &entry) {
            found = Some((times.pts, place));
        }
        if ends_with(track, &entry, &mut behind_end) {
            return found;
        }
    }
}
