//! Pictures with a number in them, sessions on a child `ffmpeg`, and what the system says of children.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonDecodeConfig, CommonEncodeConfig, FfmpegEncodeConfig};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, EncodeSession, Submit};
use video_hw::time::{Rational, TimeBase, Timestamp};

pub(crate) const WIDTH: usize = 208;
pub(crate) const HEIGHT: usize = 144;

/// One test at a time: they count the children of this process. `None`, loudly, without an ffmpeg.
pub(crate) fn alone() -> Option<MutexGuard<'static, ()>> {
    static ALONE: Mutex<()> = Mutex::new(());
    if ffmpeg_here().is_none() {
        eprintln!("SKIPPED: no ffmpeg on the PATH");
        return None;
    }
    Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The first ffmpeg on the PATH.
pub(crate) fn ffmpeg_here() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("ffmpeg")).find(|file| file.is_file())
}

pub(crate) fn config(codec: Codec) -> CommonEncodeConfig {
    let size = Dimensions::new(WIDTH as u32, HEIGHT as u32).unwrap();
    CommonEncodeConfig::new(codec, size, Rational::new(30_000, 1001).unwrap())
}

/// An encoder (of the CPU, where none is named) and a preset.
pub(crate) fn special(encoder: &str, preset: &str) -> BackendEncodeConfig {
    let encoder = (!encoder.is_empty()).then(|| encoder.to_owned());
    BackendEncodeConfig::Ffmpeg(FfmpegEncodeConfig::default().encoder(encoder).preset(preset.to_owned()))
}

pub(crate) fn open(config: &CommonEncodeConfig, special: &BackendEncodeConfig) -> EncodeSession {
    EncodeSession::with_special(BackendKind::Ffmpeg, config.clone(), special).unwrap()
}

/// Times as uneven as a camera's.
pub(crate) fn pts(number: usize) -> Timestamp {
    let late = [0, 13, 2, 21, 5][number % 5];
    Timestamp::new((40 * number + late) as i64, TimeBase::new(1, 1000).unwrap())
}

/// Bits of the number that are painted into a picture, as squares of this side.
const BITS: usize = 12;
const SQUARE: usize = 16;

/// A moving ramp with the picture's number along the top, in black and white.
pub(crate) fn frame(number: usize, format: PixelFormat) -> Frame {
    let size = Dimensions::new(WIDTH as u32, HEIGHT as u32).unwrap();
    let luma = |x: usize, y: usize| {
        let bit = x / SQUARE;
        if y < SQUARE && bit < BITS {
            return if number >> bit & 1 == 1 { 220 } else { 30 };
        }
        (48 + (x / 4 + y / 2 + 5 * number) % 128) as u16
    };
    let mut data = Vec::new();
    let deep = format.bit_depth() > 8;
    let mut push = |value: u16| {
        if deep {
            data.extend_from_slice(&(value << 2).to_le_bytes());
        } else {
            data.push(value as u8);
        }
    };
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            push(luma(x, y));
        }
    }
    for plane in 1..format.plane_count() {
        let size = format.plane_size(plane, size).unwrap();
        let samples = size.row_bytes * size.rows / format.bytes_per_sample();
        for _ in 0..samples {
            push(120);
        }
    }
    Frame::host(pts(number), HostSurface::from_packed(format, size, data).unwrap())
}

/// What can be read from a picture.
pub(crate) struct Picture(usize);

impl Picture {
    pub(crate) fn of(frame: &Frame) -> Self {
        let host = frame.as_host().unwrap();
        let row = host.plane(0).unwrap().row(SQUARE / 2);
        let sample = |x: usize| match frame.format.bit_depth() {
            8 => u16::from(row[x]),
            depth => u16::from_le_bytes([row[2 * x], row[2 * x + 1]]) >> (depth - 8),
        };
        let bits = (0..BITS).map(|bit| (usize::from(sample(bit * SQUARE + SQUARE / 2) > 125)) << bit);
        Self(bits.sum())
    }

    pub(crate) fn assert_is(&self, number: usize) {
        assert_eq!(self.0, number, "another picture in the place of {number}");
    }
}

/// Encodes and drains.
pub(crate) fn encode(session: &mut EncodeSession, frames: impl Iterator<Item = Frame>) -> Vec<Packet> {
    let mut packets = Vec::new();
    for frame in frames {
        let mut waiting = Some(frame);
        while let Some(frame) = waiting.take() {
            match session.submit(frame).unwrap() {
                Submit::Accepted => {}
                Submit::Full(frame) => {
                    waiting = Some(frame);
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
            }
            packets.extend(session.try_reap().unwrap());
        }
    }
    packets.extend(session.drain().unwrap().map(Result::unwrap));
    packets
}

/// Decodes and drains.
pub(crate) fn decode(session: &mut DecodeSession, packets: impl Iterator<Item = Packet>) -> Vec<Frame> {
    let mut frames = Vec::new();
    for packet in packets {
        let mut waiting = Some(packet);
        while let Some(packet) = waiting.take() {
            match session.submit(packet).unwrap() {
                Submit::Accepted => {}
                Submit::Full(packet) => {
                    waiting = Some(packet);
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
            }
            frames.extend(session.try_reap().unwrap());
        }
    }
    frames.extend(session.drain().unwrap().map(Result::unwrap));
    frames
}

/// Decoded by this library's own decoders: a second opinion.
pub(crate) fn decode_here(codec: Codec, packets: &[Packet]) -> Vec<Frame> {
    let mut session = DecodeSession::new(BackendKind::Software, CommonDecodeConfig::new(codec)).unwrap();
    decode(&mut session, packets.iter().cloned())
}

/// Children of this process, by the system's own table (Linux).
pub(crate) mod processes {
    use std::fs;
    use std::process::Command;

    /// Number, parent and state of every process.
    fn table() -> Vec<(u32, u32, char)> {
        let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let number: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let state = fields.next()?.chars().next()?;
            Some((number, fields.next()?.parse().ok()?, state))
        });
        all.collect()
    }

    /// The children, living or waiting to be reaped.
    pub(crate) fn children() -> Vec<u32> {
        let own = std::process::id();
        table().into_iter().filter(|(_, parent, _)| *parent == own).map(|(number, ..)| number).collect()
    }

    pub(crate) fn assert_none() {
        assert_eq!(children(), [0; 0], "children that were not reaped");
    }

    pub(crate) fn kill(process: u32) {
        assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
    }

    /// Descriptors and threads of this process that the backend's sessions could leave behind.
    pub(crate) fn resources() -> (usize, usize) {
        let threads = fs::read_dir("/proc/self/task").unwrap().filter(|task| {
            let name = task.as_ref().ok().map(|task| task.path().join("comm"));
            let name = name.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
            name.starts_with("vhw-")
        });
        (fs::read_dir("/proc/self/fd").unwrap().count(), threads.count())
    }
}
