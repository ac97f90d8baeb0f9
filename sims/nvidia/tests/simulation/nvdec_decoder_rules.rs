//! Every rule of the decoder half, broken on purpose; and a client that breaks none.

use std::ffi::c_void;

use crate::common::{Outcome, scenario};
use crate::nvdec_client::*;
use nvsim::nvdec::abi::*;

fn canned(test: &str, body: impl FnOnce()) -> Outcome {
    scenario(test, &[CANNED], body)
}

/// A driver, its context and a decoder of 320x192.
fn start() -> (Driver, *mut c_void, CUvideodecoder) {
    let (driver, context) = Driver::with_context();
    let decoder = driver.decoder(&info(codec::H264, 320, 192));
    (driver, context, decoder)
}

fn refused(test: &str, rule: &str, code: Status, change: impl FnOnce(&mut CUVIDDECODECREATEINFO)) {
    canned(test, || {
        let (driver, context) = Driver::with_context();
        let mut info = info(codec::H264, 320, 192);
        change(&mut info);
        let mut decoder = std::ptr::null_mut();
        assert_eq!(driver.create(&mut decoder, &mut info), code);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .breach(rule);
}

/// What the documents forbid and the driver takes: the decoder works all the same.
fn accepted(test: &str, rule: &str, change: impl FnOnce(&mut CUVIDDECODECREATEINFO)) {
    canned(test, || {
        let (driver, context) = Driver::with_context();
        let mut info = info(codec::H264, 320, 192);
        change(&mut info);
        let decoder = driver.decoder(&info);
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), SUCCESS);
        if info.ulNumOutputSurfaces == 0 {
            assert_eq!(driver.map_frame(decoder, 0), Err(MAP_FAILED));
        } else {
            let (address, pitch) = driver.map_frame(decoder, 0).unwrap();
            let (width, height) = (info.ulTargetWidth as usize, info.ulTargetHeight as usize);
            let luma = driver.rows(address, pitch, width, height);
            assert!(luma.iter().all(|sample| (16..236).contains(sample)));
            assert_eq!(driver.unmap(decoder, address), SUCCESS);
        }
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .breach(rule);
}

#[test]
fn a_clean_client_has_no_breach_and_no_leak() {
    let outcome = canned("a_clean_client_has_no_breach_and_no_leak", || {
        let (driver, context, decoder) = start();
        for picture in 0..10 {
            assert_eq!(driver.decode_data(decoder, picture % 4, &[0; 100]), SUCCESS);
            let (address, pitch) = driver.map_frame(decoder, picture % 4).unwrap();
            assert!(pitch > 320 && pitch % 256 == 0);
            let luma = driver.rows(address, pitch, 320, 192);
            assert!(luma.iter().all(|sample| (16..236).contains(sample)));
            assert_eq!(driver.decode_status(decoder, picture % 4), decode_status::SUCCESS);
            assert_eq!(driver.unmap(decoder, address), SUCCESS);
        }
        assert_eq!(driver.source_state(std::ptr::null_mut()), u32::MAX);
        assert_eq!(driver.source_destroy(std::ptr::null_mut()), NOT_SUPPORTED);
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
    let figures = &outcome.report["sections"]["nvdec"];
    assert_eq!((&figures["decoders"], &figures["pictures_decoded"]), (&1.into(), &10.into()));
    assert_eq!((&figures["frames_mapped"], &figures["pictures_never_mapped"]), (&10.into(), &0.into()));
}

#[test]
fn dropped_pictures_are_counted_and_no_breach() {
    let outcome = canned("dropped_pictures_are_counted_and_no_breach", || {
        let (driver, context, decoder) = start();
        for _ in 0..3 {
            assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), SUCCESS);
        }
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
    assert_eq!(outcome.report["sections"]["nvdec"]["pictures_never_mapped"], 3);
}

#[test]
fn what_is_not_given_back_is_a_leak() {
    let outcome = canned("what_is_not_given_back_is_a_leak", || {
        let (driver, context, decoder) = start();
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), SUCCESS);
        driver.map_frame(decoder, 0).unwrap();
        let mut lock = std::ptr::null_mut();
        assert_eq!(driver.lock_create(&mut lock, context), SUCCESS);
        std::mem::forget(driver);
    })
    .ok();
    let leaks = outcome.report["leaks"].as_array().unwrap();
    for kind in ["decoder", "mapped frame", "context lock"] {
        assert!(leaks.iter().any(|leak| leak["kind"] == kind), "{kind} in {leaks:?}");
    }
}

#[test]
fn caps_need_a_context() {
    canned("caps_need_a_context", || {
        let driver = Driver::open();
        assert_eq!(driver.init(0), SUCCESS);
        assert_eq!(driver.caps(&mut CUVIDDECODECAPS::zeroed()), INVALID_CONTEXT);
    })
    .breach("decoder-context-not-current");
}

#[test]
fn mapping_needs_the_context_and_the_rest_does_not() {
    canned("mapping_needs_the_context_and_the_rest_does_not", || {
        let (driver, context, decoder) = start();
        assert_eq!(driver.ctx_pop(&mut std::ptr::null_mut()), SUCCESS);
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), SUCCESS);
        assert_eq!(driver.map_frame(decoder, 0), Err(INVALID_CONTEXT));
        assert_eq!(driver.ctx_push(context), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
    })
    .breach("decoder-context-not-current");
}

#[test]
fn the_context_goes_last() {
    canned("the_context_goes_last", || {
        let (driver, context, decoder) = start();
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), CONTEXT_IS_DESTROYED);
        assert_eq!(driver.destroy(decoder), SUCCESS);
    })
    .breach("decoder-outlives-context");
}

