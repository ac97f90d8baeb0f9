//! Positioned, buffered reading of a file whose contents are not trusted.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::error::{Error, Result};

/// Bytes read at once. Samples up to this size come out of the window, so that interleaved audio and video
/// cost one system call per window and not one per sample.
const WINDOW: usize = 256 * 1024;

/// Growth step when something larger than the window is read: memory follows what the file really holds.
const STEP: u64 = 1024 * 1024;

trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

pub(super) struct Source {
    inner: Box<dyn ReadSeek>,
    path: PathBuf,
    len: u64,
    /// Where `inner` stands, so that sequential reads need no seek.
    at: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl Source {
    pub(super) fn new<R: Read + Seek + Send + 'static>(mut inner: R, path: PathBuf) -> Result<Self> {
        let len = inner.seek(SeekFrom::End(0)).map_err(|e| Error::io("seek in", &path, e))?;
        Ok(Self { inner: Box::new(inner), path, len, at: len, window: Vec::new(), window_start: 0 })
    }

    /// Length of the file in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// `len` bytes at `offset`; fewer only where the file ends.
    pub(super) fn read(&mut self, offset: u64, len: u64) -> Result<Bytes> {
        let len = len.min(self.len.saturating_sub(offset));
        let mut data = Vec::new();
        if len <= WINDOW as u64 {
            self.reserve(&mut data, len)?;
            data.extend_from_slice(self.window_at(offset, len as usize)?);
            return Ok(data.into());
        }
        self.seek_to(offset)?;
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
                break;
            }
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

    fn seek_to(&mut self, offset: u64) -> Result<()> {
        if self.at != offset {
            self.inner.seek(SeekFrom::Start(offset)).map_err(|e| Error::io("seek in", &self.path, e))?;
            self.at = offset;
        }
        Ok(())
    }
}
