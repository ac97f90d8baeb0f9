//! The PTX that is committed is what the CUDA text beside it compiles to, in the language version that it claims.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

#[test]
fn the_committed_kernels_are_what_their_text_compiles_to() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/build-kernels.py");
    let skip = |why: &str| {
        let _ = writeln!(std::io::stderr(), "SKIPPED: kernels.ptx is not compared with its text: {why}");
    };
    let Ok(done) = Command::new("python3").arg(script).arg("--check").output() else {
        return skip("there is no python3");
    };
    let said = String::from_utf8_lossy(&done.stderr);
    match done.status.code() {
        Some(0) => {}
        // The script could not install the compiler.
        Some(3) => skip(said.trim()),
        _ => assert!(done.status.success(), "{}: {said}", done.status),
    }
}
