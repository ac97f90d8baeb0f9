//! Scaling on the GPU, between a decoder and whoever takes its pictures.

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::DecodeOutputMode;
use video_hw::dimensions::Dimensions;
use video_hw::frame::Frame;
use video_hw::session::DecodeSession;
use video_hw::transform::to_host;

use crate::support::nvidia::{clip, decode, packets, planar};
use crate::support::picture::assert_alike;
use crate::support::vpl::clean;

const QSV: BackendKind = BackendKind::Qsv;

/// Decoder, scaling and encoder without a copy: nobody maps a surface.
#[test]
fn a_file_is_scaled_without_a_copy() {
    let run = clean("a_file_is_scaled_without_a_copy", "", || {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        let size = Dimensions::new(96, 54).unwrap();
        let job = video_hw::transcode(clip("bars.mp4"), &output).codec(Codec::H264).size(size);
        let report = job.decode_backend(QSV).encode_backend(QSV).run().unwrap();
        assert!(report.balances());
        assert_eq!((report.video_samples, report.encode.input_copy_bytes), (120, 0));
        let frames = video_hw::frames(&output).backend(BackendKind::Software).open().unwrap();
        assert!(frames.map(Result::unwrap).all(|frame| frame.dimensions == size));
    });
    if let Some(run) = run {
        assert_eq!(run.calls("MFXVideoVPP_ProcessFrameAsync"), 120);
        assert_eq!(run.calls("MFXVideoVPP_Init"), run.calls("MFXVideoDECODE_Init"), "one for each decoder");
        let calls = ["mfxFrameSurfaceInterface::Map", "MFXMemory_GetSurfaceForEncode"];
        assert_eq!(calls.map(|function| run.calls(function)), [0, 0]);
    }
}

fn scaled(backend: BackendKind, output: DecodeOutputMode) -> (Vec<Frame>, DecodeSession) {
    let (config, packets) = packets("small.h264");
    let config = config.output(output).size(Dimensions::new(192, 128).unwrap());
    let mut session = DecodeSession::new(backend, config).unwrap();
    let (frames, errors) = decode(&mut session, &packets);
    assert!(errors.is_empty(), "{errors:?}");
    (frames, session)
}

fn pictures(frames: Vec<Frame>) -> Vec<Vec<u8>> {
    frames.into_iter().map(|frame| planar(&to_host(frame).unwrap())).collect()
}

/// What the GPU scales is what the CPU would, as far as scalers agree; where it does not, the CPU does, and that is said.
#[test]
fn decoded_pictures_are_scaled_where_they_are() {
    for settings in ["", "init.vpp.fail=-3", "fail.vpp.call=1:-24", "api=2.0"] {
        clean("decoded_pictures_are_scaled_where_they_are", settings, || {
            let (wanted, _) = scaled(BackendKind::Software, DecodeOutputMode::HostSurface);
            let shapes: Vec<_> = wanted.iter().map(|frame| (frame.pts, frame.sample_aspect_ratio)).collect();
            let wanted = pictures(wanted);
            for output in [DecodeOutputMode::HostSurface, DecodeOutputMode::NativeSurface] {
                let (frames, session) = scaled(QSV, output);
                let found: Vec<_> =
                    frames.iter().map(|frame| (frame.pts, frame.sample_aspect_ratio)).collect();
                assert_eq!(found, shapes);
                // The call that fails is the first session's.
                let by_gpu = match settings {
                    "" => true,
                    "fail.vpp.call=1:-24" => output == DecodeOutputMode::NativeSurface,
                    _ => false,
                };
                let summary = session.summary();
                assert_eq!(summary.shaped, if by_gpu { frames.len() as u64 } else { 0 });
                let notes = format!("{:?}", summary.notes);
                assert_eq!(notes.contains("scaled on the CPU"), !by_gpu, "{notes}");
                assert_alike(&wanted, &pictures(frames), 20.0, "scaled");
            }
        });
    }
}

/// A failure of scaling is told of the picture that it concerns, or ends the session with the device.
#[test]
fn a_scaler_that_fails_is_told() {
    for (settings, lost) in [("fail.vpp.call=7:memory", 1), ("fail.vpp.at=7:lost", 0)] {
        clean("a_scaler_that_fails_is_told", settings, || {
            let (config, packets) = packets("small.h264");
            let config =
                config.output(DecodeOutputMode::NativeSurface).size(Dimensions::new(192, 128).unwrap());
            let mut session = DecodeSession::new(QSV, config).unwrap();
            let (frames, errors) = decode(&mut session, &packets);
            let ledger = session.summary().ledger;
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert_eq!(errors[0].is_recoverable(), lost == 1, "{errors:?}");
            assert_eq!(frames.len(), if lost == 1 { 49 } else { 6 });
            assert_eq!(ledger.delivered + ledger.failed, ledger.submitted, "{ledger:?}");
        });
    }
}
