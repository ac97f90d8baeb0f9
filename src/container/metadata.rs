//! What a file says of itself beside its samples: tags, location, cover art, chapters, timecode.

use std::fmt;

use bytes::Bytes;

use super::TrackId;
use super::matroska::MatroskaMetadata;

/// What a muxer of the same family needs to say again what a file says of itself.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FileMetadata {
    /// What is in it, each once.
    pub kinds: Vec<MetadataKind>,
    /// Whole boxes of the movie header (`udta`, `meta`), headers included.
    pub(crate) boxes: Vec<Bytes>,
    /// When the movie was made, in seconds since 1904; `None` where that is not stated.
    pub creation_time: Option<u64>,
    /// What belongs to single tracks.
    pub(crate) tracks: Vec<TrackMetadata>,
    /// What a Matroska file says, for another one.
    pub(crate) matroska: Option<Box<MatroskaMetadata>>,
}

/// What a file says of one track beside its samples.
#[derive(Clone, Debug)]
pub(crate) struct TrackMetadata {
    /// The track.
    pub track: TrackId,
    /// Whether it is played unless a viewer chooses otherwise.
    pub enabled: bool,
    /// Name of its handler, for people; may be empty.
    pub name: Vec<u8>,
    /// Tracks that it refers to, by the kind of reference (`chap`, `tmcd` ...).
    pub references: Vec<([u8; 4], Vec<TrackId>)>,
    /// Whole boxes of its header (`udta`).
    pub boxes: Vec<Bytes>,
}

/// A kind of metadata, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetadataKind {
    /// Title, artist, date and the like.
    Tags,
    /// Where it was taken.
    Location,
    /// A picture for shelves.
    CoverArt,
    /// A list of chapters in the movie header.
    ChapterList,
    /// A track of text whose samples are chapters.
    ChapterTrack,
    /// A track that numbers pictures.
    Timecode,
    /// Files inside: fonts, pictures.
    Attachments,
}

impl fmt::Display for MetadataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tags => "tags (title, artist ...)",
            Self::Location => "location",
            Self::CoverArt => "cover art",
            Self::ChapterList => "chapter list",
            Self::ChapterTrack => "chapter track",
            Self::Timecode => "timecode track",
            Self::Attachments => "attachments",
        })
    }
}

impl FileMetadata {
    /// The same in a file with other track numbers; references to tracks that `renumber` does not know are left out.
    #[must_use]
    pub(crate) fn renumbered(&self, renumber: impl Fn(TrackId) -> Option<TrackId>) -> Self {
        let tracks = self.tracks.iter().filter_map(|track| {
            let references = track.references.iter().filter_map(|(kind, to)| {
                let to: Vec<_> = to.iter().copied().filter_map(&renumber).collect();
                (!to.is_empty()).then_some((*kind, to))
            });
            Some(TrackMetadata {
                track: renumber(track.track)?,
                references: references.collect(),
                ..track.clone()
            })
        });
        let matroska = self.matroska.as_ref().map(|matroska| Box::new(matroska.renumbered(&renumber)));
        Self { tracks: tracks.collect(), matroska, ..self.clone() }
    }

    /// What is said of a track.
    pub(crate) fn track(&self, id: TrackId) -> Option<&TrackMetadata> {
        self.tracks.iter().find(|track| track.track == id)
    }
}
