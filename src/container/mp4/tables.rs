//! Sample tables of a plain movie (ISO/IEC 14496-12 clauses 8.6 and 8.7), read in place.
//!
//! The tables stay the bytes they are in the file: a movie of ten million samples costs its `moov` and no
//! more. A [`Cursor`] walks all of them together.

use bytes::Bytes;

use super::boxes::{FourCc, Mp4Box, be_u16, be_u32, be_u64};
use super::pcm::PcmGroups;
use super::steps::step;
use crate::error::{Error, Result};

/// Where and when one sample, or one group of PCM frames, is on the media time line of its track.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// From one, as in the specification and in messages; of a group its first frame.
    pub(super) number: u64,
    pub(super) offset: u64,
    pub(super) size: u32,
    pub(super) dts: i64,
    /// Composition time.
    pub(super) cts: i64,
    pub(super) duration: u32,
    pub(super) sync: bool,
    /// Index into `stsd`, from one.
    pub(super) description: u32,
}

enum Sizes {
    Fixed(u32),
    /// `stsz`: 32 bits each.
    Wide(Bytes),
    /// `stz2`: 4, 8 or 16 bits each.
    Compact {
        bits: u8,
        bytes: Bytes,
    },
}

enum Offsets {
    Short(Bytes),
    Long(Bytes),
}

pub(super) struct SampleTable {
    count: u32,
    sizes: Sizes,
    offsets: Offsets,
    /// `(first_chunk, samples_per_chunk, sample_description_index)`
    chunk_runs: Bytes,
    /// `(sample_count, sample_delta)`
    deltas: Bytes,
    /// `(sample_count, sample_offset)`; the offsets are read as signed in version 0 too, where writers put
    /// negative ones (QuickTime) and values from 2^31 would be decades.
    composition: Option<Bytes>,
    /// Numbers of the sync samples; `None`: every sample is one.
    sync: Option<Bytes>,
    /// By how much decoding times are moved so that none is behind its composition time: the largest
    /// negative composition offset.
    dts_shift: i64,
    /// Samples that `stts` has durations for.
    timed: u64,
    /// Duration of the last sample, where `stts` gives none.
    last_duration: Option<u32>,
    /// Of tracks of PCM frames.
    pcm: Option<PcmGroups>,
}

impl SampleTable {
    /// A table without samples.
    pub(super) fn empty() -> Self {
        Self {
            count: 0,
            sizes: Sizes::Fixed(0),
            offsets: Offsets::Short(Bytes::new()),
            chunk_runs: Bytes::new(),
            deltas: Bytes::new(),
            composition: None,
            sync: None,
            dts_shift: 0,
            timed: 0,
            last_duration: None,
            pcm: None,
        }
    }

    /// `file_len` bounds what a table of fixed-size samples can claim.
    pub(super) fn parse(stbl: &Mp4Box, file_len: u64) -> Result<Self> {
        let (count, sizes) = parse_sizes(stbl, file_len)?;
        let offsets = match stbl.child(*b"stco")? {
            Some(stco) => Offsets::Short(stco.table(4, 4)?),
            None => match stbl.child(*b"co64")? {
                Some(co64) => Offsets::Long(co64.table(4, 8)?),
                None if count == 0 => Offsets::Short(Bytes::new()),
                None => return Err(stbl.broken("has neither an stco nor a co64 box")),
            },
        };
        // Fragmented movies may leave the tables out.
        let needed = |kind: [u8; 4], entry_len| match stbl.child(kind)? {
            Some(found) => found.table(4, entry_len),
            None if count == 0 => Ok(Bytes::new()),
            None => Err(stbl.broken(&format!("has no {} box", FourCc(kind)))),
        };
        let chunk_runs = needed(*b"stsc", 12)?;
        let deltas = needed(*b"stts", 8)?;
        let composition = stbl.child(*b"ctts")?.map(|ctts| ctts.table(4, 8)).transpose()?;
        let sync = stbl.child(*b"stss")?.map(|stss| stss.table(4, 4)).transpose()?;
        let dts_shift = composition.as_ref().map_or(0, |table| {
            let least = table.chunks_exact(8).filter_map(|e| be_u32(e, 4)).map(|v| v as i32).min();
            -i64::from(least.unwrap_or(0).min(0))
        });
        let timed = deltas.chunks_exact(8).filter_map(|run| be_u32(run, 0)).map(u64::from).sum();
        Ok(Self {
            count,
            sizes,
            offsets,
            chunk_runs,
            deltas,
            composition,
            sync,
            dts_shift,
            timed,
            last_duration: None,
            pcm: None,
        })
    }

