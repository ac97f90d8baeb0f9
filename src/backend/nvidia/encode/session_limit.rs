//! What NVENC's sessions are counted by, and how they are asked for.
//!
//! The driver counts the sessions of all consumer cards of a system together, and those of professional cards not at
//! all. Which a card is, it does not say: GeForce cards are counted together by their name, every other card by
//! itself, where a limit is found out like any other.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use crate::backend::BackendKind;
use crate::backend::admission::{self, Domain, SessionRequest};
use crate::backend::nvidia::driver::cuda::{Context, cuda};
use crate::backend::nvidia::driver::nvenc::Session;
use crate::capability::HostSessions;
use crate::config::{BackendEncodeConfig, SessionAdmission};
use crate::error::Result;

/// The wish with what only this backend is told.
pub(crate) fn request<'a>(
    request: SessionRequest<'a>,
    special: &'a BackendEncodeConfig,
) -> SessionRequest<'a> {
    let BackendEncodeConfig::Nvidia(own) = special else { return request };
    SessionRequest {
        limit: own.session_limit.map(std::num::NonZero::get),
        directory: own.session_directory.as_deref(),
        ..request
    }
}

/// Opens a session, which gives its place back when it is destroyed, and what the caller should know of it. What `before`
/// asks is asked when the session's turn has come: sessions that were waited for have given their memory back.
///
/// # Errors
/// No encoder library, a chip without encoder, the session limit; what `before` answers.
pub(super) fn open(
    context: &Arc<Context>,
    request: &SessionRequest<'_>,
    before: impl Fn() -> Result<()>,
) -> Result<(Session, Option<String>)> {
    let open = || {
        before()?;
        Session::open(context)
    };
    let (mut session, permit) = admission::admit(&domain(context.ordinal())?, request, open)?;
    let note = permit.note().map(str::to_owned);
    session.hold(permit);
    Ok((session, note))
}

/// Asks a session that exists for the question alone.
///
/// # Errors
/// As [`open`], and what `question` answers.
pub(super) fn ask<T>(
    context: &Arc<Context>,
    request: &SessionRequest<'_>,
    question: impl FnOnce(&Session) -> Result<T>,
) -> Result<T> {
    if request.admission != SessionAdmission::Refuse {
        return question(&open(context, request, || Ok(()))?.0);
    }
    let domain = domain(context.ordinal())?;
    admission::question(&domain, request.directory, || question(&Session::open(context)?))
}

/// Sessions that are open where a device's are counted.
///
/// # Errors
/// No driver, no such device.
pub(crate) fn sessions(device: i32) -> Result<HostSessions> {
    Ok(admission::census(&domain(device)?, None))
}

fn domain(device: i32) -> Result<Domain> {
    let cuda = cuda()?;
    let info = cuda.device(device)?;
    let name = if info.name.contains("GeForce") {
        "nvenc-geforce".to_owned()
    } else {
        format!("nvenc-{}", info.id.to_ascii_lowercase())
    };
    let kernel = kernel_module().unwrap_or_default();
    let driver = format!("cuda {} {kernel}", cuda.version).trim_end().to_owned();
    Ok(Domain { backend: BackendKind::Nvidia, name, driver })
}

/// The version of the kernel module, where the system tells it: the API's version stays the same over many drivers.
fn kernel_module() -> Option<String> {
    let mut text = String::new();
    File::open("/proc/driver/nvidia/version").ok()?.take(4096).read_to_string(&mut text).ok()?;
    let is_version =
        |word: &&str| word.split('.').count() > 1 && word.split('.').all(|part| part.parse::<u32>().is_ok());
    text.split_whitespace().find(is_version).map(str::to_owned)
}
