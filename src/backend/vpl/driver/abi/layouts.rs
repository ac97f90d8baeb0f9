//! Our declarations against Intel's C headers, as C compilers read them: the test writes assertions in C, and the compiler
//! says which do not hold. For Windows that is mingw.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::names::NUMBERS;
use super::{describe, extend, plain};

/// The whole C file.
fn source() -> String {
    let mut c = "#define ONEVPL_EXPERIMENTAL\n#include <stddef.h>\n#include <vpl/mfx.h>\n".to_owned();
    let mut assert = |what: String, value: i64| {
        writeln!(c, "_Static_assert((long long)({what}) == {value}LL, \"{what}\");").unwrap();
    };
    for layout in
        [plain::LAYOUTS, extend::LAYOUTS, extend::EXTENSION_LAYOUTS, describe::LAYOUTS].into_iter().flatten()
    {
        // Encoders describe profiles and memory as decoders do, by other names.
        let names = match layout.name {
            "struct decmemdesc" => &["struct decmemdesc", "struct encmemdesc"][..],
            "struct decprofile" => &["struct decprofile", "struct encprofile"],
            name => &[name],
        };
        for name in names {
            assert(format!("sizeof({name})"), i64::try_from(layout.size).unwrap());
            for (field, at) in layout.fields {
                assert(format!("offsetof({name}, {field})"), i64::try_from(*at).unwrap());
            }
        }
    }
    for (name, value) in NUMBERS {
        assert(format!("MFX_{name}"), *value);
    }
    for (name, value) in extend::IDS {
        assert((*name).to_owned(), i64::from(*value));
    }
    c
}

/// Says so on the terminal, beside what the test harness keeps to itself.
fn skipped(what: &str) {
    let words = format!("SKIPPED: oneVPL's declarations: {what}\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
}

#[test]
fn declarations_are_laid_out_as_in_the_c_headers() {
    if !Path::new("/usr/include/vpl/mfx.h").exists() {
        return skipped("the C headers (Debian: libvpl-dev) are not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    // A compiler for another system does not look into this one's folders.
    let headers = folder.path().join("headers");
    std::fs::create_dir(&headers).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/usr/include/vpl", headers.join("vpl")).unwrap();
    // A wrong assertion has to be refused, or the right ones prove nothing.
    let wrong = format!("{}_Static_assert(sizeof(mfxVideoParam) == 1, \"planted\");\n", source());
    let file = folder.path().join("layouts.c");
    for compiler in ["cc", "x86_64-w64-mingw32-gcc-posix"] {
        for (text, holds) in [(&source(), true), (&wrong, false)] {
            std::fs::write(&file, text).unwrap();
            let mut command = Command::new(compiler);
            let Ok(answer) = command.args(["-w", "-fsyntax-only", "-I"]).arg(&headers).arg(&file).output()
            else {
                skipped(&format!("{compiler} is not installed"));
                break;
            };
            assert_eq!(
                answer.status.success(),
                holds,
                "{compiler}: {}",
                String::from_utf8_lossy(&answer.stderr)
            );
        }
    }
}
