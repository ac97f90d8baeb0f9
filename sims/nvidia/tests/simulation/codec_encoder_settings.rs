//! What an encoder is opened with reaches the stream; what cannot be is refused.

use crate::encoder::{clip, coding_order, decode, encode, judge, picture, probe, spec, unit_types};
use nvsim::codec::encoder::{Chroma, EncoderCodec, EncoderSpec, PictureIn, PictureKind, Rate, SoftEncoder};

const BOTH: [EncoderCodec; 2] = [EncoderCodec::H264, EncoderCodec::Hevc];

#[test]
fn units_of_an_access_unit() {
    for codec in BOTH {
        for slices in [1, 4] {
            let spec = EncoderSpec { aud: true, slices, reorder: 1, ..spec(codec, 320, 240) };
            let mut encoder = SoftEncoder::open(&spec).unwrap();
            let planes = picture(&spec, 0, 0);
            let message = vec![0, 0, 1, 0, 0, 0, 7];
            let mut input = PictureIn {
                planes: planes.each_ref().map(|plane| &**plane),
                pitches: [320, 160, 160],
                kind: PictureKind::Idr,
                display_index: 0,
                parameter_sets: true,
                sei: &[(5, message.clone()), (144, vec![1, 2, 3, 4])],
            };
            let first = encoder.encode(&input).unwrap().data;
            input.kind = PictureKind::P;
            input.display_index = 1;
            input.parameter_sets = false;
            input.sei = &[];
            let second = encoder.encode(&input).unwrap().data;
            let with = |front: &[u8], slice: u8| {
                let mut types = front.to_vec();
                types.extend(std::iter::repeat_n(slice, slices as usize));
                types
            };
            let (wanted, wanted_second) = match codec {
                EncoderCodec::H264 => (with(&[9, 7, 8, 6], 5), with(&[9], 1)),
                EncoderCodec::Hevc => (with(&[35, 32, 33, 34, 39], 20), with(&[35], 1)),
                EncoderCodec::Av1 => unreachable!("not one of both"),
            };
            assert_eq!(unit_types(codec, &first), wanted);
            assert_eq!(unit_types(codec, &second), wanted_second);
            let sets = encoder.parameter_sets();
            assert!(first.windows(sets.len()).any(|window| window == sets));
            // The message is there with emulation prevention, and the libraries' own signatures are not.
            let escaped = [5, 7, 0, 0, 3, 1, 0, 0, 3, 0, 7, 144, 4, 1, 2, 3, 4, 0x80];
            assert!(first.windows(escaped.len()).any(|window| window == escaped));
            for name in [&b"x264"[..], b"x265"] {
                assert!(!first.windows(4).any(|window| window == name));
            }
        }
    }
}

#[test]
fn slices_entropy_coders_and_presets_decode() {
    if !judge("ffmpeg") {
        return;
    }
    for codec in BOTH {
        for (slices, cavlc, preset, rate) in [
            (4, false, 1, Rate::ConstQp { i: 20, p: 24, b: 30 }),
            (3, true, 2, Rate::Cbr { average: 600_000, vbv: 0 }),
            (1, true, 3, Rate::Quality { quality: 25, max: 0 }),
            (2, false, 5, Rate::Quality { quality: 25, max: 500_000 }),
            (1, false, 6, Rate::Vbr { average: 300_000, max: 0, vbv: 0 }),
            (1, false, 7, Rate::Vbr { average: 300_000, max: 500_000, vbv: 250_000 }),
        ] {
            let spec = EncoderSpec { slices, cavlc, preset, rate, reorder: 1, ..spec(codec, 320, 240) };
            let clip = clip(&spec, &coding_order(16, 2, &[9]), 4);
            let decoded = decode(codec, &clip.stream, Chroma::Yuv420, 8);
            assert!(decoded == clip.reconstruction, "{spec:?}");
        }
    }
}

