//! MPEG-2 and MPEG-4, where a machine decodes them: exact, in the order in which they are shown, whoever made them and wherever they are
//! entered.

use std::path::{Path, PathBuf};
use std::process::Command;

use video_hw::backend::{BackendKind, query_backend_capability};
use video_hw::codec::Codec;
use video_hw::error::Error;
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::DecodeSession;
use video_hw::time::Rational;

use crate::support::nvidia::{decode, packets, planar};
use crate::support::streams::{ffmpeg_md5s, have, md5_hex, text};
use crate::support::videotoolbox::{clean, clean_on};

const VT: BackendKind = BackendKind::VideoToolbox;
const FRAMES: usize = 30;

/// A file of test pictures by these options of ffmpeg's.
fn made(folder: &Path, name: &str, options: &str) -> PathBuf {
    let path = folder.join(name);
    let done = Command::new("ffmpeg")
        .env_remove("LD_LIBRARY_PATH")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=176x144:r=25"])
        .args(["-frames:v", &FRAMES.to_string(), "-pix_fmt", "yuv420p", "-qscale:v", "4"])
        .args(options.split(' '))
        .arg(&path)
        .status();
    assert!(done.unwrap().success(), "{name}");
    path
}

/// What comes out of these packets, picture by picture; times rise.
fn sums(path: &Path, take: impl Fn(Vec<Packet>) -> Vec<Packet>) -> (Vec<String>, DecodeSession) {
    let (config, packets) = packets(path);
    let mut session = DecodeSession::new(VT, config).unwrap();
    let (frames, errors) = decode(&mut session, &take(packets));
    assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    assert!(frames.is_sorted_by(|a, b| a.pts < b.pts), "{}", path.display());
    assert!(frames.iter().all(|frame| !frame.concealed));
    (frames.iter().map(|frame| md5_hex(&planar(frame))).collect(), session)
}

#[test]
fn both_are_exact_and_in_order() {
    let run = clean("both_are_exact_and_in_order", "", || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        for (name, options) in [
            ("plain.m2v", "-c:v mpeg2video -g 12"),
            ("reordered.m2v", "-c:v mpeg2video -g 12 -bf 2"),
            ("interlaced.ts", "-c:v mpeg2video -g 12 -bf 2 -flags +ildct+ilme -top 1"),
            ("in-order.mkv", "-c:v mpeg2video -flags low_delay -g 12"),
            ("simple.mp4", "-c:v mpeg4 -g 12"),
            ("reordered.mp4", "-c:v mpeg4 -g 12 -bf 2"),
            ("ratio.mkv", "-c:v mpeg4 -g 10 -bf 1 -aspect 16:9"),
        ] {
            let path = made(folder.path(), name, options);
            let (found, session) = sums(&path, |packets| packets);
            assert_eq!(found, ffmpeg_md5s(&["-i", text(&path)]), "{name}");
            let notes = session.summary().notes.join("; ");
            assert!(notes.contains("on the CPU"), "{name}: {notes}");
        }
        // From the second group on, whose first pictures are shown before its first and refer to the one before.
        for (name, missing) in [("reordered.m2v", 2), ("plain.m2v", 0)] {
            let path = folder.path().join(name);
            let (whole, _) = sums(&path, |packets| packets);
            let second =
                |packets: &[Packet]| 1 + packets.iter().skip(1).position(|packet| packet.keyframe).unwrap();
            let (part, session) = sums(&path, |packets| packets[second(&packets)..].to_vec());
            assert!(whole.ends_with(&part) && part.len() < whole.len(), "{name}");
            let losses = format!("{:?}", session.summary().losses);
            assert_eq!(losses.contains("leading picture"), missing > 0, "{name}: {losses}");
        }
        let frames = video_hw::frames(folder.path().join("ratio.mkv")).backend(VT).open().unwrap();
        let frames: Vec<_> = frames.map(|frame| frame.unwrap()).collect();
        assert_eq!(frames.len(), FRAMES);
        assert_eq!(frames[0].sample_aspect_ratio.map(Rational::as_f64), Some(16.0 / 11.0));
    });
    if let Some(run) = run {
        // One for each file and each part, and one to find out whether there is a decoder of each codec.
        assert_eq!(run.calls("VTDecompressionSessionCreate"), 7 + 4 + 1 + 2);
    }
}

