//! The way in of every exported function: numbering, tracing, and a wall against panics.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::report;

static SEQUENCE: AtomicU64 = AtomicU64::new(0);
static CALLS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

thread_local! {
    static CURRENT: Cell<(u64, &'static str)> = const { Cell::new((0, "outside of any call")) };
}

/// Number and name of the call that this thread is in. A thread of the simulation itself has its own name.
pub fn current() -> (u64, &'static str) {
    CURRENT.get()
}

/// Names the calling thread of the simulation, for what is noticed on it.
pub fn name_thread(name: &'static str) {
    CURRENT.set((0, name));
}

/// Kernel id of the calling thread.
pub fn thread_id() -> u64 {
    #[cfg(unix)]
    // SAFETY: gettid has no arguments and cannot fail.
    return (unsafe { libc::syscall(libc::SYS_gettid) }) as u64;
    #[cfg(windows)]
    // SAFETY: as there.
    return u64::from(unsafe { windows_sys::Win32::System::Threading::GetCurrentThreadId() });
}

/// Runs the body of an exported function. A panic must not unwind into C: it is in the report as an internal error, and the
/// client gets `failed`.
pub fn enter<R>(function: &'static str, failed: R, body: impl FnOnce() -> R) -> R {
    // Before there is a report: a mistake in the settings ends the process.
    let trace = super::config().trace;
    report::arm();
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed) + 1;
    let before = CURRENT.replace((sequence, function));
    *super::report::locked(&CALLS).entry(function).or_default() += 1;
    if trace {
        eprintln!("{}: {sequence} [{}] {function}", super::NAME, thread_id());
    }
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        report::internal_error(function);
        failed
    });
    CURRENT.set(before);
    result
}

/// How often each function was called.
pub fn counted() -> BTreeMap<&'static str, u64> {
    super::report::locked(&CALLS).clone()
}

/// Declares exported functions: `fn name(arguments) -> result = what a bug of the simulation answers { body }`.
macro_rules! exports {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty = $failed:expr)? ; $body:block)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[allow(unused_variables, reason = "arguments that make no difference here keep their names")]
        pub unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
            #[allow(clippy::let_unit_value, reason = "functions that answer nothing")]
            let failed = ();
            $(let failed: $result = $failed;)?
            $crate::core::enter(stringify!($name), failed, move || $body)
        }
    )*};
}
pub(crate) use exports;
