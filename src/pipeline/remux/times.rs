//! Times that a container does not give: raw streams have none, and some containers state none of decoding.

use std::collections::VecDeque;

use crate::bitstream::{DisplayOrder, StreamInfo};
use crate::codec::Codec;
use crate::container::{Track, VideoTrack};
use crate::packet::Packet;
use crate::time::{TimeBase, Timestamp};

/// Most pictures that wait for one that is shown before them (H.264, A.3.1; H.265, A.4.2).
const DEEPEST: usize = 16;

/// Completes the times of one video track, in decoding order.
pub(in crate::pipeline) struct Stamper {
    video: VideoTrack,
    base: TimeBase,
    order: DisplayOrder,
    /// Pictures that are decoded before one that is shown earlier, at most; known with the first packet.
    depth: Option<usize>,
    waiting: VecDeque<Waiting>,
    /// Packets taken and ranks given.
    taken: i64,
    ranked: i64,
    last_key: (u64, i32),
    /// Presentation times that no decoding time was made of yet, ascending.
    times: VecDeque<Timestamp>,
    /// Decoding times given.
    given: usize,
}

struct Waiting {
    packet: Packet,
    key: (u64, i32),
    dts: i64,
    rank: Option<i64>,
}

impl Stamper {
    /// `None` for tracks that are no video.
    pub(in crate::pipeline) fn new(track: &Track) -> Option<Self> {
        let video = track.video.clone()?;
        Some(Self {
            base: track.time_base,
            order: DisplayOrder::new(video.codec),
            video,
            depth: None,
            waiting: VecDeque::new(),
            taken: 0,
            ranked: 0,
            last_key: (0, 0),
            times: VecDeque::new(),
            given: 0,
        })
    }

    /// Takes a packet and gives those whose times are known by it.
    pub(in crate::pipeline) fn push(&mut self, packet: Packet, out: &mut Vec<Packet>) {
        if packet.pts.is_some() && packet.dts.is_some() {
            return out.push(packet);
        }
        let depth = match self.depth {
            Some(depth) => depth,
            None => *self.depth.insert(self.depth_of(&packet)),
        };
        match packet.pts {
            Some(pts) => self.derive(packet, pts),
            None => self.rank(packet, depth),
        }
        self.give(depth, false, out);
    }

    /// Gives the rest.
    pub(in crate::pipeline) fn finish(&mut self, out: &mut Vec<Packet>) {
        while self.rank_lowest() {}
        self.give(self.depth.unwrap_or(0), true, out);
    }

    fn depth_of(&self, packet: &Packet) -> usize {
        let codec = self.video.codec;
        let config = self.video.codec_config.as_deref();
        let of_config = config.and_then(|config| StreamInfo::from_config(codec, config).ok().flatten());
        let info = of_config
            .or_else(|| StreamInfo::from_unit(codec, self.video.layout, &packet.data).ok().flatten());
        match (codec, info) {
            (Codec::H264 | Codec::Hevc, Some(info)) => {
                (info.reorder_depth.unwrap_or(info.dpb_frames) as usize).min(DEEPEST)
            }
            (Codec::H264 | Codec::Hevc, None) => DEEPEST,
            (Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1, _) => 1,
            _ => 0,
        }
    }

    /// A packet without times: it is shown in the place that its headers give it.
    fn rank(&mut self, packet: Packet, depth: usize) {
        let (period, count) = self.last_key;
        let key = self.order.of_unit(self.video.layout, &packet.data);
        let key = key.unwrap_or((period, count.saturating_add(1)));
        if key.0 > period {
            while self.rank_lowest() {}
        }
        self.last_key = key;
        let dts = self.taken.saturating_sub(i64::try_from(depth).unwrap_or(0));
        self.taken += 1;
        self.waiting.push_back(Waiting { packet, key, dts, rank: None });
        while self.waiting.iter().filter(|one| one.rank.is_none()).count() > depth {
            self.rank_lowest();
        }
    }

    fn rank_lowest(&mut self) -> bool {
        let unranked = self.waiting.iter_mut().filter(|one| one.rank.is_none());
        let Some(lowest) = unranked.min_by_key(|one| one.key) else { return false };
        lowest.rank = Some(self.ranked);
        self.ranked += 1;
        true
    }

