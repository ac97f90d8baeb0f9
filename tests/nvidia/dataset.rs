//! The encoder of dataset programs: which encoder it takes, that no picture is lost, and what it says.

use video_hw::codec::Codec;
use video_hw::dataset::{
    EncodedChunk, EncoderConfig, EncoderType, GpuEncoderConfig, SessionVideoEncoder, VideoEncoder,
};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::pixel::PixelFormat;
use video_hw::time::{TimeBase, Timestamp};

use crate::support::nvidia::{clean_on, fault};

const WIDTH: usize = 320;
const HEIGHT: usize = 192;

fn config(codec: Codec) -> EncoderConfig {
    let size = Dimensions::new(WIDTH as u32, HEIGHT as u32).unwrap();
    EncoderConfig::new(codec, PixelFormat::Rgb24, size).gop_size(12)
}

fn gpu(ring: bool, preferred: Option<EncoderType>, strict: bool) -> GpuEncoderConfig {
    GpuEncoderConfig::default()
        .preferred_encoder(preferred)
        .strict(strict)
        .enable_ring_buffer(ring)
        .ring_buffer_size(4)
}

/// A grey ramp that moves.
fn picture(number: usize) -> Vec<u8> {
    (0..WIDTH * HEIGHT).flat_map(|at| [(at / 2 % 97 + 5 * number % 100) as u8; 3]).collect()
}

/// Times as uneven as a log's, in nanoseconds.
fn time(number: usize) -> Timestamp {
    let nanos = 33_366_700 * number as i64 + 1_234_567 * (number % 3) as i64;
    Timestamp::new(nanos, TimeBase::new(1, 1_000_000_000).unwrap())
}

/// Encodes so many pictures at uneven times, flushes, and checks that each came out once.
fn run(encoder: &mut SessionVideoEncoder, numbers: std::ops::Range<usize>) -> Vec<EncodedChunk> {
    let mut chunks = Vec::new();
    for number in numbers.clone() {
        chunks.extend(encoder.encode_frame_at(&picture(number), time(number)).unwrap());
    }
    chunks.extend(encoder.flush().unwrap());
    let mut times: Vec<_> = chunks.iter().map(|chunk| chunk.pts).collect();
    times.sort_unstable();
    assert_eq!(times, numbers.map(time).collect::<Vec<_>>());
    assert!(chunks[0].is_keyframe);
    assert!(chunks.iter().all(|chunk| chunk.dts <= chunk.pts));
    assert!(chunks.windows(2).all(|pair| pair[0].dts < pair[1].dts));
    chunks
}

#[test]
fn a_card_encodes_where_there_is_one() {
    clean_on("ada", "a_card_encodes_where_there_is_one", "", || {
        for ring in [false, true] {
            let mut encoder =
                SessionVideoEncoder::open(&config(Codec::Hevc), &gpu(ring, None, false)).unwrap();
            assert_eq!(encoder.encoder_type(), EncoderType::Nvenc);
            run(&mut encoder, 0..30);
            // It goes on after a flush, anew.
            let chunks = run(&mut encoder, 30..40);
            assert!(chunks.iter().all(|chunk| chunk.generation == 1));
            let summary = encoder.summary().unwrap();
            assert_eq!(summary.stream.ledger.delivered, 40);
            assert!(summary.stream.ledger.balances());
            let pushed = summary.ring.map(|ring| (ring.pushed, ring.frames.peak <= 4));
            assert_eq!(pushed, ring.then_some((10, true)), "the ring since the flush before");
        }
    });
}

/// Not to be told from the outside but by what the encoder says: no picture is lost.
#[test]
fn the_next_encoder_takes_over_from_one_that_dies() {
    let test = "the_next_encoder_takes_over_from_one_that_dies";
    clean_on("ada", test, &fault("nvEncLockInputBuffer", 12, "device_lost=true"), || {
        let mut encoder =
            SessionVideoEncoder::open(&config(Codec::H264), &gpu(true, Some(EncoderType::Nvenc), false))
                .unwrap();
        assert_eq!(encoder.encoder_type(), EncoderType::Nvenc);
        let chunks = run(&mut encoder, 0..40);
        assert_ne!(encoder.encoder_type(), EncoderType::Nvenc);
        assert_eq!(chunks.last().unwrap().generation, 2);
        let first = chunks.iter().position(|chunk| chunk.generation == 2).unwrap();
        assert!(chunks[first].is_keyframe);
        let summary = encoder.summary().unwrap().stream;
        assert!(summary.ledger.balances() && summary.ledger.failed == 0, "{:?}", summary.ledger);
    });
}

#[test]
fn an_encoder_that_nobody_may_replace_ends_the_work_with_its_reason() {
    let test = "an_encoder_that_nobody_may_replace_ends_the_work_with_its_reason";
    clean_on("ada", test, &fault("nvEncLockInputBuffer", 12, "device_lost=true"), || {
        for ring in [false, true] {
            let only = gpu(ring, Some(EncoderType::Nvenc), true);
            let opened = SessionVideoEncoder::open(&config(Codec::H264), &only);
            let Ok(mut encoder) = opened else {
                assert!(ring, "the device is lost for the second");
                continue;
            };
            let mut told = None;
            for number in 0..200 {
                match encoder.encode_frame(&picture(number)) {
                    Ok(_) => {}
                    Err(error) => {
                        told = Some(error);
                        break;
                    }
                }
            }
            assert!(matches!(told, Some(Error::DeviceLost { .. })), "{told:?}");
            assert!(encoder.encode_frame(&picture(0)).is_err());
            assert!(encoder.flush().is_err());
            // Also when it was flushed in between.
            assert!(encoder.encode_frame(&picture(0)).is_err());
        }
    });
}

#[test]
fn a_card_without_encoder_is_passed_over_and_the_receipt_says_why() {
    clean_on("h200", "a_card_without_encoder_is_passed_over_and_the_receipt_says_why", "", || {
        let mut encoder = SessionVideoEncoder::open(&config(Codec::H264), &gpu(false, None, false)).unwrap();
        assert_ne!(encoder.encoder_type(), EncoderType::Nvenc);
        let why = format!("{:#}", encoder.receipt());
        assert!(why.contains("nvidia refused at device") && why.contains("has no encoder"), "{why}");
        run(&mut encoder, 0..20);
        // And where it must be that one, it is said at once.
        let only = gpu(false, Some(EncoderType::Nvenc), true);
        let error = SessionVideoEncoder::open(&config(Codec::H264), &only).err().unwrap();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("Let another backend do it"), "{error}");
    });
}

#[test]
fn the_embedded_encoder_is_always_there() {
    let mut encoder =
        SessionVideoEncoder::open(&config(Codec::H264), &gpu(true, Some(EncoderType::Embedded), true))
            .unwrap();
    assert_eq!(encoder.encoder_type(), EncoderType::Embedded);
    run(&mut encoder, 0..15);
    // A picture of another size is refused, and nothing is lost by it.
    let error = encoder.encode_frame(&[0; 12]).unwrap_err().to_string();
    assert!(error.contains("has 184320 bytes, got 12"), "{error}");
    run(&mut encoder, 15..20);
    // A time that does not rise loses no picture.
    let mut chunks: Vec<_> = encoder.encode_frame_at(&picture(0), time(0)).unwrap().into_iter().collect();
    chunks.extend(encoder.flush().unwrap());
    assert_eq!((chunks.len(), chunks[0].given), (1, time(0)));
    assert_eq!(chunks[0].pts, time(19).offset(1));
    assert_eq!(encoder.times().pictures, 1);
}