#[test]
fn null_pointers_are_refused() {
    canned("null_pointers_are_refused", || {
        let (driver, _, decoder) = start();
        use std::ptr::null_mut as null;
        assert_eq!(driver.caps(null()), INVALID_VALUE);
        assert_eq!(driver.create(null(), null()), INVALID_VALUE);
        assert_eq!(driver.decode(decoder, null()), INVALID_VALUE);
        assert_eq!(driver.map(decoder, 0, null(), null(), null()), INVALID_VALUE);
        assert_eq!(driver.status(decoder, 0, null()), INVALID_VALUE);
        assert_eq!(driver.reconfigure(decoder, null()), INVALID_VALUE);
        assert_eq!(driver.lock_create(null(), null()), INVALID_VALUE);
    })
    .breach("decoder-null-pointer");
}

#[test]
fn sizes_beyond_the_caps() {
    refused("sizes_beyond_the_caps", "beyond-caps", INVALID_VALUE, |info| {
        info.ulWidth = 4112;
        info.ulTargetWidth = 4112;
    });
}

#[test]
fn ten_bit_h264_is_beyond_the_caps() {
    refused("ten_bit_h264_is_beyond_the_caps", "beyond-caps", NOT_SUPPORTED, |info| info.bitDepthMinus8 = 2);
}

#[test]
fn an_unknown_codec_is_beyond_the_caps() {
    refused("an_unknown_codec_is_beyond_the_caps", "beyond-caps", INVALID_VALUE, |info| info.CodecType = 99);
}

#[test]
fn no_decode_surface() {
    refused("no_decode_surface", "decode-surface-count", INVALID_VALUE, |info| info.ulNumDecodeSurfaces = 0);
}

#[test]
fn thirty_three_decode_surfaces() {
    refused("thirty_three_decode_surfaces", "decode-surface-count", INVALID_VALUE, |info| {
        info.ulNumDecodeSurfaces = 33;
    });
}

#[test]
fn sixty_five_output_surfaces() {
    refused("sixty_five_output_surfaces", "output-surface-count", INVALID_VALUE, |info| {
        info.ulNumOutputSurfaces = 65;
    });
}

