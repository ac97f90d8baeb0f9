//! Many frames in any order, each group of pictures decoded once as far as memory allows.

use std::collections::HashMap;

use super::Reader;
use super::engine::{Engine, Fed};
use super::index::Index;
use super::plan::{self, Span};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::memory;
use crate::pipeline::Finish;

/// Frames in the order in which they were asked for; see [`Reader::frames`].
///
/// Behind an error of one frame the others still come; behind the end of the decoder, the next begins with a new one.
#[must_use = "frames are decoded as they are taken"]
pub struct Frames<'r> {
    reader: &'r mut Reader,
    /// Which, in the order asked for, and how many of them were given.
    list: Vec<usize>,
    given: usize,
    batch: Option<Batch>,
}

/// Frames that are decoded together.
struct Batch {
    /// Where in the list it ends.
    until: usize,
    /// The packets of its frames, ascending.
    packets: Vec<u32>,
    spans: Vec<Span>,
    /// The span being fed, and the one of the last frame that came.
    span: usize,
    begun: bool,
    /// Everything was given to the decoder.
    fed: bool,
    /// How often each of its frames is still to be given.
    wanted: HashMap<usize, usize>,
    ready: HashMap<usize, Frame>,
    /// Span and number of the last frame that came.
    seen: Option<(usize, usize)>,
    many: bool,
}

impl<'r> Frames<'r> {
    pub(super) fn new(reader: &'r mut Reader, list: Vec<usize>) -> Self {
        Self { reader, list, given: 0, batch: None }
    }

    /// Frames that were not given yet.
    pub fn remaining(&self) -> usize {
        self.list.len() - self.given
    }

    /// Frame `frame`, the one of the list before `given`.
    fn give(&mut self, frame: usize) -> Result<Frame> {
        if self.reader.options.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if self.batch.as_ref().is_none_or(|batch| self.given > batch.until) {
            self.batch = Some(self.begin()?);
        }
        let Some(batch) = &mut self.batch else { return Err(lost()) };
        let (index, finish, engine) = self.reader.parts(batch.many);
        loop {
            if let Some(found) = batch.take(frame) {
                return Ok(found);
            }
            if batch.is_lost(index, engine, frame) {
                return Err(engine.damage.take().unwrap_or_else(lost));
            }
            batch.step(index, finish, engine)?;
        }
    }

    /// Takes as many frames of the list as may wait for each other.
    fn begin(&mut self) -> Result<Batch> {
        let from = self.given.saturating_sub(1);
        let rest = self.list.get(from..).unwrap_or(&[]);
        // In order of presentation hardly any frame waits for another.
        let most = if rest.is_sorted() { rest.len() } else { self.reader.frames_in_memory() };
        let list = rest.get(..most.min(rest.len())).unwrap_or(rest);
        let index = &self.reader.index;
        let mut wanted = HashMap::new();
        wanted.try_reserve(list.len()).map_err(|_| Error::invalid("too many frames at once"))?;
        for &frame in list {
            *wanted.entry(frame).or_insert(0) += 1;
        }
        let mut packets =
            memory::collected(wanted.len(), wanted.keys().filter_map(|frame| index.packet(*frame)))?;
        packets.sort_unstable();
        let spans = plan::spans(index, &packets)?;
        let many = plan::has_several_groups(index, &spans) && self.reader.open_many()?;
        let (index, finish, engine) = self.reader.parts(many);
        engine.drain(index, finish)?;
        let until = from + list.len();
        let ready = HashMap::new();
        Ok(Batch {
            until,
            packets,
            spans,
            span: 0,
            begun: false,
            fed: false,
            wanted,
            ready,
            seen: None,
            many,
        })
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = *self.list.get(self.given)?;
        self.given += 1;
        let given = if frame < self.reader.index.len() {
            self.give(frame)
        } else {
            Err(self.reader.no_such_frame(frame))
        };
        if given
            .as_ref()
            .is_err_and(|error| !error.is_recoverable() && !matches!(error, Error::InvalidInput { .. }))
        {
            self.given = self.list.len();
        }
        Some(given.map_err(|error| self.reader.name(error, frame)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.remaining()))
    }
}

impl Batch {
    /// A frame that has come, also for the second time.
    fn take(&mut self, frame: usize) -> Option<Frame> {
        if !self.ready.contains_key(&frame) {
            return None;
        }
        match self.wanted.get_mut(&frame) {
            Some(uses) if *uses > 1 => {
                *uses -= 1;
                self.ready.get(&frame).cloned()
            }
            _ => {
                self.wanted.remove(&frame);
                self.ready.remove(&frame)
            }
        }
    }

    /// Whether a frame will not come any more: one that is given behind it has.
    fn is_lost(&self, index: &Index, engine: &Engine, frame: usize) -> bool {
        let later = self.seen.is_some_and(|seen| seen > (self.span_of(index, frame), frame));
        later || self.fed && engine.is_flushed()
    }

    fn span_of(&self, index: &Index, frame: usize) -> usize {
        let packet = index.packet(frame).unwrap_or(u32::MAX);
        self.spans.partition_point(|span| span.first <= packet).saturating_sub(1)
    }

    /// Gives the decoder what it has room for, and takes a frame if one is there.
    fn step(&mut self, index: &mut Index, finish: &Finish, engine: &mut Engine) -> Result<()> {
        while !self.fed {
            let Some(&Span { start, first, last }) = self.spans.get(self.span) else {
                engine.flush()?;
                self.fed = true;
                break;
            };
            if !self.begun {
                let from = self.packets.partition_point(|packet| *packet < first);
                let behind = self.packets.partition_point(|packet| *packet <= last);
                engine.restart(index, start, self.packets.get(from..behind).unwrap_or(&[]))?;
                self.begun = true;
            }
            let fed = if engine.has_fed(last) {
                Fed::End
            } else {
                engine.feed(index, &|frame| self.wanted.contains_key(&frame))?
            };
            match fed {
                Fed::Packet => {}
                Fed::Full => break,
                Fed::End => {
                    self.span += 1;
                    self.begun = false;
                }
            }
        }
        if let Some((number, frame)) = engine.reap(index, finish, !self.fed)?
            && self.wanted.contains_key(&number)
        {
            self.seen = self.seen.max(Some((self.span_of(index, number), number)));
            self.ready.insert(number, frame);
        }
        Ok(())
    }
}

/// Why a frame has not come where nothing else is known.
pub(super) fn lost() -> Error {
    Error::corrupt("the decoder gave no picture for it")
}
