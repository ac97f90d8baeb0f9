//! Bits and quality: what is asked for is what comes, also after a change.

use crate::encoder::{clip, coding_order, decode, encode, judge, picture, probe, spec};
use nvsim::codec::encoder::{Chroma, EncoderCodec, EncoderSpec, PictureKind, Rate, Reopened, SoftEncoder};

const BOTH: [EncoderCodec; 2] = [EncoderCodec::H264, EncoderCodec::Hevc];

/// Within a tenth.
#[track_caller]
fn close(bits: f64, wanted: f64, what: &str) {
    assert!((bits / wanted - 1.0).abs() <= 0.1, "{what}: {bits:.0} bits a second, {wanted:.0} asked for");
}

#[test]
fn ten_seconds_have_the_rate_asked_for() {
    for codec in BOTH {
        // HEVC takes four times as long; without reordering its rates are looked at where they change.
        for reorder in (0..=1).filter(|reorder| codec == EncoderCodec::H264 || *reorder == 1) {
            for rate in [
                Rate::Cbr { average: 300_000, vbv: 0 },
                Rate::Cbr { average: 300_000, vbv: 150_000 },
                Rate::Vbr { average: 300_000, max: 450_000, vbv: 0 },
                Rate::Vbr { average: 300_000, max: 0, vbv: 0 },
            ] {
                let spec = EncoderSpec { rate, reorder, ..spec(codec, 176, 144) };
                let order = coding_order(300, 2 * u64::from(reorder), &[120, 240]);
                let bits = clip(&spec, &order, 24).stream.len() as f64 * 8.0 / 10.0;
                close(bits, 300_000.0, &format!("{spec:?}"));
            }
        }
    }
}

#[test]
fn rates_change_without_a_break() {
    let there = judge("ffmpeg");
    for codec in BOTH {
        let check = |stream: &[u8], shown: &[u8]| {
            assert!(!there || decode(codec, stream, Chroma::Yuv420, 8) == shown, "{codec:?}");
        };
        for constant in [true, false] {
            // Each change begins a stream of its own there, and what a stream is like is looked at above.
            if codec == EncoderCodec::Hevc && !constant {
                continue;
            }
            let rate = |average| match constant {
                true => Rate::Cbr { average, vbv: 0 },
                false => Rate::Vbr { average, max: 0, vbv: 0 },
            };
            let mut spec = EncoderSpec { rate: rate(300_000), ..spec(codec, 176, 144) };
            let mut encoder = SoftEncoder::open(&spec).unwrap();
            let (mut stream, mut shown, mut time) = (Vec::new(), Vec::new(), 0);
            // Seconds, bits per second, frames per second. The first seconds after a change settle.
            for (average, fps) in [(300_000, 30), (150_000, 30), (400_000, 30), (400_000, 60)] {
                spec = EncoderSpec { rate: rate(average), fps: (fps, 1), ..spec };
                let reopened = encoder.reconfigure(&spec).unwrap();
                // libx265 cannot change its rates; the caller then starts over with an IDR picture.
                assert_eq!(reopened, Reopened(codec == EncoderCodec::Hevc && time > 0));
                if reopened.0 {
                    // A stream of its own: its frame rate may be another.
                    check(&stream, &shown);
                    stream.clear();
                    shown.clear();
                }
                let mut sizes = Vec::new();
                for index in 0..10 * fps {
                    let kind = if time == 0 || (index == 0 && reopened.0) {
                        PictureKind::Idr
                    } else {
                        PictureKind::P
                    };
                    let out = encode(&mut encoder, &spec, kind, time, 24);
                    sizes.push(out.data.len());
                    stream.extend(out.data);
                    shown.extend(encoder.reconstruction().unwrap().concat());
                    time += 1;
                }
                let settled = &sizes[4 * fps as usize..];
                let bits = settled.iter().sum::<usize>() as f64 * 8.0 / 6.0;
                close(bits, f64::from(average), &format!("{codec:?} constant {constant} {fps}/s"));
            }
            check(&stream, &shown);
        }
    }
}

