//! Rules a client has to keep, and the record of each time one was broken.

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
    /// True where Apple documents nothing and the simulation had to decide.
    pub assumed: bool,
}

macro_rules! rules {
    ($($name:ident $key:literal $assumed:literal $text:literal;)*) => {
        $(
            #[doc = $text]
            pub const $name: Rule = Rule { name: $key, text: $text, assumed: $assumed };
        )*

        /// Every rule.
        pub const ALL: &[Rule] = &[$($name),*];
    };
}

rules! {
    NULL_REFERENCE "null-reference" false "A function that needs an object gets one.";
    UNKNOWN_REFERENCE "unknown-reference" false "References come from the frameworks.";
    DEAD_REFERENCE "dead-reference" false "An object is not used after its last release; a callback's buffer lives as long as the callback unless it is retained.";
    WRONG_TYPE "wrong-type" false "A function gets the kind of object that it is declared for.";
    OVER_RELEASE "over-release" false "A client releases what it created, copied or retained, and nothing else.";
    IMMUTABLE "immutable-changed" false "Only mutable collections are changed.";
    RAW_CALLBACKS "collection-callbacks" true "Collections are made with the callbacks for CF types; others are not simulated.";
    INDEX "index-out-of-range" false "An index is below the count.";
    UNLOCK_WITHOUT_LOCK "unlock-without-lock" false "Unlocks follow locks.";
    UNLOCK_FLAGS "unlock-flags" false "A buffer is unlocked with the flags it was locked with.";
    BASE_UNLOCKED "base-address-unlocked" false "Base addresses are asked for, and used, between lock and unlock.";
    RELEASED_LOCKED "released-while-locked" false "A buffer is unlocked before its last release.";
    INPUT_CHANGED "input-locked-for-writing" false "Pixel data are not modified after they were handed to an encoder.";
    INVALIDATED "call-after-invalidate" false "A session is not used after it was invalidated.";
    CALLBACK_DEADLOCK "wait-in-callback" true "A session's output callback does not wait for the session.";
    PROPERTY_LATE "property-after-first-frame" true "Properties that shape the stream are set before the first frame.";
    PTS_ORDER "pts-not-increasing" false "Each presentation time given to an encoder is greater than the one before.";
    PTS_INVALID "pts-invalid" false "A frame given to an encoder has a numeric presentation time.";
    FORMAT_CHANGE "unacceptable-format" false "A decoder session gets a new format only when it accepts it.";
    SAMPLE_LAYOUT "sample-layout" true "A decoder gets sample buffers of one sample with data and format.";
}

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
            "vtsim: violation {} in {function} (call {sequence}): {}; rule: {}",
            breach.name, breach.detail, rule.text
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
