//! `bench` on the simulated driver where something is missing, or goes wrong in a way that a job survives.

#![cfg(target_os = "linux")]

use crate::common::{Machine, clip, have, run};
use serde_json::Value;

/// The record of a run on the simulated driver with this chip and these settings, and the exit code.
fn record(chip: &str, words: &[&str], settings: &str) -> Option<(Value, Option<i32>)> {
    let machine = Machine::new()?;
    let dir = machine.dir().to_str().unwrap();
    let library = format!("LD_LIBRARY_PATH={dir}");
    let scratch = format!("TMPDIR={dir}");
    let settings = format!("NVSIM_SET={settings}");
    let chip = format!("NVSIM_PROFILE={chip}");
    let mut all = vec!["bench", "--quiet", "--json", "-", "--backend", "nvidia"];
    all.extend(["--warmup", "0", "--repeat", "2"]);
    all.extend([&chip, &library, &scratch, &settings].into_iter().flat_map(|one| ["--env", one]));
    all.extend(words);
    let run = run(&all);
    Some((run.json(), run.code))
}

/// The only row of a run without a peer.
fn only_row(words: &[&str], settings: &str) -> Option<(Value, Option<i32>)> {
    let (record, code) = record("ada", &[words, &["--peer", "none"]].concat(), settings)?;
    let rows = record["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{record:#}");
    Some((rows[0].clone(), code))
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

#[test]
fn a_peer_transcodes_what_the_card_does_not_decode() {
    if !have("ffmpeg") {
        return;
    }
    // This chip encodes H.264 and decodes it, but no AV1. Rules are not enforced: ffmpeg breaks some that drivers do not mind.
    for (name, codec, by_card) in [("small-av1.ivf", "av1", false), ("bars.mp4", "h264", true)] {
        let clip = clip(name);
        let words = ["transcode", &clip, "--codec", "h264", "--frames", "20", "--peer", "ffmpeg"];
        let Some((record, code)) = record("turing", &words, "strict=false") else { return };
        let rows = record["rows"].as_array().unwrap();
        let programs: Vec<_> = rows.iter().map(|row| row["program"].as_str().unwrap()).collect();
        assert_eq!(programs, ["video-hw", "ffmpeg"], "{record:#}");
        for row in rows {
            assert!(row["failed"].is_null() && row["runs"][1]["frames"] == 20, "{codec}: {row:#}");
        }
        let (ours, theirs) = (rows[0]["command"].to_string(), rows[1]["command"].to_string());
        assert_eq!(ours.contains("--decoder-backend"), by_card, "{ours}");
        assert_eq!(theirs.contains("-hwaccel"), by_card, "{theirs}");
        assert!(theirs.contains("h264_nvenc"), "{theirs}");
        assert_eq!(code, Some(0), "{record:#}");
    }
}