#[test]
fn a_new_frame_rate_reaches_the_headers_at_the_next_idr_picture() {
    let there = judge("ffprobe");
    for codec in BOTH {
        let mut spec = spec(codec, 64, 64);
        let mut encoder = SoftEncoder::open(&spec).unwrap();
        let before = encoder.parameter_sets();
        encode(&mut encoder, &spec, PictureKind::Idr, 0, 0);
        spec.fps = (25, 1);
        assert_eq!(encoder.reconfigure(&spec), Ok(Reopened(false)));
        let after = encoder.parameter_sets();
        assert_ne!(before, after);
        let idr = encode(&mut encoder, &spec, PictureKind::Idr, 1, 0).data;
        assert!(idr.starts_with(&after));
        if there {
            assert!(probe(codec, &idr).contains("r_frame_rate=25/1\n"));
        }
    }
}

#[test]
fn what_the_library_cannot_change_reopens_it() {
    let there = judge("ffmpeg");
    for codec in BOTH {
        let first = EncoderSpec { reorder: 1, ..spec(codec, 96, 64) };
        let mut encoder = SoftEncoder::open(&first).unwrap();
        encode(&mut encoder, &first, PictureKind::Idr, 0, 0);
        assert_eq!(encoder.reconfigure(&first), Ok(Reopened(false)));
        // Refused: everything as before.
        assert!(encoder.reconfigure(&EncoderSpec { width: 1, ..first.clone() }).is_err());
        encode(&mut encoder, &first, PictureKind::P, 2, 0);
        let quantisers = EncoderSpec { rate: Rate::ConstQp { i: 40, p: 41, b: 42 }, ..first.clone() };
        assert_eq!(encoder.reconfigure(&quantisers), Ok(Reopened(false)));
        assert_eq!(encode(&mut encoder, &first, PictureKind::B, 1, 0).qp, 42);
        for changed in [
            EncoderSpec { width: 128, ..first.clone() },
            EncoderSpec { rate: Rate::Cbr { average: 200_000, vbv: 0 }, ..first.clone() },
            EncoderSpec { rate: Rate::Lossless, ..first.clone() },
            EncoderSpec { reorder: 0, ..first.clone() },
        ] {
            assert_eq!(encoder.reconfigure(&changed), Ok(Reopened(true)), "{changed:?}");
            assert!(encoder.reconstruction().is_none());
            let idr = encode(&mut encoder, &changed, PictureKind::Idr, 9, 0).data;
            if there {
                let wanted = encoder.reconstruction().unwrap().concat();
                assert!(decode(codec, &idr, Chroma::Yuv420, 8) == wanted, "{changed:?}");
            }
        }
    }
}

#[test]
fn four_megabits_make_a_good_picture() {
    if !judge("ffmpeg") {
        return;
    }
    for codec in BOTH {
        let rate = Rate::Vbr { average: 4_000_000, max: 6_000_000, vbv: 0 };
        let spec = EncoderSpec { rate, reorder: 1, ..spec(codec, 1280, 720) };
        let clip = clip(&spec, &coding_order(31, 2, &[]), 0);
        let decoded = decode(codec, &clip.stream, Chroma::Yuv420, 8);
        let size = 1280 * 720 * 3 / 2;
        assert_eq!(decoded.len(), 31 * size);
        let bits = clip.stream.len() as f64 * 8.0 * 30.0 / 31.0;
        assert!(bits < 8_000_000.0, "{bits}");
        for (time, seen) in decoded.chunks(size).enumerate() {
            let source = picture(&spec, time as u64, 0).concat();
            let square = |(a, b): (&u8, &u8)| (f64::from(*a) - f64::from(*b)).powi(2);
            let error = source.iter().zip(seen).map(square).sum::<f64>() / size as f64;
            let psnr = 10.0 * (255.0 * 255.0 / error.max(1e-9)).log10();
            assert!(psnr >= 30.0, "{codec:?}: picture {time} has {psnr:.1} dB");
        }
    }
}
