//! How an encoder of dataset programs ends when nobody wants its chunks any more, and what it tells meanwhile.

use video_hw::codec::Codec;
use video_hw::dataset::{EncoderConfig, EncoderType, GpuEncoderConfig, SessionVideoEncoder, VideoEncoder};
use video_hw::dimensions::Dimensions;
use video_hw::pixel::PixelFormat;

use crate::support::nvidia::{clean_on, threads_left};

const PICTURE: usize = 320 * 192 * 3;

fn open(encoder: EncoderType) -> SessionVideoEncoder {
    let size = Dimensions::new(320, 192).unwrap();
    let gpu = GpuEncoderConfig::default().preferred_encoder(encoder).strict(true).ring_buffer_size(16);
    SessionVideoEncoder::open(&EncoderConfig::new(Codec::H264, PixelFormat::Rgb24, size), &gpu).unwrap()
}

/// A picture takes the simulated card 20 ms, so that the ring is full of pictures when the encoder is dropped.
#[test]
fn an_encoder_that_is_dropped_leaves_nothing_behind() {
    let slow = "time.enabled=true;time.encode_ns_per_frame=20000000";
    clean_on("ada", "an_encoder_that_is_dropped_leaves_nothing_behind", slow, || {
        for pictures in [0, 1, 5, 30] {
            let mut encoder = open(EncoderType::Nvenc);
            assert!(encoder.ring().is_none(), "it comes with the first picture");
            for number in 0..pictures {
                encoder.encode_frame(&vec![number; PICTURE]).unwrap();
            }
            let pushed = encoder.ring().map(|ring| (ring.pushed, ring.frames.capacity));
            assert_eq!(pushed, (pictures > 0).then_some((u64::from(pictures), 16)));
            drop(encoder);
            assert_eq!(threads_left(), Vec::<String>::new(), "after {pictures} pictures");
        }
        // And one that is flushed has them all.
        let mut encoder = open(EncoderType::Nvenc);
        let mut chunks = 0;
        for number in 0..20 {
            chunks += usize::from(encoder.encode_frame(&vec![number; PICTURE]).unwrap().is_some());
        }
        assert_eq!(chunks + encoder.flush().unwrap().len(), 20);
        assert!(encoder.ring().is_none(), "flushed: it comes again with the next picture");
    });
}
