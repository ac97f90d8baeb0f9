//! 4:4:4 and 10 bits by NVENC on the simulated driver (`sims/nvidia/`): pictures sample by sample through ffmpeg.

use std::process::Command;

use video_hw::backend::{BackendKind, query_backend_capability};
use video_hw::codec::Codec;
use video_hw::color::{ColorInfo, MatrixCoefficients};
use video_hw::config::RateControl;
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::{Frame, HostSurface};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::EncodeSession;

use crate::support::nvenc::{
    HEIGHT, WIDTH, all_well, check_times, config, encode, ffprobe, frame, have_ffmpeg, nvidia, open, pts,
    tuned,
};
use crate::support::nvidia::clean_on;

/// Samples of three planes of full size, each different: a plane in another's place is noticed, and so is half of one.
fn samples(number: usize, bits: u32) -> Vec<u16> {
    let top = 1 << bits;
    let at = |plane: usize, x: usize, y: usize| {
        let value = match plane {
            0 => 2 * x + y + 5 * number,
            1 => x + 3 * (y / 2) + 3 * number,
            _ => 200 - (x / 2) % 160 + y,
        };
        // Smooth, in the middle of the range, using all its bits.
        (top / 8 + (value << (bits - 8)) % (top * 3 / 4)) as u16
    };
    let plane =
        |plane| (0..HEIGHT).flat_map(move |y| (0..WIDTH).map(move |x| at(plane, x / 2 * 2, y / 2 * 2)));
    (0..3).flat_map(plane).collect()
}

fn full_frame(number: usize, format: PixelFormat) -> Frame {
    let size = Dimensions::new(WIDTH as u32, HEIGHT as u32).unwrap();
    let data = match format {
        PixelFormat::I444 => samples(number, 8).into_iter().map(|value| value as u8).collect(),
        _ => samples(number, 10).into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
    };
    Frame::host(pts(number), HostSurface::from_packed(format, size, data).unwrap())
}

fn write(codec: Codec, packets: &[Packet]) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(if codec == Codec::H264 { "out.h264" } else { "out.h265" });
    let bytes: Vec<u8> = packets.iter().flat_map(|packet| packet.data.iter().copied()).collect();
    std::fs::write(&file, bytes).unwrap();
    (directory, file)
}

