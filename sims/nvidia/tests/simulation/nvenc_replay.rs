//! Sessions that are replayed: what one session coded, the next ones get, in other processes too.

use std::path::{Path, PathBuf};

use crate::common::{Outcome, scenario};
use crate::nvenc_client::{Client, Driver, Picture, WIDTH, at};
use nvsim::codec::encoder::{Chroma, EncoderCodec};
use nvsim::nvenc::abi::{Guid, NvStatus, flags, formats, guids, types};
use nvsim::nvenc::versions::Api;

/// Tells the child what to do.
const ROLE: &str = "REPLAY_TEST_ROLE";
const FOLDER: &str = "REPLAY_TEST_FOLDER";

fn role() -> String {
    std::env::var(ROLE).unwrap()
}

/// Where the child may leave something for the parent.
fn folder() -> PathBuf {
    std::env::var(FOLDER).unwrap().into()
}

/// Runs `body` in a process that records and replays in `folder`.
fn run(test: &str, folder: &Path, role: &str, body: impl FnOnce()) -> Outcome {
    run_with(test, folder, role, "", body)
}

/// The same with more settings.
fn run_with(test: &str, folder: &Path, role: &str, more: &str, body: impl FnOnce()) -> Outcome {
    let set = format!("canned.encode=true;canned.replay=true;canned.folder='{}';{more}", folder.display());
    let set = set.trim_end_matches(';').to_owned();
    let environment = [("NVSIM_SET", set.as_str()), (ROLE, role), (FOLDER, folder.to_str().unwrap())];
    scenario(test, &environment, body)
}

/// Replayed pictures of each session, in the order of their ends.
fn replayed(outcome: &Outcome) -> Vec<u64> {
    let sessions = outcome.report["sections"]["nvenc"]["sessions"].as_array().unwrap();
    sessions.iter().map(|session| session["replayed"].as_u64().unwrap()).collect()
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    found.sort();
    found
}

/// Codes pictures from `first` on with two B pictures and leaves the parameter sets and the stream in a file.
fn code(codec: Guid, first: u64, count: u64, name: &str) -> Vec<Picture> {
    let driver = Driver::new(Api::V13_0);
    let client = Client::with(&driver, codec, 6, |_, config| config.frame_interval_p = 3);
    let mut bytes = client.headers(4096).unwrap();
    let pictures = client.run(first, count);
    client.close();
    driver.destroy_context();
    bytes.extend(pictures.iter().flat_map(|picture| picture.data.clone()));
    std::fs::write(folder().join(name), bytes).unwrap();
    pictures
}

fn both(test: &str, codec: Guid, judge: EncoderCodec) {
    let body = || {
        let (first, name) = match role().as_str() {
            "other" => (100, "other.bits"),
            "record" => (0, "record.bits"),
            _ => (0, "replay.bits"),
        };
        let pictures = code(codec, first, 40, name);
        let kinds = |kind| pictures.iter().filter(|picture| picture.kind == kind).count();
        assert!(kinds(types::IDR) == 1 && kinds(types::B) > 20, "the client's own pattern");
        let mut times: Vec<_> = pictures.iter().map(|picture| picture.timestamp).collect();
        assert!(!times.is_sorted());
        times.sort();
        assert!(times.into_iter().eq(first..first + 40));
    };
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    assert_eq!(replayed(&run(test, folder, "record", body).clean()), [0]);
    assert_eq!(replayed(&run(test, folder, "replay", body).clean()), [40]);
    assert_eq!(replayed(&run(test, folder, "other", body).clean()), [0], "another input is coded really");
    assert_eq!(files(folder, "recording").len(), 2);
    let stream = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(stream("record.bits"), stream("replay.bits"));
    assert_ne!(stream("record.bits"), stream("other.bits"));
    if crate::encoder::judge("ffmpeg") {
        // What is replayed is the input, coded: the gradient of each picture is there again.
        let decoded = crate::encoder::decode(judge, &stream("replay.bits"), Chroma::Yuv420, 8);
        let (width, height) = (WIDTH as usize, crate::nvenc_client::HEIGHT as usize);
        let frame = width * height * 3 / 2;
        assert_eq!(decoded.len(), 40 * frame);
        for (n, picture) in decoded.chunks(frame).enumerate() {
            let wrong = (0..width * height).filter(|at| {
                let wanted = (at % width + at / width + 3 * n) as u8;
                wanted.abs_diff(picture[*at]) > 24
            });
            let wrong = wrong.count();
            assert!(wrong < width * height / 10, "picture {n}: {wrong} samples are far off");
        }
    }
}

