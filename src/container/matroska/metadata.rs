//! What a file says beside its samples, kept as it is for another Matroska file.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;

use super::ebml::{Children, Element, Put};
use super::header::SegmentHeader;
use super::ids;
use super::tracks::MkvTrack;
use crate::container::mp4::Output;
use crate::container::{FileMetadata, MetadataKind, TrackId, TrackKind, TrackMetadata};
use crate::error::{Error, Result};
use crate::memory;
use crate::stream_io::{PositionedFile, read_some};

/// Chapters, tags, attachments, and what is said of tracks.
#[derive(Clone, Debug, Default)]
pub(crate) struct MatroskaMetadata {
    /// Nanoseconds of a tick.
    pub(super) scale: u32,
    pub(super) title: Option<Bytes>,
    pub(super) date: Option<Bytes>,
    /// Whole elements, headers included.
    pub(super) chapters: Option<Bytes>,
    pub(super) attachments: Option<Attachments>,
    /// `Tag` elements, one behind the other.
    pub(super) tags: Bytes,
    pub(super) tracks: Vec<(TrackId, TrackDetails)>,
}

/// The element of attachments, which only who copies it needs.
#[derive(Clone, Debug)]
pub(super) enum Attachments {
    Read(Bytes),
    /// It stands there.
    InFile {
        file: Arc<File>,
        at: u64,
        len: u64,
    },
}

impl Attachments {
    pub(super) fn write(&self, out: &mut Output) -> Result<()> {
        let (file, at, len) = match self {
            Self::Read(whole) => return out.write(whole),
            Self::InFile { file, at, len } => (file, *at, *len),
        };
        let failed = |error| Error::io("read the attachments in", "the input", error);
        let mut reader = PositionedFile::new(file.try_clone().map_err(failed)?, at).take(len);
        let mut piece = memory::filled(0_u8, PIECE)?;
        let mut left = len;
        while left > 0 {
            let read = read_some(&mut reader, &mut piece).map_err(failed)?;
            if read == 0 {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            out.write(piece.get(..read).unwrap_or_default())?;
            left = left.saturating_sub(read as u64);
        }
        Ok(())
    }
}

/// What Matroska says of a track and other formats do not.
#[derive(Clone, Debug)]
pub(super) struct TrackDetails {
    pub(super) uid: u64,
    pub(super) name: Bytes,
    pub(super) bcp47: Option<String>,
    /// `FlagEnabled`: players offer it.
    pub(super) enabled: bool,
    pub(super) default: bool,
    /// IDs of the flags that are set: forced, for the hearing impaired ...
    pub(super) flags: Vec<u32>,
    /// Nanoseconds.
    pub(super) codec_delay: u64,
    pub(super) seek_pre_roll: u64,
}

impl Default for TrackDetails {
    fn default() -> Self {
        Self {
            uid: 0,
            name: Bytes::new(),
            bcp47: None,
            enabled: true,
            default: true,
            flags: Vec::new(),
            codec_delay: 0,
            seek_pre_roll: 0,
        }
    }
}

/// Bytes of attachments that are copied at once.
const PIECE: usize = 64 << 10;

/// Names of tags that say which program wrote the file: no longer true of another one.
const OF_THE_WRITER: [&str; 2] = ["ENCODER", "ENCODED_BY"];
const SIMPLE_TAG: u32 = 0x67C8;
const TAG_NAME: u32 = 0x45A3;

impl MatroskaMetadata {
    pub(super) fn of(header: &mut SegmentHeader, tracks: &[MkvTrack]) -> Self {
        Self {
            scale: header.scale,
            title: header.title.clone(),
            date: header.date.clone(),
            chapters: header.chapters.as_ref().map(|chapters| chapters.whole.clone()),
            attachments: header.attachments.clone(),
            tags: std::mem::take(&mut header.tags).into(),
            tracks: tracks.iter().map(|track| (track.public.id, track.details.clone())).collect(),
        }
    }

