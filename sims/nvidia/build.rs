//! Compiles the C side of the software codecs, and links the shared object so that it stays mapped until the process
//! ends (its report is written by an exit hook).

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build.rs");
    // The codec libraries are this machine's; there, pictures are recorded ones.
    let made = if std::env::var("CARGO_CFG_WINDOWS").is_ok() {
        compile("nvsim_absent", &["src/codec/absent.c"], Vec::new())
    } else {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        encoders().and_then(|()| decoder())
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Include paths of a library, and its link flags for cargo; or what to install.
fn library(name: &str, version: &str, debian: &str) -> Result<Vec<PathBuf>, String> {
    pkg_config::Config::new().atleast_version(version).probe(name).map(|found| found.include_paths).map_err(|error| {
        format!("nvsim needs {name} {version} or newer: on Debian and Ubuntu install {debian} and pkg-config.\n{error}")
    })
}

/// One C file for all: functions stay hidden, because a client process may carry the same libraries itself.
fn compile(output: &str, sources: &[&str], includes: Vec<PathBuf>) -> Result<(), String> {
    for source in sources.iter().chain(&["src/codec/shim.h"]) {
        println!("cargo:rerun-if-changed={source}");
    }
    cc::Build::new()
        .std("c11")
        .warnings(true)
        .extra_warnings(true)
        .flag("-fvisibility=hidden")
        .files(sources)
        .includes(includes)
        .try_compile(output)
        .map_err(|error| format!("the C side of the software codecs does not compile: {error}"))
}

fn encoders() -> Result<(), String> {
    let mut includes = library("x264", "0.164", "libx264-dev")?;
    includes.extend(library("x265", "3.5", "libx265-dev")?);
    compile("nvsim_encoders", &["src/codec/x264.c", "src/codec/x265.c"], includes)
}

fn decoder() -> Result<(), String> {
    // libavcodec 59 is FFmpeg 5: the oldest with every field the file uses.
    let mut includes = library("libavcodec", "59", "libavcodec-dev")?;
    includes.extend(library("libavutil", "57", "libavutil-dev")?);
    compile("nvsim_avcodec", &["../codec/avdec.c", "src/codec/av1.c"], includes)
}
