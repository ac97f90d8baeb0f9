//! What of an input goes into the output beside its pictures and copied samples, and what is left out and told.

use super::source::SourceInfo;
use crate::config::CommonEncodeConfig;
use crate::container::mp4::without_chapter_list;
use crate::container::{ContainerFormat, FileMetadata, MetadataKind, Muxer, Track, TrackId, VideoTrack};
use crate::time::{Rational, TimeBase};

/// The track of an output that is coded by `config`, with what stays true of the input's.
pub(super) fn output_track(
    config: &CommonEncodeConfig,
    time_base: TimeBase,
    info: &SourceInfo,
    shape: Option<Rational>,
) -> Track {
    let track = Track::video(config, time_base);
    let language = info.tracks.iter().find(|t| Some(t.id) == info.track).and_then(|t| t.language.clone());
    let video = track.video.map(|video| VideoTrack {
        sample_aspect_ratio: video.sample_aspect_ratio.or(shape),
        matrix: info.matrix,
        ..video
    });
    Track { language, video, ..track }
}

/// Has the output say what the input says of itself; notes what it cannot. `part`: it begins or ends within the input.
pub(super) fn describe(
    metadata: &FileMetadata,
    renumber: impl Fn(TrackId) -> Option<TrackId>,
    part: bool,
    muxer: &mut dyn Muxer,
    notes: &mut Vec<String>,
) {
    let mut metadata = metadata.renumbered(renumber);
    if part && metadata.kinds.contains(&MetadataKind::ChapterList) {
        without_chapter_list(&mut metadata);
        if let Some(matroska) = &mut metadata.matroska {
            matroska.forget_chapters();
        }
        notes.push("the input's chapter list is left out: its times are those of the whole file".to_owned());
    }
    let format = muxer.format();
    let written = muxer.describe(&metadata);
    // What one family of formats says is not put into the words of another.
    let to_matroska = matches!(format, ContainerFormat::Matroska | ContainerFormat::WebM);
    if written && (metadata.matroska.is_none() || to_matroska) {
        let attached = metadata.kinds.iter().find(|kind| **kind == MetadataKind::Attachments);
        let lost = attached.filter(|_| format == ContainerFormat::WebM);
        notes.extend(lost.map(|kind| format!("webm output has no place for the input's {kind}")));
        return;
    }
    // Tracks are told one by one where they are left out.
    let lost = metadata.kinds.iter().filter(|kind| {
        !matches!(kind, MetadataKind::ChapterTrack | MetadataKind::Timecode)
            && (!part || **kind != MetadataKind::ChapterList)
    });
    notes.extend(lost.map(|kind| format!("{format} output has no place for the input's {kind}")));
}
