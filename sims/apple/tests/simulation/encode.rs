//! What encoder sessions give, judged by ffprobe and ffmpeg.

use std::ffi::c_void;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::client::{Decoder, Encoder, Frameworks, NULL, Ref, Sample, annex_b, time};
use crate::common::scenario;

/// What ffprobe says of a stream: (`entries` as asked for), after ffmpeg has decoded it without a complaint.
fn judge(stream: &[u8], demuxer: &str, entries: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    std::fs::write(&path, stream).unwrap();
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-f", demuxer, "-i"])
        .arg(&path)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    assert!(
        decoded.status.success() && decoded.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&decoded.stderr)
    );
    probe(&path, demuxer, entries)
}

fn probe(path: &Path, demuxer: &str, entries: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-f", demuxer, "-count_frames", "-of", "csv=p=0", "-show_entries", entries])
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn keys(samples: &[Sample]) -> Vec<usize> {
    samples.iter().filter(|sample| sample.sync).map(|sample| sample.number).collect()
}

#[test]
fn h264_with_b_pictures_comes_in_decoding_order() {
    let outcome = scenario("h264_with_b_pictures_comes_in_decoding_order", &[], || {
        let f = Frameworks::open();
        let encoder = Encoder::new(f, (320, 180), b"avc1", b"420v", NULL).unwrap();
        let rate = f.number(400_000);
        assert_eq!(f.set(encoder.session, "kVTCompressionPropertyKey_AverageBitRate", rate), 0);
        f.release(rate);
        let level = f.constant("kVTProfileLevel_H264_Main_AutoLevel");
        assert_eq!(f.set(encoder.session, "kVTCompressionPropertyKey_ProfileLevel", level), 0);
        let colour = f.constant("kCVImageBufferColorPrimaries_ITU_R_2020");
        assert_eq!(f.set(encoder.session, "kVTCompressionPropertyKey_ColorPrimaries", colour), 0);
        assert_eq!(unsafe { (f.VTCompressionSessionPrepareToEncodeFrames)(encoder.session) }, 0);
        encoder.encode_all(0..30);
        assert_eq!(encoder.complete(), 0);
        let (samples, sets) = encoder.close();
        assert!(samples.iter().all(|sample| sample.status == 0 && sample.info == 1));
        let mut numbers: Vec<_> = samples.iter().map(|sample| sample.number).collect();
        assert!(!numbers.is_sorted());
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..30));
        // Decoding times are those of display, put in order.
        assert!(samples.iter().map(|sample| sample.dts).eq((0..30).map(Some)));
        assert!(samples.iter().any(|sample| sample.dts > Some(sample.pts)));
        assert_eq!(keys(&samples), [0]);
        assert!(samples.iter().all(|sample| sample.depends != sample.sync));
        let told = judge(
            &annex_b(&sets, &samples),
            "h264",
            "stream=profile,width,height,color_primaries,nb_read_frames,has_b_frames",
        );
        assert_eq!(told, "Main,320,180,1,bt2020,30");
    })
    .clean();
    let session = &outcome.report["sessions"][0];
    assert_eq!((session["frames"].as_u64(), session["keys"].as_u64()), (Some(30), Some(1)));
}

