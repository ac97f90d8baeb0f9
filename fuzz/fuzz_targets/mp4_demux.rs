//! MP4 and QuickTime files: opening, reading to the end, seeking; and the same bytes through a pipe.

#![no_main]

use std::io::Cursor;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use video_hw::container::Demuxer;
use video_hw::container::mp4::Mp4Demuxer;
use video_hw::stream_io::NonSeekable;
use video_hw::time::{TimeBase, Timestamp};

fuzz_target!(|data: &[u8]| {
    let pipe = NonSeekable(Cursor::new(data.to_vec()));
    if let Ok(mut demuxer) = Mp4Demuxer::open(pipe, PathBuf::new()) {
        while !matches!(demuxer.next_packet(), Ok(None)) {}
    }
    let Ok(mut demuxer) = Mp4Demuxer::open(Cursor::new(data.to_vec()), PathBuf::new()) else { return };
    while !matches!(demuxer.next_packet(), Ok(None)) {}
    let ids: Vec<_> = demuxer.tracks().iter().map(|track| track.id).collect();
    for id in ids.into_iter().take(4) {
        let one = Timestamp::new(1, TimeBase::new(1, 1).unwrap());
        if demuxer.seek(id, one).is_ok() {
            let _ = demuxer.next_packet();
        }
    }
});
