//! NUT, which a child ffmpeg writes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    video_hw::fuzzing::nut(data);
});
