//! Files and streams: packets with exact times in, packets with exact times out.
//!
//! A demuxer gives every packet the time at which it is *presented*: edit lists are applied, so that zero is
//! the start of the presentation and a packet that only primes the decoder has a negative time or is marked
//! `discard`. A muxer takes those times back and writes whatever edit list reproduces them.

use std::fmt;

use bytes::Bytes;

use crate::codec::Codec;
use crate::color::ColorInfo;
use crate::config::CommonEncodeConfig;
use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::frame::FieldOrder;
use crate::hdr::HdrMetadata;
pub use crate::packet::TrackId;
use crate::packet::{BitstreamLayout, Packet};
use crate::time::{Rational, TimeBase, Timestamp};

mod create;
pub mod elementary;
pub mod ivf;
pub mod matroska;
mod metadata;
pub mod mp4;
mod mp4_pipe;
mod mpeg2_stream;
pub mod mpegts;
mod obu_stream;
mod open;
mod output_format;
mod probe;
pub(crate) mod sound;
pub(crate) mod sound_headers;
mod vpx_av1;

#[cfg(feature = "fuzzing")]
pub(crate) use matroska::fuzz as fuzz_matroska;
#[cfg(feature = "fuzzing")]
pub(crate) use mpeg2_stream::fuzz as fuzz_mpeg2;

pub use create::{MuxOptions, create_muxer};
pub(crate) use metadata::TrackMetadata;
pub use metadata::{FileMetadata, MetadataKind};
pub use open::{Input, OpenOptions, open_input, open_raw};
pub use output_format::OutputFormat;

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrackKind {
    /// Pictures in a codec this crate knows; [`Track::video`] is set.
    Video,
    /// Sound.
    Audio,
    /// Text.
    Subtitle,
    /// Anything else, pictures in unknown codecs included.
    Other,
}

/// One track.
#[derive(Clone, Debug)]
pub struct Track {
    /// Its number.
    pub id: TrackId,
    /// What it carries.
    pub kind: TrackKind,
    /// Time base of its samples.
    pub time_base: TimeBase,
    /// Codec name for people: [`Codec::name`], or the container's four characters.
    pub codec_name: String,
    /// ISO 639-2 language, where stated.
    pub language: Option<String>,
    /// Duration of the presentation, where known.
    pub duration: Option<Timestamp>,
    /// Number of samples, where known.
    pub sample_count: Option<u64>,
    /// Video details.
    pub video: Option<VideoTrack>,
    /// The container's own description of a track that is passed through untouched.
    pub copy: Option<CopyDescription>,
}

impl Track {
    /// A track for the packets of an encoder with these settings ([`crate::session::EncodeSession::config`]). `time_base` is
    /// that of the frames' times, which a muxer states exactly or refuses.
    ///
    /// ```
    /// use video_hw::codec::Codec;
    /// use video_hw::config::CommonEncodeConfig;
    /// use video_hw::container::{MuxOptions, OutputFormat, Track, create_muxer};
    /// use video_hw::dimensions::Dimensions;
    /// use video_hw::frame::{Frame, HostSurface};
    /// use video_hw::output_file::OutputFile;
    /// use video_hw::pixel::PixelFormat;
    /// use video_hw::session::{EncodeSession, Submit};
    /// use video_hw::time::{Rational, TimeBase, Timestamp};
    /// # use video_hw::backend::BackendKind;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("grey.mp4");
    /// # let backend = BackendKind::Software;
    /// let size = Dimensions::new(64, 48).ok_or("a size")?;
    /// let rate = Rational::new(25, 1).ok_or("a rate")?;
    /// let base = TimeBase::from_frame_rate(rate);
    /// let mut encoder = EncodeSession::new(backend, CommonEncodeConfig::new(Codec::H264, size, rate))?;
    /// let file = OutputFile::create(&path, false, &[])?;
    /// let mut muxer = create_muxer(OutputFormat::Mp4, &file, MuxOptions::default())?;
    /// let track = muxer.add_track(&Track::video(encoder.config(), base))?;
    ///
    /// let grey = HostSurface::from_packed(PixelFormat::I420, size, vec![128; 64 * 48 * 3 / 2])?;
    /// let Submit::Accepted = encoder.submit(Frame::host(Timestamp::new(0, base), grey))? else {
    ///     unreachable!("one frame fits")
    /// };
    /// for packet in encoder.drain()? {
    ///     muxer.write(&packet?.on(track))?;
    /// }
    /// muxer.finish()?;
    /// file.commit()?;
    /// # drop(muxer);
    /// # assert_eq!(video_hw::frames(&path).open()?.count(), 1);
    /// # Ok(()) }
    /// ```
    pub fn video(config: &CommonEncodeConfig, time_base: TimeBase) -> Self {
        let video = VideoTrack {
            color: config.color,
            sample_aspect_ratio: config.sample_aspect_ratio,
            frame_rate: Some(config.frame_rate),
            hdr: HdrMetadata {
                mastering_display: config.mastering_display,
                content_light: config.content_light,
            },
            ..VideoTrack::new(config.codec, BitstreamLayout::elementary(config.codec), config.dimensions)
        };
        Self {
            id: TrackId(0),
            kind: TrackKind::Video,
            time_base,
            codec_name: config.codec.name().to_owned(),
            language: None,
            duration: None,
            sample_count: None,
            video: Some(video),
            copy: None,
        }
    }

