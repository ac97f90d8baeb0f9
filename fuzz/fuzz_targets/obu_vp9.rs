//! AV1 units, VP9 superframes, VP8 frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use video_hw::bitstream::StreamInfo;
use video_hw::codec::Codec;
use video_hw::packet::BitstreamLayout;

fuzz_target!(|data: &[u8]| {
    video_hw::fuzzing::frame_headers(data);
    for codec in [Codec::Av1, Codec::Vp9, Codec::Vp8] {
        let _ = StreamInfo::from_unit(codec, BitstreamLayout::elementary(codec), data);
    }
});
