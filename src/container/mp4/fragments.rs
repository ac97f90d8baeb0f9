//! The sequence of fragments of a file: found one by one, remembered, and entered at any of them.

use super::boxes::{BoxHeader, Mp4Box};
use super::fragment::{Queues, Start, queue_fragment};
use super::movie::{Movie, MovieTrack};
use super::source::Source;
use super::tables::Entry;
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};

/// A fragment with samples.
struct Fragment {
    header: BoxHeader,
    starts: Box<[Start]>,
}

pub(super) struct Fragments {
    limits: Limits,
    /// Where the next top-level box that was not looked at begins.
    frontier: u64,
    /// Queues whose clocks show the decoding time of each track at the frontier, for fragments that do not state theirs.
    ahead: Queues,
    /// Bytes claimed by samples that stand in no table, up to the frontier.
    unproven: u64,
    /// In file order.
    found: Vec<Fragment>,
    /// Bytes that `found` takes.
    index_bytes: u64,
    /// Decoding time at which the last fragment of each track found so far starts.
    last_starts: Vec<Option<i64>>,
    /// By how much the decoding times of each track are held back: as its first fragment with samples
    /// requires, so that all fragments agree.
    shifts: Vec<Option<i64>>,
    /// The fragment looked at last.
    loaded: Option<Mp4Box>,
    /// Fragment to play after the current one, and the samples of the current one.
    next: usize,
    playing: Option<u64>,
    queues: Queues,
}

impl Fragments {
    /// `first` is the first byte behind `moov`.
    pub(super) fn new(first: u64, movie: &Movie, limits: Limits) -> Self {
        let tracks = &movie.tracks;
        // Samples in moov itself come before those of the fragments.
        let clock = |track: &MovieTrack| i64::try_from(track.table.media_duration()).unwrap_or(i64::MAX);
        Self {
            limits,
            frontier: first,
            ahead: Queues::new(tracks.iter().map(clock)),
            unproven: 0,
            found: Vec::new(),
            index_bytes: 0,
            last_starts: vec![None; tracks.len()],
            shifts: vec![None; tracks.len()],
            loaded: None,
            next: 0,
            playing: None,
            queues: Queues::new(tracks.iter().map(|_| 0)),
        }
    }

    /// Offset of the `moof` whose samples are being given out.
    pub(super) fn playing(&self) -> Option<u64> {
        self.playing
    }

    /// By how much decoding times of track `index` are held back.
    pub(super) fn dts_shift(&self, index: usize) -> i64 {
        self.shifts.get(index).copied().flatten().unwrap_or(0)
    }

    /// The tracks of which the current fragment may hold samples.
    pub(super) fn touched(&self) -> impl Iterator<Item = usize> {
        self.queues.touched()
    }

    /// The next sample of track `index` in the current fragment.
    pub(super) fn advance(&mut self, index: usize, track: &MovieTrack) -> Option<Entry> {
        self.queues.get_mut(index)?.advance(track.sound, track.table.pcm())
    }

    /// Back to the first fragment.
    pub(super) fn rewind(&mut self) {
        self.queues.clear();
        self.next = 0;
        self.playing = None;
    }

    /// Makes the next fragment the current one; `false` behind the last.
    pub(super) fn play_next(&mut self, source: &mut Source, movie: &Movie) -> Result<bool> {
        if self.next >= self.found.len() && !self.find_next(source, movie)? {
            self.queues.clear();
            self.playing = None;
            return Ok(false);
        }
        self.play(self.next, source, movie)?;
        Ok(true)
    }

    /// Makes fragment `at` the current one.
    pub(super) fn play(&mut self, at: usize, source: &mut Source, movie: &Movie) -> Result<()> {
        self.next = at + 1;
        self.queues.clear();
        let Some(fragment) = self.found.get(at) else { return Ok(()) };
        self.playing = Some(fragment.header.offset);
        for start in &fragment.starts {
            if let Some(queue) = self.queues.get_mut(start.track) {
                queue.next_dts = start.dts;
            }
        }
        let moof = match self.loaded.take() {
            Some(moof) if moof.offset == fragment.header.offset => moof,
            _ => Mp4Box::load(source, fragment.header, &self.limits).map_err(recoverable)?,
        };
        // What it claims was checked when it was found.
        let tracks = (&movie.tracks[..], &movie.by_id);
        let claimable = source.claimable_by_fragment();
        queue_fragment(&moof, tracks, &mut self.queues, claimable, &mut 0).map_err(recoverable)?;
        self.loaded = Some(moof);
        Ok(())
    }

