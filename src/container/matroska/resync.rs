//! What goes on where a file is not what it says: the ends of segments, elements that nobody knows, and the next cluster behind
//! damage.

use super::demux::{Cluster, MatroskaDemuxer, Step};
use super::ebml::{Header, MAX_HEADER};
use super::ids;
use crate::error::{Error, Result};

/// How much of a pipe is looked over to see what follows an unknown element.
const MOST_LOOKED_OVER: usize = 1 << 15;

impl MatroskaDemuxer {
    /// Whether the segment ends here. Where it says so and yet a cluster goes on or follows, its size is wrong.
    pub(super) fn segment_ends(&mut self, here: u64) -> Result<bool> {
        if self.header.end.is_none_or(|end| here < end) || self.cluster.end.is_some_and(|end| here < end) {
            return Ok(false);
        }
        let next = self.source.peek_header()?.map(|header| header.id);
        if next == Some(ids::CLUSTER) {
            self.header.end = None;
            return Ok(false);
        }
        if matches!(next, Some(ids::SEGMENT | ids::EBML)) && !std::mem::replace(&mut self.told_another, true)
        {
            return self.another_segment(here).map(|_| true);
        }
        Ok(true)
    }

    /// Goes over an element that nobody knows, if what follows it is known: else the size is as doubtful as the rest.
    pub(super) fn skip_unknown(&mut self, header: Header, here: u64, size: u64) -> Result<Step> {
        let end = here.saturating_add(header.len as u64).saturating_add(size);
        if self.source.len().is_none() {
            // On a pipe as much is looked at as is kept anyway.
            let whole = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(header.len);
            if whole <= MOST_LOOKED_OVER {
                let behind =
                    self.source.peek(whole.saturating_add(MAX_HEADER))?.get(whole..).unwrap_or_default();
                if !behind.is_empty() && !Header::parse(behind).is_some_and(|next| ids::is_known(next.id)) {
                    return self.resync(here, "an unknown element");
                }
            }
            self.source.consume(header.len);
            return if self.source.skip(size)? { Ok(Step::Next) } else { Err(self.cut_off(here, size)) };
        }
        self.source.seek(end)?;
        let known = self.source.at_end()?
            || self.cluster.end == Some(end)
            || self.source.peek_header()?.is_some_and(|next| ids::is_known(next.id));
        if known {
            return Ok(Step::Next);
        }
        self.source.seek(here)?;
        self.resync(here, "an unknown element")
    }

    pub(super) fn cut_off(&self, here: u64, size: u64) -> Error {
        self.corrupt(format_args!("the file is cut off in an element of {size} bytes at byte {here}"))
    }

    pub(super) fn another_segment(&mut self, here: u64) -> Result<Step> {
        self.told_another = true;
        self.cluster = Cluster::default();
        let end = self.source.len().unwrap_or(here);
        self.header.end = Some(here.min(end));
        let what = format_args!("another segment begins at byte {here}; the first one is read and no other");
        Err(self.corrupt(what).with_remedy(
            "cut the file there, where a second one was put behind the first, and join the parts with mkvmerge -o WHOLE.mkv FIRST.mkv + SECOND.mkv",
        ))
    }

    /// Looks for the next cluster behind damage at `from`, and tells of it.
    pub(super) fn resync(&mut self, from: u64, found: &str) -> Result<Step> {
        const HEAD: [u8; 4] = ids::CLUSTER.to_be_bytes();
        // One byte further, so that a cluster that is damaged itself is not found again.
        self.source.consume(1);
        self.cluster = Cluster::default();
        loop {
            let ahead = self.source.peek(1 << 15)?;
            let at = ahead.windows(HEAD.len()).position(|window| window == HEAD);
            let len = ahead.len();
            match at {
                Some(at) => {
                    self.source.consume(at);
                    if self.is_cluster()? {
                        let to = self.source.position();
                        return Err(self.corrupt(format_args!(
                            "{found} at byte {from}; {} bytes up to the next cluster are lost",
                            to.saturating_sub(from)
                        )));
                    }
                    self.source.consume(1);
                }
                None if len < HEAD.len() => {
                    self.source.consume(len);
                    return Err(self.corrupt(format_args!(
                        "{found} at byte {from}, and no cluster behind it: the file is cut off or damaged"
                    )));
                }
                None => self.source.consume(len - (HEAD.len() - 1)),
            }
        }
    }

    /// Whether a cluster begins here: behind its header stands what may come first in one.
    fn is_cluster(&mut self) -> Result<bool> {
        let ahead = self.source.peek(32)?;
        let Some(header) = Header::parse(ahead) else { return Ok(false) };
        let first = Header::parse(ahead.get(header.len..).unwrap_or_default());
        Ok(first.is_some_and(|first| {
            matches!(first.id, ids::TIMESTAMP | ids::CRC32 | ids::VOID | ids::POSITION | ids::PREV_SIZE)
                && first.size.is_some_and(|size| size < 1 << 16)
        }))
    }
}
