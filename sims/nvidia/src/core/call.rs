//! The way in of every exported function: numbering, tracing, faults, and a wall against panics.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use super::fault::{self, Effect, PictureFault};
use super::rules::{self, Rule};

/// A status type of one of the libraries (`CUresult`, `NVENCSTATUS`).
pub trait Status: Copy + std::fmt::Debug {
    /// What a bug of the simulation answers.
    const INTERNAL: Self;
    /// What a lost device answers.
    const DEVICE_LOST: Self;
    /// The value for a code given by a fault script.
    fn from_code(code: u32) -> Self;
    /// The number the client sees.
    fn code(self) -> u32;
}

/// One call of the client, while it runs.
#[derive(Debug)]
pub struct Call {
    /// Number among all calls of the process, from 1.
    pub sequence: u64,
    /// Exported name.
    pub function: &'static str,
    /// Kernel id of the calling thread.
    pub thread: u64,
    picture: PictureFault,
    breaches: Cell<u32>,
}

impl Call {
    /// Records that the client broke `rule`.
    pub fn breach(&self, rule: &Rule, detail: impl Into<String>) {
        self.breaches.set(self.breaches.get() + 1);
        rules::record(self, rule, detail.into());
    }

    /// True when a fault script asks for this call's picture to be damaged.
    pub fn corrupt(&self) -> bool {
        self.picture.corrupt
    }

    /// What a fault script has to be said of this call's picture.
    pub fn decode_status(&self) -> Option<u32> {
        self.picture.decode_status
    }
}

static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// Kernel id of the calling thread.
pub fn thread_id() -> u64 {
    #[cfg(unix)]
    // SAFETY: gettid has no arguments and cannot fail.
    return (unsafe { libc::syscall(libc::SYS_gettid) }) as u64;
    #[cfg(windows)]
    // SAFETY: as there.
    return u64::from(unsafe { windows_sys::Win32::System::Threading::GetCurrentThreadId() });
}

/// Runs the body of an exported function. `function` is the exported name without a version suffix (`cuMemAlloc`
/// for `cuMemAlloc_v2`): fault scripts and reports use that name.
pub fn enter<S: Status>(function: &'static str, body: impl FnOnce(&Call) -> S) -> S {
    super::report::arm();
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed) + 1;
    let picture = PictureFault::default();
    let mut call = Call { sequence, function, thread: thread_id(), picture, breaches: Cell::new(0) };
    let effect = fault::next(function);
    let status = match effect {
        Effect::None => run(&call, body),
        Effect::Picture(fault) => {
            call.picture = fault;
            run(&call, body)
        }
        Effect::Hang(time) => {
            std::thread::sleep(time);
            run(&call, body)
        }
        Effect::Crash => crash(),
        Effect::Fail(code) => S::from_code(code),
        Effect::DeviceLost => S::DEVICE_LOST,
    };
    if super::config().trace {
        eprintln!("nvsim: {sequence} [{}] {function} -> {status:?} ({})", call.thread, status.code());
    }
    status
}

/// Ends the process as a defective driver does. The handler that tells overflown stacks from other faults is put aside: it
/// would let a signal that was sent pass.
fn crash() -> ! {
    #[cfg(unix)]
    // SAFETY: sets the system's own answer to a signal, then sends it to this thread.
    unsafe {
        libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        libc::raise(libc::SIGSEGV);
    }
    std::process::abort()
}

/// A panic must not unwind into C: it is printed by the panic hook and becomes the library's internal error.
fn run<S: Status>(call: &Call, body: impl FnOnce(&Call) -> S) -> S {
    catch_unwind(AssertUnwindSafe(|| body(call))).unwrap_or_else(|_| {
        super::report::internal_error(call.function);
        S::INTERNAL
    })
}
