//! The aims: what the time of a process on the GPU should not exceed, as a part of ffmpeg's on the same one.
//!
//! Reports judge by these whatever a record says, so that all records are judged alike. `docs/bench/table.md` is made of
//! such reports.

use crate::cases::OWN;
use crate::record::Row;

/// The ratio of all runs, and that of the best ones. The aims of decoding are the figures of an earlier program. In other cases the same
/// engine works for both programs, and what is above 1 is this program's share.
fn of(case: &str, codec: &str) -> (f64, Option<f64>) {
    match (case, codec) {
        ("decode", "hevc") => (0.63, Some(0.56)),
        ("decode", _) => (0.58, Some(0.49)),
        _ => (1.0, None),
    }
}

/// Gives aims to a row of this program on NVIDIA's GPUs whose peer is ffmpeg.
pub(crate) fn set(row: &mut Row) {
    let peer = row.peer.as_ref().is_some_and(|id| id.split('/').any(|part| part == "ffmpeg"));
    let aims = (peer && row.program == OWN && row.backend == "nvidia").then(|| of(&row.case, &row.codec));
    (row.aim, row.aim_best) = (aims.map(|aims| aims.0), aims.and_then(|aims| aims.1));
}