/// One unit is lost, and what refers to it is marked.
#[test]
fn damage_to_mpeg_costs_a_unit() {
    clean("damage_to_mpeg_costs_a_unit", "fail.decode.at=5:-12909", || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path(), "a.m2v", "-c:v mpeg2video -g 10 -bf 0");
        let (config, mut packets) = packets(&path);
        let mut session = DecodeSession::new(VT, config).unwrap();
        let (frames, errors) = decode(&mut session, &packets);
        assert!(matches!(&errors[..], [Error::CorruptStream { recoverable: true, .. }]), "{errors:?}");
        let concealed: Vec<_> = frames.iter().map(|frame| frame.concealed).collect();
        assert_eq!(concealed.len(), FRAMES - 1);
        // Up to the next picture that refers to nothing.
        assert!(concealed.iter().enumerate().all(|(at, is)| *is == (4..9).contains(&at)), "{concealed:?}");
        // Units without a picture, and headers that cannot be read.
        packets.truncate(3);
        for bytes in [&[0, 0, 1, 0xb7][..], &[0, 0, 1, 0, 0, 0x28, 1]] {
            packets.push(Packet { data: bytes.to_vec().into(), keyframe: false, ..packets[1].clone() });
        }
        let (frames, errors) = decode(&mut session, &packets);
        assert_eq!((frames.len(), errors.len()), (3, 1), "{errors:?}");
    });
}

#[test]
fn a_machine_without_them_says_so() {
    clean_on("vm", "a_machine_without_them_says_so", "", || {
        for codec in [Codec::Mpeg2, Codec::Mpeg4] {
            assert!(query_backend_capability(VT, codec).unwrap().decode.is_none());
            let error =
                DecodeSession::new(VT, video_hw::config::CommonDecodeConfig::new(codec)).err().unwrap();
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        }
        let hevc = query_backend_capability(VT, Codec::Hevc).unwrap().decode.unwrap();
        assert_eq!(hevc.formats, [PixelFormat::Nv12, PixelFormat::P010]);
    });
    clean_on("intel-mac", "a_machine_without_them_says_so", "", || {
        let mpeg2 = query_backend_capability(VT, Codec::Mpeg2).unwrap().decode.unwrap();
        assert_eq!(
            (mpeg2.formats, mpeg2.refused),
            (vec![PixelFormat::Nv12], vec!["4:0:0, 4:2:2, 4:4:4, and more than 8 bits"])
        );
        let hevc = query_backend_capability(VT, Codec::Hevc).unwrap().decode.unwrap();
        assert_eq!(hevc.formats, [PixelFormat::Nv12, PixelFormat::P010]);
    });
}

/// What is no picture of its own, or none that is decoded here, is refused by name, and another decoder takes it.
#[test]
fn other_streams_of_these_names_are_refused() {
    clean("other_streams_of_these_names_are_refused", "", || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        for (name, options, words) in [
            ("wide.m2v", "-c:v mpeg2video -pix_fmt yuv422p", "4:2:2"),
            ("packed.mp4", "-c:v mpeg4 -bf 2 -g 12", "several pictures"),
        ] {
            let path = made(folder.path(), name, options);
            let (config, mut packets) = packets(&path);
            if words == "several pictures" {
                // As DivX has them.
                let both = [packets[1].data.clone(), packets[2].data.clone()].concat();
                packets[1].data = both.into();
                packets.truncate(2);
            }
            let mut session = DecodeSession::new(VT, config).unwrap();
            let (_, errors) = decode(&mut session, &packets);
            let said = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            assert!(said.contains(words), "{name}: {said}");
        }
    });
}
