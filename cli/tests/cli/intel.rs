//! The program on simulated machines with a GPU of Intel's (`sims/vpl/`).

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

use crate::common::{Machine, Run, Scratch, clip, command, goldens};

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
        let ran = on(kind, &["decode", &input, "--null", "--json", "-q"]).unwrap().ok().json();
        assert_eq!(ran["decode"]["backend"], wanted(kind != "none"), "{kind}: {ran}");
    }
    // Named, it is refused with the reason and what to do.
    let refused = on("none", &["decode", &clip("small.h264"), "--null", "--backend", "qsv"]).unwrap();
    refused.refused(3, &["oneVPL finds no GPU"]);
}

/// What the simulation's own script shows beside the runtime.
fn beside(options: &[&str], arguments: &[&str]) -> Option<Run> {
    let machine = Machine::intel()?;
    let home = machine.dir().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sims/vpl/run");
    let mut command = Command::new(run);
    command.args(options).args(["--strict", env!("CARGO_BIN_EXE_video-hw")]).args(arguments);
    command.env("VPLSIM_LIB", std::env::current_exe().unwrap().with_file_name("libsimulated_onevpl.so"));
    command.env("VPLSIM_QUIET", "1").env("HOME", &home).env_remove("XDG_CACHE_HOME");
    Some(Run::of(command.output().unwrap()))
}

/// A runtime that does nothing without a display gets that of the render node.
#[test]
fn the_display_of_the_render_node_is_handed_over() {
    if !["/usr/include/va/va.h", "/usr/include/libdrm/drm.h"].iter().all(|file| Path::new(file).exists()) {
        // Past the test runner, which keeps what tests print that pass.
        let words = b"SKIPPED: no headers of VA-API and libdrm (Debian packages libva-dev, libdrm-dev)\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), words);
        return;
    }
    let job = ["decode", &clip("small.h264"), "--backend", "qsv", "--pix-fmt", "yuv420p", "--md5", "-q"];
    let Some(run) = beside(&["--gpu", "--set", "display=required"], &job) else { return };
    let all = goldens();
    let (wanted, ..) = all.iter().find(|golden| golden.3 == "small.h264").unwrap();
    let said = run.ok().out();
    assert!(said.starts_with(wanted), "{said}");
    assert_ne!(beside(&["--set", "display=required"], &job).unwrap().code, Some(0));
}

/// Who runs the tests may be root: the simulation keeps the node from it too.
#[test]
fn a_node_that_may_not_be_opened_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = Scratch::new();
    let system = root.dir().join("sys/class/drm/renderD128/device");
    std::fs::create_dir_all(&system).unwrap();
    std::fs::write(system.join("vendor"), "0x8086\n").unwrap();
    std::fs::write(system.join("device"), "0x9a49\n").unwrap();
    std::fs::create_dir_all(root.dir().join("dev/dri")).unwrap();
    let node = root.file("dev/dri/renderD128", b"");
    std::fs::set_permissions(node, std::fs::Permissions::from_mode(0o000)).unwrap();
    let job = ["decode", &clip("small.h264"), "--backend", "qsv", "--null"];
    let Some(run) = beside(&["--root", &root.path("")], &job) else { return };
    run.refused(3, &["/dev/dri/renderD128"]);
}
