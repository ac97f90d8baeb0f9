//! Raw streams of MPEG-2 video. The first byte says how they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&chunk, data)) = input.split_first() else { return };
    video_hw::fuzzing::mpeg2(data, usize::from(chunk));
});
