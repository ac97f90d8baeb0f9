//! The exported functions of the parser.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::core::report::Leak;
use crate::core::{Call, call, enter};
use crate::nvdec::abi::{CUVIDPARSERPARAMS, CUVIDSOURCEDATAPACKET, CUvideoparser, codec};
use crate::policy;

use super::machine::Machine;
use super::rules;
use super::stage::Counts;
use crate::cuda::abi::CuResult;

/// A live parser.
struct Slot {
    codec: u32,
    /// Kernel id of the thread that is inside `cuvidParseVideoData`; 0: none.
    busy: AtomicU64,
    machine: Mutex<Machine>,
}

static PARSERS: Mutex<BTreeMap<usize, Arc<Slot>>> = Mutex::new(BTreeMap::new());
/// Handles look like addresses of nothing: no client can take one for memory of its own by chance.
const FIRST_HANDLE: u64 = 0x5641_0000_0010;
static NEXT_HANDLE: AtomicU64 = AtomicU64::new(FIRST_HANDLE);
static TOTALS: Mutex<Counts> = Mutex::new(Counts { sequences: 0, decodes: 0, displays: 0, starved: 0 });

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn find(handle: CUvideoparser) -> Option<Arc<Slot>> {
    lock(&PARSERS).get(&(handle as usize)).cloned()
}

fn was_alive(handle: CUvideoparser) -> bool {
    (FIRST_HANDLE..NEXT_HANDLE.load(Ordering::Relaxed)).contains(&(handle as u64))
        && (handle as u64).is_multiple_of(16)
}

/// Creates a parser (D-1).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidCreateVideoParser(
    parser: *mut CUvideoparser,
    parameters: *mut CUVIDPARSERPARAMS,
) -> CuResult {
    enter("cuvidCreateVideoParser", |call| {
        if parser.is_null() || parameters.is_null() {
            call.breach(&rules::PARSER_PARAMETERS, "a pointer is null");
            return CuResult::ERROR_INVALID_VALUE;
        }
        // SAFETY: the client gives a pointer to readable parameters; it is not null.
        let parameters = unsafe { parameters.read_unaligned() };
        if parameters.CodecType > codec::AV1 {
            call.breach(&rules::PARSER_PARAMETERS, format!("codec {} does not exist", parameters.CodecType));
            return CuResult(policy::PARSER_NO_CODEC);
        }
        // The real driver takes what follows without a word (measured on 580.159) and fails later or not at all.
        if parameters.ulMaxNumDecodeSurfaces == 0 {
            call.breach(&rules::PARSER_PARAMETERS, "ulMaxNumDecodeSurfaces is 0");
        }
        if parameters.pfnSequenceCallback.is_none()
            || parameters.pfnDecodePicture.is_none()
            || parameters.pfnDisplayPicture.is_none()
        {
            call.breach(&rules::PARSER_CALLBACKS, "a callback is null");
        }
        let mut extra = Vec::new();
        if !parameters.pExtVideoInfo.is_null() {
            // SAFETY: the client's extension block, readable during this call.
            let block = unsafe { parameters.pExtVideoInfo.read_unaligned() };
            let length = (block.format.seqhdr_data_length as usize).min(block.data.raw_seqhdr_data.len());
            extra.extend_from_slice(&block.data.raw_seqhdr_data[..length]);
        }
        let Some(machine) = Machine::new(&parameters, &extra) else { return CuResult::ERROR_NOT_SUPPORTED };
        let handle = NEXT_HANDLE.fetch_add(16, Ordering::Relaxed);
        let slot =
            Slot { codec: parameters.CodecType, busy: AtomicU64::new(0), machine: Mutex::new(machine) };
        lock(&PARSERS).insert(handle as usize, Arc::new(slot));
        // SAFETY: the client's place for the handle; it is not null.
        unsafe { parser.write_unaligned(std::ptr::without_provenance_mut(handle as usize)) };
        CuResult::SUCCESS
    })
}

