//! What decoder sessions give, held against ffmpeg.

use crate::client::{Decoder, Frameworks, NULL, Shown};
use crate::clips::{Clip, made, md5, repository};
use crate::common::scenario;

const ASYNCHRONOUS: u32 = 1;
const DO_NOT_OUTPUT: u32 = 2;
const TEMPORAL: u32 = 8;

/// Decodes a whole clip; what came out in the order of the callbacks.
fn all(f: &'static Frameworks, clip: &Clip, flags: u32) -> Vec<Shown> {
    let format = clip.format(f);
    let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
    for (number, (pts, bytes)) in clip.samples.iter().enumerate() {
        assert_eq!(decoder.decode(format, bytes, *pts, number, flags), 0);
    }
    f.release(format);
    decoder.finish()
}

fn in_display_order(mut shown: Vec<Shown>) -> String {
    assert!(
        shown.iter().all(|shown| shown.status == 0 && shown.surface),
        "{:?}",
        shown.iter().find(|shown| shown.status != 0)
    );
    shown.sort_by_key(|shown| shown.pts);
    md5(&shown.into_iter().flat_map(|shown| shown.bytes).collect::<Vec<_>>())
}

#[test]
fn h264_comes_in_decoding_order_and_is_exact() {
    scenario("h264_comes_in_decoding_order_and_is_exact", &[], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        for flags in [ASYNCHRONOUS, 0] {
            let shown = all(f, &clip, flags);
            assert!(shown.iter().map(|shown| shown.number).eq(0..clip.samples.len()));
            assert!(
                shown.iter().any(|shown| shown.info == flags && shown.format == u32::from_be_bytes(*b"420v"))
            );
            assert!(!shown.is_sorted_by_key(|shown| shown.pts), "the clip has B pictures");
            assert_eq!(in_display_order(shown), clip.md5("yuv420p"));
        }
    })
    .clean();
}

#[test]
fn temporal_processing_gives_display_order() {
    scenario("temporal_processing_gives_display_order", &[], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        let shown = all(f, &clip, ASYNCHRONOUS | TEMPORAL);
        assert_eq!(shown.len(), clip.samples.len());
        assert!(shown.is_sorted_by_key(|shown| shown.pts));
        // Held back until it is asked for.
        let format = clip.format(f);
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        assert_eq!(decoder.decode(format, &clip.samples[0].1, 0, 0, TEMPORAL), 0);
        f.release(format);
        assert!(decoder.shown.1.lock().unwrap().is_empty());
        assert_eq!(unsafe { (f.VTDecompressionSessionFinishDelayedFrames)(decoder.session) }, 0);
        assert_eq!(decoder.finish().len(), 1);
    })
    .clean();
}

#[test]
fn colours_are_attached() {
    scenario("colours_are_attached", &[], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("bars.mp4"));
        let format = clip.format(f);
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        assert_eq!(decoder.decode(format, &clip.samples[0].1, 0, 0, 0), 0);
        f.release(format);
        let shown = decoder.finish();
        assert_eq!(shown[0].matrix.as_deref(), Some("ITU_R_709_2"));
    })
    .clean();
}

#[test]
fn frames_that_are_not_wanted_have_no_image() {
    scenario("frames_that_are_not_wanted_have_no_image", &[], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        let shown = all(f, &clip, DO_NOT_OUTPUT);
        assert_eq!(shown.len(), clip.samples.len());
        assert!(shown.iter().all(|shown| shown.status == 0 && shown.bytes.is_empty()));
    })
    .clean();
}

#[test]
fn hevc_of_ten_bits_is_exact() {
    scenario("hevc_of_ten_bits_is_exact", &[], || {
        let f = Frameworks::open();
        let folder = tempfile::tempdir().unwrap();
        let options = [
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "log-level=none",
            "-pix_fmt",
            "yuv420p10le",
            "-tag:v",
            "hvc1",
        ];
        let clip = Clip::open(&made(folder.path(), &options));
        let shown = all(f, &clip, ASYNCHRONOUS);
        assert_eq!(shown[0].format, u32::from_be_bytes(*b"x420"));
        assert_eq!(in_display_order(shown), clip.md5("yuv420p10le"));
    })
    .clean();
}

