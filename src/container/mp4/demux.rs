//! Reading MP4 and QuickTime files, plain and fragmented.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::fmt;
use std::io::{Read, Seek};
use std::path::PathBuf;

use bytes::Bytes;

use super::boxes::{BoxHeader, FourCc, Mp4Box};
use super::fragments::Fragments;
use super::metadata;
use super::movie::{Movie, MovieTrack};
use super::schedule::{self, Walk};
use super::source::Source;
use super::steps::step;
use super::tables::Entry;
use crate::container::{ContainerFormat, Demuxer, EachPacket, FileMetadata, Track, TrackId};
use crate::error::{Error, Remedy, Result};
use crate::limits::{Limit, Limits};
use crate::packet::Packet;
use crate::time::Timestamp;

mod places;

/// Reads ISO base media files (ISO/IEC 14496-12): MP4, QuickTime movies, fragmented MP4 and CMAF.
///
/// Samples come in the order of their bytes in the file, those of fragments fragment by fragment. Edit
/// lists are applied: times are on the presentation time line, and what lies outside the presented part is marked
/// [`Packet::discard`] as far as decoding may need it, and left out otherwise. A track whose edit list repeats stretches of
/// it, reorders them, changes their speed or shows several of them is played edit by edit: each begins anew with the sync
/// sample in front of it. Where an edit list leaves a gap, the picture before it lasts until the next one.
///
/// A reader that cannot seek (a pipe) is read as it comes: fragments one by one, and a plain movie whose header is in front of its
/// samples where these lie in the order in which they are played.
///
/// A track that cannot be read (an encrypted sound track, an edit list that cannot be honoured) is listed,
/// and costs an error only when it is read; [`Demuxer::select_tracks`] leaves it out.
pub struct Mp4Demuxer {
    source: Source,
    tracks: Vec<Track>,
    movie: Movie,
    readers: Vec<Reader>,
    fragments: Fragments,
    /// Selected tracks whose next sample is known, by where it is stored, and those of which it has to be looked for, last
    /// first. A file may have many tracks: none is looked at twice for nothing.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    pending: Vec<usize>,
    limits: Limits,
    metadata: FileMetadata,
}

/// Progress of one track.
#[derive(Default)]
struct Reader {
    selected: bool,
    /// Where in the tables of `moov` reading goes on; `None` until the first sample is wanted.
    walk: Option<Walk>,
    /// Presentation time from which on samples are wanted, for a walk that has not begun.
    from: Option<Timestamp>,
    /// No more samples in the tables of `moov`.
    table_done: bool,
    /// The next sample, looked at but not given out, and the segment of the edit list that presents it.
    head: Option<(Entry, usize)>,
    /// Sample description of the last sample given out.
    description: Option<u32>,
    /// By how much decoding times are held back, the last of them, and the least that follows.
    held_back: Option<(i64, i64, i64)>,
    /// That the tables disagree about the number of samples has been told.
    told: bool,
    /// Places to go on from.
    marks: places::Marks,
}

impl Reader {
    /// A decoding time that is held back by `shift`. Where a later fragment wants more of that than those before, its first
    /// samples would be decoded before the last of these.
    fn held_back(&mut self, dts: i64, shift: i64, pts: i64) -> i64 {
        let (before, last, least) = self.held_back.unwrap_or((shift, i64::MIN, i64::MIN));
        let least = if shift > before { last } else { least };
        let dts = dts.max(least.min(pts));
        self.held_back = Some((shift, dts, least));
        dts
    }
}

impl fmt::Debug for Mp4Demuxer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mp4Demuxer")
            .field("path", &self.source.path())
            .field("tracks", &self.tracks)
            .finish_non_exhaustive()
    }
}

