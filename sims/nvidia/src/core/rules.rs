//! Rules a client has to keep, and the record of each time one was broken.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::call::Call;

/// One rule. Each library has a table of its own rules (`cuda::rules`, `nvenc::rules`, `nvdec::rules` and
/// `nvdec::parser::rules`).
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

/// Declares the rules of one library: a constant for each (name, id, key, whether assumed, sentence), and `ALL`.
macro_rules! rule_table {
    ($($name:ident $id:literal $key:literal $assumed:literal $text:literal;)*) => {
        $(
            #[doc = $text]
            pub const $name: $crate::core::Rule =
                $crate::core::Rule { id: $id, name: $key, text: $text, assumed: $assumed };
        )*

        /// Every rule of this table.
        pub const ALL: &[$crate::core::Rule] = &[$($name),*];
    };
}
pub(crate) use rule_table;

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn ids_and_names_are_unique_across_all_libraries() {
        // A report names a rule by id and name alone: the same word in two libraries would not tell them apart.
        let tables = [
            crate::cuda::rules::ALL,
            crate::nvenc::rules::ALL,
            crate::nvdec::rules::ALL,
            crate::nvdec::parser::rules::ALL,
        ];
        let mut seen = BTreeSet::new();
        for rule in tables.into_iter().flatten() {
            assert!(seen.insert(rule.id), "{} stands twice", rule.id);
            assert!(seen.insert(rule.name), "{} stands twice", rule.name);
        }
    }
}
