//! Sessions. One has at most one decoder, one encoder and one processor.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::abi::Handle;
#[cfg(target_os = "linux")]
use super::abi::names::HANDLE_VA_DISPLAY;
use super::calling;
#[cfg(target_os = "linux")]
use super::display::Display;
use super::implementations::{self, Adapter};
use super::library::{Api, api};
use super::status::Status;
use crate::backend::BackendKind;
use crate::error::{Error, Result};

/// How long the GPU may take for one operation. It works on a picture for milliseconds, and behind others for a second or two.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long one call waits.
const SLICE: Duration = Duration::from_millis(500);

/// How often a busy GPU is asked again.
const BUSY: Duration = Duration::from_millis(1);

/// An open session. Surfaces that it made hold it, so that it ends after the last of them.
pub(crate) struct Session {
    handle: Handle,
    api: &'static Api,
    adapter: Adapter,
    /// An operation took longer than the GPU may take: no other is waited for.
    hangs: AtomicBool,
    #[cfg(target_os = "linux")]
    display: Option<Arc<Display>>,
}

// SAFETY: oneVPL takes calls for a session from any thread; components are each used by one at a time (`&mut` of their owners).
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("adapter", &self.adapter).finish_non_exhaustive()
    }
}

/// What an operation is waited for by.
#[derive(Debug)]
pub(crate) struct SyncPoint(pub(super) Handle);

// SAFETY: a name of an operation, which is never read through.
unsafe impl Send for SyncPoint {}

impl Session {
    /// Opens a session on a GPU, by its number, identifier or render node; on the first if none is named.
    ///
    /// # Errors
    /// No such GPU, none at all; a session that the runtime refuses.
    pub(crate) fn open(device: Option<&str>) -> Result<Arc<Self>> {
        let api = api()?;
        let adapter = implementations::choose(device)?;
        // Where no node is to be seen, a runtime may have its own way, or says so when a codec is opened.
        #[cfg(target_os = "linux")]
        let display = Display::of(adapter.render_node).map_err(|missing| missing.error())?;
        let session = Self {
            handle: implementations::create(&adapter)?,
            api,
            adapter,
            hangs: AtomicBool::new(false),
            #[cfg(target_os = "linux")]
            display,
        };
        #[cfg(target_os = "linux")]
        if let Some(display) = &session.display {
            const CALL: &str = "MFXVideoCORE_SetHandle";
            let set = api.functions.MFXVideoCORE_SetHandle;
            // SAFETY: a session that has done nothing yet; the display is alive until after it.
            calling(CALL, || unsafe { set(session.handle, HANDLE_VA_DISPLAY, display.handle()) }).ok(CALL)?;
        }
        Ok(Arc::new(session))
    }

    pub(crate) const fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    pub(super) const fn handle(&self) -> Handle {
        self.handle
    }

    pub(super) const fn api(&self) -> &'static Api {
        self.api
    }

    /// Waits until an operation is done.
    ///
    /// # Errors
    /// The operation failed; the GPU does not answer.
    pub(crate) fn wait(&self, point: SyncPoint) -> Result<()> {
        const CALL: &str = "MFXVideoCORE_SyncOperation";
        self.wait_with(CALL, |milliseconds| {
            // SAFETY: a sync point of this session, which is used up here.
            unsafe { (self.api.functions.MFXVideoCORE_SyncOperation)(self.handle, point.0, milliseconds) }
        })
    }

    /// Waits with calls for an operation, each told for how many milliseconds.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub(super) fn wait_with(&self, name: &'static str, mut call: impl FnMut(u32) -> Status) -> Result<()> {
        done(&self.hangs, PATIENCE, |milliseconds| calling(name, || call(milliseconds)))
            .ok_or_else(|| Error::DeviceLost {
                backend: BackendKind::Qsv,
                detail: format!("an operation is not done after {} s: the GPU hangs", PATIENCE.as_secs()),
            })?
            .ok(name)
    }
}

