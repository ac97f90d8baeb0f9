//! The folder in which processes meet: for each domain a file that is locked while sessions are counted and opened, which
//! also holds what was learned, and a file for each session, locked as long as the session lives. The system gives locks
//! back when a process ends, however it ends. Files are never deleted.
//!
//! Whoever can open these files can hold the lock, and whoever can write them can teach a wrong limit. So a folder is its
//! user's alone, and users meet only in one that an administrator has made for them (`folder`). What is in it is not
//! trusted either: links are not followed, nothing but plain files is used, only the file of a domain is written to, and
//! what is read has an end.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use super::folder::{Folder, Opened};

/// Sessions of a domain that are counted; those beyond are not.
const MOST_SLOTS: usize = 256;
/// How long the file of a domain may be locked by somebody else: far beyond the opening of a session. Its owner may be
/// stopped, and then sessions are opened without it.
const PATIENCE: Duration = Duration::from_secs(3);
/// What was learned takes less.
const MOST_BYTES: u64 = 4096;

/// A domain's files, locked: nobody else counts or opens meanwhile.
#[derive(Debug)]
pub(super) struct Entered {
    folder: Opened,
    name: String,
    file: File,
}

impl Drop for Entered {
    fn drop(&mut self) {
        give_back(&self.file);
    }
}

/// A session's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    locked: File,
}

impl Drop for Slot {
    fn drop(&mut self) {
        give_back(&self.locked);
    }
}

/// Unlocks now. A process that is just being started has copies of all files for a moment, and a file that is only closed
/// stays locked until the last copy is.
fn give_back(file: &File) {
    // What cannot be unlocked is closed next, as before.
    let _ = file.unlock();
}

/// Locks a domain.
///
/// # Errors
/// Why the folder cannot be used, in words.
pub(super) fn enter(folder: &Folder, name: &str) -> Result<Entered, String> {
    let opened = folder.open()?;
    let shown = opened.shown().to_owned();
    let message = |error: io::Error| format!("{}: {error}", shown.display());
    let file = open_plain(&opened, &format!("{name}.lock")).map_err(message)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Entered { folder: opened, name: name.to_owned(), file }),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(TryLockError::WouldBlock) => {
                let seconds = PATIENCE.as_secs();
                return Err(format!(
                    "{}: {name}.lock has been locked by another process for {seconds} seconds",
                    shown.display()
                ));
            }
            Err(TryLockError::Error(error)) => return Err(message(error)),
        }
    }
}

impl Entered {
    /// Why other users' sessions are not counted here, where they should be.
    pub(super) fn note(&self) -> Option<&str> {
        self.folder.note()
    }

    /// How many sessions are open, and a place for the next; no place when there are too many to count.
    pub(super) fn count(&self) -> (usize, Option<Slot>) {
        let (mut open, mut free) = (0, None);
        for number in 0..MOST_SLOTS {
            let name = format!("{}.{number}", self.name);
            // Places are taken from the first on, so behind one that was never made there is none.
            let missing = self.folder.path().join(&name).symlink_metadata().is_err();
            if missing && free.is_some() {
                break;
            }
            match open_plain(&self.folder, &name).map(|file| (file.try_lock(), file)) {
                // Of several that are free the others are given back here; nobody else looks meanwhile.
                Ok((Ok(()), file)) => free = free.or(Some(Slot { locked: file })),
                Ok((Err(TryLockError::WouldBlock), _)) => open += 1,
                // Something else has the name: the next.
                Ok((Err(TryLockError::Error(_)), _)) | Err(_) => {}
            }
            if missing {
                break;
            }
        }
        (open, free)
    }

    /// What was learned, as it was written; empty when that cannot be read.
    pub(super) fn read(&mut self) -> String {
        let mut bytes = Vec::new();
        let begun = self.file.seek(SeekFrom::Start(0));
        let read = begun.and_then(|_| (&self.file).take(MOST_BYTES).read_to_end(&mut bytes));
        read.ok().and_then(|_| String::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Writes down what was learned; whether that worked: a file of another user need not be writable.
    pub(super) fn write(&mut self, text: &str) -> bool {
        let begun = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        begun.and_then(|_| self.file.write_all(text.as_bytes())).is_ok()
    }
}

/// A plain file, made if there is none. Not a link, nor anything that waits when it is opened, nor another name of
/// somebody's file, nor, in a folder of one user, somebody else's.
fn open_plain(folder: &Opened, name: &str) -> io::Result<File> {
    let path = folder.path().join(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    careful(&mut options);
    let file = match options.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Another process may be faster; then the file is there.
            match options.clone().create_new(true).open(&path) {
                Ok(file) => {
                    folder.share(&file);
                    file
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(&path)?,
                Err(error) => return Err(error),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Of another user: it can be locked all the same.
            let mut options = OpenOptions::new();
            options.read(true);
            careful(&mut options);
            options.open(&path)?
        }
        opened => opened?,
    };
    folder.check(&file, name)?;
    Ok(file)
}

#[cfg(unix)]
fn careful(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY).mode(0o600);
}

#[cfg(windows)]
fn careful(options: &mut OpenOptions) {
    std::os::windows::fs::OpenOptionsExt::custom_flags(options, crate::util::windows::NOT_THROUGH_LINKS);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in a process between its beginning and its program: the files of all threads are open twice.
    #[test]
    fn a_copy_of_a_file_keeps_nothing_locked() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::Named(scratch.path().to_owned());
        let entered = enter(&folder, "test").unwrap();
        let (open, slot) = entered.count();
        let slot = slot.unwrap();
        let copies = [entered.file.try_clone().unwrap(), slot.locked.try_clone().unwrap()];
        assert_eq!((open, entered.count().0), (0, 1));
        drop(slot);
        assert_eq!(entered.count().0, 0);
        drop(entered);
        // Otherwise it is refused when patience ends.
        let again = enter(&folder, "test").unwrap();
        drop((again, copies));
    }
}