    /// A packet of this track, without times.
    pub fn packet(&self, data: impl Into<Bytes>) -> Packet {
        let codec = self.video.as_ref().map(|video| video.codec);
        let layout = self.video.as_ref().map_or(BitstreamLayout::Opaque, |video| video.layout);
        Packet { track: self.id, ..Packet::new(codec, layout, data) }
    }
}

/// Details of a video track.
#[derive(Clone, Debug)]
pub struct VideoTrack {
    /// Codec.
    pub codec: Codec,
    /// Framing of the samples.
    pub layout: BitstreamLayout,
    /// Size of the pictures as decoded and cropped.
    pub dimensions: Dimensions,
    /// Colour, as the container states it.
    pub color: ColorInfo,
    /// Sample aspect ratio, where stated.
    pub sample_aspect_ratio: Option<Rational>,
    /// Average frame rate, where known.
    pub frame_rate: Option<Rational>,
    /// Codec configuration record (`avcC`, `hvcC`, `av1C`, `vpcC` payload), where there is one.
    pub codec_config: Option<Bytes>,
    /// ISO/IEC 14496-12 transformation matrix (rotation, mirroring), where it is not the identity.
    pub matrix: Option<[i32; 9]>,
    /// HDR10 metadata, as the container states it, or else the first headers of the stream.
    pub hdr: HdrMetadata,
    /// The order of the fields where the container says that pictures are interlaced; streams that say it of each picture are
    /// asked first.
    pub fields: Option<FieldOrder>,
    /// Random access points bring the parameter sets that they need, which differ on the way: a muxer leaves them there.
    pub sets_change: bool,
}

impl VideoTrack {
    /// A track with no more than the mandatory facts.
    pub fn new(codec: Codec, layout: BitstreamLayout, dimensions: Dimensions) -> Self {
        Self {
            codec,
            layout,
            dimensions,
            color: ColorInfo::UNSPECIFIED,
            sample_aspect_ratio: None,
            frame_rate: None,
            codec_config: None,
            matrix: None,
            hdr: HdrMetadata::default(),
            fields: None,
            sets_change: false,
        }
    }

    /// Whether the matrix asks a player to show a mirror image.
    pub fn is_mirrored(&self) -> bool {
        self.matrix.is_some_and(|m| {
            let product = |a: usize, b: usize| i64::from(m[a]) * i64::from(m[b]);
            product(0, 4) < product(1, 3)
        })
    }

    /// Clockwise rotation that the matrix asks a player for, in degrees, when it is a pure rotation by a
    /// multiple of 90; `None` for no rotation or any other matrix.
    pub fn rotation(&self) -> Option<u16> {
        let m = self.matrix?;
        match (m[0].signum(), m[1].signum(), m[3].signum(), m[4].signum()) {
            (0, 1, -1, 0) => Some(90),
            (-1, 0, 0, -1) => Some(180),
            (0, -1, 1, 0) => Some(270),
            _ => None,
        }
    }
}

/// What a muxer of the same family needs to copy a track without understanding it.
#[derive(Clone, Debug)]
pub struct CopyDescription {
    /// ISO/IEC 14496-12 handler type (`soun`, `text`, ...).
    pub handler: [u8; 4],
    /// The whole sample entry box, header included; empty for samples that ISO files have no entry for.
    pub sample_entry: Bytes,
    /// The whole media header box (`smhd`, `nmhd`, `gmhd`, ...), header included; `None` for the one that
    /// the handler type implies.
    pub media_header: Option<Bytes>,
    /// What Matroska calls the samples, where they come from there.
    pub matroska: Option<MatroskaCodec>,
}