#[test]
fn h264_is_replayed_in_another_process() {
    both("h264_is_replayed_in_another_process", guids::H264, EncoderCodec::H264);
}

#[test]
fn hevc_is_replayed_in_another_process() {
    both("hevc_is_replayed_in_another_process", guids::HEVC, EncoderCodec::Hevc);
}

#[test]
fn sessions_of_one_process_replay_too() {
    let body = || {
        let first = code(guids::H264, 0, 12, "first");
        let second = code(guids::H264, 0, 12, "second");
        let bytes = |pictures: &[Picture]| pictures.iter().map(|p| p.data.clone()).collect::<Vec<_>>();
        assert_eq!(bytes(&first), bytes(&second));
    };
    let directory = tempfile::tempdir().unwrap();
    let outcome = run("sessions_of_one_process_replay_too", directory.path(), "", body).clean();
    assert_eq!(replayed(&outcome), [0, 12]);
}

/// The second process does something other than the first from its fourth picture on; what it is called decides what.
fn differing(test: &str, role_name: &str, said: &str) {
    let body = || {
        let driver = Driver::new(Api::V13_0);
        let mut client = Client::ready(&driver, 0, 8);
        let other = role();
        for n in 0..6u64 {
            let index = n as usize;
            let changed = other == "changed" && n == 4;
            client.fill(client.inputs[index], if changed { 77 } else { n });
            if other == "row" && n == 4 {
                // One of the rows that are looked at in this picture and in none of the others.
                let locked = client.lock_input(client.inputs[index], false).unwrap();
                locked.set(locked.pitch * index, 8, 9);
                assert_eq!(client.call(at::UNLOCK_INPUT, client.inputs[index]), NvStatus::SUCCESS);
            }
            if other == "reconfigured" && n == 4 {
                let rate = |config: &mut nvsim::nvenc::abi::Config| config.rc.average_bit_rate = 500_000;
                let status = client.reconfigure(0, |_, config, _| rate(config));
                assert_eq!(status, NvStatus::GENERIC);
            }
            let flag = match other.as_str() {
                "forced" if n == 4 => flags::FORCE_IDR,
                "headers" if n == 4 => flags::OUTPUT_SPSPPS,
                _ => 0,
            };
            let status =
                client.submit_with(client.inputs[index], client.outputs[index], n, |p| p.flags |= flag);
            assert_eq!(status, NvStatus::SUCCESS);
            let good = match other.as_str() {
                "record" => true,
                "longer" => n < 6,
                _ => n < 4,
            };
            match client.lock(client.outputs[index]) {
                Ok(picture) => {
                    assert!(good && !picture.data.is_empty(), "{other}: picture {n} came out");
                    assert_eq!(client.call(at::UNLOCK, client.outputs[index]), NvStatus::SUCCESS);
                }
                Err(status) => assert!(!good && status == NvStatus::GENERIC, "{other}: picture {n}"),
            }
        }
        if other == "longer" {
            client.fill(client.inputs[6], 6);
            assert_eq!(client.submit(client.inputs[6], client.outputs[6], 6), NvStatus::SUCCESS);
            assert_eq!(client.lock(client.outputs[6]).unwrap_err(), NvStatus::GENERIC);
        }
        client.finish();
        // A client that survives this and begins anew is not to get the rest coded really.
        let (next, status) = driver.open();
        assert_eq!(status, if other == "record" { NvStatus::SUCCESS } else { NvStatus::GENERIC });
        assert_eq!(driver.call(at::DESTROY, [next, 0, 0, 0, 0]), NvStatus::SUCCESS);
        driver.destroy_context();
    };
    let directory = tempfile::tempdir().unwrap();
    run(test, directory.path(), "record", body).clean();
    let recordings = files(directory.path(), "recording");
    let before = std::fs::read(&recordings[0]).unwrap();
    let outcome = run(test, directory.path(), role_name, body);
    assert!(outcome.output.status.success(), "{}", outcome.stderr());
    let errors = serde_json::json!(["replay", "encode session after a failed replay"]);
    assert_eq!(outcome.report["internal_errors"], errors);
    assert_eq!(outcome.report["violations"], serde_json::json!([]));
    let stderr = outcome.stderr();
    assert!(stderr.contains(said) && stderr.contains(directory.path().to_str().unwrap()), "{stderr}");
    assert_eq!(files(directory.path(), "recording"), recordings, "nothing is recorded then");
    assert_eq!(std::fs::read(&recordings[0]).unwrap(), before);
}

