//! Seeking: by the cues where there are some, and by the heads of clusters.

use super::block::Block;
use super::demux::{Cluster, MatroskaDemuxer};
use super::ebml::{Element, Header};
use super::ids;
use super::places::group_head;
use crate::error::{Error, Result};
use crate::memory;

/// Where a cluster stands.
#[derive(Clone, Copy)]
struct Place {
    position: u64,
    time: i64,
}

/// A block from which decoding can start.
struct Found {
    position: u64,
    cluster: Cluster,
}

impl MatroskaDemuxer {
    /// Goes to the last key frame of track `index` at or before `ticks` of the file, or to the first cluster.
    pub(super) fn seek_ticks(&mut self, index: usize, ticks: i64) -> Result<()> {
        self.source.skim(true);
        let done = self.go_to_ticks(index, ticks);
        self.source.skim(false);
        done
    }

    fn go_to_ticks(&mut self, index: usize, ticks: i64) -> Result<()> {
        let number = self.inner.get(index).map_or(0, |track| track.number);
        let from = self.by_cues(number, ticks)?.unwrap_or(self.header.first_cluster);
        if let Some(found) = self.last_keyframe(number, from, ticks)? {
            self.source.seek(found.position)?;
            self.restart(found.cluster);
            return Ok(());
        }
        // Cues may point too far; the clusters themselves do not lie.
        if from > self.header.first_cluster
            && let Some(found) = self.last_keyframe(number, self.header.first_cluster, ticks)?
        {
            self.source.seek(found.position)?;
            self.restart(found.cluster);
            return Ok(());
        }
        self.source.seek(self.header.first_cluster)?;
        self.restart(Cluster::default());
        Ok(())
    }

    /// The cluster of the last cue at or before `ticks`: of the track itself, or else of any.
    fn by_cues(&mut self, number: u64, ticks: i64) -> Result<Option<u64>> {
        let start = self.header.start;
        let Some(cues) = self.header.load_cues(&mut self.source, &self.limits)? else { return Ok(None) };
        let (mut own, mut any) = (None::<(i64, u64)>, None::<(i64, u64)>);
        for point in cues.children().map_while(Result::ok).filter(|child| child.id == ids::CUE_POINT) {
            let mut time = None;
            for child in point.children().map_while(Result::ok) {
                match child.id {
                    ids::CUE_TIME => time = child.uint().ok().and_then(|time| i64::try_from(time).ok()),
                    ids::CUE_TRACK_POSITIONS => {
                        let Some(time) = time.filter(|time| *time <= ticks) else { continue };
                        let Some((track, cluster)) = positions(&child) else { continue };
                        let cue = (time, start.saturating_add(cluster));
                        any = any.max(Some(cue));
                        if track == number {
                            own = own.max(Some(cue));
                        }
                    }
                    _ => {}
                }
            }
        }
        let len = self.source.len().unwrap_or(0);
        // A cue of another track may lie behind the key frame that is looked for.
        let place = own.map(|cue| cue.1).filter(|place| *place < len);
        let Some(place) = place else { return Ok(None) };
        self.source.seek(place)?;
        let is_cluster = self.source.peek_header()?.is_some_and(|header| header.id == ids::CLUSTER);
        Ok(is_cluster.then_some(place))
    }

