//! `bench` on the simulated driver where something goes wrong that a job survives: its time is none of the row's.

#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed run")]

mod common;

use common::{Machine, run};
use serde_json::Value;

/// The only row of a run on the simulated driver with these settings, and the exit code.
fn only_row(words: &[&str], settings: &str) -> Option<(Value, Option<i32>)> {
    let machine = Machine::new()?;
    let dir = machine.dir().to_str().unwrap();
    let library = format!("LD_LIBRARY_PATH={dir}");
    let scratch = format!("TMPDIR={dir}");
    let settings = format!("NVSIM_SET={settings}");
    let mut all = vec!["bench", "--quiet", "--json", "-", "--backend", "nvidia", "--peer", "none"];
    all.extend(["--warmup", "0", "--repeat", "2", "--env", "NVSIM_PROFILE=ada"]);
    all.extend([&library, &scratch, &settings].into_iter().flat_map(|one| ["--env", one]));
    all.extend(words);
    let run = run(&all);
    let record = run.json();
    let rows = record["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{record:#}");
    Some((rows[0].clone(), run.code))
}

const ENCODE: [&str; 7] = ["encode", "--codec", "h264", "--size", "320x240", "--frames", "40"];

#[test]
fn a_run_in_which_another_encoder_took_over_has_failed() {
    let fault = "fault=[{function='nvEncEncodePicture',call=20,code=20}]";
    let Some((row, code)) = only_row(&ENCODE, fault) else { return };
    let failed = row["failed"].as_str().unwrap_or_else(|| panic!("it counts: {row:#}"));
    for words in ["run 1: the encoder nvidia died at frame ", " and another took over (nvidia): "] {
        assert!(failed.contains(words), "no {words:?} in: {failed}");
    }
    assert_eq!(row["runs"], serde_json::json!([]), "{row:#}");
    assert_eq!(code, Some(7));
    // It was the fault.
    let (row, code) = only_row(&ENCODE, "strict=true").unwrap();
    assert!(row["failed"].is_null() && row["runs"].as_array().unwrap().len() == 2, "{row:#}");
    assert_eq!(code, Some(0));
}
