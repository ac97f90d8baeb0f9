//! Edit lists (ISO/IEC 14496-12 clause 8.6.6): from the time line of the media to that of the presentation.
//!
//! An empty edit delays the track; an edit with a media time says that presentation goes on with that point
//! of the media. Times are moved by whole ticks of the track, never stretched. What cannot be expressed by
//! moving samples (repeated or reordered media, slow motion, freeze frames) is refused by name.

use shiguredo_mp4::boxes::ElstBox;

use super::boxes::Mp4Box;
use super::tables::Entry;
use crate::error::{Error, Result};
use crate::time::{TimeBase, Timestamp};

/// A stretch of the media that is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// First composition time presented.
    pub(super) start: i64,
    /// First composition time not presented any more; `i64::MAX` for "to the end".
    pub(super) end: i64,
    /// Presentation time minus composition time.
    pub(super) shift: i64,
}

/// How the media of one track is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edits {
    /// Never empty; ascending and not overlapping in the media.
    segments: Vec<Segment>,
}

/// Times of a sample on the presentation time line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Presented {
    pub(super) pts: i64,
    pub(super) dts: i64,
    pub(super) duration: u64,
    pub(super) discard: bool,
}

impl Edits {
    /// Everything is presented, from zero.
    pub(super) fn none() -> Self {
        Self { segments: vec![Segment { start: i64::MIN, end: i64::MAX, shift: 0 }] }
    }

