//! `NVSIM_STRICT=1`: the first breach ends the process, with the report written.

use std::os::unix::process::ExitStatusExt;

use libloading::Library;

fn breach_then_print() {
    // SAFETY: the driver's own names and signatures; the second call breaks a rule on purpose.
    unsafe {
        let cuda = Library::new("libcuda.so.1").unwrap();
        let init: unsafe extern "C" fn(u32) -> u32 = *cuda.get(b"cuInit\0").unwrap();
        assert_eq!(init(0), 0);
        let pop: unsafe extern "C" fn(*mut usize) -> u32 = *cuda.get(b"cuCtxPopCurrent_v2\0").unwrap();
        pop(&mut 0);
    }
    println!("went on");
}

#[test]
fn the_first_breach_aborts() {
    let outcome =
        crate::common::scenario("the_first_breach_aborts", &[("NVSIM_STRICT", "1")], breach_then_print);
    assert_eq!(outcome.output.status.signal(), Some(6), "{}", outcome.stderr());
    assert!(!String::from_utf8_lossy(&outcome.output.stdout).contains("went on"));
    assert_eq!(outcome.violations().len(), 1);
    assert!(outcome.stderr().contains("violation"), "{}", outcome.stderr());
}

#[test]
fn without_it_the_client_goes_on() {
    let outcome = crate::common::scenario("without_it_the_client_goes_on", &[], breach_then_print).ok();
    assert!(String::from_utf8_lossy(&outcome.output.stdout).contains("went on"));
    assert_eq!(outcome.violations().len(), 1);
}
