//! Damaged AV1, in processes of their own: the library behind it offers only `extern "C"` functions, so that a panic inside
//! would end the process, and one on a thread of its own could leave the others waiting.

use std::io::{BufRead, BufReader, Cursor};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use video_hw::Error;
use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::CommonDecodeConfig;
use video_hw::container::Demuxer;
use video_hw::container::ivf::IvfDemuxer;
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::session::{DecodeSession, Submit};

/// Numbers that are the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound.max(1)
    }
}

fn clips() -> [PathBuf; 3] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["clips/small-av1.ivf", "tests/data/streams/groups-av1.ivf", "tests/data/streams/svt-av1.ivf"]
        .map(|name| root.join(name))
}

fn units(path: &Path) -> Vec<Vec<u8>> {
    let mut demuxer = IvfDemuxer::new(Cursor::new(std::fs::read(path).unwrap()), path).unwrap();
    std::iter::from_fn(|| demuxer.next_packet().unwrap())
        .take(12)
        .map(|sample| sample.data.to_vec())
        .collect()
}

/// One to eight changes: bits, bytes, ends, and units that are missing, doubled or exchanged. The headers at the beginning of
/// units are hit more often than the rest.
fn damage(units: &mut Vec<Vec<u8>>, random: &mut Random) {
    for _ in 0..=random.below(8) {
        let number = random.below(units.len());
        let length = units[number].len();
        let reach = if random.below(2) == 0 { length.min(48) } else { length };
        let at = random.below(reach);
        match random.below(8) {
            0..=2 if length > 0 => units[number][at] ^= 1 << random.below(8),
            3 | 4 if length > 0 => units[number][at] = random.next() as u8,
            5 => units[number].truncate(at + 1),
            6 if units.len() > 2 => {
                units.remove(number);
            }
            7 => {
                let other = units[random.below(units.len())].clone();
                let from = random.below(other.len());
                units[number].splice(at..(at + 16).min(length), other.iter().skip(from).take(16).copied());
            }
            _ => {}
        }
    }
}

fn decode(units: &[Vec<u8>], threads: usize) {
    let config = CommonDecodeConfig::new(Codec::Av1).threads(NonZeroUsize::new(threads));
    let mut session = DecodeSession::new(BackendKind::Software, config).unwrap();
    let fatal = |reaped: Result<Option<video_hw::frame::Frame>, Error>| {
        reaped.is_err_and(|error| !error.is_recoverable())
    };
    for unit in units {
        let mut packet = Packet::new(Codec::Av1, BitstreamLayout::Obu, unit.clone());
        while let Ok(Submit::Full(back)) = session.submit(packet) {
            packet = back;
            if fatal(session.reap_timeout(Duration::from_millis(5))) {
                return;
            }
        }
    }
    if session.flush().is_ok() {
        while !session.is_drained() && !fatal(session.reap_timeout(Duration::from_secs(60))) {}
    }
}

const VARIABLE: &str = "VIDEO_HW_TEST_DAMAGE";

/// Decodes damaged streams, from one number to another.
#[test]
#[ignore = "the other test starts it as a process of its own"]
fn child() {
    let Ok(orders) = std::env::var(VARIABLE) else { return };
    let (first, end) = orders.split_once(',').unwrap();
    let clips: Vec<_> = clips().iter().map(|path| units(path)).collect();
    for number in first.parse::<u64>().unwrap()..end.parse().unwrap() {
        let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut stream = clips[random.below(clips.len())].clone();
        damage(&mut stream, &mut random);
        decode(&stream, 1 + number as usize % 3);
        println!("AFTER {number}");
    }
}

#[test]
fn damaged_streams_end_no_process() {
    let streams: u64 = match std::env::var("VIDEO_HW_LONG") {
        Ok(number) => number.parse().ok().filter(|&n| n > 1).unwrap_or(20_000),
        Err(_) => 200,
    };
    let (mut next, mut lost) = (0, Vec::new());
    while next < streams {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "av1_damage::child", "--nocapture", "--test-threads", "1"])
            .env(VARIABLE, format!("{next},{streams}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            if let Some((_, number)) = line.unwrap().split_once("AFTER ") {
                next = number.parse::<u64>().unwrap() + 1;
            }
        }
        let status = child.wait().unwrap();
        if next < streams {
            lost.push(format!("stream {next}: {status}"));
            next += 1;
        }
    }
    assert!(lost.is_empty(), "{} of {streams}: {lost:#?}", lost.len());
}
