//! Kept indices of video files, without the sum behind them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    video_hw::fuzzing::reader_index(input);
});
