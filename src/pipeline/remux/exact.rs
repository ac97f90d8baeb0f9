//! A copy that begins and ends with the pictures that are asked for.
//!
//! ```text
//! decoding order   K . . . . . . . S . . . . . . . . . . . X . . .
//!                  └─ decoded ───┘ └──── copied ─────────┘ └─ decoded, where the output cannot hide what is behind the end
//!                       └ shown from the start on: encoded anew  └ shown before the end: encoded anew
//! ```
//! K is the last picture at or before the start at which decoding can begin, S the first behind the start at which copying can.
//! Behind it nothing is decoded but its leading pictures, which are encoded anew with those in front of it. Pictures in front of
//! X are all shown before those behind it, so that the copy is whole and needs none of the others.

use super::cut::MOST_HELD;
use super::picture::{Picture, is_seam};
use super::renew::Renewer;
use crate::backend::Receipt;
use crate::bitstream::{ActiveParameterSets, AvcConfig, HevcConfig};
use crate::codec::Codec;
use crate::container::{TrackId, VideoTrack};
use crate::error::{Error, Result};
use crate::packet::Packet;
use crate::pipeline::begin::{Refresh, is_cut_point};
use crate::time::Timestamp;

/// Pictures that wait for one that is shown before them, at most: more than any stream that can be decoded has.
const MOST_PENDING: usize = 256;

/// What an exact cut encoded anew, and what it copied.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExactReport {
    /// Pictures encoded anew from the start on.
    pub encoded_at_start: u64,
    /// Pictures encoded anew in front of the end.
    pub encoded_at_end: u64,
    /// Pictures copied, those included that the output hides behind the end.
    pub copied: u64,
    /// Why this decoder; `None` where nothing was encoded.
    pub decoder: Option<Receipt>,
    /// Why this encoder.
    pub encoder: Option<Receipt>,
}

/// Takes the pictures of one track in decoding order and gives those of the part.
pub(super) struct Exact {
    pub(super) lead: TrackId,
    video: VideoTrack,
    start: Timestamp,
    end: Option<Timestamp>,
    /// Whether the output hides what is behind the end.
    hides_behind: bool,
    renewer: Renewer,
    /// The parameter sets in force in the source.
    sets: ActiveParameterSets,
    state: State,
    /// Pictures with which those can be decoded that may have to be encoded anew.
    group: Vec<Picture>,
    group_bytes: usize,
    /// How far the group's pictures are from right ones, where it begins with a gradual refresh.
    refresh: Refresh,
    /// The group is too long to be kept.
    overlong: bool,
    /// Pictures of the copy that one may follow which is shown before them.
    pending: Vec<Picture>,
    pub(super) hidden_behind: u64,
    report: ExactReport,
}

enum State {
    /// Nothing is given yet; the time of the picture at which copying will begin, once that is known.
    Gathering(Option<Timestamp>),
    /// Pictures from this time on are copied, random access points with their parameter sets where others come between.
    Copying {
        from: Timestamp,
        with_sets: bool,
    },
    Over,
}

impl Exact {
    pub(super) fn new(
        (lead, video): (TrackId, VideoTrack),
        (start, end): (Timestamp, Option<Timestamp>),
        hides_behind: bool,
        renewer: Renewer,
        mut sets: ActiveParameterSets,
    ) -> Result<Self> {
        if let Some(config) = &video.codec_config {
            sets.observe(&match video.codec {
                Codec::Hevc => HevcConfig::parse(config)?.to_annexb(),
                _ => AvcConfig::parse(config)?.to_annexb(),
            });
        }
        Ok(Self {
            lead,
            video,
            start,
            end,
            hides_behind,
            renewer,
            sets,
            state: State::Gathering(None),
            group: Vec::new(),
            group_bytes: 0,
            refresh: Refresh::default(),
            overlong: false,
            pending: Vec::new(),
            hidden_behind: 0,
            report: ExactReport::default(),
        })
    }

    /// Whether nothing has been given yet, so that other tracks should wait.
    pub(super) const fn is_gathering(&self) -> bool {
        matches!(self.state, State::Gathering(_))
    }

    /// Whether all pictures of the part have come.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Pictures of the part so far.
    pub(super) const fn pictures(&self) -> u64 {
        let ExactReport { encoded_at_start, encoded_at_end, copied, .. } = self.report;
        encoded_at_start + encoded_at_end + copied.saturating_sub(self.hidden_behind)
    }

    /// What was done, and pictures that could not be decoded for it.
    pub(super) fn into_report(self) -> (ExactReport, u64) {
        let (decoder, encoder) = self.renewer.receipts.unzip();
        (ExactReport { decoder, encoder, ..self.report }, self.renewer.lost)
    }

