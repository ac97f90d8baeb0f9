//! Which samples of a track's tables are read, in what order, and what is known of their times.
//!
//! Where the presentation follows the media, samples come once and in storage order. One outside the presented part is
//! given out, marked, only if decoding may need it: from the sync sample in front of the presentation to the first behind
//! which nothing is presented. Any other list is played edit by edit: each from the sync sample in front of it.

use super::edits::{Extent, Segment};
use super::movie::MovieTrack;
use super::steps::step;
use super::tables::{Cursor, Entry};
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};

/// Where the reading of a segment begins, and its pictures at both ends.
#[derive(Clone, Copy)]
pub(super) struct Part {
    entry: Cursor,
    pub(super) extent: Extent,
}

/// A place in the samples of a track.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    cursor: Cursor,
    /// The segment being played, where edits are played one by one.
    segment: usize,
    pub(super) done: bool,
}

/// The parts of a track: one for each segment where edits are played one by one, else the first alone.
pub(super) fn plan(track: &MovieTrack, limits: &Limits) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    if track.follows_media() {
        parts.extend(track.edits.segments().first().map(|first| first_part(track, first)));
        return Ok(parts);
    }
    let count = track.edits.segments().len();
    let what = || format!("the edit list of track {}", track.public.id.0);
    let bytes = (count * size_of::<Part>()) as u64;
    if bytes > limits.index_memory {
        limits.check(Limit::IndexMemory, bytes, what())?;
    }
    let no_memory = |_| Error::io("keep", what(), std::io::ErrorKind::OutOfMemory.into());
    parts.try_reserve_exact(count).map_err(no_memory)?;
    parts.resize(count, Part { entry: Cursor::default(), extent: Extent::UNKNOWN });
    let order = |key: fn(&Segment) -> i64| {
        let mut order: Vec<u32> = Vec::new();
        order.try_reserve_exact(count).map_err(no_memory)?;
        order.extend(0..count as u32);
        order.sort_unstable_by_key(|&at| track.edits.segments().get(at as usize).map(key));
        Ok::<_, Error>(order)
    };
    let mut syncs: Vec<i64> = Vec::new();
    syncs.try_reserve_exact(count).map_err(no_memory)?;
    syncs.resize(count, i64::MIN);
    let (by_start, by_end) = (order(|segment| segment.start)?, order(|segment| segment.end)?);
    fill(track, &mut parts, &mut syncs, (&by_start, &by_end));
    Ok(parts)
}

/// Finds out all parts in one pass: what a sample means for the segments that start or end behind it is noted with the
/// first of them, and handed on to the others at the end. `syncs` is when the entry points are presented.
fn fill(track: &MovieTrack, parts: &mut [Part], syncs: &mut [i64], (by_start, by_end): (&[u32], &[u32])) {
    let segments = track.edits.segments();
    let segment = |at: &u32| segments.get(*at as usize);
    let latest = segments.iter().map(|segment| segment.start.max(segment.end)).max().unwrap_or(i64::MAX);
    let mut cursor = Cursor::default();
    loop {
        let place = cursor;
        let Ok(Some(Entry { cts, dts, sync, .. })) = cursor.advance(&track.table) else { break };
        if dts.saturating_sub(track.table.dts_shift()) > latest {
            break;
        }
        let starts = by_start.partition_point(|at| {
            step();
            segment(at).is_some_and(|segment| segment.start < cts)
        });
        if let Some(at) = by_start.get(starts).map(|at| *at as usize)
            && let (Some(part), Some(best)) = (parts.get_mut(at), syncs.get_mut(at))
        {
            part.extent.on_screen = part.extent.on_screen.max(cts);
            if sync && cts >= *best {
                (part.entry, *best) = (place, cts);
            }
        }
        let before = starts.checked_sub(1).and_then(|before| by_start.get(before));
        if let Some(part) = before.and_then(|at| parts.get_mut(*at as usize)) {
            part.extent.next = part.extent.next.min(cts);
        }
        let ends = by_end.partition_point(|at| {
            step();
            segment(at).is_some_and(|segment| segment.end <= cts)
        });
        if let Some(part) = by_end.get(ends).and_then(|at| parts.get_mut(*at as usize)) {
            part.extent.last = part.extent.last.max(cts);
        }
    }
    let (mut entry, mut best, mut on_screen) = (Cursor::default(), i64::MIN, i64::MIN);
    for at in by_start.iter().map(|at| *at as usize) {
        let (Some(part), Some(sync)) = (parts.get_mut(at), syncs.get(at)) else { continue };
        if *sync > best {
            (entry, best) = (part.entry, *sync);
        }
        on_screen = on_screen.max(part.extent.on_screen);
        (part.entry, part.extent.on_screen) = (entry, on_screen);
    }
    let mut next = i64::MAX;
    for at in by_start.iter().rev() {
        let Some(part) = parts.get_mut(*at as usize) else { continue };
        next = next.min(part.extent.next);
        part.extent.next = next;
    }
    let mut last = i64::MIN;
    for at in by_end {
        let Some(part) = parts.get_mut(*at as usize) else { continue };
        last = last.max(part.extent.last);
        part.extent.last = last;
    }
}

