//! Writing MP4 files.

use std::fmt;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;

use super::mux_moov::{Header, file_type};
use super::mux_track::MuxTrack;
use super::output::{Output, Target};
use crate::config::setters::setters;
use crate::container::{ContainerFormat, FileMetadata, Hides, MuxSummary, Muxer, Track, TrackId};
use crate::error::{Error, Result};
use crate::packet::Packet;

/// How an MP4 file is written.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Mp4MuxOptions {
    /// Name of the output in messages.
    pub path: PathBuf,
}

setters!(Mp4MuxOptions {} into { path: PathBuf });

/// Writes MP4 files (ISO/IEC 14496-12): media data as it comes, the movie header when it is complete.
///
/// Times are reproduced exactly: the first presented sample of a track keeps its time by an edit list, a
/// track keeps its ticks. Tracks with [`Track::copy`] are stored as they are.
pub struct Mp4Muxer {
    out: Output,
    /// Move the movie header in front of the media data at the end.
    faststart: bool,
    tracks: Vec<MuxTrack>,
    metadata: FileMetadata,
    /// Offset of the media data box.
    mdat: Option<u64>,
    finished: bool,
    samples: u64,
}

impl fmt::Debug for Mp4Muxer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mp4Muxer")
            .field("tracks", &self.tracks.len())
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}

/// The media data box begins with 8 bytes of padding (a `free` box), which become part of a 64-bit header
/// where the data outgrows a 32-bit size.
const MDAT_START: [u8; 16] = *b"\0\0\0\x08free\0\0\0\0mdat";

impl Mp4Muxer {
    /// Writes to an empty file. The movie header is at the end of it.
    ///
    /// # Errors
    /// None yet: nothing is written before the first sample.
    pub fn create<W: Write + Seek + Send + 'static>(writer: W, options: Mp4MuxOptions) -> Result<Self> {
        Ok(Self::with_target(Target::Seekable(Box::new(writer)), options, false))
    }

    /// Writes to an empty file that can also be read (opened with read and write access), and moves the
    /// movie header to the front at the end ("fast start"): playing over a network begins at once.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_faststart<W: Read + Write + Seek + Send + 'static>(
        writer: W,
        options: Mp4MuxOptions,
    ) -> Result<Self> {
        Ok(Self::with_target(Target::Rewritable(Box::new(writer)), options, true))
    }

    fn with_target(target: Target, options: Mp4MuxOptions, faststart: bool) -> Self {
        let out = Output::new(target, options.path);
        Self {
            out,
            faststart,
            tracks: Vec::new(),
            metadata: FileMetadata::default(),
            mdat: None,
            finished: false,
            samples: 0,
        }
    }

    fn start(&mut self) -> Result<u64> {
        if let Some(mdat) = self.mdat {
            return Ok(mdat);
        }
        let quicktime = self.tracks.iter().any(|track| is_quicktime_sound(&track.public));
        self.out.write(&file_type(quicktime)?)?;
        let mdat = self.out.position();
        self.out.write(&MDAT_START)?;
        self.mdat = Some(mdat);
        Ok(mdat)
    }

    fn check_open(&self) -> Result<()> {
        if self.finished { Err(Error::invalid("the MP4 file is finished")) } else { Ok(()) }
    }
}

impl Muxer for Mp4Muxer {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::Mp4
    }

    fn add_track(&mut self, track: &Track) -> Result<TrackId> {
        self.check_open()?;
        if self.mdat.is_some() {
            return Err(Error::invalid("all tracks are added before the first sample"));
        }
        let id = TrackId(self.tracks.len() as u32 + 1);
        self.tracks.push(MuxTrack::new(&Track { id, ..track.clone() })?);
        Ok(id)
    }

    fn describe(&mut self, metadata: &FileMetadata) -> bool {
        self.metadata = metadata.clone();
        true
    }

    fn hides(&self) -> Hides {
        Hides { before: true, behind: true }
    }

    fn write(&mut self, sample: &Packet) -> Result<()> {
        self.check_open()?;
        self.start()?;
        let index = sample.track.0.checked_sub(1).map(|index| index as usize);
        let Some(track) = index.and_then(|index| self.tracks.get_mut(index)) else {
            return Err(Error::invalid(format!("track {} was not added", sample.track.0)));
        };
        let checked = track.check(sample)?;
        track.make_room(&checked)?;
        let offset = self.out.position();
        self.out.write(&checked.data)?;
        track.push(&checked, offset);
        self.samples += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<MuxSummary> {
        self.check_open()?;
        let mdat = self.start()?;
        self.finished = true;
        let end = self.out.position();
        // The size counts from the header of mdat; a large one starts at the padding.
        if let Ok(size) = u32::try_from(end - mdat - 8) {
            self.out.overwrite(mdat + 8, &size.to_be_bytes())?;
        } else {
            let mut header = *b"\0\0\0\x01mdat\0\0\0\0\0\0\0\0";
            header[8..].copy_from_slice(&(end - mdat).to_be_bytes());
            self.out.overwrite(mdat, &header)?;
        }
        let header = Header::new(&self.tracks, &self.metadata)?;
        if self.faststart {
            let moov = header.build_in_front(end)?;
            self.out.insert(mdat, &moov)?;
        } else {
            self.out.write(&header.build(0, end)?)?;
        }
        self.out.flush()?;
        Ok(MuxSummary { samples: self.samples, bytes: self.out.position() })
    }
}

/// QuickTime sound descriptions of version 1 and 2 have other fields than those of ISO files.
pub(super) fn is_quicktime_sound(track: &Track) -> bool {
    track.copy.as_ref().is_some_and(|copy| {
        copy.handler == *b"soun" && copy.sample_entry.get(16..18).is_some_and(|version| version != [0, 0])
    })
}
