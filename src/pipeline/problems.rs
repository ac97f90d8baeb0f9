//! Damage that a job goes over.

use std::path::Path;

use crate::error::Error;

/// Problems remembered by their words.
const KEPT: usize = 10;
/// Errors after which the rest is taken for unreadable.
const MOST: u64 = 100_000;

/// The number of problems, and the first of them in words.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) count: u64,
    pub(super) words: Vec<String>,
}

impl Problems {
    /// Counts an error of a demuxer. Whether to read on behind it.
    pub(super) fn goes_on(&mut self, error: Error, path: &Path) -> bool {
        self.count += 1;
        let goes_on = error.is_recoverable() && self.count <= MOST;
        self.tell(&error.of_input(path));
        goes_on
    }

    /// Remembers an error that is counted elsewhere.
    pub(super) fn tell(&mut self, error: &Error) {
        if self.words.len() < KEPT {
            self.words.push(error.to_string());
        }
    }
}
