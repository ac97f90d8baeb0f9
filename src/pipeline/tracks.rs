//! Which tracks of an input are taken.

use std::collections::HashSet;
use std::path::Path;

use crate::container::{FileMetadata, Muxer, Track, TrackId, TrackKind, main_video};
use crate::error::{Error, Result, name_of};

/// Which tracks of a kind are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackChoice {
    /// All of them.
    #[default]
    All,
    /// None.
    None,
    /// Those with these numbers.
    Tracks(Vec<TrackId>),
    /// Those in this language, as the file states it (`eng`).
    Language(String),
}

impl TrackChoice {
    fn takes(&self, track: &Track) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Tracks(ids) => ids.contains(&track.id),
            Self::Language(wanted) => {
                track.language.as_deref().is_some_and(|language| language.eq_ignore_ascii_case(wanted))
            }
        }
    }

    fn ids(&self) -> &[TrackId] {
        match self {
            Self::Tracks(ids) => ids,
            _ => &[],
        }
    }
}

/// Which tracks of an input are taken, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TrackSelection {
    pub(super) video: Option<TrackId>,
    pub(super) audio: TrackChoice,
    pub(super) subtitles: TrackChoice,
}

impl TrackSelection {
    /// Whether anything else than everything is asked for.
    pub(super) fn check(&self, tracks: &[Track], path: &Path) -> Result<()> {
        let asked = [
            (self.video.as_slice(), TrackKind::Video, "video"),
            (self.audio.ids(), TrackKind::Audio, "sound"),
            (self.subtitles.ids(), TrackKind::Subtitle, "text"),
        ];
        for (ids, kind, word) in asked {
            let of_kind = |track: &&Track| track.kind == kind;
            for id in ids {
                if tracks.iter().filter(of_kind).any(|track| track.id == *id) {
                    continue;
                }
                let there: Vec<_> = tracks.iter().filter(of_kind).map(|t| t.id.0.to_string()).collect();
                let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                let name = name_of(path);
                let what = format!("{name} has no {word} track {}; its {word} tracks: {there}", id.0);
                return Err(Error::invalid(what));
            }
        }
        Ok(())
    }

    /// Whether a track beside the main video is taken. Chapters are no subtitles, though they are text.
    pub(super) fn takes(&self, track: &Track, chapters: &HashSet<TrackId>) -> bool {
        match track.kind {
            TrackKind::Video => self.video.is_none_or(|id| id == track.id),
            TrackKind::Audio => self.audio.takes(track),
            TrackKind::Subtitle if !chapters.contains(&track.id) => self.subtitles.takes(track),
            TrackKind::Subtitle | TrackKind::Other => true,
        }
    }

    /// The track that is decoded: the one asked for, or else [`main_video`].
    pub(super) fn video<'a>(&self, tracks: &'a [Track], disabled: &[TrackId]) -> Option<&'a Track> {
        match self.video {
            Some(id) => tracks.iter().find(|track| track.id == id && track.video.is_some()),
            None => main_video(tracks, disabled),
        }
    }
}

/// Which tracks go into an output.
pub(super) struct Taken<'a> {
    pub(super) selection: &'a TrackSelection,
    /// See [`chapters`].
    pub(super) chapters: HashSet<TrackId>,
    /// Whether the output begins behind the start of the input.
    pub(super) starts_late: bool,
    /// The track without which there is no output, where that is one of these.
    pub(super) main: Option<TrackId>,
    /// Why there is no video track but that one.
    pub(super) one_video: Option<&'static str>,
}

impl Taken<'_> {
    /// Notes a language that is asked for and that no track is in.
    pub(super) fn note_unmatched(&self, tracks: &[Track], notes: &mut Vec<String>) {
        let asked = [
            (&self.selection.audio, TrackKind::Audio, "sound"),
            (&self.selection.subtitles, TrackKind::Subtitle, "text"),
        ];
        for (choice, kind, word) in asked {
            let TrackChoice::Language(wanted) = choice else { continue };
            let of_kind = |track: &&Track| track.kind == kind && !self.chapters.contains(&track.id);
            let tracks: Vec<_> = tracks.iter().filter(of_kind).collect();
            if tracks.iter().any(|track| choice.takes(track)) {
                continue;
            }
            let mut there: Vec<_> =
                tracks.iter().map(|track| track.language.as_deref().unwrap_or("none stated")).collect();
            there.sort_unstable();
            there.dedup();
            notes.push(match &there[..] {
                [] => format!("no {word} is in language {wanted}: there is no {word} track"),
                _ => format!(
                    "no {word} is in language {wanted}; languages of the {word} tracks: {}",
                    there.join(", ")
                ),
            });
        }
    }

    /// Adds a track to the output, or notes why it is left out.
    ///
    /// # Errors
    /// Why the output cannot hold the main track, and whatever else goes wrong.
    pub(super) fn add(
        &self,
        track: &Track,
        muxer: &mut dyn Muxer,
        notes: &mut Vec<String>,
    ) -> Result<Option<TrackId>> {
        let is_main = Some(track.id) == self.main;
        let why = match self.one_video {
            Some(why) if track.video.is_some() && !is_main => why.to_owned(),
            _ if !self.selection.takes(track, &self.chapters) => "it is not asked for".to_owned(),
            _ if track.video.is_none() && track.copy.is_none() => "the input does not describe it".to_owned(),
            _ if self.starts_late && is_timecode(track) => {
                "its timecode is that of the start of the input".to_owned()
            }
            _ => match muxer.add_track(track) {
                Ok(output) => return Ok(Some(output)),
                Err(error @ Error::Unsupported { .. }) if !is_main => error.to_string(),
                Err(error) => return Err(error),
            },
        };
        notes.push(format!("{} is left out: {why}", named(track)));
        Ok(None)
    }
}

fn is_timecode(track: &Track) -> bool {
    track.copy.as_ref().is_some_and(|copy| copy.handler == *b"tmcd")
}

/// The tracks of text that are lists of chapters.
pub(super) fn chapters(metadata: &FileMetadata) -> HashSet<TrackId> {
    let references = metadata.tracks.iter().flat_map(|track| &track.references);
    references.filter(|(kind, _)| kind == b"chap").flat_map(|(_, to)| to).copied().collect()
}

/// A track, for notes: `track 3 (mp4a)`.
fn named(track: &Track) -> String {
    let language = track.language.as_ref().map_or_else(String::new, |language| format!(", {language}"));
    format!("track {} ({}{language})", track.id.0, track.codec_name)
}
