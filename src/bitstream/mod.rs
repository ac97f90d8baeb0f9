//! Coded bytes: where units begin and end, and what their headers say.
//!
//! Nothing here decodes a picture. [`annexb`] finds NAL units, [`AccessUnitAssembler`] groups them into one
//! unit per frame from chunks of any size, [`convert`] changes the framing, and the codec modules read the
//! headers that tell a container or a decoder what a stream is. [`StreamInfo`] is the summary of all that.
//!
//! Every parser takes hostile bytes: it returns an error, never panics, and allocates in proportion to what
//! the input really holds.

pub mod annexb;
mod assembler;
pub(crate) mod av1;
pub(crate) mod bits;
pub mod convert;
mod display_order;
mod fields;
mod foreign;
pub(crate) mod h264;
pub(crate) mod hevc;
pub(crate) mod mpeg;
mod order;
mod random_access;
mod reorder;
mod sei;
mod stream_info;
pub(crate) mod vp8;
pub(crate) mod vp9;

pub use assembler::{AccessUnit, AccessUnitAssembler};
pub use av1::Av1Config;
pub(crate) use display_order::DisplayOrder;
pub(crate) use fields::FieldDetector;
pub(crate) use foreign::foreign_nal;
pub use h264::AvcConfig;
pub use hevc::HevcConfig;
pub(crate) use order::OutputOrder;
pub(crate) use random_access::{ActiveParameterSets, UnitRole, is_delimiter, is_slice, leading_units};
pub(crate) use reorder::Reorder;
pub use stream_info::{StreamInfo, hdr_of_unit};
pub use vp9::VpConfig;

#[cfg(any(test, feature = "fuzzing"))]
use crate::codec::Codec;

/// Everything that reads the headers of NAL units, for the fuzz targets and the tests.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_nal_headers(data: &[u8]) {
    let (mut avc, mut hev) = (h264::ParameterSets::new(), hevc::ParameterSets::new());
    let mut poc = h264::poc::PocDecoder::new();
    for nal in annexb::nal_units(data) {
        let _ = avc.insert(nal);
        let _ = hev.insert(nal);
        let _ = h264::has_recovery_point(nal);
        if let Ok(header) = h264::SliceHeader::parse(nal, &avc)
            && let Some((sps, _)) = avc.active(header.identity.pps_id)
        {
            let _ = poc.next_picture(sps, &header).key();
        }
        let _ = hevc::SliceSegment::parse(nal, &hev);
    }
}

/// Everything that reads AV1 units, VP9 superframes and VP8 frames, for the fuzz targets and the tests.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_frame_headers(data: &[u8]) {
    let taken: usize = av1::obus(data).map_while(crate::Result::ok).map(|obu| obu.bytes.len()).sum();
    assert!(taken <= data.len(), "the units of a temporal unit are longer than it");
    let _ = av1::is_keyframe(data);
    let _ = av1::strip_temporal_delimiters(data, &mut Vec::new());
    let _ = Av1Config::from_temporal_unit(data);
    for frame in vp9::frames(data) {
        let _ = vp9::FrameHeader::parse(frame);
    }
    let _ = VpConfig::from_vp9_chunk(data);
    let _ = vp8::FrameHeader::parse(data);
    for codec in [Codec::Mpeg2, Codec::Mpeg4] {
        let _ = mpeg::Head::of(codec, data);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed run")]
mod tests {
    mod properties;
    mod streams;
}
