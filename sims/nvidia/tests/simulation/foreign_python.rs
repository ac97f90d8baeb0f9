//! Foreign clients from Python's package registry: PyAV, which brings an FFmpeg with the current NVENC API, and
//! PyNvVideoCodec, NVIDIA's own client. `NVSIM_PYTHON` names an interpreter that has both (and NumPy);
//! `scripts/foreign-clients.sh` installs one.

use std::process::Command;

use crate::foreign::{Judge, Row, Table};

/// `forgiven` are leaks that are the client's own.
fn run(client: &str, forgiven: &[&str]) {
    let Some(python) = std::env::var_os("NVSIM_PYTHON") else {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!(
                "SKIPPED: the Python clients are of the long form (scripts/foreign-clients.sh sets NVSIM_PYTHON)\n"
            ),
        );
        return;
    };
    let Some(judge) = Judge::new() else { return };
    let report = judge.path("report.json");
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/clients.py"))
        .arg(client)
        .arg(judge.directory.path())
        .env("LD_LIBRARY_PATH", crate::common::driver_directory())
        .env("NVSIM_REPORT", &report)
        .env("NVSIM_QUIET", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let mut table =
        Table::new("Python clients on the simulated driver", &["client", "frames in", "frames out"]);
    for line in said.lines() {
        let mut cells: Vec<_> = line.split(" | ").map(str::to_owned).collect();
        let verdict = cells.pop().unwrap_or_default();
        table.add(Row { cells, faults: if verdict == "ok" { vec![] } else { vec![verdict] } });
    }
    let text = std::fs::read_to_string(&report).unwrap_or_default();
    let mut report: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let mut own = 0;
    if let Some(leaks) = report["leaks"].as_array_mut() {
        let all = leaks.len();
        leaks.retain(|leak| !forgiven.iter().any(|kind| leak["kind"] == *kind));
        own = all - leaks.len();
    }
    let faults = judge.complaints(&output, &report);
    let note = if own > 0 { format!("{own} leaked {}", forgiven.join(", ")) } else { String::new() };
    let cells = vec![format!("{client}, the whole process"), note, String::new()];
    table.add(Row { cells, faults });
    table.finish(client);
}

#[test]
fn pyav() {
    run("pyav", &[]);
}

#[test]
fn pynvvideocodec() {
    // Version 2.2.4 makes a stream for each encoder and never destroys it.
    run("pynvvideocodec", &["stream"]);
}
