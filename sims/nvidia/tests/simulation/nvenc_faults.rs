//! Faults on order in the encoder library.

use std::time::{Duration, Instant};

use crate::common::scenario;
use crate::nvenc_client::{Client, Driver, at};
use nvsim::nvenc::abi::NvStatus;
use nvsim::nvenc::versions::Api;

fn with_faults(test: &str, script: &str, set: &str, body: impl FnOnce()) -> crate::common::Outcome {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("faults.toml");
    std::fs::write(&file, script).unwrap();
    // The child gets its path by the environment; only the parent's directory counts.
    let path = std::env::var("NVSIM_CONFIG").unwrap_or_else(|_| file.to_str().unwrap().to_owned());
    scenario(test, &[("NVSIM_CONFIG", &path), ("NVSIM_SET", set)], body)
}

#[test]
fn a_call_fails_on_order() {
    let script = "[[fault]]\nfunction = 'nvEncEncodePicture'\ncall = 2\ncode = 18\n";
    with_faults("a_call_fails_on_order", script, "canned.encode=true", || {
        let driver = Driver::new(Api::V13_0);
        let client = Client::ready(&driver, 0, 2);
        assert_eq!(client.submit(client.inputs[0], client.outputs[0], 0), NvStatus::SUCCESS);
        assert_eq!(client.submit(client.inputs[1], client.outputs[1], 1), NvStatus::ENCODER_BUSY);
        assert_eq!(client.submit(client.inputs[1], client.outputs[1], 1), NvStatus::SUCCESS);
        client.take(client.outputs[0]);
        client.take(client.outputs[1]);
        assert_eq!(client.eos(), NvStatus::SUCCESS);
        client.close();
        driver.destroy_context();
    })
    .clean();
}

#[test]
fn one_picture_is_damaged_and_no_other() {
    let script = "[[fault]]\nfunction = 'nvEncEncodePicture'\ncall = 2\ncorrupt = true\n";
    with_faults("one_picture_is_damaged_and_no_other", script, "", || {
        let driver = Driver::new(Api::V13_0);
        let runs: Vec<_> = (0..2)
            .map(|_| {
                let client = Client::ready(&driver, 0, 2);
                let pictures = client.run(0, 3);
                client.close();
                pictures
            })
            .collect();
        let same: Vec<_> = (0..3).map(|n| runs[0][n].data == runs[1][n].data).collect();
        assert_eq!(same, [true, false, true]);
        driver.destroy_context();
    })
    .clean();
}

#[test]
fn a_lost_device_wakes_who_waits() {
    let script = "[[fault]]\nfunction = 'nvEncSetIOCudaStreams'\ndevice_lost = true\n";
    let set = "canned.encode=true;time.enabled=true;time.encode_ns_per_frame=60000000000";
    with_faults("a_lost_device_wakes_who_waits", script, set, || {
        let driver = Driver::new(Api::V13_0);
        let client = Client::ready(&driver, 0, 2);
        assert_eq!(client.submit(client.inputs[0], client.outputs[0], 0), NvStatus::SUCCESS);
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| client.lock(client.outputs[0]).unwrap_err());
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(client.call(at::IO_STREAMS, 0), NvStatus::DEVICE_NOT_EXIST);
            assert_eq!(waiting.join().unwrap(), NvStatus::DEVICE_NOT_EXIST);
        });
        assert!(begin.elapsed() < Duration::from_secs(30), "the picture would have taken a minute");
        assert_eq!(client.submit(client.inputs[1], client.outputs[1], 1), NvStatus::DEVICE_NOT_EXIST);
        client.close();
    })
    .ok();
}

#[test]
fn a_busy_output_is_said_so() {
    let set = "canned.encode=true;time.enabled=true;time.encode_ns_per_frame=2000000000";
    let outcome = scenario("a_busy_output_is_said_so", &[("NVSIM_SET", set)], || {
        let driver = Driver::new(Api::V13_0);
        let client = Client::ready(&driver, 0, 1);
        assert_eq!(client.submit(client.inputs[0], client.outputs[0], 0), NvStatus::SUCCESS);
        assert_eq!(client.lock_with(client.outputs[0], 1).unwrap_err(), NvStatus::LOCK_BUSY);
        client.take(client.outputs[0]);
        assert_eq!(client.eos(), NvStatus::SUCCESS);
        client.close();
        driver.destroy_context();
    })
    .breach("do-not-wait-on-linux");
    assert_eq!(outcome.report["sections"]["nvenc"]["sessions"][0]["busy"], 1);
}
