//! What is written when the process ends: breaches, leaks, calls, faults and sessions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use super::{NAME, breaches, call, fault};

/// Something the client made, retained or copied and never gave back.
#[derive(Debug, Clone, Serialize)]
pub struct Leak {
    /// Kind of object.
    pub kind: &'static str,
    /// Where it came from, and how often it was not released.
    pub detail: String,
}

static INTERNAL: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
static SESSIONS: Mutex<Vec<Value>> = Mutex::new(Vec::new());
static WRITTEN: AtomicBool = AtomicBool::new(false);

/// Locks, whatever another thread died of.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes sure that the report is written at exit. Called by the first call of any function, so that a process that only
/// loads the library leaves no report.
pub(super) fn arm() {
    static ARMED: Once = Once::new();
    ARMED.call_once(|| {
        // SAFETY: `at_exit` is an `extern "C"` function without arguments, and the shared object is linked `nodelete`, so that
        // it is still mapped when the process ends.
        unsafe { libc::atexit(at_exit) };
    });
}

extern "C" fn at_exit() {
    // A panic here would cross into C.
    let _ = std::panic::catch_unwind(write);
}

/// Notes that the simulation itself failed inside `function`: a run with such an entry proves nothing.
pub fn internal_error(function: &'static str) {
    locked(&INTERNAL).push(function);
}

/// Adds what a session did, when it ends.
pub fn session(figures: Value) {
    locked(&SESSIONS).push(figures);
}

/// The report as it stands.
pub fn build() -> Value {
    let (recorded, total) = breaches::recorded();
    json!({
        "simulated": true,
        "profile": super::config().profile.name,
        "violation_count": total,
        "violations": recorded,
        "leaks": super::leaks(),
        "faults": fault::done(),
        "internal_errors": locked(&INTERNAL).clone(),
        "calls": call::counted(),
        "sessions": locked(&SESSIONS).clone(),
    })
}

/// Writes the report to the file that the settings name, and a summary to standard error. Once per process.
pub(super) fn write() {
    if WRITTEN.swap(true, Ordering::SeqCst) {
        return;
    }
    let report = build();
    let config = super::config();
    if let Some(path) = &config.report {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        if let Err(error) = std::fs::write(path, text + "\n") {
            eprintln!("{NAME}: cannot write the report to {}: {error}", path.display());
        }
    }
    let list = |key: &str| report[key].as_array().cloned().unwrap_or_default();
    let (violations, leaks, internal) = (list("violations"), list("leaks"), list("internal_errors"));
    if config.quiet && violations.is_empty() && leaks.is_empty() && internal.is_empty() {
        return;
    }
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    eprintln!(
        "{NAME}: simulated {}: {} violations, {} leaks, {} faults",
        config.profile.name,
        report["violation_count"],
        leaks.len(),
        list("faults").len()
    );
    for breach in violations.iter().take(20) {
        let (name, function) = (text(&breach["name"]), text(&breach["function"]));
        eprintln!("{NAME}:   {name} in {function} (call {}): {}", breach["call"], text(&breach["detail"]));
    }
    for leak in leaks.iter().take(20) {
        eprintln!("{NAME}:   leak: {}: {}", text(&leak["kind"]), text(&leak["detail"]));
    }
    for function in &internal {
        eprintln!(
            "{NAME}:   internal error in {}: the simulation is at fault, not the client",
            text(function)
        );
    }
}
