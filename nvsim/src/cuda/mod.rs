//! The CUDA driver API: devices, contexts, memory, streams, events, modules.

#![allow(dead_code, reason = "the exported functions come next")]

use serde_json::{Value, json};

use crate::core::report::{Leak, Section};

pub mod abi;
mod array;
mod context;
mod device;
pub mod driver;
mod event;
mod handles;
mod leaks;
mod memory;
mod module;
pub mod rules;
mod stream;

/// What this library adds to the report.
pub const SECTION: Section = Section { name: "cuda", figures, leaks };

fn figures() -> Value {
    json!({
        "devices": device::visible().len(),
        "contexts_made": context::MADE.load(std::sync::atomic::Ordering::Relaxed),
        "peak_device_memory": memory::peak(),
    })
}

fn leaks() -> Vec<Leak> {
    leaks::list()
}