/// Parses a packet; the callbacks run inside (D-2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidParseVideoData(
    parser: CUvideoparser,
    packet: *mut CUVIDSOURCEDATAPACKET,
) -> CuResult {
    enter("cuvidParseVideoData", |call| {
        let Some(slot) = find(parser) else {
            call.breach(&rules::PARSER_DEAD, format!("handle {parser:?}"));
            return CuResult(policy::PARSER_DEAD_HANDLE);
        };
        if packet.is_null() {
            call.breach(&rules::PARSER_PACKET, "the packet is null");
            return CuResult::ERROR_INVALID_VALUE;
        }
        // SAFETY: the client's packet, readable during this call; it is not null.
        let packet = unsafe { packet.read_unaligned() };
        if packet.payload.is_null() && packet.payload_size > 0 {
            call.breach(&rules::PARSER_PACKET, format!("{} bytes at null", packet.payload_size));
            return CuResult::ERROR_INVALID_VALUE;
        }
        let Some(_inside) = Inside::enter(&slot, call, parser) else { return CuResult(policy::PARSER_BUSY) };
        let bytes = packet.payload_size as usize;
        let payload = if bytes == 0 || isize::try_from(bytes).is_err() {
            &[][..]
        } else {
            // SAFETY: the client's payload of that size, readable during this call; it is not null.
            unsafe { std::slice::from_raw_parts(packet.payload, bytes) }
        };
        parse(&slot, call, &packet, payload)
    })
}

fn parse(slot: &Slot, call: &Call, packet: &CUVIDSOURCEDATAPACKET, payload: &[u8]) -> CuResult {
    let mut machine = lock(&slot.machine);
    let before = machine.stage.counts;
    let flow = machine.packet(packet.flags, payload, packet.timestamp);
    for (rule, detail) in machine.stage.take_breaches() {
        call.breach(rule, detail);
    }
    let now = machine.stage.counts;
    let mut totals = lock(&TOTALS);
    totals.sequences += now.sequences - before.sequences;
    totals.decodes += now.decodes - before.decodes;
    totals.displays += now.displays - before.displays;
    totals.starved += now.starved - before.starved;
    match flow {
        Ok(()) => CuResult::SUCCESS,
        Err(_) => CuResult(policy::PARSER_CALLBACK_FAILED),
    }
}

/// Destroys a parser. Pictures not yet shown are dropped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidDestroyVideoParser(parser: CUvideoparser) -> CuResult {
    enter("cuvidDestroyVideoParser", |call| {
        let Some(slot) = find(parser) else {
            if was_alive(parser) {
                call.breach(&rules::PARSER_DOUBLE_DESTROY, format!("handle {parser:?}"));
            } else {
                call.breach(&rules::PARSER_DEAD, format!("handle {parser:?} was never given"));
            }
            return CuResult(policy::PARSER_DEAD_HANDLE);
        };
        let user = slot.busy.load(Ordering::SeqCst);
        if user == call.thread {
            call.breach(&rules::PARSER_REENTRANCE, "destroyed inside its own callback");
        } else if user != 0 {
            call.breach(&rules::PARSER_TWO_THREADS, format!("destroyed while thread {user} parses"));
        }
        // A parse in progress keeps the parser itself alive to its end.
        lock(&PARSERS).remove(&(parser as usize));
        CuResult::SUCCESS
    })
}

/// Marks a parser as in use by this thread.
struct Inside<'a>(&'a Slot);

impl<'a> Inside<'a> {
    fn enter(slot: &'a Slot, call: &Call, parser: CUvideoparser) -> Option<Self> {
        let me = call::thread_id();
        match slot.busy.compare_exchange(0, me, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => Some(Self(slot)),
            Err(other) if other == me => {
                call.breach(&rules::PARSER_REENTRANCE, format!("parser {parser:?} inside its own callback"));
                None
            }
            Err(other) => {
                call.breach(&rules::PARSER_TWO_THREADS, format!("parser {parser:?} beside thread {other}"));
                None
            }
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.busy.store(0, Ordering::SeqCst);
    }
}

/// What all parsers did, for the report.
pub fn figures() -> Value {
    let Ok(totals) = TOTALS.try_lock() else { return Value::Null };
    json!({
        "sequence_callbacks": totals.sequences,
        "decode_callbacks": totals.decodes,
        "display_callbacks": totals.displays,
        "pictures_without_a_free_surface": totals.starved,
    })
}

/// Parsers not destroyed.
pub fn leaks() -> Vec<Leak> {
    let Ok(parsers) = PARSERS.try_lock() else { return Vec::new() };
    parsers
        .values()
        .map(|slot| Leak { kind: "video parser", detail: format!("codec {}", slot.codec) })
        .collect()
}
