//! Reading MP4 and QuickTime files, plain and fragmented.

use std::fmt;
use std::io::{Read, Seek};
use std::path::PathBuf;

use super::boxes::{BoxHeader, FourCc, Mp4Box};
use super::fragments::Fragments;
use super::metadata;
use super::movie::{Movie, MovieTrack};
use super::range;
use super::source::Source;
use super::tables::{Cursor, Entry};
use crate::container::{ContainerFormat, Demuxer, FileMetadata, Sample, Track, TrackId};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// Reads ISO base media files (ISO/IEC 14496-12): MP4, QuickTime movies, fragmented MP4 and CMAF.
///
/// Samples come in the order of their bytes in the file, those of fragments fragment by fragment. Edit
/// lists are applied: times are on the presentation time line, in ticks of the track, and what lies outside
/// the presented part is marked [`Sample::discard`] as far as decoding may need it, and left out otherwise.
///
/// A track that cannot be read (an encrypted sound track, an edit list that cannot be honoured) is listed,
/// and costs an error only when it is read; [`Demuxer::select_tracks`] leaves it out.
pub struct Mp4Demuxer {
    source: Source,
    tracks: Vec<Track>,
    movie: Vec<MovieTrack>,
    readers: Vec<Reader>,
    fragments: Fragments,
    metadata: FileMetadata,
}

