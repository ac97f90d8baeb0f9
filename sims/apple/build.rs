//! Compiles the C side of the software codecs, and links the shared object so that it stays mapped until the process
//! ends (its report is written by an exit hook).

use std::process::ExitCode;

const SOURCES: [&str; 2] = ["../codec/avdec.c", "../codec/avenc.c"];

fn main() -> ExitCode {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    for file in ["build.rs"].iter().chain(&SOURCES) {
        println!("cargo:rerun-if-changed={file}");
    }
    match codecs() {
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
            format!("vtsim needs {name} {version} or newer: on Debian and Ubuntu install {debian} and pkg-config.\n{error}")
        })?;
        includes.extend(found.include_paths);
    }
    // Functions stay hidden: a client process may carry the same libraries itself.
    cc::Build::new()
        .std("c11")
        .warnings(true)
        .extra_warnings(true)
        .flag("-fvisibility=hidden")
        .files(SOURCES)
        .includes(includes)
        .try_compile("vtsim_codecs")
        .map_err(|error| format!("the C side of the software codecs does not compile: {error}"))
}
