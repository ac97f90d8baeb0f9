//! The decoder library: parser, decoder, mapped pictures.

pub mod abi;
pub mod parser;
pub mod side;

use serde_json::{Value, json};

use crate::core::report::{Leak, Section};

/// What this library adds to the report.
pub const SECTION: Section = Section { name: "nvdec", figures, leaks };

fn figures() -> Value {
    json!({ "parser": parser::figures() })
}

fn leaks() -> Vec<Leak> {
    parser::leaks()
}
