//! Movie fragments (ISO/IEC 14496-12 clause 8.8): one `moof` at a time, read in place.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use shiguredo_mp4::SampleFlags;
use shiguredo_mp4::boxes::{TfdtBox, TfhdBox, TrunBox};

use super::boxes::{Mp4Box, be_u32};
use super::movie::{FragmentDefaults, MovieTrack};
use super::pcm::PcmGroups;
use super::steps::step;
use super::tables::Entry;
use crate::error::{Error, Result};

/// `sample_flags` (clause 8.8.3.1): not a sync sample; depends on others.
const NON_SYNC: u32 = 0x0001_0000;
const DEPENDS_ON_OTHERS: u32 = 0x0100_0000;

/// One `trun`: samples stored one after the other.
#[derive(Clone)]
struct Run {
    fields: u32,
    /// Bytes per sample in `table`; zero when everything is a default.
    stride: usize,
    table: Bytes,
    count: u32,
    done: u32,
    offset: u64,
    defaults: FragmentDefaults,
    first_flags: Option<u32>,
}

impl Run {
    fn parse(trun: &Mp4Box, defaults: FragmentDefaults) -> Result<(Self, Option<i32>)> {
        let (_, fields) = trun.version_flags()?;
        let word = |at| be_u32(&trun.payload, at).ok_or_else(|| trun.broken("is too short"));
        let count = word(4)?;
        let mut at = 8;
        let mut optional = |flag: u32| -> Result<Option<u32>> {
            if fields & flag == 0 {
                return Ok(None);
            }
            at += 4;
            word(at - 4).map(Some)
        };
        let data_offset = optional(TrunBox::FLAG_DATA_OFFSET_PRESENT)?.map(|v| v as i32);
        let first_flags = optional(TrunBox::FLAG_FIRST_SAMPLE_FLAGS_PRESENT)?;
        let per_sample = fields
            & (TrunBox::FLAG_SAMPLE_DURATION_PRESENT
                | TrunBox::FLAG_SAMPLE_SIZE_PRESENT
                | TrunBox::FLAG_SAMPLE_FLAGS_PRESENT
                | TrunBox::FLAG_SAMPLE_COMPOSITION_TIME_OFFSETS_PRESENT);
        let stride = per_sample.count_ones() as usize * 4;
        let table = trun.payload.slice(at.min(trun.payload.len())..);
        if table.len().checked_div(stride).is_some_and(|room| room < count as usize) {
            return Err(
                trun.broken(&format!("claims {count} samples, but has room for {}", table.len() / stride))
            );
        }
        Ok((Self { fields, stride, table, count, done: 0, offset: 0, defaults, first_flags }, data_offset))
    }

    /// Size, duration, flags and composition offset of sample `index` of the run.
    fn sample(&self, index: u32) -> (u32, u32, u32, i32) {
        let mut at = index as usize * self.stride;
        let mut field = |flag: u32, default: u32| {
            if self.fields & flag == 0 {
                return default;
            }
            at += 4;
            be_u32(&self.table, at - 4).unwrap_or(default)
        };
        let duration = field(TrunBox::FLAG_SAMPLE_DURATION_PRESENT, self.defaults.duration);
        let size = field(TrunBox::FLAG_SAMPLE_SIZE_PRESENT, self.defaults.size);
        let flags = match self.first_flags {
            Some(first) if index == 0 => {
                field(TrunBox::FLAG_SAMPLE_FLAGS_PRESENT, 0);
                first
            }
            _ => field(TrunBox::FLAG_SAMPLE_FLAGS_PRESENT, self.defaults.flags),
        };
        let shift = field(TrunBox::FLAG_SAMPLE_COMPOSITION_TIME_OFFSETS_PRESENT, 0) as i32;
        (size, duration, flags, shift)
    }

    /// What the run claims of the file without a line in a table for it: the bytes of samples that all have the
    /// default size, one for each sample that has none.
    fn unproven_bytes(&self) -> u64 {
        if self.fields & TrunBox::FLAG_SAMPLE_SIZE_PRESENT != 0 {
            return 0;
        }
        u64::from(self.count) * u64::from(self.defaults.size.max(1))
    }

    /// The durations of all samples. Where they are all the default, nothing is counted one by one.
    fn total_duration(&self) -> u64 {
        if self.fields & TrunBox::FLAG_SAMPLE_DURATION_PRESENT == 0 {
            return u64::from(self.count) * u64::from(self.defaults.duration);
        }
        (0..self.count).map(|index| u64::from(self.sample(index).1)).sum()
    }

