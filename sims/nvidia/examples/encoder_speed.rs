//! Time per 720p picture of the software encoders behind the simulation: `cargo run --release --example encoder_speed`.

use std::time::Instant;

use nvsim::codec::CodecError;
use nvsim::codec::encoder::{EncoderCodec, EncoderSpec, PictureIn, PictureKind, Rate, SoftEncoder};

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;
const PICTURES: u64 = 90;

/// A pattern that moves, with a little noise.
fn plane(width: usize, height: usize, time: u64) -> Vec<u8> {
    let mut seed = time as u32 | 1;
    let mut plane = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let (x, y) = (x + time as usize * 3, y + time as usize);
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            plane.push((64 + ((x / 2) & 63) + (((x * x + y * y) >> 12) & 63) + (seed >> 30) as usize) as u8);
        }
    }
    plane
}

fn main() -> Result<(), CodecError> {
    let clip: Vec<[Vec<u8>; 3]> = (0..PICTURES)
        .map(|time| {
            [(WIDTH, HEIGHT), (WIDTH / 2, HEIGHT / 2), (WIDTH / 2, HEIGHT / 2)]
                .map(|(w, h)| plane(w, h, time))
        })
        .collect();
    for codec in [EncoderCodec::H264, EncoderCodec::Hevc] {
        for preset in [1, 4, 7] {
            let rate = Rate::Vbr { average: 4_000_000, max: 6_000_000, vbv: 0 };
            let plain = EncoderSpec::plain(codec, WIDTH as u32, HEIGHT as u32, rate);
            let spec = EncoderSpec { preset, reorder: 1, ..plain };
            let mut encoder = SoftEncoder::open(&spec)?;
            let (start, mut bytes) = (Instant::now(), 0);
            for (display_index, planes) in (0..).zip(&clip) {
                let picture = PictureIn {
                    planes: planes.each_ref().map(|plane| &**plane),
                    pitches: [WIDTH, WIDTH / 2, WIDTH / 2],
                    kind: if display_index == 0 { PictureKind::Idr } else { PictureKind::P },
                    display_index,
                    parameter_sets: display_index == 0,
                    sei: &[],
                };
                bytes += encoder.encode(&picture)?.data.len();
            }
            let each = start.elapsed().as_secs_f64() * 1000.0 / PICTURES as f64;
            println!(
                "{codec:?} preset {preset}: {each:.1} ms a picture, {} bytes a picture",
                bytes as u64 / PICTURES
            );
        }
    }
    Ok(())
}
