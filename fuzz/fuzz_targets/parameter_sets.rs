//! H.264 and H.265 parameter sets, slice headers and picture order counts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use video_hw::bitstream::annexb::nal_units;
use video_hw::bitstream::{StreamInfo, h264, hevc};
use video_hw::codec::Codec;
use video_hw::packet::BitstreamLayout;

fuzz_target!(|data: &[u8]| {
    let (mut avc, mut hev) = (h264::ParameterSets::new(), hevc::ParameterSets::new());
    let mut poc = h264::poc::PocDecoder::new();
    for nal in nal_units(data) {
        let _ = avc.insert(nal);
        let _ = hev.insert(nal);
        let _ = h264::has_recovery_point(nal);
        if let Ok(header) = h264::SliceHeader::parse(nal, &avc) {
            let (sps, _) = avc.active(header.identity.pps_id).unwrap();
            let _ = poc.next_picture(sps, &header).key();
        }
        let _ = hevc::SliceSegment::parse(nal, &hev);
    }
    let _ = StreamInfo::from_unit(Codec::H264, BitstreamLayout::AnnexB, data);
    let _ = StreamInfo::from_unit(Codec::Hevc, BitstreamLayout::AnnexB, data);
});