#[test]
fn a_later_picture_that_differs_fails_loudly() {
    let said = "picture 4 (in coding order, from 0) cannot be replayed: it is another picture";
    differing("a_later_picture_that_differs_fails_loudly", "changed", said);
}

#[test]
fn each_picture_has_other_rows_that_are_looked_at() {
    let said = "picture 4 (in coding order, from 0) cannot be replayed: it is another picture";
    differing("each_picture_has_other_rows_that_are_looked_at", "row", said);
}

#[test]
fn a_picture_behind_the_end_fails_loudly() {
    let said = "picture 6 (in coding order, from 0) cannot be replayed: the recording ends after 6 pictures";
    differing("a_picture_behind_the_end_fails_loudly", "longer", said);
}

#[test]
fn a_forced_idr_fails_loudly() {
    let said = "picture 4 (in coding order, from 0) cannot be replayed: it is of type Idr, recorded was P";
    differing("a_forced_idr_fails_loudly", "forced", said);
}

#[test]
fn parameter_sets_asked_for_fail_loudly() {
    let said = "picture 4 (in coding order, from 0) cannot be replayed: it is asked for with parameter sets";
    differing("parameter_sets_asked_for_fail_loudly", "headers", said);
}

#[test]
fn a_reconfigured_replay_fails_loudly() {
    let said = "a session that is being replayed is reconfigured, which was not recorded";
    differing("a_reconfigured_replay_fails_loudly", "reconfigured", said);
}

#[test]
fn a_session_that_is_reconfigured_is_not_kept() {
    let body = || {
        let driver = Driver::new(Api::V13_0);
        let mut client = Client::ready(&driver, 0, 4);
        let early = role() == "early";
        for n in 0..4 {
            if n == if early { 0 } else { 2 } {
                let status = client.reconfigure(0, |_, config, _| config.rc.average_bit_rate = 500_000);
                assert_eq!(status, NvStatus::SUCCESS);
            }
            client.fill(client.inputs[n], n as u64);
            assert_eq!(client.submit(client.inputs[n], client.outputs[n], n as u64), NvStatus::SUCCESS);
            assert!(!client.take(client.outputs[n]).data.is_empty());
        }
        client.finish();
        driver.destroy_context();
    };
    let test = "a_session_that_is_reconfigured_is_not_kept";
    for role_name in ["late", "early"] {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let outcome = run(test, directory.path(), role_name, body).clean();
            assert_eq!(replayed(&outcome), [0], "{role_name}");
            assert_eq!(files(directory.path(), "recording").len(), 0, "{role_name}");
        }
    }
}

#[test]
fn a_session_given_up_is_not_kept_and_one_without_end_of_stream_is() {
    let body = || {
        let driver = Driver::new(Api::V13_0);
        let client = Client::ready(&driver, 0, 4);
        for n in 0..4 {
            client.fill(client.inputs[n], n as u64);
            assert_eq!(client.submit(client.inputs[n], client.outputs[n], n as u64), NvStatus::SUCCESS);
            if n < 3 || role() == "all" {
                client.take(client.outputs[n]);
            }
        }
        client.close();
        driver.destroy_context();
    };
    let test = "a_session_given_up_is_not_kept_and_one_without_end_of_stream_is";
    let directory = tempfile::tempdir().unwrap();
    run(test, directory.path(), "some", body).ok();
    assert_eq!(files(directory.path(), "recording").len(), 0);
    run(test, directory.path(), "all", body).ok();
    assert_eq!(files(directory.path(), "recording").len(), 1);
}

