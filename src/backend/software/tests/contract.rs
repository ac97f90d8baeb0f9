//! The rules of the seam: order, latency, flush, changes in the middle, damage.

use bytes::Bytes;

use super::encoded::encode;
use super::harness::{Bench, decode, host, nal_access_units, stream_path, units_of};
use crate::bitstream::annexb::nal_units;
use crate::bitstream::h264::AvcConfig;
use crate::codec::Codec;
use crate::config::{CommonDecodeConfig, DecodeOutputMode};
use crate::frame::Surface;

fn packed(config: &CommonDecodeConfig, units: &[Bytes]) -> Vec<Vec<u8>> {
    let outcome = decode(config, units);
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    outcome.pictures.iter().map(|p| host(p).to_packed()).collect()
}

#[test]
fn a_stream_without_reordering_comes_out_at_once() {
    for (codec, arguments) in [
        (Codec::H264, "-c:v libx264 -pix_fmt yuv420p -tune zerolatency"),
        (Codec::Hevc, "-c:v libx265 -pix_fmt yuv420p -x265-params log-level=none:bframes=0"),
    ] {
        let Some(stream) = encode(codec, "176x144", arguments) else { continue };
        let mut bench = Bench::open(&CommonDecodeConfig::new(codec));
        for (i, unit) in nal_access_units(codec, &stream).into_iter().enumerate() {
            bench.submit(unit);
            assert_eq!(bench.pictures(), i + 1, "{codec}");
        }
        bench.finish();
    }
}

#[test]
fn a_flush_gives_everything_and_the_decoder_starts_again() {
    for (codec, arguments) in [
        (Codec::H264, "-c:v libx264 -pix_fmt yuv420p -bf 3"),
        (Codec::H264, "-c:v libx264 -pix_fmt yuv420p10le -bf 3"),
        (Codec::Hevc, "-c:v libx265 -pix_fmt yuv420p -x265-params log-level=none"),
    ] {
        let Some(stream) = encode(codec, "176x144", arguments) else { continue };
        let units = nal_access_units(codec, &stream);
        let mut bench = Bench::open(&CommonDecodeConfig::new(codec));
        bench.submit_all(&units[..20]);
        bench.flush();
        assert_eq!(bench.pictures(), 20, "{arguments}");
        bench.submit_all(&units);
        bench.flush();
        let outcome = bench.finish();
        let frames: Vec<_> = outcome.pictures.iter().map(|p| host(p).to_packed()).collect();
        assert!(frames[20..] == packed(&CommonDecodeConfig::new(codec), &units), "{arguments}");
    }
}

#[test]
fn a_change_of_size_and_library_in_the_middle_loses_no_picture() {
    let parts: Vec<_> = [
        ("176x144", "-c:v libx264 -pix_fmt yuv420p -bf 3"),
        ("320x176", "-c:v libx264 -pix_fmt yuv420p -bf 3"),
        ("320x176", "-c:v libx264 -pix_fmt yuv420p10le -bf 3"),
        ("176x160", "-c:v libx264 -pix_fmt yuv420p -flags +ildct+ilme -bf 2"),
        ("176x144", "-c:v libx264 -pix_fmt yuv420p -bf 3 -x264-params constrained-intra=1"),
        ("176x144", "-c:v libx264 -pix_fmt yuv420p -bf 3"),
    ]
    .iter()
    .filter_map(|(size, arguments)| encode(Codec::H264, size, arguments))
    .collect();
    let config = CommonDecodeConfig::new(Codec::H264);
    let units: Vec<Vec<Bytes>> = parts.iter().map(|p| nal_access_units(Codec::H264, p)).collect();
    let expected: Vec<_> = units.iter().flat_map(|u| packed(&config, u)).collect();
    let got = packed(&config, &units.concat());
    assert_eq!(got.len(), expected.len());
    assert_eq!(got.iter().zip(&expected).position(|(a, b)| a != b), None);
}

