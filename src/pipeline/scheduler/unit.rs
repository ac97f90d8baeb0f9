//! What travels through a stream's stages.

use std::time::Instant;

use super::credits::Credit;
use crate::frame::Frame;
use crate::packet::Packet;

/// A packet or a frame.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "most units are frames")]
pub enum Unit {
    /// Coded data of one picture.
    Packet(Packet),
    /// A picture.
    Frame(Frame),
}

impl Unit {
    /// What is taken of an engine's time, as far as can be told from the unit: pixels of a picture. For packets, whose
    /// picture is not known yet, 1.
    pub fn cost(&self) -> u64 {
        match self {
            Self::Packet(_) => 1,
            Self::Frame(frame) => frame.dimensions.pixels(),
        }
    }

    /// The packet, where it is one.
    pub fn into_packet(self) -> Option<Packet> {
        match self {
            Self::Packet(packet) => Some(packet),
            Self::Frame(_) => None,
        }
    }

    /// The frame, where it is one.
    pub fn into_frame(self) -> Option<Frame> {
        match self {
            Self::Frame(frame) => Some(frame),
            Self::Packet(_) => None,
        }
    }
}

impl From<Packet> for Unit {
    fn from(packet: Packet) -> Self {
        Self::Packet(packet)
    }
}

impl From<Frame> for Unit {
    fn from(frame: Frame) -> Self {
        Self::Frame(frame)
    }
}

/// A result, on its way to whoever consumes the stream.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What the last stage made.
    pub unit: Unit,
    /// The generation that its source unit was submitted with.
    pub generation: u64,
}

/// What goes along with a unit, also where the unit itself is inside a codec.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) generation: u64,
    /// Goes back when the unit's fate is known to everybody; none in tests of single parts.
    #[allow(dead_code, reason = "it works by being dropped")]
    pub(super) credit: Option<Credit>,
    /// When the stream accepted it.
    pub(super) entered: Instant,
    /// When it came to where it is now.
    pub(super) since: Instant,
}

/// A unit that waits.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) unit: Unit,
    pub(super) tag: Tag,
}

/// A place in a stream that everything before it has to be through before anything behind it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barrier {
    /// What follows is of another generation.
    Generation,
    /// Somebody asked for everything to come out.
    Flush,
    /// Nothing follows.
    Close,
}
