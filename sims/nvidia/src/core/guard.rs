//! The wall against panics around work on threads of the simulation's own, where no call of the client's can answer
//! for them.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs work on a thread of the simulation. A panic is printed by the panic hook, noted in the report as an internal
/// error of `worker`, and answered as nothing, so that who waits for the work can be told.
pub fn guarded<R>(worker: &'static str, work: impl FnOnce() -> R) -> Option<R> {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    if outcome.is_err() {
        super::report::internal_error(worker);
    }
    outcome.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_in_the_report() {
        assert_eq!(guarded("a good worker", || 7), Some(7));
        assert_eq!(guarded("a bad worker", || panic!("on purpose")), None::<()>);
        let report = super::super::report::build();
        let errors = report["internal_errors"].as_array().unwrap();
        assert!(errors.iter().any(|error| error == "a bad worker"), "{errors:?}");
        assert!(!errors.iter().any(|error| error == "a good worker"), "{errors:?}");
    }
}
