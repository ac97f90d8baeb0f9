//! The part of an input that is copied: from a picture at which decoding can begin on, to the last one that is wanted.
//!
//! What has to be decoded and is not wanted is hidden where the output can say so. Otherwise it is shown, and told.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use super::super::begin::is_cut_point;
use super::picture::with_sets;
use crate::bitstream::ActiveParameterSets;
use crate::container::{Hides, Track, TrackId, TrackKind, VideoTrack};
use crate::error::{Error, Result};
use crate::packet::{BitstreamLayout, Packet};
use crate::time::{TimeBase, Timestamp};

/// Sound in front of the start that its decoder needs as a run-up (an Opus decoder 80 ms, the others one packet).
const RUN_UP_SECONDS: f64 = 0.1;
/// Other tracks keep so much in front of a picture at which copying may begin.
const LEAD_SECONDS: f64 = 1.0;
/// Reading ends when it is so far behind the end, whatever has not come until then.
const BEHIND_SECONDS: f64 = 10.0;
/// Most bytes in front of the start that are kept until it is known where copying begins.
pub(super) const MOST_HELD: usize = 256 << 20;

/// What a cut had to do besides leaving out what was not wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutReport {
    /// From where copying began, at a picture that can be decoded alone, to the start that was asked for.
    pub before: Duration,
    /// Pictures in front of the start that had to be included.
    pub included_before: u64,
    /// Pictures behind the end that had to be included, since others refer to them.
    pub included_behind: u64,
    /// Whether the output tells players to leave out what was included before the start.
    pub hidden_before: bool,
    /// Whether it does so of what was included behind the end.
    pub hidden_behind: bool,
    /// Pictures left out because they refer to what lies before the first picture.
    pub leading_left_out: u64,
}

impl CutReport {
    /// What is told of it.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.included_before > 0 {
            let (count, before) = (self.included_before, self.before.as_secs_f64());
            notes.push(if self.hidden_before {
                format!(
                    "{count} pictures before the start are included and hidden: decoding begins {before:.3} s earlier, at a key frame"
                )
            } else {
                format!("the output begins {before:.3} s before the start, at a key frame: {count} pictures more are shown")
            });
        }
        if self.included_behind > 0 {
            let what = format!(
                "{} pictures behind the end are included: others refer to them",
                self.included_behind
            );
            notes.push(if self.hidden_behind { format!("{what}; they are hidden") } else { what });
        }
        if self.leading_left_out > 0 {
            notes.push(format!(
                "{} pictures are left out: they refer to pictures before the first key frame",
                self.leading_left_out
            ));
        }
        notes
    }
}

/// Takes packets in storage order and gives those that are copied, with their times in the output.
pub(super) struct Cut {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    hides: Hides,
    /// The track whose pictures decide where copying begins.
    lead: Option<(TrackId, VideoTrack)>,
    videos: HashSet<TrackId>,
    /// Texts and chapters: what has begun before the start is still shown.
    lasting: HashSet<TrackId>,
    /// What was read and may be copied, until it is known where copying begins.
    held: Vec<Packet>,
    held_bytes: usize,
    /// The first picture that is copied, on the input's time line; known as long as nothing is held.
    first: Option<Timestamp>,
    begun: bool,
    /// The parameter sets in force, which the first picture that is copied needs.
    sets: ActiveParameterSets,
    /// Pictures of the lead that lie in the part, and those left out since nothing before them can be decoded alone.
    pictures: u64,
    undecodable: u64,
    /// What the times of the input are in the output: these are taken off.
    origin: Option<Timestamp>,
    /// Pictures behind the end, for one that refers to them.
    behind: Vec<Packet>,
    ended: HashSet<TrackId>,
    tracks: usize,
    over: bool,
    pub(super) report: CutReport,
}

impl Cut {
    pub(super) fn new(
        (start, duration): (Option<Duration>, Option<Duration>),
        hides: Hides,
        lead: Option<(TrackId, VideoTrack)>,
        tracks: &[&Track],
        sets: ActiveParameterSets,
    ) -> Self {
        let of_kind = |kind: TrackKind| -> HashSet<TrackId> {
            tracks.iter().filter(|track| track.kind == kind).map(|track| track.id).collect()
        };
        let start = start.filter(|start| !start.is_zero());
        Self {
            start: start.map(at),
            end: duration.map(|duration| at(start.unwrap_or_default().saturating_add(duration))),
            hides,
            begun: start.is_none() || lead.is_none(),
            origin: start.filter(|_| lead.is_none()).map(at),
            lead,
            videos: tracks.iter().filter(|track| track.video.is_some()).map(|track| track.id).collect(),
            lasting: of_kind(TrackKind::Subtitle),
            held: Vec::new(),
            held_bytes: 0,
            first: None,
            sets,
            pictures: 0,
            undecodable: 0,
            behind: Vec::new(),
            ended: HashSet::new(),
            tracks: tracks.len(),
            over: false,
            report: CutReport::default(),
        }
    }

