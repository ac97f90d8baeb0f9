//! Matroska and WebM: reading from files and pipes, seeking, and writing again.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| video_hw::fuzzing::matroska(data));