    pub(super) fn sample_count(&self) -> u32 {
        self.count
    }

    pub(super) fn dts_shift(&self) -> i64 {
        self.dts_shift
    }

    pub(super) fn has_composition_offsets(&self) -> bool {
        self.composition.is_some()
    }

    /// The size that all samples share, where the table says so.
    pub(super) fn fixed_size(&self) -> Option<u32> {
        match self.sizes {
            Sizes::Fixed(size) => Some(size),
            _ => None,
        }
    }

    /// Overrides [`Self::fixed_size`] (QuickTime sound, where the table counts 1 per PCM frame).
    pub(super) fn set_fixed_size(&mut self, size: u32) {
        self.sizes = Sizes::Fixed(size);
    }

    /// Hands PCM frames out in groups.
    pub(super) fn set_pcm(&mut self, groups: PcmGroups) {
        self.pcm = Some(groups);
    }

    pub(super) fn pcm(&self) -> Option<&PcmGroups> {
        self.pcm.as_ref()
    }

    /// Number of samples that have durations, where sizes and durations disagree about it. Then the sizes
    /// count: samples without a duration last as long as the one before, surplus durations mean nothing.
    pub(super) fn disagreement(&self) -> Option<u64> {
        (self.timed != u64::from(self.count)).then_some(self.timed)
    }

    /// Whether no chunk lies in front of the one before it in the table.
    pub(super) fn is_in_order(&self) -> bool {
        let mut chunks = (0..u32::MAX).map_while(|chunk| self.chunk_offset(chunk));
        let Some(mut before) = chunks.next() else { return true };
        chunks.all(|offset| std::mem::replace(&mut before, offset) <= offset)
    }

    /// Sum of the durations of all samples.
    pub(super) fn media_duration(&self) -> u64 {
        let mut left = u64::from(self.count);
        let mut total = 0_u64;
        for run in self.deltas.chunks_exact(8) {
            let (Some(count), Some(delta)) = (be_u32(run, 0), be_u32(run, 4)) else { break };
            let count = u64::from(count).min(left);
            left -= count;
            total = total.saturating_add(count.saturating_mul(u64::from(delta)));
        }
        total
    }

    /// Whether all samples are stated to last no time at all.
    pub(super) fn is_timeless(&self) -> bool {
        self.count > 1 && self.media_duration() == 0
    }

    /// Lets every sample last so long.
    pub(super) fn set_duration(&mut self, delta: u32) {
        self.deltas = [self.count.to_be_bytes(), delta.to_be_bytes()].concat().into();
        self.timed = self.count.into();
    }

    /// Where the last sample is stated to last no time, which is what writers put that do not know it: lets it last as
    /// long as the one before it, and returns how long that is.
    pub(super) fn complete_last_duration(&mut self) -> Option<u32> {
        let mut left = u64::from(self.count);
        let (mut before, mut last) = (0, 0);
        for run in self.deltas.chunks_exact(8) {
            let (Some(count), Some(delta)) = (be_u32(run, 0), be_u32(run, 4)) else { break };
            let count = u64::from(count).min(left);
            if count > 0 {
                before = if count > 1 { delta } else { last };
                last = delta;
                left -= count;
            }
        }
        self.last_duration = (last == 0 && before > 0 && left == 0).then_some(before);
        self.last_duration
    }

    /// The latest composition time. Runs are gone through, not samples.
    pub(super) fn latest_composition_time(&self) -> i64 {
        let (mut delta, mut shift) = (Run::default(), Run::default());
        let (mut left, mut dts, mut latest) = (self.count, 0_i64, i64::MIN);
        let composition = self.composition.as_deref().unwrap_or_default();
        while left > 0 {
            let (step, offset) = (delta.peek(&self.deltas), shift.peek(composition));
            let alike = [delta.left, shift.left].into_iter().filter(|run| *run > 0).min().unwrap_or(left);
            let alike = alike.min(left);
            let last = dts.saturating_add(i64::from(step).saturating_mul(i64::from(alike) - 1));
            latest = latest.max(last.saturating_add((offset as i32).into()));
            dts = last.saturating_add(step.into());
            (delta.left, shift.left) = (delta.left.saturating_sub(alike), shift.left.saturating_sub(alike));
            left -= alike;
        }
        latest
    }