/// What ffmpeg makes of the file, in its own format.
fn raw(file: &std::path::Path, format: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("NVSIM_REPORT")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(file)
        .args(["-vsync", "0", "-f", "rawvideo", "-pix_fmt", format, "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    output.stdout
}

/// Encodes 8 frames of 4:4:4, and compares every plane with what went in.
fn full_chroma(codec: Codec, format: PixelFormat, said: &str, lossless: bool) {
    let mut common = config(codec).format(format);
    common.rate_control = Some(RateControl::ConstQp { intra: 12, inter_p: 12, inter_b: 12 });
    let mut special = nvidia(6);
    if lossless {
        common.rate_control = None;
        special = tuned("p4", "lossless");
    }
    let mut session = open(&common, &special);
    let packets = all_well(encode(&mut session, (0..8).map(|n| full_frame(n, format))));
    check_times(&packets, 0..8);
    if !have_ffmpeg() {
        return;
    }
    let (_directory, file) = write(codec, &packets);
    assert_eq!(ffprobe(&file, "stream=profile,pix_fmt"), [said]);
    let (_, name) = said.rsplit_once(',').unwrap();
    let bytes = raw(&file, name);
    let deep = format == PixelFormat::I410;
    let got: Vec<u16> = if deep {
        bytes.as_chunks::<2>().0.iter().map(|sample| u16::from_le_bytes(*sample)).collect()
    } else {
        bytes.iter().map(|sample| u16::from(*sample)).collect()
    };
    let plane = WIDTH * HEIGHT;
    assert_eq!(got.len(), 8 * 3 * plane);
    for (number, picture) in got.chunks(3 * plane).enumerate() {
        let wanted = samples(number, if deep { 10 } else { 8 });
        for (at, (got, wanted)) in picture.chunks(plane).zip(wanted.chunks(plane)).enumerate() {
            let sum: u64 = got.iter().zip(wanted).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            let off = sum as f64 / plane as f64 / if deep { 4.0 } else { 1.0 };
            let most = if lossless { 0.0 } else { 2.5 };
            assert!(off <= most, "plane {at} of picture {number} of {codec} {format} is off by {off}");
        }
    }
}

#[test]
fn full_chroma_is_coded_in_every_version() {
    for version in ["11.1", "12.0", "12.1", "12.2", "13.0"] {
        let settings = format!("driver.nvenc={version}");
        clean_on("ada", "full_chroma_is_coded_in_every_version", &settings, || {
            full_chroma(Codec::H264, PixelFormat::I444, "High 4:4:4 Predictive,yuv444p", false);
            full_chroma(Codec::Hevc, PixelFormat::I444, "Rext,yuv444p", false);
            full_chroma(Codec::Hevc, PixelFormat::I410, "Rext,yuv444p10le", false);
        });
    }
}

#[test]
fn lossless_full_chroma_loses_nothing() {
    clean_on("ada", "lossless_full_chroma_loses_nothing", "", || {
        full_chroma(Codec::H264, PixelFormat::I444, "High 4:4:4 Predictive,yuv444p", true);
    });
}

#[test]
fn r_g_b_in_three_planes_may_say_so() {
    clean_on("ada", "r_g_b_in_three_planes_may_say_so", "", || {
        let color = ColorInfo { matrix: MatrixCoefficients::Identity, ..ColorInfo::SRGB };
        let common = config(Codec::Hevc).format(PixelFormat::I444).color(color);
        let packets = all_well(encode(
            &mut open(&common, &nvidia(6)),
            (0..3).map(|n| full_frame(n, PixelFormat::I444)),
        ));
        if have_ffmpeg() {
            let (_directory, file) = write(Codec::Hevc, &packets);
            assert_eq!(ffprobe(&file, "stream=color_space"), ["gbr"]);
        }
    });
}

#[test]
fn ten_bit_h264_needs_chip_and_driver() {
    let deep = || config(Codec::H264).format(PixelFormat::P010);
    clean_on("blackwell", "ten_bit_h264_needs_chip_and_driver", "", || {
        let capability = query_backend_capability(BackendKind::Nvidia, Codec::H264).unwrap().encode.unwrap();
        assert!(
            capability.formats.contains(&PixelFormat::P010)
                && !capability.formats.contains(&PixelFormat::I410)
        );
        let mut session = open(&deep(), &nvidia(6));
        let packets = all_well(encode(&mut session, (0..8).map(|n| frame(n, PixelFormat::P010))));
        if have_ffmpeg() {
            crate::support::nvenc::check_pictures(
                &crate::support::nvenc::decoded(Codec::H264, &packets),
                0..8,
                crate::support::nvenc::planar,
            );
            let (_directory, file) = write(Codec::H264, &packets);
            assert_eq!(ffprobe(&file, "stream=profile,pix_fmt"), ["High 10,yuv420p10le"]);
        }
    });
}

fn refused_deep_h264(chip: &str, test: &str, settings: &str, words: &[&str]) {
    clean_on(chip, test, settings, || {
        let deep = config(Codec::H264).format(PixelFormat::P010);
        match EncodeSession::with_special(BackendKind::Nvidia, deep, &nvidia(6)).err() {
            Some(error @ Error::Unsupported { .. }) => {
                for word in words {
                    assert!(error.to_string().contains(word), "{word:?}: {error}");
                }
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn an_older_driver_has_no_ten_bit_h264() {
    let words = ["format p010le", "10 bits of h264 need driver API 13.0, this one speaks 12.2"];
    refused_deep_h264("blackwell", "an_older_driver_has_no_ten_bit_h264", "driver.nvenc=12.2", &words);
}

#[test]
fn an_older_chip_has_no_ten_bit_h264() {
    let words = ["format p010le", "SUPPORT_10BIT_ENCODE is 0"];
    refused_deep_h264("ada", "an_older_chip_has_no_ten_bit_h264", "", &words);
}
