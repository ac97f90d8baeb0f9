//! A bit rate that is asked of the embedded encoder is kept, whatever the pictures are, and no frame is lost for it.

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::{CommonDecodeConfig, CommonEncodeConfig, RateControl};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, EncodeSession};
use video_hw::time::{Rational, TimeBase, Timestamp};

use crate::support::ffmpeg::{decode, encode};
use crate::support::picture::psnr;

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
const RATE: usize = 25;
const ASKED: u32 = 500_000;

/// The content of the pictures.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// A chessboard under noise of this amplitude.
    Noisy(usize),
    /// Every sample at random, those of colour too.
    Random,
    /// A chessboard that moves.
    Clean,
}

fn picture(content: Content, number: usize) -> Vec<u8> {
    let mut random = 7 + number as u32;
    let mut noise = |most: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as usize * most / 256
    };
    let luma = (0..WIDTH * HEIGHT).map(|at| {
        let board = 60 + ((at % WIDTH + number) / 16 + at / WIDTH / 16) % 2 * 80;
        match content {
            Content::Noisy(most) => (board + noise(most)) as u8,
            Content::Random => noise(256) as u8,
            Content::Clean => board as u8,
        }
    });
    let mut data: Vec<u8> = luma.collect();
    let chroma = WIDTH * HEIGHT / 2;
    data.extend((0..chroma).map(|_| if matches!(content, Content::Random) { noise(256) as u8 } else { 128 }));
    data
}

fn config(rate_control: RateControl, gop_length: Option<u32>) -> CommonEncodeConfig {
    let size = Dimensions::new(WIDTH as u32, HEIGHT as u32).unwrap();
    CommonEncodeConfig::new(Codec::H264, size, Rational::new(RATE as u32, 1).unwrap())
        .rate_control(rate_control)
        .gop_length(gop_length)
}

fn encoded(config: &CommonEncodeConfig, content: impl Fn(usize) -> Content, count: usize) -> Vec<Packet> {
    let mut session = EncodeSession::new(BackendKind::Software, config.clone()).unwrap();
    let frames = (0..count).map(|number| {
        let data = picture(content(number), number);
        let surface = HostSurface::from_packed(PixelFormat::I420, config.dimensions, data).unwrap();
        Frame::host(Timestamp::new(number as i64, TimeBase::new(1, RATE as u32).unwrap()), surface)
    });
    let packets = encode(&mut session, frames);
    let ledger = session.summary().ledger;
    assert_eq!((packets.len(), ledger.delivered), (count, count as u64), "{ledger:?}");
    packets
}

fn decoded(packets: &[Packet]) -> Vec<Vec<u8>> {
    let mut session =
        DecodeSession::new(BackendKind::Software, CommonDecodeConfig::new(Codec::H264)).unwrap();
    let frames = decode(&mut session, packets.iter().cloned());
    frames.iter().map(|frame| frame.as_host().unwrap().to_packed()).collect()
}

fn bits(packets: &[Packet]) -> usize {
    packets.iter().map(|packet| packet.data.len() * 8).sum()
}

#[test]
fn a_constant_rate_is_kept_under_noise() {
    let cbr = RateControl::Cbr { bitrate_bps: ASKED };
    let vbr = RateControl::Vbr { avg_bps: ASKED, max_bps: None };
    for (content, rate, gop) in [
        (Content::Noisy(100), cbr, None),
        (Content::Noisy(100), cbr, Some(25)),
        (Content::Noisy(196), cbr, Some(50)),
        (Content::Random, cbr, None),
        (Content::Random, vbr, Some(25)),
    ] {
        let case = format!("{content:?}, {rate:?}, GOP {gop:?}");
        let packets = encoded(&config(rate, gop), |_| content, 5 * RATE);
        let keys = packets.iter().filter(|packet| packet.keyframe).count();
        assert_eq!(keys, gop.map_or(1, |gop| (5 * RATE).div_ceil(gop as usize)), "{case}");
        let seconds: Vec<_> = packets.chunks(RATE).map(bits).collect();
        let average = seconds.iter().sum::<usize>() / 5;
        eprintln!("{case}: {average} bit/s, by seconds {seconds:?}");
        assert!(average < 600_000, "{case}: {average} bit/s, by seconds {seconds:?}");
        assert!(seconds.iter().all(|second| *second < 1_000_000), "{case}: {seconds:?}");
        assert_eq!(decoded(&packets).len(), packets.len(), "{case}");
    }
}

#[test]
fn pictures_that_fit_the_rate_keep_their_detail() {
    let cbr = RateControl::Cbr { bitrate_bps: ASKED };
    let clean = |number: usize| picture(Content::Clean, number);
    let count = 2 * RATE;
    let pictures = decoded(&encoded(&config(cbr, None), |_| Content::Clean, count));
    for (number, found) in pictures.iter().enumerate().skip(5) {
        assert!(psnr(found, &clean(number)) > 30.0, "{number}: {}", psnr(found, &clean(number)));
    }
    // Noise for two seconds, then none: detail returns.
    let content = |number: usize| if number < count { Content::Random } else { Content::Clean };
    let pictures = decoded(&encoded(&config(cbr, None), content, 5 * count));
    let last = 5 * count - 1;
    assert!(psnr(&pictures[last], &clean(last)) > 30.0, "{}", psnr(&pictures[last], &clean(last)));
}
