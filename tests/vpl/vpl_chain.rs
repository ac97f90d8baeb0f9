//! Simulated machines: who is taken, in the mission's order, and why the others are not.

use video_hw::backend::{
    Backend, BackendKind, Candidate, Receipt, Verdict, devices, query_backend_capability,
};
use video_hw::codec::Codec;
use video_hw::config::{CommonDecodeConfig, CommonEncodeConfig};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, EncodeSession};
use video_hw::time::Rational;

use crate::support::nvenc::next_encoder;
use crate::support::nvidia::clip;
use crate::support::vpl::{Machine, Node, clean_case};

const QSV: BackendKind = BackendKind::Qsv;
const NONE: Machine = Machine { profile: "none", ..Machine::USUAL };

fn decoder() -> Receipt {
    DecodeSession::new(Backend::Auto, CommonDecodeConfig::new(Codec::H264)).unwrap().receipt().clone()
}

fn encoder() -> Receipt {
    let size = Dimensions::new(640, 360).unwrap();
    let config = CommonEncodeConfig::new(Codec::H264, size, Rational::new(25, 1).unwrap());
    EncodeSession::new(Backend::Auto, config).unwrap().receipt().clone()
}

/// Who encodes where there is no GPU.
fn on_cpu() -> Candidate {
    if next_encoder() == BackendKind::Ffmpeg { Candidate::Ffmpeg } else { Candidate::Embedded }
}

/// Why somebody was not taken.
#[track_caller]
fn reason(receipt: &Receipt, wanted: Candidate) -> &str {
    let found = receipt.entries.iter().find(|(candidate, _)| *candidate == wanted);
    match found {
        Some((_, Verdict::Refused { reason, .. })) => reason,
        _ => panic!("{wanted} was not refused: {receipt:#}"),
    }
}

#[test]
fn a_card_of_nvidia_comes_before_the_gpu_of_intel() {
    let machine = Machine { nvidia: true, ..Machine::USUAL };
    clean_case(machine, "a_card_of_nvidia_comes_before_the_gpu_of_intel", "", |_| {
        assert_eq!(devices(QSV).unwrap().len(), 1);
        if devices(BackendKind::Nvidia).is_err() {
            eprintln!("SKIPPED: the simulated driver of NVIDIA's is not built");
            return;
        }
        let receipt = decoder();
        assert_eq!(receipt.engine(), Some(Candidate::Nvidia), "{receipt:#}");
        assert_eq!(receipt.entries[1], (Candidate::Qsv, Verdict::NotTried), "{receipt:#}");
        assert_eq!(encoder().engine(), Some(Candidate::Nvidia));
    });
}

#[test]
fn the_gpu_of_intel_is_taken_where_it_is_alone() {
    clean_case(Machine::USUAL, "the_gpu_of_intel_is_taken_where_it_is_alone", "", |_| {
        let receipt = decoder();
        assert_eq!(receipt.engine(), Some(Candidate::Qsv), "{receipt:#}");
        assert!(reason(&receipt, Candidate::Nvidia).contains("nvidia is not available"), "{receipt:#}");
        assert_eq!(encoder().engine(), Some(Candidate::Qsv));
        let [gpu] = &devices(QSV).unwrap()[..] else { panic!("one GPU") };
        assert_eq!((gpu.ordinal, gpu.name.starts_with("Simulated Intel")), (0, true));
        // By its number, its address or its node; and no other.
        for device in ["0", &gpu.id, "/dev/dri/renderD128"] {
            let config = CommonDecodeConfig::new(Codec::Hevc).device(device.to_owned());
            assert!(DecodeSession::new(QSV, config).is_ok(), "{device}");
        }
        let config = CommonDecodeConfig::new(Codec::Hevc).device("7".to_owned());
        let error = DecodeSession::new(QSV, config).err().unwrap();
        assert!(error.to_string().contains("allowed: 0"), "{error}");
        // What the GPU says of itself.
        let hevc = query_backend_capability(QSV, Codec::Hevc).unwrap().decode.unwrap();
        assert!(hevc.formats.starts_with(&[PixelFormat::Nv12, PixelFormat::P010]), "{hevc:?}");
        assert_eq!(hevc.max, Dimensions::new(8192, 8192).unwrap());
        assert!(hevc.variants.iter().all(|variant| variant.max_macroblocks == 512 * 512), "{hevc:?}");
        assert!(query_backend_capability(QSV, Codec::Vp8).unwrap().decode.is_none());
    });
}

#[test]
fn a_chip_without_av1_leaves_it_to_others() {
    let machine = Machine { profile: "kabylake", ..Machine::USUAL };
    clean_case(machine, "a_chip_without_av1_leaves_it_to_others", "", |_| {
        assert!(query_backend_capability(QSV, Codec::Av1).unwrap().decode.is_none());
        let session = DecodeSession::new(Backend::Auto, CommonDecodeConfig::new(Codec::Av1)).unwrap();
        let receipt = session.receipt();
        assert_eq!(receipt.engine(), Some(Candidate::Embedded), "{receipt:#}");
        assert!(reason(&receipt, Candidate::Qsv).contains("av1 decoding by oneVPL"), "{receipt:#}");
    });
}

/// An implementation that says it is software is not taken for a GPU.
#[test]
fn software_is_never_taken_silently() {
    let machine = Machine { settings: "impl=software", ..Machine::USUAL };
    clean_case(machine, "software_is_never_taken_silently", "", |_| {
        let Err(Error::Unavailable { backend: QSV, .. }) = devices(QSV) else { panic!("{:?}", devices(QSV)) };
        assert_eq!(decoder().engine(), Some(Candidate::Embedded));
    });
}

