//! What each machine has.

use crate::client::{Decoder, Encoder, Frameworks, NULL, Ref};
use crate::clips::{Clip, repository};
use crate::common::scenario;

fn code(codec: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*codec)
}

fn requires(f: &Frameworks, key: &str, value: bool) -> Ref {
    f.dictionary(&[(f.constant(key), unsafe { (f.CFRetain)(f.truth(value)) })])
}

const REQUIRE_DECODER: &str = "kVTVideoDecoderSpecification_RequireHardwareAcceleratedVideoDecoder";
const ENABLE_DECODER: &str = "kVTVideoDecoderSpecification_EnableHardwareAcceleratedVideoDecoder";
const REQUIRE_ENCODER: &str = "kVTVideoEncoderSpecification_RequireHardwareAcceleratedVideoEncoder";

fn uses_hardware(f: &'static Frameworks, format: Ref, specification: Ref) -> Result<bool, i32> {
    let decoder = Decoder::new(f, format, specification, NULL)?;
    let value =
        f.copy(decoder.session, "kVTDecompressionPropertyKey_UsingHardwareAcceleratedVideoDecoder").unwrap();
    let hardware = unsafe { (f.CFBooleanGetValue)(value) } == 1;
    f.release(value);
    decoder.close();
    Ok(hardware)
}

#[test]
fn a_virtual_machine_has_software_alone() {
    let outcome = scenario("a_virtual_machine_has_software_alone", &[("VTSIM_PROFILE", "vm")], || {
        let f = Frameworks::open();
        let format = Clip::open(&repository("vfr-rotated.mp4")).format(f);
        assert_eq!(unsafe { (f.VTIsHardwareDecodeSupported)(code(b"avc1")) }, 0);
        assert_eq!(uses_hardware(f, format, NULL), Ok(false));
        assert_eq!(uses_hardware(f, format, requires(f, REQUIRE_DECODER, true)), Err(-12906));
        let specification = requires(f, REQUIRE_ENCODER, true);
        assert_eq!(Encoder::new(f, (64, 64), b"avc1", b"420v", specification).err(), Some(-12908));
        let encoder = Encoder::new(f, (64, 64), b"hvc1", b"420v", NULL).unwrap();
        let level = f.constant("kVTProfileLevel_HEVC_Main10_AutoLevel");
        assert_eq!(f.set(encoder.session, "kVTCompressionPropertyKey_ProfileLevel", level), -12902);
        encoder.close();
        f.release(format);
    })
    .clean();
    assert_eq!(outcome.report["profile"], "vm");
}

#[test]
fn hardware_can_be_declined() {
    scenario("hardware_can_be_declined", &[], || {
        let f = Frameworks::open();
        let format = Clip::open(&repository("vfr-rotated.mp4")).format(f);
        assert_eq!(uses_hardware(f, format, NULL), Ok(true));
        assert_eq!(uses_hardware(f, format, requires(f, REQUIRE_DECODER, true)), Ok(true));
        assert_eq!(uses_hardware(f, format, requires(f, ENABLE_DECODER, false)), Ok(false));
        f.release(format);
    })
    .clean();
}

#[test]
fn vp9_is_supplemental_and_av1_is_newer() {
    let hardware = |f: &Frameworks, codec| unsafe { (f.VTIsHardwareDecodeSupported)(code(codec)) };
    scenario("vp9_is_supplemental_and_av1_is_newer", &[("VTSIM_PROFILE", "m1")], || {
        let f = Frameworks::open();
        assert_eq!((hardware(f, b"avc1"), hardware(f, b"vp09"), hardware(f, b"av01")), (1, 0, 0));
        for codec in [b"vp09", b"av01"] {
            unsafe { (f.VTRegisterSupplementalVideoDecoderIfAvailable)(code(codec)) };
        }
        assert_eq!((hardware(f, b"vp09"), hardware(f, b"av01")), (1, 0));
    })
    .clean();
}

