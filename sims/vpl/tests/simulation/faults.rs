//! What goes wrong on order, and an engine that takes its time.

use std::time::{Duration, Instant};

use simulated_onevpl::abi::*;

use crate::client::{Runtime, bitstream, empty, encoding};
use crate::common::{made, scenario};

fn encode_one(runtime: &Runtime, session: Handle, number: usize) -> (Status, Status) {
    let frame = runtime.input(session, number);
    let (mut buffer, mut point) = (vec![0; 300_000], std::ptr::null_mut());
    let mut stream = empty(&mut buffer);
    let called = unsafe {
        (runtime.MFXVideoENCODE_EncodeFrameAsync)(session, std::ptr::null(), frame, &mut stream, &mut point)
    };
    let synced = if called == ERR_NONE { runtime.sync(session, point) } else { called };
    runtime.release(frame);
    (called, synced)
}

#[test]
fn an_encoder_is_busy_hangs_and_is_lost() {
    let body = || {
        let runtime = Runtime::open();
        let session = runtime.session();
        unsafe {
            assert_eq!(
                (runtime.MFXVideoENCODE_Init)(session, &encoding(CODEC_AVC)),
                WRN_PARTIAL_ACCELERATION
            );
        }
        let seen: Vec<_> = (0..6).map(|number| encode_one(&runtime, session, number)).collect();
        let fine = (ERR_NONE, ERR_NONE);
        let busy = (WRN_DEVICE_BUSY, WRN_DEVICE_BUSY);
        let lost = (ERR_DEVICE_LOST, ERR_DEVICE_LOST);
        assert_eq!(seen, [fine, busy, (ERR_NONE, ERR_GPU_HANG), fine, lost, lost]);
        // Another session works.
        let other = runtime.session();
        unsafe { (runtime.MFXVideoENCODE_Init)(other, &encoding(CODEC_AVC)) };
        assert_eq!(encode_one(&runtime, other, 0), fine);
        unsafe {
            (runtime.MFXClose)(session);
            (runtime.MFXClose)(other);
        }
    };
    let set = "init.encode.fail=4;fail.encode.call=2:busy;fail.encode.at=2:hang;lost.encode.at=5";
    let outcome = scenario("an_encoder_is_busy_hangs_and_is_lost", &[("VPLSIM_SET", set)], body).clean();
    assert_eq!(outcome.report["faults"].as_array().unwrap().len(), 3);
}

#[test]
fn a_decoder_lacks_memory_and_surfaces() {
    let body = || {
        let (runtime, folder) = (Runtime::open(), tempfile::tempdir().unwrap());
        let path = made(folder.path(), "a.h264", "-pix_fmt yuv420p -c:v libx264 -bf 0").unwrap();
        let mut data = std::fs::read(&path).unwrap();
        let session = runtime.session();
        runtime.decoder(session, CODEC_AVC, &mut data);
        let mut stream = bitstream(&mut data, false);
        let null = std::ptr::null_mut();
        let mut next = || runtime.decode(session, &mut stream, null);
        assert_eq!(next(), Err(ERR_MEMORY_ALLOC));
        // Nothing is lost: the frame comes with the next call.
        let (first, point) = next().unwrap();
        assert_eq!(unsafe { (*first).Data.FrameOrder }, 0);
        assert_eq!(runtime.sync(session, point), ERR_ABORTED);
        let (second, _) = next().unwrap();
        assert_eq!(next(), Err(WRN_ALLOC_TIMEOUT_EXPIRED));
        runtime.release(first);
        let (third, point) = next().unwrap();
        assert_eq!(unsafe { (*third).Data.FrameOrder }, 2);
        assert_eq!(runtime.sync(session, point), ERR_NONE);
        assert_eq!(next(), Err(ERR_INCOMPATIBLE_VIDEO_PARAM));
        runtime.release(second);
        runtime.release(third);
        let mut left = Vec::new();
        assert_eq!(runtime.feed(session, Some(&mut stream), &mut left), ERR_MORE_DATA);
        assert_eq!(runtime.feed(session, None, &mut left), ERR_MORE_DATA);
        assert_eq!(left.len(), 17 * 178 * 146 * 3 / 2);
        unsafe { (runtime.MFXClose)(session) };
    };
    let set = "fail.surface=1:memory;fail.decode.at=1:aborted;surfaces=2;fail.decode.call=6:incompatible";
    scenario("a_decoder_lacks_memory_and_surfaces", &[("VPLSIM_SET", set)], body).clean();
}

