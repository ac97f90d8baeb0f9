//! HDR10 metadata of an input in an output that is shown in the same light.

use super::source::SourceInfo;
use crate::color::{ColorInfo, TransferCharacteristics};
use crate::config::CommonEncodeConfig;
use crate::hdr::HdrMetadata;

/// Has the output state what the input states of its light, wherever that is still true of it: pictures of HDR whose transfer
/// stays. What the caller states takes the place of all of it. The other value: why it is left out.
pub(super) fn carry(
    config: CommonEncodeConfig,
    info: &SourceInfo,
    input: ColorInfo,
) -> (CommonEncodeConfig, Option<String>) {
    let stated = info.tracks.iter().find_map(|track| track.video.as_ref()).map(|video| video.hdr);
    let Some(hdr) = stated.filter(|hdr| !hdr.is_empty() && of(&config).is_empty()) else {
        return (config, None);
    };
    let (before, after) = (input.transfer, config.color.transfer);
    let why = if before != after {
        format!("the transfer changes from {before} to {after}")
    } else if !matches!(before, TransferCharacteristics::Pq | TransferCharacteristics::Hlg) {
        format!("transfer {before} is not HDR")
    } else {
        let HdrMetadata { mastering_display, content_light } = hdr;
        // Nobody has asked for it: encoders that cannot state it are taken all the same.
        return (CommonEncodeConfig { mastering_display, content_light, hdr_optional: true, ..config }, None);
    };
    (config, Some(format!("the input's HDR10 metadata is left out: {why}")))
}

/// What the settings of a stream say of its light.
pub(super) const fn of(config: &CommonEncodeConfig) -> HdrMetadata {
    HdrMetadata { mastering_display: config.mastering_display, content_light: config.content_light }
}
