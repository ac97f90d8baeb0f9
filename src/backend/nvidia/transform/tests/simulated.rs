//! On the simulated driver: the driver calls, the launches and the numbers, against formulas that share nothing with ours.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use super::cases::{Case, same_size, scaled, shifts};
use super::gpu::Device;
use super::judge::judge;
use super::skipped;
use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::transform::Converter;
use crate::error::Error;

/// Directory with the driver's name, or none when the simulated driver is not built.
fn driver() -> Option<PathBuf> {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = deps.join("libnvsim.so");
    if !library.exists() {
        skipped(&format!("{} is not built (cargo test --workspace builds it)", library.display()));
        return None;
    }
    let names = deps.join("nvsim-names-of-kernels");
    std::fs::create_dir_all(&names).unwrap();
    let aside = tempfile::Builder::new().tempdir_in(&names).unwrap();
    let link = aside.path().join("link");
    std::os::unix::fs::symlink(&library, &link).unwrap();
    std::fs::rename(&link, names.join("libcuda.so.1")).unwrap();
    Some(names)
}

/// Runs `body` in a process of its own with the simulated driver; gives the driver's report.
fn simulated(name: &str, settings: &str, body: impl FnOnce()) -> Option<String> {
    const MARK: &str = "VIDEO_HW_SIMULATED_KERNELS";
    if std::env::var(MARK).is_ok_and(|wanted| wanted == name) {
        body();
        std::process::exit(0);
    }
    let names = driver()?;
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let module = module_path!().split_once("::").unwrap().1;
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{name}"), "--nocapture", "--test-threads=1"])
        .env(MARK, name)
        .env("LD_LIBRARY_PATH", names)
        .env("NVSIM_PROFILE", "h200")
        .env("NVSIM_SET", settings)
        .env("NVSIM_REPORT", &report)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Some(std::fs::read_to_string(&report).unwrap())
}

/// As [`simulated`]; no rule was broken and nothing left behind.
fn clean(name: &str, body: impl FnOnce()) {
    if let Some(report) = simulated(name, "", body) {
        for list in ["violations", "leaks", "internal_errors"] {
            assert!(report.contains(&format!("\"{list}\": []")), "{list}: {report}");
        }
        assert!(report.contains("cuLaunchKernel"), "nothing was launched: {report}");
    }
}

#[test]
fn every_conversion_agrees_with_the_reference() {
    clean("every_conversion_agrees_with_the_reference", || {
        let device = Device::first();
        for case in same_size().iter().chain(&shifts()) {
            judge(&device, case);
        }
    });
}

#[test]
fn scaled_conversions_agree_with_the_reference() {
    clean("scaled_conversions_agree_with_the_reference", || {
        let device = Device::first();
        for case in &scaled() {
            judge(&device, case);
        }
    });
}

/// What making a converter answers when loading the kernels answers `code`.
fn refusal(case: &Case) -> Error {
    let context = Context::of(0).unwrap();
    let made = Converter::new(&context, case.from, case.to, case.color, case.to_size);
    assert_eq!(Arc::strong_count(&context), 1);
    made.err().unwrap()
}

#[test]
fn a_driver_that_is_too_old_for_the_kernels_is_told_by_name() {
    let settings = "fault=[{function='cuModuleLoadDataEx',call=1,code=222}]";
    let report = simulated("a_driver_that_is_too_old_for_the_kernels_is_told_by_name", settings, || {
        let error = refusal(&same_size()[0]);
        assert!(
            matches!(&error, Error::Unsupported { feature, remedy }
                if feature.contains("222") && remedy.contains("Update") && remedy.contains("CPU")),
            "{error}"
        );
    });
    assert!(report.is_none_or(|report| report.contains("\"leaks\": []")));
}

#[test]
fn a_missing_compiler_is_told_by_name() {
    let settings = "fault=[{function='cuModuleLoadDataEx',call=1,code=221}]";
    simulated("a_missing_compiler_is_told_by_name", settings, || {
        let error = refusal(&same_size()[0]);
        assert!(
            matches!(&error, Error::Unsupported { remedy, .. } if remedy.contains("libnvidia-ptxjitcompiler")),
            "{error}"
        );
    });
}

#[test]
fn a_kernel_that_is_missing_unloads_the_module() {
    let settings = "fault=[{function='cuModuleGetFunction',call=3,code=500}]";
    let report = simulated("a_kernel_that_is_missing_unloads_the_module", settings, || {
        let error = refusal(&same_size()[0]);
        assert!(matches!(&error, Error::Backend { call: "cuModuleGetFunction", .. }), "{error}");
    });
    assert!(report.is_none_or(|report| report.contains("\"leaks\": []")));
}

#[test]
fn the_kernels_are_compiled_once_a_context() {
    let name = "the_kernels_are_compiled_once_a_context";
    let report = simulated(name, "", || {
        let context = Context::of(0).unwrap();
        let make =
            |case: &Case| Converter::new(&context, case.from, case.to, case.color, case.to_size).unwrap();
        let all: Vec<_> = scaled().iter().map(make).collect();
        assert!(all.iter().all(|one| Arc::ptr_eq(&one.kernels, &all[0].kernels)));
    });
    if let Some(report) = report {
        assert!(report.contains("\"leaks\": []"), "{report}");
        assert!(report.contains("\"cuModuleLoadDataEx\": 1"), "{report}");
    }
}
