//! NUT, as far as a pipe to or from ffmpeg needs it: one video stream, written and read from front to back.
//!
//! Of the containers that ffmpeg writes to a pipe it is the one that keeps everything the seam asks for: the boundaries
//! of packets, their exact times in the encoder's own time base (no milliseconds, no 90 kHz), every codec and raw
//! pictures too, each packet on its way as soon as it is there, nothing that is written or patched afterwards.
//!
//! Numbers are `v` (7 bits a byte, the most significant first, a set top bit meaning that more follow), `s` (signed:
//! 0, 1, -1, 2, -2 ... in a `v`) and `vb` (a `v` of bytes, then the bytes). Headers are packets: a start code of 8
//! bytes, the number of bytes behind it, the fields, and a CRC. A frame is a byte that stands for a set of flags and
//! defaults (the table is in the main header), the fields that these flags name, and the data.

#[cfg(feature = "fuzzing")]
mod fuzz;
mod read;
mod write;

#[cfg(feature = "fuzzing")]
pub(crate) use fuzz::fuzz;

pub(super) use read::{Damage, NutReader, NutStream};
pub(super) use write::{frame, headers};

const FILE_ID: &[u8; 25] = b"nut/multimedia container\0";

const MAIN: u64 = 0x4E4D_7A56_1F5F_04AD;
const STREAM: u64 = 0x4E53_1140_5BF2_F9DB;
const SYNCPOINT: u64 = 0x4E4B_E4AD_EECA_4569;
const INDEX: u64 = 0x4E58_DD67_2F23_E64E;
const INFO: u64 = 0x4E49_AB68_B596_BA78;

/// Header packets with more bytes than this behind the length have a checksum of start code and length too.
const LONG_PACKET: u64 = 4096;

/// The frame code that this writer uses: all fields are stated.
const CODED_FLAGS_ONLY: u8 = 1;

/// Bits of a frame's flags.
mod flag {
    pub(super) const KEY: u64 = 1;
    pub(super) const CODED_PTS: u64 = 8;
    pub(super) const STREAM_ID: u64 = 16;
    pub(super) const SIZE_MSB: u64 = 32;
    pub(super) const CHECKSUM: u64 = 64;
    pub(super) const RESERVED: u64 = 128;
    pub(super) const SIDE_DATA: u64 = 256;
    pub(super) const HEADER_INDEX: u64 = 1024;
    pub(super) const MATCH_TIME: u64 = 2048;
    pub(super) const CODED_FLAGS: u64 = 4096;
    pub(super) const INVALID: u64 = 8192;
}

/// The CRC of NUT: polynomial 0x04C11DB7, bits from the top, nothing inverted.
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = table();
    bytes.iter().fold(0, |crc, byte| {
        let step = |crc: u32, nibble: u8| (crc << 4) ^ TABLE[((crc >> 28) as u8 ^ nibble) as usize & 15];
        step(step(crc, byte >> 4), byte & 15)
    })
}

const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut nibble = 0;
    while nibble < 16 {
        let mut crc = (nibble as u32) << 28;
        let mut bit = 0;
        while bit < 4 {
            crc = if crc >> 31 == 1 { (crc << 1) ^ 0x04C1_1DB7 } else { crc << 1 };
            bit += 1;
        }
        table[nibble] = crc;
        nibble += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_polynomial() {
        assert_eq!(crc(&[0, 0, 0, 1]), 0x04C1_1DB7);
        // Computed bit by bit, without a table.
        assert_eq!(crc(b"123456789"), 0x89A1_897F);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut bytes = headers(*b"H264", 1920, 1080, (1, 1_000_000), 3);
        let large = vec![7; 70_000];
        let units: [(i64, &[u8]); 4] = [(0, b"first"), (1 << 40, &large), (3, b""), (2, b"x")];
        for (pts, data) in units {
            bytes.extend(frame(pts, pts == 0, data.len()));
            bytes.extend_from_slice(data);
        }
        let mut reader = NutReader::new(bytes.as_slice(), 1 << 20);
        for (pts, data) in units {
            let packet = reader.next_packet().unwrap().unwrap();
            assert_eq!((packet.pts, packet.key, &packet.data[..]), (pts, pts == 0, data));
        }
        assert!(reader.next_packet().unwrap().is_none());
        let stream = reader.stream().unwrap();
        assert_eq!((stream.fourcc, stream.time_base), (*b"H264", (1, 1_000_000)));
        assert_eq!((stream.width, stream.height), (1920, 1080));
    }

    #[test]
    fn cut_and_spoiled_bytes_are_damage_and_nothing_else() {
        let mut bytes = headers(*b"H264", 16, 16, (1, 25), 0);
        bytes.extend(frame(5, true, 300));
        bytes.extend([9; 300]);
        for cut in 0..bytes.len() {
            let mut reader = NutReader::new(&bytes[..cut], 1 << 20);
            let read = reader.next_packet();
            assert!(matches!(read, Err(_) | Ok(None)), "{cut}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut spoiled = bytes.clone();
                spoiled[at] ^= 1 << bit;
                let mut reader = NutReader::new(spoiled.as_slice(), 1 << 20);
                // Whatever it says, it ends.
                for _ in 0..1000 {
                    if !matches!(reader.next_packet(), Ok(Some(_))) {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn claims_beyond_the_limit_are_refused_before_memory_is() {
        let mut bytes = headers(*b"H264", 16, 16, (1, 25), 0);
        bytes.extend(frame(5, true, usize::MAX >> 8));
        let mut reader = NutReader::new(bytes.as_slice(), 1000);
        assert!(reader.next_packet().unwrap_err().to_string().contains("more than the 1000"));
    }
}
