//! Prints what a driver answers where the documents are silent, one `name = answer` line each, in an order that
//! never changes: run on a real card and on the simulated driver, the two texts can be compared line by line.
//! `facts/` has the answers of real cards; `tests/simulation/facts.rs` holds the simulation against them.
//!
//! ```console
//! $ cargo run -p nvsim --bin driver_facts -- clips
//! ```
//!
//! The argument is the folder of the project's small clips; a second one names one section, or `file:PATH` for the
//! traces of any other stream (`.h264`, `.h265`, `.ivf` with VP9). Nothing of the simulation is linked in: the driver
//! is opened by its names, as any client does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a probe stops at what it does not expect"
)]
#![allow(missing_docs, reason = "declarations are shared with the simulation, which documents them")]

#[path = "../../nvdec/abi/mod.rs"]
#[allow(dead_code, reason = "not every declaration is needed here")]
mod abi;
mod areas;
mod cuda;
mod decoding;
mod facts_support;
mod parsing;

use std::path::PathBuf;

use abi::codec;
use facts_support::{Cuda, Cuvid};

/// Clips whose parsing is written down.
const CLIPS: [(&str, u32); 5] = [
    ("small.h264", codec::H264),
    ("interlaced.h264", codec::H264),
    ("small.h265", codec::HEVC),
    ("small-10bit.h265", codec::HEVC),
    ("small-vp9.ivf", codec::VP9),
];

/// Each section runs in a process of its own: a driver may crash on what another one refuses, and that is a fact too.
const SECTIONS: [&str; 21] = [
    "start",
    "contexts",
    "memory",
    "foreign",
    "caps",
    "create",
    "limits",
    "decoder",
    "small.h264",
    "interlaced.h264",
    "small.h265",
    "small-10bit.h265",
    "small-vp9.ivf",
    "encoder",
    "times",
    "odd packets",
    "damage",
    "undecoded",
    "contextless",
    "areas",
    "corners",
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let clips = PathBuf::from(arguments.next().unwrap_or_else(|| "clips".into()));
    let chosen: Vec<String> = arguments.collect();
    if let [section] = chosen.as_slice() {
        run(section, &clips);
        return;
    }
    for section in SECTIONS {
        println!("[{section}]");
        let program = std::env::current_exe().expect("own path");
        let status =
            std::process::Command::new(program).arg(&clips).arg(section).status().expect("own program");
        if !status.success() {
            println!("section {section} = {status}");
        }
    }
}

fn run(section: &str, clips: &std::path::Path) {
    let cuda = Cuda::open();
    if section == "start" {
        cuda::before_init(&cuda);
        cuda::device(&cuda);
        return;
    }
    assert_eq!(cuda.init(0), 0, "cuInit");
    match section {
        "contexts" => return cuda::contexts(&cuda),
        "memory" => return cuda::memory(&cuda),
        "foreign" => return cuda::foreign(&cuda),
        _ => {}
    }
    let context = cuda.context();
    if section == "encoder" {
        facts_support::nvenc_facts(context);
        return cuda.release();
    }
    let cuvid = Cuvid::open();
    match section {
        "caps" => decoding::caps(&cuvid),
        "create" => decoding::create(&cuvid),
        "limits" => decoding::limits(&cuvid),
        "decoder" => decoding::decoder(&cuda, &cuvid, clips),
        "times" => parsing::times(&cuvid, clips),
        "odd packets" => parsing::odd_packets(&cuvid, clips),
        "damage" => decoding::damage(&cuvid, clips),
        "undecoded" => decoding::undecoded(&cuvid),
        "contextless" => decoding::contextless(&cuda, &cuvid, clips),
        "areas" => areas::areas(&cuda, &cuvid, clips),
        "corners" => areas::corners(&cuda, &cuvid, clips),
        other if other.starts_with("file:") => parsing::any_file(&cuvid, &other["file:".len()..]),
        clip => {
            let (clip, codec) = CLIPS.into_iter().find(|(name, _)| *name == clip).expect("a section's name");
            parsing::parser(&cuvid, &clips.join(clip), clip, codec);
            if clip == "small.h264" {
                parsing::parser_errors(&cuvid, &clips.join(clip));
            }
        }
    }
    cuda.release();
}