/// How Matroska describes the samples of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatroskaCodec {
    /// `CodecID`: `A_VORBIS`, `S_HDMV/PGS` ...
    pub id: String,
    /// `CodecPrivate`; may be empty.
    pub private: Bytes,
    /// The whole `Audio` element of its entry; empty where there is none.
    pub(crate) audio: Bytes,
}

/// File formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContainerFormat {
    /// ISO base media file format: MP4, MOV, plain or fragmented.
    Mp4,
    /// Raw elementary stream (H.264 or H.265 Annex B, AV1 OBUs, MPEG-2 video).
    ElementaryStream,
    /// IVF (VP8, VP9, AV1).
    Ivf,
    /// Matroska.
    Matroska,
    /// WebM: Matroska with few codecs.
    WebM,
    /// MPEG transport stream, M2TS included.
    MpegTs,
}

impl fmt::Display for ContainerFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mp4 => "mp4",
            Self::ElementaryStream => "elementary stream",
            Self::Ivf => "ivf",
            Self::Matroska => "matroska",
            Self::WebM => "webm",
            Self::MpegTs => "mpegts",
        })
    }
}

/// The track that is decoded where none is asked for. Those that players show come before those that they leave out
/// (`disabled`: [`Demuxer::disabled_tracks`]), large pictures before small ones, and of several alike the first. Where players show
/// none, it is the first: the largest may be a cover.
///
/// ```
/// use video_hw::codec::Codec;
/// use video_hw::config::CommonEncodeConfig;
/// use video_hw::container::{Track, TrackId, main_video};
/// use video_hw::dimensions::Dimensions;
/// use video_hw::time::{Rational, TimeBase};
///
/// # fn example() -> Option<()> {
/// let rate = Rational::new(25, 1)?;
/// let track = |id, width| {
///     let config = CommonEncodeConfig::new(Codec::H264, Dimensions::new(width, 48)?, rate);
///     Some(Track { id: TrackId(id), ..Track::video(&config, TimeBase::from_frame_rate(rate)) })
/// };
/// let tracks = [track(1, 64)?, track(2, 128)?];
/// let chosen = |disabled: &[TrackId]| main_video(&tracks, disabled).map(|track| track.id);
/// assert_eq!(chosen(&[]), Some(TrackId(2)));
/// assert_eq!(chosen(&[TrackId(2)]), Some(TrackId(1)));
/// assert_eq!(chosen(&[TrackId(1), TrackId(2)]), Some(TrackId(1)));
/// # Some(()) }
/// # example().unwrap();
/// ```
pub fn main_video<'a>(tracks: &'a [Track], disabled: &[TrackId]) -> Option<&'a Track> {
    let pictures = tracks.iter().filter(|track| track.kind == TrackKind::Video);
    let sized = pictures.filter_map(|track| Some((track, track.video.as_ref()?.dimensions.pixels())));
    // `min_by_key` gives the first of several.
    let best =
        sized.min_by_key(
            |(track, pixels)| {
                if disabled.contains(&track.id) { (true, 0) } else { (false, u64::MAX - pixels) }
            },
        );
    best.map(|(track, _)| track)
}

/// What a container says of a packet that is not read, as [`Demuxer::next_packet`] would give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketPlace {
    /// When it is presented, in ticks of the track.
    pub pts: i64,
    /// For how long, in ticks of the track; one where that is not known.
    pub duration: u64,
    /// Whether decoding can start there, as the container says.
    pub keyframe: bool,
    /// See [`Packet::discard`].
    pub discard: bool,
    /// What [`Demuxer::resume`] takes.
    pub position: u64,
}

/// The bytes of a packet that is told of and not read, for who has to look at some of them.
pub trait PacketBytes {
    /// How many there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads those from `from` on, as many as `into` holds; says how many were there.
    ///
    /// # Errors
    /// As [`Demuxer::next_packet`].
    fn read(&mut self, from: u64, into: &mut [u8]) -> Result<usize>;
}

