//! Access units must not depend on how the stream is cut, and must hold every NAL unit in order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use video_hw::bitstream::annexb::nal_units;
use video_hw::bitstream::{AccessUnit, AccessUnitAssembler};
use video_hw::codec::Codec;

fn assemble(codec: Codec, data: &[u8], chunk: usize) -> Vec<AccessUnit> {
    let mut assembler = AccessUnitAssembler::new(codec).unwrap();
    let mut units = Vec::new();
    for piece in data.chunks(chunk) {
        assembler.push(piece).unwrap();
        units.extend(std::iter::from_fn(|| assembler.next_unit()));
    }
    assembler.finish();
    units.extend(std::iter::from_fn(|| assembler.next_unit()));
    units
}

fuzz_target!(|input: &[u8]| {
    let Some((&chunk, data)) = input.split_first() else { return };
    for codec in [Codec::H264, Codec::Hevc] {
        let whole = assemble(codec, data, usize::MAX);
        assert_eq!(assemble(codec, data, usize::from(chunk).max(1)), whole);
        assert!(whole.iter().flat_map(|u| nal_units(&u.data)).eq(nal_units(data)));
    }
});