impl Mp4Demuxer {
    /// Opens a file and reads its movie header. `path` is only used in messages.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] when it is no MP4 file or has no readable movie header,
    /// [`Error::Unsupported`] for encrypted video and for a pipe with the movie header behind its samples, [`Error::Io`].
    pub fn open<R: Read + Seek + Send + 'static>(reader: R, path: PathBuf) -> Result<Self> {
        Self::with_limits(reader, path, Limits::default())
    }

    /// As [`Self::open`], within these limits.
    ///
    /// # Errors
    /// As [`Self::open`], and [`Error::LimitExceeded`].
    pub fn with_limits<R: Read + Seek + Send + 'static>(
        reader: R,
        path: PathBuf,
        limits: Limits,
    ) -> Result<Self> {
        let mut source = Source::new(reader, path)?;
        let header = find_moov(&mut source)?;
        let moov = Mp4Box::load(&mut source, header, &limits)?;
        let movie = Movie::parse(&moov, source.claimable(), &limits)?;
        let readers = movie.tracks.iter().map(|_| Reader { selected: true, ..Reader::default() });
        let mut demuxer = Self {
            tracks: movie.tracks.iter().map(|track| track.public.clone()).collect(),
            readers: readers.collect(),
            fragments: Fragments::new(header.end(), &movie, limits.clone()),
            metadata: metadata::of(&moov),
            source,
            movie,
            heads: BinaryHeap::new(),
            pending: Vec::new(),
            limits,
        };
        let begun = demuxer.movie.tracks.iter().any(|track| track.table.sample_count() > 0);
        if demuxer.source.is_pipe() && demuxer.movie.fragmented && begun {
            demuxer.fragments.pass_first_media(&mut demuxer.source)?;
        }
        demuxer.line_up();
        Ok(demuxer)
    }

    /// Sorts the selected tracks anew into those whose next sample is known and the others.
    fn line_up(&mut self) {
        self.heads.clear();
        self.pending.clear();
        for (index, reader) in self.readers.iter().enumerate().rev().filter(|(_, reader)| reader.selected) {
            match reader.head {
                Some((entry, _)) => self.heads.push(Reverse((entry.offset, index))),
                None => self.pending.push(index),
            }
        }
    }

    /// Looks at the next sample of track `index`.
    fn fill_head(&mut self, index: usize) -> Result<()> {
        step();
        let (Some(reader), Some(track)) = (self.readers.get_mut(index), self.movie.tracks.get_mut(index))
        else {
            return Ok(());
        };
        if !reader.selected || reader.head.is_some() {
            return Ok(());
        }
        if let Some(refusal) = track.refusal.take() {
            reader.selected = false;
            return Err(name_track(refusal, track));
        }
        if track.parts.is_empty() && !reader.table_done {
            track.parts = schedule::plan(track, &self.limits).inspect_err(|_| reader.selected = false)?;
        }
        if !reader.table_done {
            let from = reader.from.take();
            let walk = reader.walk.get_or_insert_with(|| {
                let found = from.and_then(|from| Walk::sync_at_or_before(track, floor_ticks(from, track)));
                found.map_or_else(|| Walk::first(track), |(_, walk)| walk)
            });
            reader.head = walk.advance(track).map_err(|e| name_track(e, track))?;
            reader.table_done = walk.done;
            let number = reader.head.map_or(u64::MAX, |(entry, _)| entry.number);
            tell_disagreement(track, number, &mut reader.told)?;
        }
        if reader.head.is_none() {
            let entry = self.fragments.advance(index, track);
            reader.head = entry.map(|entry| (entry, track.edits.segment_for(entry.cts)));
        }
        Ok(())
    }

    /// Turns the head of track `index` into a sample.
    fn take_head(&mut self, index: usize) -> Result<Option<Packet>> {
        let dts_shift = self.dts_shift(index);
        let (Some(reader), Some(track)) = (self.readers.get_mut(index), self.movie.tracks.get(index)) else {
            return Ok(None);
        };
        let Some((entry, segment)) = reader.head.take() else { return Ok(None) };
        let Entry { number, offset, size, .. } = entry;
        let id = track.public.id.0;
        let place = || match self.fragments.playing() {
            Some(moof) => format!("track {id}, sample {number} of the fragment at offset {moof}"),
            None => format!("track {id}, sample {number}"),
        };
        let file_len = self.source.len();
        if offset.saturating_add(size.into()) > file_len {
            return Err(Error::corrupt(format!(
                "{}: its {size} bytes at offset {offset} reach past the end of the file ({file_len} bytes)",
                place()
            )));
        }
        if u64::from(size) > self.limits.packet_bytes {
            self.limits.check(Limit::PacketBytes, size.into(), place())?;
        }
        let data = self.source.read(offset, size.into())?;
        if data.len() != size as usize {
            return Err(Error::corrupt(format!(
                "{}: only {} of {size} bytes could be read at offset {offset}",
                place(),
                data.len()
            )));
        }
        let last = reader.description.replace(entry.description);
        let data = track.descriptions.apply(entry.description, last, entry.sync, data, place)?;
        let times = track.present(&entry, segment, dts_shift);
        let dts = reader.held_back(times.dts, dts_shift, times.pts);
        let base = track.public.time_base;
        let (pts, dts) = (Timestamp::new(times.pts, base), Timestamp::new(dts, base));
        Ok(Some(Packet {
            duration: Some(times.duration),
            keyframe: entry.sync,
            discard: times.discard,
            ..track.public.packet(data).at(pts, dts)
        }))
    }

    /// By how much decoding times of track `index` are held back.
    fn dts_shift(&self, index: usize) -> i64 {
        let table = self.movie.tracks.get(index).map_or(0, |track| track.table.dts_shift());
        table.max(self.fragments.dts_shift(index))
    }

    /// Finds the last sync sample of track `index` presented at or before `to` in the fragments, makes its
    /// fragment the current one and returns its presentation time.
    fn seek_fragments(&mut self, index: usize, to: Timestamp) -> Result<Option<Timestamp>> {
        let Some(track) = self.movie.tracks.get(index) else { return Ok(None) };
        let limit = last_media_ticks(to, track);
        let (source, movie) = (&mut self.source, &self.movie);
        let latest_dts = limit.saturating_add(self.fragments.dts_shift(index));
        self.fragments.find_until(index, latest_dts, source, movie)?;
        let latest_dts = limit.saturating_add(self.fragments.dts_shift(index));
        let mut before = self.fragments.count();
        while let Some(at) = self.fragments.starting_by(index, latest_dts, before) {
            self.fragments.play(at, source, movie)?;
            let wanted = |entry: &Entry| entry.sync && entry.cts <= limit;
            if let Some(entry) = self.fragments.last_where(index, track, wanted) {
                let pts = track.edits.pts(track.edits.segments().len() - 1, entry.cts);
                return Ok(Some(Timestamp::new(pts, track.public.time_base)));
            }
            before = at;
        }
        Ok(None)
    }

    /// Goes on in the current fragment: every track from its last sync sample presented at or before `from`, or
    /// from its first sample in the fragment.
    fn enter_fragment(&mut self, from: Timestamp) {
        for reader in &mut self.readers {
            *reader = Reader { selected: reader.selected, table_done: true, ..Reader::default() };
        }
        let touched: Vec<usize> = self.fragments.touched().collect();
        for index in touched {
            let (Some(track), Some(reader)) = (self.movie.tracks.get(index), self.readers.get_mut(index))
            else {
                continue;
            };
            let limit = last_media_ticks(from, track);
            let wanted = |entry: &Entry| entry.sync && entry.cts <= limit;
            let first = self.fragments.last_where(index, track, wanted).map_or(1, |entry| entry.number);
            while reader.head.is_none()
                && let Some(entry) = self.fragments.advance(index, track)
            {
                if entry.number >= first && reader.selected {
                    reader.head = Some((entry, track.edits.segment_for(entry.cts)));
                }
            }
        }
    }
}

