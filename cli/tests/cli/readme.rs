//! The command lines of the README and of the page on the command line, run as they are printed.

use std::path::Path;
use std::process::Command;

#[test]
fn every_command_of_the_readme_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    // In this order: the page goes on where the README ends.
    let pages = ["README.md", "docs/command-line.md"];
    let pages = pages.map(|page| std::fs::read_to_string(root.join(page)).unwrap()).concat();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("clips")).unwrap();
    for entry in std::fs::read_dir(root.join("clips")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.path().join("clips").join(entry.file_name())).unwrap();
    }
    let mut commands = pages.lines().filter_map(|line| {
        line.strip_prefix("$ video-hw ")
            .or_else(|| line.strip_prefix("cargo run --release -p video-hw-cli -- "))
    });
    let mut ran = 0;
    for arguments in &mut commands {
        let output = Command::new(env!("CARGO_BIN_EXE_video-hw"))
            .args(arguments.split_whitespace())
            .current_dir(dir.path())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "video-hw {arguments}: {} {words}", output.status);
        ran += 1;
    }
    assert!(ran >= 16, "only {ran} commands found");
}