#[test]
fn sixteen_bit_output_of_eight() {
    refused("sixteen_bit_output_of_eight", "output-format", INVALID_VALUE, |info| {
        info.OutputFormat = surface_format::P016;
    });
}

#[test]
fn whole_chroma_output_of_halved() {
    refused("whole_chroma_output_of_halved", "output-format", NOT_SUPPORTED, |info| {
        info.OutputFormat = surface_format::YUV444;
    });
}

#[test]
fn no_output_surface() {
    accepted("no_output_surface", "output-surface-count", |info| info.ulNumOutputSurfaces = 0);
}

#[test]
fn an_empty_target() {
    refused("an_empty_target", "target-size", OUT_OF_MEMORY, |info| info.ulTargetHeight = 0);
}

#[test]
fn a_target_beyond_the_largest_picture() {
    const INVALID_SOURCE: Status = 300;
    refused("a_target_beyond_the_largest_picture", "target-too-large", INVALID_SOURCE, |info| {
        (info.ulTargetWidth, info.ulTargetHeight) = (8192, 8192);
    });
}

#[test]
fn a_histogram_where_there_is_none() {
    refused("a_histogram_where_there_is_none", "histogram-not-offered", NOT_SUPPORTED, |info| {
        info.CodecType = codec::HEVC;
        info.enableHistogram = 1;
    });
}

#[test]
fn a_deinterlace_mode_that_is_none() {
    accepted("a_deinterlace_mode_that_is_none", "deinterlace-mode", |info| info.DeinterlaceMode = 7);
}

#[test]
fn an_odd_target() {
    accepted("an_odd_target", "target-size", |info| {
        (info.ulTargetWidth, info.ulTargetHeight) = (319, 191);
    });
}

#[test]
fn a_crop_that_leaves_the_picture() {
    accepted("a_crop_that_leaves_the_picture", "rectangle-outside", |info| {
        info.display_area = ShortRect { left: 0, top: 0, right: 322, bottom: 192 };
    });
}

#[test]
fn a_letterbox_that_leaves_the_target() {
    refused("a_letterbox_that_leaves_the_target", "rectangle-outside", INVALID_VALUE, |info| {
        info.target_rect = ShortRect { left: 0, top: 0, right: 322, bottom: 192 };
    });
}

#[test]
fn a_maximum_below_the_size() {
    accepted("a_maximum_below_the_size", "max-size-below-size", |info| {
        info.ulMaxWidth = 160;
        info.ulMaxHeight = 192;
    });
}

#[test]
fn a_decoder_is_not_used_after_its_end() {
    let outcome = canned("a_decoder_is_not_used_after_its_end", || {
        let (driver, _, decoder) = start();
        assert_eq!(driver.destroy(decoder), SUCCESS);
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), INVALID_HANDLE);
        assert_eq!(driver.destroy(decoder), INVALID_HANDLE);
        assert_eq!(driver.unmap(0x1234 as CUvideodecoder, 0), INVALID_HANDLE);
    })
    .ok();
    assert_eq!(
        outcome.violations(),
        ["decoder-used-after-destroy", "decoder-destroyed-twice", "foreign-decoder"]
    );
}

#[test]
fn a_surface_is_mapped_once_at_a_time() {
    const ALREADY_MAPPED: u32 = 208;
    canned("a_surface_is_mapped_once_at_a_time", || {
        let (driver, _, decoder) = start();
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), SUCCESS);
        let (address, _) = driver.map_frame(decoder, 0).unwrap();
        assert_eq!(driver.map_frame(decoder, 0), Err(ALREADY_MAPPED));
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        let (address, _) = driver.map_frame(decoder, 0).unwrap();
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
    })
    .breach("map-twice");
}

#[test]
fn frames_are_unmapped_before_the_end() {
    canned("frames_are_unmapped_before_the_end", || {
        let (driver, _, decoder) = start();
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), SUCCESS);
        driver.map_frame(decoder, 0).unwrap();
        assert_eq!(driver.destroy(decoder), SUCCESS);
    })
    .breach("decoder-destroyed-with-mapped-frames");
}