    /// Takes a packet and gives those of the part that are known by it.
    pub(super) fn push(&mut self, packet: Packet, out: &mut Vec<Packet>) -> Result<()> {
        let (Some(pts), Some(dts)) = (packet.pts.or(packet.dts), packet.dts.or(packet.pts)) else {
            out.push(packet);
            return Ok(());
        };
        if self.is_over() {
            return Ok(());
        }
        if self.end.is_some_and(|end| !dts.is_before(end)) {
            return self.finish(out);
        }
        let begins = packet.keyframe && is_cut_point(self.video.codec, self.video.layout, &packet.data);
        let picture = Picture::new(packet, (pts, dts), begins, &mut self.sets)?;
        match self.state {
            State::Gathering(seam) => self.gather(picture, seam, out),
            State::Copying { from, with_sets } => self.copy(picture, from, with_sets, out),
            State::Over => Ok(()),
        }
    }

    /// Gives the rest: nothing follows that is shown in the part.
    pub(super) fn finish(&mut self, out: &mut Vec<Packet>) -> Result<()> {
        if let State::Gathering(seam) = self.state {
            self.begin(seam, out)?;
        }
        if let State::Copying { with_sets, .. } = self.state {
            self.end_copy(with_sets, out)?;
        }
        self.state = State::Over;
        self.group.clear();
        Ok(())
    }

    fn gather(&mut self, picture: Picture, mut seam: Option<Timestamp>, out: &mut Vec<Packet>) -> Result<()> {
        let right = self.refresh.take(self.video.codec, self.video.layout, &picture.packet.data);
        if picture.begins && !self.start.is_before(picture.pts) {
            (self.group_bytes, seam) = (0, None);
            self.group.clear();
        } else if !right && picture.is_shown(self.start, self.end) {
            let start = self.start.as_secs_f64();
            return Err(beyond(format!(
                "a part from {start:.3} s on: nothing at or before it can be decoded alone"
            )));
        } else if !self.refresh.has_begun() {
            return Ok(());
        }
        if seam.is_none()
            && picture.packet.keyframe
            && picture.is_shown(self.start, self.end)
            && is_seam(self.video.codec, &picture.packet)
            && self.group.iter().all(|before| before.pts < picture.pts)
        {
            seam = Some(picture.pts);
        }
        self.group_bytes += picture.packet.data.len();
        if self.group_bytes > MOST_HELD {
            return Err(beyond(format!(
                "a part from {:.3} s on: copying can begin at no picture near it",
                self.start.as_secs_f64()
            )));
        }
        let dts = picture.dts;
        self.group.push(picture);
        self.state = State::Gathering(seam);
        // Its leading pictures have come when decoding has reached its time.
        if seam.is_some_and(|seam| dts >= seam) { self.begin(seam, out) } else { Ok(()) }
    }

    /// Encodes what is shown before the picture at which copying begins, or all where there is none.
    fn begin(&mut self, seam: Option<Timestamp>, out: &mut Vec<Packet>) -> Result<()> {
        let mut group = std::mem::take(&mut self.group);
        let to = seam.or(self.end);
        let head = if group.iter().any(|picture| picture.is_shown(self.start, to)) {
            self.renewer.renew(&group, self.start, to)?
        } else {
            Vec::new()
        };
        let at = group.iter().position(|picture| Some(picture.pts) == seam).unwrap_or(group.len());
        let mut rest = group.split_off(at);
        // Decoding times stay below that of the first copy.
        let early = rest.first().map_or(0, |first| first.pts.ticks_since(first.dts).max(0));
        self.report.encoded_at_start = head.len() as u64;
        let with_sets = !head.is_empty() || self.end.is_some() && !self.hides_behind;
        let (Some(from), Some(first)) = (seam, rest.first_mut()) else {
            self.state = State::Over;
            out.extend(head);
            return Ok(());
        };
        if !head.is_empty() {
            first.break_link(self.video.codec)?;
        }
        if self.end.is_some() && !self.hides_behind {
            // Who cannot encode the end should not begin.
            self.renewer.check(first)?;
        }
        let early = |packet: Packet| Packet { dts: packet.dts.map(|dts| dts.offset(-early)), ..packet };
        out.extend(head.into_iter().map(early));
        self.state = State::Copying { from, with_sets };
        self.group_bytes = 0;
        for picture in rest {
            self.copy(picture, from, with_sets, out)?;
        }
        Ok(())
    }

