//! What has to hold for all bytes.

use std::io::Cursor;
use std::path::PathBuf;

use super::{MatroskaDemuxer, MatroskaMuxer};
use crate::container::{Demuxer, Muxer, TrackId};
use crate::packet::Packet;
use crate::stream_io::NonSeekable;
use crate::time::{TimeBase, Timestamp};

/// Reads to the end, through what can be gone over.
///
/// # Panics
/// Where packets hold more than the input, or reading does not end.
fn read(demuxer: &mut MatroskaDemuxer, bytes: usize) -> Vec<Packet> {
    let (mut packets, mut errors) = (Vec::new(), 0);
    loop {
        match demuxer.next_packet() {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => return packets,
            Err(error) if error.is_recoverable() => errors += 1,
            Err(_) => return packets,
        }
        // A lace of nothing takes a byte, and an error goes on by one.
        assert!(packets.len() / 256 <= bytes && errors <= bytes, "reading {bytes} bytes does not end");
    }
}

/// Opens, reads, seeks and writes what the bytes hold.
pub(crate) fn fuzz(bytes: &[u8]) {
    let len = bytes.len();
    let Ok(mut demuxer) = MatroskaDemuxer::open(Cursor::new(bytes.to_vec()), PathBuf::from("fuzz")) else {
        return;
    };
    let packets = read(&mut demuxer, len);
    if let Ok(mut piped) =
        MatroskaDemuxer::open(NonSeekable(Cursor::new(bytes.to_vec())), PathBuf::from("fuzz"))
    {
        read(&mut piped, len);
    }
    let ids: Vec<TrackId> = demuxer.tracks().iter().map(|track| track.id).collect();
    for (id, ticks) in ids.iter().zip([1 << 16, i64::MAX]) {
        if demuxer.seek(*id, Timestamp::new(ticks, TimeBase::MPEG)).is_ok() {
            let _ = demuxer.next_packet();
        }
    }
    for id in &ids {
        let mut last = None;
        let _ = demuxer.index(*id, &mut |place, bytes| {
            if let Some(bytes) = bytes {
                let mut head = [0; 16];
                assert!(bytes.read(0, &mut head)? as u64 == bytes.len().min(16));
            }
            last = Some(place.position);
            Ok(())
        });
        if let Some(place) = last
            && demuxer.resume(*id, place).is_ok()
        {
            let _ = demuxer.next_packet();
        }
    }
    for webm in [false, true] {
        let mut muxer = MatroskaMuxer::create(Cursor::new(Vec::new()), "fuzz", webm);
        let mut added = Vec::new();
        for track in demuxer.tracks() {
            added.extend(muxer.add_track(track).ok().map(|id| (track.id, id)));
        }
        demuxer.metadata().map(|metadata| muxer.describe(metadata));
        for packet in &packets {
            if let Some((_, id)) = added.iter().find(|(from, _)| *from == packet.track) {
                let _ = muxer.write(&packet.clone().on(*id));
            }
        }
        let _ = muxer.finish();
    }
}