#[test]
fn pictures_that_are_refused() {
    let outcome = canned("pictures_that_are_refused", || {
        let (driver, _, decoder) = start();
        assert_eq!(driver.decode_data(decoder, 4, &[0; 100]), INVALID_VALUE);
        assert_eq!(driver.decode_data(decoder, -1, &[0; 100]), INVALID_VALUE);
        assert_eq!(driver.decode_data(decoder, 0, &[]), INVALID_VALUE);
        let data = [0u8; 100];
        let offsets = [0u32, 100];
        let mut picture = CUVIDPICPARAMS::zeroed();
        picture.pBitstreamData = data.as_ptr();
        picture.nBitstreamDataLen = 100;
        picture.nNumSlices = 2;
        picture.pSliceDataOffsets = offsets.as_ptr();
        assert_eq!(driver.decode(decoder, &mut picture), INVALID_VALUE);
        picture.nNumSlices = u32::MAX;
        assert_eq!(driver.decode(decoder, &mut picture), INVALID_VALUE);
        picture.nNumSlices = 1;
        picture.PicWidthInMbs = 21;
        assert_eq!(driver.decode(decoder, &mut picture), INVALID_VALUE);
        assert_eq!(driver.destroy(decoder), SUCCESS);
    })
    .ok();
    let wanted = [
        "picture-index",
        "picture-index",
        "empty-bitstream",
        "slice-offsets",
        "slice-offsets",
        "picture-size",
    ];
    assert_eq!(outcome.violations(), wanted);
}

#[test]
fn a_mapped_surface_is_not_decoded_into() {
    canned("a_mapped_surface_is_not_decoded_into", || {
        let (driver, _, decoder) = start();
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), SUCCESS);
        let (address, _) = driver.map_frame(decoder, 0).unwrap();
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), SUCCESS);
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
    })
    .breach("decode-into-mapped");
}

