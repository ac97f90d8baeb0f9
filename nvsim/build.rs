//! Compiles the C side of the software codecs, and links the shared object so that it stays mapped until the process
//! ends (its report is written by an exit hook).

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
    avdec();
}

/// The decoder's C file, on libavcodec.
fn avdec() {
    println!("cargo:rerun-if-changed=src/codec/avdec.c");
    let mut build = cc::Build::new();
    build
        .file("src/codec/avdec.c")
        .std("c11")
        .warnings(true)
        .extra_warnings(true)
        .flag("-fvisibility=hidden");
    // libavcodec 59 is FFmpeg 5: the oldest with every field the file uses.
    for (library, version) in [("libavcodec", "59"), ("libavutil", "57")] {
        match pkg_config::Config::new().atleast_version(version).probe(library) {
            Ok(found) => {
                build.includes(found.include_paths);
            }
            Err(error) => {
                eprintln!(
                    "nvsim decodes with FFmpeg's {library} ({version} or newer). On Debian and Ubuntu install the packages \
                     libavcodec-dev, libavutil-dev and pkg-config.\n{error}"
                );
                std::process::exit(1);
            }
        }
    }
    build.compile("nvsim_avdec");
}
