//! Each rule is broken once, and nothing else is written down.

use std::collections::BTreeSet;

use simulated_onevpl::abi::*;
use simulated_onevpl::core::rules;

use crate::client::{Runtime, bitstream, empty, encoding};
use crate::common::{made, scenario};
use crate::decode::Own;

fn table(frame: *mut mfxFrameSurface1) -> &'static mfxFrameSurfaceInterface {
    unsafe { &*(*frame).FrameInterface }
}

/// Sessions, sync points, handles.
fn sessions(runtime: &Runtime) {
    let (parent, child) = (runtime.session(), runtime.session());
    let none = std::ptr::null_mut();
    unsafe {
        assert_eq!(
            (runtime.MFXQueryVersion)(std::ptr::without_provenance_mut(5), &mut 0),
            ERR_INVALID_HANDLE
        );
        (runtime.MFXJoinSession)(parent, child);
        assert_eq!((runtime.MFXClose)(parent), ERR_UNDEFINED_BEHAVIOR);
        (runtime.MFXDisjoinSession)(child);
        assert_eq!(runtime.sync(parent, none), ERR_NULL_PTR);
        assert_eq!(runtime.sync(parent, std::ptr::without_provenance_mut(5)), ERR_INVALID_HANDLE);
        let display = std::ptr::without_provenance_mut(0x10);
        (runtime.MFXVideoENCODE_Init)(child, &encoding(CODEC_AVC));
        assert_eq!((runtime.MFXVideoCORE_SetHandle)(child, HANDLE_VA_DISPLAY, display), ERR_NONE);
        assert_eq!(
            (runtime.MFXVideoCORE_SetHandle)(child, HANDLE_VA_DISPLAY, display),
            ERR_UNDEFINED_BEHAVIOR
        );
        (runtime.MFXClose)(child);
        (runtime.MFXClose)(parent);
    }
}

/// An encoder and its surfaces.
fn encoder(runtime: &Runtime) {
    let session = runtime.session();
    let (mut buffer, mut point) = (vec![0; 300_000], std::ptr::null_mut());
    let mut call = |frame: *mut mfxFrameSurface1, stream: &mut mfxBitstream| unsafe {
        let status =
            (runtime.MFXVideoENCODE_EncodeFrameAsync)(session, std::ptr::null(), frame, stream, &mut point);
        (status, point)
    };
    let mut stream = empty(&mut buffer);
    let none = std::ptr::null_mut();
    assert_eq!(call(none, &mut stream).0, ERR_NOT_INITIALIZED);
    let mut parameters = encoding(CODEC_AVC);
    parameters.mfx_mut().FrameInfo.Height = 170;
    unsafe {
        assert_eq!((runtime.MFXVideoENCODE_Init)(session, &parameters), ERR_INVALID_VIDEO_PARAM);
        parameters = encoding(CODEC_AVC);
        parameters.mfx_mut().GopRefDist = 3;
        let mut two = mfxExtCodingOption2::zeroed();
        two.Header = mfxExtBuffer { BufferId: EXTBUFF_CODING_OPTION2, BufferSz: 8 };
        let mut list = [(&raw mut two).cast::<mfxExtBuffer>()];
        (parameters.ExtParam, parameters.NumExtParam) = (list.as_mut_ptr(), 1);
        assert_eq!((runtime.MFXVideoENCODE_Init)(session, &parameters), ERR_NONE);
        parameters.NumExtParam = 0;
        assert_eq!((runtime.MFXVideoENCODE_Init)(session, &parameters), ERR_UNDEFINED_BEHAVIOR);
    }
    // Surfaces.
    let frame = runtime.input(session, 0);
    unsafe {
        let table = table(frame);
        assert_eq!(table.Map.unwrap()(frame, 0), ERR_UNSUPPORTED);
        assert_eq!(table.Unmap.unwrap()(frame), ERR_UNSUPPORTED);
        assert_eq!(table.Map.unwrap()(frame, MAP_READ), ERR_NONE);
        assert_eq!(call(frame, &mut stream).0, ERR_MORE_DATA);
        assert_eq!(table.Unmap.unwrap()(frame), ERR_NONE);
        assert_eq!(table.Map.unwrap()(frame, MAP_WRITE), ERR_LOCK_MEMORY);
        assert_eq!(table.Release.unwrap()(frame), ERR_NONE);
        assert_eq!(table.Release.unwrap()(frame), ERR_UNDEFINED_BEHAVIOR);
        let mapped = runtime.input(session, 1);
        assert_eq!(table.Map.unwrap()(mapped, MAP_READ), ERR_NONE);
        assert_eq!(table.Release.unwrap()(mapped), ERR_NONE);
        assert_eq!(table.Map.unwrap()(mapped, MAP_READ), ERR_INVALID_HANDLE);
        let mut own = Own::new(&parameters.mfx().FrameInfo);
        let own = &raw mut *own.frame;
        assert_eq!(table.Map.unwrap()(own, MAP_READ), ERR_INVALID_HANDLE);
        (*own).Data.Y = none.cast();
        assert_eq!(call(own, &mut stream).0, ERR_LOCK_MEMORY);
        (*own).Info.Width = 16;
        assert_eq!(call(own, &mut stream).0, ERR_INVALID_VIDEO_PARAM);
        // Another size while frames are inside.
        parameters.mfx_mut().FrameInfo.CropW = 160;
        assert_eq!((runtime.MFXVideoENCODE_Reset)(session, &parameters), ERR_NONE);
    }
    // Bitstreams, and memory of the client's.
    let mut own = Own::new(&parameters.mfx().FrameInfo);
    let frame = &raw mut *own.frame;
    let mut waiting = call(frame, &mut stream);
    for _ in 0..2 {
        while waiting.0 != ERR_NONE {
            waiting = call(none, &mut stream);
        }
    }
    unsafe { *(*frame).Data.Y ^= 1 };
    stream.DataLength = 3;
    assert_eq!(runtime.sync(session, waiting.1), ERR_NONE);
    assert_eq!(runtime.sync(session, waiting.1), ERR_NONE);
    stream.DataOffset = stream.MaxLength;
    assert_eq!(call(none, &mut stream).0, ERR_UNDEFINED_BEHAVIOR);
    // New frames while the last ones wait.
    stream.DataOffset = 0;
    for number in 0..3 {
        let frame = runtime.input(session, number);
        stream.DataLength = 0;
        call(frame, &mut stream);
        runtime.release(frame);
    }
    stream.DataLength = 0;
    let left = call(none, &mut stream);
    assert_eq!(left.0, ERR_NONE);
    let frame = runtime.input(session, 9);
    let mut another = vec![0; 300_000];
    call(frame, &mut empty(&mut another));
    runtime.release(frame);
    unsafe {
        (runtime.MFXVideoENCODE_Close)(session);
        (runtime.MFXClose)(session);
    }
}

