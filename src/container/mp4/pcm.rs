//! Uncompressed sound: its sample tables count single PCM frames, which are handed out and taken in groups.

use std::collections::TryReserveError;

use super::boxes::{Mp4Box, be_u16, be_u32};
use super::edits::Edits;

/// PCM frames handed out together at most: as in other readers, and about the length of an AAC packet.
const GROUP_FRAMES: u32 = 1024;

/// Bytes handed out together at most, where frames are very large.
const GROUP_BYTES: u32 = 1 << 20;

/// How the PCM frames of a track are grouped into samples.
pub(super) struct PcmGroups {
    /// Bytes of one PCM frame: one value of each channel.
    frame_len: u32,
    /// Composition times at which presentation starts or ends, ascending: no group reaches across.
    edges: Vec<i64>,
}

impl PcmGroups {
    pub(super) fn new(frame_len: u32, edits: &Edits) -> Result<Self, TryReserveError> {
        let edges = edits.segments().iter().flat_map(|segment| [segment.start, segment.end]);
        let mut known: Vec<i64> = Vec::new();
        known.try_reserve_exact(edits.segments().len().saturating_mul(2))?;
        known.extend(edges.filter(|edge| ![i64::MIN, i64::MAX].contains(edge)));
        known.sort_unstable();
        known.dedup();
        Ok(Self { frame_len, edges: known })
    }

    /// How many frames from the one at `cts` on, each of `size` bytes and `duration` ticks, make one sample.
    pub(super) fn len(&self, cts: i64, size: u32, duration: u32) -> u32 {
        if size != self.frame_len || size == 0 || duration == 0 {
            return 1;
        }
        let most = GROUP_FRAMES.min(GROUP_BYTES / size).min(u32::MAX / duration).max(1);
        let next = self.edges.get(self.edges.partition_point(|edge| *edge <= cts));
        let to_edge = next.and_then(|edge| edge.checked_sub(cts));
        // The frame that the edge falls into is the last one of its group.
        let frames = to_edge.map_or(u64::from(most), |ticks| ticks.unsigned_abs().div_ceil(duration.into()));
        most.min(u32::try_from(frames).unwrap_or(most))
    }
}

/// Bytes of one PCM frame of a sound description, QuickTime versions 0, 1 and 2 and ISO/IEC 23003-5; `None`
/// for compressed sound.
pub(super) fn frame_len(entry: &Mp4Box) -> Option<u32> {
    let fields = &entry.payload;
    let (version, channels, bits) = (be_u16(fields, 8)?, be_u16(fields, 16)?, be_u16(fields, 18)?);
    let bytes_per_value = match &entry.kind {
        // Version 2 has wider fields behind the old ones: bytes and PCM frames per packet.
        b"lpcm" | b"sowt" | b"twos" | b"in24" | b"in32" | b"fl32" | b"fl64" if version == 2 => {
            return (be_u32(fields, 60)? == 1).then_some(be_u32(fields, 56)?).filter(|len| *len > 0);
        }
        b"raw " | b"twos" | b"sowt" | b"NONE" => u32::from(bits.div_ceil(8)),
        b"ulaw" | b"alaw" => 1,
        b"in24" => 3,
        b"in32" | b"fl32" => 4,
        b"fl64" => 8,
        b"ipcm" | b"fpcm" => {
            let config = entry.children(28).filter_map(Result::ok).find(|child| child.kind == *b"pcmC")?;
            u32::from(config.payload.get(5)?.div_ceil(8))
        }
        _ => return None,
    };
    Some(bytes_per_value * u32::from(channels)).filter(|len| *len > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_ends_at_an_edge_and_at_its_largest_length() {
        let groups = PcmGroups { frame_len: 4, edges: vec![100, 205] };
        assert_eq!(groups.len(0, 4, 1), 100);
        assert_eq!(groups.len(100, 4, 10), 11);
        assert_eq!(groups.len(300, 4, 1), 1024);
        assert_eq!(groups.len(300, 8, 1), 1, "another size than that of the description");
        assert_eq!(groups.len(300, 4, 1 << 30), 3);
        let large = PcmGroups { frame_len: 1 << 19, edges: Vec::new() };
        assert_eq!(large.len(0, 1 << 19, 1), 2);
    }
}
