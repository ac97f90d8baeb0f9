//! MP4 from a pipe: read as it comes, or spooled to a temporary file where that was asked for and nothing else helps.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use super::mp4::{Mp4Demuxer, is_stored_in_order};
use crate::buffered::Buffered;
use crate::error::{Error, Remedy, Result};
use crate::limits::Limits;
use crate::stream_io::{NonSeekable, PositionedFile, read_some, read_up_to};

/// Boxes in front of the movie header are small; beyond so many bytes nothing is looked at ahead.
const MOST_AHEAD: u64 = 16 << 20;
/// Bytes of a box header that state its size and kind, and with a 64-bit size.
const SHORT_HEADER: usize = 8;
const LONG_HEADER: usize = 16;
/// Bytes copied at once.
const BLOCK: usize = 256 * 1024;
/// Names of temporary files that are tried.
const ATTEMPTS: u32 = 100;

/// Opens a pipe. `spool`: how many bytes a temporary file may take.
pub(super) fn open<R: Read + Send + 'static>(
    mut pipe: R,
    path: &Path,
    limits: Limits,
    spool: Option<u64>,
) -> Result<Mp4Demuxer> {
    let Some(most) = spool else {
        return Mp4Demuxer::with_limits(NonSeekable(pipe), path.to_owned(), limits);
    };
    let (beginning, index) = look_ahead(&mut pipe, &limits).map_err(|e| Error::io("read", path, e))?;
    let beginning = Bytes::from(beginning);
    // What is wrong with the header is told by whoever reads it.
    let streams = match index {
        Index::InFront => is_stored_in_order(beginning.clone(), &limits).unwrap_or(true),
        Index::Behind => false,
        Index::Unknown => true,
    };
    let mut whole = Cursor::new(beginning).chain(pipe);
    if streams {
        return Mp4Demuxer::with_limits(NonSeekable(whole), path.to_owned(), limits);
    }
    let file = copy(&mut whole, path, most)?;
    let file = Buffered::new(PositionedFile::new(file, 0), BLOCK)?;
    Mp4Demuxer::with_limits(file, path.to_owned(), limits)
}

/// Where the movie header is.
enum Index {
    /// Among the bytes that were looked at.
    InFront,
    /// Behind the samples.
    Behind,
    /// Not in front of the first fragment, or nothing that begins like a file.
    Unknown,
}

/// Reads up to the end of the movie header, or to the samples.
fn look_ahead(pipe: &mut impl Read, limits: &Limits) -> io::Result<(Vec<u8>, Index)> {
    let mut seen = Vec::new();
    loop {
        let at = seen.len();
        append(pipe, &mut seen, SHORT_HEADER as u64)?;
        let word = |seen: &[u8], at: usize| Some(u32::from_be_bytes(*seen.get(at..)?.first_chunk()?));
        let (Some(short), Some(kind)) = (word(&seen, at), seen.get(at + 4..at + SHORT_HEADER)) else {
            return Ok((seen, Index::Unknown));
        };
        let kind = kind.to_vec();
        let (header, len) = if short == 1 {
            append(pipe, &mut seen, (LONG_HEADER - SHORT_HEADER) as u64)?;
            let long = word(&seen, at + 8).zip(word(&seen, at + 12));
            (LONG_HEADER, long.map_or(0, |(high, low)| u64::from(high) << 32 | u64::from(low)))
        } else {
            (SHORT_HEADER, u64::from(short))
        };
        let rest = match len.checked_sub(header as u64) {
            Some(rest) => rest,
            // Up to the end.
            None if len == 0 && short == 0 => u64::MAX,
            None => return Ok((seen, Index::Unknown)),
        };
        match kind.as_slice() {
            b"mdat" if rest > 0 => return Ok((seen, Index::Behind)),
            b"moof" | b"styp" => return Ok((seen, Index::Unknown)),
            b"moov" if rest > limits.index_memory => return Ok((seen, Index::Unknown)),
            b"moov" => {
                append(pipe, &mut seen, rest)?;
                return Ok((seen, Index::InFront));
            }
            _ if rest > MOST_AHEAD - MOST_AHEAD.min(seen.len() as u64) => return Ok((seen, Index::Unknown)),
            _ => append(pipe, &mut seen, rest)?,
        }
    }
}

/// Reads so many bytes more, or fewer at the end.
fn append(pipe: &mut impl Read, seen: &mut Vec<u8>, len: u64) -> io::Result<()> {
    let more = read_up_to(pipe, usize::try_from(len).unwrap_or(usize::MAX))?;
    seen.try_reserve(more.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
    seen.extend_from_slice(&more);
    Ok(())
}

/// Copies everything to a temporary file.
fn copy(from: &mut impl Read, path: &Path, most: u64) -> Result<File> {
    let (mut file, name) = temporary()?;
    let mut block = vec![0; BLOCK];
    let mut bytes = 0_u64;
    loop {
        let got = read_some(from, &mut block).map_err(|e| Error::io("read", path, e))?;
        let Some(part) = block.get(..got).filter(|part| !part.is_empty()) else { return Ok(file) };
        bytes = bytes.saturating_add(got as u64);
        if bytes > most {
            return Err(Error::Unsupported {
                feature: format!("spooling more than {most} bytes to a temporary file"),
                remedy: Remedy::LargerSpool,
            });
        }
        file.write_all(part).map_err(|e| Error::io_writing("write", &name, e))?;
    }
}

/// A file that is gone when it is closed. Where open files can have no name, it has none from the beginning.
fn temporary() -> Result<(File, PathBuf)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let folder = std::env::temp_dir();
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(windows)]
    {
        use std::os::windows::fs::OpenOptionsExt;
        // FILE_FLAG_DELETE_ON_CLOSE
        options.custom_flags(0x0400_0000);
    }
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..ATTEMPTS {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = folder.join(format!(".video-hw-spool-{}-{number}", std::process::id()));
        match options.open(&name) {
            Ok(file) => {
                #[cfg(unix)]
                fs::remove_file(&name).map_err(|e| Error::io_writing("unlink", &name, e))?;
                return Ok((file, name));
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => last = e,
            Err(e) => return Err(Error::io_writing("create", &name, e)),
        }
    }
    Err(Error::io_writing("create a temporary file in", folder, last))
}
