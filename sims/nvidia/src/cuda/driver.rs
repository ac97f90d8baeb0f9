//! What the encoder and decoder libraries need of the driver.

use std::ffi::c_void;

use super::abi::CuResult;
use super::context::{self, CONTEXTS};
use super::handles::value;
use super::memory::{self, Place, Use};
use super::stream::{self, STREAMS};
use crate::policy;

pub use super::context::ContextId;

/// The context that is current to the calling thread, unless there is none or it was destroyed.
pub fn current_context() -> Option<ContextId> {
    context::current_quiet().map(|context| ContextId(context.id))
}

/// The context behind a handle of the client; none when it is dead or foreign.
pub fn context_from_handle(ctx: *mut c_void) -> Option<ContextId> {
    CONTEXTS.get(value(ctx)).ok().map(|context| ContextId(context.id))
}

/// Whether a context is still there.
pub fn context_alive(context: ContextId) -> bool {
    CONTEXTS.get(context.0).is_ok()
}

/// Index into `core::config().device` of the card a context is on; 0 when the context is gone.
pub fn device_of(context: ContextId) -> usize {
    CONTEXTS.get(context.0).map_or(0, |context| context.device)
}

/// Device memory of the driver itself: counted against the memory of the card, and not a leak of the client. `what`
/// names it in the report.
pub fn allocate(context: ContextId, bytes: u64, what: &'static str) -> Result<u64, CuResult> {
    let context = CONTEXTS.get(context.0).map_err(|_| CuResult::ERROR_CONTEXT_IS_DESTROYED)?;
    context::allocate(&context, bytes, Use::Internal(what), 0).map(|block| block.address)
}

/// Memory of a card that is taken as long as this lives: counted, without an address that anybody may use.
#[derive(Debug)]
pub struct Reservation {
    device: usize,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        memory::unreserve(self.device, self.bytes);
    }
}

/// Takes memory of a card, when there is so much.
pub fn reserve(device: usize, bytes: u64) -> Result<Reservation, CuResult> {
    memory::reserve(device, bytes)?;
    Ok(Reservation { device, bytes })
}

/// Gives back what [`allocate`] gave. An address that is not there (its context took it along) is no error.
pub fn release(address: u64) {
    if let Place::Inside(block) = memory::locate(address, 1)
        && block.address == address
        && matches!(block.purpose, Use::Internal(_))
    {
        memory::forget(address);
    }
}

/// A pointer to device memory (or pinned host memory) for the CPU, when the range lies inside one live allocation.
/// The memory stays mapped for a while even when the client frees it, so that software that is still reading sees
/// stale bytes and does not crash.
pub fn host_view(address: u64, len: u64) -> Result<*mut u8, CuResult> {
    match memory::locate(address, len.max(1)) {
        Place::Inside(_) => Ok(address as usize as *mut u8),
        _ => Err(CuResult::ERROR_INVALID_VALUE),
    }
}

/// True when a stream other than a default stream has unfinished work that writes into the range: a library that
/// waits for the default stream only would read too early.
pub fn pending_write(address: u64, len: u64) -> bool {
    STREAMS
        .select(|stream| stream.role != stream::Role::Default)
        .iter()
        .any(|stream| stream.writes_into(address, len))
}

/// Waits until all work given to a stream is done. Null and the legacy handle mean the default stream of the current
/// context.
pub fn stream_wait_idle(stream: *mut c_void) -> Result<(), CuResult> {
    find(stream)?.synchronize();
    Ok(())
}

/// Waits until the default stream of a context is idle, whatever is current.
pub fn default_stream_wait_idle(context: ContextId) -> Result<(), CuResult> {
    let context = CONTEXTS.get(context.0).map_err(|_| CuResult::ERROR_CONTEXT_IS_DESTROYED)?;
    stream::special(std::ptr::null_mut(), &context).synchronize();
    Ok(())
}

/// Runs `work` on a stream, after what it was given before.
pub fn enqueue(stream: *mut c_void, work: Box<dyn FnOnce() + Send>) -> Result<(), CuResult> {
    find(stream)?.issue(Vec::new(), &[], work).map(|_| ())
}

fn find(handle: *mut c_void) -> Result<std::sync::Arc<stream::Stream>, CuResult> {
    if stream::is_special(handle) {
        let context = context::current_quiet().ok_or(CuResult::ERROR_INVALID_CONTEXT)?;
        return Ok(stream::special(handle, &context));
    }
    STREAMS.get(value(handle)).map_err(|_| CuResult(policy::CUDA_BAD_HANDLE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::abi::STREAM_LEGACY;
    use crate::cuda::handles::handle;
    use crate::cuda::stream::{Role, Stream};
    use std::sync::mpsc;

    #[test]
    fn memory_and_streams_for_the_other_libraries() {
        let _alone = memory::counted_alone();
        let context = context::make(0, 0, false);
        let id = context_from_handle(context.handle()).unwrap();
        assert_eq!((context_alive(id), device_of(id), current_context()), (true, 0, None));
        let address = allocate(id, 4096, "surface").unwrap();
        assert!(host_view(address + 4000, 96).is_ok());
        assert_eq!(host_view(address + 4000, 97), Err(CuResult::ERROR_INVALID_VALUE));

        let stream = Stream::new(context.id, Role::NonBlocking, 0);
        let (open, gate) = mpsc::channel();
        let (tell, hear) = mpsc::channel();
        stream.issue(Vec::new(), &[(address, 16)], Box::new(move || gate.recv().unwrap_or(()))).unwrap();
        enqueue(handle(stream.id), Box::new(move || tell.send(7).unwrap())).unwrap();
        assert!(pending_write(address + 15, 100) && !pending_write(address + 16, 100));
        assert!(hear.try_recv().is_err());
        open.send(()).unwrap();
        stream_wait_idle(handle(stream.id)).unwrap();
        assert_eq!(hear.try_recv(), Ok(7));
        assert!(!pending_write(address, 4096));
        assert_eq!(stream_wait_idle(STREAM_LEGACY as *mut c_void), Err(CuResult::ERROR_INVALID_CONTEXT));

        release(address);
        release(address);
        assert!(host_view(address, 1).is_err());
        stream::close_context(context.id);
        CONTEXTS.remove(context.id).unwrap();
        assert!(!context_alive(id) && context_from_handle(context.handle()).is_none());
        assert_eq!(allocate(id, 1, "surface"), Err(CuResult::ERROR_CONTEXT_IS_DESTROYED));
    }
}