#[test]
fn engines_take_as_long_as_they_are_told() {
    let body = || {
        let runtime = Runtime::open();
        let session = runtime.session();
        let mut parameters = encoding(CODEC_AVC);
        parameters.AsyncDepth = 2;
        unsafe { (runtime.MFXVideoENCODE_Init)(session, &parameters) };
        let frames: Vec<_> = (0..3).map(|number| runtime.input(session, number)).collect();
        let (mut buffers, mut points) = (vec![vec![0; 300_000]; 3], [std::ptr::null_mut(); 3]);
        let mut streams: Vec<_> = buffers.iter_mut().map(|buffer| empty(buffer)).collect();
        let began = Instant::now();
        let mut give = |at: usize| unsafe {
            (runtime.MFXVideoENCODE_EncodeFrameAsync)(
                session,
                std::ptr::null(),
                frames[at],
                &mut streams[at],
                &mut points[at],
            )
        };
        assert_eq!([give(0), give(1), give(2)], [ERR_NONE, ERR_NONE, WRN_DEVICE_BUSY]);
        let wait =
            |point: Handle, wait: u32| unsafe { (runtime.MFXVideoCORE_SyncOperation)(session, point, wait) };
        assert_eq!(wait(points[1], 0), WRN_IN_EXECUTION);
        assert_eq!(wait(points[1], u32::MAX), ERR_NONE);
        assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(wait(points[0], u32::MAX), ERR_NONE);
        frames.into_iter().for_each(|frame| runtime.release(frame));
        unsafe { (runtime.MFXClose)(session) };
    };
    scenario("engines_take_as_long_as_they_are_told", &[("VPLSIM_SET", "time.encode_us=1000000")], body)
        .clean();
}

#[test]
fn one_of_many_resets_is_refused() {
    let body = || {
        let runtime = Runtime::open();
        let session = runtime.session();
        let parameters = encoding(CODEC_AVC);
        unsafe {
            assert_eq!((runtime.MFXVideoENCODE_Init)(session, &parameters), ERR_MEMORY_ALLOC);
            assert_eq!((runtime.MFXVideoENCODE_Init)(session, &parameters), ERR_NONE);
            let reset = || (runtime.MFXVideoENCODE_Reset)(session, &parameters);
            assert_eq!([reset(), reset(), reset()], [ERR_NONE, ERR_DEVICE_FAILED, ERR_NONE]);
            (runtime.MFXClose)(session);
        }
    };
    let set = [("VPLSIM_SET", "fail.encode.reset=2:failed;fail.encode.init=1:memory")];
    scenario("one_of_many_resets_is_refused", &set, body).clean();
}

#[test]
fn an_operation_may_never_be_done() {
    let body = || {
        let (runtime, folder) = (Runtime::open(), tempfile::tempdir().unwrap());
        let path = made(folder.path(), "a.h264", "-pix_fmt yuv420p -c:v libx264 -bf 0").unwrap();
        let mut data = std::fs::read(&path).unwrap();
        let session = runtime.session();
        runtime.decoder(session, CODEC_AVC, &mut data);
        let mut stream = bitstream(&mut data, false);
        let mut next = || runtime.decode(session, &mut stream, std::ptr::null_mut()).unwrap();
        let ((first, one), (stuck, two), (third, three)) = (next(), next(), next());
        assert_eq!(runtime.sync(session, one), ERR_NONE);
        let wait = |point: Handle| unsafe { (runtime.MFXVideoCORE_SyncOperation)(session, point, 20) };
        assert_eq!([wait(two), wait(two)], [WRN_IN_EXECUTION; 2]);
        let table = unsafe { &*(*stuck).FrameInterface };
        unsafe { assert_eq!(table.Synchronize.unwrap()(stuck, 5), WRN_IN_EXECUTION) };
        assert_eq!(wait(three), ERR_NONE);
        for frame in [first, stuck, third] {
            runtime.release(frame);
        }
        unsafe { (runtime.MFXClose)(session) };
    };
    let set = [("VPLSIM_SET", "stuck.decode.at=2")];
    scenario("an_operation_may_never_be_done", &set, body).clean();
}

#[test]
fn components_are_refused_on_order() {
    let body = || {
        let runtime = Runtime::open();
        let session = runtime.session();
        assert_eq!(
            unsafe { (runtime.MFXVideoENCODE_Init)(session, &encoding(CODEC_AVC)) },
            ERR_DEVICE_FAILED
        );
        unsafe { (runtime.MFXClose)(session) };
    };
    let set = [("VPLSIM_SET", "init.encode.fail=failed")];
    scenario("components_are_refused_on_order", &set, body).clean();
}
