//! Faults on order in the CUDA driver API, and ffmpeg as a foreign client.

// The helpers of a test file are not tests to the lint.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{driver_directory, scenario};
use crate::cuda_support::{Cuda, out};

/// A configuration file with a fault script.
fn script(directory: &Path, text: &str) -> String {
    let path = directory.join("faults.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_third_allocation_fails() {
    let directory = tempfile::tempdir().unwrap();
    let config = script(directory.path(), "[[fault]]\nfunction = 'cuMemAlloc'\ncall = 3\ncode = 2\n");
    let outcome = scenario("the_third_allocation_fails", &[("NVSIM_CONFIG", &config)], || {
        let (cuda, context) = Cuda::ready();
        let answers: Vec<_> = (0..4).map(|_| out(0, |out| cuda.cuMemAlloc_v2(out, 64))).collect();
        assert_eq!(answers.iter().map(|answer| answer.0).collect::<Vec<_>>(), [0, 0, 2, 0]);
        for (_, address) in answers.into_iter().filter(|answer| answer.0 == 0) {
            assert_eq!(cuda.cuMemFree_v2(address), 0);
        }
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    let outcome = outcome.clean();
    assert_eq!(outcome.report["faults"].as_array().unwrap().len(), 1);
}

#[test]
fn a_hanging_call_does_not_block_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let config = script(directory.path(), "[[fault]]\nfunction = 'cuCtxSynchronize'\nhang_ms = 3000\n");
    let outcome = scenario("a_hanging_call_does_not_block_the_others", &[("NVSIM_CONFIG", &config)], || {
        let (cuda, context) = Cuda::ready();
        let hanging = std::sync::atomic::AtomicBool::new(true);
        let address = context as usize;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(cuda.cuCtxSetCurrent(address as crate::cuda_support::Handle), 0);
                assert_eq!(cuda.cuCtxSynchronize(), 0);
                hanging.store(false, std::sync::atomic::Ordering::SeqCst);
            });
            let memory = cuda.alloc(64);
            assert_eq!(cuda.cuMemsetD8_v2(memory, 1, 64), 0);
            assert_eq!(cuda.read(memory, 1), [1]);
            assert_eq!(cuda.cuMemFree_v2(memory), 0);
            assert!(hanging.load(std::sync::atomic::Ordering::SeqCst));
        });
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    outcome.clean();
}

#[test]
fn a_lost_device_fails_everything_but_giving_back() {
    let directory = tempfile::tempdir().unwrap();
    let config =
        script(directory.path(), "[[fault]]\nfunction = 'cuMemcpyHtoD'\ncall = 2\ndevice_lost = true\n");
    let outcome =
        scenario("a_lost_device_fails_everything_but_giving_back", &[("NVSIM_CONFIG", &config)], || {
            let (cuda, context) = Cuda::ready();
            let address = cuda.alloc(64);
            let host = [0_u8; 64];
            assert_eq!(cuda.cuMemcpyHtoD_v2(address, host.as_ptr().cast(), 64), 0);
            assert_eq!(
                cuda.cuMemcpyHtoD_v2(address, host.as_ptr().cast(), 64),
                nvsim::policy::CUDA_DEVICE_LOST
            );
            assert_eq!(out(0, |out| cuda.cuMemAlloc_v2(out, 64)).0, nvsim::policy::CUDA_DEVICE_LOST);
            assert_eq!(cuda.cuCtxSynchronize(), nvsim::policy::CUDA_DEVICE_LOST);
            assert_eq!(cuda.cuMemFree_v2(address), 0);
            assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
        });
    outcome.clean();
}

#[test]
fn a_driver_that_does_not_start() {
    let outcome = scenario("a_driver_that_does_not_start", &[("NVSIM_SET", "driver.init_code=803")], || {
        let cuda = Cuda::open();
        assert_eq!(cuda.cuInit(0), 803);
        let (code, version) = out(0, |out| cuda.cuDriverGetVersion(out));
        assert!(code == 0 && version >= 12000);
    });
    outcome.clean();
}

#[test]
fn no_visible_device() {
    let outcome = scenario("no_visible_device", &[("CUDA_VISIBLE_DEVICES", "")], || {
        assert_eq!(Cuda::open().cuInit(0), 100);
    });
    outcome.clean();
}

/// Frame checksums of a run of ffmpeg.
fn checksums(filter: &str, device: &[&str], report: &Path) -> String {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(device)
        .args(["-f", "lavfi", "-i", "testsrc2=s=320x240:d=1", "-vf", filter, "-f", "framemd5", "-"])
        .env("LD_LIBRARY_PATH", driver_directory())
        .env("NVSIM_REPORT", report)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn ffmpeg_uploads_and_downloads() {
    let found = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: ffmpeg is not installed\n"),
        );
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let plain = checksums("format=yuv420p", &[], &report);
    assert!(plain.lines().filter(|line| !line.starts_with('#')).count() == 25, "{plain}");
    assert!(!report.exists(), "a run without the device must not touch the driver");
    let through = checksums(
        "format=yuv420p,hwupload_cuda,hwdownload,format=yuv420p",
        &["-init_hw_device", "cuda=0"],
        &report,
    );
    assert_eq!(through, plain);
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    for key in ["violations", "internal_errors"] {
        assert_eq!(report[key], serde_json::json!([]));
    }
    assert!(report["calls"]["cuMemcpy2DAsync"].as_u64().unwrap_or(0) >= 50, "{}", report["calls"]);
}
