//! PNG and JPEG files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    video_hw::fuzzing::image(data);
});
