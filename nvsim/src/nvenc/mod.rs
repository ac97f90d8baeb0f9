//! The encoder library: sessions, buffers, pictures in and out.

use serde_json::{Value, json};

use crate::core::report::{Leak, Section};

/// What this library adds to the report.
pub const SECTION: Section = Section { name: "nvenc", figures, leaks };

fn figures() -> Value {
    json!({})
}

fn leaks() -> Vec<Leak> {
    Vec::new()
}
