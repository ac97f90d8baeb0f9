//! What a probing child says, and what is kept of it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    video_hw::fuzzing::probing(data);
});
