//! What one input may cost. Sizes and counts that a file or stream claims are checked against these before anything
//! is allocated for them; what goes beyond is refused with [`Error::LimitExceeded`], which names the limit.

pub(crate) mod memory;

use std::time::Duration;

use crate::config::setters::setters;
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
    /// [`Limits::decode_time`].
    DecodeTime,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 11] = [
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
        Self::DecodeTime,
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
            Self::DecodeTime => "decode-time",
        }
    }

    /// The limit with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.name() == name)
    }

    /// What it counts.
    pub const fn unit(self) -> LimitUnit {
        match self {
            Self::PictureMemory | Self::IndexMemory | Self::PacketBytes => LimitUnit::Bytes,
            Self::SilentTime | Self::DecodeTime => LimitUnit::Milliseconds,
            Self::PicturePixels
            | Self::Tracks
            | Self::Fragments
            | Self::BoxDepth
            | Self::Edits
            | Self::WaitingUnits => LimitUnit::Count,
        }
    }

    /// A value of it, as people read it: `6.8 GiB`, `60 s`, `1024`.
    pub fn amount(self, value: u64) -> String {
        const STEPS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        match self.unit() {
            LimitUnit::Count => value.to_string(),
            LimitUnit::Milliseconds if value.is_multiple_of(1000) => format!("{} s", value / 1000),
            LimitUnit::Milliseconds => format!("{value} ms"),
            LimitUnit::Bytes => {
                let Some((name, shift)) = STEPS.into_iter().find(|(_, shift)| value >> shift > 0) else {
                    return format!("{value} bytes");
                };
                // Rounded up: what is wanted must not look like what is allowed.
                let tenths = (u128::from(value) * 10).div_ceil(1 << shift);
                let (whole, tenth) = (tenths / 10, tenths % 10);
                if tenth == 0 { format!("{whole} {name}") } else { format!("{whole}.{tenth} {name}") }
            }
        }
    }
}

/// What a [`Limit`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitUnit {
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// Milliseconds.
    Milliseconds,
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
    /// CPU time of decoding for each KiB of compressed input, beyond the first two seconds. A picture counts as one byte for
    /// each 50,000 luma samples where it is coded in less, so that the bound follows the size of still pictures too.
    pub decode_time: Duration,
}

setters!(Limits {
    picture_pixels: u64,
    picture_memory: u64,
    index_memory: u64,
    tracks: u64,
    fragments: u64,
    box_depth: u64,
    edits: u64,
    packet_bytes: u64,
    waiting_units: u64,
    silent_time: Duration,
    decode_time: Duration,
});

impl Default for Limits {
    fn default() -> Self {
        Self {
            picture_pixels: 1 << 28,
            picture_memory: 4 << 30,
            index_memory: 1 << 30,
            tracks: 1 << 10,
            fragments: 1 << 22,
            box_depth: 32,
            edits: 1 << 20,
            packet_bytes: 256 << 20,
            waiting_units: 1 << 16,
            silent_time: Duration::from_secs(60),
            decode_time: Duration::from_millis(500),
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
            decode_time: Duration::MAX,
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
            Limit::DecodeTime => u64::try_from(self.decode_time.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Changes a limit; a time is in milliseconds.
    pub fn set(&mut self, limit: Limit, value: u64) {
        let field = match limit {
            Limit::PicturePixels => &mut self.picture_pixels,
            Limit::PictureMemory => &mut self.picture_memory,
            Limit::IndexMemory => &mut self.index_memory,
            Limit::Tracks => &mut self.tracks,
            Limit::Fragments => &mut self.fragments,
            Limit::BoxDepth => &mut self.box_depth,
            Limit::Edits => &mut self.edits,
            Limit::PacketBytes => &mut self.packet_bytes,
            Limit::WaitingUnits => &mut self.waiting_units,
            Limit::SilentTime => {
                self.silent_time = Duration::from_millis(value);
                return;
            }
            Limit::DecodeTime => {
                self.decode_time = Duration::from_millis(value);
                return;
            }
        };
        *field = value;
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

    #[test]
    fn every_limit_is_set_by_its_own_name() {
        for limit in Limit::ALL {
            let mut limits = Limits::default();
            limits.set(Limit::from_name(limit.name()).unwrap(), 17);
            for other in Limit::ALL {
                let expected = if other == limit { 17 } else { Limits::default().get(other) };
                assert_eq!(limits.get(other), expected, "{}", limit.name());
            }
        }
        assert_eq!(Limit::from_name("memory"), None);
    }

    #[test]
    fn amounts_are_written_for_people_and_never_rounded_down() {
        let bytes = |value| Limit::PictureMemory.amount(value);
        assert_eq!([bytes(900), bytes(4 << 30), bytes((4 << 30) + 1)], ["900 bytes", "4 GiB", "4.1 GiB"]);
        assert_eq!(bytes(u64::MAX), "16777216 TiB");
        assert_eq!(Limit::SilentTime.amount(60_000), "60 s");
        assert_eq!(Limit::Tracks.amount(1024), "1024");
    }
}
