//! Compiles the C side of the software codecs, and links the shared object so that it stays mapped until the process
//! ends (its report is written by an exit hook).

use std::path::PathBuf;
use std::process::ExitCode;

const SOURCES: [&str; 2] = ["../codec/avdec.c", "../codec/avenc.c"];
const ABSENT: &str = "src/codec/absent.c";

fn main() -> ExitCode {
    for file in ["build.rs", ABSENT].iter().chain(&SOURCES) {
        println!("cargo:rerun-if-changed={file}");
    }
    // The codec libraries are this machine's; there, what comes out is what was recorded here.
    let made = if std::env::var("CARGO_CFG_WINDOWS").is_ok() {
        compile(&[ABSENT], Vec::new())
    } else {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        codecs()
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn codecs() -> Result<(), String> {
    let mut includes = Vec::new();
    // libavcodec 59 is FFmpeg 5: the oldest with every field the files use.
    for (name, version, debian) in
        [("libavcodec", "59", "libavcodec-dev"), ("libavutil", "57", "libavutil-dev")]
    {
        let found = pkg_config::Config::new().atleast_version(version).probe(name).map_err(|error| {
            format!("vplsim needs {name} {version} or newer: on Debian and Ubuntu install {debian} and pkg-config.\n{error}")
        })?;
        includes.extend(found.include_paths);
    }
    compile(&SOURCES, includes)
}

/// Functions stay hidden: a client process may carry the same libraries itself.
fn compile(sources: &[&str], includes: Vec<PathBuf>) -> Result<(), String> {
    cc::Build::new()
        .std("c11")
        .warnings(true)
        .extra_warnings(true)
        .flag("-fvisibility=hidden")
        .files(sources)
        .includes(includes)
        .try_compile("vplsim_codecs")
        .map_err(|error| format!("the C side of the software codecs does not compile: {error}"))
}