    fn size(&self, index: u32) -> u32 {
        let index = index as usize;
        match &self.sizes {
            Sizes::Fixed(size) => *size,
            Sizes::Wide(bytes) => be_u32(bytes, index.saturating_mul(4)).unwrap_or(0),
            Sizes::Compact { bits: 16, bytes } => be_u16(bytes, index.saturating_mul(2)).unwrap_or(0).into(),
            Sizes::Compact { bits: 8, bytes } => bytes.get(index).copied().unwrap_or(0).into(),
            Sizes::Compact { bytes, .. } => {
                let pair = bytes.get(index / 2).copied().unwrap_or(0);
                u32::from(if index.is_multiple_of(2) { pair >> 4 } else { pair & 15 })
            }
        }
    }

    fn chunk_offset(&self, chunk: u32) -> Option<u64> {
        match &self.offsets {
            Offsets::Short(bytes) => be_u32(bytes, (chunk as usize).checked_mul(4)?).map(u64::from),
            Offsets::Long(bytes) => be_u64(bytes, (chunk as usize).checked_mul(8)?),
        }
    }

    /// `(first_chunk, samples_per_chunk, sample_description_index)` of run `index`.
    fn chunk_run(&self, index: u32) -> Option<(u32, u32, u32)> {
        let at = (index as usize).checked_mul(12)?;
        let table = &self.chunk_runs;
        Some((be_u32(table, at)?, be_u32(table, at + 4)?, be_u32(table, at + 8)?))
    }
}

fn parse_sizes(stbl: &Mp4Box, file_len: u64) -> Result<(u32, Sizes)> {
    if let Some(stsz) = stbl.child(*b"stsz")? {
        let too_short = || stsz.broken("is too short");
        let size = be_u32(&stsz.payload, 4).ok_or_else(too_short)?;
        let count = be_u32(&stsz.payload, 8).ok_or_else(too_short)?;
        if size == 0 {
            return Ok((count, Sizes::Wide(stsz.table(8, 4)?)));
        }
        if u64::from(size) * u64::from(count) > file_len {
            return Err(stsz.broken(&format!(
                "claims {count} samples of {size} bytes, more than the {file_len} bytes of the whole file"
            )));
        }
        return Ok((count, Sizes::Fixed(size)));
    }
    let Some(stz2) = stbl.child(*b"stz2")? else {
        return Err(stbl.broken("has neither an stsz nor an stz2 box"));
    };
    let too_short = || stz2.broken("is too short");
    let bits = *stz2.payload.get(7).ok_or_else(too_short)?;
    let count = be_u32(&stz2.payload, 8).ok_or_else(too_short)?;
    let bytes = stz2.payload.slice(12..);
    let need = match bits {
        4 => u64::from(count).div_ceil(2),
        8 => u64::from(count),
        16 => u64::from(count) * 2,
        other => return Err(stz2.broken(&format!("has a field size of {other} bits; 4, 8 and 16 exist"))),
    };
    if need > bytes.len() as u64 {
        return Err(stz2.broken(&format!("claims {count} entries, but has {} bytes for them", bytes.len())));
    }
    Ok((count, Sizes::Compact { bits, bytes }))
}

/// A run-length coded table: `(count, value)` pairs.
#[derive(Clone, Copy, Default)]
struct Run {
    /// Next pair to read.
    next: u32,
    /// Samples left of the current pair.
    left: u32,
    value: u32,
}

impl Run {
    /// The value of the next sample. Behind the end of the table the last value goes on, as in other readers.
    fn advance(&mut self, table: &[u8]) -> u32 {
        let value = self.peek(table);
        self.left = self.left.saturating_sub(1);
        value
    }

    /// The value of the next sample, which stays the next; none are left behind the end of the table.
    fn peek(&mut self, table: &[u8]) -> u32 {
        while self.left == 0 {
            let at = (self.next as usize).saturating_mul(8);
            let (Some(count), Some(value)) = (be_u32(table, at), be_u32(table, at.saturating_add(4))) else {
                break;
            };
            step();
            self.next += 1;
            self.left = count;
            self.value = value;
        }
        self.value
    }
}

