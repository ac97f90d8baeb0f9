//! Every rule of the encoder library, broken on purpose and seen in the report.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::scenario;
use crate::nvenc_client::{Client, Driver, at};
use nvsim::nvenc::abi::{INFINITE_GOP, NvStatus, flags, init_bits, types};
use nvsim::nvenc::rules;
use nvsim::nvenc::versions::{Api, Struct};

const CANNED: (&str, &str) = ("NVSIM_SET", "canned.encode=true");

/// Declares tests that break one rule each, in a session of the newest API with canned pictures.
macro_rules! breaches {
    ($($test:ident $rule:ident: $body:expr;)*) => {
        $(#[test]
        fn $test() {
            let body: fn(&Driver) = $body;
            scenario(stringify!($test), &[CANNED], || body(&Driver::new(Api::V13_0))).breach(rules::$rule.name);
        })*

        #[test]
        fn every_rule_is_broken_here() {
            let broken = [$(rules::$rule.name),*];
            let missing: Vec<_> =
                rules::ALL.iter().map(|rule| rule.name).filter(|name| !broken.contains(name)).collect();
            // The last one has a test of its own below, which cannot use this frame.
            assert_eq!(missing, [rules::TWO_THREADS.name]);
        }
    };
}

/// A session with one picture coded and not yet locked.
fn submitted(driver: &Driver, b_frames: i32) -> Client<'_> {
    let client = Client::ready(driver, b_frames, 4);
    client.fill(client.inputs[0], 0);
    assert_eq!(client.submit(client.inputs[0], client.outputs[0], 0), NvStatus::SUCCESS);
    client
}

fn resource(client: &Client) -> (usize, usize) {
    let address = client.driver.alloc(192 * 128 * 3 / 2);
    (address, client.register(address, 192).unwrap())
}

