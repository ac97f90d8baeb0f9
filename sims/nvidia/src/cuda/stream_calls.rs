//! The stream functions of the driver API.

use std::ffi::c_void;
use std::sync::Arc;

use super::abi::{CuResult, Done, Handle, HostFn, StreamCallback, put, put_optional};
use super::context::{self, CONTEXTS, Context, GREATEST_PRIORITY};
use super::handles::{Missing, handle, value};
use super::stream::{self, Role, STREAMS, Stream};
use super::{device, event, rules};
use crate::core::Call;
use crate::policy;

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;

fn refuse(call: &Call, stream: Handle, missing: Missing) -> CuResult {
    match missing {
        Missing::Dead => {
            call.breach(&rules::DEAD_HANDLE, format!("stream {stream:?} or its context was destroyed"));
        }
        Missing::Foreign => call.breach(&rules::FOREIGN_HANDLE, format!("{stream:?} is not a stream")),
    }
    CuResult(policy::CUDA_BAD_HANDLE)
}

/// The stream of a handle, whatever context is current. A default stream needs one.
pub(super) fn any(call: &Call, stream: Handle) -> Result<Arc<Stream>, CuResult> {
    device::initialized(call)?;
    if stream::is_special(stream) {
        return Ok(stream::special(stream, &*context::current(call)?));
    }
    STREAMS.get(value(stream)).map_err(|missing| refuse(call, stream, missing))
}

/// The stream of a handle for work of the current context.
pub(super) fn for_work(call: &Call, context: &Context, stream: Handle) -> Result<Arc<Stream>, CuResult> {
    let stream = any(call, stream)?;
    if stream.context != context.id {
        call.breach(&rules::OTHER_CONTEXT, "the stream is not of the current context");
        return Err(CuResult::ERROR_INVALID_HANDLE);
    }
    Ok(stream)
}

pub(super) unsafe fn create(call: &Call, out: *mut Handle, flags: u32) -> Done {
    // SAFETY: the client's promise is passed on.
    unsafe { create_with_priority(call, out, flags, 0) }
}

pub(super) unsafe fn create_with_priority(call: &Call, out: *mut Handle, flags: u32, priority: i32) -> Done {
    let context = context::current(call)?;
    if out.is_null() || flags & !NON_BLOCKING != 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let role = if flags == NON_BLOCKING { Role::NonBlocking } else { Role::Blocking };
    let stream = Stream::new(context.id, role, priority.clamp(GREATEST_PRIORITY, 0));
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, handle(stream.id)) }
}

pub(super) fn destroy(call: &Call, stream: Handle) -> Done {
    device::initialized(call)?;
    if stream::is_special(stream) {
        return Err(CuResult::ERROR_INVALID_HANDLE);
    }
    let found = STREAMS.get(value(stream)).map_err(|missing| refuse(call, stream, missing))?;
    if found.role == Role::Default || found.role == Role::PerThread {
        return Err(CuResult::ERROR_INVALID_HANDLE);
    }
    STREAMS.remove(found.id).map_err(|missing| refuse(call, stream, missing))?;
    found.synchronize();
    found.close();
    Ok(())
}

pub(super) fn synchronize(call: &Call, stream: Handle) -> Done {
    let stream = any(call, stream)?;
    stream.synchronize();
    CONTEXTS.get(stream.context).map_or(Ok(()), |context| context.check())
}

pub(super) fn query(call: &Call, stream: Handle) -> Done {
    let stream = any(call, stream)?;
    if !stream.is_idle() {
        return Err(CuResult::ERROR_NOT_READY);
    }
    CONTEXTS.get(stream.context).map_or(Ok(()), |context| context.check())
}

pub(super) fn wait_event(call: &Call, stream: Handle, event: Handle, flags: u32) -> Done {
    let stream = any(call, stream)?;
    if flags > 1 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    match event::ticket(call, event)? {
        Some(ticket) if !ticket.is_done() => stream.issue(vec![ticket], &[], Box::new(|| ())).map(|_| ()),
        _ => Ok(()),
    }
}

/// A pointer of the client that goes to another thread.
struct User(*mut c_void);
// SAFETY: the client asked for it to be handed to its callback on a thread of the driver.
unsafe impl Send for User {}

impl User {
    /// Takes the whole wrapper, so that a closure captures it and not the bare pointer.
    fn get(self) -> *mut c_void {
        self.0
    }
}

pub(super) unsafe fn add_callback(
    call: &Call,
    stream: Handle,
    callback: Option<StreamCallback>,
    user: *mut c_void,
    flags: u32,
) -> Done {
    let found = any(call, stream)?;
    let callback = callback.filter(|_| flags == 0).ok_or(CuResult::ERROR_INVALID_VALUE)?;
    let context = CONTEXTS.get(found.context).map_err(|_| CuResult::ERROR_CONTEXT_IS_DESTROYED)?;
    let (user, stream) = (User(user), User(stream));
    let work = move || {
        let (user, stream) = (user.get(), stream.get());
        let status = context.check().err().unwrap_or(CuResult::SUCCESS);
        // SAFETY: the client gave the function and its argument for this call.
        context::in_callback(|| unsafe { callback(stream, status, user) });
    };
    found.issue(Vec::new(), &[], Box::new(work)).map(|_| ())
}

pub(super) unsafe fn launch_host_func(
    call: &Call,
    stream: Handle,
    function: Option<HostFn>,
    user: *mut c_void,
) -> Done {
    let context = context::current(call)?;
    let stream = for_work(call, &context, stream)?;
    let function = function.ok_or(CuResult::ERROR_INVALID_VALUE)?;
    let user = User(user);
    let work = move || {
        let user = user.get();
        // SAFETY: the client gave the function and its argument for this call.
        context::in_callback(|| unsafe { function(user) });
    };
    stream.issue(Vec::new(), &[], Box::new(work)).map(|_| ())
}

pub(super) unsafe fn get_ctx(call: &Call, stream: Handle, out: *mut Handle) -> Done {
    let stream = any(call, stream)?;
    // SAFETY: the client's promise.
    unsafe { put(out, handle(stream.context)) }
}

pub(super) unsafe fn get_ctx_v2(call: &Call, stream: Handle, out: *mut Handle, green: *mut Handle) -> Done {
    // SAFETY: the client's promise is passed on.
    unsafe {
        get_ctx(call, stream, out)?;
        put_optional(green, std::ptr::null_mut());
    }
    Ok(())
}

pub(super) unsafe fn get_flags(call: &Call, stream: Handle, out: *mut u32) -> Done {
    let stream = any(call, stream)?;
    // SAFETY: the client's promise.
    unsafe { put(out, if stream.role == Role::NonBlocking { NON_BLOCKING } else { 0 }) }
}

pub(super) unsafe fn get_priority(call: &Call, stream: Handle, out: *mut i32) -> Done {
    let stream = any(call, stream)?;
    // SAFETY: the client's promise.
    unsafe { put(out, stream.priority) }
}

pub(super) unsafe fn get_id(call: &Call, stream: Handle, out: *mut u64) -> Done {
    let stream = any(call, stream)?;
    // SAFETY: the client's promise.
    unsafe { put(out, stream.id) }
}

pub(super) unsafe fn is_capturing(call: &Call, stream: Handle, out: *mut u32) -> Done {
    any(call, stream)?;
    // Nothing can be captured here.
    // SAFETY: the client's promise.
    unsafe { put(out, 0) }
}
