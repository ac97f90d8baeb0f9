//! Versions, queries, presets, limits and refusals of the encoder library.

use crate::common::scenario;
use crate::nvenc_client::{Block, Client, Driver, at};
use nvsim::nvenc::abi::*;
use nvsim::nvenc::caps::Cap;
use nvsim::nvenc::versions::{Api, Struct};

const CANNED: (&str, &str) = ("NVSIM_SET", "canned.encode=true");

#[test]
fn the_newest_version_is_the_configured_one() {
    let settings = [("NVSIM_SET", "driver.nvenc=12.2")];
    scenario("the_newest_version_is_the_configured_one", &settings, || {
        let driver = Driver::new(Api::V12_2);
        assert_eq!(driver.newest_version(true), Ok(0xc2));
        assert_eq!(driver.newest_version(false), Err(NvStatus::INVALID_PTR));
        driver.destroy_context();
    })
    .clean();
}

#[test]
fn the_function_list_is_the_same_for_all() {
    scenario("the_function_list_is_the_same_for_all", &[], || {
        for api in Api::ALL {
            let driver = Driver::new(api);
            assert!(driver.list[1..=43].iter().all(|function| *function != 0));
            assert_eq!(driver.list[44..], [0; 275]);
            assert_eq!(driver.call(33, [0; 5]), NvStatus::UNIMPLEMENTED, "the reserved place");
            driver.destroy_context();
        }
    })
    .clean();
}

#[test]
fn lists_are_counted_and_cut() {
    scenario("lists_are_counted_and_cut", &[], || {
        let driver = Driver::new(Api::V11_1);
        let client = Client::open(&driver);
        let codecs = client.list::<Guid>(at::GUID_COUNT, at::GUIDS, false, 8);
        assert_eq!(
            codecs,
            (2, vec![guids::H264, guids::HEVC]),
            "AV1 needs a software encoder that is not there"
        );
        let (count, presets) = client.list::<Guid>(at::PRESET_COUNT, at::PRESETS, true, 3);
        assert_eq!((count, presets.len()), (16, 3));
        let (count, profiles) = client.list::<Guid>(at::PROFILE_COUNT, at::PROFILES, true, 32);
        assert_eq!(count as usize, profiles.len());
        assert!(profiles.contains(&guids::H264_HIGH));
        let (_, formats) = client.list::<u32>(at::FORMAT_COUNT, at::FORMATS, true, 32);
        assert!(formats.contains(&formats::NV12) && formats.contains(&formats::ARGB));
        assert!(!formats.contains(&formats::YUV420_10BIT), "this card has no 10 bit H.264");
        client.close();
        driver.destroy_context();
    })
    .clean();
}

#[test]
fn caps_come_from_the_configuration() {
    let settings = [("NVSIM_SET", "device.0.nvenc.h264.caps.num_max_bframes=2;canned.encode=true")];
    scenario("caps_come_from_the_configuration", &settings, || {
        let driver = Driver::new(Api::V12_0);
        let mut client = Client::open(&driver);
        assert_eq!(client.cap(Cap::NumMaxBframes as u32), Ok(2));
        assert_eq!(client.cap(Cap::WidthMax as u32), Ok(4096));
        assert_eq!(client.cap(Cap::NumEngines as u32), Ok(2));
        assert_eq!(client.cap(51), Err(NvStatus::INVALID_PARAM), "came with 12.1");
        assert_eq!(client.init(|_, config| config.frame_interval_p = 4), NvStatus::UNSUPPORTED_PARAM);
        assert_eq!(client.init(|_, config| config.frame_interval_p = 3), NvStatus::SUCCESS);
        client.close();
        driver.destroy_context();
    })
    .clean();
}

#[test]
fn a_misspelt_capability_ends_the_process() {
    // The child leaves with status 2 and a message; its report is still written.
    let settings = [("NVSIM_SET", "device.0.nvenc.h264.caps.num_bframes=2")];
    let outcome = scenario("a_misspelt_capability_ends_the_process", &settings, || {
        let driver = Driver::new(Api::V13_0);
        let _ = Client::open(&driver).cap(0);
    });
    assert_eq!(outcome.output.status.code(), Some(2));
    assert!(outcome.stderr().contains("num_bframes"), "{}", outcome.stderr());
}