    /// The same in a file with other track numbers.
    pub(crate) fn renumbered(&self, renumber: impl Fn(TrackId) -> Option<TrackId>) -> Self {
        let tracks = self.tracks.iter();
        let tracks = tracks.filter_map(|(id, details)| Some((renumber(*id)?, details.clone())));
        Self { tracks: tracks.collect(), ..self.clone() }
    }

    /// The same without chapters, whose times count from the start of the whole file.
    pub(crate) fn forget_chapters(&mut self) {
        self.chapters = None;
    }

    pub(super) fn track(&self, id: TrackId) -> Option<&TrackDetails> {
        self.tracks.iter().find(|(track, _)| *track == id).map(|(_, details)| details)
    }

    /// Chapters and tags, as they stand in a segment.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.chapters.as_deref().unwrap_or_default());
        if !self.tags.is_empty() {
            out.bytes(ids::TAGS, &self.tags);
        }
    }

    fn kinds(&self) -> Vec<MetadataKind> {
        let has_tags = self.title.is_some() || !self.tags.is_empty();
        let kinds = [
            (has_tags, MetadataKind::Tags),
            (self.chapters.is_some(), MetadataKind::ChapterList),
            (self.attachments.is_some(), MetadataKind::Attachments),
        ];
        kinds.into_iter().filter(|(there, _)| *there).map(|(_, kind)| kind).collect()
    }

    /// In the terms of all containers.
    pub(super) fn into_file_metadata(self, tracks: &[MkvTrack]) -> FileMetadata {
        // One of each kind is played unless a viewer chooses: the first of those marked so, or else the first sound.
        let played = |track: &MkvTrack| {
            let mut same =
                tracks.iter().filter(|other| other.enabled && other.public.kind == track.public.kind);
            let first = same.clone().next().filter(|first| first.public.kind != TrackKind::Subtitle);
            same.find(|other| other.details.default)
                .or(first)
                .is_some_and(|chosen| chosen.number == track.number)
        };
        let track = |track: &MkvTrack| TrackMetadata {
            track: track.public.id,
            enabled: played(track),
            name: track.details.name.to_vec(),
            references: Vec::new(),
            boxes: Vec::new(),
        };
        FileMetadata {
            kinds: self.kinds(),
            tracks: tracks.iter().map(track).collect(),
            matroska: Some(Box::new(self)),
            ..FileMetadata::default()
        }
    }
}

/// What a tag says of the whole file, as a tag: nothing of its tracks (statistics, which a copy makes untrue) or of its writer.
pub(super) fn of_the_film(tag: &Element) -> Option<Bytes> {
    if tag.id != ids::TAG {
        return None;
    }
    let children = || tag.children().map_while(Result::ok);
    let of_a_track = children().filter(|child| child.id == ids::TARGETS).any(|targets| {
        Children::new(targets.data).map_while(Result::ok).any(|child| child.id == ids::TAG_TRACK_UID)
    });
    let of_the_writer = |simple: &Element| {
        let name = simple.children().map_while(Result::ok).find(|child| child.id == TAG_NAME);
        name.is_some_and(|name| OF_THE_WRITER.contains(&name.text().to_ascii_uppercase().as_str()))
    };
    let simple = || children().filter(|child| child.id == SIMPLE_TAG);
    if of_a_track || simple().all(|simple| of_the_writer(&simple)) {
        return None;
    }
    if !simple().any(|simple| of_the_writer(&simple)) {
        return Some(tag.whole.clone());
    }
    // A sum over the tag would be wrong without them.
    let left_out = |child: &Element| child.id == ids::CRC32 || child.id == SIMPLE_TAG && of_the_writer(child);
    let mut out = Vec::new();
    out.master(ids::TAG, |out| {
        children().filter(|child| !left_out(child)).for_each(|child| out.extend_from_slice(&child.whole));
    });
    Some(out.into())
}