    /// Looks for the next fragment with samples and remembers it; `false` at the end of the file.
    ///
    /// After an error the search goes on behind the damage.
    pub(super) fn find_next(&mut self, source: &mut Source, movie: &Movie) -> Result<bool> {
        // What lies behind the samples of a plain movie is nothing to wait for.
        if source.is_pipe() && !movie.fragmented {
            return Ok(false);
        }
        loop {
            let header = match BoxHeader::read(source, self.frontier) {
                Ok(Some(header)) => header,
                Ok(None) => return Ok(false),
                Err(e) => {
                    self.frontier = source.len();
                    return Err(recoverable(e));
                }
            };
            self.frontier = header.end().min(source.len());
            if header.kind != *b"moof" {
                continue;
            }
            let moof = Mp4Box::load(source, header, &self.limits).map_err(recoverable)?;
            let tracks = (&movie.tracks[..], &movie.by_id);
            let unproven = self.unproven;
            let claimable = source.claimable_by_fragment();
            let queued = queue_fragment(&moof, tracks, &mut self.ahead, claimable, &mut self.unproven);
            let starts = match queued {
                Ok(starts) => starts,
                Err(error) => {
                    self.ahead.undo();
                    self.unproven = unproven;
                    return Err(recoverable(error));
                }
            };
            self.ahead.skip();
            if starts.is_empty() {
                continue;
            }
            for start in &starts {
                if let Some(shift) = self.shifts.get_mut(start.track) {
                    *shift = Some(shift.unwrap_or(0).max(start.dts_shift));
                }
                if let Some(last) = self.last_starts.get_mut(start.track) {
                    *last = Some(start.dts);
                }
            }
            if source.is_pipe() {
                self.pass_media(source)?;
            }
            self.remember(Fragment { header, starts: starts.into() })?;
            self.loaded = Some(moof);
            return Ok(true);
        }
    }

    /// The same where the movie header has samples of its own, whose data follow it.
    pub(super) fn pass_first_media(&mut self, source: &mut Source) -> Result<()> {
        while let Some(next) = BoxHeader::read(source, self.frontier)?.filter(|next| next.kind != *b"moof") {
            self.frontier = next.end();
            if next.kind == *b"mdat" {
                break;
            }
        }
        Ok(())
    }

    /// In a pipe the box behind the media data of a fragment has to be known before the samples are read, and nothing is
    /// returned to: only the fragment at hand is remembered.
    fn pass_media(&mut self, source: &mut Source) -> Result<()> {
        if let Some(media) = BoxHeader::read(source, self.frontier)?.filter(|media| media.kind == *b"mdat") {
            self.frontier = media.end();
        }
        self.found.clear();
        (self.next, self.index_bytes, self.unproven) = (0, 0, 0);
        Ok(())
    }

    fn remember(&mut self, fragment: Fragment) -> Result<()> {
        let what = || format!("the fragment at offset {}", fragment.header.offset);
        let count = self.found.len() as u64 + 1;
        if count > self.limits.fragments {
            self.limits.check(Limit::Fragments, count, what())?;
        }
        self.index_bytes += (size_of::<Fragment>() + fragment.starts.len() * size_of::<Start>()) as u64;
        if self.index_bytes > self.limits.index_memory {
            self.limits.check(Limit::IndexMemory, self.index_bytes, what())?;
        }
        let no_memory = |_| Error::io("keep", what(), std::io::ErrorKind::OutOfMemory.into());
        self.found.try_reserve(1).map_err(no_memory)?;
        self.found.push(fragment);
        Ok(())
    }

    /// Finds every fragment that can hold a sample of track `index` with a decoding time (of the media) up
    /// to `dts`. Damage on the way is left for the reading to report.
    pub(super) fn find_until(
        &mut self,
        index: usize,
        dts: i64,
        source: &mut Source,
        movie: &Movie,
    ) -> Result<()> {
        while self.last_starts.get(index).copied().flatten().is_none_or(|start| start <= dts) {
            match self.find_next(source, movie) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) if e.is_recoverable() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// The last fragment of track `index` in front of fragment `before` that begins at or before `dts`.
    pub(super) fn starting_by(&self, index: usize, dts: i64, before: usize) -> Option<usize> {
        let by = |fragment: &Fragment| start_of(fragment, index).is_some_and(|start| start <= dts);
        self.found.get(..before)?.iter().rposition(by)
    }

    /// Fragments found.
    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    /// The last sample of track `index` in the current fragment that satisfies `wanted`. None is taken.
    pub(super) fn last_where(
        &mut self,
        index: usize,
        track: &MovieTrack,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Option<Entry> {
        let mut queue = self.queues.get_mut(index)?.clone();
        let samples = std::iter::from_fn(|| queue.advance(track.sound, track.table.pcm()));
        samples.filter(wanted).last()
    }
}

fn start_of(fragment: &Fragment, index: usize) -> Option<i64> {
    fragment.starts.iter().find(|start| start.track == index).map(|start| start.dts)
}

/// Damage in a fragment leaves the others readable.
fn recoverable(error: Error) -> Error {
    match error {
        Error::CorruptStream { what, .. } => Error::corrupt(what),
        other => other,
    }
}
