//! IVF: what is read fits in the input, seeking lands on a key frame, and what can be read can be written.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use video_hw::container::ivf::{IvfDemuxer, IvfMuxer};
use video_hw::container::{Demuxer, Muxer};
use video_hw::stream_io::NonSeekable;

fuzz_target!(|data: &[u8]| {
    let Ok(mut demuxer) = IvfDemuxer::new(Cursor::new(data), "fuzz") else { return };
    let track = demuxer.tracks()[0].clone();
    let mut samples = Vec::new();
    while let Ok(Some(sample)) = demuxer.next_packet() {
        samples.push(sample);
    }
    assert!(samples.iter().map(|s| s.data.len() + 12).sum::<usize>() + 32 <= data.len());
    if let Some(to) = samples.get(samples.len() / 2).and_then(|s| s.pts) {
        if demuxer.seek(track.id, to).unwrap() {
            let sample = demuxer.next_packet().unwrap().unwrap();
            assert!(sample.keyframe && sample.pts.unwrap() <= to);
        }
    }

    let mut piped = IvfDemuxer::new(NonSeekable(data), "fuzz").unwrap();
    for sample in &samples {
        assert_eq!(piped.next_packet().unwrap().unwrap().data, sample.data);
    }

    let mut muxer = IvfMuxer::new(Cursor::new(Vec::new()), "fuzz");
    muxer.add_track(&track).unwrap();
    for sample in &samples {
        // Times that run backwards are refused.
        let _ = muxer.write(sample);
    }
    muxer.finish().unwrap();
});
