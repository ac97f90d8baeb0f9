//! Strings, numbers, collections, buffers: what has nothing to do with a session.

use crate::client::{Frameworks, INVALID, NULL, Range, UTF8, time};
use crate::common::{child, scenario};

#[test]
fn values_come_back() {
    scenario("values_come_back", &[], || {
        let f = Frameworks::open();
        let string = f.string("größe");
        assert_eq!(
            unsafe { ((f.CFStringGetLength)(string), (f.CFGetTypeID)(string)) },
            (5, unsafe { (f.CFStringGetTypeID)() })
        );
        let mut short = [0u8; 7];
        // Seven bytes and the zero behind them.
        assert_eq!(unsafe { (f.CFStringGetCString)(string, short.as_mut_ptr(), 7, UTF8) }, 0);
        let same = f.string("größe");
        assert_eq!(unsafe { (f.CFEqual)(string, same) }, 1);
        let number = f.number(-70_000);
        let (mut narrow, mut wide) = (0i16, 0f64);
        unsafe {
            assert_eq!((f.CFNumberGetValue)(number, 2, std::ptr::from_mut(&mut narrow).cast()), 0);
            assert_eq!((f.CFNumberGetValue)(number, 13, std::ptr::from_mut(&mut wide).cast()), 1);
        }
        assert_eq!(wide, -70_000.0);
        // By value, whoever made the key; and the dictionary keeps what it holds.
        let dictionary = f.dictionary(&[(string, number)]);
        f.release(string);
        let found = unsafe { (f.CFDictionaryGetValue)(dictionary, same) };
        assert_eq!(f.int(found), -70_000);
        f.release(dictionary);
        // A literal is one object for ever, which nobody has to release.
        let literal = || unsafe { (f.__CFStringMakeConstantString)(c"größe".as_ptr()) };
        assert_eq!((literal(), unsafe { (f.CFEqual)(literal(), same) }), (literal(), 1));
        let mut bytes = [0_u8; 2];
        unsafe {
            let data = (f.CFDataCreate)(NULL, b"abcd".as_ptr(), 4);
            (f.CFDataGetBytes)(data, Range { location: 1, length: 2 }, bytes.as_mut_ptr());
            f.release(data);
            assert_eq!(((f.CMTimeMake)(3, 25), (f.CMTimeMake)(3, 0)), (time(3, 25), INVALID));
        }
        assert_eq!(bytes, *b"bc");
        f.release(same);
        let key = f.string("PixelFormatType");
        assert_eq!(unsafe { (f.CFEqual)(key, f.constant("kCVPixelBufferPixelFormatTypeKey")) }, 1);
        f.release(key);
    })
    .clean();
}

#[test]
fn what_is_not_released_is_told() {
    let outcome = scenario("what_is_not_released_is_told", &[], || {
        let f = Frameworks::open();
        let kept = f.string("kept");
        unsafe { (f.CFRetain)(kept) };
        let dictionary = f.dictionary(&[(f.constant("kCVPixelBufferWidthKey"), f.number(1))]);
        f.release(dictionary);
    })
    .ok();
    let leaks = outcome.report["leaks"].as_array().unwrap();
    assert_eq!(leaks.len(), 1);
    assert_eq!(leaks[0]["kind"], "CFString");
    let detail = leaks[0]["detail"].as_str().unwrap();
    assert!(detail.contains("CFStringCreateWithBytes") && detail.contains("2 references"), "{detail}");
}

#[test]
fn the_first_breach_aborts_when_asked_to() {
    let outcome = scenario("the_first_breach_aborts_when_asked_to", &[("VTSIM_STRICT", "1")], || {
        let f = Frameworks::open();
        f.release(NULL);
        println!("went on");
    });
    assert!(!outcome.output.status.success());
    assert!(!String::from_utf8_lossy(&outcome.output.stdout).contains("went on"));
    assert_eq!(outcome.violations(), ["null-reference"]);
}

#[test]
fn a_misspelt_setting_ends_the_process() {
    let set = [("VTSIM_SET", "fail.decoder.at=1:-1")];
    let (output, report) = child("a_misspelt_setting_ends_the_process", &set, || {
        Frameworks::open().release(NULL);
    });
    assert_eq!((output.status.code(), report), (Some(2), None));
    assert!(String::from_utf8_lossy(&output.stderr).contains("fail.decoder.at"));
}

#[test]
fn every_constant_is_exported() {
    scenario("every_constant_is_exported", &[], || {
        let f = Frameworks::open();
        for name in vtsim::foundation::constants::NAMES {
            assert!(!f.text(f.constant(name)).is_empty(), "{name}");
        }
        assert!(f.constant("kCFAllocatorDefault").is_null());
        assert!(!f.constant("kCFAllocatorNull").is_null());
    })
    .clean();
}

#[test]
fn a_transfer_converts_and_scales() {
    scenario("a_transfer_converts_and_scales", &[], || {
        let f = Frameworks::open();
        let make = |size, format: &[u8; 4]| {
            let mut buffer = NULL;
            assert_eq!(
                unsafe {
                    (f.CVPixelBufferCreate)(NULL, size, size, u32::from_be_bytes(*format), NULL, &mut buffer)
                },
                0
            );
            buffer
        };
        let (from, to) = (make(32, b"420f"), make(16, b"x420"));
        let mut session = NULL;
        unsafe {
            assert_eq!((f.CVPixelBufferLockBaseAddress)(from, 0), 0);
            for plane in 0..2 {
                let rows = (f.CVPixelBufferGetHeightOfPlane)(from, plane)
                    * (f.CVPixelBufferGetBytesPerRowOfPlane)(from, plane);
                (f.CVPixelBufferGetBaseAddressOfPlane)(from, plane)
                    .write_bytes(if plane == 0 { 255 } else { 128 }, rows);
            }
            assert_eq!((f.CVPixelBufferUnlockBaseAddress)(from, 0), 0);
            assert_eq!((f.VTPixelTransferSessionCreate)(NULL, &mut session), 0);
            assert_eq!((f.VTPixelTransferSessionTransferImage)(session, from, to), 0);
            (f.VTPixelTransferSessionInvalidate)(session);
            assert_eq!((f.CVPixelBufferLockBaseAddress)(to, 1), 0);
            let luma = f.plane(to, 0, 32);
            let chroma = f.plane(to, 1, 32);
            assert_eq!((f.CVPixelBufferUnlockBaseAddress)(to, 1), 0);
            assert!(luma.chunks_exact(2).all(|pair| u16::from_le_bytes([pair[0], pair[1]]) == 940 << 6));
            assert!(chroma.chunks_exact(2).all(|pair| u16::from_le_bytes([pair[0], pair[1]]) == 512 << 6));
        }
        for reference in [session, from, to] {
            f.release(reference);
        }
    })
    .clean();
}