#[test]
fn vp9_and_av1_are_exact() {
    scenario("vp9_and_av1_are_exact", &[("VTSIM_PROFILE", "m3")], || {
        let f = Frameworks::open();
        for (name, codec) in [("small-vp9.ivf", b"vp09"), ("small-av1.ivf", b"av01")] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("clip.mp4");
            let mut ffmpeg = std::process::Command::new("ffmpeg");
            ffmpeg.args(["-v", "error", "-i"]).arg(repository(name)).args(["-c", "copy"]).arg(&path);
            assert!(ffmpeg.status().unwrap().success());
            let clip = Clip::open(&path);
            unsafe { (f.VTRegisterSupplementalVideoDecoderIfAvailable)(u32::from_be_bytes(*codec)) };
            assert_eq!(in_display_order(all(f, &clip, ASYNCHRONOUS)), clip.md5("yuv420p"), "{name}");
        }
    })
    .clean();
}

#[test]
fn another_pixel_format_is_converted_to() {
    scenario("another_pixel_format_is_converted_to", &[], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        let format = clip.format(f);
        let key = f.constant("kCVPixelBufferPixelFormatTypeKey");
        let attributes = f.dictionary(&[(key, f.number(u32::from_be_bytes(*b"x420").into()))]);
        let decoder = Decoder::new(f, format, NULL, attributes).unwrap();
        assert_eq!(decoder.decode(format, &clip.samples[0].1, 0, 0, 0), 0);
        f.release(format);
        let wide = decoder.finish();
        assert_eq!(wide[0].format, u32::from_be_bytes(*b"x420"));
        let narrow = all(f, &clip, 0).remove(0);
        let widened: Vec<u8> =
            narrow.bytes.iter().flat_map(|&byte| (u16::from(byte) << 2).to_le_bytes()).collect();
        assert_eq!(wide[0].bytes, widened);
    })
    .clean();
}

#[test]
fn bad_data_is_told_and_the_rest_goes_on() {
    let outcome = scenario("bad_data_is_told_and_the_rest_goes_on", &[], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        let format = clip.format(f);
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        let good = &clip.samples[0].1;
        // Start codes instead of lengths, a length that goes beyond, nothing but zeros.
        let start_codes = [&[0, 0, 0, 1], &good[4..]].concat();
        let beyond = [&[0xff, 0xff, 0xff, 0xff], &good[4..]].concat();
        for (number, bytes) in [&start_codes, &beyond, &vec![0; 100], good].into_iter().enumerate() {
            assert_eq!(decoder.decode(format, bytes, number as i64, number, 0), 0);
        }
        f.release(format);
        let shown = decoder.finish();
        assert_eq!(shown.iter().map(|shown| shown.status).collect::<Vec<_>>(), [-12909, -12909, -12909, 0]);
        assert!(!shown[3].bytes.is_empty());
    })
    .clean();
    let session = &outcome.report["sessions"][0];
    assert_eq!((session["frames"].as_u64(), session["failed"].as_u64()), (Some(4), Some(3)));
    assert_eq!(session["hardware"], true);
}

#[test]
fn parameter_sets_make_a_format_and_come_out_again() {
    scenario("parameter_sets_make_a_format_and_come_out_again", &[], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        let sets = clip.sets();
        let pointers = sets.each_ref().map(|set| set.as_ptr());
        let sizes = sets.each_ref().map(Vec::len);
        let mut format = NULL;
        unsafe {
            let make = f.CMVideoFormatDescriptionCreateFromH264ParameterSets;
            assert_eq!(make(NULL, 2, pointers.as_ptr(), sizes.as_ptr(), 4, &mut format), 0);
            for (index, set) in sets.iter().enumerate() {
                let (mut pointer, mut size, mut count, mut length) = (std::ptr::null(), 0, 0, 0);
                let get = f.CMVideoFormatDescriptionGetH264ParameterSetAtIndex;
                assert_eq!(get(format, index, &mut pointer, &mut size, &mut count, &mut length), 0);
                assert_eq!(
                    (std::slice::from_raw_parts(pointer, size), count, length),
                    (set.as_slice(), 2, 4)
                );
            }
            // With the sets alone, and with a length of 3.
            assert_eq!(make(NULL, 1, pointers.as_ptr(), sizes.as_ptr(), 4, &mut format), -12712);
            assert_eq!(make(NULL, 2, pointers.as_ptr(), sizes.as_ptr(), 3, &mut format), -12712);
        }
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        let record = clip.format(f);
        // The same stream described in another way is no change.
        assert_eq!(
            unsafe { (f.VTDecompressionSessionCanAcceptFormatDescription)(decoder.session, record) },
            1
        );
        assert_eq!(decoder.decode(record, &clip.samples[0].1, 0, 0, 0), 0);
        f.release(record);
        f.release(format);
        assert_eq!(decoder.finish()[0].status, 0);
    })
    .clean();
}
