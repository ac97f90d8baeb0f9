//! The session limit of a machine: processes that are given the same directory share it. A session sits on one of as
//! many files as there are sessions, locked until the session or its process ends.

use std::fs::{File, OpenOptions};
use std::path::Path;

/// A session's place.
#[derive(Debug)]
pub(super) struct Seat {
    locked: File,
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A process that is just being started has a copy of the file, which would keep a closed one locked.
        let _ = self.locked.unlock();
    }
}

/// Takes a free place out of `seats`; `None`: all are taken. A directory that cannot be used ends the process, as every
/// mistake in the configuration does.
pub(super) fn sit_down(directory: &str, seats: usize) -> Option<Seat> {
    (0..seats).find_map(|number| {
        let path = Path::new(directory).join(format!("nvsim-seat-{number}"));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.unwrap_or_else(|error| {
            eprintln!("nvsim: sessions.shared: {}: {error}", path.display());
            std::process::exit(2);
        });
        file.try_lock().is_ok().then_some(Seat { locked: file })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_once_and_given_back() {
        let directory = std::env::temp_dir().join(format!("nvsim-seats-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let name = directory.to_str().unwrap();
        let first = sit_down(name, 2);
        let second = sit_down(name, 2);
        assert!(first.is_some() && second.is_some() && sit_down(name, 2).is_none());
        drop(first);
        assert!(sit_down(name, 2).is_some());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