#[test]
fn parameter_sets_may_come_from_the_container_only() {
    for arguments in
        ["-c:v libx264 -pix_fmt yuv420p -bf 3 -g 8", "-c:v libx264 -pix_fmt yuv420p10le -bf 3 -g 8"]
    {
        let Some(stream) = encode(Codec::H264, "176x144", arguments) else { return };
        let of_type = |t: u8| -> Vec<Vec<u8>> {
            nal_units(&stream).filter(|n| n[0] & 0x1f == t).take(1).map(<[u8]>::to_vec).collect()
        };
        let mut config = CommonDecodeConfig::new(Codec::H264);
        let units = nal_access_units(Codec::H264, &stream);
        let expected = packed(&config, &units);
        let record = AvcConfig::from_parameter_sets(of_type(7), of_type(8)).unwrap();
        config.codec_config = Some(record.build().into());
        let bare: Vec<Bytes> = units
            .iter()
            .map(|unit| {
                let slices = nal_units(unit).filter(|n| !matches!(n[0] & 0x1f, 7 | 8));
                slices.flat_map(|n| [&[0, 0, 1], n].concat()).collect::<Vec<u8>>().into()
            })
            .collect();
        assert!(packed(&config, &bare) == expected, "{arguments}");
        // A seek: flush, then the second group of pictures, whose parameter sets were never in band.
        let mut bench = Bench::open(&config);
        bench.submit_all(&bare[..4]);
        bench.flush();
        bench.submit_all(&bare[8..]);
        bench.flush();
        let outcome = bench.finish();
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        let last = host(outcome.pictures.last().unwrap()).to_packed();
        assert!(last == expected[expected.len() - 1], "{arguments}");
    }
}

#[test]
fn metadata_only_copies_no_sample() {
    let (codec, units) = units_of(&stream_path("ipbp-hevc.h265"));
    let config = CommonDecodeConfig::new(codec).output(DecodeOutputMode::MetadataOnly);
    let outcome = decode(&config, &units);
    assert_eq!(outcome.pictures.len(), 4);
    assert!(outcome.pictures.iter().all(|p| matches!(p.surface, Surface::None)));
    let sizes: Vec<_> = outcome.pictures.iter().map(|p| p.dimensions.to_string()).collect();
    assert_eq!(sizes, ["64x64"; 4]);
    assert!(outcome.pictures[0].keyframe && !outcome.pictures[1].keyframe);
}

/// A picture that lacks a slice, the first, one in the middle or the last, is a failure and not a picture.
#[test]
fn a_lost_slice_is_a_failure() {
    for arguments in [
        "-c:v libx264 -pix_fmt yuv420p -bf 0 -x264-params slices=4",
        "-c:v libx264 -pix_fmt yuv420p -bf 0 -x264-params slices=4:constrained-intra=1",
        "-c:v libx264 -pix_fmt yuv420p10le -bf 0 -x264-params slices=4:cabac=0",
        "-c:v libx264 -pix_fmt yuv420p -bf 0 -flags +ildct+ilme -x264-params slices=4",
    ] {
        let Some(stream) = encode(Codec::H264, "176x160", arguments) else { return };
        let units = nal_access_units(Codec::H264, &stream);
        for lost in 0..4 {
            let mut units = units.clone();
            let slices = nal_units(&units[5]).filter(|nal| nal[0] & 0x1f == 1);
            let kept = slices.enumerate().filter(|(i, _)| *i != lost).map(|(_, nal)| nal);
            units[5] = kept.flat_map(|nal| [&[0, 0, 0, 1], nal].concat()).collect::<Vec<u8>>().into();
            let outcome = decode(&CommonDecodeConfig::new(Codec::H264), &units);
            assert!(
                outcome.pictures.iter().all(|p| p.serial != 5),
                "{arguments}: delivered without slice {lost}"
            );
            assert!(outcome.pictures.iter().any(|p| p.serial == 4), "{arguments}: {lost}");
        }
    }
}

/// Every unit is answered exactly once, whatever the bytes are (`Bench::finish` counts), and the decoder
/// still works afterwards.
#[test]
fn damaged_streams_keep_the_books() {
    let streams = [
        "slices-cavlc.h264",
        "groups.h264",
        "mbaff.h264",
        "groups-hevc.h265",
        "groups-vp8.ivf",
        "groups-vp9.ivf",
        "groups-av1.ivf",
    ];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % bound as u64) as usize
    };
    for name in streams {
        let (codec, units) = units_of(&stream_path(name));
        let units = &units[..units.len().min(12)];
        let mut config = CommonDecodeConfig::new(codec);
        config.threads = 1.try_into().ok();
        for round in 0..12 {
            let mut damaged: Vec<Bytes> = Vec::new();
            for unit in units {
                let mut bytes = unit.to_vec();
                match next(4) {
                    0 => bytes.truncate(next(bytes.len() + 1)),
                    1 => continue,
                    _ => {
                        for _ in 0..=round {
                            let at = next(bytes.len());
                            bytes[at] ^= 1 << next(8);
                        }
                    }
                }
                damaged.push(bytes.into());
            }
            let mut bench = Bench::open(&config);
            bench.submit_all(&damaged);
            bench.flush();
            let before = bench.pictures();
            bench.submit(units[0].clone());
            bench.flush();
            if round == 0 {
                assert!(bench.pictures() > before, "{codec}: no picture after the damage");
            }
            bench.finish();
        }
    }
}
