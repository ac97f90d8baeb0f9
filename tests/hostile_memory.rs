//! Memory follows what an input holds, not what its headers claim.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop where something is wrong"
)]

use std::io::{self, Cursor, Read};

use peak_alloc::PeakAlloc;
use video_hw::codec::Codec;
use video_hw::container::Demuxer;
use video_hw::container::elementary::ElementaryDemuxer;
use video_hw::container::ivf::IvfDemuxer;
use video_hw::dimensions::Dimensions;
use video_hw::pixel::PixelFormat;
use video_hw::rawvideo::{FrameReader, RawReader, VideoFormat, Y4mReader};
use video_hw::stream_io::NonSeekable;
use video_hw::time::Rational;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Most heap that `work` had in use at once, in bytes.
fn peak(work: impl FnOnce()) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    work();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

const MIB: usize = 1 << 20;

/// One test, so that nothing else allocates meanwhile.
#[test]
fn claims_cost_nothing() {
    let header_without_end = || (&b"YUV4MPEG2 W2 H2 X"[..]).chain(io::repeat(b'x').take(10 << 20));
    let used = peak(|| assert!(Y4mReader::new(header_without_end(), "a").is_err()));
    assert!(used < MIB, "10 MB without a line feed: {used} bytes");

    // 12 GB a frame.
    let huge = b"YUV4MPEG2 W65535 H65535 C444\nFRAME\n";
    let short = || (&huge[..]).chain(io::repeat(7).take(MIB as u64));
    let used = peak(|| {
        let error = Y4mReader::new(short(), "a").unwrap().next_frame().unwrap_err().to_string();
        assert!(error.contains("1048576 of 12884508675 bytes"), "{error}");
    });
    assert!(used < 8 * MIB, "a short frame of 65535x65535: {used} bytes");

    let format = VideoFormat::new(
        PixelFormat::RgbF32Planar,
        Dimensions::new(65535, 65535).unwrap(),
        Rational::new(25, 1).unwrap(),
    );
    let used = peak(|| assert!(RawReader::new(io::repeat(7).take(1000), "a", format).next_frame().is_err()));
    assert!(used < MIB, "1000 bytes of 51 GB: {used} bytes");

    let mut ivf = b"DKIF\0\0\x20\0VP90\x40\0\x40\0\x19\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    // Just below the cap, so that the claim passes.
    ivf.extend_from_slice(&[0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0]);
    let file = |claim: u8| {
        let mut file = ivf.clone();
        file[32 + 3] = claim;
        file.extend_from_slice(&[0x82; 1000]);
        file
    };
    for (claim, said) in [(0x0f, "1000 of 251658240 bytes"), (0xff, "claims 4278190080 bytes")] {
        let file = file(claim);
        let used = peak(|| {
            let error = IvfDemuxer::new(Cursor::new(&file[..]), "a").unwrap().next_sample().unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(IvfDemuxer::new(NonSeekable(&file[..]), "a").unwrap().next_sample().is_err());
        });
        assert!(used < MIB, "an IVF frame that {said}: {used} bytes");
    }

    // What was really there is kept while a picture is looked for, in a buffer that grows by doubling.
    // 64 MiB of noise without a start code, and of start codes without a picture.
    for noise in [&[0xff][..], &[0, 0, 1, 0x0c, 0xff]] {
        let noise = noise.repeat(MIB / noise.len());
        let endless = std::iter::repeat_n(&noise[..], 65)
            .fold(Box::new(io::empty()) as Box<dyn Read + Send>, |all, part| Box::new(all.chain(part)));
        let used = peak(|| assert!(ElementaryDemuxer::new(endless, "a", Codec::H264).is_err()));
        assert!(used < 4 * 64 * MIB, "nothing but noise: {used} bytes");
    }
}
