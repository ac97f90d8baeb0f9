//! Buffered writing with a known position, and the rewriting that puts the movie header in front.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::error::{Error, Result};

/// Bytes gathered before they are written.
const BUFFER: usize = 256 * 1024;

/// Bytes moved at once when room is made in front of them.
const BLOCK: u64 = 1024 * 1024;

pub(in crate::container) trait WriteSeek: Write + Seek + Send {}
impl<T: Write + Seek + Send> WriteSeek for T {}

pub(in crate::container) trait ReadWriteSeek: Read + Write + Seek + Send {}
impl<T: Read + Write + Seek + Send> ReadWriteSeek for T {}

pub(in crate::container) enum Target {
    /// Written once, from the beginning to the end.
    Stream(Box<dyn Write + Send>),
    /// Sizes can be filled in later.
    Seekable(Box<dyn WriteSeek>),
    /// What was written can be read back and moved.
    Rewritable(Box<dyn ReadWriteSeek>),
}

pub(in crate::container) struct Output {
    target: Target,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Bytes given to [`Self::write`] so far.
    position: u64,
}

impl Output {
    pub(in crate::container) fn new(target: Target, path: PathBuf) -> Self {
        Self { target, path, buffer: Vec::with_capacity(BUFFER), position: 0 }
    }

    /// Offset of the next byte.
    pub(in crate::container) fn position(&self) -> u64 {
        self.position
    }

    pub(in crate::container) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.position += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > BUFFER {
            self.drain()?;
        }
        if bytes.len() >= BUFFER {
            return self.io("write", |target| target.writer().write_all(bytes));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    pub(in crate::container) fn flush(&mut self) -> Result<()> {
        self.drain()?;
        self.io("write", |target| target.writer().flush())
    }

    /// Replaces bytes written before.
    pub(in crate::container) fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.drain()?;
        let end = self.position;
        self.io("write", |target| {
            target.seek(offset)?;
            target.writer().write_all(bytes)?;
            target.seek(end)
        })
    }

    /// Moves everything from `offset` to the end back by the length of `bytes` and writes these in the gap.
    pub(in crate::container) fn insert(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.drain()?;
        let (end, by) = (self.position, bytes.len() as u64);
        self.io("rewrite", |target| {
            let Target::Rewritable(file) = target else {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "the output cannot be read back"));
            };
            let mut block = vec![0; BLOCK.min(end - offset) as usize];
            let mut behind = end;
            while behind > offset {
                let len = BLOCK.min(behind - offset);
                let chunk = block.get_mut(..len as usize).unwrap_or_default();
                behind -= len;
                file.seek(SeekFrom::Start(behind))?;
                file.read_exact(chunk)?;
                file.seek(SeekFrom::Start(behind + by))?;
                file.write_all(chunk)?;
            }
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(bytes)?;
            file.seek(SeekFrom::Start(end + by))?;
            Ok(())
        })?;
        self.position = end + by;
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        let Self { target, buffer, path, .. } = self;
        let written = target.writer().write_all(buffer);
        buffer.clear();
        written.map_err(|e| Error::io_writing("write", &*path, e))
    }

    fn io(&mut self, action: &'static str, f: impl FnOnce(&mut Target) -> io::Result<()>) -> Result<()> {
        f(&mut self.target).map_err(|e| Error::io_writing(action, &self.path, e))
    }
}

impl Target {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Stream(w) => w,
            Self::Seekable(w) => w,
            Self::Rewritable(w) => w,
        }
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        match self {
            Self::Stream(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "the output cannot seek")),
            Self::Seekable(w) => w.seek(SeekFrom::Start(to)).map(drop),
            Self::Rewritable(w) => w.seek(SeekFrom::Start(to)).map(drop),
        }
    }
}
