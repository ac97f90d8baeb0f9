//! What the fuzz target calls.

use super::{FILE_ID, INDEX, INFO, MAIN, NutReader, STREAM, SYNCPOINT, write};

/// Largest frame that is taken; what a pipe may hold is limited by the size of its pictures.
const LIMIT: usize = 1 << 20;

/// Reads bytes as they are, and as pieces of a file whose headers have the right checksums: no fuzzer finds those.
pub(crate) fn fuzz(bytes: &[u8]) {
    read(bytes);
    read(&sealed(bytes));
}

fn read(bytes: &[u8]) {
    let mut reader = NutReader::new(bytes, LIMIT);
    if !matches!(reader.read_headers(), Ok(true)) {
        return;
    }
    assert!(reader.stream().is_some());
    let mut packets = 0;
    while let Ok(Some(packet)) = reader.next_packet() {
        assert!(packet.data.len() <= LIMIT, "a frame of {} bytes", packet.data.len());
        packets += 1;
    }
    assert!(packets <= bytes.len(), "{packets} frames of {} bytes", bytes.len());
}

/// Pieces are a byte that says what they are, two bytes for their length, and so many bytes: the fields of a header packet,
/// or a frame.
fn sealed(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = FILE_ID.to_vec();
    while let Some(([kind, high, low], rest)) = bytes.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (piece, behind) = rest.split_at(length);
        match kind % 6 {
            0 => write::packet(MAIN, piece, &mut out),
            1 => write::packet(STREAM, piece, &mut out),
            2 => write::packet(SYNCPOINT, piece, &mut out),
            3 => write::packet(INFO, piece, &mut out),
            4 => write::packet(INDEX, piece, &mut out),
            _ => out.extend_from_slice(piece),
        }
        bytes = behind;
    }
    out
}