/// Whom [`Demuxer::index`] tells.
pub type EachPacket<'a> = dyn FnMut(PacketPlace, Option<&mut dyn PacketBytes>) -> Result<()> + 'a;

/// Reads packets in storage order.
pub trait Demuxer: Send {
    /// The format.
    fn format(&self) -> ContainerFormat;

    /// The tracks. Complete once the demuxer is open.
    fn tracks(&self) -> &[Track];

    /// Tracks that are not played unless a viewer chooses them.
    fn disabled_tracks(&self) -> &[TrackId] {
        &[]
    }

    /// What the user should know of how the tracks are read.
    fn notes(&self) -> &[String] {
        &[]
    }

    /// What the file says beside its samples; `None` where the format holds nothing of the kind.
    fn metadata(&self) -> Option<&FileMetadata> {
        None
    }

    /// The next packet of any track that is not disabled; `None` at the end.
    ///
    /// # Errors
    /// [`crate::Error::CorruptStream`] or [`crate::Error::Io`]; after an error that is recoverable the next call
    /// goes on behind the damage.
    fn next_packet(&mut self) -> Result<Option<Packet>>;

    /// Restricts reading to these tracks, so that others cost nothing.
    fn select_tracks(&mut self, tracks: &[TrackId]);

    /// Moves to the last random access point of `track` at or before `to`, so that the next packets start
    /// there. Returns `false` where the source cannot (a pipe, a raw stream): the caller then reads and
    /// drops.
    ///
    /// # Errors
    /// As [`Self::next_packet`].
    fn seek(&mut self, track: TrackId, to: Timestamp) -> Result<bool>;

    /// Tells `each` of the packets of `track`, in decoding order, by tables or the heads of blocks alone; reading then begins
    /// anew. Where the packets were come by, `each` may look at their bytes; where only tables were, it may not. `false`: that is
    /// not possible, nothing was told, and who wants to know reads the packets.
    ///
    /// # Errors
    /// As [`Self::next_packet`], behind the packets in front of the damage; and those of `each`.
    fn index(&mut self, _track: TrackId, _each: &mut EachPacket<'_>) -> Result<bool> {
        Ok(false)
    }

    /// Where the packet that was given last can be read again; `None` where it cannot be gone to by that.
    fn position(&self) -> Option<u64> {
        None
    }

    /// Has the next packet of `track` be the one with this [`PacketPlace::position`] or [`Self::position`]. Other tracks may
    /// be left behind: for a demuxer of which one track is selected. `false`: it cannot be gone to.
    ///
    /// # Errors
    /// As [`Self::next_packet`].
    fn resume(&mut self, _track: TrackId, _position: u64) -> Result<bool> {
        Ok(false)
    }
}

/// What a muxer wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MuxSummary {
    /// Samples written, all tracks.
    pub samples: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Whether an output can keep samples that are not shown ([`Packet::discard`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hides {
    /// In front of what is shown, with times below zero.
    pub before: bool,
    /// Behind it.
    pub behind: bool,
}

/// Writes packets.
///
/// All tracks are added before the first packet. Packets of one track come in decoding order; a muxer
/// interleaves tracks as they come. Video packets may be in any layout of their codec: the muxer converts,
/// and takes the parameter sets out of the first random access point where `codec_config` is absent.
pub trait Muxer: Send {
    /// The format.
    fn format(&self) -> ContainerFormat;

    /// Adds a track; the id inside `track` is ignored and the new one returned.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] when the format cannot carry it.
    fn add_track(&mut self, track: &Track) -> Result<TrackId>;

    /// Has the output say what `metadata`, with the numbers of tracks added before, says; `false` where the format cannot.
    /// To be called before the first sample.
    fn describe(&mut self, _metadata: &FileMetadata) -> bool {
        false
    }

    /// Whether it keeps samples that are not shown. Where it does not, they are shown like all others.
    fn hides(&self) -> Hides {
        Hides::default()
    }

    /// Writes a packet to a track added before, in the framing that its track was added with.
    ///
    /// # Errors
    /// [`crate::Error::Io`] (a full disk, say) or [`crate::Error::InvalidInput`] for times that the format cannot carry.
    fn write(&mut self, packet: &Packet) -> Result<()>;

    /// Completes the output. Nothing is playable before this returns.
    ///
    /// # Errors
    /// As [`Self::write`].
    fn finish(&mut self) -> Result<MuxSummary>;
}