#[test]
fn without_reordering_there_are_no_decoding_times() {
    scenario("without_reordering_there_are_no_decoding_times", &[], || {
        let f = Frameworks::open();
        let encoder = Encoder::new(f, (320, 180), b"avc1", b"420f", NULL).unwrap();
        assert_eq!(
            f.set(encoder.session, "kVTCompressionPropertyKey_AllowFrameReordering", f.truth(false)),
            0
        );
        let interval = f.number(5);
        assert_eq!(f.set(encoder.session, "kVTCompressionPropertyKey_MaxKeyFrameInterval", interval), 0);
        f.release(interval);
        encoder.encode_all(0..7);
        // A dictionary of plain addresses, as FFmpeg's client makes it.
        let (key, yes) = (f.constant("kVTEncodeFrameOptionKey_ForceKeyFrame"), f.truth(true));
        let force = unsafe { (f.CFDictionaryCreate)(NULL, &key, &yes, 1, NULL, NULL) };
        let buffer = encoder.picture(7);
        assert_eq!(encoder.encode(buffer, time(7, 25), force, 7), 0);
        f.release(buffer);
        f.release(force);
        encoder.encode_all(8..15);
        assert_eq!(encoder.complete(), 0);
        let (samples, sets) = encoder.close();
        assert!(samples.iter().map(|sample| sample.number).eq(0..15));
        assert!(samples.iter().all(|sample| sample.dts.is_none()));
        assert_eq!(keys(&samples), [0, 5, 7, 12]);
        let told = judge(&annex_b(&sets, &samples), "h264", "stream=has_b_frames,color_range,nb_read_frames");
        assert_eq!(told, "0,pc,15");
    })
    .clean();
}

#[test]
fn a_session_without_source_attributes_has_a_pool() {
    extern "C" fn nothing(_: *mut c_void, _: *mut c_void, _: i32, _: u32, _: Ref) {}
    scenario("a_session_without_source_attributes_has_a_pool", &[], || {
        let f = Frameworks::open();
        let (mut session, mut buffer) = (NULL, NULL);
        let codec = u32::from_be_bytes(*b"hvc1");
        unsafe {
            let create = f.VTCompressionSessionCreate;
            assert_eq!(
                create(
                    NULL,
                    320,
                    180,
                    codec,
                    NULL,
                    NULL,
                    NULL,
                    Some(nothing),
                    std::ptr::null_mut(),
                    &mut session
                ),
                0
            );
            let pool = (f.VTCompressionSessionGetPixelBufferPool)(session);
            assert_eq!((f.CVPixelBufferPoolCreatePixelBuffer)(NULL, pool, &mut buffer), 0);
            assert_eq!((f.CVPixelBufferGetPixelFormatType)(buffer).to_be_bytes(), *b"420v");
            assert_eq!((f.CVPixelBufferGetWidth)(buffer), 320);
            (f.VTCompressionSessionInvalidate)(session);
        }
        f.release(buffer);
        f.release(session);
    })
    .clean();
}

#[test]
fn hevc_of_ten_bits() {
    scenario("hevc_of_ten_bits", &[], || {
        let f = Frameworks::open();
        let encoder = Encoder::new(f, (320, 180), b"hvc1", b"x420", NULL).unwrap();
        let level = f.constant("kVTProfileLevel_HEVC_Main10_AutoLevel");
        assert_eq!(f.set(encoder.session, "kVTCompressionPropertyKey_ProfileLevel", level), 0);
        encoder.encode_all(0..30);
        assert_eq!(encoder.complete(), 0);
        let (samples, sets) = encoder.close();
        assert_eq!(samples.len(), 30);
        let told =
            judge(&annex_b(&sets, &samples), "hevc", "stream=profile,width,height,pix_fmt,nb_read_frames");
        assert_eq!(told, "Main 10,320,180,yuv420p10le,30");
    })
    .clean();
}

#[test]
fn what_is_encoded_can_be_decoded() {
    scenario("what_is_encoded_can_be_decoded", &[], || {
        let f = Frameworks::open();
        let encoder = Encoder::new(f, (320, 180), b"hvc1", b"x420", NULL).unwrap();
        encoder.encode_all(0..10);
        assert_eq!(encoder.complete(), 0);
        let format: Ref = std::ptr::with_exposed_provenance(*encoder.kept.format.lock().unwrap());
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        for sample in encoder.kept.samples.lock().unwrap().iter() {
            assert_eq!(decoder.decode(format, &sample.bytes, sample.pts, sample.number, 1), 0);
        }
        // The same stream described by its parameter sets.
        let (mut pointers, mut sizes, mut again) = ([std::ptr::null(); 3], [0; 3], NULL);
        unsafe {
            for at in 0..3 {
                let (mut count, mut length) = (0, 0);
                let get = f.CMVideoFormatDescriptionGetHEVCParameterSetAtIndex;
                assert_eq!(get(format, at, &mut pointers[at], &mut sizes[at], &mut count, &mut length), 0);
                assert_eq!((count, length), (3, 4));
            }
            let make = f.CMVideoFormatDescriptionCreateFromHEVCParameterSets;
            assert_eq!(make(NULL, 3, pointers.as_ptr(), sizes.as_ptr(), 4, NULL, &mut again), 0);
            assert_eq!((f.VTDecompressionSessionCanAcceptFormatDescription)(decoder.session, again), 1);
        }
        f.release(again);
        let shown = decoder.finish();
        assert_eq!(shown.len(), 10);
        assert!(shown.iter().all(|shown| shown.status == 0 && shown.format == u32::from_be_bytes(*b"x420")));
        encoder.close();
    })
    .clean();
}

