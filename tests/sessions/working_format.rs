//! Encoders that take another arrangement of samples than frames have: frames are converted and counted, and none is lost.

use video_hw::backend::{Backend, BackendKind, Receipt};
use video_hw::codec::Codec;
use video_hw::config::{CommonEncodeConfig, FailurePolicy};
use video_hw::control::{SessionSwitchRequest, SwitchingEncoder};
use video_hw::dataset::{
    EncodedChunk, EncoderConfig, EncoderType, GpuEncoderConfig, SessionVideoEncoder, VideoEncoder,
};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};

use crate::support::ffmpeg::{Picture, config, decode_here, encode, ffmpeg_here, frame, special};

const FRAMES: usize = 30;

/// Whether the installed ffmpeg encodes this on the CPU.
fn has(encoder: &str) -> bool {
    let listed =
        ffmpeg_here().and_then(|path| std::process::Command::new(path).arg("-encoders").output().ok());
    let has = listed.is_some_and(|output| String::from_utf8_lossy(&output.stdout).contains(encoder));
    if !has {
        crate::support::failover::say(&format!("SKIPPED: no ffmpeg with {encoder}"));
    }
    has
}

fn hevc_of(format: PixelFormat) -> CommonEncodeConfig {
    let mut settings = config(Codec::Hevc);
    settings.format = format;
    settings
}

fn assert_pictures(codec: Codec, packets: &[Packet], wanted: usize) {
    let frames = decode_here(codec, packets);
    assert_eq!(frames.len(), wanted, "{codec}");
    frames.iter().enumerate().for_each(|(number, frame)| Picture::of(frame).assert_is(number));
}

fn assert_told(receipt: &Receipt, from: PixelFormat, to: PixelFormat) {
    let note = format!("frames are converted from {from} to {to} for ");
    assert!(receipt.notes.iter().any(|found| found.starts_with(&note)), "{receipt:#}");
}

#[test]
fn a_recording_is_made_by_encoders_that_do_not_take_nv12() {
    for (codec, name) in [(Codec::Hevc, "libx265"), (Codec::Av1, "libsvtav1"), (Codec::H264, "libx264")] {
        if !has(name) {
            continue;
        }
        for ring in [false, true] {
            let given = EncoderConfig::new(codec, PixelFormat::Nv12, config(codec).dimensions);
            let gpu = GpuEncoderConfig::default()
                .preferred_encoder(EncoderType::X264)
                .strict(true)
                .enable_ring_buffer(ring);
            let mut encoder = SessionVideoEncoder::open(&given, &gpu).unwrap();
            let mut chunks = Vec::new();
            for number in 0..FRAMES {
                let picture = frame(number, PixelFormat::Nv12).as_host().unwrap().to_packed();
                chunks.extend(encoder.encode_frame(&picture).unwrap());
            }
            chunks.extend(encoder.flush().unwrap());
            let packets: Vec<_> = chunks.into_iter().map(EncodedChunk::into_packet).collect();
            assert_pictures(codec, &packets, FRAMES);
            let summary = encoder.summary().unwrap();
            let own = summary.stream.generations[0].config.format;
            let takes_nv12 = codec == Codec::H264;
            assert_eq!(own, if takes_nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 });
            assert_eq!(summary.converted, if takes_nv12 { 0 } else { FRAMES as u64 });
            assert_eq!(summary.stream.converted, 0, "each picture is converted once");
            if !takes_nv12 {
                assert_told(encoder.receipt(), PixelFormat::Nv12, PixelFormat::I420);
            }
        }
    }
}

#[test]
fn a_session_takes_any_arrangement_of_the_samples() {
    if !has("libx265") {
        return;
    }
    for (given, read) in [
        (PixelFormat::Nv12, PixelFormat::I420),
        (PixelFormat::I420, PixelFormat::I420),
        (PixelFormat::P010, PixelFormat::I010),
    ] {
        for policy in [FailurePolicy::Stop, FailurePolicy::Next] {
            let settings = hevc_of(given);
            let special = special("libx265", "ultrafast");
            let opened = EncodeSession::with_failover(BackendKind::Ffmpeg, settings, &special, policy);
            let mut session = opened.unwrap();
            let frames = (0..FRAMES).map(|number| {
                // The support writes ten bits into the low end of a sample.
                let low = if given == PixelFormat::P010 { PixelFormat::I010 } else { given };
                video_hw::transform::convert(&frame(number, low), given).unwrap().frame
            });
            let packets = encode(&mut session, frames);
            assert_pictures(Codec::Hevc, &packets, FRAMES);
            let summary = session.summary();
            assert_eq!(summary.converted, if given == read { 0 } else { FRAMES as u64 }, "{given}");
            if given != read {
                assert_told(&summary.receipt, given, read);
            }
        }
    }
    // Samples that it cannot have are refused, with those that it takes.
    let refused =
        EncodeSession::new(BackendKind::Ffmpeg, hevc_of(PixelFormat::Rgb24)).err().unwrap().to_string();
    assert!(refused.contains("format rgb24") && refused.contains("yuv420p"), "{refused}");
}

#[test]
fn a_live_stream_takes_any_arrangement_of_the_samples() {
    if !has("libx265") {
        return;
    }
    let settings = hevc_of(PixelFormat::Nv12);
    let special = special("libx265", "ultrafast");
    let backend = Backend::Only(BackendKind::Ffmpeg);
    let mut stream = SwitchingEncoder::new(backend, settings.clone(), special.clone()).unwrap();
    let mut packets = Vec::new();
    for number in 0..FRAMES {
        let mut waiting = Some(frame(number, PixelFormat::Nv12));
        while let Some(frame) = waiting.take() {
            if let Submit::Full(back) = stream.submit(frame).unwrap() {
                waiting = Some(back);
                packets.extend(stream.reap_timeout(std::time::Duration::from_millis(5)).unwrap());
            }
        }
        if number == FRAMES / 2 {
            // The settings that it has: nothing to do, whatever its encoder reads.
            stream
                .request_switch(SessionSwitchRequest::immediate((settings.clone(), special.clone())))
                .unwrap();
        }
    }
    packets.extend(stream.drain().unwrap().map(Result::unwrap));
    assert_pictures(Codec::Hevc, &packets, FRAMES);
    let summary = stream.summary();
    assert_eq!((summary.converted, summary.switches.new_session), (FRAMES as u64, 0));
    assert_told(&summary.generations[0].receipt, PixelFormat::Nv12, PixelFormat::I420);
}