/// A place in a [`SampleTable`], in front of a sample. Cheap to copy, so a place can be kept and returned to.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    /// Samples already given.
    done: u32,
    dts: i64,
    delta: Run,
    composition: Run,
    /// Next entry of `stss`.
    sync_next: u32,
    /// Chunks already entered.
    chunks: u32,
    /// Next entry of `stsc`.
    run_next: u32,
    per_chunk: u32,
    description: u32,
    /// Samples left in the current chunk.
    in_chunk: u32,
    offset: u64,
}

impl Cursor {
    /// The next sample; `None` behind the last one.
    pub(super) fn advance(&mut self, table: &SampleTable) -> Result<Option<Entry>> {
        if self.done >= table.count {
            return Ok(None);
        }
        step();
        let number = u64::from(self.done) + 1;
        while self.in_chunk == 0 {
            if let Err(what) = self.enter_chunk(table) {
                // Without a position none of the remaining samples can be read.
                self.done = table.count;
                return Err(Error::corrupt(format!("sample {number} of {}: {what}", table.count)));
            }
        }
        let size = table.size(self.done);
        let mut duration = self.delta.advance(&table.deltas);
        if let Some(last) = table.last_duration.filter(|_| self.done + 1 == table.count) {
            duration = last;
        }
        let shift = match &table.composition {
            Some(table) => self.composition.advance(table) as i32,
            None => 0,
        };
        let mut entry = Entry {
            number,
            offset: self.offset,
            size,
            dts: self.dts,
            cts: self.dts.saturating_add(shift.into()),
            duration,
            sync: self.advance_sync(table),
            description: self.description,
        };
        self.done += 1;
        self.in_chunk -= 1;
        self.dts = self.dts.saturating_add(duration.into());
        self.offset = self.offset.saturating_add(size.into());
        self.extend_group(table, &mut entry);
        Ok(Some(entry))
    }

    /// Adds the PCM frames that follow to the one in `entry`, all of which are alike.
    fn extend_group(&mut self, table: &SampleTable, entry: &mut Entry) {
        let Some(groups) = table.pcm.as_ref().filter(|_| table.composition.is_none() && table.sync.is_none())
        else {
            return;
        };
        let (size, duration) = (entry.size, entry.duration);
        let more = groups.len(entry.cts, size, duration).saturating_sub(1);
        let more = more.min(self.in_chunk).min(self.delta.left).min(table.count - self.done);
        self.done += more;
        self.in_chunk -= more;
        self.delta.left -= more;
        entry.size = size.saturating_mul(more + 1);
        entry.duration = duration.saturating_mul(more + 1);
        self.dts = self.dts.saturating_add(i64::from(entry.duration - duration));
        self.offset = self.offset.saturating_add((entry.size - size).into());
    }

    fn advance_sync(&mut self, table: &SampleTable) -> bool {
        let Some(sync) = &table.sync else { return true };
        let number = self.done + 1;
        loop {
            match be_u32(sync, (self.sync_next as usize).saturating_mul(4)) {
                Some(next) if next < number => self.sync_next += 1,
                Some(next) => return next == number,
                None => return false,
            }
        }
    }

    fn enter_chunk(&mut self, table: &SampleTable) -> Result<(), String> {
        let chunk = self.chunks + 1;
        while let Some((first, per_chunk, description)) = table.chunk_run(self.run_next) {
            // The first run counts from the first chunk, whatever it claims.
            if first > chunk && self.run_next > 0 {
                break;
            }
            self.per_chunk = per_chunk;
            self.description = description;
            self.run_next += 1;
        }
        if self.run_next == 0 {
            return Err("the sample-to-chunk table (stsc) is empty".to_owned());
        }
        let Some(offset) = table.chunk_offset(self.chunks) else {
            return Err(format!("the chunk offset table has only {} chunks", self.chunks));
        };
        self.offset = offset;
        self.in_chunk = self.per_chunk;
        self.chunks = chunk;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_behind_its_table() {
        let table = [0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9];
        let mut run = Run::default();
        let values: Vec<u32> = (0..5).map(|_| run.advance(&table)).collect();
        assert_eq!(values, [7, 7, 9, 9, 9]);
    }
}
