//! AV1 units, VP9 superframes, VP8 frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use video_hw::bitstream::{StreamInfo, av1, vp8, vp9};
use video_hw::codec::Codec;
use video_hw::packet::BitstreamLayout;

fuzz_target!(|data: &[u8]| {
    let taken: usize = av1::obus(data).map_while(Result::ok).map(|obu| obu.bytes.len()).sum();
    assert!(taken <= data.len());
    let _ = av1::is_keyframe(data);
    let _ = av1::strip_temporal_delimiters(data, &mut Vec::new());
    let _ = av1::Av1Config::from_temporal_unit(data);
    for frame in vp9::frames(data) {
        let _ = vp9::FrameHeader::parse(frame);
    }
    let _ = vp9::VpConfig::from_vp9_chunk(data);
    let _ = vp8::FrameHeader::parse(data);
    for codec in [Codec::Av1, Codec::Vp9, Codec::Vp8] {
        let _ = StreamInfo::from_unit(codec, BitstreamLayout::elementary(codec), data);
    }
});
