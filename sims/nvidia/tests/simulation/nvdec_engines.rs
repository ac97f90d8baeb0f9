//! Several decode engines in the model of time: what a client's sessions were given, by the report's figures, and that an
//! engine is never faster than the configuration says. How late the machine is does not matter here.

use std::time::{Duration, Instant};

use crate::common::scenario;
use crate::nvdec_client::*;
use nvsim::nvdec::abi::*;

/// Long enough that sessions that begin one after another work side by side.
const PICTURE: Duration = Duration::from_millis(120);
const PICTURES: usize = 4;

/// Decodes with `sessions` side by side on a card with `engines`; answers pictures of each engine.
fn pictures_by_engine(test: &str, engines: usize, sessions: usize) -> Vec<u64> {
    let set = format!(
        "canned.decode=true;time.enabled=true;device.0.nvdec_engines={engines};time.decode_ns_per_pixel=0;\
         time.decode_ns_per_frame={}",
        PICTURE.as_nanos()
    );
    let outcome = scenario(test, &[("NVSIM_PROFILE", "h200"), ("NVSIM_SET", &set)], || {
        let (driver, context) = Driver::with_context();
        let decoders: Vec<_> = (0..sessions).map(|_| driver.decoder(&info(codec::H264, 320, 192))).collect();
        let begin = Instant::now();
        for picture in 0..PICTURES {
            for decoder in &decoders {
                assert_eq!(driver.decode_data(*decoder, picture as i32, &[0; 100]), SUCCESS);
            }
        }
        for decoder in decoders {
            // A map waits for its picture, and the last one comes last.
            let (address, _) = driver.map_frame(decoder, PICTURES as i32 - 1).unwrap();
            assert_eq!(driver.unmap(decoder, address), SUCCESS);
            assert_eq!(driver.destroy(decoder), SUCCESS);
        }
        let least = PICTURES * sessions.div_ceil(engines);
        assert!(begin.elapsed() >= PICTURE * least as u32, "faster than the engines");
        assert_eq!(driver.ctx_destroy(context), SUCCESS);
    })
    .clean();
    let usage = outcome.report["sections"]["nvdec"]["engines"][0].as_array().unwrap().clone();
    assert_eq!(usage.len(), engines);
    let number = |engine: &serde_json::Value, key: &str| engine[key].as_u64().unwrap();
    let pictures: Vec<_> = usage.iter().map(|engine| number(engine, "pictures")).collect();
    assert_eq!(pictures.iter().sum::<u64>(), (PICTURES * sessions) as u64);
    for engine in &usage {
        assert_eq!(number(engine, "busy_ns"), number(engine, "pictures") * PICTURE.as_nanos() as u64);
    }
    pictures
}

#[test]
fn one_session_keeps_one_engine_busy_and_no_more() {
    let mut pictures = pictures_by_engine("one_session_keeps_one_engine_busy_and_no_more", 7, 1);
    pictures.sort_unstable();
    assert_eq!(pictures, [0, 0, 0, 0, 0, 0, PICTURES as u64]);
}

#[test]
fn sessions_side_by_side_use_all_engines() {
    let pictures = pictures_by_engine("sessions_side_by_side_use_all_engines", 3, 3);
    assert!(pictures.iter().all(|pictures| *pictures > 0), "{pictures:?}");
}

#[test]
fn sessions_share_the_only_engine() {
    assert_eq!(pictures_by_engine("sessions_share_the_only_engine", 1, 2), [2 * PICTURES as u64]);
}
