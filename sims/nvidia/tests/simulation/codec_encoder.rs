//! The software encoder against a foreign decoder: order, exactness, headers.

use crate::encoder::{clip, coding_order, decode, judge, picture, spec};
use nvsim::codec::encoder::{Chroma, EncoderCodec, EncoderSpec, PictureKind, Rate};

const BOTH: [EncoderCodec; 2] = [EncoderCodec::H264, EncoderCodec::Hevc];

/// The decoder shows exactly what the library reconstructed, each picture in its place.
#[track_caller]
fn exact(spec: &EncoderSpec, order: &[(PictureKind, u64)]) {
    let clip = clip(spec, order, 0);
    let decoded = decode(spec.codec, &clip.stream, spec.chroma, spec.depth);
    let size = clip.reconstruction.len() / order.len();
    assert_eq!(decoded.len(), clip.reconstruction.len(), "{spec:?}: {} pictures", decoded.len() / size);
    for (index, (seen, wanted)) in decoded.chunks(size).zip(clip.reconstruction.chunks(size)).enumerate() {
        assert!(seen == wanted, "{spec:?}: picture {index} is not the one the encoder made");
    }
}

#[test]
fn order_counts_wrap_and_idr_pictures_restart_them() {
    if !judge("ffmpeg") {
        return;
    }
    for codec in BOTH {
        let spec = EncoderSpec { reorder: 1, ..spec(codec, 96, 64) };
        exact(&spec, &coding_order(700, 2, &[]));
        exact(&spec, &coding_order(150, 2, &[1, 40, 41, 90]));
        exact(&spec, &coding_order(100, 4, &[50]));
    }
}

#[test]
fn all_formats_decode_to_the_reconstruction() {
    if !judge("ffmpeg") {
        return;
    }
    for codec in BOTH {
        for (chroma, depth) in
            [(Chroma::Yuv420, 8), (Chroma::Yuv420, 10), (Chroma::Yuv444, 8), (Chroma::Yuv444, 10)]
        {
            for reorder in [0, 1] {
                let spec = EncoderSpec { chroma, depth, reorder, preset: 4, ..spec(codec, 176, 144) };
                exact(&spec, &coding_order(20, 2 * u64::from(reorder), &[13]));
            }
        }
    }
}

#[test]
fn b_pictures_in_two_layers() {
    if !judge("ffmpeg") {
        return;
    }
    for codec in BOTH {
        let mut order = vec![(PictureKind::Idr, 0)];
        for group in 0..10 {
            let base = group * 4;
            order.push((PictureKind::P, base + 4));
            order.extend([2, 1, 3].map(|display| (PictureKind::B, base + display)));
        }
        exact(&EncoderSpec { reorder: 2, ..spec(codec, 176, 144) }, &order);
    }
}

#[test]
fn lossless_is_lossless() {
    if !judge("ffmpeg") {
        return;
    }
    for codec in BOTH {
        for (chroma, depth) in [(Chroma::Yuv420, 8), (Chroma::Yuv444, 8), (Chroma::Yuv420, 10)] {
            let spec =
                EncoderSpec { rate: Rate::Lossless, chroma, depth, reorder: 1, ..spec(codec, 128, 96) };
            let order = coding_order(12, 2, &[]);
            let clip = clip(&spec, &order, 9);
            let source: Vec<u8> = (0..12).flat_map(|time| picture(&spec, time, 9).concat()).collect();
            assert!(decode(codec, &clip.stream, chroma, depth) == source, "{spec:?}");
        }
    }
}
