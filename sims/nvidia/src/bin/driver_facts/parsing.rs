//! Facts of the parser.

use std::path::Path;
use std::ptr::null_mut;

use crate::abi::*;
use crate::facts_support::{Cuvid, Trace, Tracer, access_units, say};

pub fn print_trace(name: &str, trace: &Trace) {
    for (number, line) in trace.lines.iter().enumerate() {
        say(&format!("{name} #{number:03}"), line);
    }
}

pub fn parser(cuvid: &Cuvid, path: &Path, name: &str, codec: u32) {
    let data = std::fs::read(path).expect("the clips folder is the argument");
    let units = access_units(&data, codec);
    for delay in [0, 1, 4] {
        let mut tracer = Tracer::new(cuvid, codec, delay, 1);
        for unit in units.iter().take(20) {
            tracer.feed(unit, packet_flags::ENDOFPICTURE);
        }
        tracer.feed(&[], packet_flags::ENDOFSTREAM);
        print_trace(&format!("{name} by unit, delay {delay}"), &tracer.close());
    }
    let mut tracer = Tracer::new(cuvid, codec, 2, 1);
    for unit in units.iter().take(20) {
        tracer.feed(unit, 0);
    }
    tracer.feed(&[], packet_flags::ENDOFSTREAM | packet_flags::NOTIFY_EOS);
    print_trace(&format!("{name} without end of picture"), &tracer.close());
    // From the middle: where decoding starts, and what a jump does.
    let mut tracer = Tracer::new(cuvid, codec, 0, 1);
    for unit in units.iter().skip(3).take(30) {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
    }
    tracer.feed(units[0], packet_flags::DISCONTINUITY | packet_flags::ENDOFPICTURE);
    tracer.feed(units[1], packet_flags::ENDOFPICTURE);
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    tracer.feed(units[0], packet_flags::ENDOFPICTURE);
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    print_trace(&format!("{name} from the middle, then a jump"), &tracer.close());
    if codec != codec::VP9 {
        let mut tracer = Tracer::new(cuvid, codec, 4, 1);
        for chunk in data.chunks(1000) {
            tracer.feed(chunk, 0);
        }
        tracer.feed(&[], packet_flags::ENDOFSTREAM);
        print_trace(&format!("{name} in chunks of 1000"), &tracer.close());
    }
}

pub fn parser_errors(cuvid: &Cuvid, path: &Path) {
    let data = std::fs::read(path).expect("the clips folder is the argument");
    let units = access_units(&data, codec::H264);
    for failing in ["sequence", "decode", "display"] {
        let mut tracer = Tracer::new(cuvid, codec::H264, 0, 1).failing(failing);
        for unit in units.iter().take(3) {
            tracer.feed(unit, packet_flags::ENDOFPICTURE);
        }
        print_trace(&format!("{failing} callback fails"), &tracer.close());
    }
    let mut tracer = Tracer::new(cuvid, codec::H264, 0, 1);
    tracer.feed(b"this is no video", 0);
    tracer.feed(&[0; 300], 0);
    tracer.feed(&[], 0);
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    print_trace("rubbish", &tracer.close());
    let mut parser = null_mut();
    say("create parser null", cuvid.create_parser(null_mut(), &mut CUVIDPARSERPARAMS::zeroed()));
    say(
        "create parser without callbacks",
        cuvid.create_parser(&mut parser, &mut CUVIDPARSERPARAMS::zeroed()),
    );
    let mut parameters =
        CUVIDPARSERPARAMS { CodecType: 64, ulMaxNumDecodeSurfaces: 1, ..CUVIDPARSERPARAMS::zeroed() };
    say("create parser of codec 64", cuvid.create_parser(&mut parser, &mut parameters));
    say("destroy parser null", cuvid.destroy_parser(null_mut()));
}

