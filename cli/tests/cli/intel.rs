//! The program on simulated machines with a GPU of Intel's (`sims/vpl/`).

#![cfg(target_os = "linux")]

use crate::common::{Machine, Run, clip, command};

/// The program without any ffmpeg; `None` when the simulation is not built.
fn on(kind: &str, arguments: &[&str]) -> Option<Run> {
    let machine = Machine::intel()?;
    let home = machine.dir().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let mut command = command(arguments);
    machine.runs_on_intel(&mut command, kind, "");
    command.env("PATH", &home).env("HOME", &home).env_remove("XDG_CACHE_HOME");
    Some(Run::of(command.output().unwrap()))
}

/// What `doctor` finds, what `devices` lists and what then runs agree, on each chip and without one.
#[test]
fn doctor_devices_and_receipt_agree_on_every_chip() {
    for kind in ["tigerlake", "kabylake", "none"] {
        let doctor = ["doctor", "--json", "--codec", "h264,av1", "--timeout", "300"];
        let Some(run) = on(kind, &doctor) else { return };
        let doctor = run.ok().json();
        let decoder = |codec: &str| {
            let codecs = doctor["codecs"].as_array().unwrap();
            let found = codecs.iter().find(|known| known["codec"] == codec).unwrap();
            found["decode"]["backend"].as_str().unwrap_or("nothing").to_owned()
        };
        let wanted = |has: bool| if has { "qsv" } else { "software" };
        assert_eq!(decoder("h264"), wanted(kind != "none"), "{kind}");
        assert_eq!(decoder("av1"), wanted(kind == "tigerlake"), "{kind}");
        let devices = on(kind, &["devices"]).unwrap().ok().out();
        assert_eq!(devices.contains("Simulated Intel"), kind != "none", "{kind}: {devices}");
        let input = clip("small.h264");
        let ran = on(kind, &["decode", &input, "--json", "-q"]).unwrap().ok().json();
        assert_eq!(ran["decode"]["backend"], wanted(kind != "none"), "{kind}: {ran}");
    }
    // Named, it is refused with the reason and what to do.
    let refused = on("none", &["decode", &clip("small.h264"), "--backend", "qsv"]).unwrap();
    refused.refused(3, &["oneVPL finds no GPU"]);
}