    fn byte_len(&self) -> u64 {
        if self.fields & TrunBox::FLAG_SAMPLE_SIZE_PRESENT == 0 {
            return u64::from(self.count) * u64::from(self.defaults.size);
        }
        (0..self.count).map(|index| u64::from(self.sample(index).0)).sum()
    }

    fn least_composition_offset(&self) -> i32 {
        if self.fields & TrunBox::FLAG_SAMPLE_COMPOSITION_TIME_OFFSETS_PRESENT == 0 {
            return 0;
        }
        (0..self.count).map(|index| self.sample(index).3).min().unwrap_or(0)
    }
}

/// The samples of one track that the fragments read so far hold and that were not given out yet.
#[derive(Clone, Default)]
pub(super) struct FragmentQueue {
    runs: VecDeque<Run>,
    /// Decoding time of the next sample.
    pub(super) next_dts: i64,
    /// Samples of the current fragment given out.
    given: u64,
}

impl FragmentQueue {
    /// Goes to the end of what is queued without giving it out.
    fn skip(&mut self) {
        let durations = self.runs.drain(..).map(|run| run.total_duration()).fold(0, u64::saturating_add);
        self.next_dts = self.next_dts.saturating_add_unsigned(durations);
    }

    /// The next sample, numbered within its fragment.
    pub(super) fn advance(&mut self, sound: bool, pcm: Option<&PcmGroups>) -> Option<Entry> {
        loop {
            let run = self.runs.front_mut()?;
            step();
            if run.done >= run.count {
                self.runs.pop_front();
                continue;
            }
            let (size, duration, flags, shift) = run.sample(run.done);
            let cts = self.next_dts.saturating_add(shift.into());
            // Frames that the run does not tell apart.
            let frames = pcm.filter(|_| run.stride == 0).map_or(1, |pcm| pcm.len(cts, size, duration));
            let frames = frames.min(run.count - run.done);
            let (size, duration) = (size.saturating_mul(frames), duration.saturating_mul(frames));
            let entry = Entry {
                number: self.given + 1,
                offset: run.offset,
                size,
                dts: self.next_dts,
                cts,
                duration,
                sync: sound || flags & (NON_SYNC | DEPENDS_ON_OTHERS) == 0,
                description: run.defaults.description,
            };
            run.done += frames;
            run.offset = run.offset.saturating_add(size.into());
            self.given += u64::from(frames);
            self.next_dts = self.next_dts.saturating_add(duration.into());
            return Some(entry);
        }
    }
}

/// The queues of all tracks. Those that hold anything are remembered: a file may have thousands of tracks, and as many
/// fragments of a few of them.
#[derive(Default)]
pub(super) struct Queues {
    by_track: Vec<FragmentQueue>,
    /// Tracks that the last fragment touched, and their decoding times before it.
    touched: Vec<(usize, i64)>,
}

impl Queues {
    /// Queues whose clocks show the given decoding times.
    pub(super) fn new(clocks: impl Iterator<Item = i64>) -> Self {
        let queue = |next_dts| FragmentQueue { next_dts, ..FragmentQueue::default() };
        Self { by_track: clocks.map(queue).collect(), touched: Vec::new() }
    }

    pub(super) fn get_mut(&mut self, track: usize) -> Option<&mut FragmentQueue> {
        self.by_track.get_mut(track)
    }

    /// The tracks that the current fragment touches.
    pub(super) fn touched(&self) -> impl Iterator<Item = usize> {
        self.touched.iter().map(|(track, _)| *track)
    }

    /// Drops what is queued.
    pub(super) fn clear(&mut self) {
        for (track, _) in self.touched.drain(..) {
            step();
            if let Some(queue) = self.by_track.get_mut(track) {
                queue.runs.clear();
            }
        }
    }

    /// Passes over what is queued: the clocks go on.
    pub(super) fn skip(&mut self) {
        for (track, _) in self.touched.drain(..) {
            if let Some(queue) = self.by_track.get_mut(track) {
                step();
                queue.skip();
            }
        }
    }

    /// Forgets what is queued, as if it had never come.
    pub(super) fn undo(&mut self) {
        for (track, before) in self.touched.drain(..).rev() {
            if let Some(queue) = self.by_track.get_mut(track) {
                queue.runs.clear();
                queue.next_dts = before;
            }
        }
    }

