//! Figures, not judgements: run by hand with `--ignored --nocapture` in release.

use std::fs;
use std::time::Instant;

use super::harness::nal_access_units;
use crate::backend::CodedUnit;
use crate::backend::software::open_decoder;
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::packet::Packet;

/// User and system time of this process so far, in seconds.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[test]
#[ignore = "measures; needs MEASURE_FILE"]
fn our_path_and_the_bare_library() {
    let path = std::env::var("MEASURE_FILE").unwrap();
    let codec = if path.ends_with("264") { Codec::H264 } else { Codec::Hevc };
    let units = nal_access_units(codec, &fs::read(&path).unwrap());
    for _ in 0..2 {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let mut decoder = open_decoder(&CommonDecodeConfig::new(codec), Box::new(|_| true)).unwrap();
        for (serial, data) in (0..).zip(&units) {
            let packet = Packet::new(codec, decoder.input_layout(), data.clone());
            decoder.submit(CodedUnit { serial, packet }).unwrap();
        }
        decoder.flush().unwrap();
        eprintln!("ours {:.2} CPU-s, {:.2} s", cpu_seconds() - cpu, start.elapsed().as_secs_f64());
        let cpu = cpu_seconds();
        if codec == Codec::H264 {
            let mut library = rusty_h264_decoder::Decoder::new();
            for unit in &units {
                library.decode(unit).unwrap();
            }
        } else {
            let mut library = rusty_h265::Decoder::new();
            for unit in &units {
                library.push_annexb(unit, None).unwrap();
                while library.next_frame().is_ok() {}
            }
        }
        eprintln!("bare {:.2} CPU-s", cpu_seconds() - cpu);
    }
}