#[test]
fn presets_are_documented_ones() {
    scenario("presets_are_documented_ones", &[], || {
        let driver = Driver::new(Api::V13_0);
        let client = Client::open(&driver);
        let p4 = client.preset(4, tunings::HIGH_QUALITY).config;
        assert_eq!((p4.frame_interval_p, p4.gop_length, p4.rc.mode), (4, 250, rc_modes::VBR));
        assert_eq!((p4.rc.const_qp.i, p4.rc.const_qp.p, p4.rc.const_qp.b), (25, 28, 31));
        assert_eq!(p4.version, Api::V13_0.struct_word(Struct::Config));
        let low = client.preset(1, tunings::ULTRA_LOW_LATENCY).config;
        assert_eq!((low.frame_interval_p, low.gop_length, low.rc.mode), (1, INFINITE_GOP, rc_modes::CBR));
        let mut block = Block::<PresetConfig>::new();
        block.version = Api::V13_0.struct_word(Struct::PresetConfig);
        block.config.version = Api::V13_0.struct_word(Struct::Config);
        for tuning in [0, 5, 6] {
            assert_ne!(client.preset_config(guids::PRESETS[0], tuning, &mut block), NvStatus::SUCCESS);
        }
        client.close();
        driver.destroy_context();
    })
    .clean();
}

#[test]
fn no_configuration_means_the_preset() {
    scenario("no_configuration_means_the_preset", &[CANNED], || {
        let driver = Driver::new(Api::V13_0);
        let client = Client::open(&driver);
        let mut init = Block::<InitParams>::new();
        init.version = Api::V13_0.struct_word(Struct::InitParams);
        init.encode_guid = guids::H264;
        init.preset_guid = guids::PRESETS[0];
        init.tuning = tunings::HIGH_QUALITY;
        (init.width, init.height, init.enable_ptd) = (192, 128, 1);
        assert_eq!(client.call(at::INITIALIZE, init.pointer()), NvStatus::SUCCESS);
        let (input, output) = (client.create_input().unwrap(), client.create_output().unwrap());
        // P1 has no B pictures.
        for n in 0..3 {
            assert_eq!(client.submit(input, output, n), NvStatus::SUCCESS);
            client.take(output);
        }
        assert_eq!(client.eos(), NvStatus::SUCCESS);
        assert_eq!(client.call(at::DESTROY_INPUT, input), NvStatus::SUCCESS);
        assert_eq!(client.call(at::DESTROY_OUTPUT, output), NvStatus::SUCCESS);
        client.close();
        driver.destroy_context();
    })
    .clean();
}

#[test]
fn initialisation_is_checked_against_the_caps() {
    scenario("initialisation_is_checked_against_the_caps", &[CANNED], || {
        let driver = Driver::new(Api::V13_0);
        let mut client = Client::open(&driver);
        type Change = fn(&mut InitParams, &mut Config);
        let refused: [(Change, NvStatus); 9] = [
            (|init, _| init.width = 4098, NvStatus::INVALID_PARAM),
            (|init, _| init.height = 16, NvStatus::INVALID_PARAM),
            (|init, _| init.width = 0, NvStatus::INVALID_PARAM),
            (|init, _| (init.max_width, init.max_height) = (160, 128), NvStatus::INVALID_PARAM),
            (|init, _| init.encode_guid = guids::H264_HIGH, NvStatus::UNSUPPORTED_PARAM),
            (|_, config| config.frame_interval_p = 6, NvStatus::UNSUPPORTED_PARAM),
            (|_, config| config.h264().output_bit_depth = 10, NvStatus::UNSUPPORTED_PARAM),
            (|_, config| config.rc.mode = 3, NvStatus::INVALID_PARAM),
            (|_, config| config.frame_field_mode = 2, NvStatus::UNSUPPORTED_PARAM),
        ];
        for (at, (change, expected)) in refused.into_iter().enumerate() {
            (client.width, client.height) = (crate::nvenc_client::WIDTH, crate::nvenc_client::HEIGHT);
            assert_eq!(client.init(change), expected, "case {at}");
        }
        (client.width, client.height) = (crate::nvenc_client::WIDTH, crate::nvenc_client::HEIGHT);
        assert_eq!(client.init(|_, _| {}), NvStatus::SUCCESS, "a failed call leaves the session as it was");
        assert_eq!(client.last_error(), "UNSUPPORTED_PARAM");
        client.close();
        driver.destroy_context();
    })
    .clean();
}