/// Where reading begins: at the last sync sample presented no later than the presentation starts. Sound
/// begins a second earlier, since its decoders need a run-up although every packet is a sync sample.
fn first_part(track: &MovieTrack, segment: &Segment) -> Part {
    let mut cursor = Cursor::default();
    let mut part = Part { entry: cursor, extent: Extent::UNKNOWN };
    if segment.start == i64::MIN {
        return part;
    }
    let edge = if track.sound { segment.start.saturating_sub(track.timescale.into()) } else { segment.start };
    loop {
        let place = cursor;
        let Ok(Some(entry)) = cursor.advance(&track.table) else { return part };
        // Nothing from here on is presented before this.
        let earliest = entry.dts.saturating_sub(track.table.dts_shift());
        if earliest > edge && (track.sound || earliest >= part.extent.next) {
            return part;
        }
        if entry.sync && entry.cts <= edge && earliest <= edge {
            part.entry = place;
        }
        if entry.cts > segment.start {
            part.extent.next = part.extent.next.min(entry.cts);
        } else {
            part.extent.on_screen = part.extent.on_screen.max(entry.cts);
        }
    }
}

impl Walk {
    /// At the first sample that is read.
    pub(super) fn first(track: &MovieTrack) -> Self {
        Self::at(track, 0)
    }

    fn at(track: &MovieTrack, segment: usize) -> Self {
        let part = track.parts.get(segment);
        let (cursor, done) = (part.map_or_else(Cursor::default, |part| part.entry), part.is_none());
        Self { cursor, segment, done }
    }

    /// The next sample, and the segment that presents it.
    pub(super) fn advance(&mut self, track: &MovieTrack) -> Result<Option<(Entry, usize)>> {
        while !self.done {
            let entry = match self.cursor.advance(&track.table) {
                Ok(entry) => entry,
                Err(error) => {
                    // Without a position none of the remaining samples can be read, and none again.
                    self.done = true;
                    return Err(error);
                }
            };
            if track.follows_media() {
                let Some(entry) = entry else { break };
                self.done = ends_with(track, &entry);
                if !between_segments(track, &entry) {
                    return Ok(Some((entry, track.edits.segment_for(entry.cts))));
                }
                continue;
            }
            let end = track.edits.segments().get(self.segment).map_or(i64::MIN, |segment| segment.end);
            match entry {
                // What follows is presented no earlier than it is decoded.
                Some(entry) if entry.dts.saturating_sub(track.table.dts_shift()) < end => {
                    return Ok(Some((entry, self.segment)));
                }
                _ => *self = Self::at(track, self.segment + 1),
            }
        }
        self.done = true;
        Ok(None)
    }

    /// Presentation time and place of the last sync sample presented at or before `to`, in ticks of the track.
    pub(super) fn sync_at_or_before(track: &MovieTrack, to: i64) -> Option<(i64, Self)> {
        let part = if track.follows_media() { 0 } else { track.edits.segment_at(to) };
        let begin = track.edits.segments().get(part)?.begin();
        let mut walk = Self::at(track, part);
        let mut found = None;
        loop {
            let place = walk;
            let Ok(Some((entry, segment))) = walk.advance(track) else { return found };
            let times = track.present(&entry, segment, track.table.dts_shift());
            if times.dts > to || !track.follows_media() && segment != part {
                return found;
            }
            if entry.sync && times.pts <= to {
                let pts = if track.follows_media() { times.pts } else { times.pts.max(begin) };
                found = Some((pts, place));
            }
        }
    }
}

/// Whether reading ends with this sample: the presentation is over, and what follows is not needed to decode it. Pictures
/// that are stored behind a sync sample may be presented before it, also behind several (the leading pictures of open GOPs):
/// with reordering it is over where nothing that follows can be presented any more.
fn ends_with(track: &MovieTrack, entry: &Entry) -> bool {
    let Some(last) = track.edits.segments().last() else { return false };
    let reordered = !track.sound && track.table.has_composition_offsets();
    let begin = if reordered { entry.dts.saturating_sub(track.table.dts_shift()) } else { entry.cts };
    (entry.sync || track.sound) && begin.saturating_add(entry.duration.into()) >= last.end
}

/// Whether the sample lies between two presented stretches of sound. Pictures there may be needed.
fn between_segments(track: &MovieTrack, entry: &Entry) -> bool {
    let segments = track.edits.segments();
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return false };
    if !track.sound || segments.len() < 2 || entry.cts < first.end || entry.cts >= last.start {
        return false;
    }
    segments.get(track.edits.segment_for(entry.cts)).is_some_and(|segment| entry.cts < segment.start)
}
