//! Compiles the C side of the software encoders and links the shared object so that it stays mapped until the process
//! ends (its report is written by an exit hook).

use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
    match encoders() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The shims of `src/codec`. Their functions stay hidden: a client process may carry the same libraries itself.
fn encoders() -> Result<(), String> {
    let sources = ["src/codec/x264.c", "src/codec/x265.c"];
    let mut build = cc::Build::new();
    build.flag("-fvisibility=hidden").flag("-std=c11").warnings(true).files(sources);
    for (package, debian) in [("x264", "libx264-dev"), ("x265", "libx265-dev")] {
        let library = pkg_config::Config::new().probe(package).map_err(|error| {
            format!("nvsim needs {package}, the Debian package {debian} (and pkg-config): {error}")
        })?;
        build.includes(library.include_paths);
    }
    for source in sources.into_iter().chain(["src/codec/shim.h"]) {
        println!("cargo:rerun-if-changed={source}");
    }
    build.try_compile("nvsim_encoders").map_err(|error| format!("the encoder shims do not compile: {error}"))
}