impl Demuxer for Mp4Demuxer {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::Mp4
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn disabled_tracks(&self) -> &[TrackId] {
        &self.movie.disabled
    }

    fn notes(&self) -> &[String] {
        &self.movie.notes
    }

    fn metadata(&self) -> Option<&FileMetadata> {
        Some(&self.metadata)
    }

    fn next_packet(&mut self) -> Result<Option<Packet>> {
        loop {
            while let Some(&index) = self.pending.last() {
                self.fill_head(index)?;
                self.pending.pop();
                if let Some((entry, _)) = self.readers.get(index).and_then(|reader| reader.head) {
                    self.heads.push(Reverse((entry.offset, index)));
                }
            }
            if let Some(Reverse((_, index))) = self.heads.pop() {
                self.pending.push(index);
                return self.take_head(index);
            }
            if !self.readers.iter().any(|reader| reader.selected)
                || !self.fragments.play_next(&mut self.source, &self.movie)?
            {
                return Ok(None);
            }
            let selected = |index: &usize| self.readers.get(*index).is_some_and(|reader| reader.selected);
            self.pending.extend(self.fragments.touched().filter(selected));
            self.pending.sort_unstable_by_key(|index| Reverse(*index));
            self.pending.dedup();
        }
    }

    fn select_tracks(&mut self, tracks: &[TrackId]) {
        let tracks: HashSet<TrackId> = tracks.iter().copied().collect();
        for (reader, track) in self.readers.iter_mut().zip(&self.movie.tracks) {
            reader.selected = tracks.contains(&track.public.id);
        }
        self.line_up();
    }

