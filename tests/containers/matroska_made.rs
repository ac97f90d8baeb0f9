//! Matroska files made by hand, with what no program writes.

use std::io::Cursor;
use std::path::PathBuf;

use video_hw::container::Demuxer;
use video_hw::container::matroska::MatroskaDemuxer;
use video_hw::packet::Packet;

pub(crate) const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];
pub(crate) const CLUSTER: [u8; 4] = [0x1f, 0x43, 0xb6, 0x75];
pub(crate) const TRACKS: [u8; 4] = [0x16, 0x54, 0xae, 0x6b];
const INFO: [u8; 4] = [0x15, 0x49, 0xa9, 0x66];
pub(crate) const TAGS: [u8; 4] = [0x12, 0x54, 0xc3, 0x67];

pub(crate) const XIPH: u8 = 2;
pub(crate) const FIXED: u8 = 4;
pub(crate) const KEY: u8 = 0x80;

/// An element with a size of 4 bytes.
pub(crate) fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    [id, &(content.len() as u32 | 0x1000_0000).to_be_bytes(), content].concat()
}

pub(crate) fn uint(id: &[u8], value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// A track entry; `more`: elements beside number, type and codec.
pub(crate) fn entry(number: u64, kind: u64, codec: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let usual = [uint(&[0xd7], number), uint(&[0x73, 0xc5], number), uint(&[0x83], kind)].concat();
    element(&[0xae], &[usual, element(&[0x86], codec.as_bytes()), more.concat()].concat())
}

/// A track of pictures whose packets nobody looks into.
pub(crate) fn pictures(number: u64, more: &[Vec<u8>]) -> Vec<u8> {
    let size = [uint(&[0xb0], 160), uint(&[0xba], 96)].concat();
    entry(number, 1, "V_MJPEG", &[&[element(&[0xe0], &size)], more].concat())
}

/// A track of sound.
pub(crate) fn sound(number: u64, codec: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let rate = element(&[0xb5], &48_000_f32.to_be_bytes());
    let fields = [rate, uint(&[0x9f], 2)].concat();
    entry(number, 2, codec, &[&[element(&[0xe1], &fields)], more].concat())
}

pub(crate) fn default_duration(millis: u64) -> Vec<u8> {
    uint(&[0x23, 0xe3, 0x83], millis * 1_000_000)
}

/// The content of a block.
pub(crate) fn block(track: u8, time: i16, flags: u8, data: &[u8]) -> Vec<u8> {
    [&[0x80 | track][..], &time.to_be_bytes(), &[flags], data].concat()
}

pub(crate) fn simple(track: u8, time: i16, flags: u8, data: &[u8]) -> Vec<u8> {
    element(&[0xa3], &block(track, time, flags, data))
}

/// A group; `more`: elements behind its block.
pub(crate) fn group(track: u8, time: i16, flags: u8, data: &[u8], more: &[Vec<u8>]) -> Vec<u8> {
    element(&[0xa0], &[element(&[0xa1], &block(track, time, flags, data)), more.concat()].concat())
}

pub(crate) fn block_duration(ticks: u64) -> Vec<u8> {
    uint(&[0x9b], ticks)
}

pub(crate) fn discard_padding(nanos: u64) -> Vec<u8> {
    uint(&[0x75, 0xa2], nanos)
}

pub(crate) fn reference(ticks: i64) -> Vec<u8> {
    element(&[0xfb], &ticks.to_be_bytes())
}

pub(crate) fn cluster(time: u64, blocks: &[Vec<u8>]) -> Vec<u8> {
    element(&CLUSTER, &[uint(&[0xe7], time), blocks.concat()].concat())
}

/// A cluster that ends where it ends.
pub(crate) fn live_cluster(time: u64, blocks: &[Vec<u8>]) -> Vec<u8> {
    [&CLUSTER[..], &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &uint(&[0xe7], time), &blocks.concat()]
        .concat()
}

pub(crate) fn ebml() -> Vec<u8> {
    element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], b"matroska"))
}

pub(crate) fn info() -> Vec<u8> {
    element(&INFO, &uint(&[0x2a, 0xd7, 0xb1], 1_000_000))
}

pub(crate) fn tracks(entries: &[Vec<u8>]) -> Vec<u8> {
    element(&TRACKS, &entries.concat())
}

/// A file; `parts`: what stands behind the tracks.
pub(crate) fn film(entries: &[Vec<u8>], parts: &[Vec<u8>]) -> Vec<u8> {
    [ebml(), element(&SEGMENT, &[info(), tracks(entries), parts.concat()].concat())].concat()
}

pub(crate) fn open_bytes(bytes: Vec<u8>) -> MatroskaDemuxer {
    MatroskaDemuxer::open(Cursor::new(bytes), PathBuf::from("film.mkv")).unwrap()
}

/// Reads to the end through whatever errors come.
pub(crate) fn read_all(demuxer: &mut dyn Demuxer) -> (Vec<Packet>, Vec<String>) {
    let (mut packets, mut errors) = (Vec::new(), Vec::new());
    loop {
        match demuxer.next_packet() {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => return (packets, errors),
            Err(error) => {
                errors.push(error.to_string());
                if !error.is_recoverable() {
                    return (packets, errors);
                }
            }
        }
    }
}

/// Times and lengths.
pub(crate) fn times(packets: &[Packet]) -> Vec<(i64, Option<u64>)> {
    packets.iter().map(|packet| (packet.pts.unwrap().ticks(), packet.duration)).collect()
}