    /// Whether nothing that is wanted can come any more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// What is told of the cut, if there was one.
    pub(super) fn is_wanted(&self) -> bool {
        self.start.is_some() || self.end.is_some()
    }

    /// Refuses a part of `input` in which no picture lies.
    pub(super) fn check(&self, pictures: u64, input: &Path) -> Result<()> {
        if pictures > 0 || !self.is_wanted() {
            return Ok(());
        }
        let (name, start) = (input.display(), self.start.map_or(0.0, Timestamp::as_secs_f64));
        if self.undecodable > 0 {
            return Err(Error::Unsupported {
                feature: format!(
                    "copying {name} from {start:.3} s on: no picture at or before it can be decoded alone"
                ),
                remedy: "begin somewhere else, or encode the part anew".into(),
            });
        }
        Err(Error::invalid(match self.end {
            Some(end) => format!(
                "no frame of {name} is shown between {start:.3} s and {:.3} s; give an earlier start or a longer part",
                end.as_secs_f64()
            ),
            None => format!("nothing of {name} lies behind start {start} s; give an earlier start"),
        }))
    }

    /// Pictures of the part.
    pub(super) const fn pictures(&self) -> u64 {
        self.pictures
    }

    /// No more of this track is wanted.
    pub(super) fn end_track(&mut self, track: TrackId) {
        self.ended.insert(track);
        self.over |= self.ended.len() >= self.tracks;
    }

    /// Takes a packet and gives those that are copied.
    pub(super) fn push(&mut self, mut packet: Packet, out: &mut Vec<Packet>) -> Result<()> {
        if self.begun {
            self.place(packet, out);
            return Ok(());
        }
        let (Some(start), Some((lead, video))) = (self.start, &self.lead) else { return Ok(()) };
        let pts = packet.pts.or(packet.dts);
        if packet.track == *lead {
            let dts = packet.dts.or(packet.pts);
            let begins = packet.keyframe && is_cut_point(video.codec, video.layout, &packet.data);
            if video.layout == BitstreamLayout::AnnexB {
                let missing = if begins { self.sets.missing_from(&packet.data) } else { Vec::new() };
                self.sets.observe(&packet.data);
                packet = with_sets(video.codec, packet, &missing)?;
            }
            if begins && pts.is_some_and(|pts| !start.is_before(pts)) {
                self.begin_at(&packet);
            } else if dts.is_some_and(|dts| start.is_before(dts)) {
                // No picture from here on is shown before the start.
                if self.first.is_none() && !begins {
                    let is_wanted = |pts: Timestamp| self.end.is_none_or(|end| pts.is_before(end));
                    self.undecodable += u64::from(pts.is_some_and(is_wanted));
                    return Ok(());
                }
                self.first = self.first.or(pts);
                self.begin();
                for held in std::mem::take(&mut self.held) {
                    self.place(held, out);
                }
                self.place(packet, out);
                return Ok(());
            }
            if self.first.is_none() {
                return Ok(());
            }
        }
        self.held_bytes += packet.data.len();
        if self.held_bytes > MOST_HELD {
            return Err(Error::Unsupported {
                feature: format!(
                    "copying from {:.3} s on: no picture near it can be decoded alone",
                    start.as_secs_f64()
                ),
                remedy: "begin somewhere else, or encode the part anew".into(),
            });
        }
        self.held.push(packet);
        Ok(())
    }

    /// Gives the rest.
    pub(super) fn finish(&mut self, out: &mut Vec<Packet>) {
        let lead = self.lead.as_ref().map(|(lead, _)| *lead);
        let wanted = |packet: &Packet| {
            let from_start = |pts: Timestamp| self.start.is_none_or(|start| !pts.is_before(start));
            Some(packet.track) == lead && packet.pts.is_some_and(from_start)
        };
        if !self.begun && self.first.is_some() && self.held.iter().any(wanted) {
            self.begin();
            for held in std::mem::take(&mut self.held) {
                self.place(held, out);
            }
        }
        self.behind.clear();
        self.report.hidden_behind = self.report.included_behind > 0 && self.hides.behind;
    }

    /// A picture at which copying may begin: what was held in front of it goes, but for what other tracks may need.
    fn begin_at(&mut self, key: &Packet) {
        self.first = key.pts.or(key.dts);
        let from = self.first.map_or(f64::MIN, |first| first.as_secs_f64() - LEAD_SECONDS);
        let (videos, lasting) = (&self.videos, &self.lasting);
        self.held.retain(|packet| {
            !videos.contains(&packet.track)
                && (lasting.contains(&packet.track) || seconds_of_end(packet) >= from)
        });
        self.held_bytes = self.held.iter().map(|packet| packet.data.len()).sum();
    }