    fn index(&mut self, track: TrackId, each: &mut EachPacket<'_>) -> Result<bool> {
        let index = self.movie.by_id.get(&track.0).copied().filter(|_| !self.source.is_pipe());
        index.map_or(Ok(false), |index| self.tell_places(index, each))
    }

    fn resume(&mut self, track: TrackId, position: u64) -> Result<bool> {
        let index = self.movie.by_id.get(&track.0).copied().filter(|_| !self.source.is_pipe());
        index.map_or(Ok(false), |index| self.go_to_place(index, position))
    }

    fn seek(&mut self, track: TrackId, to: Timestamp) -> Result<bool> {
        let Some(&index) = self.movie.by_id.get(&track.0) else {
            return Err(Error::invalid(format!("there is no track {} to seek in", track.0)));
        };
        if self.source.is_pipe() {
            return Ok(false);
        }
        if let Some(pts) = self.seek_fragments(index, to)? {
            self.enter_fragment(pts);
            self.line_up();
            return Ok(true);
        }
        self.fragments.rewind();
        let mut from = None;
        if let Some(track) = self.movie.tracks.get_mut(index) {
            if track.parts.is_empty() {
                track.parts = schedule::plan(track, &self.limits)?;
            }
            let found = Walk::sync_at_or_before(track, floor_ticks(to, track));
            from = found.map(|(pts, _)| Timestamp::new(pts, track.public.time_base));
        }
        for reader in &mut self.readers {
            *reader = Reader { selected: reader.selected, from, ..Reader::default() };
        }
        self.line_up();
        Ok(true)
    }
}

/// Whether a plain movie that begins with these bytes, its header among them, can be read forwards: the samples of each track
/// lie one behind the other. One with fragments is taken to.
pub(in crate::container) fn is_stored_in_order(beginning: Bytes, limits: &Limits) -> Result<bool> {
    let mut source = Source::new(std::io::Cursor::new(beginning), PathBuf::new())?;
    let header = find_moov(&mut source)?;
    let moov = Mp4Box::load(&mut source, header, limits)?;
    let movie = Movie::parse(&moov, u64::MAX, limits)?;
    Ok(movie.tracks.iter().all(|track| track.edits.is_ordered() && track.table.is_in_order()))
}

/// The last tick of the track that is not behind `to`.
fn floor_ticks(to: Timestamp, track: &MovieTrack) -> i64 {
    let nearest = to.rescale(track.public.time_base);
    if nearest > to { nearest.offset(-1).ticks() } else { nearest.ticks() }
}

