//! Structures and numbers against the C headers.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use simulated_onevpl::abi;

const HEADER: &str = "/usr/include/vpl/mfx.h";

#[test]
fn structures_and_numbers_are_those_of_the_headers() {
    if !Path::new(HEADER).exists() {
        crate::common::skipped(&format!("{HEADER} is not installed (Debian package libvpl-dev)"));
        return;
    }
    let mut source = String::from(
        "#define ONEVPL_EXPERIMENTAL\n#include <stddef.h>\n#include <vpl/mfx.h>\n#include <vpl/mfximplcaps.h>\n#include <vpl/mfxjpeg.h>\n",
    );
    let mut fields = 0;
    for layout in abi::LAYOUTS {
        let name = layout.name;
        writeln!(source, "_Static_assert(sizeof({name}) == {}, \"size of {name}\");", layout.size).unwrap();
        for (field, offset) in layout.fields {
            // Two encoders of statistics took a reserved field each; where that is, both agree.
            let experimental = matches!(
                (name, *field),
                ("struct encoder", "reserved") | ("mfxInitializationParam", "reserved")
            );
            if !experimental {
                writeln!(
                    source,
                    "_Static_assert(offsetof({name}, {field}) == {offset}, \"{name}.{field}\");"
                )
                .unwrap();
                fields += 1;
            }
        }
    }
    for (name, value) in [abi::STATUSES, abi::CODES, abi::WORDS, abi::SMALL].into_iter().flatten() {
        let value = if *name == "TIMESTAMP_UNKNOWN" { -1 } else { *value };
        writeln!(source, "_Static_assert((long long)MFX_{name} == {value}LL, \"MFX_{name}\");").unwrap();
    }
    assert!(fields > 300, "only {fields} fields");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layout.c");
    let compile = |source: &str| {
        std::fs::write(&file, source).unwrap();
        Command::new("cc").args(["-std=c11", "-fsyntax-only", "-w"]).arg(&file).output().unwrap()
    };
    let output = compile(&source);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A mistake is found.
    assert!(
        !compile(&source.replace("sizeof(mfxFrameInfo) == 68", "sizeof(mfxFrameInfo) == 72"))
            .status
            .success()
    );
}
