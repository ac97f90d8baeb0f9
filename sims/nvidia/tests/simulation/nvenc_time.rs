//! The model of time: an engine is never faster than the configuration says, and the report tells what each was given. How
//! late the machine is does not matter here: the times themselves are printed, and judged by nobody.

use std::time::{Duration, Instant};

use crate::common::scenario;
use crate::nvenc_client::{Client, Driver};
use nvsim::nvenc::abi::NvStatus;
use nvsim::nvenc::versions::Api;

/// Codes `pictures` with four in flight, from the first submission to the last lock.
fn drive(client: &Client, pictures: u64) -> Duration {
    let begin = Instant::now();
    for n in 0..pictures + 4 {
        let at = (n % 4) as usize;
        if n >= 4 {
            client.take(client.outputs[at]);
        }
        if n < pictures {
            assert_eq!(client.submit(client.inputs[at], client.outputs[at], n), NvStatus::SUCCESS);
        }
    }
    begin.elapsed()
}

const ONE: &str =
    "canned.encode=true;time.enabled=true;time.encode_ns_per_frame=1000000;device.0.nvenc_engines=1";
const TWO: &str =
    "canned.encode=true;time.enabled=true;time.encode_ns_per_frame=1000000;device.0.nvenc_engines=2";

/// What the report says of each engine of the first card; the work of each is its pictures' time.
fn pictures_by_engine(report: &serde_json::Value) -> Vec<u64> {
    let usage = report["sections"]["nvenc"]["engines"][0].as_array().unwrap();
    let pictures = usage.iter().map(|engine| {
        let pictures = engine["pictures"].as_u64().unwrap();
        assert_eq!(engine["busy_ns"], pictures * 1_000_000);
        pictures
    });
    pictures.collect()
}

#[test]
fn three_hundred_pictures_of_a_millisecond_take_their_time() {
    let body = || {
        let driver = Driver::new(Api::V13_0);
        let client = Client::ready(&driver, 0, 4);
        let took = drive(&client, 300);
        println!("300 pictures of 1 ms took {took:?}");
        assert!(took >= Duration::from_millis(300), "faster than the engine: {took:?}");
    };
    let test = "three_hundred_pictures_of_a_millisecond_take_their_time";
    let outcome = scenario(test, &[("NVSIM_SET", ONE)], body).ok();
    assert_eq!(pictures_by_engine(&outcome.report), [300]);
}

/// Two sessions with 300 pictures each, side by side.
fn two_sessions(least: Duration) {
    let driver = Driver::new(Api::V13_0);
    let clients = [Client::ready(&driver, 0, 4), Client::ready(&driver, 0, 4)];
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| drive(client, 300));
        }
    });
    let took = begin.elapsed();
    println!("2 x 300 pictures of 1 ms took {took:?}, at least {least:?}");
    assert!(took >= least, "faster than the engines: {took:?}");
}

#[test]
fn two_sessions_share_one_engine() {
    let body = || two_sessions(Duration::from_millis(600));
    let outcome = scenario("two_sessions_share_one_engine", &[("NVSIM_SET", ONE)], body).ok();
    assert_eq!(pictures_by_engine(&outcome.report), [600]);
}

#[test]
fn two_sessions_have_an_engine_each() {
    let body = || two_sessions(Duration::from_millis(300));
    let outcome = scenario("two_sessions_have_an_engine_each", &[("NVSIM_SET", TWO)], body).ok();
    let pictures = pictures_by_engine(&outcome.report);
    assert_eq!((pictures.len(), pictures.iter().sum::<u64>()), (2, 600));
    // Whichever is free first is taken, so neither is left out.
    assert!(pictures.iter().all(|engine| *engine > 0), "{pictures:?}");
}
