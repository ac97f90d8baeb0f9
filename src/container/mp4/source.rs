//! Positioned, buffered reading of a file whose contents are not trusted.
//!
//! A pipe is read forwards through the same calls: its length is unknown until it ends, what was passed is kept for a while,
//! and whoever wants to go back further is refused.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::error::{Error, Remedy, Result};
use crate::stream_io::read_some;

/// Bytes read at once. Samples up to this size come out of the window, so that interleaved audio and video
/// cost one system call per window and not one per sample.
const WINDOW: usize = 256 * 1024;

/// Growth step when something larger than the window is read: memory follows what the file really holds.
const STEP: u64 = 1024 * 1024;

/// Bytes that samples without a line of their own in a table may claim of a movie header from a pipe, whose length nobody
/// knows, and of one fragment.
const PIPE_CLAIM: u64 = 1 << 36;
const FRAGMENT_CLAIM: u64 = 1 << 28;

trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

pub(super) struct Source {
    inner: Box<dyn ReadSeek>,
    path: PathBuf,
    /// Of a pipe `u64::MAX` until its end is met.
    len: u64,
    piped: bool,
    /// Where `inner` stands, so that sequential reads need no seek.
    at: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl Source {
    pub(super) fn new<R: Read + Seek + Send + 'static>(mut inner: R, path: PathBuf) -> Result<Self> {
        let (len, at, piped) = match inner.seek(SeekFrom::End(0)) {
            Ok(len) => (len, len, false),
            Err(e) if e.kind() == io::ErrorKind::Unsupported => (u64::MAX, 0, true),
            Err(e) => return Err(Error::io("seek in", &path, e)),
        };
        Ok(Self { inner: Box::new(inner), path, len, piped, at, window: Vec::new(), window_start: 0 })
    }

    /// Length of the file in bytes; of a pipe whose end was not met, more than there can be.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether it can be read forwards only.
    pub(super) fn is_pipe(&self) -> bool {
        self.piped
    }

    /// What samples that cost no byte in a table may claim to be long together.
    pub(super) fn claimable(&self) -> u64 {
        if self.piped { PIPE_CLAIM } else { self.len }
    }