#[test]
fn headers_say_what_was_asked() {
    if !judge("ffprobe") {
        return;
    }
    for codec in BOTH {
        let hevc = codec == EncoderCodec::Hevc;
        let spec = EncoderSpec {
            profile: if hevc { 2 } else { 100 },
            level: if hevc { 120 } else { 41 },
            sar: (4, 3),
            colour: Some((9, 16, 9)),
            full_range: Some(true),
            fps: (30000, 1001),
            reorder: 2,
            ..spec(codec, 322, 242)
        };
        let said = probe(codec, &clip(&spec, &[(PictureKind::Idr, 0)], 0).stream);
        for line in [
            "width=322",
            "height=242",
            "sample_aspect_ratio=4:3",
            "color_range=pc",
            "color_space=bt2020nc",
            "color_transfer=smpte2084",
            "color_primaries=bt2020",
            "has_b_frames=2",
            "r_frame_rate=30000/1001",
            if hevc { "profile=Main 10" } else { "profile=High" },
            if hevc { "level=120" } else { "level=41" },
        ] {
            assert!(said.lines().any(|found| found == line), "{line} in {said}");
        }
    }
    let h264 = |profile, chroma, depth, rate| {
        let spec =
            EncoderSpec { profile, chroma, depth, rate, preset: 4, ..spec(EncoderCodec::H264, 64, 64) };
        probe(EncoderCodec::H264, &clip(&spec, &[(PictureKind::Idr, 0)], 0).stream)
    };
    let qp = Rate::ConstQp { i: 20, p: 20, b: 20 };
    assert!(h264(66, Chroma::Yuv420, 8, qp).contains("profile=Constrained Baseline"));
    assert!(h264(77, Chroma::Yuv420, 8, qp).contains("profile=Main\n"));
    assert!(h264(0, Chroma::Yuv420, 10, qp).contains("profile=High 10\n"));
    assert!(h264(244, Chroma::Yuv420, 8, qp).contains("profile=High 4:4:4 Predictive\n"));
    assert!(h264(100, Chroma::Yuv420, 8, Rate::Lossless).contains("profile=High 4:4:4 Predictive\n"));
}

#[test]
fn quantisers_are_those_asked_for() {
    for codec in BOTH {
        for depth in [8, 10] {
            let rate = Rate::ConstQp { i: 0, p: 30, b: 51 };
            let spec = EncoderSpec { rate, depth, reorder: 1, ..spec(codec, 96, 96) };
            let mut encoder = SoftEncoder::open(&spec).unwrap();
            let order = [(PictureKind::Idr, 0, 0), (PictureKind::P, 2, 30), (PictureKind::B, 1, 51)];
            for (kind, display, qp) in order {
                assert_eq!(
                    encode(&mut encoder, &spec, kind, display, 0).qp,
                    qp,
                    "{codec:?} {depth} {kind:?}"
                );
            }
            assert!(encoder.reconstruction().is_some());
        }
    }
}

#[test]
fn small_and_crooked_sizes() {
    let there = judge("ffmpeg");
    for codec in BOTH {
        for (width, height) in [(16, 16), (18, 34), (32, 16), (16, 50), (32, 50), (50, 258)] {
            if codec == EncoderCodec::Hevc && width == 16 {
                assert!(SoftEncoder::open(&spec(codec, width, height)).is_err());
                continue;
            }
            for slices in [1, 8] {
                let spec = EncoderSpec { reorder: 1, slices, ..spec(codec, width, height) };
                let clip = clip(&spec, &coding_order(7, 2, &[]), 0);
                if there {
                    assert!(
                        decode(codec, &clip.stream, Chroma::Yuv420, 8) == clip.reconstruction,
                        "{spec:?}"
                    );
                }
            }
        }
        let good = spec(codec, 64, 64);
        for bad in [
            EncoderSpec { width: 15, ..good.clone() },
            EncoderSpec { width: 0, ..good.clone() },
            EncoderSpec { height: 8194, ..good.clone() },
            EncoderSpec { width: 65, ..good.clone() },
            EncoderSpec { depth: 9, ..good.clone() },
            EncoderSpec { fps: (30, 0), ..good.clone() },
            EncoderSpec { fps: (0, 1), ..good.clone() },
            EncoderSpec { profile: 12345, ..good.clone() },
            EncoderSpec { level: 7, ..good.clone() },
            EncoderSpec {
                level: if codec == EncoderCodec::H264 { 11 } else { 30 },
                width: 1280,
                height: 720,
                ..good.clone()
            },
            EncoderSpec { reorder: 200, ..good.clone() },
        ] {
            assert!(SoftEncoder::open(&bad).is_err(), "{bad:?}");
        }
    }
    let baseline = EncoderSpec { profile: 66, reorder: 1, ..spec(EncoderCodec::H264, 64, 64) };
    assert!(SoftEncoder::open(&baseline).is_err());
}