#[test]
fn settings_are_part_of_the_key() {
    let body = || {
        let driver = Driver::new(Api::V13_0);
        let role = role();
        let codec = if role == "hevc" { guids::HEVC } else { guids::H264 };
        let client = Client::with(&driver, codec, 6, |init, config| {
            config.frame_interval_p = 1;
            match role.as_str() {
                "rate" => config.rc.average_bit_rate = 500_000,
                "gop" => config.gop_length = 5,
                "fps" => init.fps_num = 25,
                "b" => config.frame_interval_p = 3,
                _ => {}
            }
        });
        client.run(0, 8);
        client.close();
        driver.destroy_context();
    };
    let test = "settings_are_part_of_the_key";
    let directory = tempfile::tempdir().unwrap();
    let roles = ["plain", "rate", "gop", "fps", "b", "hevc"];
    for role_name in roles {
        assert_eq!(replayed(&run(test, directory.path(), role_name, body).clean()), [0], "{role_name}");
    }
    assert_eq!(files(directory.path(), "recording").len(), roles.len());
    for role_name in roles {
        assert_eq!(replayed(&run(test, directory.path(), role_name, body).clean()), [8], "{role_name}");
    }
}

#[test]
fn the_same_bytes_in_another_format_are_other_pictures() {
    let body = || {
        let driver = Driver::new(Api::V13_0);
        let mut client = Client::ready(&driver, 0, 4);
        let role = role();
        for n in 0..4 {
            let other = role == "abgr" || role == "both" && n == 2;
            let format = if other { formats::ABGR } else { formats::ARGB };
            let input = client.create_input_of(format).unwrap();
            let locked = client.lock_input(input, false).unwrap();
            // Red or blue.
            for pixel in 0..client.width as usize * client.height as usize {
                let (x, y) = (pixel % client.width as usize, pixel / client.width as usize);
                locked.set(y * locked.pitch + 4 * x + 2, 1, (x + 5 * n) as u8);
            }
            assert_eq!(client.call(at::UNLOCK_INPUT, input), NvStatus::SUCCESS);
            let status = client.submit_with(input, client.outputs[n], n as u64, |p| p.format = format);
            assert_eq!(status, NvStatus::SUCCESS);
            match client.lock(client.outputs[n]) {
                Ok(_) => assert_eq!(client.call(at::UNLOCK, client.outputs[n]), NvStatus::SUCCESS),
                Err(status) => assert!(role == "both" && n >= 2 && status == NvStatus::GENERIC, "{n}"),
            }
            client.inputs.push(input);
        }
        client.finish();
        driver.destroy_context();
    };
    let test = "the_same_bytes_in_another_format_are_other_pictures";
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(replayed(&run(test, directory.path(), "argb", body).clean()), [0]);
    assert_eq!(
        replayed(&run(test, directory.path(), "abgr", body).clean()),
        [0],
        "that would be red for blue"
    );
    for role_name in ["argb", "abgr"] {
        assert_eq!(replayed(&run(test, directory.path(), role_name, body).clean()), [4], "{role_name}");
    }
    let recordings = files(directory.path(), "recording");
    let [one, other] = &recordings[..] else { panic!("{recordings:?}") };
    assert_ne!(std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
    let outcome = run(test, directory.path(), "both", body);
    let said = "picture 2 (in coding order, from 0) cannot be replayed: its buffer has format 0x10000000, recorded was 0x1000000";
    assert!(outcome.stderr().contains(said), "{}", outcome.stderr());
    assert_eq!(outcome.report["internal_errors"], serde_json::json!(["replay"]));
}

#[test]
fn a_damaged_recording_is_passed_over_and_made_anew() {
    let body = || {
        code(guids::H264, 0, 10, "out.bits");
    };
    let test = "a_damaged_recording_is_passed_over_and_made_anew";
    let directory = tempfile::tempdir().unwrap();
    run(test, directory.path(), "", body).clean();
    for ending in ["recording", "sets"] {
        let file = files(directory.path(), ending).pop().unwrap();
        let whole = std::fs::read(&file).unwrap();
        let mut wrong = whole.clone();
        let middle = wrong.len() / 2;
        wrong[middle] ^= 1;
        for (what, bytes) in [("cut", &whole[..middle]), ("wrong", &wrong), ("empty", &[])] {
            std::fs::write(&file, bytes).unwrap();
            let outcome = run(test, directory.path(), "", body).clean();
            let expected = if ending == "recording" { 0 } else { 10 };
            assert_eq!(replayed(&outcome), [expected], "{ending} {what}");
            assert_eq!(std::fs::read(&file).unwrap(), whole, "{ending} {what}");
        }
    }
    assert_eq!(replayed(&run(test, directory.path(), "", body).clean()), [10]);
}

#[test]
fn two_that_record_at_once_do_no_harm() {
    let body = || {
        std::thread::scope(|scope| {
            for name in ["a", "b"] {
                scope.spawn(move || code(guids::H264, 0, 10, name));
            }
        });
    };
    let test = "two_that_record_at_once_do_no_harm";
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    if std::env::var(ROLE).is_ok() {
        // The child: its body once and not for each of the threads below.
        run(test, folder, "", body);
    }
    // Two processes with two sessions each.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| run(test, folder, "", body).clean());
        }
    });
    assert_eq!(files(folder, "recording").len(), 1);
    assert_eq!(files(folder, "part"), Vec::<PathBuf>::new());
    assert_eq!(replayed(&run(test, folder, "", body).clean()), [10, 10]);
}

