//! The shared clips.

use super::harness::{asset, decode, ivf_units};
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;

fn check_ivf(codec: Codec, name: &str, threads: usize) {
    let (Some(file), Some(md5s)) = (asset(name), asset(&format!("{name}.md5"))) else { return };
    let mut config = CommonDecodeConfig::new(codec);
    config.threads = threads.try_into().ok();
    let outcome = decode(&config, &ivf_units(&file));
    assert!(outcome.failures.is_empty(), "{name}: {:?}", outcome.failures);
    let expected: Vec<&str> = std::str::from_utf8(&md5s).unwrap().split_whitespace().collect();
    let got = outcome.nv12_md5s();
    let wrong = got.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(wrong, None, "{name}: first wrong picture");
    assert_eq!(got.len(), expected.len(), "{name}: number of pictures");
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
fn vp9_clip_is_exact() {
    check_ivf(Codec::Vp9, "cros-codecs/test-25fps.vp9", 1);
}

#[test]
fn vp9_show_existing_frame_is_exact() {
    check_ivf(Codec::Vp9, "cros-codecs/vp90-2-10-show-existing-frame.vp9.ivf", 1);
    check_ivf(Codec::Vp9, "cros-codecs/vp90-2-10-show-existing-frame2.vp9.ivf", 1);
}

#[test]
fn vp9_resolution_change_is_exact() {
    check_ivf(Codec::Vp9, "cros-codecs/resolution_change_500frames-vp9.ivf", 1);
}
