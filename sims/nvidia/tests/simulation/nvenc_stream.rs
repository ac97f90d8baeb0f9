//! Clients that keep the rules: what they get, that nothing is held against them, and that FFmpeg can read it.

use std::collections::VecDeque;
use std::process::Command;
use std::sync::mpsc::channel;

use crate::common::scenario;
use crate::nvenc_client::{Block, Client, Driver, Picture, at};
use nvsim::nvenc::abi::{
    Config, Guid, LockBitstream, NvStatus, SeiPayload, flags, guids, rc_bits, rc_modes, types,
};
use nvsim::nvenc::versions::{Api, Struct};

const CANNED: (&str, &str) = ("NVSIM_SET", "canned.encode=true");

/// Kinds in coding order, one letter each.
fn letters(pictures: &[Picture]) -> String {
    let letter = |picture: &Picture| match picture.kind {
        types::IDR => 'D',
        types::I => 'I',
        types::P => 'P',
        _ => 'b',
    };
    pictures.iter().map(letter).collect()
}

fn times(pictures: &[Picture]) -> Vec<u64> {
    pictures.iter().map(|picture| picture.timestamp).collect()
}

/// Picture types in display order as FFmpeg sees them, and whether it complained. `None` without FFmpeg.
fn decode(stream: &[u8], format: &str) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("stream");
    std::fs::write(&file, stream).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-f", format, "-show_entries", "frame=pict_type", "-of", "csv=p=0"])
        .arg(&file)
        .env_remove("LD_LIBRARY_PATH")
        .output();
    let Ok(output) = output else {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no ffprobe here, the stream is not decoded\n"),
        );
        return None;
    };
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| line.trim_matches(',')).collect())
}

/// Runs a body on a driver of the newest API, with a context that is destroyed afterwards, and holds it to be clean.
#[track_caller]
fn clean(test: &str, settings: &[(&str, &str)], body: impl FnOnce(&Driver)) {
    scenario(test, settings, || {
        let driver = Driver::new(Api::V13_0);
        body(&driver);
        driver.destroy_context();
    })
    .clean();
}

/// A picture every so many of which is an IDR picture.
fn idr_every(pictures: u32, codec: Guid, config: &mut Config) {
    config.gop_length = pictures;
    if codec == guids::H264 {
        config.h264().idr_period = pictures;
    } else {
        config.hevc().idr_period = pictures;
    }
}

fn bytes(pictures: &[Picture]) -> Vec<u8> {
    pictures.iter().flat_map(|picture| picture.data.clone()).collect()
}

#[test]
fn outputs_are_filled_in_order_of_submission() {
    clean("outputs_are_filled_in_order_of_submission", &[CANNED], |driver| {
        let client = Client::ready(driver, 1, 4);
        let submit = |n: usize| {
            client.fill(client.inputs[n], n as u64);
            client.submit(client.inputs[n], client.outputs[n], n as u64)
        };
        assert_eq!(submit(0), NvStatus::SUCCESS);
        assert_eq!(submit(1), NvStatus::NEED_MORE_INPUT);
        assert_eq!(submit(2), NvStatus::SUCCESS);
        assert_eq!(client.eos(), NvStatus::SUCCESS);
        let pictures: Vec<_> = (0..3).map(|n| client.take(client.outputs[n])).collect();
        assert_eq!((letters(&pictures), times(&pictures)), ("DPb".to_owned(), vec![0, 2, 1]));
        assert_eq!(client.eos(), NvStatus::SUCCESS, "an end of stream may come again");
        client.close();
    });
}

#[test]
fn lookahead_keeps_pictures_back() {
    scenario("lookahead_keeps_pictures_back", &[CANNED], || {
        let driver = Driver::new(Api::V12_2);
        let client = Client::with(&driver, guids::H264, 12, |_, config| {
            config.frame_interval_p = 3;
            config.rc.bits |= rc_bits::LOOKAHEAD;
            config.rc.lookahead_depth = 5;
        });
        let answers: Vec<_> = (0..9)
            .map(|n| {
                client.fill(client.inputs[n], n as u64);
                client.submit(client.inputs[n], client.outputs[n], n as u64)
            })
            .collect();
        assert_eq!(answers[..5], [NvStatus::NEED_MORE_INPUT; 5]);
        assert_eq!(answers[5..], [NvStatus::SUCCESS; 4]);
        assert_eq!(client.eos(), NvStatus::SUCCESS);
        let pictures: Vec<_> = (0..9).map(|n| client.take(client.outputs[n])).collect();
        assert_eq!(letters(&pictures), "DPbbPbbPb");
        client.close();
        driver.destroy_context();
    })
    .clean();
}