/// What a client of a driver that may only replay sees of a session that was not recorded.
fn only_replays(test: &str, body: impl FnOnce() + Copy, role_name: &str, said: &str) {
    let directory = tempfile::tempdir().unwrap();
    let only = "canned.replay_only=true";
    run(test, directory.path(), "record", body).clean();
    let kept: Vec<_> = ["recording", "sets"].map(|ending| files(directory.path(), ending)).concat();
    // What was recorded is served as ever.
    assert_eq!(replayed(&run_with(test, directory.path(), "record", only, body).clean()), [4]);
    let outcome = run_with(test, directory.path(), role_name, only, body);
    assert!(outcome.output.status.success(), "{}", outcome.stderr());
    let errors = serde_json::json!(["replay", "encode session after a failed replay"]);
    assert_eq!(outcome.report["internal_errors"], errors);
    assert!(outcome.stderr().contains(said), "{}", outcome.stderr());
    assert!(outcome.stderr().contains("canned.replay_only forbids to code really"), "{}", outcome.stderr());
    let left: Vec<_> = ["recording", "sets"].map(|ending| files(directory.path(), ending)).concat();
    assert_eq!(left, kept, "nothing was coded");
}

/// The driver gives no more sessions to this process.
fn refused(driver: &Driver) {
    let (next, status) = driver.open();
    assert_eq!(status, NvStatus::GENERIC);
    assert_eq!(driver.call(at::DESTROY, [next, 0, 0, 0, 0]), NvStatus::SUCCESS);
}

#[test]
fn a_driver_that_only_replays_codes_no_other_picture() {
    let body = || {
        let driver = Driver::new(Api::V13_0);
        let mut client = Client::ready(&driver, 0, 4);
        let recorded = role() == "record";
        if role() == "reconfigured" {
            let status = client.reconfigure(0, |_, config, _| config.rc.average_bit_rate = 500_000);
            assert_eq!(status, NvStatus::SUCCESS, "it fails with its first picture");
        }
        for n in 0..4 {
            client.fill(client.inputs[n], n as u64 + if role() == "other" { 100 } else { 0 });
            assert_eq!(client.submit(client.inputs[n], client.outputs[n], n as u64), NvStatus::SUCCESS);
            match client.lock(client.outputs[n]) {
                Ok(_) => assert_eq!(client.call(at::UNLOCK, client.outputs[n]), NvStatus::SUCCESS),
                Err(status) => assert_eq!(status, NvStatus::GENERIC),
            }
        }
        client.finish();
        if !recorded {
            refused(&driver);
        }
        driver.destroy_context();
    };
    let test = "a_driver_that_only_replays_codes_no_other_picture";
    let said = "of what a session is to code";
    for role_name in ["other", "reconfigured"] {
        only_replays(test, body, role_name, said);
    }
}

#[test]
fn a_driver_that_only_replays_opens_no_other_session() {
    let body = || {
        let driver = Driver::new(Api::V13_0);
        let mut client = Client::open(&driver);
        let rate = if role() == "record" { 400_000 } else { 500_000 };
        let status = client.init(|_, config| {
            config.frame_interval_p = 1;
            config.rc.average_bit_rate = rate;
        });
        if role() == "record" {
            assert_eq!(status, NvStatus::SUCCESS);
            client.buffers(4);
            assert_eq!(client.run(0, 4).len(), 4);
            client.close();
        } else {
            assert_eq!(status, NvStatus::GENERIC);
            client.close();
            refused(&driver);
        }
        driver.destroy_context();
    };
    let test = "a_driver_that_only_replays_opens_no_other_session";
    only_replays(test, body, "other", "no parameter sets are kept");
}