#[test]
fn without_reordering_no_frame_waits_for_another() {
    scenario("without_reordering_no_frame_waits_for_another", &[], || {
        let f = Frameworks::open();
        for codec in [b"avc1", b"hvc1"] {
            let encoder = Encoder::new(f, (64, 64), codec, b"420v", NULL).unwrap();
            assert_eq!(
                f.set(encoder.session, "kVTCompressionPropertyKey_AllowFrameReordering", f.truth(false)),
                0
            );
            for number in 0..4 {
                encoder.encode_all(number..number + 1);
                // Nobody asks for it, so that it can only be waited for; a frame that stays inside would be waited for in vain.
                let out = || encoder.kept.samples.lock().unwrap().len() > number;
                for _ in 0..2000 {
                    if !out() {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
                assert!(out(), "{codec:?} keeps frame {number}");
            }
            encoder.close();
        }
    })
    .clean();
}

#[test]
fn frames_after_completion_begin_with_a_key_frame() {
    scenario("frames_after_completion_begin_with_a_key_frame", &[], || {
        let f = Frameworks::open();
        let encoder = Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).unwrap();
        encoder.encode_all(0..6);
        assert_eq!(encoder.complete(), 0);
        encoder.encode_all(6..12);
        assert_eq!(encoder.complete(), 0);
        let (samples, _) = encoder.close();
        assert_eq!((samples.len(), keys(&samples)), (12, vec![0, 6]));
    })
    .clean();
}

#[test]
fn what_was_encoded_is_what_is_seen() {
    scenario("what_was_encoded_is_what_is_seen", &[], || {
        let f = Frameworks::open();
        let encoder = Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).unwrap();
        let best = 1.0f64;
        let quality = unsafe { (f.CFNumberCreate)(NULL, 13, std::ptr::from_ref(&best).cast()) };
        assert_eq!(f.set(encoder.session, "kVTCompressionPropertyKey_Quality", quality), 0);
        f.release(quality);
        encoder.encode_all(0..1);
        assert_eq!(encoder.complete(), 0);
        let (samples, sets) = encoder.close();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream.h264");
        std::fs::write(&path, annex_b(&sets, &samples)).unwrap();
        let decoded = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(&path)
            .args(["-f", "rawvideo", "-"])
            .output()
            .unwrap();
        assert_eq!(decoded.stdout.len(), 64 * 64 * 3 / 2);
        // The gradient of `Encoder::picture`, and chroma that is not in its place would be far off.
        let close = |at: usize, value: usize| usize::from(decoded.stdout[at]).abs_diff(value) <= 12;
        for (x, y) in [(10, 10), (40, 20), (5, 33)] {
            assert!(close(y * 64 + x, 40 + (x + 2 * y) % 160), "luma at {x}, {y}");
        }
        for (x, y) in [(8, 8), (20, 20)] {
            assert!(close(64 * 64 + y * 32 + x, 40 + (2 * x + 2 * y) % 160), "Cb at {x}, {y}");
            assert!(close(64 * 64 + 32 * 32 + y * 32 + x, 40 + (2 * x + 1 + 2 * y) % 160), "Cr at {x}, {y}");
        }
    })
    .clean();
}