#[test]
fn a_card_without_engines_refuses() {
    let outcome = scenario("a_card_without_engines_refuses", &[("NVSIM_PROFILE", "h200")], || {
        let driver = Driver::new(Api::V13_0);
        let (encoder, status) = driver.open();
        assert_eq!(status, NvStatus::UNSUPPORTED_DEVICE);
        assert_eq!(encoder, 0, "there is nothing to destroy");
        driver.destroy_context();
    })
    .clean();
    assert_eq!(outcome.report["sections"]["nvenc"]["sessions_refused"], 1);
}

fn limited(expected: NvStatus) {
    let driver = Driver::new(Api::V13_0);
    let [first, second] = [Client::open(&driver), Client::open(&driver)];
    let (refused, status) = driver.open();
    assert_eq!(status, expected);
    driver.call(at::DESTROY, [refused, 0, 0, 0, 0]);
    first.close();
    Client::open(&driver).close();
    second.close();
    driver.destroy_context();
}

#[test]
fn sessions_are_limited() {
    let settings = [("NVSIM_SET", "sessions.limit=3;sessions.external=1")];
    scenario("sessions_are_limited", &settings, || limited(NvStatus::INCOMPATIBLE_CLIENT_KEY)).clean();
}

#[test]
fn older_drivers_say_out_of_memory() {
    let settings = [("NVSIM_SET", "sessions.limit=2;sessions.code=10")];
    scenario("older_drivers_say_out_of_memory", &settings, || limited(NvStatus::OUT_OF_MEMORY)).clean();
}

#[test]
fn what_is_left_is_a_leak() {
    let outcome = scenario("what_is_left_is_a_leak", &[CANNED], || {
        let driver = Driver::new(Api::V13_0);
        let _ = Client::ready(&driver, 0, 3);
    })
    .ok();
    let leaks = outcome.report["leaks"].to_string();
    assert!(leaks.contains("encode session") && leaks.contains("3 input buffers"), "{leaks}");
}

#[test]
fn a_reconfiguration_is_checked_and_leaves_the_session_as_it_was() {
    let settings = [("NVSIM_SET", "device.0.nvenc.h264.caps.support_dyn_rcmode_change=0;canned.encode=true")];
    let outcome =
        scenario("a_reconfiguration_is_checked_and_leaves_the_session_as_it_was", &settings, || {
            let driver = Driver::new(Api::V13_0);
            let mut client = Client::open(&driver);
            let status = client.init(|init, config| {
                config.frame_interval_p = 1;
                (init.max_width, init.max_height) = (256, 256);
            });
            assert_eq!(status, NvStatus::SUCCESS);
            client.buffers(2);
            type Change = fn(&mut InitParams, &mut Config);
            let forbidden: [(Change, NvStatus); 9] = [
                (|_, config| config.gop_length = 30, NvStatus::INVALID_PARAM),
                (|_, config| config.h264().idr_period = 30, NvStatus::INVALID_PARAM),
                (|_, config| config.frame_interval_p = 2, NvStatus::INVALID_PARAM),
                (|init, _| init.enable_ptd = 0, NvStatus::INVALID_PARAM),
                (|init, _| init.max_width = 512, NvStatus::INVALID_PARAM),
                (|_, config| config.h264().chroma_format_idc = 3, NvStatus::INVALID_PARAM),
                (|init, _| init.encode_guid = guids::HEVC, NvStatus::INVALID_PARAM),
                (|init, _| init.width = 300, NvStatus::INVALID_PARAM),
                // Not forbidden, but beyond what this card can do.
                (|_, config| config.rc.mode = rc_modes::CBR, NvStatus::UNSUPPORTED_PARAM),
            ];
            for (at, (change, expected)) in forbidden.into_iter().enumerate() {
                let status = client.reconfigure(0, |init, config, _| {
                    (init.max_width, init.max_height) = (256, 256);
                    change(init, config);
                });
                assert_eq!(status, expected, "case {at}");
            }
            let pictures = client.run(0, 2);
            assert_eq!(pictures.len(), 2);
            client.close();
            driver.destroy_context();
        })
        .ok();
    let found = outcome.violations();
    assert_eq!(found, ["reconfigure-forbidden"; 8]);
    assert_eq!(outcome.report["sections"]["nvenc"]["sessions"][0]["reconfigured"], 0);
}