#[test]
fn hostile_pictures_are_refused_or_tamed() {
    let there = judge("ffmpeg");
    for codec in BOTH {
        let spec8 = spec(codec, 64, 64);
        let mut encoder = SoftEncoder::open(&spec8).unwrap();
        let luma = vec![9; 64 * 64];
        let good = PictureIn {
            planes: [&luma, &luma, &luma],
            pitches: [64, 32, 32],
            kind: PictureKind::Idr,
            display_index: 5,
            parameter_sets: true,
            sei: &[],
        };
        for kind in [PictureKind::I, PictureKind::P, PictureKind::B] {
            assert!(encoder.encode(&PictureIn { kind, ..good.clone() }).is_err());
        }
        for pitches in [[63, 32, 32], [65, 32, 32], [64, 32, 31], [usize::MAX, 32, 32], [0, 0, 0]] {
            assert!(encoder.encode(&PictureIn { pitches, ..good.clone() }).is_err(), "{pitches:?}");
        }
        encoder.encode(&good).unwrap();
        let next = |kind, display_index| PictureIn { kind, display_index, ..good.clone() };
        assert!(encoder.encode(&next(PictureKind::P, 5)).is_err());
        assert!(encoder.encode(&next(PictureKind::B, 6)).is_err(), "no reordering was asked for");
        encoder.encode(&next(PictureKind::P, 1 << 40)).unwrap();

        let mut encoder = SoftEncoder::open(&EncoderSpec { reorder: 1, ..spec8.clone() }).unwrap();
        encoder.encode(&good).unwrap();
        for display in [0, 4, 5, 1000, u64::MAX] {
            assert!(encoder.encode(&next(PictureKind::P, display)).is_err(), "{display}");
        }
        encoder.encode(&next(PictureKind::P, 7)).unwrap();

        // Samples beyond ten bits, at odd addresses and with odd pitches.
        let spec10 = EncoderSpec { depth: 10, ..spec(codec, 64, 64) };
        let wild: Vec<u8> =
            (0..64 * 140).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 20) as u8).collect();
        let mut encoder = SoftEncoder::open(&spec10).unwrap();
        let mut stream = Vec::new();
        for (display_index, pitches) in [[128, 64, 64], [129, 65, 65]].into_iter().enumerate() {
            let planes = [&wild[1..], &wild[1..], &wild[1..]];
            let kind = if display_index == 0 { PictureKind::Idr } else { PictureKind::P };
            let display_index = 5 + display_index as u64;
            let input = PictureIn { planes, pitches, kind, display_index, ..good.clone() };
            stream.extend(encoder.encode(&input).unwrap().data);
        }
        if there {
            assert_eq!(decode(codec, &stream, Chroma::Yuv420, 10).len(), 2 * 64 * 64 * 3);
        }
    }
}

#[test]
fn many_at_once() {
    let streams = |codec| {
        let spec = EncoderSpec { reorder: 1, preset: 3, ..spec(codec, 96, 96) };
        clip(&spec, &coding_order(12, 2, &[]), 3).stream
    };
    let alone = BOTH.map(streams);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            for (codec, wanted) in BOTH.into_iter().zip(&alone) {
                scope.spawn(move || assert!(streams(codec) == *wanted));
            }
        }
    });
}
