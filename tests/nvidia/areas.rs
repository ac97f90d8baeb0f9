//! Pictures whose shown part is not all of the coded one, and streams that no chip takes, on the simulated driver, which
//! answers as an H200 does (`sims/nvidia/facts`): cut at the left and the top, of odd size, smaller than a chip's smallest, of
//! chroma that the parser passes over. ffmpeg has judged them (`tests/data/areas/md5s.txt`).

use std::path::{Path, PathBuf};

use video_hw::backend::{Backend, BackendKind};
use video_hw::config::{CommonDecodeConfig, Crop, DecodeOutputMode};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::session::DecodeSession;
use video_hw::transform;

use crate::support::nvidia::{clean, decode, packets, planar, planar_of, simulated};
use crate::support::parameter_sets::judge;
use crate::support::streams::md5_hex;

fn area(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/areas").join(name)
}

/// md5, number and size, as ffmpeg has them.
fn golden(name: &str) -> (String, usize, String) {
    let text = std::fs::read_to_string(area("md5s.txt")).unwrap();
    let line = text.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap().to_owned();
    let fields: Vec<_> = line.split(' ').collect();
    (fields[0].to_owned(), fields[1].parse().unwrap(), fields[2].to_owned())
}

/// Frames and errors.
fn on_the_card(name: &str, change: impl Fn(&mut CommonDecodeConfig)) -> (Vec<Frame>, Vec<Error>) {
    let (mut config, packets) = packets(area(name));
    change(&mut config);
    decode(&mut DecodeSession::new(BackendKind::Nvidia, config).unwrap(), &packets)
}

/// As [`golden`], of frames in whatever memory.
fn found(frames: &[Frame]) -> (String, usize, String) {
    let host = |frame: &Frame| transform::to_host(frame.clone()).unwrap().as_host().unwrap().clone();
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| planar_of(&host(frame))).collect();
    (md5_hex(&bytes), frames.len(), frames[0].dimensions.to_string())
}

#[test]
fn parameter_sets_change_on_the_way() {
    clean("parameter_sets_change_on_the_way", "", || {
        judge(|path| {
            let (config, packets) = packets(path);
            let (frames, errors) =
                decode(&mut DecodeSession::new(BackendKind::Nvidia, config).unwrap(), &packets);
            assert!(errors.is_empty(), "{errors:?}");
            frames.iter().map(|frame| md5_hex(&planar(frame))).collect()
        });
    });
}

#[test]
fn the_shown_part_is_shown() {
    clean("the_shown_part_is_shown", "", || {
        for name in
            ["crop.h264", "crop.h265", "crop444.h265", "odd-vp8.ivf", "odd-large-vp8.ivf", "odd-vp9.ivf"]
        {
            for output in [DecodeOutputMode::HostSurface, DecodeOutputMode::NativeSurface] {
                let (frames, errors) = on_the_card(name, |config| config.output = output);
                assert!(errors.is_empty(), "{name}: {errors:?}");
                assert_eq!(found(&frames), golden(name), "{name}");
                assert!(frames.iter().all(|frame| frame.sample_aspect_ratio.is_none()), "{name}: square");
            }
        }
    });
}

/// A crop of the caller's counts from the shown part, and begins where it says, in whatever column or row.
#[test]
fn a_crop_begins_where_it_says() {
    clean("a_crop_begins_where_it_says", "", || {
        for name in ["crop.h264", "crop.h265", "odd-vp8.ivf"] {
            let (whole, _) = on_the_card(name, |_| {});
            for (left, top) in [(2, 0), (4, 6), (6, 2), (16, 10)] {
                let crop = Crop { left, top, size: Dimensions::new(51, 33).unwrap() };
                let (frames, errors) = on_the_card(name, |config| config.crop = Some(crop));
                assert!(errors.is_empty(), "{name}: {errors:?}");
                let cut: Vec<_> = whole.iter().map(|frame| transform::crop(frame, crop).unwrap()).collect();
                assert_eq!(found(&frames), found(&cut), "{name} at {left},{top}");
            }
        }
    });
}

/// Where the decoder cannot begin and scale, the session does it, and says what it is for frames that must stay.
#[test]
fn a_part_that_the_decoder_cannot_scale_is_scaled_all_the_same() {
    clean("a_part_that_the_decoder_cannot_scale_is_scaled_all_the_same", "", || {
        let small = Dimensions::new(40, 28).unwrap();
        let (whole, _) = on_the_card("crop.h264", |_| {});
        let (frames, errors) = on_the_card("crop.h264", |config| config.size = Some(small));
        assert!(errors.is_empty(), "{errors:?}");
        let scaled: Vec<_> = whole
            .iter()
            .map(|frame| transform::scale(frame, small, transform::ScaleFilter::default()).unwrap())
            .collect();
        assert_eq!(found(&frames), found(&scaled));
        let (frames, errors) = on_the_card("crop.h264", |config| {
            config.size = Some(small);
            config.output = DecodeOutputMode::NativeSurface;
        });
        assert!(frames.is_empty());
        assert!(
            matches!(errors.as_slice(), [Error::Unsupported { feature, .. }] if feature.contains("multiples of four")),
            "{errors:?}"
        );
    });
}

const REFUSED: [(&str, &str); 3] =
    [("one-vp8.ivf", "48x16"), ("vp9-422.ivf", "4:2:2"), ("vp9-444.ivf", "4:4:4")];

#[test]
fn what_the_chip_does_not_take_is_refused_by_name() {
    simulated("what_the_chip_does_not_take_is_refused_by_name", "", || {
        for (name, word) in REFUSED {
            let (frames, errors) = on_the_card(name, |_| {});
            assert!(frames.is_empty(), "{name}");
            assert!(
                matches!(errors.as_slice(), [Error::Unsupported { feature, .. }] if feature.contains(word)),
                "{name}: {errors:?}"
            );
        }
    });
}

#[test]
fn what_the_chip_does_not_take_goes_to_the_next_backend_whole() {
    simulated("what_the_chip_does_not_take_goes_to_the_next_backend_whole", "", || {
        for (name, _) in REFUSED {
            let frames: Vec<_> = video_hw::frames(area(name))
                .backend(Backend::Auto)
                .open()
                .unwrap()
                .map(|frame| frame.unwrap())
                .collect();
            assert_eq!(found(&frames), golden(name), "{name}");
        }
    });
}

/// A stream in which the driver's parser finds nothing at all, whatever the reason.
#[test]
fn a_stream_in_which_the_parser_finds_nothing_is_refused_by_name() {
    simulated("a_stream_in_which_the_parser_finds_nothing_is_refused_by_name", "", || {
        let (config, mut packets) = packets(area("odd-vp8.ivf"));
        // The start code of key frames is another.
        for packet in &mut packets {
            let mut data = packet.data.to_vec();
            data[3] ^= 0xff;
            packet.data = data.into();
        }
        let mut session = DecodeSession::new(BackendKind::Nvidia, config).unwrap();
        let (frames, errors) = decode(&mut session, &packets);
        assert!(frames.is_empty());
        assert!(
            matches!(errors.as_slice(), [Error::Unsupported { feature, .. }] if feature.contains("finds no picture")),
            "{errors:?}"
        );
    });
}
