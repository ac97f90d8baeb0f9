//! Intel's encoders, on the simulated runtime of oneVPL (`sims/vpl/`) of a machine with two GPUs.

use video_hw::backend::BackendKind;

use super::judge::{read_column, write_column};
use super::nvidia::mark;
use super::page::check;
use super::run::{ENCODERS, Encoder};
use crate::support::streams::have;
use crate::support::vpl::{Machine, clean_case};

#[test]
fn each_codec() {
    if !have(&["ffprobe"]) {
        return;
    }
    for encoder in Encoder::of(BackendKind::Qsv) {
        let machine = Machine { profile: "arc", settings: "gpus=2", ..Machine::USUAL };
        let run = clean_case(machine, "each_codec", encoder.name, |name| {
            write_column(ENCODERS.iter().find(|encoder| encoder.name == name).unwrap());
        });
        // None in the process of another codec too.
        let Some(run) = run else { continue };
        check(encoder, &read_column(encoder, run.report(), mark));
    }
}
