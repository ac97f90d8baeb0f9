//! Byte streams that may or may not seek, and reading that never trusts a claimed length.

use std::fs::File;
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

/// A file read at a position of its own.
///
/// The system keeps one position for all handles of an open file. A film on standard input is opened twice, for
/// its pictures and for the tracks that are copied, and each must not move the other.
#[derive(Debug)]
pub(crate) struct PositionedFile {
    file: File,
    position: u64,
}

impl PositionedFile {
    /// Reads `file` from `position` on.
    pub(crate) const fn new(file: File, position: u64) -> Self {
        Self { file, position }
    }

    /// Another handle of the same file.
    pub(crate) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    fn length(&self) -> io::Result<u64> {
        #[cfg(windows)]
        return super::windows::length(&self.file);
        #[cfg(not(windows))]
        Ok(self.file.metadata()?.len())
    }
}

impl Read for PositionedFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(&self.file, buf, self.position)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(&self.file, buf, self.position)?;
        self.position = self.position.saturating_add(read as u64);
        Ok(read)
    }
}

impl Seek for PositionedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.length()?.checked_add_signed(by),
        };
        self.position = target
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a position outside any file"))?;
        Ok(self.position)
    }
}

/// Most memory that is reserved for data nobody has seen yet.
const FIRST_RESERVE: usize = 64 * 1024;

/// Reads `len` bytes, or fewer at the end of the input. Memory grows with what is really there, so `len` may
/// come from a hostile header.
pub(crate) fn read_up_to(reader: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    out.try_reserve(len.min(FIRST_RESERVE)).map_err(|_| io::ErrorKind::OutOfMemory)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_of_one_open_file_do_not_move_each_other() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut a = PositionedFile::new(file.try_clone().unwrap(), 2);
        let mut b = PositionedFile::new(file, 0);
        let mut two = [0; 2];
        a.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"23");
        b.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"01");
        a.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"45");
        assert_eq!(b.seek(SeekFrom::End(-1)).unwrap(), 9);
        assert_eq!(b.read(&mut two).unwrap(), 1);
        assert_eq!(a.seek(SeekFrom::Current(-6)).unwrap(), 0);
        assert!(a.seek(SeekFrom::Current(-1)).is_err());
        assert_eq!(a.stream_position().unwrap(), 0, "a refused seek changes nothing");
    }
}
