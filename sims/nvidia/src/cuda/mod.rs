//! The CUDA driver API: devices, contexts, memory, streams, events, modules.

use serde_json::{Value, json};

use crate::core::report::{Leak, Section};

pub mod abi;
mod allocate;
mod array;
mod context;
mod copy;
mod device;
pub mod driver;
mod engines;
mod errors;
mod event;
pub mod exports;
mod fill;
mod handles;
mod kernels;
mod launch;
mod leaks;
mod link;
mod memory;
mod module;
mod pages;
mod pointer;
mod pool;
mod proc_address;
mod ptx;
pub mod rules;
mod stream;
mod stream_calls;

pub(crate) use device::by_uuid as device_by_uuid;

/// What this library adds to the report.
pub const SECTION: Section = Section { name: "cuda", figures, leaks };

fn figures() -> Value {
    json!({
        "devices": device::visible().len(),
        "contexts_made": context::MADE.load(std::sync::atomic::Ordering::Relaxed),
        "peak_device_memory": memory::peak(),
        "kernels_without_reference": launch::peek_unknown(),
    })
}

fn leaks() -> Vec<Leak> {
    leaks::list()
}
