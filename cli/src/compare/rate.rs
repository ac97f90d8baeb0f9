//! The bit rate of a file: what its video track takes, told from the container alone.

use std::path::Path;
use std::time::Duration;

use video_hw::container::{Input, OpenOptions, TrackKind};
use video_hw::limits::Limits;
use video_hw::packet::Packet;
use video_hw::time::{TimeBase, Timestamp};

/// The wanted part of the presentation; an open end is the file's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Part {
    pub(crate) start: Option<Duration>,
    pub(crate) end: Option<Duration>,
}

impl Part {
    const fn is_whole(self) -> bool {
        self.start.is_none() && self.end.is_none()
    }
}

/// Bytes of the video samples that are presented in `part`. `None` where that cannot be told: for uncompressed
/// pictures, for standard input, which is read only once, and for a part of a stream without times.
pub(crate) fn video_bytes(path: &Path, part: Part, limits: Limits) -> Option<u64> {
    if path == Path::new("-") {
        return None;
    }
    // Whatever is wrong with the file, decoding has told.
    let opened = OpenOptions::new().limits(limits).open(path);
    let Ok(Input::Demuxer(mut demuxer)) = opened else { return None };
    let track = demuxer.tracks().iter().find(|t| t.kind == TrackKind::Video && t.video.is_some())?.id;
    demuxer.select_tracks(&[track]);
    let at =
        |time: Duration| Timestamp::new(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX), TimeBase::NANOS);
    let (start, end) = (part.start.map(at), part.end.map(at));
    if let Some(start) = start {
        demuxer.seek(track, start).ok()?;
    }
    let mut bytes = 0;
    while let Some(sample) = demuxer.next_packet().ok()? {
        if sample.track != track {
            continue;
        }
        // What is decoded behind the end is presented behind it, too.
        if end.zip(sample.dts).is_some_and(|(end, dts)| dts >= end) {
            break;
        }
        if part.is_whole() || is_inside(&sample, start, end)? {
            bytes += sample.data.len() as u64;
        }
    }
    Some(bytes)
}

/// `None` without a time.
fn is_inside(sample: &Packet, start: Option<Timestamp>, end: Option<Timestamp>) -> Option<bool> {
    let pts = sample.pts?;
    Some(start.is_none_or(|start| pts >= start) && end.is_none_or(|end| pts < end) && !sample.discard)
}