    /// Goes over the heads of the clusters from `from` on, and looks for the key frame in the last of them that begin in time,
    /// then in those before it.
    fn last_keyframe(&mut self, number: u64, from: u64, ticks: i64) -> Result<Option<Found>> {
        let mut places: Vec<Place> = Vec::new();
        let mut position = from;
        while let Some((time, next)) = self.cluster_head(position)? {
            // Blocks lie up to 32768 ticks before the time of their cluster, key frames do not.
            if time > ticks {
                break;
            }
            memory::grow(&mut places, 1)?;
            places.push(Place { position, time });
            position = next;
        }
        for place in places.into_iter().rev() {
            if let Some(found) = self.keyframe_in(place, number, ticks)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The time of the cluster at or behind `position`, and where the next one may begin; `None` behind the last one.
    fn cluster_head(&mut self, position: u64) -> Result<Option<(i64, u64)>> {
        self.source.seek(position)?;
        let mut time = None;
        let mut inside = false;
        loop {
            let here = self.source.position();
            let Some(header) = self.source.peek_header()? else { return Ok(None) };
            if header.id == ids::CLUSTER {
                match time {
                    Some(time) if inside => return Ok(Some((time, here))),
                    _ if inside => return Ok(None),
                    _ => {}
                }
                self.source.consume(header.len);
                inside = true;
                let content = self.source.position();
                let Some(size) = header.size else { continue };
                let time = self.timestamp_within(content.saturating_add(size))?;
                return Ok(time.map(|time| (time, content.saturating_add(size))));
            }
            let Some(size) = header.size.filter(|size| self.is_within(&header, here, *size)) else {
                return Ok(None);
            };
            if inside && ids::is_top_level(header.id) {
                return Ok(time.map(|time| (time, here)));
            }
            self.source.consume(header.len);
            if inside && header.id == ids::TIMESTAMP && size <= 8 {
                time = self.read_time(size)?;
            } else {
                self.source.skip(size)?;
            }
        }
    }

    fn is_within(&self, header: &Header, here: u64, size: u64) -> bool {
        let end = here.saturating_add(header.len as u64).saturating_add(size);
        self.source.len().is_none_or(|len| end <= len)
    }

    fn read_time(&mut self, size: u64) -> Result<Option<i64>> {
        let time = self.source.read(size)?.iter().fold(0_u64, |time, byte| time << 8 | u64::from(*byte));
        Ok(i64::try_from(time).ok().filter(|time| *time < i64::MAX / 4))
    }

    /// The time of the cluster whose content begins here and ends at `end`.
    fn timestamp_within(&mut self, end: u64) -> Result<Option<i64>> {
        while self.source.position() < end {
            let Some(header) = self.source.peek_header()? else { break };
            let Some(size) = header.size else { break };
            self.source.consume(header.len);
            if header.id == ids::TIMESTAMP && size <= 8 {
                return self.read_time(size);
            }
            if !self.source.skip(size)? {
                break;
            }
        }
        Ok(None)
    }

    /// The last key frame of a track at or before `ticks` in a cluster.
    fn keyframe_in(&mut self, place: Place, number: u64, ticks: i64) -> Result<Option<Found>> {
        self.source.seek(place.position)?;
        let Some(head) = self.source.peek_header()?.filter(|head| head.id == ids::CLUSTER) else {
            return Ok(None);
        };
        self.source.consume(head.len);
        let end = head.size.map(|size| self.source.position().saturating_add(size));
        let cluster = Cluster { position: None, time: Some(place.time), end };
        let plain = self.inner.iter().any(|track| track.number == number && track.decoding.is_none());
        let mut found = None;
        while end.is_none_or(|end| self.source.position() < end) {
            let here = self.source.position();
            let Some(header) = self.source.peek_header()? else { break };
            let Some(size) = header.size.filter(|size| self.is_within(&header, here, *size)) else { break };
            if ids::is_top_level(header.id) {
                break;
            }
            let known = match header.id {
                ids::SIMPLE_BLOCK => {
                    let front = self.source.peek(header.len + 16)?;
                    let known = Block::peek(front.get(header.len..).unwrap_or_default());
                    self.source.consume(header.len);
                    self.source.skip(size)?;
                    known
                }
                // Whether a group refers to others stands behind its block.
                ids::BLOCK_GROUP => {
                    self.source.consume(header.len);
                    let end = self.source.position().saturating_add(size);
                    let group = match group_head(&mut self.source, end) {
                        Err(Error::CorruptStream { .. }) => None,
                        group => group?,
                    };
                    self.source.seek(end)?;
                    group.map(|(block, _)| (block.track, block.time, block.keyframe))
                }
                _ => {
                    self.source.consume(header.len);
                    self.source.skip(size)?;
                    None
                }
            };
            let Some((track, time, keyframe)) = known else { continue };
            if track == number && (keyframe || plain) && place.time.saturating_add(time.into()) <= ticks {
                found = Some(Found { position: here, cluster });
            }
        }
        Ok(found)
    }
}

/// The track and the place of the cluster that a cue states.
fn positions(cue: &Element) -> Option<(u64, u64)> {
    let field = |id| cue.children().map_while(Result::ok).find(|child| child.id == id)?.uint().ok();
    Some((field(ids::CUE_TRACK)?, field(ids::CUE_CLUSTER_POSITION)?))
}
