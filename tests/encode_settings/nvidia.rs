//! NVENC, on the simulated driver (`sims/nvidia/`) of a machine with two cards.

use std::collections::BTreeMap;

use video_hw::backend::BackendKind;

use super::judge::{read_column, write_column};
use super::page::check;
use super::run::{ENCODERS, Encoder};
use crate::support::nvidia::simulated_case_on;
use crate::support::streams::have;

const CARD: &str = "{name='A',memory_mib=8192,compute=[8,9],nvenc_engines=1,nvenc={h264={},hevc={},av1={}}}";

/// The number in a frame rate of 25 or 50 and some thousandths.
pub(super) fn mark(session: &mut BTreeMap<String, String>) -> Option<u32> {
    let rate = session.remove("frame_rate")?;
    let (num, den) = rate.split_once('/')?;
    let thousandths = (num.parse::<f64>().ok()? / den.parse::<f64>().ok()? * 1000.0).round() as u32;
    session.insert("hertz".to_owned(), (thousandths / 1000).to_string());
    Some(thousandths % 1000)
}

#[test]
fn each_codec() {
    if !have(&["ffprobe"]) {
        return;
    }
    for encoder in Encoder::of(BackendKind::Nvidia) {
        let devices = format!("device=[{CARD},{CARD}]");
        let run = simulated_case_on("ada", "each_codec", &devices, encoder.name, |name| {
            write_column(ENCODERS.iter().find(|encoder| encoder.name == name).unwrap());
        });
        let Some(run) = run else { return };
        run.assert_clean();
        check(encoder, &read_column(encoder, &run.report, mark));
    }
}
