//! Values of the settings that only NVENC has.

/// How often a picture is analysed before it is coded. Rate control meets its target better with two passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MultiPass {
    /// Once.
    Off,
    /// Twice, the first time at a quarter of the size.
    Quarter,
    /// Twice at full size.
    Full,
}

impl MultiPass {
    /// The name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Quarter => "quarter",
            Self::Full => "full",
        }
    }
}

/// Adaptive quantisation inside a picture: flat parts get more bits, busy ones fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpatialAq {
    /// None.
    Off,
    /// As strong as the driver likes.
    Auto,
    /// So strong: 1 to 15.
    Strength(u8),
}

/// Which B frames other frames may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BReference {
    /// None.
    Off,
    /// Each.
    Each,
    /// The middle one between two P frames.
    Middle,
}

impl BReference {
    /// The name used in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Each => "each",
            Self::Middle => "middle",
        }
    }
}

/// Instead of IDR pictures: from time to time a band of intra blocks moves over the picture, and a decoder that began
/// anywhere is right when it has passed. There is one IDR picture then, the first, besides those asked for by frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IntraRefresh {
    /// Frames from the beginning of one refresh to the next: 2 and more.
    pub period: u32,
    /// Frames that a refresh takes: 1 and more, below `period`.
    pub frames: u32,
}
