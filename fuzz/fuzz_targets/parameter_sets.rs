//! H.264 and H.265 parameter sets, slice headers and picture order counts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use video_hw::bitstream::StreamInfo;
use video_hw::codec::Codec;
use video_hw::packet::BitstreamLayout;

fuzz_target!(|data: &[u8]| {
    video_hw::fuzzing::nal_headers(data);
    let _ = StreamInfo::from_unit(Codec::H264, BitstreamLayout::AnnexB, data);
    let _ = StreamInfo::from_unit(Codec::Hevc, BitstreamLayout::AnnexB, data);
});
