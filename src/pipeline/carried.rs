//! What of an input goes into the output beside its pictures and copied samples, and what is left out and told.

use super::light;
use super::passthrough::Passthrough;
use super::source::SourceInfo;
use crate::config::CommonEncodeConfig;
use crate::container::mp4::without_chapter_list;
use crate::container::{MetadataKind, Muxer, Track, TrackId, TrackKind, VideoTrack};
use crate::packet::BitstreamLayout;
use crate::time::{Rational, TimeBase};

/// The track of an output that is coded by `config`, with what stays true of the input's.
pub(super) fn output_track(
    config: &CommonEncodeConfig,
    time_base: TimeBase,
    info: &SourceInfo,
    shape: Option<Rational>,
) -> Track {
    let video = VideoTrack {
        color: config.color,
        sample_aspect_ratio: config.sample_aspect_ratio.or(shape),
        frame_rate: Some(config.frame_rate),
        matrix: info.matrix,
        hdr: light::of(config),
        ..VideoTrack::new(config.codec, BitstreamLayout::elementary(config.codec), config.dimensions)
    };
    let language = info.tracks.iter().find(|t| Some(t.id) == info.track).and_then(|t| t.language.clone());
    Track {
        id: TrackId(0),
        kind: TrackKind::Video,
        time_base,
        codec_name: config.codec.name().to_owned(),
        language,
        duration: None,
        sample_count: None,
        video: Some(video),
        copy: None,
    }
}

/// Has the output say what the input says of itself; notes what it cannot. `part`: it begins or ends within the input.
pub(super) fn describe(
    info: &SourceInfo,
    video: TrackId,
    passthrough: &Passthrough,
    part: bool,
    muxer: &mut dyn Muxer,
    notes: &mut Vec<String>,
) {
    let renumber = |id| if info.track == Some(id) { Some(video) } else { passthrough.output_of(id) };
    let mut metadata = info.metadata.renumbered(renumber);
    if part && metadata.kinds.contains(&MetadataKind::ChapterList) {
        without_chapter_list(&mut metadata);
        notes.push("the input's chapter list is left out: its times are those of the whole file".to_owned());
    }
    if muxer.describe(&metadata) {
        return;
    }
    let format = muxer.format();
    // Tracks are told one by one where they are left out.
    let lost = metadata.kinds.iter().filter(|kind| {
        !matches!(kind, MetadataKind::ChapterTrack | MetadataKind::Timecode)
            && (!part || **kind != MetadataKind::ChapterList)
    });
    notes.extend(lost.map(|kind| format!("the input's {kind} is lost: {format} output has no place for it")));
}