/// A runtime that is too old is refused, with that reason.
#[test]
fn an_old_runtime_is_refused_with_the_reason() {
    let machine = Machine { settings: "api=1.35", ..Machine::USUAL };
    clean_case(machine, "an_old_runtime_is_refused_with_the_reason", "", |_| {
        let receipt = decoder();
        let reason = reason(&receipt, Candidate::Qsv);
        assert!(reason.contains("version 1.35 of the interface, and 2.0 is needed"), "{reason}");
    });
}

/// To the runtime a node that may not be opened is no GPU, nor is one that a container does not show; the receipt knows better.
#[test]
fn a_render_node_that_is_not_to_be_had_is_told_with_what_to_do() {
    for (node, why, remedy) in [
        (Node::Locked, "/dev/dri/renderD128 may not be opened by this user", "usermod -aG render"),
        (Node::Hidden, "no /dev/dri/renderD128", "--device /dev/dri"),
    ] {
        let machine = Machine { node, ..Machine::USUAL };
        clean_case(machine, "a_render_node_that_is_not_to_be_had_is_told_with_what_to_do", "", |_| {
            let receipt = decoder();
            assert_eq!(receipt.engine(), Some(Candidate::Embedded), "{receipt:#}");
            let encoder = encoder();
            assert_eq!(encoder.engine(), Some(on_cpu()), "{encoder:#}");
            for receipt in [receipt, encoder] {
                let reason = reason(&receipt, Candidate::Qsv);
                assert!(reason.contains(why) && reason.contains(remedy), "{reason}");
            }
        });
    }
}

/// The runtime is given the display of the render node before anything else, and one display serves all sessions of a GPU.
#[test]
fn the_display_of_the_render_node_is_handed_over() {
    let machine = Machine { node: Node::Whole, settings: "display=required", ..Machine::USUAL };
    let run = clean_case(machine, "the_display_of_the_render_node_is_handed_over", "", |_| {
        let sessions = [Codec::H264, Codec::Hevc].map(|codec| {
            let clip = clip(if codec == Codec::H264 { "small.h264" } else { "small.h265" });
            let mut frames = video_hw::frames(clip).backend(QSV).open().unwrap();
            assert!(frames.next().unwrap().is_ok());
            frames
        });
        drop(sessions);
    });
    if let Some(run) = run {
        assert_eq!(run.calls("MFXVideoCORE_SetHandle"), run.calls("MFXInitialize"));
        assert!(!run.said().contains("libva"), "the library lets nobody print: {}", run.said());
    }
}

/// `--device` says which of two GPUs it is.
#[test]
fn one_of_two_gpus_is_chosen() {
    let machine = Machine { profile: "kabylake", settings: "gpus=2", ..Machine::USUAL };
    clean_case(machine, "one_of_two_gpus_is_chosen", "", |_| {
        let [first, second] = &devices(QSV).unwrap()[..] else { panic!("two GPUs") };
        assert!(first.id != second.id && first.name != second.name, "{first:?}, {second:?}");
        // The second has AV1, the first has not.
        for (device, has_av1) in
            [("0", false), ("1", true), (&second.id, true), ("/dev/dri/renderD129", true)]
        {
            let config = CommonDecodeConfig::new(Codec::Av1).device(device.to_owned());
            assert_eq!(DecodeSession::new(QSV, config).is_ok(), has_av1, "{device}");
        }
    });
}

#[test]
fn without_a_gpu_the_cpu_does_the_work_and_the_reason_is_told() {
    for bare in [false, true] {
        let machine = Machine { bare, ..NONE };
        let test = "without_a_gpu_the_cpu_does_the_work_and_the_reason_is_told";
        clean_case(machine, test, "", |_| {
            let receipt = decoder();
            assert_eq!(receipt.engine(), Some(Candidate::Embedded), "{receipt:#}");
            let encoder = encoder();
            let order: Vec<_> = encoder.entries.iter().map(|(candidate, _)| *candidate).collect();
            assert_eq!(order, Candidate::ORDER);
            assert_eq!(order[..4], {
                use Candidate::{FfmpegQsv, Nvidia, Qsv, VideoToolbox};
                [Nvidia, Qsv, FfmpegQsv, VideoToolbox]
            });
            let engine = if bare { Candidate::Embedded } else { on_cpu() };
            assert_eq!(encoder.engine(), Some(engine), "{encoder:#}");
            // Everybody in front of that has a reason.
            for (candidate, verdict) in encoder.entries.iter().take_while(|(other, _)| *other != engine) {
                assert!(matches!(verdict, Verdict::Refused { .. }), "{candidate}: {encoder:#}");
            }
            for receipt in [receipt, encoder] {
                let reason = reason(&receipt, Candidate::Qsv);
                assert!(reason.contains("oneVPL finds no GPU"), "{reason}");
            }
        });
    }
}

/// No GPU, no library of Intel's, no program: the embedded codecs do the work, and what is missing is named.
#[test]
fn on_a_machine_with_nothing_what_is_missing_is_named() {
    let machine = Machine { nothing: true, bare: true, ..NONE };
    clean_case(machine, "on_a_machine_with_nothing_what_is_missing_is_named", "", |_| {
        for receipt in [decoder(), encoder()] {
            assert_eq!(receipt.engine(), Some(Candidate::Embedded), "{receipt:#}");
            let reason = reason(&receipt, Candidate::Qsv);
            assert!(reason.contains("libmfx-gen.so.1.2 cannot be loaded"), "{reason}");
            assert!(!reason.contains("libvpl"), "{reason}");
        }
    });
}
