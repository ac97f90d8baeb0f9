//! What one input may cost. Sizes and counts that a file or stream claims are checked against these before anything
//! is allocated for them; what goes beyond is refused with [`Error::LimitExceeded`], which names the limit.

use std::time::Duration;

use crate::error::{Error, Result};

/// One of the [`Limits`], by the name that the command line's `--limits` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::picture_pixels`].
    PicturePixels,
    /// [`Limits::picture_memory`].
    PictureMemory,
    /// [`Limits::index_memory`].
    IndexMemory,
    /// [`Limits::tracks`].
    Tracks,
    /// [`Limits::fragments`].
    Fragments,
    /// [`Limits::box_depth`].
    BoxDepth,
    /// [`Limits::edits`].
    Edits,
    /// [`Limits::packet_bytes`].
    PacketBytes,
    /// [`Limits::waiting_units`].
    WaitingUnits,
    /// [`Limits::silent_time`].
    SilentTime,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 10] = [
        Self::PicturePixels,
        Self::PictureMemory,
        Self::IndexMemory,
        Self::Tracks,
        Self::Fragments,
        Self::BoxDepth,
        Self::Edits,
        Self::PacketBytes,
        Self::WaitingUnits,
        Self::SilentTime,
    ];

    /// Its name: `picture-memory`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PicturePixels => "picture-pixels",
            Self::PictureMemory => "picture-memory",
            Self::IndexMemory => "index-memory",
            Self::Tracks => "tracks",
            Self::Fragments => "fragments",
            Self::BoxDepth => "box-depth",
            Self::Edits => "edits",
            Self::PacketBytes => "packet-bytes",
            Self::WaitingUnits => "waiting-units",
            Self::SilentTime => "silent-time",
        }
    }
}

/// What one input may cost. The defaults are far above what files of people hold, and low enough that a small hostile
/// file cannot take a machine's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Luma samples of one picture.
    pub picture_pixels: u64,
    /// Bytes of pictures that one decoder keeps alive: references and pictures that wait for their turn, by what the
    /// stream claims and by what the decoder really asks for.
    pub picture_memory: u64,
    /// Bytes of a container's tables in memory: `moov`, `moof`, sample tables and the index made of them.
    pub index_memory: u64,
    /// Tracks of a file.
    pub tracks: u64,
    /// Fragments of a file.
    pub fragments: u64,
    /// Boxes within boxes.
    pub box_depth: u64,
    /// Entries of one edit list.
    pub edits: u64,
    /// Bytes of one packet.
    pub packet_bytes: u64,
    /// Access units that wait for a parameter set or a picture that has not come.
    pub waiting_units: u64,
    /// How long a decoder may work on input without giving a picture or a reason.
    pub silent_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            picture_pixels: 1 << 27,
            picture_memory: 2 << 30,
            index_memory: 1 << 30,
            tracks: 1 << 10,
            fragments: 1 << 22,
            box_depth: 32,
            edits: 1 << 20,
            packet_bytes: 256 << 20,
            waiting_units: 1 << 16,
            silent_time: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// No limit but those of the machine and of the formats.
    #[must_use]
    pub fn none() -> Self {
        Self {
            picture_pixels: u64::MAX,
            picture_memory: u64::MAX,
            index_memory: u64::MAX,
            tracks: u64::MAX,
            fragments: u64::MAX,
            box_depth: 1 << 10,
            edits: u64::MAX,
            packet_bytes: u64::MAX,
            waiting_units: u64::MAX,
            silent_time: Duration::MAX,
        }
    }

    /// The value of a limit; of a time its milliseconds.
    pub fn get(&self, limit: Limit) -> u64 {
        match limit {
            Limit::PicturePixels => self.picture_pixels,
            Limit::PictureMemory => self.picture_memory,
            Limit::IndexMemory => self.index_memory,
            Limit::Tracks => self.tracks,
            Limit::Fragments => self.fragments,
            Limit::BoxDepth => self.box_depth,
            Limit::Edits => self.edits,
            Limit::PacketBytes => self.packet_bytes,
            Limit::WaitingUnits => self.waiting_units,
            Limit::SilentTime => u64::try_from(self.silent_time.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Refuses `wanted` where it is more than the limit allows.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`].
    pub fn check(&self, limit: Limit, wanted: u64, what: impl Into<String>) -> Result<()> {
        let allowed = self.get(limit);
        if wanted <= allowed {
            return Ok(());
        }
        Err(Error::LimitExceeded { limit, wanted, allowed, what: what.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_passes_and_the_next_is_refused_by_name() {
        for limit in Limit::ALL {
            let limits = Limits::default();
            let allowed = limits.get(limit);
            assert!(limits.check(limit, allowed, "this").is_ok());
            let error = limits.check(limit, allowed + 1, "this").unwrap_err().to_string();
            assert!(error.contains(limit.name()) && error.contains("this"), "{error}");
        }
    }
}
