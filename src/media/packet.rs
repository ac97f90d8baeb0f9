//! Compressed data.

use std::fmt;

use bytes::Bytes;

use crate::codec::Codec;
use crate::time::Timestamp;

/// How the coded data of a packet is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BitstreamLayout {
    /// NAL units after start codes (ITU-T H.264 / H.265 Annex B), parameter sets in band.
    AnnexB,
    /// H.264 NAL units after big-endian lengths of this many bytes (1, 2 or 4); ISO/IEC 14496-15.
    Avcc {
        /// Bytes of each length field.
        length_size: u8,
    },
    /// H.265 NAL units after big-endian lengths of this many bytes (1, 2 or 4); ISO/IEC 14496-15.
    Hvcc {
        /// Bytes of each length field.
        length_size: u8,
    },
    /// AV1 open bitstream units of one temporal unit, each with its size field ("low overhead format").
    Obu,
    /// One codec-defined chunk per packet: a VP8 frame, a VP9 frame or superframe, a JPEG picture, an MPEG-2, MPEG-4
    /// or VC-1 picture with its start codes.
    Opaque,
}

impl BitstreamLayout {
    /// The layout of a raw elementary stream of this codec.
    pub const fn elementary(codec: Codec) -> Self {
        match codec {
            Codec::H264 | Codec::Hevc => Self::AnnexB,
            Codec::Av1 => Self::Obu,
            Codec::Vp9 | Codec::Vp8 | Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1 | Codec::Mjpeg => Self::Opaque,
        }
    }
}

impl fmt::Display for BitstreamLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnnexB => "annexb",
            Self::Avcc { .. } => "avcc",
            Self::Hvcc { .. } => "hvcc",
            Self::Obu => "obu",
            Self::Opaque => "opaque",
        })
    }
}

/// Coding type of a picture, where the encoder or a parser tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PictureType {
    /// Instantaneous decoder refresh: nothing after it refers to anything before it.
    Idr,
    /// Intra.
    I,
    /// Predicted from one list.
    P,
    /// Predicted from two lists.
    B,
}

/// Number of a track, unique within its file; 0 outside of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u32);

/// Compressed data on their way from a file to a decoder, from an encoder to a file, or from file to file: one access unit (all
/// coded data of one picture), or one sample of another track.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The track of the file that it comes from, or goes to.
    pub track: TrackId,
    /// Codec; `None` for what is copied without being understood, sound for instance.
    pub codec: Option<Codec>,
    /// Framing of `data`.
    pub layout: BitstreamLayout,
    /// The coded bytes.
    pub data: Bytes,
    /// Presentation time. `None` where the source has none (raw elementary streams): the decode session
    /// then numbers the frames in output order and says so in its summary.
    pub pts: Option<Timestamp>,
    /// Decoding time, on the presentation time line.
    pub dts: Option<Timestamp>,
    /// Duration in ticks of `pts`' base (or `dts`'), which is the track's, where known.
    pub duration: Option<u64>,
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// Needed to decode others, but not to be shown (before an edit list's start or a seek target): the
    /// decode session decodes it and counts it as discarded.
    pub discard: bool,
    /// Coding type, where known.
    pub picture_type: Option<PictureType>,
    /// Generation of the encode session that made it (0 for packets from a file).
    pub generation: u64,
    /// Nothing says that `data` is whole: it ends where its input ended, and not at a length or a start code. A decoder
    /// then looks whether it holds the whole picture.
    pub unterminated: bool,
}

impl Packet {
    /// A packet without times.
    pub fn new(codec: impl Into<Option<Codec>>, layout: BitstreamLayout, data: impl Into<Bytes>) -> Self {
        Self {
            track: TrackId::default(),
            codec: codec.into(),
            layout,
            data: data.into(),
            pts: None,
            dts: None,
            duration: None,
            keyframe: false,
            discard: false,
            picture_type: None,
            generation: 0,
            unterminated: false,
        }
    }

    /// Sets the track.
    #[must_use]
    pub fn on(self, track: TrackId) -> Self {
        Self { track, ..self }
    }

    /// Sets both times.
    #[must_use]
    pub fn at(mut self, pts: Timestamp, dts: Timestamp) -> Self {
        self.pts = Some(pts);
        self.dts = Some(dts);
        self
    }
}
