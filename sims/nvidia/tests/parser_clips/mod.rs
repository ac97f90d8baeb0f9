//! Clips for the parser's tests: made by ffmpeg, cut into packets by ffprobe.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "a test client: it calls the driver as any C program does"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::parser_client::Packet;

/// A clip as its container holds it.
pub struct Clip {
    pub name: String,
    /// In coding order; timestamps count up from 0 in display order.
    pub packets: Vec<Packet>,
    /// Pictures coded, shown or not.
    pub coded: usize,
}

impl Clip {
    /// Timestamps in display order.
    pub fn times(&self) -> Vec<i64> {
        let mut times: Vec<_> = self.packets.iter().map(|packet| packet.pts).collect();
        times.sort_unstable();
        times
    }
}

/// Encodes 40 pictures with `arguments` (the encoder first) into a container with timestamps, which keeps the headers in
/// the stream. None, and a loud line, without ffmpeg or the encoder.
pub fn clip(name: &str, format: &str, arguments: &str) -> Option<Clip> {
    let encoder = arguments.split(' ').next()?;
    let listed = Command::new("ffmpeg").args(["-hide_banner", "-encoders"]).output();
    let known = listed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(encoder));
    if !known {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: {name}: no ffmpeg with {encoder}\n"),
        );
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clip");
    let status = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=192x144:r=25",
            "-frames:v",
            "40",
            "-threads",
            "1",
        ])
        .args(["-pix_fmt", if encoder == "mjpeg" { "yuvj420p" } else { "yuv420p" }, "-c:v"])
        .args(arguments.split(' '))
        .args(["-f", format])
        .arg(&file)
        .status()
        .unwrap();
    assert!(status.success(), "{name}: ffmpeg {arguments}");
    let packets = packets(&file);
    assert!(packets.len() >= 20, "{name}: {} packets", packets.len());
    let coded = packets.iter().map(|packet| coded(&packet.data, encoder)).sum();
    Some(Clip { name: name.into(), packets, coded })
}

/// Pictures coded in a packet: one, but for VP9 superframes and AV1 temporal units.
fn coded(data: &[u8], encoder: &str) -> usize {
    match encoder {
        "libvpx-vp9" => {
            let marker = data[data.len() - 1];
            let index = 2 + (usize::from(marker & 7) + 1) * (usize::from(marker >> 3 & 3) + 1);
            let superframe =
                marker & 0xe0 == 0xc0 && data.len() > index && data[data.len() - index] == marker;
            let count = if superframe { usize::from(marker & 7) + 1 } else { 1 };
            // A frame of a byte or two shows a picture that is there.
            if superframe || data.len() > 4 { count } else { 0 }
        }
        _ => 1,
    }
}

/// The packets of a file, by ffprobe's positions and sizes. Timestamps become ranks times 40.
fn packets(file: &Path) -> Vec<Packet> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_packets", "-show_data", "-of", "json"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut packets: Vec<Packet> = json["packets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|packet| Packet {
            data: bytes(packet["data"].as_str().unwrap()),
            pts: packet["pts"].as_i64().unwrap(),
        })
        .collect();
    let mut sorted: Vec<_> = packets.iter().map(|packet| packet.pts).collect();
    sorted.sort_unstable();
    for packet in &mut packets {
        packet.pts = 40 * sorted.binary_search(&packet.pts).unwrap() as i64;
    }
    packets
}

/// The bytes of ffprobe's dump: `00000000: 0000 0001 ...  text`.
fn bytes(dump: &str) -> Vec<u8> {
    let mut data = Vec::new();
    for line in dump.lines().filter(|line| !line.is_empty()) {
        let hex = line.split_once(": ").unwrap().1;
        let hex = hex.get(..hex.len().min(40)).unwrap_or(hex);
        let digits: Vec<u8> = hex.bytes().take(40).filter(u8::is_ascii_hexdigit).collect();
        data.extend(digits.chunks_exact(2).map(|pair| {
            let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
            digit(pair[0]) << 4 | digit(pair[1])
        }));
    }
    data
}

/// The streams of the repository, and those in the folder that `VIDEO_HW_ASSETS` names.
pub fn streams() -> Vec<(PathBuf, u32)> {
    let mut found = raw_streams(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/streams"));
    if let Some(folder) = std::env::var_os("VIDEO_HW_ASSETS") {
        found.extend(raw_streams(Path::new(&folder)));
    }
    found
}

/// Raw H.264 and HEVC streams below a folder.
fn raw_streams(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(raw_streams(&entry));
            continue;
        }
        match entry.extension().and_then(|extension| extension.to_str()) {
            Some("h264" | "264" | "jsv") => found.push((entry, nvsim::nvdec::abi::codec::H264)),
            Some("h265" | "265") => found.push((entry, nvsim::nvdec::abi::codec::HEVC)),
            _ => {}
        }
    }
    found.sort();
    found
}

/// Numbers in coding order of the frames that ffmpeg's decoder puts out, in its order. The number comes from the
/// place of the frame's packet in the file.
pub fn output_order(path: &Path) -> Option<Vec<usize>> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "quiet",
            "-threads",
            "1",
            "-select_streams",
            "v",
            "-show_entries",
            "frame=pkt_pos",
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let places: Vec<u64> = text
        .lines()
        .filter_map(|line| line.split(',').find(|field| !field.is_empty())?.trim().parse().ok())
        .collect();
    let mut sorted = places.clone();
    sorted.sort_unstable();
    Some(places.iter().map(|place| sorted.binary_search(place).unwrap()).collect())
}