breaches! {
    newer_api API_VERSION: |driver| {
        assert_eq!(driver.open_on(driver.context, 0x0100_000d).1, NvStatus::INVALID_VERSION);
    };
    struct_word STRUCT_VERSION: |driver| {
        let mut client = Client::open(driver);
        assert_eq!(client.init(|init, _| init.version ^= 1 << 16), NvStatus::INVALID_VERSION);
        assert_eq!(client.init(|_, config| config.version = 0), NvStatus::INVALID_VERSION);
    };
    old_open OLD_OPEN: |driver| {
        assert_eq!(driver.call(at::OPEN_OLD, [driver.context, 1, 0, 0, 0]), NvStatus::INVALID_CALL);
    };
    context_destroyed_before_its_session CONTEXT_DEAD: |driver| {
        let client = submitted(driver, 0);
        driver.destroy_context();
        assert_eq!(client.submit(client.inputs[1], client.outputs[1], 1), NvStatus::INVALID_DEVICE);
    };
    foreign_context CONTEXT_FOREIGN: |driver| {
        let client = Client::ready(driver, 0, 1);
        let address = driver.alloc(192 * 128 * 3 / 2);
        let other = driver.new_context();
        assert_eq!(driver.cuda_call("cuCtxPushCurrent_v2", [other, 0, 0, 0]), 0);
        client.register(address, 192).unwrap();
    };
    destroy_without_eos DESTROY_WITHOUT_EOS: |driver| {
        let client = submitted(driver, 0);
        client.take(client.outputs[0]);
        client.close();
    };
    destroy_live DESTROY_LIVE: |driver| {
        let client = Client::ready(driver, 0, 1);
        assert_eq!(client.call(at::DESTROY, 0), NvStatus::SUCCESS);
    };
    destroy_in_use DESTROY_IN_USE: |driver| {
        let client = submitted(driver, 0);
        assert_eq!(client.call(at::DESTROY_OUTPUT, client.outputs[0]), NvStatus::SUCCESS);
    };
    dead_session DEAD_SESSION: |driver| {
        let client = Client::open(driver);
        assert_eq!(client.call(at::DESTROY, 0), NvStatus::SUCCESS);
        assert_eq!(client.call(at::DESTROY, 0), NvStatus::INVALID_ENCODERDEVICE);
    };
    dead_buffer DEAD_BUFFER: |driver| {
        let client = Client::ready(driver, 0, 1);
        let input = client.create_input().unwrap();
        assert_eq!(client.call(at::DESTROY_INPUT, input), NvStatus::SUCCESS);
        assert_eq!(client.lock_input(input, false).unwrap_err(), NvStatus::INVALID_PARAM);
    };
    force_idr_without_ptd FORCE_IDR_PTD: |driver| {
        let mut client = Client::open(driver);
        let status = client.init(|init, config| {
            init.enable_ptd = 0;
            config.frame_interval_p = 1;
        });
        assert_eq!(status, NvStatus::SUCCESS);
        client.buffers(1);
        client.submit_with(client.inputs[0], client.outputs[0], 0, |p| p.flags = flags::FORCE_IDR);
    };
    b_in_infinite_gop B_INFINITE_GOP: |driver| {
        let mut client = Client::open(driver);
        assert_eq!(client.init(|_, config| config.gop_length = INFINITE_GOP), NvStatus::SUCCESS);
    };
    b_with_weights B_WEIGHTED: |driver| {
        let mut client = Client::open(driver);
        let status = client.init(|init, _| init.bits |= init_bits::WEIGHTED_PREDICTION);
        assert_eq!(status, NvStatus::INVALID_PARAM);
    };
    b_with_ltr B_LTR: |driver| {
        let mut client = Client::open(driver);
        assert_eq!(client.init(|_, config| config.h264().bits |= 1 << 14), NvStatus::INVALID_PARAM);
    };
    asynchronous ASYNC: |driver| {
        let mut client = Client::open(driver);
        assert_eq!(client.init(|init, _| init.enable_async = 1), NvStatus::UNSUPPORTED_PARAM);
    };
    initialise_twice INIT_TWICE: |driver| {
        let mut client = Client::ready(driver, 0, 1);
        assert_eq!(client.init(|_, _| {}), NvStatus::INVALID_CALL);
    };
    before_initialisation BEFORE_INIT: |driver| {
        let client = Client::open(driver);
        assert_eq!(client.create_input().unwrap_err(), NvStatus::ENCODER_NOT_INITIALIZED);
    };
    encode_locked_input INPUT_LOCKED: |driver| {
        let client = Client::ready(driver, 0, 1);
        client.lock_input(client.inputs[0], false).unwrap();
        assert_eq!(client.submit(client.inputs[0], client.outputs[0], 0), NvStatus::INVALID_PARAM);
    };
    lock_busy_input LOCK_BUSY_INPUT: |driver| {
        let client = submitted(driver, 1);
        assert_eq!(client.submit(client.inputs[1], client.outputs[1], 1), NvStatus::NEED_MORE_INPUT);
        assert_eq!(client.lock_input(client.inputs[1], true).unwrap_err(), NvStatus::ENCODER_BUSY);
        assert_eq!(client.lock_input(client.inputs[1], false).unwrap_err(), NvStatus::ENCODER_BUSY);
    };
    lock_input_twice INPUT_LOCK_STATE: |driver| {
        let client = Client::ready(driver, 0, 1);
        client.lock_input(client.inputs[0], false).unwrap();
        assert_eq!(client.lock_input(client.inputs[0], false).unwrap_err(), NvStatus::INVALID_CALL);
    };
    odd_pitch BAD_PITCH: |driver| {
        let client = Client::ready(driver, 0, 1);
        let address = driver.alloc(194 * 128 * 3 / 2);
        assert_eq!(client.register(address, 194).unwrap_err(), NvStatus::INVALID_PARAM);
    };
    beyond_the_allocation BAD_RANGE: |driver| {
        let client = Client::ready(driver, 0, 1);
        let address = driver.alloc(192 * 128);
        assert_eq!(client.register(address, 192).unwrap_err(), NvStatus::RESOURCE_REGISTER_FAILED);
    };
    map_unregistered NOT_REGISTERED: |driver| {
        let client = Client::ready(driver, 0, 1);
        assert_eq!(client.map(0x1234).unwrap_err(), NvStatus::RESOURCE_NOT_REGISTERED);
    };
    map_twice DOUBLE_MAP: |driver| {
        let client = Client::ready(driver, 0, 1);
        let (_, registered) = resource(&client);
        client.map(registered).unwrap();
        assert_eq!(client.map(registered).unwrap_err(), NvStatus::MAP_FAILED);
    };
    encode_unmapped INPUT_NOT_MAPPED: |driver| {
        let client = Client::ready(driver, 0, 1);
        let (_, registered) = resource(&client);
        assert_eq!(client.submit(registered, client.outputs[0], 0), NvStatus::RESOURCE_NOT_MAPPED);
    };
    other_format WRONG_FORMAT: |driver| {
        let client = Client::ready(driver, 0, 1);
        let status = client.submit_with(client.inputs[0], client.outputs[0], 0, |p| p.format = 0x100);
        assert_eq!(status, NvStatus::INVALID_PARAM);
    };
    written_on_a_stream PENDING_WRITE: |driver| {
        let client = Client::ready(driver, 0, 1);
        let (address, registered) = resource(&client);
        let mapped = client.map(registered).unwrap();
        driver.push();
        let stream = driver.stream();
        // Work that takes its time keeps the write behind it unfinished.
        driver.occupy(stream, Duration::from_secs(2));
        driver.set_bytes(address, 1, 1000, stream);
        assert_eq!(client.submit(mapped, client.outputs[0], 0), NvStatus::SUCCESS);
    };
    other_size INPUT_SIZE: |driver| {
        let client = Client::ready(driver, 0, 1);
        let status = client.submit_with(client.inputs[0], client.outputs[0], 0, |p| p.width -= 2);
        assert_eq!(status, NvStatus::INVALID_PARAM);
    };
    unmap_early UNMAP_EARLY: |driver| {
        let client = Client::ready(driver, 0, 1);
        let (_, registered) = resource(&client);
        let mapped = client.map(registered).unwrap();
        assert_eq!(client.submit(mapped, client.outputs[0], 0), NvStatus::SUCCESS);
        assert_eq!(client.call(at::UNMAP, mapped), NvStatus::SUCCESS);
    };
    unregister_mapped UNREGISTER_MAPPED: |driver| {
        let client = Client::ready(driver, 0, 1);
        let (_, registered) = resource(&client);
        client.map(registered).unwrap();
        client.call(at::UNREGISTER, registered);
    };
    unmap_twice NOT_MAPPED: |driver| {
        let client = Client::ready(driver, 0, 1);
        let (_, registered) = resource(&client);
        let mapped = client.map(registered).unwrap();
        assert_eq!(client.call(at::UNMAP, mapped), NvStatus::SUCCESS);
        assert_eq!(client.call(at::UNMAP, mapped), NvStatus::RESOURCE_NOT_MAPPED);
    };
    freed_input FREED_INPUT: |driver| {
        let client = Client::ready(driver, 0, 1);
        let (address, registered) = resource(&client);
        driver.free(address);
        assert_eq!(client.map(registered).unwrap_err(), NvStatus::MAP_FAILED);
    };
    lock_before_success LOCK_BEFORE_SUCCESS: |driver| {
        let client = submitted(driver, 2);
        client.take(client.outputs[0]);
        assert_eq!(client.submit(client.inputs[1], client.outputs[1], 1), NvStatus::NEED_MORE_INPUT);
        assert_eq!(client.lock(client.outputs[1]).unwrap_err(), NvStatus::INVALID_PARAM);
    };
    output_pending OUTPUT_PENDING: |driver| {
        let client = submitted(driver, 0);
        assert_eq!(client.submit(client.inputs[1], client.outputs[0], 1), NvStatus::INVALID_PARAM);
    };
    input_written INPUT_WRITTEN: |driver| {
        let client = Client::ready(driver, 0, 1);
        let locked = client.lock_input(client.inputs[0], false).unwrap();
        assert_eq!(client.call(at::UNLOCK_INPUT, client.inputs[0]), NvStatus::SUCCESS);
        assert_eq!(client.submit(client.inputs[0], client.outputs[0], 0), NvStatus::SUCCESS);
        locked.set(0, locked.bytes, 0x55);
        client.take(client.outputs[0]);
    };
    same_timestamp DUPLICATE_TIME: |driver| {
        let client = submitted(driver, 0);
        assert_eq!(client.submit(client.inputs[1], client.outputs[1], 0), NvStatus::SUCCESS);
    };
    eos_with_buffers EOS_BUFFERS: |driver| {
        let client = submitted(driver, 0);
        let status = client.submit_with(client.inputs[1], client.outputs[1], 1, |p| p.flags = flags::EOS);
        assert_eq!(status, NvStatus::INVALID_PARAM);
    };
    lock_out_of_order LOCK_ORDER: |driver| {
        let client = submitted(driver, 0);
        assert_eq!(client.submit(client.inputs[1], client.outputs[1], 1), NvStatus::SUCCESS);
        assert_eq!(client.lock(client.outputs[1]).unwrap_err(), NvStatus::INVALID_PARAM);
        client.take(client.outputs[0]);
        client.take(client.outputs[1]);
    };
    lock_not_submitted LOCK_NOT_SUBMITTED: |driver| {
        let client = Client::ready(driver, 0, 1);
        assert_eq!(client.lock(client.outputs[0]).unwrap_err(), NvStatus::INVALID_PARAM);
    };
    do_not_wait DO_NOT_WAIT: |driver| {
        let client = submitted(driver, 0);
        client.lock_with(client.outputs[0], 1).unwrap();
    };
    encode_locked_output OUTPUT_LOCKED: |driver| {
        let client = submitted(driver, 0);
        client.lock(client.outputs[0]).unwrap();
        assert_eq!(client.submit(client.inputs[1], client.outputs[0], 1), NvStatus::INVALID_PARAM);
    };
    lock_twice DOUBLE_LOCK: |driver| {
        let client = submitted(driver, 0);
        client.lock(client.outputs[0]).unwrap();
        assert_eq!(client.lock(client.outputs[0]).unwrap_err(), NvStatus::INVALID_CALL);
    };
    unlock_unlocked UNLOCK_NOT_LOCKED: |driver| {
        let client = submitted(driver, 0);
        assert_eq!(client.call(at::UNLOCK, client.outputs[0]), NvStatus::INVALID_CALL);
    };
    sequence_params_elsewhere SEQUENCE_THREAD: |driver| {
        let client = submitted(driver, 0);
        std::thread::scope(|scope| scope.spawn(|| client.headers(512).unwrap()).join()).unwrap();
    };
    forbidden_reconfiguration RECONFIGURE_FORBIDDEN: |driver| {
        let mut client = submitted(driver, 0);
        let status = client.reconfigure(0, |_, config, _| config.gop_length = 10);
        assert_eq!(status, NvStatus::INVALID_PARAM);
        let status = client.reconfigure(0, |init, _, _| init.width += 16);
        assert_eq!(status, NvStatus::INVALID_PARAM);
        client.take(client.outputs[0]);
    };
    reset_without_idr RESET_WITHOUT_IDR: |driver| {
        let mut client = submitted(driver, 0);
        assert_eq!(client.reconfigure(0, |_, _, bits| *bits = 1), NvStatus::SUCCESS);
    };
}

