//! Profiles by name.

use std::fmt;
use std::str::FromStr;

use crate::codec::Codec;
use crate::error::{Error, Result};

/// A profile of a codec: which tools a decoder must have. The same name means another profile with another codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// H.264 Baseline: no B frames, no CABAC.
    Baseline,
    /// H.264, HEVC or AV1 Main. For H.264 and HEVC 8-bit 4:2:0; AV1 Main has 10 bits too.
    Main,
    /// H.264 High: 8-bit 4:2:0.
    High,
    /// H.264 High 10: 4:2:0 of up to 10 bits.
    High10,
    /// H.264 High 4:4:4 Predictive.
    High444,
    /// HEVC Main 10: 4:2:0 of up to 10 bits.
    Main10,
    /// HEVC format range extensions: 4:4:4.
    RangeExtensions,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 7] = [
        Self::Baseline,
        Self::Main,
        Self::High,
        Self::High10,
        Self::High444,
        Self::Main10,
        Self::RangeExtensions,
    ];

    /// The name used on the command line (ffmpeg's).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Main => "main",
            Self::High => "high",
            Self::High10 => "high10",
            Self::High444 => "high444",
            Self::Main10 => "main10",
            Self::RangeExtensions => "rext",
        }
    }

    /// Whether the codec has a profile of this name.
    pub const fn is_of(self, codec: Codec) -> bool {
        match codec {
            Codec::H264 => {
                matches!(self, Self::Baseline | Self::Main | Self::High | Self::High10 | Self::High444)
            }
            Codec::Hevc => matches!(self, Self::Main | Self::Main10 | Self::RangeExtensions),
            Codec::Av1 => matches!(self, Self::Main),
            _ => false,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|profile| profile.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            let shown: String = text.chars().take(40).collect();
            Error::invalid(format!("no profile is called {shown:?}; there are {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for profile in Profile::ALL {
            assert_eq!(profile.name().parse::<Profile>().unwrap(), profile);
            let codecs = [Codec::H264, Codec::Hevc, Codec::Av1];
            assert!(codecs.into_iter().any(|codec| profile.is_of(codec)), "{profile} is of some codec");
            assert!(!profile.is_of(Codec::Vp9));
        }
        let error = "high422".parse::<Profile>().unwrap_err().to_string();
        assert!(error.contains("high444, main10"), "{error}");
    }
}
