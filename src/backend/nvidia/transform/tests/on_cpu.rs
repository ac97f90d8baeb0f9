//! The kernels' own text on the CPU: a C++ compiler takes it as it is.

use std::ffi::c_int;
use std::path::Path;
use std::process::Command;

use super::cases::{Case, same_size, scaled, shifts};
use super::judge::{Errors, judge, near_the_cpu};
use super::{Laid, Machine, skipped};
use crate::backend::nvidia::transform::plan::{Arguments, Plan};
use crate::pixel::PixelFormat;

type Run = unsafe extern "C" fn(c_int, *const Arguments, *const u32, *const u32);

struct Compiled {
    library: libloading::Library,
    _folder: tempfile::TempDir,
}

/// Compiled anew, so that it is never an old one; none without a compiler.
fn compiled() -> Option<Compiled> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/backend/nvidia/transform");
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("kernels.so");
    let compile = |compiler: &str| {
        // A wide access that is not aligned stops the program, as it does on a card.
        Command::new(compiler)
            .args(["-std=c++14", "-O1", "-shared", "-fPIC", "-fno-strict-aliasing", "-ffp-contract=off"])
            .args([
                "-Wno-unknown-pragmas",
                "-fsanitize=alignment",
                "-fsanitize-undefined-trap-on-error",
                "-I",
            ])
            .arg(&here)
            .arg("-o")
            .arg(&library)
            .arg(here.join("tests/on_cpu.cpp"))
            .output()
    };
    // The first is what whoever tests for another processor sets.
    let own = std::env::var("CXX").ok();
    let mut compilers = own.as_deref().into_iter().chain(["c++", "g++", "clang++"]);
    let Some(done) = compilers.find_map(|name| compile(name).ok()) else {
        skipped("no C++ compiler; the CUDA kernels are not run on the CPU");
        return None;
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // SAFETY: it was just made from the text here and runs nothing when loaded.
    let library = unsafe { libloading::Library::new(&library) }.unwrap();
    Some(Compiled { library, _folder: folder })
}

/// Bytes at an address that wide words like.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
}

impl Aligned {
    fn new(content: &[u8]) -> Self {
        let mut bytes = vec![0; content.len() + 256];
        let start = bytes.as_ptr().align_offset(256);
        bytes[start..start + content.len()].copy_from_slice(content);
        Self { bytes, start }
    }

    fn address(&mut self) -> u64 {
        self.bytes[self.start..].as_mut_ptr() as u64
    }
}

impl Machine for Compiled {
    fn convert(&self, case: &Case, source: &Laid, target: &Laid) -> Vec<u8> {
        let plan = Plan::new(case.from, case.to, case.color, case.to_size).unwrap();
        let (mut from, mut to) = (Aligned::new(&source.bytes), Aligned::new(&target.bytes));
        let arguments = plan.arguments(&source.at(from.address()), &target.at(to.address())).unwrap();
        // SAFETY: the signature is that of the C++ text; the planes lie inside the two buffers, which live.
        unsafe {
            let run = self.library.get::<Run>(b"run_on_cpu\0").unwrap();
            run(
                plan.kernel as c_int,
                &raw const arguments,
                plan.shape.grid.as_ptr(),
                plan.shape.block.as_ptr(),
            );
        }
        to.bytes[to.start..to.start + target.bytes.len()].to_vec()
    }
}

#[test]
fn every_conversion_is_exact_to_a_code() {
    let Some(machine) = compiled() else { return };
    let mut worst = Errors::default();
    for case in &same_size() {
        worst.merge(judge(&machine, case));
    }
    println!("same size: {worst:?}");
}

#[test]
fn samples_are_moved_exactly() {
    let Some(machine) = compiled() else { return };
    for case in shifts() {
        judge(&machine, &case);
    }
}

#[test]
fn scaled_conversions_are_exact_to_a_code() {
    let Some(machine) = compiled() else { return };
    let mut worst = Errors::default();
    for case in &scaled() {
        worst.merge(judge(&machine, case));
    }
    println!("scaled: {worst:?}");
    for case in scaled().iter().filter(|case| case.to != PixelFormat::RgbF32Planar) {
        // One code of rounding more in each of three components, times the largest coefficients.
        assert!(near_the_cpu(&machine, case) <= 3, "{case:?}");
    }
}
