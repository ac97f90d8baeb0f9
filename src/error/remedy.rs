//! What can be done about an error: a value, so that programs can act on it and say it in their own terms.

use std::borrow::Cow;
use std::fmt;

use crate::codec::Codec;
use crate::limits::Limit;

/// What a user can do about an error.
///
/// [`Display`](fmt::Display) says it in terms of this library's settings. A program that calls them otherwise, as options
/// of a command say, words the kinds itself and leaves the rest to `Display`: see [`Error::explain`](super::Error::explain).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Nothing that is known.
    #[default]
    None,
    /// Let another backend do it.
    OtherBackend,
    /// Let another backend do it, or do what these words say: use a device that can, or another stream.
    OtherDevice(Cow<'static, str>),
    /// Close a session, or wait longer for one ([`SessionAdmission::Wait`](crate::config::SessionAdmission::Wait)).
    FreeSession,
    /// Raise a limit ([`Limits`](crate::limits::Limits)), if the input is trusted.
    RaiseLimit {
        /// Which limit.
        limit: Limit,
        /// The least value that is enough, in the limit's unit.
        to: u64,
    },
    /// Install or update something.
    Install {
        /// The file of the library, or the name of the program or driver.
        what: Cow<'static, str>,
        /// How.
        how: Cow<'static, str>,
    },
    /// The driver is there and finds no device that it can use; in words, what to look at.
    CheckDevice(Cow<'static, str>),
    /// It may succeed the next time; in words, what to do if it does not.
    TryAgain(Cow<'static, str>),
    /// A setting has to be one of these.
    Allowed(String),
    /// Have all pictures scaled to one size (`size`).
    Size,
    /// Have all pictures converted to one pixel format (`convert`).
    PixelFormat,
    /// Have the pictures made smaller (`size`), or fewer (`frame_rate`).
    FewerPixels,
    /// Ask for no frame rate (`frame_rate`), which keeps the input's own times.
    OwnTimes,
    /// Have times put right (`keep_going`), or made even (`frame_rate`).
    MendTimes,
    /// Go on in spite of it (`keep_going`).
    KeepGoing,
    /// Have interlaced pictures made progressive (`deinterlace`).
    Deinterlace,
    /// Allow overwriting (`overwrite`), or choose another name.
    Overwrite,
    /// Save the input to a file first, or allow that it is spooled to a temporary one (`spool`).
    Spool,
    /// Allow a larger temporary file (`spool`), or save the input to a file first.
    LargerSpool,
    /// Ask less of a device's memory: smaller pictures, fewer of them at once, fewer sessions, or another device.
    LessDeviceMemory,
    /// State the format of the output; these are known.
    OutputFormat(String),
    /// Ask for another codec, or make an encoder of this one available.
    OtherCodec {
        /// A codec that is encoded here as things are; `None`: there is none.
        works: Option<Codec>,
        /// Each of them brings an encoder of the codec that was asked for, the preferred one first.
        or: Vec<Remedy>,
    },
    /// Something else, in words.
    Other(Cow<'static, str>),
}

impl Remedy {
    /// Those that are nothing but their kind.
    pub const PLAIN: [Self; 13] = [
        Self::OtherBackend,
        Self::FreeSession,
        Self::Size,
        Self::PixelFormat,
        Self::FewerPixels,
        Self::OwnTimes,
        Self::MendTimes,
        Self::KeepGoing,
        Self::Deinterlace,
        Self::Overwrite,
        Self::Spool,
        Self::LargerSpool,
        Self::LessDeviceMemory,
    ];

    /// A word for its kind, which stays the same: `other_backend`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::OtherBackend => "other_backend",
            Self::OtherDevice(_) => "other_device",
            Self::FreeSession => "free_session",
            Self::RaiseLimit { .. } => "raise_limit",
            Self::Install { .. } => "install",
            Self::CheckDevice(_) => "check_device",
            Self::TryAgain(_) => "try_again",
            Self::Allowed(_) => "allowed",
            Self::Size => "size",
            Self::PixelFormat => "pixel_format",
            Self::FewerPixels => "fewer_pixels",
            Self::OwnTimes => "own_times",
            Self::MendTimes => "mend_times",
            Self::KeepGoing => "keep_going",
            Self::Deinterlace => "deinterlace",
            Self::Overwrite => "overwrite",
            Self::Spool => "spool",
            Self::LargerSpool => "larger_spool",
            Self::LessDeviceMemory => "less_device_memory",
            Self::OutputFormat(_) => "output_format",
            Self::OtherCodec { .. } => "other_codec",
            Self::Other(_) => "other",
        }
    }

    /// The remedy of a job that has tried every backend: to ask for another one is no part of it.
    #[must_use]
    pub(crate) fn after_every_backend(self) -> Self {
        match self {
            Self::OtherBackend => Self::None,
            Self::OtherDevice(words) => Self::Other(words),
            other => other,
        }
    }

    /// [`Self::Install`].
    pub(crate) const fn install(what: &'static str, how: &'static str) -> Self {
        Self::Install { what: Cow::Borrowed(what), how: Cow::Borrowed(how) }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::OtherBackend => "let another backend do it",
            Self::OtherDevice(which) => return write!(f, "{}; or {which}", Self::OtherBackend),
            Self::FreeSession => {
                "close a session or another program that encodes, wait longer for one (SessionAdmission::Wait), or use another \
                 device"
            }
            Self::RaiseLimit { limit, to } => {
                return write!(f, "if the input is trusted, raise the limit to {}", limit.amount(*to));
            }
            Self::Allowed(values) => return write!(f, "allowed: {values}"),
            Self::OutputFormat(known) => return write!(f, "state the format, one of {known}"),
            Self::OtherCodec { works, or } => {
                let works = works.map(|codec| format!("{codec} works now (`codec`)"));
                let all: Vec<_> = works.into_iter().chain(or.iter().map(Self::to_string)).collect();
                return f.write_str(&all.join(". Or: "));
            }
            Self::Install { how: message, .. }
            | Self::CheckDevice(message)
            | Self::TryAgain(message)
            | Self::Other(message) => message,
            Self::Size => "have the pictures scaled to another size, the same for all (`size`)",
            Self::PixelFormat => "have all pictures converted to one pixel format (`convert`)",
            Self::FewerPixels => "smaller pictures (`size`) or a lower `frame_rate` need less",
            Self::OwnTimes => "ask for no frame rate (`frame_rate`), which keeps the input's own times",
            Self::MendTimes => "have such times put right (`keep_going`), or the frame rate made constant (`frame_rate`)",
            Self::KeepGoing => "go on in spite of it (`keep_going`)",
            Self::Deinterlace => "have them made progressive (`deinterlace`)",
            Self::Overwrite => "allow overwriting or choose another name",
            Self::Spool => "save it to a file first, or have it spooled to a temporary one (`spool`)",
            Self::LargerSpool => "allow a larger temporary file (`spool`), or save the input to a file first",
            Self::LessDeviceMemory => {
                "use smaller pictures, fewer at once (`max_in_flight_outputs`), no lookahead, fewer sessions, or another device"
            }
        })
    }
}

impl From<&'static str> for Remedy {
    fn from(message: &'static str) -> Self {
        Self::Other(message.into())
    }
}

impl From<String> for Remedy {
    fn from(message: String) -> Self {
        Self::Other(message.into())
    }
}