    fn copy(
        &mut self,
        picture: Picture,
        from: Timestamp,
        with_sets: bool,
        out: &mut Vec<Packet>,
    ) -> Result<()> {
        if picture.pts < from {
            // A leading picture of the first one: it is encoded anew.
            return Ok(());
        }
        let Some(end) = self.end else { return self.give(picture, with_sets, out) };
        let (dts, begins) = (picture.dts, picture.begins);
        if !self.hides_behind {
            self.keep(&picture);
        }
        self.pending.push(picture);
        if self.pending.len() > MOST_PENDING {
            return Err(beyond(format!("a stream in which {MOST_PENDING} pictures wait for an earlier one")));
        }
        // What follows is shown at its decoding time at the earliest.
        let whole = self.whole(dts.min(end));
        for picture in self.pending.drain(..whole).collect::<Vec<_>>() {
            self.give(picture, with_sets, out)?;
        }
        if begins && !self.hides_behind {
            self.forget();
        }
        Ok(())
    }

    /// How many of the pictures that wait are shown before `limit`, and before all others that wait.
    fn whole(&self, limit: Timestamp) -> usize {
        let mut earliest = limit;
        let mut count = self.pending.len();
        let mut latest: Vec<Timestamp> = Vec::new();
        for picture in &self.pending {
            latest.push(latest.last().map_or(picture.pts, |latest| picture.pts.max(*latest)));
        }
        for (picture, latest) in self.pending.iter().zip(&latest).rev() {
            if latest.is_before(earliest) {
                break;
            }
            earliest = earliest.min(picture.pts);
            count -= 1;
        }
        count
    }

    /// The end of the copy: what others refer to that are shown behind it is hidden, or those are encoded anew.
    fn end_copy(&mut self, with_sets: bool, out: &mut Vec<Packet>) -> Result<()> {
        let Some(end) = self.end else { return Ok(()) };
        let whole = self.whole(end);
        let mut rest = self.pending.split_off(whole);
        for picture in std::mem::take(&mut self.pending) {
            self.give(picture, with_sets, out)?;
        }
        let wanted = |picture: &Picture| picture.pts.is_before(end);
        if self.renewer.is_cancelled() {
            return Ok(());
        }
        rest.truncate(rest.iter().rposition(wanted).map_or(0, |last| last + 1));
        let Some(first) = rest.iter().map(|picture| picture.pts).min() else { return Ok(()) };
        if self.hides_behind {
            for mut picture in rest {
                let behind = !wanted(&picture);
                if behind {
                    super::cut::hide_behind(&mut picture.packet);
                }
                self.hidden_behind += u64::from(behind);
                self.give(picture, with_sets, out)?;
            }
            return Ok(());
        }
        let begin = self.group.iter().rposition(|picture| picture.begins && picture.pts <= first);
        let Some(begin) = begin else {
            return Err(beyond(format!(
                "an end at {:.3} s, in a group of pictures that is too long",
                end.as_secs_f64()
            )));
        };
        let group = self.group.split_off(begin);
        let tail = self.renewer.renew(&group, first, Some(end))?;
        self.report.encoded_at_end = tail.len() as u64;
        // Those of the pictures in whose place they stand: no picture is shown before its own.
        out.extend(tail.into_iter().zip(rest).map(|(packet, of)| Packet { dts: Some(of.dts), ..packet }));
        Ok(())
    }

    fn give(&mut self, picture: Picture, with_sets: bool, out: &mut Vec<Packet>) -> Result<()> {
        self.report.copied += 1;
        out.push(if with_sets { picture.complete(self.video.codec)? } else { picture.packet });
        Ok(())
    }

    /// Keeps a picture for decoding those in front of the end.
    fn keep(&mut self, picture: &Picture) {
        self.overlong &= !picture.begins;
        if self.overlong {
            return;
        }
        self.group_bytes += picture.packet.data.len();
        self.group.push(picture.clone());
        if self.group_bytes > MOST_HELD {
            (self.group_bytes, self.overlong) = (0, true);
            self.group.clear();
        }
    }

    /// Forgets the groups in which no picture can be encoded anew any more.
    fn forget(&mut self) {
        let Some(earliest) = self.pending.iter().map(|picture| picture.pts).min() else { return };
        let begin = self.group.iter().rposition(|picture| picture.begins && picture.pts <= earliest);
        let gone = self.group.drain(..begin.unwrap_or(0));
        let gone: usize = gone.map(|picture| picture.packet.data.len()).sum();
        self.group_bytes = self.group_bytes.saturating_sub(gone);
    }
}

fn beyond(feature: String) -> Error {
    Error::Unsupported { feature, remedy: super::renew::OTHERWISE.into() }
}
