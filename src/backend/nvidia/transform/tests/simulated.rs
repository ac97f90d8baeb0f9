//! On the simulated driver: the driver calls, the launches and the numbers, against formulas that share nothing with ours.

use std::sync::Arc;

use super::cases::{Case, same_size, scaled, shifts};
use super::gpu::Device;
use super::judge::judge;
use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::transform::Converter;
use crate::error::Error;

fn simulated(name: &str, settings: &str, body: impl FnOnce()) -> Option<String> {
    crate::backend::nvidia::simulated::simulated(module_path!(), name, "h200", settings, body)
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
                if feature.contains("222") && remedy.to_string().contains("Update") && remedy.to_string().contains("CPU")),
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
            matches!(&error, Error::Unsupported { remedy, .. } if remedy.to_string().contains("libnvidia-ptxjitcompiler")),
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
