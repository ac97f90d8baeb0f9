//! Each rule is broken once, on purpose, and is found in the report.

use std::ffi::c_void;

use crate::client::{Decoder, EncodeCallback, Encoder, Frameworks, INVALID, NULL, Ref, Time, time};
use crate::clips::{Clip, repository};
use crate::common::scenario;
use crate::metal;

type Case = (&'static str, fn(&'static Frameworks));

/// Rule by rule, what breaks it.
const CASES: &[Case] = &[
    ("null-reference", |f| f.release(NULL)),
    ("unknown-reference", |f| f.release(std::ptr::without_provenance(0x1230))),
    ("dead-reference", |f| {
        let string = f.string("gone");
        f.release(string);
        assert_eq!(unsafe { (f.CFStringGetLength)(string) }, 0);
    }),
    ("wrong-type", |f| {
        let string = f.string("no data");
        assert_eq!(unsafe { (f.CFDataGetLength)(string) }, 0);
        f.release(string);
    }),
    ("over-release", |f| {
        let dictionary = f.dictionary(&[(f.constant("kCVPixelBufferWidthKey"), f.number(1))]);
        // Got, not copied.
        f.release(unsafe { (f.CFDictionaryGetValue)(dictionary, f.constant("kCVPixelBufferWidthKey")) });
        f.release(dictionary);
    }),
    ("immutable-changed", |f| unsafe {
        let (keys, values) =
            (f.symbol("kCFTypeDictionaryKeyCallBacks"), f.symbol("kCFTypeDictionaryValueCallBacks"));
        let fixed = (f.CFDictionaryCreate)(NULL, std::ptr::null(), std::ptr::null(), 0, keys, values);
        (f.CFDictionarySetValue)(fixed, f.truth(true), f.truth(true));
        f.release(fixed);
    }),
    ("collection-callbacks", |f| {
        let own = [0usize; 6];
        f.release(unsafe { (f.CFDictionaryCreateMutable)(NULL, 0, own.as_ptr().cast(), NULL) });
    }),
    ("index-out-of-range", |f| {
        let list = unsafe { (f.CFArrayCreate)(NULL, std::ptr::null(), 0, f.symbol("kCFTypeArrayCallBacks")) };
        assert!(unsafe { (f.CFArrayGetValueAtIndex)(list, 0) }.is_null());
        f.release(list);
    }),
    ("unlock-without-lock", |f| {
        let buffer = buffer(f);
        assert_ne!(unsafe { (f.CVPixelBufferUnlockBaseAddress)(buffer, 0) }, 0);
        f.release(buffer);
    }),
    ("unlock-flags", |f| {
        let buffer = buffer(f);
        unsafe {
            (f.CVPixelBufferLockBaseAddress)(buffer, 1);
            (f.CVPixelBufferUnlockBaseAddress)(buffer, 0);
        }
        f.release(buffer);
    }),
    ("base-address-unlocked", |f| {
        let buffer = buffer(f);
        assert!(unsafe { (f.CVPixelBufferGetBaseAddressOfPlane)(buffer, 0) }.is_null());
        f.release(buffer);
    }),
    ("released-while-locked", |f| {
        let buffer = buffer(f);
        unsafe { (f.CVPixelBufferLockBaseAddress)(buffer, 0) };
        f.release(buffer);
    }),
    ("input-locked-for-writing", |f| {
        // Frames wait in the encoder for those behind them, so that the first is not out.
        let encoder = Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).unwrap();
        let buffer = encoder.picture(0);
        encoder.encode(buffer, time(0, 25), NULL, 0);
        unsafe {
            (f.CVPixelBufferLockBaseAddress)(buffer, 0);
            (f.CVPixelBufferUnlockBaseAddress)(buffer, 0);
        }
        f.release(buffer);
        encoder.complete();
        encoder.close();
    }),
    ("call-after-invalidate", |f| {
        let encoder = Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).unwrap();
        unsafe { (f.VTCompressionSessionInvalidate)(encoder.session) };
        assert_eq!(encoder.complete(), -12903);
        encoder.close();
    }),
    ("wait-in-callback", |f| {
        let mut session = NULL;
        let context = std::ptr::from_ref(f).cast_mut().cast();
        unsafe {
            let codec = u32::from_be_bytes(*b"avc1");
            (f.VTCompressionSessionCreate)(
                NULL,
                64,
                64,
                codec,
                NULL,
                NULL,
                NULL,
                Some(WAITS),
                context,
                &mut session,
            );
            let buffer = buffer(f);
            assert_eq!(
                (f.VTCompressionSessionEncodeFrame)(
                    session,
                    buffer,
                    time(0, 1),
                    INVALID,
                    NULL,
                    session.cast_mut(),
                    std::ptr::null_mut()
                ),
                0
            );
            (f.VTCompressionSessionCompleteFrames)(session, INVALID);
            f.release(buffer);
            (f.VTCompressionSessionInvalidate)(session);
        }
        f.release(session);
    }),
    ("property-after-first-frame", |f| {
        let encoder = Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).unwrap();
        encoder.encode_all(0..1);
        let level = f.constant("kVTProfileLevel_H264_High_AutoLevel");
        assert_ne!(f.set(encoder.session, "kVTCompressionPropertyKey_ProfileLevel", level), 0);
        // Rates may change.
        let rate = f.number(100_000);
        assert_eq!(f.set(encoder.session, "kVTCompressionPropertyKey_AverageBitRate", rate), 0);
        f.release(rate);
        encoder.complete();
        encoder.close();
    }),
    ("pts-not-increasing", |f| times(f, [time(2, 50), time(1, 25)])),
    ("pts-invalid", |f| times(f, [time(0, 25), INVALID])),
    ("unacceptable-format", |f| {
        let (small, large) =
            (Clip::open(&repository("vfr-rotated.mp4")), Clip::open(&repository("bars.mp4")));
        let formats = [small.format(f), large.format(f)];
        let decoder = Decoder::new(f, formats[0], NULL, NULL).unwrap();
        assert_eq!(
            unsafe { (f.VTDecompressionSessionCanAcceptFormatDescription)(decoder.session, formats[1]) },
            0
        );
        assert_eq!(decoder.decode(formats[1], &large.samples[0].1, 0, 0, 0), -12916);
        decoder.close();
        formats.into_iter().for_each(|format| f.release(format));
    }),
    ("sample-layout", |f| {
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        let format = clip.format(f);
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        let mut sample = NULL;
        unsafe {
            (f.CMSampleBufferCreateReady)(
                NULL,
                NULL,
                format,
                0,
                0,
                std::ptr::null(),
                0,
                std::ptr::null(),
                &mut sample,
            );
            let decode = f.VTDecompressionSessionDecodeFrame;
            assert_ne!(decode(decoder.session, sample, 0, std::ptr::null_mut(), std::ptr::null_mut()), 0);
        }
        f.release(sample);
        f.release(format);
        decoder.close();
    }),
    ("colours-differ", |f| {
        let encoder = Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).unwrap();
        let of = |name: &str| f.constant(&format!("kCVImageBufferYCbCrMatrix{name}"));
        f.set(encoder.session, "kVTCompressionPropertyKey_YCbCrMatrix", of("_ITU_R_709_2"));
        let buffer = encoder.picture(0);
        unsafe { (f.CVBufferSetAttachment)(buffer, of("Key"), of("_ITU_R_601_4"), 1) };
        encoder.encode(buffer, time(0, 25), NULL, 0);
        f.release(buffer);
        encoder.complete();
        encoder.close();
    }),
    ("unknown-method", metal::unknown_method),
    ("autorelease-pool", metal::no_pool),
    ("encoder-not-ended", metal::open_encoder),
    ("texture-released-early", metal::texture_released),
    ("kernel-bindings", metal::no_kernel),
];