/// A submit thread, a reaper thread, B pictures, lookahead, a reconfiguration, an end of stream in between.
fn streaming(api: Api, codec: Guid, format: &str) {
    let driver = Driver::new(api);
    let settings = |config: &mut Config| {
        config.frame_interval_p = 3;
        idr_every(20, codec, config);
        config.rc.bits |= rc_bits::LOOKAHEAD;
        config.rc.lookahead_depth = 4;
    };
    let mut client = Client::with(&driver, codec, 16, |_, config| settings(config));
    let headers = client.headers(512).unwrap();
    assert!(headers.starts_with(&[0, 0, 0, 1]));
    let (to_reaper, reaper_in) = channel::<usize>();
    let (to_submit, submit_in) = channel::<usize>();
    for at in 0..16 {
        to_submit.send(at).unwrap();
    }
    let driver = &driver;
    let (encoder, outputs) = (client.encoder, client.outputs.clone());
    let pictures = std::thread::scope(|scope| {
        let reaper = scope.spawn(move || {
            let client = Client {
                driver,
                encoder,
                codec,
                width: crate::nvenc_client::WIDTH,
                height: crate::nvenc_client::HEIGHT,
                inputs: Vec::new(),
                outputs,
            };
            let mut pictures = Vec::new();
            for at in reaper_in {
                pictures.push(client.take(client.outputs[at]));
                let _ = to_submit.send(at);
            }
            pictures
        });
        let mut pending = VecDeque::new();
        for n in 0..60u64 {
            // Outputs come back in order of submission, inputs in coding order: with 16 of each and at most six
            // held back, the input of the oldest output is free as well by the time it comes round.
            let at = submit_in.recv().unwrap();
            let input = client.inputs[at];
            while let Err(status) = client.lock_input(input, true) {
                assert_eq!(status, NvStatus::ENCODER_BUSY);
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            assert_eq!(client.call(at::UNLOCK_INPUT, input), NvStatus::SUCCESS);
            client.fill(input, n);
            if n == 33 {
                let status = client.reconfigure(2, |_, config, bits| {
                    settings(config);
                    config.rc.average_bit_rate = 200_000;
                    *bits = 3;
                });
                assert_eq!(status, NvStatus::SUCCESS);
            }
            pending.push_back(at);
            match client.submit(input, client.outputs[at], n) {
                NvStatus::SUCCESS => pending.drain(..).for_each(|at| to_reaper.send(at).unwrap()),
                NvStatus::NEED_MORE_INPUT => {}
                status => panic!("{status:?}"),
            }
            if n == 47 {
                assert_eq!(client.eos(), NvStatus::SUCCESS);
                pending.drain(..).for_each(|at| to_reaper.send(at).unwrap());
            }
        }
        assert_eq!(client.eos(), NvStatus::SUCCESS);
        pending.drain(..).for_each(|at| to_reaper.send(at).unwrap());
        drop(to_reaper);
        reaper.join().unwrap()
    });
    client.close();
    driver.destroy_context();
    let mut order = times(&pictures);
    assert_ne!(order, (0..60).collect::<Vec<_>>(), "coding order is not display order");
    order.sort_unstable();
    assert_eq!(order, (0..60).collect::<Vec<_>>());
    let idr: Vec<_> = pictures.iter().filter(|p| p.kind == types::IDR).map(|p| p.timestamp).collect();
    assert_eq!(idr, [0, 20, 33, 48], "the GOP, the reconfiguration, the end of stream");
    let mut stream = headers;
    stream.extend(bytes(&pictures));
    if let Some(kinds) = decode(&stream, format) {
        assert_eq!(kinds.len(), 60, "{kinds}");
        assert_eq!(kinds.chars().nth(33), Some('I'), "{kinds}");
    }
}

#[test]
fn a_streaming_client_is_clean() {
    scenario("a_streaming_client_is_clean", &[], || streaming(Api::V13_0, guids::H264, "h264")).clean();
}

#[test]
fn a_streaming_client_of_12_1_is_clean() {
    scenario("a_streaming_client_of_12_1_is_clean", &[], || streaming(Api::V12_1, guids::HEVC, "hevc"))
        .clean();
}

#[test]
fn every_api_codes_both_codecs() {
    let outcome = scenario("every_api_codes_both_codecs", &[], || {
        for api in Api::ALL {
            let driver = Driver::new(api);
            for (codec, format) in [(guids::H264, "h264"), (guids::HEVC, "hevc")] {
                let client = Client::with(&driver, codec, 8, |_, config| config.frame_interval_p = 3);
                let pictures = client.run(0, 8);
                assert_eq!(letters(&pictures), "DPbbPbbP", "{api:?}");
                let stream = bytes(&pictures);
                if let Some(kinds) = decode(&stream, format) {
                    assert_eq!(kinds.len(), 8, "{api:?} {kinds}");
                }
                client.close();
            }
            driver.destroy_context();
        }
    })
    .clean();
    let section = &outcome.report["sections"]["nvenc"];
    assert_eq!(section["sessions_opened"], 10);
    let session = &section["sessions"][0];
    assert_eq!((&session["codec"], &session["pictures_in"]), (&"h264".into(), &8.into()));
    assert_eq!(session["kinds"], serde_json::json!({"b": 4, "idr": 1, "p": 3}));
    assert!(session["bytes"].as_u64().unwrap() > 100);
}

#[test]
fn device_memory_is_an_input() {
    clean("device_memory_is_an_input", &[], |driver| {
        let mut client = Client::ready(driver, 0, 0);
        client.outputs.push(client.create_output().unwrap());
        let address = driver.alloc(256 * 128 * 3 / 2);
        driver.upload(address, &[128; 256 * 128 * 3 / 2]);
        let registered = client.register(address, 256).unwrap();
        let mut stream = Vec::new();
        for n in 0..3 {
            let mapped = client.map(registered).unwrap();
            assert_eq!(client.submit(mapped, client.outputs[0], n), NvStatus::SUCCESS);
            stream.extend(client.take(client.outputs[0]).data);
            assert_eq!(client.call(at::UNMAP, mapped), NvStatus::SUCCESS);
        }
        assert_eq!(client.call(at::UNREGISTER, registered), NvStatus::SUCCESS);
        client.finish();
        driver.free(address);
        if let Some(kinds) = decode(&stream, "h264") {
            assert_eq!(kinds, "IPP");
        }
    });
}

#[test]
fn the_size_changes_within_the_maximum() {
    clean("the_size_changes_within_the_maximum", &[], |driver| {
        let mut client = Client::with(driver, guids::H264, 2, |init, config| {
            config.frame_interval_p = 1;
            (init.max_width, init.max_height) = (320, 256);
        });
        let mut stream = bytes(&client.run(0, 3));
        let status = client.reconfigure(0, |init, _, bits| {
            (init.max_width, init.max_height) = (320, 256);
            (init.width, init.height) = (320, 256);
            *bits = 2;
        });
        assert_eq!(status, NvStatus::SUCCESS);
        let small = std::mem::take(&mut client.inputs);
        for input in small {
            assert_eq!(client.call(at::DESTROY_INPUT, input), NvStatus::SUCCESS);
        }
        client.inputs = (0..2).map(|_| client.create_input().unwrap()).collect();
        let pictures = client.run(3, 3);
        assert_eq!(letters(&pictures), "DPP");
        stream.extend(bytes(&pictures));
        client.close();
        if let Some(kinds) = decode(&stream, "h264") {
            assert_eq!(kinds, "IPPIPP");
        }
    });
}

#[test]
fn a_client_may_decide_the_types() {
    clean("a_client_may_decide_the_types", &[], |driver| {
        let client = Client::with(driver, guids::H264, 1, |init, config| {
            init.enable_ptd = 0;
            config.frame_interval_p = 1;
        });
        let mut pictures = Vec::new();
        for (n, kind) in [types::IDR, types::P, types::I, types::P, types::IDR].into_iter().enumerate() {
            client.fill(client.inputs[0], n as u64);
            let status =
                client.submit_with(client.inputs[0], client.outputs[0], n as u64, |p| p.pic_type = kind);
            assert_eq!(status, NvStatus::SUCCESS);
            pictures.push(client.take(client.outputs[0]));
        }
        let status = client.submit_with(client.inputs[0], client.outputs[0], 9, |p| p.pic_type = types::B);
        assert_eq!(status, NvStatus::UNSUPPORTED_PARAM);
        client.finish();
        assert_eq!(letters(&pictures), "DPIPD");
    });
}

#[test]
fn parameter_sets_come_where_they_are_asked_for() {
    clean("parameter_sets_come_where_they_are_asked_for", &[], |driver| {
        let sps =
            |picture: &Picture| picture.data.windows(5).any(|w| w[..4] == [0, 0, 0, 1] && w[4] & 0x1f == 7);
        for (bits, expected) in
            [(0, [true, false, true]), (1 << 12, [true, true, true]), (1 << 7, [false, false, true])]
        {
            let client = Client::with(driver, guids::H264, 1, |_, config| {
                config.frame_interval_p = 1;
                config.h264().bits |= bits;
            });
            let pictures: Vec<_> = (0..3)
                .map(|n| {
                    let flag = if n == 2 { flags::OUTPUT_SPSPPS } else { 0 };
                    let change = |p: &mut nvsim::nvenc::abi::PicParams| p.flags = flags::FORCE_IDR | flag;
                    client.fill(client.inputs[0], n);
                    assert_eq!(
                        client.submit_with(client.inputs[0], client.outputs[0], n, change),
                        NvStatus::SUCCESS
                    );
                    client.take(client.outputs[0])
                })
                .collect();
            let found: Vec<_> = pictures.iter().map(sps).collect();
            assert_eq!(found, expected, "bits {bits:#x}");
            assert_eq!(client.headers(4).unwrap_err(), NvStatus::NOT_ENOUGH_BUFFER);
            client.finish();
        }
    });
}

#[test]
fn canned_pictures_decode() {
    clean("canned_pictures_decode", &[CANNED], |driver| {
        let client = Client::ready(driver, 2, 8);
        let pictures = client.run(0, 70);
        client.close();
        assert_eq!(pictures.iter().filter(|picture| picture.kind == types::IDR).count(), 3);
        if let Some(kinds) = decode(&bytes(&pictures), "h264") {
            assert_eq!(kinds.len(), 70, "{kinds}");
        }
    });
}

#[test]
fn sei_messages_of_the_client_are_in_the_stream() {
    clean("sei_messages_of_the_client_are_in_the_stream", &[], |driver| {
        for codec in [guids::H264, guids::HEVC] {
            let client = Client::with(driver, codec, 1, |_, config| config.frame_interval_p = 1);
            let text = b"0123456789abcdefa message of the client";
            let message = SeiPayload { size: text.len() as u32, kind: 5, payload: text.as_ptr() as usize };
            client.fill(client.inputs[0], 0);
            let status = client.submit_with(client.inputs[0], client.outputs[0], 0, |p| {
                // Count and array lie at other places for each codec.
                if codec == guids::H264 {
                    p.codec[4] |= 1 << 32;
                    p.codec[5] = &raw const message as u64;
                } else {
                    p.codec[7] = 1;
                    p.codec[8] = &raw const message as u64;
                }
            });
            assert_eq!(status, NvStatus::SUCCESS);
            let picture = client.take(client.outputs[0]);
            assert!(picture.data.windows(text.len()).any(|window| window == text), "{codec:?}");
            client.finish();
        }
    });
}

#[test]
fn statistics_lie_where_the_version_has_them() {
    scenario("statistics_lie_where_the_version_has_them", &[CANNED], || {
        for (api, offset) in [(Api::V11_1, 140), (Api::V12_0, 140), (Api::V12_1, 92), (Api::V13_0, 92)] {
            let driver = Driver::new(api);
            let client = Client::ready(&driver, 0, 1);
            let mut counts = Vec::new();
            for n in 0..2 {
                assert_eq!(client.submit(client.inputs[0], client.outputs[0], n), NvStatus::SUCCESS);
                let mut params = Block::<LockBitstream>::new();
                params.version = api.struct_word(Struct::LockBitstream);
                params.output = client.outputs[0];
                params.bits = 4;
                assert_eq!(client.call(at::LOCK, params.pointer()), NvStatus::SUCCESS);
                counts.push(params.numbers::<2>(offset));
                assert_eq!(client.call(at::UNLOCK, client.outputs[0]), NvStatus::SUCCESS);
            }
            assert_eq!(counts, [[12 * 8, 0], [0, 12 * 8]], "{api:?}");
            client.finish();
            driver.destroy_context();
        }
    })
    .clean();
}

#[test]
fn a_streams_work_precedes_its_picture() {
    clean("a_streams_work_precedes_its_picture", &[], |driver| {
        let mut client = Client::ready(driver, 0, 0);
        client.outputs.push(client.create_output().unwrap());
        let bytes = 192 * 128 * 3 / 2;
        let address = driver.alloc(bytes);
        driver.upload(address, &vec![16; bytes]);
        let registered = client.register(address, 192).unwrap();
        driver.push();
        let mut stream = driver.stream();
        let streams = &raw mut stream as usize;
        assert_eq!(driver.call(at::IO_STREAMS, [client.encoder, streams, streams, 0, 0]), NvStatus::SUCCESS);
        driver.occupy(stream, std::time::Duration::from_millis(100));
        driver.set_bytes(address, 200, bytes, stream);
        // Neither the write that is still to come nor the change after submission is held against the client.
        let mapped = client.map(registered).unwrap();
        assert_eq!(client.submit(mapped, client.outputs[0], 0), NvStatus::SUCCESS);
        client.take(client.outputs[0]);
        assert_eq!(client.call(at::UNMAP, mapped), NvStatus::SUCCESS);
        assert_eq!(client.call(at::UNREGISTER, registered), NvStatus::SUCCESS);
        assert_eq!(client.eos(), NvStatus::SUCCESS);
        assert_eq!(driver.cuda_call("cuStreamDestroy_v2", [stream, 0, 0, 0]), 0);
        driver.pop();
        client.close();
        driver.free(address);
    });
}

#[test]
fn locking_a_busy_input_waits_for_its_picture() {
    clean("locking_a_busy_input_waits_for_its_picture", &[], |driver| {
        let client = Client::ready(driver, 0, 2);
        for n in 0..2 {
            // Both pictures are drawn into the same buffer; the second drawing must not spoil the first picture.
            client.fill(client.inputs[0], n as u64);
            assert_eq!(client.submit(client.inputs[0], client.outputs[n], n as u64), NvStatus::SUCCESS);
        }
        client.take(client.outputs[0]);
        client.take(client.outputs[1]);
        client.finish();
    });
}

#[test]
fn another_rate_mode_begins_the_stream_anew() {
    clean("another_rate_mode_begins_the_stream_anew", &[], |driver| {
        let mut client = Client::ready(driver, 1, 6);
        let mut pictures = client.run(0, 4);
        let status = client.reconfigure(1, |_, config, _| config.rc.mode = rc_modes::CBR);
        assert_eq!(status, NvStatus::SUCCESS);
        pictures.extend(client.run(4, 4));
        assert_eq!(letters(&pictures), "DPbPDPbP");
        client.close();
        if let Some(kinds) = decode(&bytes(&pictures), "h264") {
            assert_eq!(kinds.len(), 8);
        }
    });
}

#[test]
fn another_rate_goes_on_without_a_break() {
    clean("another_rate_goes_on_without_a_break", &[], |driver| {
        let mut client = Client::ready(driver, 0, 1);
        let mut pictures = Vec::new();
        for n in 0..6 {
            client.fill(client.inputs[0], n);
            assert_eq!(client.submit(client.inputs[0], client.outputs[0], n), NvStatus::SUCCESS);
            pictures.push(client.take(client.outputs[0]));
            let rate = 100_000 + 50_000 * n as u32;
            let status = client.reconfigure(0, |_, config, _| config.rc.average_bit_rate = rate);
            assert_eq!(status, NvStatus::SUCCESS);
        }
        assert_eq!(letters(&pictures), "DPPPPP");
        client.finish();
        if let Some(kinds) = decode(&bytes(&pictures), "h264") {
            assert_eq!(kinds, "IPPPPP");
        }
    });
}
