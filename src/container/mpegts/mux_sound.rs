//! Frames of sound that follow each other without a gap, gathered into one PES packet: each PES packet costs a header, and on
//! average half a packet of stuffing.

use super::kinds::SoundKind;
use super::packets::PACKET;
use super::sound_frames::{Found, adts_rate, frame, mpeg_rate};

/// Bytes that fill 16 packets beside the header with one time and the field of a random access point.
pub(super) const MOST_BYTES: usize = 16 * (PACKET - 4) - 14 - 2;
/// Ticks of 90 kHz that a frame waits for others, at most: half of what the clock is behind decoding times.
pub(super) const LONGEST_WAIT: i64 = 31_500;
/// Ticks by which the time of a frame may differ from the counted one: what Matroska rounds to, a millisecond.
const TOLERANCE: i64 = 90;

/// What waits for its PES packet.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) data: Vec<u8>,
    /// The time of the first frame.
    pub(super) pts: i64,
    pub(super) random_access: bool,
    /// Its frames so far: samples, and how many make a second. `None`: who reads it could not count on.
    length: Option<(u64, u32)>,
}

impl Gathered {
    /// Whether so many bytes that begin at `pts` continue it.
    pub(super) fn takes(&self, bytes: usize, pts: i64) -> bool {
        let counted = self.length.map(|(samples, rate)| {
            let ticks = u128::from(samples) * 90_000 / u128::from(rate.max(1));
            self.pts.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX))
        });
        let follows = counted.is_some_and(|counted| counted.abs_diff(pts) <= TOLERANCE.unsigned_abs());
        follows && self.data.len().saturating_add(bytes) <= MOST_BYTES && !self.is_due(pts)
    }

    /// Whether it has waited long enough when others are decoded at `dts`.
    pub(super) fn is_due(&self, dts: i64) -> bool {
        dts.saturating_sub(self.pts) >= LONGEST_WAIT
    }

    /// Adds a frame that lasts so many samples.
    pub(super) fn add(&mut self, data: &[u8], pts: i64, random_access: bool, length: Option<(u64, u32)>) {
        if self.data.is_empty() {
            (self.pts, self.random_access, self.length) = (pts, random_access, length);
        } else {
            let sum = |((all, rate), (samples, _)): ((u64, u32), (u64, u32))| (all + samples, rate);
            self.length = self.length.zip(length).map(sum);
        }
        self.data.extend_from_slice(data);
    }
}

/// Samples of a packet as it is written, and how many make a second; `None` where it is not one frame that says so.
/// `rate`: of the track.
pub(super) fn length(kind: SoundKind, rate: u32, data: &[u8]) -> Option<(u64, u32)> {
    let found = match frame(kind, data) {
        Found::Frame(found) => found,
        Found::Short | Found::Nothing => return None,
    };
    let rate = match kind {
        // An access unit of E-AC-3 has as many samples, in one frame or several.
        SoundKind::Dolby => return (rate > 0).then_some((1536, rate)),
        SoundKind::Adts | SoundKind::Unstated => adts_rate(data)?,
        SoundKind::Mpeg => mpeg_rate(data.get(1)? & 8 == 0, *data.get(2)?)?,
        SoundKind::Opus(_) => 48_000,
    };
    (found.length == data.len() && found.samples > 0).then_some((found.samples, rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_wait_for_what_follows_them_without_a_gap() {
        let mut waiting = Gathered::default();
        waiting.add(&[0; 300], 1000, true, Some((1024, 48_000)));
        assert!(waiting.takes(300, 2920) && waiting.takes(300, 3000));
        assert!(!waiting.takes(300, 3100), "a gap");
        assert!(!waiting.takes(MOST_BYTES - 299, 2920), "no room");
        assert!(!waiting.is_due(32_499) && waiting.is_due(32_500));
        waiting.add(&[0; 300], 2920, true, None);
        assert!(!waiting.takes(300, 4840), "nobody can count on");
    }
}