fn buffer(f: &Frameworks) -> Ref {
    let mut buffer = NULL;
    assert_eq!(
        unsafe { (f.CVPixelBufferCreate)(NULL, 64, 64, u32::from_be_bytes(*b"420v"), NULL, &mut buffer) },
        0
    );
    buffer
}

fn times(f: &'static Frameworks, times: [Time; 2]) {
    let encoder = Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).unwrap();
    let answers = times.map(|pts| {
        let buffer = encoder.picture(0);
        let status = encoder.encode(buffer, pts, NULL, 0);
        f.release(buffer);
        status
    });
    assert_eq!(answers, [0, -12902]);
    encoder.complete();
    encoder.close();
}

const WAITS: EncodeCallback = waits;

extern "C" fn waits(context: *mut c_void, session: *mut c_void, _status: i32, _info: u32, _sample: Ref) {
    let f = unsafe { &*context.cast::<Frameworks>() };
    unsafe { (f.VTCompressionSessionCompleteFrames)(session.cast_const(), INVALID) };
}

#[test]
fn every_breach_is_found_and_nothing_else() {
    // One process for each, so that one breach cannot hide behind another.
    for (name, body) in CASES {
        let mark = std::env::var("VTSIM_TEST_CASE");
        if mark.as_ref().is_ok_and(|mark| mark != name) {
            continue;
        }
        let outcome =
            scenario("every_breach_is_found_and_nothing_else", &[("VTSIM_TEST_CASE", name)], || {
                body(Frameworks::open());
            })
            .ok();
        assert_eq!(outcome.violations(), [*name]);
        if *name != "over-release" {
            assert_eq!(outcome.report["leaks"], serde_json::json!([]), "{name}");
        }
    }
}

#[test]
fn every_rule_has_a_case() {
    let cases: Vec<_> = CASES.iter().map(|(name, _)| *name).collect();
    let rules: Vec<_> = vtsim::core::rules::ALL.iter().map(|rule| rule.name).collect();
    assert_eq!(cases, rules);
}

#[test]
fn an_image_is_dead_after_its_callback() {
    static LAST: std::sync::Mutex<usize> = std::sync::Mutex::new(0);
    extern "C" fn keep(_: *mut c_void, _: *mut c_void, _: i32, _: u32, image: Ref, _: Time, _: Time) {
        *LAST.lock().unwrap() = image.expose_provenance();
    }
    let outcome = scenario("an_image_is_dead_after_its_callback", &[], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        let format = clip.format(f);
        let record = crate::client::DecodeCallback { callback: keep, refcon: std::ptr::null_mut() };
        let mut session = NULL;
        unsafe {
            assert_eq!((f.VTDecompressionSessionCreate)(NULL, format, NULL, NULL, &record, &mut session), 0);
            let sample = f.sample(format, &clip.samples[0].1, time(0, 1));
            (f.VTDecompressionSessionDecodeFrame)(
                session,
                sample,
                0,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            );
            f.release(sample);
            let image = std::ptr::with_exposed_provenance(*LAST.lock().unwrap());
            assert_eq!((f.CVPixelBufferGetWidth)(image), 0);
            (f.VTDecompressionSessionInvalidate)(session);
        }
        f.release(session);
        f.release(format);
    })
    .ok();
    assert_eq!(outcome.violations(), ["dead-reference"]);
}