    fn touch(&mut self, track: usize) -> Option<&mut FragmentQueue> {
        let queue = self.by_track.get_mut(track)?;
        if queue.runs.is_empty() {
            self.touched.push((track, queue.next_dts));
        }
        Some(queue)
    }
}

/// What a fragment holds of one track.
#[derive(Clone, Copy)]
pub(super) struct Start {
    /// Index of the track.
    pub(super) track: usize,
    /// Decoding time of the first sample.
    pub(super) dts: i64,
    /// Largest negative composition offset, as a positive number.
    pub(super) dts_shift: i64,
}

/// Queues the samples of one `moof`. Returns the tracks that have any.
///
/// `unproven`: runs whose samples cost nothing in the box are held against the file, all together, also those of fragments
/// before: otherwise a few bytes claim 2^32 samples, or a few kilobytes as many runs of all that is there.
pub(super) fn queue_fragment(
    moof: &Mp4Box,
    (tracks, by_id): (&[MovieTrack], &HashMap<u32, usize>),
    queues: &mut Queues,
    file_len: u64,
    unproven: &mut u64,
) -> Result<Vec<Start>> {
    let mut starts: Vec<Start> = Vec::new();
    // Where the data of the next track fragment begins if it does not say.
    let mut implied_base = moof.offset;
    for child in moof.children(0) {
        let traf = child?;
        if traf.kind != *b"traf" {
            continue;
        }
        let tfhd: TfhdBox = traf.need(*b"tfhd")?.decode()?;
        let known = by_id.get(&tfhd.track_id).copied();
        let trex = known.and_then(|index| tracks.get(index)).map(|track| track.defaults).unwrap_or_default();
        let defaults = FragmentDefaults {
            description: tfhd.sample_description_index.unwrap_or(trex.description).max(1),
            duration: tfhd.default_sample_duration.unwrap_or(trex.duration),
            size: tfhd.default_sample_size.unwrap_or(trex.size),
            flags: tfhd.default_sample_flags.map_or(trex.flags, SampleFlags::get),
        };
        // Clause 8.8.7.1: an explicit base, else the moof, else the end of the data before.
        let base = match tfhd.base_data_offset {
            Some(offset) => offset,
            None if tfhd.default_base_is_moof => moof.offset,
            None => implied_base,
        };
        let mut runs: Vec<Run> = Vec::new();
        let mut at = base;
        for child in traf.children(0) {
            let trun = child?;
            if trun.kind != *b"trun" {
                continue;
            }
            let (mut run, data_offset) = Run::parse(&trun, defaults)?;
            *unproven = unproven.saturating_add(run.unproven_bytes());
            if *unproven > file_len {
                return Err(trun.broken(&format!(
                    "claims {} samples of {} bytes, {unproven} bytes with the runs before it, in a file of \
                     {file_len} bytes",
                    run.count, defaults.size
                )));
            }
            if let Some(shift) = data_offset {
                at = base
                    .checked_add_signed(shift.into())
                    .ok_or_else(|| trun.broken(&format!("points {shift} bytes from offset {base}")))?;
            }
            run.offset = at;
            at = at.saturating_add(run.byte_len());
            if run.count > 0 {
                runs.try_reserve(1).map_err(|_| trun.no_memory())?;
                runs.push(run);
            }
        }
        implied_base = at;
        let Some(index) = known else { continue };
        let Some(queue) = queues.touch(index) else { continue };
        if let Some(tfdt) = traf.child(*b"tfdt")? {
            let tfdt: TfdtBox = tfdt.decode()?;
            // A track may have several fragments in one moof; only the first finds its queue empty.
            if queue.runs.is_empty() {
                queue.next_dts = i64::try_from(tfdt.base_media_decode_time).map_err(|_| {
                    Error::corrupt(format!("tfdt in the moof at offset {} is out of range", moof.offset))
                })?;
            }
        }
        if tfhd.duration_is_empty || runs.is_empty() {
            if tfhd.duration_is_empty {
                queue.next_dts = queue.next_dts.saturating_add(defaults.duration.into());
            }
            continue;
        }
        let least = runs.iter().map(Run::least_composition_offset).min();
        let dts_shift = -i64::from(least.unwrap_or(0).min(0));
        if queue.runs.is_empty() {
            queue.given = 0;
            starts.push(Start { track: index, dts: queue.next_dts, dts_shift });
        }
        queue.runs.try_reserve(runs.len()).map_err(|_| traf.no_memory())?;
        queue.runs.extend(runs);
    }
    Ok(starts)
}
