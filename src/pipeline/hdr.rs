//! HDR10 metadata of an input in an output that is shown in the same light.

use super::reopen::can_be_read_again;
use super::source::{SourceInfo, chosen_video};
use crate::backend::Receipt;
use crate::bitstream::hdr_of_unit;
use crate::color::{ColorInfo, TransferCharacteristics};
use crate::config::CommonEncodeConfig;
use crate::container::{Input, OpenOptions, OutputFormat};
use crate::hdr::HdrMetadata;
use crate::limits::Limits;

/// Has the output state what the input states of its light, wherever that is still true of it: pictures of HDR whose transfer
/// stays. What the caller states takes the place of all of it. The other value: what is left out, and why.
pub(super) fn carry(
    config: CommonEncodeConfig,
    info: &SourceInfo,
    input: ColorInfo,
    limits: &Limits,
) -> (CommonEncodeConfig, Option<String>) {
    let Some(video) = info.video() else {
        return (config, None);
    };
    let own = of(&config);
    let (before, after) = (input.transfer, config.color.transfer);
    let why = if before != after {
        format!("the transfer changes from {before} to {after}")
    } else if !matches!(before, TransferCharacteristics::Pq | TransferCharacteristics::Hlg) {
        format!("transfer {before} is not HDR")
    } else if own.is_whole() {
        return (config, None);
    } else {
        let stated =
            if video.hdr.is_whole() { video.hdr } else { video.hdr.or(of_first_picture(info, limits)) };
        if !own.is_empty() {
            return (config, dropped(own, stated));
        }
        let HdrMetadata { mastering_display, content_light } = stated;
        // Nobody has asked for it: encoders that cannot state it are taken all the same.
        return (CommonEncodeConfig { mastering_display, content_light, hdr_optional: true, ..config }, None);
    };
    let left_out = (own.is_empty() && !video.hdr.is_empty())
        .then(|| format!("the input's HDR10 metadata is left out: {why}"));
    (config, left_out)
}

/// What the input states and the caller, who states the other half, does not. The two describe one picture: whoever measures
/// its light anew may have graded it anew, so halves of two origins are not put together.
fn dropped(own: HdrMetadata, input: HdrMetadata) -> Option<String> {
    let (left, given) = if own.mastering_display.is_none() {
        input.mastering_display?;
        ("mastering display", "the content light")
    } else {
        input.content_light?;
        ("content light", "the mastering display")
    };
    Some(format!("the input's {left} is left out: {given} alone was stated for the output"))
}

/// What stands with the first picture, for what neither the container nor the headers in it say. That it cannot be read is for
/// the decoder to complain about.
fn of_first_picture(info: &SourceInfo, limits: &Limits) -> HdrMetadata {
    let path = &info.path;
    let read = || {
        let opened = OpenOptions::new().limits(limits.clone()).open(path).ok()?;
        let Input::Demuxer(mut demuxer) = opened else { return None };
        let (track, video) = chosen_video(demuxer.as_ref(), path, info.track).ok()?;
        demuxer.select_tracks(&[track.id]);
        let sample = demuxer.next_packet().ok()??;
        Some(hdr_of_unit(video.codec, video.layout, &sample.data))
    };
    if can_be_read_again(path) { read().unwrap_or_default() } else { HdrMetadata::default() }
}

/// What becomes of carried metadata that the encoder does not state, in a format where it could stand nowhere else.
pub(super) fn lost(config: &CommonEncodeConfig, receipt: &Receipt, format: OutputFormat) -> Option<String> {
    let (kind, implementation) = receipt.chosen()?;
    let lost = kind.leaves_out_hdr(config)
        && !matches!(format, OutputFormat::Mp4 | OutputFormat::Matroska | OutputFormat::WebM);
    lost.then(|| {
        format!(
            "the input's HDR10 metadata is lost: {kind} ({implementation}) does not state it and {format} output has no other \
             place for it"
        )
    })
}

/// What the settings of a stream say of its light.
pub(super) const fn of(config: &CommonEncodeConfig) -> HdrMetadata {
    HdrMetadata { mastering_display: config.mastering_display, content_light: config.content_light }
}
