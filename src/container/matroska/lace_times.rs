//! When the frames of a block are shown, which says so of the first one alone.

use super::block::Block;
use super::demux::MatroskaDemuxer;
use super::ids;
use super::tracks::MkvTrack;
use crate::error::Result;

/// Elements that are looked through for the next block of a track.
const MOST_LOOKED_THROUGH: usize = 256;

/// How fast the frames of laced blocks follow each other that say it nowhere.
#[derive(Clone, Copy, Default)]
pub(super) struct Pace {
    /// When the last of these blocks began, and its frames.
    last: Option<(i64, u64)>,
    /// Ticks, and the frames that they were shared by.
    span: Option<(u64, u64)>,
}

/// Goes over the frames of a block.
pub(super) struct LaceTimes {
    /// Ticks.
    start: i64,
    laces: u64,
    /// Nanoseconds from the start of the block.
    elapsed: u64,
}

impl LaceTimes {
    /// Of a block in a cluster of this time.
    pub(super) fn new<Frame>(track: &MkvTrack, block: &Block<Frame>, cluster: i64) -> Self {
        let start = cluster.saturating_add(block.time.into()).saturating_sub(track.delay);
        Self { start, laces: block.frames.len() as u64, elapsed: 0 }
    }

    /// The time of frame `index`, and how long it lasts where that is known, in ticks. `sound`: what the frame itself says of
    /// that, in nanoseconds.
    pub(super) fn next<Frame>(
        &mut self,
        track: &MkvTrack,
        block: &Block<Frame>,
        index: usize,
        sound: Option<u64>,
    ) -> (i64, Option<i64>) {
        let laces = self.laces;
        let nanos = track.default_duration.or(sound);
        let (from, length) = match (nanos, block.duration) {
            // A block of one frame says best how long that is.
            (_, Some(ticks)) if laces == 1 => (0, i64::try_from(ticks).ok()),
            (Some(nanos), _) => self.lasting(track, nanos),
            (None, Some(ticks)) => {
                // A block lasts no longer than a day has nanoseconds.
                let at = |index: u64| i64::try_from(ticks.min(1 << 47) * index / laces).unwrap_or(i64::MAX);
                (at(index as u64), Some(at(index as u64 + 1) - at(index as u64)))
            }
            (None, None) => match track.stated_duration().filter(|_| laces > 1) {
                Some(nanos) => self.lasting(track, nanos),
                None => (0, None),
            },
        };
        // What a block states of its length leaves the padding out.
        let is_stated = block.duration.is_some() && (laces == 1 || nanos.is_none());
        let padded = index as u64 + 1 == laces && !is_stated;
        let padding = if padded { u64::try_from(block.discard_padding).unwrap_or(0) } else { 0 };
        let length = length.map(|length| length.saturating_sub(track.ticks(padding)).max(0));
        (self.start.saturating_add(from), length)
    }

    /// From when on and for how long, in ticks, a frame of so many nanoseconds lasts.
    fn lasting(&mut self, track: &MkvTrack, nanos: u64) -> (i64, Option<i64>) {
        let from = track.ticks(self.elapsed);
        self.elapsed = self.elapsed.saturating_add(nanos);
        (from, Some(track.ticks(self.elapsed).saturating_sub(from)))
    }
}

impl MatroskaDemuxer {
    /// How long the frames of a block last together, which goes on to `end`: as it says, or, where neither it nor the track nor
    /// the codec does (`known`), up to the next block of the track.
    pub(super) fn span_of<Frame>(
        &mut self,
        at: usize,
        block: &Block<Frame>,
        (cluster, end): (i64, u64),
        known: bool,
    ) -> Result<Option<u64>> {
        let laces = block.frames.len() as u64;
        if laces < 2 || block.duration.is_some() || known {
            return Ok(block.duration);
        }
        let start = cluster.saturating_add(block.time.into());
        let next = self.time_of_next(block.track, end)?;
        let Some(track) = self.inner.get_mut(at) else { return Ok(None) };
        let pace = &mut track.pace;
        let since = |(before, laces): (i64, u64)| {
            u64::try_from(start.saturating_sub(before))
                .ok()
                .filter(|ticks| *ticks > 0)
                .map(|ticks| (ticks, laces))
        };
        pace.span = pace.last.and_then(since).or(pace.span);
        pace.last = Some((start, laces));
        let up_to =
            next.and_then(|next| u64::try_from(next.saturating_sub(start)).ok()).filter(|ticks| *ticks > 0);
        Ok(up_to.or_else(|| {
            let (ticks, shared) = pace.span?;
            ticks.min(1 << 47).saturating_mul(laces).checked_div(shared)
        }))
    }

    /// The time of the next block of a track behind byte `from`, where the input can seek and it is not far.
    fn time_of_next(&mut self, number: u64, from: u64) -> Result<Option<i64>> {
        if self.source.len().is_none() {
            return Ok(None);
        }
        let back = self.source.position();
        self.source.seek(from)?;
        let mut cluster = self.cluster.time;
        let mut found = None;
        for _ in 0..MOST_LOOKED_THROUGH {
            let Some(header) = self.source.peek_header()? else { break };
            if header.id == ids::CLUSTER {
                self.source.consume(header.len);
                cluster = None;
                continue;
            }
            let Some(size) = header.size else { break };
            let front = self.source.peek(header.len + 16)?.get(header.len..).unwrap_or_default();
            match header.id {
                ids::SIMPLE_BLOCK | ids::BLOCK => {
                    let block = Block::peek(front).filter(|(track, ..)| *track == number);
                    if let Some((time, (_, relative, _))) = cluster.zip(block) {
                        found = Some(time.saturating_add(relative.into()));
                        break;
                    }
                }
                ids::TIMESTAMP if size <= 8 => {
                    let bytes = front.get(..size as usize).unwrap_or_default();
                    let time = bytes.iter().fold(0_u64, |time, byte| time << 8 | u64::from(*byte));
                    cluster = i64::try_from(time).ok().filter(|time| *time < i64::MAX / 4);
                }
                _ => {}
            }
            self.source.consume(header.len);
            // The block of a group is looked at by itself.
            if header.id != ids::BLOCK_GROUP && !self.source.skip(size)? {
                break;
            }
        }
        self.source.seek(back)?;
        Ok(found)
    }
}