/// One that fails keeps the other no longer.
struct Over<'a>(&'a AtomicUsize);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }
}

#[test]
fn two_threads_encode() {
    // Without canned pictures EncodePicture copies the picture, and the two threads meet soon.
    let outcome = scenario("two_threads_encode", &[], || {
        let driver = Driver::new(Api::V13_0);
        let mut client = Client::open(&driver);
        (client.width, client.height) = (1920, 1088);
        assert_eq!(client.init(|_, config| config.frame_interval_p = 1), NvStatus::SUCCESS);
        client.buffers(8);
        let (client, barrier) = (&client, &std::sync::Barrier::new(2));
        // Each goes on until both have been in there often: a machine may let one of them wait for long.
        let calls = &[const { AtomicUsize::new(0) }; 2];
        std::thread::scope(|scope| {
            for thread in 0..2 {
                scope.spawn(move || {
                    let _over = Over(&calls[thread]);
                    barrier.wait();
                    for n in 0..4 {
                        let at = thread * 4 + n;
                        client.submit(client.inputs[at], client.outputs[at], at as u64);
                    }
                    while calls.iter().any(|calls| calls.load(Ordering::Relaxed) < 5000) {
                        assert_eq!(client.eos(), NvStatus::SUCCESS);
                        calls[thread].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
    });
    outcome.breach(rules::TWO_THREADS.name);
}

#[test]
fn an_older_driver_refuses_a_newer_client() {
    let settings = [("NVSIM_SET", "driver.nvenc=12.1")];
    let outcome = scenario("an_older_driver_refuses_a_newer_client", &settings, || {
        let mut driver = Driver::new(Api::V12_1);
        assert_eq!(
            driver.create_instance(Api::V12_2.struct_word(Struct::FunctionList)),
            NvStatus::SUCCESS,
            "the list is filled for anybody"
        );
        driver.api = Api::V12_2;
        assert_eq!(driver.open().1, NvStatus::INVALID_VERSION);
        assert_eq!(driver.create_instance(0), NvStatus::INVALID_VERSION, "but for those who say nothing");
    });
    let names = outcome.ok().violations();
    assert_eq!(names.iter().filter(|name| *name == rules::API_VERSION.name).count(), 3, "{names:?}");
}

#[test]
fn picture_types_are_named() {
    // What the rules speak of is what the client reads: I1 is an IDR picture.
    scenario("picture_types_are_named", &[CANNED], || {
        let driver = Driver::new(Api::V13_0);
        let client = submitted(&driver, 0);
        assert_eq!(client.take(client.outputs[0]).kind, types::IDR);
        assert_eq!(client.eos(), NvStatus::SUCCESS);
        client.close();
        driver.destroy_context();
    })
    .clean();
}