/// Progress of one track.
#[derive(Default)]
struct Reader {
    selected: bool,
    cursor: Cursor,
    /// No more samples in the tables of `moov`.
    table_done: bool,
    /// A sync sample behind the end of the presentation has been seen.
    behind_end: bool,
    /// The next sample, looked at but not given out.
    head: Option<Entry>,
    /// Sample description of the last sample given out.
    description: Option<u32>,
    /// That the tables disagree about the number of samples has been told.
    told: bool,
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
    /// [`Error::Unsupported`] for encrypted video, [`Error::Io`].
    pub fn open<R: Read + Seek + Send + 'static>(reader: R, path: PathBuf) -> Result<Self> {
        let mut source = Source::new(reader, path)?;
        let header = find_moov(&mut source)?;
        let moov = Mp4Box::load(&mut source, header)?;
        let Movie { tracks: movie } = Movie::parse(&moov, source.len())?;
        let readers = movie.iter().map(|track| Reader {
            selected: true,
            cursor: range::first_cursor(track),
            ..Reader::default()
        });
        Ok(Self {
            tracks: movie.iter().map(|track| track.public.clone()).collect(),
            readers: readers.collect(),
            fragments: Fragments::new(header.end(), &movie),
            metadata: metadata::of(&moov),
            source,
            movie,
        })
    }

    /// Looks at the next sample of track `index`.
    fn fill_head(&mut self, index: usize) -> Result<()> {
        let (Some(reader), Some(track)) = (self.readers.get_mut(index), self.movie.get_mut(index)) else {
            return Ok(());
        };
        if !reader.selected || reader.head.is_some() {
            return Ok(());
        }
        if let Some(refusal) = track.refusal.take() {
            reader.selected = false;
            return Err(name_track(refusal, track));
        }
        while reader.head.is_none() && !reader.table_done {
            let Some(entry) = reader.cursor.advance(&track.table).map_err(|e| name_track(e, track))? else {
                reader.table_done = true;
                tell_disagreement(track, u64::MAX, &mut reader.told)?;
                break;
            };
            if !range::between_segments(track, &entry) {
                reader.head = Some(entry);
            }
            reader.table_done = range::ends_with(track, &entry, &mut reader.behind_end);
            tell_disagreement(track, entry.number, &mut reader.told)?;
        }
        if reader.head.is_none() {
            reader.head = self.fragments.advance(index, track);
        }
        Ok(())
    }

    /// Turns the head of track `index` into a sample.
    fn take_head(&mut self, index: usize) -> Result<Option<Sample>> {
        let dts_shift = self.dts_shift(index);
        let (Some(reader), Some(track)) = (self.readers.get_mut(index), self.movie.get(index)) else {
            return Ok(None);
        };
        let Some(entry) = reader.head.take() else { return Ok(None) };
        let Entry { number, offset, size, .. } = entry;
        let id = track.public.id.0;
        let place = match self.fragments.playing() {
            Some(moof) => format!("track {id}, sample {number} of the fragment at offset {moof}"),
            None => format!("track {id}, sample {number}"),
        };
        let file_len = self.source.len();
        if offset.saturating_add(size.into()) > file_len {
            return Err(Error::corrupt(format!(
                "{place}: its {size} bytes at offset {offset} reach past the end of the file ({file_len} bytes)"
            )));
        }
        let data = self.source.read(offset, size.into())?;
        if data.len() != size as usize {
            return Err(Error::corrupt(format!(
                "{place}: only {} of {size} bytes could be read at offset {offset}",
                data.len()
            )));
        }
        let last = reader.description.replace(entry.description);
        let data = track.descriptions.apply(entry.description, last, entry.sync, data, &place)?;
        let times = track.edits.present(&entry, dts_shift, track.sound);
        let base = track.public.time_base;
        Ok(Some(Sample {
            track: track.public.id,
            data,
            pts: Some(Timestamp::new(times.pts, base)),
            dts: Some(Timestamp::new(times.dts, base)),
            duration: Some(times.duration),
            keyframe: entry.sync,
            discard: times.discard,
        }))
    }

    /// By how much decoding times of track `index` are held back.
    fn dts_shift(&self, index: usize) -> i64 {
        let table = self.movie.get(index).map_or(0, |track| track.table.dts_shift());
        table.max(self.fragments.dts_shift(index))
    }

    /// Finds the last sync sample of track `index` presented at or before `to` in the fragments, makes its
    /// fragment the current one and returns `(fragment, presentation time)`.
    fn seek_fragments(&mut self, index: usize, to: Timestamp) -> Result<Option<(usize, Timestamp)>> {
        let Some(track) = self.movie.get(index) else { return Ok(None) };
        // From presentation to media: undo the shift of the edit list.
        let shift = track.edits.segments().last().map_or(0, |segment| segment.shift);
        let limit = floor_ticks(to, track).saturating_sub(shift);
        let (source, movie) = (&mut self.source, &self.movie);
        let latest_dts = limit.saturating_add(self.fragments.dts_shift(index));
        self.fragments.find_until(index, latest_dts, source, movie)?;
        let latest_dts = limit.saturating_add(self.fragments.dts_shift(index));
        for at in self.fragments.starting_by(index, latest_dts) {
            let wanted = |entry: &Entry| entry.sync && entry.cts <= limit;
            if let Some(entry) = self.fragments.last_where(at, index, source, movie, wanted)? {
                let pts = Timestamp::new(entry.cts.saturating_add(shift), track.public.time_base);
                return Ok(Some((at, pts)));
            }
        }
        Ok(None)
    }

    /// Goes on in fragment `at`: every track from its last sync sample presented at or before `from`, or
    /// from its first sample in the fragment.
    fn enter_fragment(&mut self, at: usize, from: Timestamp) -> Result<()> {
        let (source, movie) = (&mut self.source, &self.movie);
        let mut first = Vec::new();
        for (index, track) in movie.iter().enumerate() {
            let shift = track.edits.segments().last().map_or(0, |segment| segment.shift);
            let limit = floor_ticks(from, track).saturating_sub(shift);
            let wanted = |entry: &Entry| entry.sync && entry.cts <= limit;
            let entry = self.fragments.last_where(at, index, source, movie, wanted)?;
            first.push(entry.map_or(1, |entry| entry.number));
        }
        self.fragments.play(at, source, movie)?;
        for (index, (track, number)) in movie.iter().zip(first).enumerate() {
            let Some(reader) = self.readers.get_mut(index) else { continue };
            *reader = Reader { selected: reader.selected, table_done: true, ..Reader::default() };
            while let Some(entry) = self.fragments.advance(index, track) {
                if entry.number >= number {
                    reader.head = reader.selected.then_some(entry);
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Demuxer for Mp4Demuxer {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::Mp4
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn metadata(&self) -> Option<&FileMetadata> {
        Some(&self.metadata)
    }

    fn next_sample(&mut self) -> Result<Option<Sample>> {
        loop {
            for index in 0..self.readers.len() {
                self.fill_head(index)?;
            }
            let heads = self.readers.iter().enumerate();
            let heads = heads.filter(|(_, reader)| reader.selected);
            let first = heads.filter_map(|(index, r)| r.head.map(|head| (head.offset, index))).min();
            if let Some((_, index)) = first {
                return self.take_head(index);
            }
            if !self.readers.iter().any(|reader| reader.selected)
                || !self.fragments.play_next(&mut self.source, &self.movie)?
            {
                return Ok(None);
            }
        }
    }

    fn select_tracks(&mut self, tracks: &[TrackId]) {
        for (reader, track) in self.readers.iter_mut().zip(&self.movie) {
            reader.selected = tracks.contains(&track.public.id);
        }
    }

    fn seek(&mut self, track: TrackId, to: Timestamp) -> Result<bool> {
        let Some(index) = self.movie.iter().position(|t| t.public.id == track) else {
            return Err(Error::invalid(format!("there is no track {} to seek in", track.0)));
        };
        if let Some((at, pts)) = self.seek_fragments(index, to)? {
            self.enter_fragment(at, pts)?;
            return Ok(true);
        }
        self.fragments.rewind();
        let found = self.movie.get(index).and_then(|t| {
            let (pts, _) = range::sync_at_or_before(t, floor_ticks(to, t))?;
            Some(Timestamp::new(pts, t.public.time_base))
        });
        for (reader, track) in self.readers.iter_mut().zip(&self.movie) {
            let place = found.and_then(|pts| range::sync_at_or_before(track, floor_ticks(pts, track)));
            let cursor = place.map_or_else(|| range::first_cursor(track), |(_, cursor)| cursor);
            *reader = Reader { selected: reader.selected, cursor, ..Reader::default() };
        }
        Ok(true)
    }
}

/// The last tick of the track that is not behind `to`.
fn floor_ticks(to: Timestamp, track: &MovieTrack) -> i64 {
    let nearest = to.rescale(track.public.time_base);
    if nearest > to { nearest.offset(-1).ticks() } else { nearest.ticks() }
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
        Error::CorruptStream { what, recoverable } => {
            Error::CorruptStream { what: format!("track {id}: {what}"), recoverable }
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
        if header.end() > source.len() {
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
    Err(Error::corrupt_fatal(
        "moov box not found: the file was not finalised (recording interrupted?) or is truncated",
    ))
}