/// The last composition time that a fragment may present by `to`.
fn last_media_ticks(to: Timestamp, track: &MovieTrack) -> i64 {
    track.edits.cts(track.edits.segments().len() - 1, floor_ticks(to, track))
}

/// The error for tables that disagree about the number of samples, before sample `number`, the first one that
/// is missing in one of them. Reading can go on with what `stsz` counts.
fn tell_disagreement(track: &MovieTrack, number: u64, told: &mut bool) -> Result<()> {
    match track.table.disagreement() {
        Some(timed) if number > timed && !*told => {
            *told = true;
            Err(Error::corrupt(format!(
                "track {}: the sample tables disagree: sizes (stsz) for {} samples, durations (stts) for {timed}",
                track.public.id.0,
                track.table.sample_count()
            )))
        }
        _ => Ok(()),
    }
}

fn name_track(error: Error, track: &MovieTrack) -> Error {
    let id = track.public.id.0;
    match error {
        Error::CorruptStream { what, recoverable, remedy } => {
            Error::CorruptStream { what: format!("track {id}: {what}"), recoverable, remedy }
        }
        Error::Unsupported { feature, remedy } => {
            Error::Unsupported { feature: format!("track {id}: {feature}"), remedy }
        }
        other => other,
    }
}

/// Boxes that a file may begin with (ISO/IEC 14496-12 clause 6.2 and QuickTime).
const FIRST_BOXES: [&[u8; 4]; 14] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx", b"uuid",
    b"meta", b"udta", b"PICT",
];

/// Walks over the top-level boxes to the movie header.
fn find_moov(source: &mut Source) -> Result<BoxHeader> {
    if source.len() == 0 {
        return Err(Error::corrupt_fatal("the file is empty (0 bytes)"));
    }
    // What only stands in segments of fragmented files, in front of or around fragments.
    let mut segment = None;
    let mut at = 0;
    while at < source.len() {
        let header = match BoxHeader::read(source, at) {
            Ok(Some(header)) if at > 0 || FIRST_BOXES.contains(&&header.kind) => header,
            // A few stray bytes at the end, or a broken box: no moov in front of it.
            Ok(None) | Err(Error::CorruptStream { .. }) if at > 0 => break,
            Ok(_) | Err(Error::CorruptStream { .. }) => {
                let start = source.read(0, 8)?;
                return Err(Error::corrupt_fatal(format!(
                    "not an MP4 or QuickTime file: it begins with \"{}\" and not with a box",
                    start.escape_ascii()
                )));
            }
            Err(e) => return Err(e),
        };
        if header.kind == *b"moov" {
            return Ok(header);
        }
        if source.is_pipe() && header.kind == *b"mdat" && header.len > header.header_len && segment.is_none()
        {
            return Err(Error::Unsupported {
                feature: "MP4 from a pipe with its index (moov) behind its samples".to_owned(),
                remedy: Remedy::Spool,
            });
        }
        if [b"styp", b"moof"].contains(&&header.kind) {
            segment.get_or_insert(header.kind);
        }
        // What follows in a pipe may never end.
        if source.is_pipe() && header.kind == *b"moof" {
            break;
        }
        if header.end() > source.len() && segment.is_none() {
            return Err(Error::corrupt_fatal(format!(
                "moov box not found: box {} at offset {at} claims {} bytes, but the file ends after {}; it was not \
                 finalised (recording interrupted?) or is truncated",
                FourCc(header.kind),
                header.len,
                source.len()
            )));
        }
        at = header.end();
    }
    if let Some(kind) = segment {
        return Err(Error::Unsupported {
            feature: format!("a media segment of a fragmented file (box {}, and no moov box)", FourCc(kind)),
            remedy: "put its initialisation segment in front, for instance with cat init.mp4 segment.m4s > whole.mp4".into(),
        });
    }
    Err(Error::corrupt_fatal(
        "moov box not found: the file was not finalised (recording interrupted?) or is truncated",
    ))
}
