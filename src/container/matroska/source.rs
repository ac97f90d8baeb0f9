//! Reading in order, with a look ahead, from what may not be able to seek.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ebml::{Header, MAX_HEADER};
use crate::error::{Error, Result};
use crate::stream_io::{PositionedFile, fill, read_some, read_up_to};

/// Bytes that are read at once, and that can be looked at ahead.
const WINDOW: usize = 64 * 1024;
/// Bytes that are read at once behind a jump over what nobody looks at: a header or two ...
const GLIMPSE: usize = 1024;
/// ... where the jump is so long. Over less it is quicker to read on.
const JUMP: u64 = 4096;

trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

pub(super) struct Source {
    inner: Box<dyn ReadSeek>,
    path: PathBuf,
    /// Where the file ends; `None` for what cannot seek.
    len: Option<u64>,
    window: Vec<u8>,
    /// First byte of the window that has not been read yet, and its place in the input.
    at: usize,
    position: u64,
    /// Bytes that are read at once.
    chunk: usize,
    /// Only headers are looked at: what is jumped over is not read.
    skims: bool,
    /// The file that it is, for who reads parts of it later.
    file: Option<Arc<File>>,
}

impl Source {
    pub(super) fn new<R: Read + Seek + Send + 'static>(mut inner: R, path: PathBuf) -> Result<Self> {
        // Positions count from where the input begins, which need not be the start of the file.
        let position = inner.stream_position().ok();
        let mut len = None;
        if let Some(position) = position {
            len = inner.seek(SeekFrom::End(0)).ok();
            inner.seek(SeekFrom::Start(position)).map_err(|e| Error::io("seek in", &path, e))?;
        }
        let position = position.unwrap_or(0);
        Ok(Self {
            inner: Box::new(inner),
            path,
            len,
            window: Vec::new(),
            at: 0,
            position,
            chunk: WINDOW,
            skims: false,
            file: None,
        })
    }

    /// A file whose parts can be read later.
    pub(super) fn of_file(file: PositionedFile, path: PathBuf) -> Result<Self> {
        let again = file.handle().map_err(|e| Error::io("read", &path, e))?;
        Ok(Self { file: Some(Arc::new(again)), ..Self::new(file, path)? })
    }

    /// The file itself, where it is one.
    pub(super) fn file(&self) -> Option<&Arc<File>> {
        self.file.as_ref()
    }

    /// Has it read little behind each jump, for who only looks at headers; or as much as ever.
    pub(super) fn skim(&mut self, skims: bool) {
        (self.skims, self.chunk) = (skims, WINDOW);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file ends; `None` for what cannot seek.
    pub(super) fn len(&self) -> Option<u64> {
        self.len
    }

    /// Offset of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    fn error(&self, error: std::io::Error) -> Error {
        Error::io("read", &self.path, error)
    }

    fn ahead(&self) -> &[u8] {
        self.window.get(self.at..).unwrap_or_default()
    }

    /// The next `len` bytes, which stay unread; fewer at the end of the input. At most a window.
    pub(super) fn peek(&mut self, len: usize) -> Result<&[u8]> {
        if self.ahead().len() < len {
            self.window.drain(..self.at);
            self.at = 0;
            let old = self.window.len();
            self.window.resize(self.chunk.max(len), 0);
            let mut filled = old;
            // Not more than is needed: a pipe gives what it has, and the rest may take its time.
            while filled < len {
                let rest = self.window.get_mut(filled..).unwrap_or_default();
                match read_some(&mut self.inner, rest) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) => {
                        self.window.truncate(filled);
                        return Err(Error::io("read", &self.path, error));
                    }
                }
            }
            self.window.truncate(filled);
        }
        let ahead = self.ahead();
        Ok(ahead.get(..len).unwrap_or(ahead))
    }

    /// The header at the current position, which stays unread; `Ok(None)` at the end of the input and for what is none.
    pub(super) fn peek_header(&mut self) -> Result<Option<Header>> {
        Ok(Header::parse(self.peek(MAX_HEADER)?))
    }

    pub(super) fn at_end(&mut self) -> Result<bool> {
        Ok(self.peek(1)?.is_empty())
    }

    /// Passes over bytes that were looked at.
    pub(super) fn consume(&mut self, len: usize) {
        let len = len.min(self.ahead().len());
        self.at += len;
        self.position += len as u64;
    }

    /// Reads `len` bytes; fewer at the end of the input. Memory grows with what is there.
    pub(super) fn read(&mut self, len: u64) -> Result<Vec<u8>> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let ahead = self.ahead();
        if len <= ahead.len() {
            let out = ahead.get(..len).unwrap_or_default().to_vec();
            self.consume(len);
            return Ok(out);
        }
        if len <= WINDOW / 2 {
            let out = self.peek(len)?.to_vec();
            self.consume(out.len());
            return Ok(out);
        }
        // What is large goes past the window.
        let mut out = Vec::new();
        let missing = len - ahead.len();
        let expected = self.len.map_or(0, |end| end.saturating_sub(self.position));
        // Of a file it is known how much there can be.
        let room = usize::try_from(expected).unwrap_or(usize::MAX).min(len);
        out.try_reserve_exact(room).map_err(|_| self.error(std::io::ErrorKind::OutOfMemory.into()))?;
        out.extend_from_slice(self.ahead());
        self.consume(out.len());
        if room == len {
            let old = out.len();
            out.resize(len, 0);
            let got = fill(&mut self.inner, out.get_mut(old..).unwrap_or_default());
            let got = got.map_err(|e| self.error(e))?;
            out.truncate(old + got);
            self.position += got as u64;
        } else {
            let rest = read_up_to(&mut self.inner, missing).map_err(|e| self.error(e))?;
            self.position += rest.len() as u64;
            out.extend_from_slice(&rest);
        }
        Ok(out)
    }

    /// Passes over `len` bytes; returns whether they were there.
    pub(super) fn skip(&mut self, len: u64) -> Result<bool> {
        let target = self.position.saturating_add(len);
        let in_window = self.ahead().len() as u64;
        if len <= in_window {
            self.consume(len as usize);
            return Ok(true);
        }
        if let Some(end) = self.len {
            self.seek(target.min(end))?;
            return Ok(target <= end);
        }
        let mut left = len;
        while left > 0 {
            let got = self.peek(WINDOW.min(usize::try_from(left).unwrap_or(WINDOW)))?.len();
            if got == 0 {
                return Ok(false);
            }
            self.consume(got);
            left -= got as u64;
        }
        Ok(true)
    }

    /// Goes to `position`, where the input can seek.
    pub(super) fn seek(&mut self, position: u64) -> Result<()> {
        let ahead = position.checked_sub(self.position).filter(|ahead| *ahead <= self.ahead().len() as u64);
        if let Some(ahead) = ahead {
            self.consume(ahead as usize);
            return Ok(());
        }
        if self.skims {
            let read = self.position.saturating_add(self.ahead().len() as u64);
            let is_near = position.checked_sub(read).is_some_and(|gap| gap < JUMP);
            self.chunk = if is_near { WINDOW } else { GLIMPSE };
        }
        self.inner.seek(SeekFrom::Start(position)).map_err(|e| Error::io("seek in", &self.path, e))?;
        self.window.clear();
        (self.at, self.position) = (0, position);
        Ok(())
    }
}