#[test]
fn maps_that_are_refused() {
    let outcome = canned("maps_that_are_refused", || {
        let (driver, _, decoder) = start();
        assert_eq!(driver.map_frame(decoder, 4), Err(INVALID_VALUE));
        let (empty, _) = driver.map_frame(decoder, 1).unwrap();
        assert_eq!(driver.unmap(decoder, empty), SUCCESS);
        for index in 0..3 {
            assert_eq!(driver.decode_data(decoder, index, &[0; 100]), SUCCESS);
        }
        let (first, _) = driver.map_frame(decoder, 0).unwrap();
        let (second, _) = driver.map_frame(decoder, 1).unwrap();
        assert_ne!(first, second);
        assert_eq!(driver.map_frame(decoder, 2), Err(MAP_FAILED));
        assert_eq!(driver.unmap(decoder, first), SUCCESS);
        assert_eq!(driver.unmap(decoder, first), NOT_MAPPED);
        let mut params = CUVIDPROCPARAMS { raw_output_dptr: 1, ..Zeroed::zeroed() };
        assert_eq!(driver.map(decoder, 2, &mut 0, &mut 0, &mut params), INVALID_VALUE);
        assert_ne!(driver.map_on(decoder, 2, 0x5000 as *mut c_void), Ok((0, 0)));
        // The surface of the refused map is free again.
        let (third, _) = driver.map_frame(decoder, 2).unwrap();
        assert_eq!(driver.unmap(decoder, third), SUCCESS);
        assert_eq!(driver.unmap(decoder, second), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
    })
    .ok();
    let wanted =
        ["map-index", "map-never-decoded", "map-too-many", "unmap-not-mapped", "raw-fields", "map-stream"];
    assert_eq!(outcome.violations(), wanted);
}

#[test]
fn status_of_a_surface_that_is_none() {
    canned("status_of_a_surface_that_is_none", || {
        let (driver, _, decoder) = start();
        assert_eq!(driver.decode_status(decoder, 3), decode_status::INVALID);
        assert_eq!(driver.status(decoder, 4, &mut CUVIDGETDECODESTATUS::zeroed()), INVALID_VALUE);
        assert_eq!(driver.destroy(decoder), SUCCESS);
        let vp9 = driver.decoder(&info(codec::VP9, 320, 192));
        assert_eq!(driver.status(vp9, 0, &mut CUVIDGETDECODESTATUS::zeroed()), NOT_SUPPORTED);
        assert_eq!(driver.destroy(vp9), SUCCESS);
    })
    .breach("status-index");
}

#[test]
fn reconfigurations_that_are_refused() {
    let outcome = canned("reconfigurations_that_are_refused", || {
        let (driver, _, decoder) = start();
        let mut change = CUVIDRECONFIGUREDECODERINFO {
            ulWidth: 640,
            ulHeight: 192,
            ulTargetWidth: 640,
            ulTargetHeight: 192,
            ulNumDecodeSurfaces: 4,
            ..Zeroed::zeroed()
        };
        assert_eq!(driver.reconfigure(decoder, &mut change), INVALID_VALUE);
        assert_eq!(driver.decode_data(decoder, 0, &[0; 100]), SUCCESS);
        let (address, pitch) = driver.map_frame(decoder, 0).unwrap();
        change.ulWidth = 160;
        change.ulTargetWidth = 160;
        change.ulNumDecodeSurfaces = 33;
        assert_eq!(driver.reconfigure(decoder, &mut change), INVALID_VALUE);
        // No surface is taken, and the decoder keeps its four.
        change.ulNumDecodeSurfaces = 0;
        assert_eq!(driver.reconfigure(decoder, &mut change), SUCCESS);
        // The old frame is still there.
        driver.rows(address, pitch, 320, 192);
        assert_eq!(driver.decode_data(decoder, 3, &[0; 100]), SUCCESS);
        assert_eq!(driver.unmap(decoder, address), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
    })
    .ok();
    let wanted = [
        "reconfigure-beyond-max",
        "decode-surface-count",
        "decode-surface-count",
        "reconfigure-while-mapped",
    ];
    assert_eq!(outcome.violations(), wanted);
}

#[test]
fn a_reconfiguration_to_a_larger_target() {
    canned("a_reconfiguration_to_a_larger_target", || {
        let (driver, _, decoder) = start();
        let mut change = CUVIDRECONFIGUREDECODERINFO {
            ulWidth: 320,
            ulHeight: 192,
            ulTargetWidth: 322,
            ulTargetHeight: 192,
            ulNumDecodeSurfaces: 4,
            ..Zeroed::zeroed()
        };
        assert_eq!(driver.reconfigure(decoder, &mut change), SUCCESS);
        assert_eq!(driver.destroy(decoder), SUCCESS);
    })
    .breach("reconfigure-larger-target");
}

#[test]
fn locks_that_are_misused() {
    let outcome = canned("locks_that_are_misused", || {
        let (driver, context) = Driver::with_context();
        let mut lock = std::ptr::null_mut();
        assert_eq!(driver.lock_create(&mut lock, 0x99 as *mut c_void), INVALID_CONTEXT);
        assert_eq!(driver.lock_create(&mut lock, context), SUCCESS);
        assert_eq!(driver.unlock(lock, 0), INVALID_VALUE);
        assert_eq!(driver.lock(lock, 0), SUCCESS);
        assert_eq!(driver.lock_destroy(lock), SUCCESS);
        assert_eq!(driver.lock(lock, 0), INVALID_HANDLE);
    })
    .ok();
    assert_eq!(
        outcome.violations(),
        ["context-lock-context", "unlock-not-held", "context-lock-destroyed-held", "context-lock-handle"]
    );
}

#[test]
fn every_rule_is_provoked_in_this_file() {
    let text = include_str!("nvdec_decoder_rules.rs");
    for rule in nvsim::nvdec::rules::ALL {
        assert!(text.contains(&format!("\"{}\"", rule.name)), "no test for {}", rule.name);
    }
}
