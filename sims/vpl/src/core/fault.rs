//! Operations that go wrong on order. They are counted from 1 over all sessions of one kind in the process, so that a session that the
//! client makes anew goes on counting. A status is a number or a word: `busy`, `lost`, `failed`, `hang`, `memory`, `incompatible`,
//! `aborted`, `unknown`, `realloc`, `changed`.
//!
//! | key | what happens |
//! |---|---|
//! | `fail.decode.call=N:STATUS`, `fail.encode.call=N:STATUS`, `fail.vpp.call=N:STATUS` | the Nth call returns the status and does nothing |
//! | `fail.decode.at=N:STATUS`, `fail.encode.at=N:STATUS`, `fail.vpp.at=N:STATUS` | the Nth operation is begun; waiting for it gives the status |
//! | `lost.decode.at=N`, `lost.encode.at=N`, `lost.vpp.at=N`, `hang.` likewise | the Nth call and every later one of its session answer DEVICE_LOST or GPU_HANG |
//! | `stuck.decode.at=N`, `stuck.encode.at=N`, `stuck.vpp.at=N` | the Nth operation is never done: waiting for it times out, without end |
//! | `keep.decode.at=N`, `keep.encode.at=N` | the Nth picture, or coded frame, never comes out |
//! | `fail.decode.init=N:STATUS`, `fail.decode.reset=N:STATUS`, `fail.encode.` likewise | the Nth Init or Reset is refused |
//! | `fail.surface=N:STATUS` | the Nth surface that is asked for |

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{call, report};
use crate::abi::{self, Status};

/// What counts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Calls of DecodeFrameAsync.
    DecodeCall,
    /// Decoded frames that are put out.
    Decode,
    /// Calls of EncodeFrameAsync.
    EncodeCall,
    /// Coded frames that are put out.
    Encode,
    /// Calls for processing.
    VppCall,
    /// Processed frames.
    Vpp,
    /// Surfaces that are asked for.
    Surface,
    /// Calls that make a decoder.
    DecodeInit,
    /// Calls that make it anew.
    DecodeReset,
    /// Calls that make an encoder.
    EncodeInit,
    /// Calls that give it other parameters.
    EncodeReset,
    /// Decoded pictures, before they are put out.
    Decoded,
    /// Coded frames, likewise.
    Coded,
}

const PLACES: [(&str, Place); 11] = [
    ("fail.decode.call", Place::DecodeCall),
    ("fail.decode.at", Place::Decode),
    ("fail.encode.call", Place::EncodeCall),
    ("fail.encode.at", Place::Encode),
    ("fail.vpp.call", Place::VppCall),
    ("fail.vpp.at", Place::Vpp),
    ("fail.surface", Place::Surface),
    ("fail.decode.init", Place::DecodeInit),
    ("fail.decode.reset", Place::DecodeReset),
    ("fail.encode.init", Place::EncodeInit),
    ("fail.encode.reset", Place::EncodeReset),
];

const WORDS: [(&str, Status); 10] = [
    ("busy", abi::WRN_DEVICE_BUSY),
    ("lost", abi::ERR_DEVICE_LOST),
    ("failed", abi::ERR_DEVICE_FAILED),
    ("hang", abi::ERR_GPU_HANG),
    ("memory", abi::ERR_MEMORY_ALLOC),
    ("incompatible", abi::ERR_INCOMPATIBLE_VIDEO_PARAM),
    ("aborted", abi::ERR_ABORTED),
    ("unknown", abi::ERR_UNKNOWN),
    ("realloc", abi::ERR_REALLOC_SURFACE),
    ("changed", abi::WRN_VIDEO_PARAM_CHANGED),
];

/// Reads a status, as a number or a word.
pub fn status(text: &str) -> Result<Status, String> {
    let word = WORDS.iter().find(|(word, _)| *word == text).map(|(_, status)| *status);
    word.or_else(|| text.parse().ok()).ok_or_else(|| format!("{text:?} is no status"))
}

/// In the place of a status: the operation is never done.
pub const NEVER: Status = i32::MIN;

/// In the place of a status: it stays inside.
const KEPT: Status = i32::MIN + 1;

/// One order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    place: Place,
    number: u64,
    status: Status,
    /// The session does not recover.
    last: bool,
}

impl Fault {
    /// Reads an order; the error says what is wrong with it.
    pub fn parse(key: &str, value: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is no number"));
        if let Some((_, place)) = PLACES.iter().find(|(name, _)| *name == key) {
            let (at, text) = value.split_once(':').ok_or("not N:STATUS")?;
            return Ok(Self { place: *place, number: number(at)?, status: status(text)?, last: false });
        }
        let (word, kind) = key.split_once('.').ok_or("no such setting")?;
        let status = match word {
            "lost" => abi::ERR_DEVICE_LOST,
            "hang" => abi::ERR_GPU_HANG,
            "stuck" => NEVER,
            "keep" => KEPT,
            _ => return Err("no such setting".into()),
        };
        let place = match kind {
            "decode.at" if status == NEVER => Place::Decode,
            "encode.at" if status == NEVER => Place::Encode,
            "vpp.at" if status == NEVER => Place::Vpp,
            "decode.at" if status == KEPT => Place::Decoded,
            "encode.at" if status == KEPT => Place::Coded,
            "vpp.at" if status == KEPT => return Err("no such setting".into()),
            "decode.at" => Place::DecodeCall,
            "encode.at" => Place::EncodeCall,
            "vpp.at" => Place::VppCall,
            _ => return Err("no such setting".into()),
        };
        Ok(Self { place, number: number(value)?, status, last: !matches!(status, NEVER | KEPT) })
    }
}

static COUNTS: [AtomicU64; 13] = [const { AtomicU64::new(0) }; 13];
static DONE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Counts, and tells what is to go wrong, and whether for good.
pub fn next(place: Place) -> Option<(Status, bool)> {
    let number = COUNTS[place as usize].fetch_add(1, Ordering::Relaxed) + 1;
    let fault = super::config()
        .settings
        .faults
        .iter()
        .find(|fault| fault.place == place && fault.number == number)?;
    report::locked(&DONE).push(format!(
        "{} {place:?} {number}: {}{}",
        call::current().1,
        match fault.status {
            NEVER => "never done".to_owned(),
            KEPT => "kept".to_owned(),
            status => format!("status {status}"),
        },
        if fault.last { " from now on" } else { "" }
    ));
    Some((fault.status, fault.last))
}

/// Whether this picture, or coded frame, stays inside.
pub fn is_kept(place: Place) -> bool {
    next(place).is_some()
}

/// The faults that happened.
pub fn done() -> Vec<String> {
    report::locked(&DONE).clone()
}
