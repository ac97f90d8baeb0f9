//! The shared clips.

use super::encoded::ffmpeg;
use super::harness::{Bench, Outcome, asset, asset_path, decode, host, ivf_units, nal_access_units};
use md5::{Digest, Md5};

use crate::backend::DecodedPicture;
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;

fn expect_list(name: &str, outcome: &Outcome, list: &[u8]) {
    assert!(outcome.failures.is_empty(), "{name}: {:?}", outcome.failures);
    let expected: Vec<&str> = std::str::from_utf8(list).unwrap().split_whitespace().collect();
    let got = outcome.nv12_md5s();
    let wrong = got.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(wrong, None, "{name}: first wrong picture");
    assert_eq!(got.len(), expected.len(), "{name}: number of pictures");
}

fn check_nal(codec: Codec, name: &str) {
    let (Some(file), Some(md5s)) = (asset(name), asset(&format!("{name}.md5"))) else { return };
    let outcome = decode(&CommonDecodeConfig::new(codec), &nal_access_units(codec, &file));
    expect_list(name, &outcome, &md5s);
}

#[test]
fn cros_h264_clips_are_exact() {
    for name in ["64x64-I", "64x64-I-P", "64x64-I-P-B-P", "64x64-I-P-B-P-high", "test-25fps"] {
        check_nal(Codec::H264, &format!("cros-codecs/{name}.h264"));
    }
}

#[test]
fn cros_interlaced_h264_clip_is_exact() {
    check_nal(Codec::H264, "cros-codecs/test-25fps-interlaced.h264");
}

#[test]
fn cros_hevc_clips_are_exact() {
    for name in ["64x64-I", "64x64-I-P", "64x64-I-P-B-P", "bbb", "bear", "test-25fps"] {
        check_nal(Codec::Hevc, &format!("cros-codecs/{name}.h265"));
    }
}

#[test]
fn jvt_clips_are_exact() {
    let Some(list) = asset("jvt/md5s.txt") else { return };
    let mut wrong = Vec::new();
    for line in std::str::from_utf8(&list).unwrap().lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[md5, frames, _, name] = fields.as_slice() else { panic!("{line}") };
        let Some(file) = asset(&format!("jvt/{name}")) else { continue };
        let outcome = decode(&CommonDecodeConfig::new(Codec::H264), &nal_access_units(Codec::H264, &file));
        let got = (outcome.stream_md5(), outcome.pictures.len().to_string());
        if got != (md5.into(), frames.into()) {
            wrong.push(format!(
                "{name}: {got:?}, expected {md5} {frames}; {:?} {:?}",
                outcome.failures.first(),
                outcome.no_picture.first()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_ivf(codec: Codec, name: &str, threads: usize) {
    let (Some(file), Some(md5s)) = (asset(name), asset(&format!("{name}.md5"))) else { return };
    let mut config = CommonDecodeConfig::new(codec);
    config.threads = threads.try_into().ok();
    let outcome = decode(&config, &ivf_units(&file));
    expect_list(name, &outcome, &md5s);
}

#[test]
fn av1_clip_is_exact() {
    check_ivf(Codec::Av1, "cros-codecs/test-25fps.ivf.av1", 1);
}

#[test]
fn av1_clip_is_exact_with_frame_threads() {
    check_ivf(Codec::Av1, "cros-codecs/test-25fps.ivf.av1", 4);
}

#[test]
fn vp8_clip_is_exact() {
    check_ivf(Codec::Vp8, "cros-codecs/test-25fps.vp8", 1);
}

#[test]
fn vp9_clip_is_exact() {
    check_ivf(Codec::Vp9, "cros-codecs/test-25fps.vp9", 1);
}

#[test]
fn vp9_show_existing_frame_is_exact() {
    check_ivf(Codec::Vp9, "cros-codecs/vp90-2-10-show-existing-frame.vp9.ivf", 1);
    check_ivf(Codec::Vp9, "cros-codecs/vp90-2-10-show-existing-frame2.vp9.ivf", 1);
}

/// The list has the first picture of each size; ffmpeg judges the rest.
#[test]
fn vp9_resolution_change_is_exact() {
    let name = "cros-codecs/resolution_change_500frames-vp9.ivf";
    let (Some(file), Some(list)) = (asset(name), asset(&format!("{name}.md5"))) else { return };
    let outcome = decode(&CommonDecodeConfig::new(Codec::Vp9), &ivf_units(&file));
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    assert_eq!(outcome.pictures.len(), 500);
    let listed = std::str::from_utf8(&list).unwrap().split_whitespace();
    for (got, expected) in outcome.nv12_md5s().iter().zip(listed) {
        assert_eq!(got, expected);
    }
    let path = asset_path(name);
    let path = path.to_str().unwrap();
    let Some(judge) =
        ffmpeg(&["-i", path, "-autoscale", "0", "-vsync", "passthrough", "-f", "framemd5", "-"])
    else {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no ffmpeg to judge {name}\n"),
        );
        return;
    };
    let judge = String::from_utf8(judge).unwrap();
    let expected: Vec<&str> =
        judge.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.rsplit(", ").next()).collect();
    let got: Vec<String> = outcome.pictures.iter().map(packed_md5).collect();
    assert_eq!(got.iter().zip(&expected).position(|(a, b)| a != b), None, "first wrong picture");
    assert_eq!(got.len(), expected.len());
}

/// The 1080p clip of the figures: natural content, cropped from 1088 rows, judged by ffmpeg.
#[test]
fn bench_clip_is_exact() {
    let name = "bench/sample-10s-1080p.h265";
    let Some(file) = asset(name) else { return };
    let path = asset_path(name);
    let Some(judge) = ffmpeg(&["-i", path.to_str().unwrap(), "-vsync", "passthrough", "-f", "framemd5", "-"])
    else {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no ffmpeg to judge {name}\n"),
        );
        return;
    };
    let judge = String::from_utf8(judge).unwrap();
    let expected: Vec<&str> =
        judge.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.rsplit(", ").next()).collect();
    let mut bench = Bench::open(&CommonDecodeConfig::new(Codec::Hevc));
    let mut got = Vec::new();
    for unit in nal_access_units(Codec::Hevc, &file) {
        bench.submit(unit);
        got.extend(bench.take_pictures().iter().map(packed_md5));
    }
    bench.flush();
    got.extend(bench.take_pictures().iter().map(packed_md5));
    assert_eq!(got.iter().zip(&expected).position(|(a, b)| a != b), None, "first wrong picture");
    assert_eq!(got.len(), expected.len());
}

fn packed_md5(picture: &DecodedPicture) -> String {
    super::harness::hex(Md5::digest(host(picture).to_packed()).as_slice())
}
