//! The autorelease pool of a call.

use std::ffi::c_void;
use std::marker::PhantomData;

use super::library::{Api, api};

/// What is given to the thread's pool while this lives is released at its end.
pub(super) struct Pool {
    api: &'static Api,
    token: *mut c_void,
    /// A pool ends on its own thread.
    thread: PhantomData<*const ()>,
}

impl Pool {
    /// `None`: there is no runtime of Objective-C.
    pub(super) fn push() -> Option<Self> {
        let api = api().ok()?;
        let (push, _) = api.pools?;
        // SAFETY: takes nothing; the pool is popped by this thread, inside every pool that it was pushed in.
        Some(Self { api, token: unsafe { push() }, thread: PhantomData })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some((_, pop)) = self.api.pools {
            // SAFETY: the token of a push of this thread that has not been popped.
            unsafe { pop(self.token) };
        }
    }
}