#[test]
fn encoders_are_listed_with_what_they_take() {
    scenario("encoders_are_listed_with_what_they_take", &[("VTSIM_PROFILE", "intel-mac")], || {
        let f = Frameworks::open();
        let mut list = NULL;
        assert_eq!(unsafe { (f.VTCopyVideoEncoderList)(NULL, &mut list) }, 0);
        let mut found = Vec::new();
        for at in 0..unsafe { (f.CFArrayGetCount)(list) } {
            let get = |key: &str| unsafe {
                (f.CFDictionaryGetValue)((f.CFArrayGetValueAtIndex)(list, at), f.constant(key))
            };
            let hardware = unsafe { (f.CFBooleanGetValue)(get("kVTVideoEncoderList_IsHardwareAccelerated")) };
            found.push((f.int(get("kVTVideoEncoderList_CodecType")) as u32, hardware == 1));
        }
        f.release(list);
        assert_eq!(
            found,
            [(code(b"avc1"), true), (code(b"hvc1"), true), (code(b"avc1"), false), (code(b"hvc1"), false)]
        );
        let supported = |codec: &[u8; 4], key: &str| unsafe {
            let (mut id, mut all) = (NULL, NULL);
            assert_eq!(
                (f.VTCopySupportedPropertyDictionaryForEncoder)(64, 64, code(codec), NULL, &mut id, &mut all),
                0
            );
            assert!(f.text(id).starts_with("com.apple."));
            let property = (f.CFDictionaryGetValue)(all, f.constant(key));
            let status = if property.is_null() {
                None
            } else {
                Some(f.text((f.CFDictionaryGetValue)(property, f.constant("kVTPropertyReadWriteStatusKey"))))
            };
            f.release(id);
            f.release(all);
            status
        };
        let reordering = "kVTCompressionPropertyKey_AllowFrameReordering";
        assert_eq!(supported(b"avc1", reordering).as_deref(), Some("ReadWrite"));
        assert_eq!(supported(b"hvc1", reordering), None);
        assert_eq!(supported(b"avc1", "kVTCompressionPropertyKey_EncoderID").as_deref(), Some("ReadOnly"));
    })
    .clean();
}

#[test]
fn properties_answer_for_themselves() {
    scenario("properties_answer_for_themselves", &[], || {
        let f = Frameworks::open();
        let encoder = Encoder::new(f, (64, 64), b"hvc1", b"420v", NULL).unwrap();
        let session = encoder.session;
        assert_eq!(
            f.set(
                session,
                "kVTCompressionPropertyKey_EncoderID",
                f.constant("kVTCompressionPropertyKey_EncoderID")
            ),
            -12901
        );
        assert_eq!(
            f.set(
                session,
                "kVTCompressionPropertyKey_H264EntropyMode",
                f.constant("kVTH264EntropyMode_CABAC")
            ),
            -12900
        );
        let level = f.constant("kVTProfileLevel_H264_High_AutoLevel");
        assert_eq!(f.set(session, "kVTCompressionPropertyKey_ProfileLevel", level), -12902);
        let rate = f.number(1_000_000);
        assert_eq!(f.set(session, "kVTCompressionPropertyKey_AverageBitRate", rate), 0);
        let copy = f.copy(session, "kVTCompressionPropertyKey_AverageBitRate").unwrap();
        assert_eq!(f.int(copy), 1_000_000);
        f.release(copy);
        assert_eq!(f.copy(session, "kVTCompressionPropertyKey_MaxH264SliceBytes").err(), Some(-12900));
        let mut all = NULL;
        assert_eq!(unsafe { (f.VTSessionCopySupportedPropertyDictionary)(session, &mut all) }, 0);
        assert!(
            !unsafe { (f.CFDictionaryGetValue)(all, f.constant("kVTCompressionPropertyKey_RealTime")) }
                .is_null()
        );
        f.release(all);
        f.release(rate);
        encoder.close();
    })
    .clean();
}
