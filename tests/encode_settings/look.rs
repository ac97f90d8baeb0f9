//! Checks of encoder output.

use std::collections::BTreeMap;

use video_hw::codec::Codec;
use video_hw::packet::Packet;

use super::run::{Job, Made};
use crate::support::nvenc::tool_command;

/// Numbers of the key frames, in the order of display.
pub(crate) fn keys(made: &Made) -> Vec<usize> {
    let mut shown: Vec<_> = made.packets.iter().collect();
    shown.sort_by_key(|packet| packet.pts);
    shown.iter().enumerate().filter_map(|(at, packet)| packet.keyframe.then_some(at)).collect()
}

/// Whether each picture is one that is shown before another that was decoded earlier.
fn are_b(made: &Made) -> Vec<bool> {
    let mut last = None;
    let is_b = |packet: &Packet| {
        let is_b = packet.pts < last;
        last = last.max(packet.pts);
        is_b
    };
    made.packets.iter().map(is_b).collect()
}

/// Whether `count` B pictures lie between any two other pictures, except at the end of the stream.
pub(crate) fn has_b_frames(made: &Made, count: usize) -> bool {
    let are_b = are_b(made);
    let mut runs: Vec<_> = are_b.split(|is_b| !is_b).map(<[bool]>::len).collect();
    // Skips the runs before and after the first picture, and the last run.
    runs.drain(..2.min(runs.len()));
    runs.pop();
    !runs.is_empty() && runs.iter().all(|run| *run == count)
}

/// Bytes of the key frames, of the B pictures, and of all others.
pub(crate) fn bytes(made: &Made) -> [usize; 3] {
    let mut sums = [0; 3];
    for (packet, is_b) in made.packets.iter().zip(are_b(made)) {
        sums[if packet.keyframe {
            0
        } else if is_b {
            1
        } else {
            2
        }] += packet.data.len();
    }
    sums
}

pub(crate) fn all_bytes(made: &Made) -> usize {
    bytes(made).iter().sum()
}

/// Slices of the second picture of H.264.
pub(crate) fn slices(made: &Made) -> usize {
    made.packets[1].data.windows(4).filter(|four| four[..3] == [0, 0, 1] && four[3] & 31 == 1).count()
}

fn contains(made: &Made, bytes: &[u8]) -> bool {
    made.packets[0].data.windows(bytes.len()).any(|window| window == bytes)
}

/// CTA-861.3 light levels of 1000 and 400 in SEI (H.264, HEVC), or in a metadata unit (AV1).
pub(crate) fn has_light(made: &Made) -> bool {
    contains(made, &[144, 4, 3, 232, 1, 144]) || contains(made, &[1, 3, 232, 1, 144])
}

/// The white point of D65 in SEI 137 (units of 0.00002), or in a metadata unit (of 1/65536).
pub(crate) fn has_display(made: &Made) -> bool {
    contains(made, &[0x3d, 0x13, 0x40, 0x42]) || contains(made, &[0x50, 0x0d, 0x54, 0x39])
}

/// Returns the stream properties that ffprobe prints.
pub(crate) fn probe(job: &Job, made: &Made) -> BTreeMap<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let (codec, size) = (job.common.codec, job.common.dimensions);
    let (name, fourcc) = match codec {
        Codec::H264 => ("out.h264", None),
        Codec::Hevc => ("out.h265", None),
        Codec::Mjpeg => ("out.mjpeg", None),
        Codec::Av1 => ("out.ivf", Some(b"AV01")),
        Codec::Vp9 => ("out.ivf", Some(b"VP90")),
        other => panic!("{other}"),
    };
    let mut file = Vec::new();
    if let Some(fourcc) = fourcc {
        file.extend_from_slice(b"DKIF\0\0\x20\0");
        file.extend_from_slice(fourcc);
        file.extend_from_slice(&(size.width() as u16).to_le_bytes());
        file.extend_from_slice(&(size.height() as u16).to_le_bytes());
        for number in [25, 1, made.packets.len() as u32, 0] {
            file.extend_from_slice(&u32::to_le_bytes(number));
        }
    }
    for (number, packet) in made.packets.iter().enumerate() {
        if fourcc.is_some() {
            file.extend_from_slice(&(packet.data.len() as u32).to_le_bytes());
            file.extend_from_slice(&(number as u64).to_le_bytes());
        }
        file.extend_from_slice(&packet.data);
    }
    let path = directory.path().join(name);
    std::fs::write(&path, file).unwrap();
    let output = tool_command("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "stream", "-of", "default=nw=1"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
