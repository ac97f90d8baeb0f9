//! Rules a client has to keep, and the record of each time one was broken.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::call::Call;

/// One rule. Each library has a table of its own rules (`cuda::rules`, `nvenc::rules`, `nvdec::rules`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Number in the semantics list, with a suffix where one number holds several rules: `N-37`, `D-12`, `C-3`.
    pub id: &'static str,
    /// Short name, unique: what tests and the report's reader look for (`lock-out-of-order`).
    pub name: &'static str,
    /// The rule as a sentence.
    pub text: &'static str,
    /// True where NVIDIA documents nothing and the simulation had to decide.
    pub assumed: bool,
}

/// One breach, as the report shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Breach {
    /// Number of the call among all calls of the process, from 1.
    pub call: u64,
    /// Function in which it was noticed.
    pub function: &'static str,
    /// Thread that made the call.
    pub thread: u64,
    /// [`Rule::id`].
    pub rule: &'static str,
    /// [`Rule::name`].
    pub name: &'static str,
    /// What exactly happened.
    pub detail: String,
}

/// More breaches than this are counted but not kept: a client that breaks a rule per frame must not fill memory.
const KEPT: usize = 1000;

static BREACHES: Mutex<Vec<Breach>> = Mutex::new(Vec::new());
static TOTAL: AtomicU64 = AtomicU64::new(0);

/// Records a breach. With `strict` set, writes the report and aborts the process at once, so that a debugger
/// or a core file shows the guilty call.
pub(super) fn record(call: &Call, rule: &Rule, detail: String) {
    let breach = Breach {
        call: call.sequence,
        function: call.function,
        thread: call.thread,
        rule: rule.id,
        name: rule.name,
        detail,
    };
    TOTAL.fetch_add(1, Ordering::Relaxed);
    let strict = super::config().strict;
    if strict || super::config().verbose {
        eprintln!(
            "nvsim: violation {} ({}) in {} (call {}): {}; rule: {}",
            breach.rule, breach.name, breach.function, breach.call, breach.detail, rule.text
        );
    }
    {
        let mut breaches = BREACHES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if breaches.len() < KEPT {
            breaches.push(breach);
        }
    }
    if strict {
        super::report::write();
        std::process::abort();
    }
}

/// Everything recorded so far, and how many there were in all.
pub fn recorded() -> (Vec<Breach>, u64) {
    let breaches = BREACHES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    (breaches.clone(), TOTAL.load(Ordering::Relaxed))
}
