//! Picture sizes.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::error::Error;

/// Width and height in luma samples, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dimensions {
    width: NonZeroU32,
    height: NonZeroU32,
}

impl Dimensions {
    /// The largest width or height that any part of the project accepts (the largest that AV1 and MP4's
    /// 16-bit visual sample entry can carry).
    pub const MAX_SIDE: u32 = 65_535;

    /// `width x height`; `None` when either is zero or above [`Self::MAX_SIDE`].
    pub const fn new(width: u32, height: u32) -> Option<Self> {
        if width > Self::MAX_SIDE || height > Self::MAX_SIDE {
            return None;
        }
        match (NonZeroU32::new(width), NonZeroU32::new(height)) {
            (Some(width), Some(height)) => Some(Self { width, height }),
            _ => None,
        }
    }

    /// Width in luma samples.
    pub const fn width(self) -> u32 {
        self.width.get()
    }

    /// Height in luma samples.
    pub const fn height(self) -> u32 {
        self.height.get()
    }

    /// `width * height`.
    pub const fn pixels(self) -> u64 {
        self.width.get() as u64 * self.height.get() as u64
    }
}

impl fmt::Display for Dimensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Dimensions {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let parse = || {
            let (w, h) = s.split_once(['x', 'X'])?;
            Self::new(w.trim().parse().ok()?, h.trim().parse().ok()?)
        };
        parse().ok_or_else(|| Error::invalid(format!("size {s:?} is not WIDTHxHEIGHT with sides 1 to 65535")))
    }
}
