//! Admission to drivers that take only so many sessions at once.
//!
//! Consumer cards refuse one session too many with a code that elsewhere means "out of memory", and they count those of
//! all programs together. Nothing tells the number: it is learned from refusals, or configured. So a session is asked
//! for here first. It is admitted, or waits for its turn, or is refused with the counts, before the driver has to.
//!
//! This room knows no vendor: a [`Domain`] names what is counted together, and the driver's refusal is
//! [`Error::SessionLimit`]. Processes of one host meet in a folder of lock files ([`host`]), within a process waiters
//! queue up in order ([`gate`]), and what was learned is doubted after a while ([`knowledge`]): other programs come and go,
//! and nobody tells when.

mod folder;
mod gate;
mod host;
mod knowledge;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) use gate::Permit;

use self::gate::{Attempt, Gate};
use crate::backend_kind::BackendKind;
use crate::capability::{HostSessions, SessionUse};
use crate::config::SessionAdmission;
use crate::error::{Error, Result};

/// How often a waiter looks whether another process has given a session back; those of its own wake it at once.
const POLL: Duration = Duration::from_millis(25);

/// Sessions that are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    /// Whose limit it is.
    pub(crate) backend: BackendKind,
    /// Part of file names: lower-case letters, digits and hyphens.
    pub(crate) name: String,
    /// The installed driver. What was learned of another one does not count.
    pub(crate) driver: String,
}

/// How a session is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SessionRequest<'a> {
    /// What to do when all are taken.
    pub(crate) admission: SessionAdmission,
    /// Ends the waiting when it turns true.
    pub(crate) cancel: Option<&'a AtomicBool>,
    /// The limit, where the caller knows it.
    pub(crate) limit: Option<usize>,
    /// Where processes meet; `None`: see [`folder::Folder::usual`].
    pub(crate) directory: Option<&'a Path>,
}

/// Opens a session when there is one to be had. The permit belongs to the session and has to outlive it.
///
/// # Errors
/// [`Error::SessionLimit`] with the counts when all are taken, at once or after waiting; [`Error::Cancelled`]; whatever
/// else `open` answers.
pub(crate) fn admit<T>(
    domain: &Domain,
    request: &SessionRequest<'_>,
    mut open: impl FnMut() -> Result<T>,
) -> Result<(T, Permit)> {
    /// For waits beyond what the clock can say.
    const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
    let gate = Gate::of(domain, request.directory);
    let now = Instant::now();
    let deadline = match request.admission {
        SessionAdmission::Refuse => now,
        SessionAdmission::Wait(time) => now + time.min(FOR_EVER),
    };
    let place = gate.line_up();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let over = left.is_zero();
        if let Some(before) = place.before() {
            // Those before may just be opening theirs, which takes no longer than this one's would.
            if over && gate.is_starved() {
                return Err(gate.behind(before));
            }
        } else {
            // Who has waited gets a last chance to find that others have gone.
            let doubt = over && request.admission != SessionAdmission::Refuse;
            match gate.attempt(request.limit, doubt, &mut open)? {
                Attempt::Open(session, permit) => return Ok((session, permit)),
                Attempt::Full(error) if over => return Err(error),
                Attempt::Full(_) => place.starve(),
            }
        }
        if request.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
            return Err(Error::Cancelled);
        }
        place.wait(if over { POLL } else { left.min(POLL) });
    }
}

/// Asks a question that takes a session for a moment. It goes to the driver whatever was learned, ahead of those who
/// wait: it gives its session back before anybody else can open one.
///
/// # Errors
/// [`Error::SessionLimit`] with the counts when the driver refuses; whatever else `ask` answers.
pub(crate) fn question<T>(
    domain: &Domain,
    directory: Option<&Path>,
    ask: impl FnOnce() -> Result<T>,
) -> Result<T> {
    Gate::of(domain, directory).question(ask)
}

/// Sessions that are open now, as far as they can be seen.
pub(crate) fn census(domain: &Domain, directory: Option<&Path>) -> HostSessions {
    Gate::of(domain, directory).census()
}

/// The refusal, with what is known.
fn refusal(backend: BackendKind, why: &str, usage: SessionUse) -> Error {
    let SessionUse { open, own, limit } = usage;
    let limit = limit.map_or_else(String::new, |limit| format!(", the limit is {limit}"));
    let own = if own == open { "all in this process".to_owned() } else { format!("{own} in this process") };
    let sessions = if open == 1 { "session is" } else { "sessions are" };
    let counts = if open == 0 {
        "no session of this library is open, so that other programs hold them".to_owned()
    } else {
        format!("{open} {sessions} open on this host by this library ({own}){limit}")
    };
    Error::SessionLimit { backend, detail: format!("{why}; {counts}"), sessions: Some(usage) }
}

#[cfg(test)]
mod tests;
