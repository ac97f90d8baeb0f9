//! VideoToolbox, simulated (`sims/apple/`).

use std::collections::BTreeMap;

use video_hw::backend::BackendKind;

use super::judge::{read_column, write_column};
use super::page::check;
use super::run::{ENCODERS, Encoder};
use crate::support::streams::have;
use crate::support::videotoolbox::clean_case;

fn mark(session: &mut BTreeMap<String, String>) -> Option<u32> {
    let rate = session.remove("ExpectedFrameRate")?;
    let thousandths = (rate.parse::<f64>().ok()? * 1000.0).round() as u32;
    session.insert("hertz".to_owned(), (thousandths / 1000).to_string());
    Some(thousandths % 1000)
}

#[test]
fn each_codec() {
    if !have(&["ffprobe"]) {
        return;
    }
    for encoder in Encoder::of(BackendKind::VideoToolbox) {
        let run = clean_case("m1", "each_codec", "", encoder.name, |name| {
            write_column(ENCODERS.iter().find(|encoder| encoder.name == name).unwrap());
        });
        let Some(run) = run else { continue };
        check(encoder, &read_column(encoder, run.report(), mark));
    }
}
