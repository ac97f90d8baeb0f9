//! Rules that a client has to keep, and the record of each time one was broken.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::{call, report};

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Short name, unique: what tests and the report's reader look for.
    pub name: &'static str,
    /// The rule as a sentence.
    pub text: &'static str,
    /// True where nothing is documented and the simulation had to decide.
    pub assumed: bool,
}

/// Declares the rules of a simulation: constant, name, whether it is assumed, sentence.
macro_rules! rules {
    ($($name:ident $key:literal $assumed:literal $text:literal;)*) => {
        $(
            #[doc = $text]
            pub const $name: $crate::core::Rule = $crate::core::Rule { name: $key, text: $text, assumed: $assumed };
        )*

        /// Every rule.
        pub const ALL: &[$crate::core::Rule] = &[$($name),*];
    };
}
pub(crate) use rules;

/// One breach, as the report shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Breach {
    /// Number of the call among all calls of the process, from 1; 0 on a thread of the simulation.
    pub call: u64,
    /// Function in which it was noticed.
    pub function: &'static str,
    /// Thread that made the call.
    pub thread: u64,
    /// [`Rule::name`].
    pub name: &'static str,
    /// What exactly happened.
    pub detail: String,
}

/// More breaches than this are counted but not kept: a client that breaks a rule per frame must not fill memory.
const KEPT: usize = 1000;

static BREACHES: Mutex<Vec<Breach>> = Mutex::new(Vec::new());
static TOTAL: AtomicU64 = AtomicU64::new(0);

/// Records that the client broke a rule. With `strict` set, writes the report and aborts the process at once, so that a
/// debugger or a core file shows the guilty call.
pub fn breach(rule: &Rule, detail: impl Into<String>) {
    let (sequence, function) = call::current();
    let breach = Breach {
        call: sequence,
        function,
        thread: call::thread_id(),
        name: rule.name,
        detail: detail.into(),
    };
    TOTAL.fetch_add(1, Ordering::Relaxed);
    let config = super::config();
    if config.strict || config.verbose {
        eprintln!(
            "{}: violation {} in {function} (call {sequence}): {}; rule: {}",
            super::NAME,
            breach.name,
            breach.detail,
            rule.text
        );
    }
    {
        let mut breaches = report::locked(&BREACHES);
        if breaches.len() < KEPT {
            breaches.push(breach);
        }
    }
    if config.strict {
        report::write();
        std::process::abort();
    }
}

/// Everything recorded so far, and how many there were in all.
pub fn recorded() -> (Vec<Breach>, u64) {
    (report::locked(&BREACHES).clone(), TOTAL.load(Ordering::Relaxed))
}
