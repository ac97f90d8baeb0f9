//! Byte streams that may or may not seek, and reading that never trusts a claimed length.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// A reader or writer that cannot seek (a pipe, a socket, standard output), in the clothes of one that can.
///
/// Readers and writers of this crate ask for [`Seek`] and use it only where it works; every seek of this type
/// fails with [`io::ErrorKind::Unsupported`], which tells them to read or write straight through.
#[derive(Debug)]
pub struct NonSeekable<T>(pub T);

impl<T: Read> Read for NonSeekable<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<T: Write> Write for NonSeekable<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<T> Seek for NonSeekable<T> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a pipe cannot seek"))
    }
}

/// Most memory that is reserved for data nobody has seen yet.
const FIRST_RESERVE: usize = 64 * 1024;

/// Reads `len` bytes, or fewer at the end of the input. Memory grows with what is really there, so `len` may
/// come from a hostile header.
pub(crate) fn read_up_to(reader: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(len.min(FIRST_RESERVE));
    reader.take(len as u64).read_to_end(&mut out)?;
    Ok(out)
}

/// One read of whatever is there; 0 at the end of the input.
pub(crate) fn read_some(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buf) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Fills `buf`, or less at the end of the input; returns the bytes filled.
pub(crate) fn fill(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read_some(reader, rest)? {
            0 => break,
            n => filled = filled.saturating_add(n),
        }
    }
    Ok(filled)
}
