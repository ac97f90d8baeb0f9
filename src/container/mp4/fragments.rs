//! The sequence of fragments of a file: found one by one, remembered, and entered at any of them.

use super::boxes::{BoxHeader, Mp4Box};
use super::fragment::{FragmentQueue, Start, queue_fragment};
use super::movie::MovieTrack;
use super::source::Source;
use super::tables::Entry;
use crate::error::{Error, Result};

/// A fragment found.
struct Fragment {
    header: BoxHeader,
    starts: Vec<Start>,
}

pub(super) struct Fragments {
    /// Where the next top-level box that was not looked at begins.
    frontier: u64,
    /// Decoding time of each track at the frontier, for fragments that do not state theirs.
    clocks: Vec<i64>,
    /// In file order.
    found: Vec<Fragment>,
    /// By how much the decoding times of each track are held back: as its first fragment with samples
    /// requires, so that all fragments agree.
    shifts: Vec<Option<i64>>,
    /// The fragment looked at last.
    loaded: Option<Mp4Box>,
    /// Fragment to play after the current one, and the samples of the current one.
    next: usize,
    playing: Option<u64>,
    queues: Vec<FragmentQueue>,
}

impl Fragments {
    /// `first` is the first byte behind `moov`.
    pub(super) fn new(first: u64, tracks: &[MovieTrack]) -> Self {
        // Samples in moov itself come before those of the fragments.
        let clock = |track: &MovieTrack| i64::try_from(track.table.media_duration()).unwrap_or(i64::MAX);
        Self {
            frontier: first,
            clocks: tracks.iter().map(clock).collect(),
            found: Vec::new(),
            shifts: vec![None; tracks.len()],
            loaded: None,
            next: 0,
            playing: None,
            queues: tracks.iter().map(|_| FragmentQueue::default()).collect(),
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

    /// The next sample of track `index` in the current fragment.
    pub(super) fn advance(&mut self, index: usize, track: &MovieTrack) -> Option<Entry> {
        self.queues.get_mut(index)?.advance(track.sound, track.table.pcm())
    }

    /// Back to the first fragment.
    pub(super) fn rewind(&mut self) {
        self.queues.iter_mut().for_each(FragmentQueue::clear);
        self.next = 0;
        self.playing = None;
    }

    /// Makes the next fragment the current one; `false` behind the last.
    pub(super) fn play_next(&mut self, source: &mut Source, tracks: &[MovieTrack]) -> Result<bool> {
        if self.next >= self.found.len() && !self.find_next(source, tracks)? {
            self.playing = None;
            return Ok(false);
        }
        self.play(self.next, source, tracks)?;
        Ok(true)
    }

    /// Makes fragment `at` the current one.
    pub(super) fn play(&mut self, at: usize, source: &mut Source, tracks: &[MovieTrack]) -> Result<()> {
        self.next = at + 1;
        let Some(fragment) = self.found.get(at) else { return Ok(()) };
        self.playing = Some(fragment.header.offset);
        let mut queues = std::mem::take(&mut self.queues);
        queues.iter_mut().for_each(FragmentQueue::clear);
        let played = self.queue(at, &mut queues, source, tracks);
        self.queues = queues;
        played
    }

    fn queue(
        &mut self,
        at: usize,
        queues: &mut [FragmentQueue],
        source: &mut Source,
        tracks: &[MovieTrack],
    ) -> Result<()> {
        let Some(fragment) = self.found.get(at) else { return Ok(()) };
        for start in &fragment.starts {
            if let Some(queue) = queues.get_mut(start.track) {
                queue.next_dts = start.dts;
            }
        }
        let moof = match self.loaded.take() {
            Some(moof) if moof.offset == fragment.header.offset => moof,
            _ => Mp4Box::load(source, fragment.header).map_err(recoverable)?,
        };
        queue_fragment(&moof, tracks, queues, source.len()).map_err(recoverable)?;
        self.loaded = Some(moof);
        Ok(())
    }

    /// Looks for the next fragment and remembers it; `false` at the end of the file.
    ///
    /// After an error the search goes on behind the damage.
    pub(super) fn find_next(&mut self, source: &mut Source, tracks: &[MovieTrack]) -> Result<bool> {
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
            let moof = Mp4Box::load(source, header).map_err(recoverable)?;
            let mut queues: Vec<FragmentQueue> = tracks.iter().map(|_| FragmentQueue::default()).collect();
            for (queue, clock) in queues.iter_mut().zip(&self.clocks) {
                queue.next_dts = *clock;
            }
            let starts = queue_fragment(&moof, tracks, &mut queues, source.len()).map_err(recoverable)?;
            for queue in &mut queues {
                while queue.advance(false, None).is_some() {}
            }
            self.clocks = queues.iter().map(|queue| queue.next_dts).collect();
            for start in &starts {
                if let Some(shift) = self.shifts.get_mut(start.track) {
                    shift.get_or_insert(start.dts_shift);
                }
            }
            self.found.push(Fragment { header, starts });
            self.loaded = Some(moof);
            return Ok(true);
        }
    }

    /// Finds every fragment that can hold a sample of track `index` with a decoding time (of the media) up
    /// to `dts`. Damage on the way is left for the reading to report.
    pub(super) fn find_until(
        &mut self,
        index: usize,
        dts: i64,
        source: &mut Source,
        tracks: &[MovieTrack],
    ) -> Result<()> {
        while self.found.iter().rev().find_map(|f| start_of(f, index)).is_none_or(|start| start <= dts) {
            match self.find_next(source, tracks) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) if e.is_recoverable() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// The fragments of track `index` that begin at or before `dts`, last first.
    pub(super) fn starting_by(&self, index: usize, dts: i64) -> Vec<usize> {
        let by = |fragment: &Fragment| start_of(fragment, index).is_some_and(|start| start <= dts);
        (0..self.found.len()).rev().filter(|&at| self.found.get(at).is_some_and(by)).collect()
    }

    /// The last sample of track `index` in fragment `at` that satisfies `wanted`.
    pub(super) fn last_where(
        &mut self,
        at: usize,
        index: usize,
        source: &mut Source,
        tracks: &[MovieTrack],
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Option<Entry>> {
        let mut queues: Vec<FragmentQueue> = tracks.iter().map(|_| FragmentQueue::default()).collect();
        self.queue(at, &mut queues, source, tracks)?;
        let (Some(queue), Some(track)) = (queues.get_mut(index), tracks.get(index)) else { return Ok(None) };
        let mut last = None;
        while let Some(entry) = queue.advance(track.sound, track.table.pcm()) {
            if wanted(&entry) {
                last = Some(entry);
            }
        }
        Ok(last)
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
