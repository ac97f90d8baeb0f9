//! The CUDA driver API: devices, contexts, memory, streams, events, modules.

use serde_json::{Value, json};

use crate::core::report::{Leak, Section};

/// What this library adds to the report.
pub const SECTION: Section = Section { name: "cuda", figures, leaks };

fn figures() -> Value {
    json!({})
}

fn leaks() -> Vec<Leak> {
    Vec::new()
}
