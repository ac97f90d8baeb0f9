//! Transport streams: what is read fits in the input and does not depend on whether it can seek, seeking lands on a key
//! frame, and what can be read can be written.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use video_hw::container::mpegts::{MpegTsDemuxer, MpegTsMuxer};
use video_hw::container::{Demuxer, Muxer};
use video_hw::packet::Packet;
use video_hw::stream_io::NonSeekable;

fn read(demuxer: &mut dyn Demuxer) -> Vec<Packet> {
    let mut packets = Vec::new();
    loop {
        match demuxer.next_packet() {
            Ok(Some(packet)) => packets.push(packet),
            Err(error) if error.is_recoverable() => {}
            _ => return packets,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(mut demuxer) = MpegTsDemuxer::new(Cursor::new(data), "fuzz") else { return };
    let tracks = demuxer.tracks().to_vec();
    let packets = read(&mut demuxer);
    assert!(packets.iter().map(|packet| packet.data.len()).sum::<usize>() <= data.len());

    let mut piped = MpegTsDemuxer::new(NonSeekable(data), "fuzz").unwrap();
    // A pipe cannot be searched for tracks that begin late.
    let both: Vec<_> = piped.tracks().iter().map(|track| track.id).collect();
    let again = read(&mut piped);
    let of_both = packets.iter().filter(|packet| both.contains(&packet.track));
    assert!(again.iter().map(|packet| &packet.data).eq(of_both.map(|packet| &packet.data)));

    let video = tracks.iter().find(|track| track.video.is_some()).map(|track| track.id);
    let middle = packets.iter().filter(|packet| Some(packet.track) == video).nth(packets.len() / 3);
    if let (Some(video), Some(to)) = (video, middle.and_then(|packet| packet.pts)) {
        demuxer.select_tracks(&[video]);
        // At its end it may have learnt that the track is not there any more.
        let moved = demuxer.seek(video, to).unwrap();
        let first = read(&mut demuxer).into_iter().next();
        assert!(!moved || first.is_none_or(|packet| packet.keyframe));
    }

    let mut muxer = MpegTsMuxer::new(Vec::new(), "fuzz");
    for track in &tracks {
        muxer.add_track(track).unwrap();
    }
    for packet in packets {
        let at = tracks.iter().position(|track| track.id == packet.track).unwrap();
        // Times that run backwards are refused.
        let _ = muxer.write(&packet.on(video_hw::container::TrackId(at as u32 + 1)));
    }
    muxer.finish().unwrap();
});