/// A payload that says more than there is.
fn payload(runtime: &Runtime) {
    let session = runtime.session();
    let mut byte = 0u8;
    let mut payload = mfxPayload { Data: &raw mut byte, NumBit: 800, BufSize: 1, ..mfxPayload::zeroed() };
    let mut list = [&raw mut payload];
    let control =
        mfxEncodeCtrl { NumPayload: 1, Payload: list.as_mut_ptr().cast(), ..mfxEncodeCtrl::zeroed() };
    let (mut room, mut point) = (vec![0; 300_000], std::ptr::null_mut());
    unsafe {
        (runtime.MFXVideoENCODE_Init)(session, &encoding(CODEC_AVC));
        let frame = runtime.input(session, 0);
        let status = (runtime.MFXVideoENCODE_EncodeFrameAsync)(
            session,
            &control,
            frame,
            &mut empty(&mut room),
            &mut point,
        );
        assert_eq!(status, ERR_NONE);
        runtime.release(frame);
        (runtime.MFXClose)(session);
    }
}

/// A decoder.
fn decoder(runtime: &Runtime) {
    let folder = tempfile::tempdir().unwrap();
    let path = made(folder.path(), "a.h264", "-pix_fmt yuv420p -c:v libx264 -bf 2").unwrap();
    let mut data = std::fs::read(path).unwrap();
    let session = runtime.session();
    let parameters = runtime.decoder(session, CODEC_AVC, &mut data);
    let mut own = Own::new(&parameters.mfx().FrameInfo);
    own.frame.Data.Locked = 1;
    let mut stream = bitstream(&mut data, false);
    assert_eq!(runtime.decode(session, &mut stream, &raw mut *own.frame), Err(ERR_LOCK_MEMORY));
    unsafe { (runtime.MFXClose)(session) };
}

#[test]
fn each_rule_is_broken_once() {
    let body = || {
        let runtime = Runtime::open();
        sessions(&runtime);
        encoder(&runtime);
        payload(&runtime);
        decoder(&runtime);
    };
    let outcome = scenario("each_rule_is_broken_once", &[], body).ok();
    let broken: BTreeSet<String> = outcome.violations().into_iter().collect();
    let all: BTreeSet<String> = rules::ALL.iter().map(|rule| rule.name.to_owned()).collect();
    let missing: Vec<_> = all.difference(&broken).collect();
    assert!(missing.is_empty(), "not broken: {missing:?}\n{:#?}", outcome.report["violations"]);
}

#[test]
fn what_is_not_given_back_is_told() {
    let body = || {
        let runtime = Runtime::open();
        let session = runtime.session();
        unsafe { (runtime.MFXVideoENCODE_Init)(session, &encoding(CODEC_AVC)) };
        runtime.input(session, 0);
    };
    let outcome = scenario("what_is_not_given_back_is_told", &[], body).ok();
    let kinds: Vec<_> =
        outcome.report["leaks"].as_array().unwrap().iter().map(|leak| leak["kind"].clone()).collect();
    assert_eq!(kinds, ["session", "surface"]);
    assert_eq!(outcome.report["violation_count"], 0);
}
