//! Packed pictures from a byte stream, in memory that is used again.

use std::io::{self, Read};

use bytes::{Bytes, BytesMut};

use crate::error::Result;
use crate::frame::{Frame, HostSurface};
use crate::rawvideo::VideoFormat;
use crate::stream_io::{fill, read_up_to};
use crate::time::{TimeBase, Timestamp};

/// Buffers kept for reuse. More pictures than this may be on their way; the rest is allocated afresh.
const KEPT_BUFFERS: usize = 4;

/// Reads pictures of one format and numbers them.
pub(super) struct PictureInput {
    format: VideoFormat,
    frame_bytes: usize,
    next_index: u64,
    /// Second handles to buffers of delivered pictures; free for reuse once the handle is the only one.
    lent: Vec<Bytes>,
}

/// What came out of the stream.
pub(super) enum PictureRead {
    /// A whole picture.
    Whole(Frame),
    /// The stream ended after this many bytes of it, fewer than [`PictureInput::frame_bytes`].
    Short(usize),
}

impl PictureInput {
    pub(super) fn new(format: VideoFormat) -> Self {
        let frame_bytes = format.format.frame_bytes(format.dimensions);
        Self { format, frame_bytes, next_index: 0, lent: Vec::new() }
    }

    pub(super) fn format(&self) -> &VideoFormat {
        &self.format
    }

    pub(super) fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// Number of the next picture.
    pub(super) fn next_index(&self) -> u64 {
        self.next_index
    }

    pub(super) fn read(&mut self, reader: &mut impl Read) -> io::Result<Result<PictureRead>> {
        let data = match self.reclaim() {
            Some(mut buffer) => {
                let filled = fill(reader, &mut buffer)?;
                buffer.truncate(filled);
                buffer.freeze()
            }
            // Nothing to reuse: the size is the header's claim, so grow with what is read.
            None => Bytes::from(read_up_to(reader, self.frame_bytes)?),
        };
        if data.len() < self.frame_bytes {
            return Ok(Ok(PictureRead::Short(data.len())));
        }
        if self.lent.len() < KEPT_BUFFERS {
            self.lent.push(data.clone());
        }
        Ok(self.frame(data).map(PictureRead::Whole))
    }

    /// A buffer of a picture that nobody holds any more; it has exactly `frame_bytes` bytes.
    fn reclaim(&mut self) -> Option<BytesMut> {
        let free = self.lent.iter().position(Bytes::is_unique)?;
        let buffer = self.lent.swap_remove(free).try_into_mut().ok()?;
        (buffer.len() == self.frame_bytes).then_some(buffer)
    }

    fn frame(&mut self, data: Bytes) -> Result<Frame> {
        let VideoFormat { format, dimensions, frame_rate, color, sample_aspect_ratio } = self.format;
        let index = i64::try_from(self.next_index).unwrap_or(i64::MAX);
        let pts = Timestamp::new(index, TimeBase::from_frame_rate(frame_rate));
        self.next_index = self.next_index.saturating_add(1);
        let mut frame = Frame::host(pts, HostSurface::from_packed(format, dimensions, data)?);
        frame.duration = Some(1);
        frame.color = color;
        frame.sample_aspect_ratio = sample_aspect_ratio;
        frame.keyframe = true;
        Ok(frame)
    }
}