    fn begin(&mut self) {
        self.begun = true;
        let (Some(start), Some(first)) = (self.start, self.first) else { return };
        self.report.hidden_before = self.hides.before;
        self.origin = Some(if self.hides.before { start } else { first.min(start) });
        let before = start.as_secs_f64() - first.as_secs_f64();
        self.report.before = Duration::try_from_secs_f64(before).unwrap_or_default();
    }

    /// A packet where it is known what is copied.
    fn place(&mut self, mut packet: Packet, out: &mut Vec<Packet>) {
        let (pts, dts) = (packet.pts.or(packet.dts), packet.dts.or(packet.pts));
        let (Some(pts), Some(dts)) = (pts, dts) else { return out.push(packet) };
        if let Some(end) = self.end {
            if !dts.is_before(end) {
                self.end_track(packet.track);
                self.over |= dts.as_secs_f64() > end.as_secs_f64() + BEHIND_SECONDS;
                return;
            }
            if !pts.is_before(end) {
                if self.videos.contains(&packet.track) {
                    // It is wanted if a picture follows that is.
                    if self.hides.behind {
                        hide_behind(&mut packet);
                    }
                    self.behind.push(packet);
                }
                return;
            }
        }
        if self.videos.contains(&packet.track) {
            if self.place_picture(&mut packet, pts) {
                let waited = std::mem::take(&mut self.behind);
                let (own, others): (Vec<_>, Vec<_>) =
                    waited.into_iter().partition(|waiting| waiting.track == packet.track);
                self.behind = others;
                self.report.included_behind += own.len() as u64;
                out.extend(own.into_iter().map(|packet| self.moved(packet)));
                out.push(self.moved(packet));
            }
        } else if let Some(packet) = self.place_other(packet, pts) {
            out.push(self.moved(packet));
        }
    }

    /// Whether a picture is copied.
    fn place_picture(&mut self, packet: &mut Packet, pts: Timestamp) -> bool {
        let is_lead = self.lead.as_ref().is_some_and(|(lead, _)| *lead == packet.track);
        let Some(start) = self.start else {
            self.pictures += u64::from(is_lead && !packet.discard);
            return true;
        };
        if is_lead && self.first.is_some_and(|first| pts < first) {
            self.report.leading_left_out += 1;
            return false;
        }
        if is_lead && !packet.discard && !pts.is_before(start) {
            self.pictures += 1;
        }
        if pts.is_before(start) {
            self.report.included_before += u64::from(is_lead);
            packet.discard |= self.hides.before;
        }
        true
    }

    /// A sample of sound, text or something else that is not before the start.
    fn place_other(&self, mut packet: Packet, pts: Timestamp) -> Option<Packet> {
        // A text or a chapter that lasts beyond the part would make the output as long.
        if let (Some(end), true) = (self.end, self.lasting.contains(&packet.track)) {
            let left = end.rescale(pts.base()).ticks_since(pts).unsigned_abs();
            packet.duration = packet.duration.map(|duration| duration.min(left));
        }
        let origin = self.origin.filter(|_| self.start.is_some());
        let Some(origin) = origin.filter(|origin| pts.is_before(*origin)) else { return Some(packet) };
        let late = origin.rescale(pts.base()).ticks_since(pts);
        let left = packet.duration.and_then(|duration| duration.checked_sub(late.unsigned_abs()));
        let left = left.filter(|left| *left > 0);
        if self.lasting.contains(&packet.track) {
            let begin = pts.offset(late);
            (packet.pts, packet.dts, packet.duration) = (Some(begin), Some(begin), Some(left?));
            return Some(packet);
        }
        if !self.hides.before {
            // What has begun before cannot be cut.
            return None;
        }
        if left.is_none() {
            let run_up = origin.as_secs_f64() - RUN_UP_SECONDS;
            packet.discard = true;
            return (pts.as_secs_f64() >= run_up).then_some(packet);
        }
        Some(packet)
    }

    /// The packet at its time in the output.
    pub(super) fn moved(&self, mut packet: Packet) -> Packet {
        if let Some(origin) = self.origin {
            let moved = |time: Timestamp| time.offset(origin.rescale(time.base()).ticks().saturating_neg());
            packet.pts = packet.pts.map(moved);
            packet.dts = packet.dts.map(moved);
        }
        packet
    }
}

/// Marks a picture that is there for others alone and shown behind the end. It is no entry point: `FFmpeg` reads no further
/// than the first one behind an edit, and pictures that are shown before it may follow (H.265 section 3.74, leading pictures).
pub(super) fn hide_behind(packet: &mut Packet) {
    (packet.discard, packet.keyframe) = (true, false);
}

fn seconds_of_end(packet: &Packet) -> f64 {
    let end =
        packet.pts.map(|pts| pts.offset(packet.duration.and_then(|d| i64::try_from(d).ok()).unwrap_or(0)));
    end.map_or(f64::MAX, Timestamp::as_secs_f64)
}

pub(super) fn at(time: Duration) -> Timestamp {
    Timestamp::new(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX), TimeBase::NANOS)
}