/// What is told of an operation at last; `None`: it took too long, or another one did before.
fn done(hangs: &AtomicBool, patience: Duration, wait: impl FnMut(u32) -> Status) -> Option<Status> {
    // What was done before the GPU hung is done.
    let patience = if hangs.load(Ordering::Relaxed) { Duration::from_millis(1) } else { patience };
    let status = within(patience, wait);
    hangs.fetch_or(status.is_none(), Ordering::Relaxed);
    status
}

/// Calls until something else comes than that it is not done yet; `None`: it took too long.
fn within(patience: Duration, mut wait: impl FnMut(u32) -> Status) -> Option<Status> {
    let slice = SLICE.min(patience);
    let mut clock = Clock::default();
    while clock.waited < patience {
        let status = clock.count(|| {
            let begun = Instant::now();
            let status = wait(slice.as_millis() as u32);
            // A call that has not waited is not made again at full speed.
            if status.is_pending() && begun.elapsed() < slice / 2 {
                std::thread::sleep(slice.min(BUSY * 10));
            }
            status
        });
        if !status.is_pending() {
            return Some(status);
        }
    }
    None
}

/// Repeats a call as long as the GPU is busy with other work, and no longer than it may take for one operation.
pub(super) fn while_busy(name: &'static str, mut call: impl FnMut() -> Status) -> Status {
    let mut clock = Clock::default();
    loop {
        let status = clock.count(|| calling(name, &mut call));
        if !status.is_busy() || clock.is_over() {
            return status;
        }
        clock.pause();
    }
}

/// Time in which the GPU was waited for. It is not that of the clock on the wall, so that a process that was stopped meanwhile
/// has not waited.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    waited: Duration,
}

impl Clock {
    /// Whether the GPU has had as long as it may take for one operation.
    pub(crate) fn is_over(&self) -> bool {
        self.waited >= PATIENCE
    }

    /// Does something that may wait for the GPU.
    pub(crate) fn count<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.waited += begun.elapsed().min(2 * SLICE);
        done
    }

    /// Waits before a busy GPU is asked again.
    pub(crate) fn pause(&mut self) {
        self.count(|| std::thread::sleep(BUSY));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: nobody uses the session any more: what it made holds it.
        calling("MFXClose", || unsafe { (self.api.functions.MFXClose)(self.handle) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends() {
        let mut calls = 0;
        let patience = Duration::from_millis(20);
        let never = within(patience, |milliseconds| {
            calls += 1;
            std::thread::sleep(Duration::from_millis(milliseconds.into()));
            Status::IN_EXECUTION
        });
        assert_eq!((never, calls), (None, 1));
        // A call that does not wait is not made at full speed.
        let mut calls = 0;
        let never = within(patience, |_| {
            calls += 1;
            Status::IN_EXECUTION
        });
        assert!(never.is_none() && calls < 4, "{calls} calls");
        let mut calls = 0;
        let done = within(SLICE * 4, |_| {
            calls += 1;
            if calls == 1 { Status::DEVICE_BUSY } else { Status::GPU_HANG }
        });
        assert_eq!(done, Some(Status::GPU_HANG));
        let mut calls = 0;
        let status = while_busy("MFXCall", || {
            calls += 1;
            if calls < 3 { Status::DEVICE_BUSY } else { Status::NONE }
        });
        assert_eq!((status, calls), (Status::NONE, 3));
    }

    /// Behind an operation that hangs nothing is waited for but what is done already.
    #[test]
    fn a_hanging_gpu_is_waited_for_once() {
        let hangs = AtomicBool::new(false);
        let patience = Duration::from_millis(20);
        let sleeps = |milliseconds: u32| {
            std::thread::sleep(Duration::from_millis(milliseconds.into()));
            Status::IN_EXECUTION
        };
        assert_eq!(done(&hangs, patience, sleeps), None);
        let mut told = 0;
        let second = done(&hangs, Duration::from_secs(3600), |milliseconds| {
            told += milliseconds;
            sleeps(milliseconds)
        });
        assert!(second.is_none() && told <= 2, "{told} ms");
        assert_eq!(done(&hangs, patience, |_| Status::NONE), Some(Status::NONE));
    }
}
