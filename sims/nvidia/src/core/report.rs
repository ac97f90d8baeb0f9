//! What is written when the process ends: breaches, leaks, calls, faults and what each library adds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};

use serde::Serialize;
use serde_json::{Value, json};

use super::{fault, rules};

/// Something the client made and never gave back.
#[derive(Debug, Clone, Serialize)]
pub struct Leak {
    /// `encode session`, `input buffer`, `device memory` ...
    pub kind: &'static str,
    /// Which one, and how large.
    pub detail: String,
}

/// What one library adds to the report.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Key in the report.
    pub name: &'static str,
    /// Figures of its own.
    pub figures: fn() -> Value,
    /// What is still alive. Must not wait for a lock that a hanging thread may hold: use `try_lock`.
    pub leaks: fn() -> Vec<Leak>,
}

static INTERNAL: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
static WRITTEN: AtomicBool = AtomicBool::new(false);

/// Makes sure that the report is written at exit. Called by the first call of any library, so that a process
/// that only loads the libraries leaves no report.
pub(super) fn arm() {
    static ARMED: Once = Once::new();
    ARMED.call_once(|| {
        // SAFETY: `at_exit` is an `extern "C"` function without arguments, and the shared object is linked
        // `nodelete`, so that it is still mapped when the process ends.
        unsafe { libc::atexit(at_exit) };
    });
}

extern "C" fn at_exit() {
    // A panic here would cross into C.
    let _ = std::panic::catch_unwind(write);
}

/// Notes that the simulation itself failed inside `function` (an exported one, or a worker's name): a run with such an entry proves nothing.
pub fn internal_error(function: &'static str) {
    INTERNAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(function);
}

/// The report as it stands.
pub fn build() -> Value {
    let (breaches, total) = rules::recorded();
    let (calls, faults) = fault::summary();
    let mut leaks = Vec::new();
    let mut sections = serde_json::Map::new();
    for section in crate::SECTIONS {
        leaks.extend((section.leaks)());
        sections.insert(section.name.into(), (section.figures)());
    }
    let internal = INTERNAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
    json!({
        "simulated": true,
        "profile": super::config().profile,
        "violation_count": total,
        "violations": breaches,
        "leaks": leaks,
        "faults": faults,
        "internal_errors": internal,
        "calls": calls,
        "sections": sections,
    })
}

/// Writes the report to the file that the configuration names, and one line to standard error. Once per process.
pub(super) fn write() {
    if WRITTEN.swap(true, Ordering::SeqCst) {
        return;
    }
    let report = build();
    let config = super::config();
    if let Some(path) = &config.report {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        if let Err(error) = std::fs::write(path, text + "\n") {
            eprintln!("nvsim: cannot write the report to {}: {error}", path.display());
        }
    }
    let count = |key: &str| report[key].as_array().map_or(0, Vec::len);
    let troubled = count("violations") + count("leaks") + count("internal_errors") > 0;
    if config.quiet && !troubled {
        return;
    }
    eprintln!(
        "nvsim: simulated {}: {} violations, {} leaks, {} faults",
        config.profile,
        report["violation_count"],
        count("leaks"),
        count("faults")
    );
    for breach in report["violations"].as_array().into_iter().flatten().take(20) {
        eprintln!(
            "nvsim:   {} {} in {} (call {}): {}",
            text(&breach["rule"]),
            text(&breach["name"]),
            text(&breach["function"]),
            breach["call"],
            text(&breach["detail"])
        );
    }
    for leak in report["leaks"].as_array().into_iter().flatten().take(20) {
        eprintln!("nvsim:   leak: {}: {}", text(&leak["kind"]), text(&leak["detail"]));
    }
    for function in report["internal_errors"].as_array().into_iter().flatten().map(text) {
        eprintln!("nvsim:   internal error in {function}: the simulation is at fault, not the client");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}