/// Which time a picture is shown with.
pub fn times(cuvid: &Cuvid, clips: &Path) {
    for (clip, codec) in [("small.h264", codec::H264), ("small.h265", codec::HEVC)] {
        let data = std::fs::read(clips.join(clip)).expect("the clips folder is the argument");
        let units = access_units(&data, codec);
        let units = &units[..16];
        let trace = |time: &dyn Fn(usize) -> Option<i64>, flags| {
            let mut tracer = Tracer::new(cuvid, codec, 0, 1);
            for (number, unit) in units.iter().enumerate() {
                tracer.feed_at(unit, flags, time(number));
            }
            tracer.feed(&[], packet_flags::ENDOFSTREAM);
            tracer.close()
        };
        let picture = packet_flags::ENDOFPICTURE;
        let ranks = trace(&|number| Some(number as i64 * 40), picture).ranks();
        let print = |name: &str, trace: Trace| {
            let shown: Vec<_> = trace
                .lines
                .iter()
                .filter(|line| line.starts_with("display"))
                .filter_map(|line| line.split(' ').nth(3))
                .collect();
            say(&format!("{clip} times: {name}"), shown.join(" "));
        };
        print("true", trace(&|number| Some(ranks[number] * 40), picture));
        print("true, without end of picture", trace(&|number| Some(ranks[number] * 40), 0));
        print("falling", trace(&|number| Some(10_000 - number as i64 * 40), picture));
        print("all the same", trace(&|_| Some(7), picture));
        print("none", trace(&|_| None, picture));
        print("every third", trace(&|number| (number % 3 == 0).then_some(ranks[number] * 40), picture));
        print("true, uneven", trace(&|number| Some(ranks[number] * ranks[number] * 7 + 100), picture));
        print("negative", trace(&|number| Some(ranks[number] * 40 - 200), picture));
    }
}

/// Packets that hold more or less than one picture, and a change of size.
pub fn odd_packets(cuvid: &Cuvid, clips: &Path) {
    let read = |name: &str| std::fs::read(clips.join(name)).expect("the clips folder is the argument");
    let (data, other) = (read("small.h264"), read("interlaced.h264"));
    let (units, others) = (access_units(&data, codec::H264), access_units(&other, codec::H264));
    let mut tracer = Tracer::new(cuvid, codec::H264, 0, 1);
    tracer.feed(&units[..3].concat(), packet_flags::ENDOFPICTURE);
    tracer.feed(&units[3][..units[3].len() / 2], packet_flags::ENDOFPICTURE);
    tracer.feed(units[4], packet_flags::ENDOFPICTURE);
    tracer.feed(&units[5][..units[5].len() / 2], 0);
    tracer.feed(&units[5][units[5].len() / 2..], packet_flags::ENDOFPICTURE);
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    print_trace("odd packets", &tracer.close());
    for delay in [0, 4] {
        let mut tracer = Tracer::new(cuvid, codec::H264, delay, 1);
        for unit in units[..8].iter().chain(&others[..6]) {
            tracer.feed(unit, packet_flags::ENDOFPICTURE);
        }
        tracer.feed(&[], packet_flags::ENDOFSTREAM);
        print_trace(&format!("size change, delay {delay}"), &tracer.close());
    }
    let mut tracer = Tracer::new(cuvid, codec::H264, 0, 1);
    for unit in &units[..4] {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
    }
    tracer.feed(&[], packet_flags::DISCONTINUITY);
    for unit in &units[..4] {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
    }
    tracer.feed(&[], packet_flags::ENDOFSTREAM | packet_flags::DISCONTINUITY);
    for unit in &units[4..8] {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
    }
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    print_trace("empty discontinuity", &tracer.close());
    let data = read("small.h265");
    let units = access_units(&data, codec::HEVC);
    let mut tracer = Tracer::new(cuvid, codec::HEVC, 0, 1);
    // A gap: two pictures that others refer to are missing.
    for (number, unit) in units.iter().take(16).enumerate() {
        if !(2..4).contains(&number) {
            tracer.feed(unit, packet_flags::ENDOFPICTURE);
        }
    }
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    print_trace("HEVC gap", &tracer.close());
}

/// Traces of a stream that is not one of the project's.
pub fn any_file(cuvid: &Cuvid, path: &str) {
    let data = std::fs::read(path).expect("a readable file");
    let codec = match path.rsplit('.').next() {
        Some("h264" | "264") => codec::H264,
        Some("h265" | "265") => codec::HEVC,
        _ => codec::VP9,
    };
    let units = access_units(&data, codec);
    for (name, flags) in [("with end of picture", packet_flags::ENDOFPICTURE), ("without", 0)] {
        let mut tracer = Tracer::new(cuvid, codec, 0, 1);
        for unit in &units {
            tracer.feed(unit, flags);
        }
        tracer.feed(&[], packet_flags::ENDOFSTREAM);
        print_trace(name, &tracer.close());
    }
}