    /// A packet with a presentation time alone: decoding times are the same times, earlier by the depth.
    fn derive(&mut self, packet: Packet, pts: Timestamp) {
        let at = self.times.partition_point(|time| *time <= pts);
        self.times.insert(at, pts);
        self.waiting.push_back(Waiting { packet, key: (0, 0), dts: 0, rank: Some(0) });
    }

    fn give(&mut self, depth: usize, ended: bool, out: &mut Vec<Packet>) {
        while let Some(first) = self.waiting.front() {
            let Some(rank) = first.rank else { return };
            let (stated, number, duration) = (first.packet.pts, first.dts, first.packet.duration);
            let (pts, dts, duration) = match stated {
                None => {
                    let ticks = |ticks| Timestamp::new(ticks, self.base);
                    (ticks(rank), ticks(number), duration.or(Some(1)))
                }
                // The first decoding times lie before the first presentation time, which has to be known.
                Some(_) if self.given < depth && self.times.len() <= depth && !ended => return,
                Some(pts) => (pts, self.next_dts(depth).unwrap_or(pts), duration),
            };
            let Some(Waiting { packet, .. }) = self.waiting.pop_front() else { return };
            out.push(Packet { duration, ..packet.at(pts, dts) });
        }
    }

    fn next_dts(&mut self, depth: usize) -> Option<Timestamp> {
        let number = self.given;
        self.given += 1;
        if number >= depth {
            return self.times.pop_front();
        }
        let first = *self.times.front()?;
        let step = self.times.get(1).map_or(1, |second| second.ticks_since(first)).max(1);
        Some(first.offset(step.saturating_mul(i64::try_from(depth - number).unwrap_or(0)).saturating_neg()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{TrackId, TrackKind};
    use crate::dimensions::Dimensions;
    use crate::packet::BitstreamLayout;

    fn stamper(codec: Codec) -> Stamper {
        let size = Dimensions::new(16, 16).unwrap();
        let video = VideoTrack::new(codec, BitstreamLayout::elementary(codec), size);
        let track = Track {
            id: TrackId(1),
            kind: TrackKind::Video,
            time_base: TimeBase::new(1, 25).unwrap(),
            codec_name: String::new(),
            language: None,
            duration: None,
            sample_count: None,
            video: Some(video),
            copy: None,
        };
        Stamper::new(&track).unwrap()
    }

    fn times(stamper: &mut Stamper, packets: Vec<Packet>) -> Vec<(i64, i64)> {
        let mut out = Vec::new();
        for packet in packets {
            stamper.push(packet, &mut out);
        }
        stamper.finish(&mut out);
        out.iter().map(|packet| (packet.pts.unwrap().ticks(), packet.dts.unwrap().ticks())).collect()
    }

    #[test]
    fn raw_pictures_are_shown_where_their_headers_say() {
        // Groups of MPEG-2 with `temporal_reference`: I2 B0 B1, P5 B3 B4; I1 B0.
        let unit = |group: bool, reference: u16| {
            let mut unit = if group { vec![0, 0, 1, 0xB8, 0, 8, 0, 0x40] } else { Vec::new() };
            unit.extend([0, 0, 1, 0, (reference >> 2) as u8, (reference << 6) as u8 | 0x0F, 0xFF, 0xF8]);
            Packet::new(Codec::Mpeg2, BitstreamLayout::Opaque, unit)
        };
        let units =
            [(true, 2), (false, 0), (false, 1), (false, 5), (false, 3), (false, 4), (true, 1), (false, 0)];
        let packets = units.map(|(group, reference)| unit(group, reference)).to_vec();
        let times = times(&mut stamper(Codec::Mpeg2), packets);
        assert_eq!(times.iter().map(|time| time.0).collect::<Vec<_>>(), [2, 0, 1, 5, 3, 4, 7, 6]);
        assert!(times.iter().all(|(pts, dts)| dts <= pts), "{times:?}");
        assert!(times.windows(2).all(|two| two[0].1 < two[1].1), "{times:?}");
    }

    #[test]
    fn decoding_times_are_made_of_presentation_times() {
        let base = TimeBase::new(1, 25).unwrap();
        let packets = [6_i64, 2, 4, 12, 8, 10].map(|pts| Packet {
            pts: Some(Timestamp::new(pts, base)),
            ..Packet::new(Codec::Mpeg2, BitstreamLayout::Opaque, vec![0])
        });
        let times = times(&mut stamper(Codec::Mpeg2), packets.to_vec());
        assert_eq!(times, [(6, -2), (2, 2), (4, 4), (12, 6), (8, 8), (10, 10)]);
    }
}