    /// The same of the samples of one fragment.
    pub(super) fn claimable_by_fragment(&self) -> u64 {
        if self.piped { FRAGMENT_CLAIM } else { self.len }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// `len` bytes at `offset`; fewer only where the file ends.
    pub(super) fn read(&mut self, offset: u64, len: u64) -> Result<Bytes> {
        let len = len.min(self.len.saturating_sub(offset));
        let mut data = Vec::new();
        if self.piped && len > WINDOW as u64 {
            self.pass_to(offset)?;
            let held = self.held(offset).len() as u64;
            self.reserve(&mut data, held)?;
            data.extend_from_slice(self.held(offset));
            self.window.clear();
            self.window_start = self.at;
        } else if len <= WINDOW as u64 {
            self.reserve(&mut data, len)?;
            data.extend_from_slice(self.window_at(offset, len as usize)?);
            return Ok(data.into());
        } else {
            self.seek_to(offset)?;
        }
        while (data.len() as u64) < len {
            let left = len - data.len() as u64;
            let step = STEP.min(left);
            if ((data.capacity() - data.len()) as u64) < step {
                // What was read is doubled at most, and never beyond what is wanted.
                let more = (data.len() as u64).max(STEP).min(left);
                self.reserve(&mut data, more)?;
            }
            let got = (&mut self.inner)
                .take(step)
                .read_to_end(&mut data)
                .map_err(|e| Error::io("read", &self.path, e))?;
            self.at += got as u64;
            if (got as u64) < step {
                self.ended();
                break;
            }
        }
        if self.piped {
            self.window_start = self.at;
        }
        Ok(data.into())
    }

    /// Room for so many more bytes.
    fn reserve(&self, data: &mut Vec<u8>, more: u64) -> Result<()> {
        let reserved = usize::try_from(more).is_ok_and(|more| data.try_reserve_exact(more).is_ok());
        if reserved { Ok(()) } else { Err(Error::io("read", &self.path, io::ErrorKind::OutOfMemory.into())) }
    }

    /// Up to `len` bytes at `offset`, out of the window.
    fn window_at(&mut self, offset: u64, len: usize) -> Result<&[u8]> {
        if self.piped {
            self.pass_to(offset)?;
            self.hold(offset, len as u64)?;
            let held = self.held(offset);
            return Ok(held.get(..len).unwrap_or(held));
        }
        let held = offset.checked_sub(self.window_start).and_then(|skip| {
            let skip = usize::try_from(skip).ok()?;
            (skip.checked_add(len)? <= self.window.len()).then_some(skip)
        });
        let skip = if let Some(skip) = held {
            skip
        } else {
            self.fill_window(offset)?;
            0
        };
        let end = (skip + len).min(self.window.len());
        Ok(self.window.get(skip..end).unwrap_or_default())
    }

    /// Reads a new window from `offset` on.
    fn fill_window(&mut self, offset: u64) -> Result<()> {
        self.window.clear();
        self.seek_to(offset)?;
        self.window_start = offset;
        let read = (&mut self.inner).take(WINDOW as u64).read_to_end(&mut self.window);
        match read {
            Ok(got) => {
                self.at = offset + got as u64;
                Ok(())
            }
            Err(e) => {
                self.window.clear();
                // The position is unknown after a failure; the next read seeks.
                self.at = u64::MAX;
                Err(Error::io("read", &self.path, e))
            }
        }
    }

    /// What the window holds from `offset` on.
    fn held(&self, offset: u64) -> &[u8] {
        let skip = offset.checked_sub(self.window_start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.window.get(skip..)).unwrap_or_default()
    }

    /// Moves the end of a pipe's window to `offset`, where it lies in front of it. What is in it stays.
    fn pass_to(&mut self, offset: u64) -> Result<()> {
        if offset < self.window_start {
            return Err(Error::Unsupported {
                feature: format!(
                    "MP4 from a pipe that is not stored in the order in which it is played: byte {offset} is wanted when byte {} \
                     was read",
                    self.at
                ),
                remedy: Remedy::Spool,
            });
        }
        while self.at < offset {
            self.window.clear();
            self.window_start = self.at;
            let step = (offset - self.at).min(WINDOW as u64);
            if !self.append(step as usize)? {
                break;
            }
        }
        Ok(())
    }

    /// Reads on until the window of a pipe holds `len` bytes at `offset`, or the pipe ends.
    fn hold(&mut self, offset: u64, len: u64) -> Result<()> {
        if self.window.len() > 2 * WINDOW {
            let wanted = usize::try_from(offset - self.window_start).unwrap_or(usize::MAX);
            let passed = wanted.min(self.window.len() - WINDOW);
            self.window.drain(..passed);
            self.window_start += passed as u64;
        }
        while self.at < offset.saturating_add(len) && self.append(WINDOW)? {}
        Ok(())
    }

    /// Adds to the window of a pipe what is there, `most` bytes at most; `false` at the end. A live stream is not waited for
    /// longer than is needed.
    fn append(&mut self, most: usize) -> Result<bool> {
        let held = self.window.len();
        let no_memory = |_| Error::io("read", &self.path, io::ErrorKind::OutOfMemory.into());
        self.window.try_reserve(most).map_err(no_memory)?;
        self.window.resize(held + most, 0);
        let got = read_some(&mut self.inner, self.window.get_mut(held..).unwrap_or_default());
        self.window.truncate(held + *got.as_ref().unwrap_or(&0));
        let got = got.map_err(|e| Error::io("read", &self.path, e))?;
        self.at += got as u64;
        if got == 0 {
            self.ended();
        }
        Ok(got > 0)
    }

    /// Takes note of where a pipe ends.
    fn ended(&mut self) {
        if self.piped {
            self.len = self.at;
        }
    }

    fn seek_to(&mut self, offset: u64) -> Result<()> {
        if self.at != offset {
            self.inner.seek(SeekFrom::Start(offset)).map_err(|e| Error::io("seek in", &self.path, e))?;
            self.at = offset;
        }
        Ok(())
    }
}
