//! Events: marks in streams, to ask about, to wait for and to measure time between.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use super::abi::{CuResult, Done, Handle, put};
use super::handles::{Kind, Missing, Table, handle, value};
use super::stream::Ticket;
use super::{context, device, rules, stream_calls};
use crate::core::Call;
use crate::core::report::Leak;
use crate::policy;

/// One event.
pub(super) struct Event {
    id: u64,
    context: u64,
    flags: u32,
    record: Mutex<Record>,
}

/// Where it was recorded last: never, at first.
#[derive(Default, Clone)]
struct Record {
    ticket: Option<Ticket>,
    time: Arc<OnceLock<Instant>>,
}

static EVENTS: Table<Event> = Table::new(Kind::Event);

/// `CU_EVENT_DISABLE_TIMING`.
const DISABLE_TIMING: u32 = 2;
/// `CU_EVENT_INTERPROCESS`.
const INTERPROCESS: u32 = 4;

impl Event {
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn snapshot(&self) -> Record {
        self.lock().clone()
    }

    fn leak(&self) -> Leak {
        Leak { kind: "event", detail: format!("{:#x}", self.id) }
    }
}

fn find(call: &Call, event: Handle) -> Result<Arc<Event>, CuResult> {
    device::initialized(call)?;
    EVENTS.get(value(event)).map_err(|missing| refuse(call, event, missing))
}

fn refuse(call: &Call, event: Handle, missing: Missing) -> CuResult {
    match missing {
        Missing::Dead => {
            call.breach(&rules::DEAD_HANDLE, format!("event {event:?} or its context was destroyed"))
        }
        Missing::Foreign => call.breach(&rules::FOREIGN_HANDLE, format!("{event:?} is not an event")),
    }
    CuResult(policy::CUDA_BAD_HANDLE)
}

pub(super) unsafe fn create(call: &Call, out: *mut Handle, flags: u32) -> Done {
    let context = context::current(call)?;
    let known = 1 | DISABLE_TIMING | INTERPROCESS;
    if out.is_null() || flags & !known != 0 || flags & (DISABLE_TIMING | INTERPROCESS) == INTERPROCESS {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let id = EVENTS.reserve();
    EVENTS.insert(id, Arc::new(Event { id, context: context.id, flags, record: Mutex::default() }));
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, handle(id)) }
}

pub(super) fn record(call: &Call, event: Handle, stream: Handle) -> Done {
    let event = find(call, event)?;
    let stream = stream_calls::any(call, stream)?;
    if stream.context != event.context {
        call.breach(&rules::OTHER_CONTEXT, "the event and the stream are of different contexts");
        return Err(CuResult::ERROR_INVALID_HANDLE);
    }
    let time = Arc::new(OnceLock::new());
    let mark = time.clone();
    let ticket = stream.issue(
        Vec::new(),
        &[],
        Box::new(move || {
            let _ = mark.set(Instant::now());
        }),
    )?;
    *event.lock() = Record { ticket: Some(ticket), time };
    Ok(())
}

pub(super) fn record_with_flags(call: &Call, event: Handle, stream: Handle, flags: u32) -> Done {
    if flags > 1 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    record(call, event, stream)
}

/// The work that an event stands for; none when it was never recorded.
pub(super) fn ticket(call: &Call, event: Handle) -> Result<Option<Ticket>, CuResult> {
    Ok(find(call, event)?.lock().ticket.clone())
}

pub(super) fn query(call: &Call, event: Handle) -> Done {
    match ticket(call, event)? {
        Some(ticket) if !ticket.is_done() => Err(CuResult::ERROR_NOT_READY),
        _ => Ok(()),
    }
}

pub(super) fn synchronize(call: &Call, event: Handle) -> Done {
    let event = find(call, event)?;
    let ticket = event.lock().ticket.clone();
    if let Some(ticket) = ticket {
        ticket.wait();
    }
    context::CONTEXTS.get(event.context).map_or(Ok(()), |context| context.check())
}

pub(super) fn destroy(call: &Call, event: Handle) -> Done {
    device::initialized(call)?;
    // Work that was recorded keeps what it needs.
    EVENTS.remove(value(event)).map(|_| ()).map_err(|missing| refuse(call, event, missing))
}

pub(super) unsafe fn elapsed(call: &Call, out: *mut f32, start: Handle, end: Handle) -> Done {
    let (start, end) = (find(call, start)?, find(call, end)?);
    // One after the other: they may be the same event.
    let first = start.snapshot();
    let records = (first, end.snapshot());
    let (Some(first), Some(second)) = (records.0.ticket, records.1.ticket) else {
        call.breach(&rules::EVENT_TIMING, "one of the events was never recorded");
        return Err(CuResult::ERROR_INVALID_HANDLE);
    };
    if (start.flags | end.flags) & DISABLE_TIMING != 0 {
        call.breach(&rules::EVENT_TIMING, "one of the events was made without timing");
        return Err(CuResult::ERROR_INVALID_HANDLE);
    }
    if !first.is_done() || !second.is_done() {
        return Err(CuResult::ERROR_NOT_READY);
    }
    let (Some(from), Some(to)) = (records.0.time.get(), records.1.time.get()) else {
        return Err(CuResult::ERROR_UNKNOWN);
    };
    let after = to.saturating_duration_since(*from).as_secs_f64();
    let before = from.saturating_duration_since(*to).as_secs_f64();
    // SAFETY: the client's promise.
    unsafe { put(out, ((after - before) * 1e3) as f32) }
}

/// Takes the events of a dying context out.
pub(super) fn forget_context(context: u64) -> Vec<Leak> {
    EVENTS.drain(|event| event.context == context).iter().map(|event| event.leak()).collect()
}

/// Events that are still there.
pub(super) fn peek() -> Vec<Leak> {
    EVENTS.peek().iter().map(|event| event.leak()).collect()
}