    /// Reads an `elst` box. `movie` and `media` are the time bases of `mvhd` and `mdhd`.
    ///
    /// [`Error::Unsupported`] where the list asks for something that samples with times cannot say.
    pub(super) fn parse(elst: &Mp4Box, movie: TimeBase, media: TimeBase) -> Result<Self> {
        let list: ElstBox = elst.decode()?;
        let to_media = |ticks: u64| {
            Timestamp::new(i64::try_from(ticks).unwrap_or(i64::MAX), movie).rescale(media).ticks()
        };
        let unsupported = |why: String| Error::Unsupported {
            feature: format!("edit list at offset {}: {why}", elst.offset),
            remedy: "re-encode the file with a player that applies its edits, or leave this track out".into(),
        };
        let mut segments: Vec<Segment> = Vec::new();
        // Durations are added in ticks of the movie and rounded once.
        let mut elapsed = 0_u64;
        for (index, entry) in list.entries.iter().enumerate() {
            let (number, last) = (index + 1, index + 1 == list.entries.len());
            let begin = to_media(elapsed);
            elapsed = elapsed.saturating_add(entry.edit_duration);
            if entry.media_time < 0 {
                if entry.media_time != -1 {
                    return Err(
                        elst.broken(&format!("has media time {} in entry {number}", entry.media_time))
                    );
                }
                continue;
            }
            let rate = (entry.media_rate.integer, entry.media_rate.fraction);
            if rate != (1, 0) {
                return Err(unsupported(format!(
                    "entry {number} plays at rate {}",
                    f64::from(rate.0) + f64::from(rate.1) / 65_536.0
                )));
            }
            let start = entry.media_time;
            let shift = begin.saturating_sub(start);
            let end = match entry.edit_duration {
                // In fragmented files the duration is not known when the list is written.
                0 if last => i64::MAX,
                0 => continue,
                _ => to_media(elapsed).saturating_sub(shift),
            };
            match segments.last_mut() {
                Some(before) if before.shift == shift && before.end == start => before.end = end,
                Some(before) if start < before.end => {
                    return Err(unsupported(format!("entry {number} repeats or reorders media")));
                }
                _ => segments.push(Segment { start, end, shift }),
            }
        }
        if segments.is_empty() {
            // Only empty edits, or none: the list delays the track and hides nothing.
            segments.push(Segment { start: i64::MIN, end: i64::MAX, shift: to_media(elapsed) });
        }
        Ok(Self { segments })
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segment that a composition time belongs to: the one around it, else the next, else the last.
    fn segment_for(&self, cts: i64) -> Segment {
        let around_or_next = self.segments.iter().find(|s| cts < s.end);
        *around_or_next.or(self.segments.last()).unwrap_or(&Segment {
            start: i64::MIN,
            end: i64::MAX,
            shift: 0,
        })
    }

    /// Moves a sample to the presentation. `dts_shift` is how far decoding times are held back so that none
    /// is behind its composition time; sound that reaches into the presentation from before its start is
    /// not marked, since a part of it is heard.
    pub(super) fn present(&self, entry: &Entry, dts_shift: i64, sound: bool) -> Presented {
        let segment = self.segment_for(entry.cts);
        let end = entry.cts.saturating_add(entry.duration.into());
        let early = entry.cts < segment.start && !(sound && end > segment.start);
        let late = entry.cts >= segment.end;
        // The end of the edit shortens the last sample.
        let duration = match end.saturating_sub(segment.end) {
            cut @ 1.. if !early && !late => i64::from(entry.duration).saturating_sub(cut),
            _ => entry.duration.into(),
        };
        Presented {
            pts: entry.cts.saturating_add(segment.shift),
            dts: entry.dts.saturating_sub(dts_shift).saturating_add(segment.shift),
            duration: u64::try_from(duration).unwrap_or(0),
            discard: early || late,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn base(ticks: u32) -> TimeBase {
        TimeBase::new(1, ticks).unwrap()
    }

    /// `entries` are `(duration, media_time, rate)`; movie ticks are 1/1000, media ticks 1/10000.
    fn parse(entries: &[(u32, i32, u32)]) -> Result<Edits> {
        let mut payload = vec![0, 0, 0, 0];
        payload.extend((entries.len() as u32).to_be_bytes());
        for (duration, time, rate) in entries {
            payload.extend(duration.to_be_bytes());
            payload.extend(time.to_be_bytes());
            payload.extend(rate.to_be_bytes());
        }
        let mut bytes = (payload.len() as u32 + 8).to_be_bytes().to_vec();
        bytes.extend(b"elst");
        bytes.extend(payload);
        let bytes = Bytes::from(bytes);
        let elst = Mp4Box { kind: *b"elst", offset: 0, payload: bytes.slice(8..), bytes };
        Edits::parse(&elst, base(1000), base(10_000))
    }

    fn at(cts: i64) -> Entry {
        let dts = cts - 40;
        Entry { number: 1, offset: 0, size: 1, dts, cts, duration: 100, sync: true, description: 1 }
    }

    const ONE: u32 = 0x1_0000;

    #[test]
    fn an_empty_edit_delays_and_a_media_time_advances() {
        let edits = parse(&[(50, -1, ONE), (1000, 200, ONE)]).unwrap();
        assert_eq!(edits.segments(), [Segment { start: 200, end: 10_200, shift: 300 }]);
        let shown = edits.present(&at(200), 0, false);
        assert_eq!(shown, Presented { pts: 500, dts: 460, duration: 100, discard: false });
        assert!(edits.present(&at(199), 0, false).discard);
        assert!(edits.present(&at(10_200), 0, false).discard);
        // Half of this sound is heard.
        assert!(!edits.present(&at(150), 0, true).discard);
        assert!(edits.present(&at(100), 0, true).discard);
    }

    #[test]
    fn the_last_sample_is_cut_at_the_end_of_its_edit() {
        let edits = parse(&[(100, 0, ONE)]).unwrap();
        assert_eq!(edits.present(&at(950), 0, true).duration, 50);
        assert_eq!(edits.present(&at(900), 0, true).duration, 100);
    }

    #[test]
    fn segments_that_touch_are_one_and_a_gap_in_the_media_is_closed() {
        assert_eq!(
            parse(&[(10, 0, ONE), (20, 100, ONE)]).unwrap().segments(),
            [Segment { start: 0, end: 300, shift: 0 }]
        );
        assert_eq!(
            parse(&[(10, 0, ONE), (20, 500, ONE)]).unwrap().segments(),
            [Segment { start: 0, end: 100, shift: 0 }, Segment { start: 500, end: 700, shift: -400 }]
        );
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for list in [&[(10, 0, 0)][..], &[(10, 0, ONE / 2)], &[(10, 0, ONE), (10, 50, ONE)]] {
            let e = parse(list).unwrap_err();
            assert!(matches!(e, Error::Unsupported { .. }), "{list:?}: {e}");
        }
        assert!(matches!(parse(&[(10, -7, ONE)]), Err(Error::CorruptStream { .. })));
    }

    #[test]
    fn a_zero_duration_reaches_to_the_end() {
        assert_eq!(
            parse(&[(0, 64, ONE)]).unwrap().segments(),
            [Segment { start: 64, end: i64::MAX, shift: -64 }]
        );
    }
}
