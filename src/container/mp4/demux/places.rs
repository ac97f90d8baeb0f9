//! The packets of a track by the tables alone, and going to one of them.
//!
//! A sample in the tables of `moov` has its number in the order of reading as its place, one in a fragment the number of the
//! fragment (from one) in the upper half and its own in the lower.

use super::{Mp4Demuxer, Reader};
use crate::container::mp4::movie::MovieTrack;
use crate::container::mp4::schedule::{self, Walk};
use crate::container::mp4::tables::Entry;
use crate::container::{EachPacket, PacketPlace};
use crate::error::{Error, Result};
use crate::memory;

/// Samples from one remembered place in the tables to the next: going to a sample costs half as many steps.
const STRIDE: u64 = 256;
/// Where the number of a fragment begins in a place.
const FRAGMENT: u32 = 32;

/// Places in the tables of a track, every [`STRIDE`] samples, as far as they were needed.
#[derive(Default)]
pub(super) struct Marks(Vec<Walk>);

impl Marks {
    /// In front of sample `number`, from zero, in the order of reading; `None` behind the last.
    fn walk_to(&mut self, track: &MovieTrack, number: u64) -> Result<Option<Walk>> {
        if self.0.is_empty() {
            self.0.push(Walk::first(track));
        }
        let mut at = (number / STRIDE).min(self.0.len() as u64 - 1);
        let Some(mut walk) = self.0.get(at as usize).copied() else { return Ok(None) };
        let mut done = at * STRIDE;
        while done < number {
            if walk.advance(track)?.is_none() {
                return Ok(None);
            }
            done += 1;
            if done.is_multiple_of(STRIDE) && done / STRIDE == at + 1 {
                at += 1;
                if at == self.0.len() as u64 {
                    memory::grow(&mut self.0, 1)?;
                    self.0.push(walk);
                }
            }
        }
        Ok(Some(walk))
    }
}

impl Mp4Demuxer {
    /// As [`crate::container::Demuxer::index`]. Damage in the tables ends what they tell, as it ends reading.
    pub(super) fn tell_places(&mut self, index: usize, each: &mut EachPacket<'_>) -> Result<bool> {
        self.plan(index)?;
        let Some(track) = self.movie.tracks.get(index) else { return Ok(false) };
        if track.refusal.is_some() {
            return Ok(false);
        }
        let place = |track: &MovieTrack, entry: &Entry, segment: usize, dts_shift: i64, position: u64| {
            let times = track.present(entry, segment, dts_shift);
            let (keyframe, discard) = (entry.sync, times.discard);
            PacketPlace { pts: times.pts, duration: times.duration, keyframe, discard, position }
        };
        let mut walk = Walk::first(track);
        let mut number = 0;
        while let Some((entry, segment)) = walk.advance(track)? {
            each(place(track, &entry, segment, track.table.dts_shift(), number), None)?;
            number += 1;
        }
        self.fragments.rewind();
        let mut fragment = 0_u64;
        while self.fragments.play_next(&mut self.source, &self.movie)? {
            fragment += 1;
            let Some(track) = self.movie.tracks.get(index) else { break };
            while let Some(entry) = self.fragments.advance(index, track) {
                let segment = track.edits.segment_for(entry.cts);
                each(place(track, &entry, segment, 0, fragment << FRAGMENT | entry.number), None)?;
            }
        }
        self.fragments.rewind();
        self.begin_anew();
        Ok(true)
    }

    /// As [`crate::container::Demuxer::resume`], for the selected track `index`. Other tracks are left behind.
    pub(super) fn go_to_place(&mut self, index: usize, position: u64) -> Result<bool> {
        self.plan(index)?;
        self.fragments.rewind();
        self.begin_anew();
        for (_, reader) in self.readers.iter_mut().enumerate().filter(|(other, _)| *other != index) {
            reader.table_done = true;
        }
        let (fragment, number) = (position >> FRAGMENT, position & u64::from(u32::MAX));
        if fragment == 0 {
            let (Some(track), Some(reader)) = (self.movie.tracks.get(index), self.readers.get_mut(index))
            else {
                return Ok(false);
            };
            reader.walk = reader.marks.walk_to(track, number)?;
            let found = reader.walk.is_some();
            self.line_up();
            return Ok(found);
        }
        let at = (fragment - 1) as usize;
        while self.fragments.count() <= at {
            if !self.fragments.find_next(&mut self.source, &self.movie)? {
                return Ok(false);
            }
        }
        self.fragments.play(at, &mut self.source, &self.movie)?;
        let (Some(track), Some(reader)) = (self.movie.tracks.get(index), self.readers.get_mut(index)) else {
            return Ok(false);
        };
        reader.table_done = true;
        while let Some(entry) = self.fragments.advance(index, track) {
            if entry.number == number {
                reader.head = Some((entry, track.edits.segment_for(entry.cts)));
                break;
            }
        }
        let found = reader.head.is_some();
        self.line_up();
        Ok(found)
    }

    /// Finds out how the edits of a track are played.
    fn plan(&mut self, index: usize) -> Result<()> {
        let Some(track) = self.movie.tracks.get_mut(index) else {
            return Err(Error::invalid("there is no such track"));
        };
        if track.parts.is_empty() {
            track.parts = schedule::plan(track, &self.limits)?;
        }
        Ok(())
    }

    /// Forgets how far every track was read.
    fn begin_anew(&mut self) {
        for reader in &mut self.readers {
            let marks = std::mem::take(&mut reader.marks);
            *reader = Reader { selected: reader.selected, marks, ..Reader::default() };
        }
        self.line_up();
    }
}
