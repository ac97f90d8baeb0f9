//! Just enough JSON to write flat reports.

use std::fmt::{self, Display, Write};

/// An object under construction; it displays as JSON.
#[derive(Default)]
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn key(&mut self, key: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        // Writing to a string cannot fail.
        let _ = write!(self.0, "\"{key}\":");
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.0.push('"');
        for c in value.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                c if c < ' ' => drop(write!(self.0, "\\u{:04x}", u32::from(c))),
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }

    pub(crate) fn value(&mut self, key: &str, value: impl Display) {
        self.key(key);
        let _ = write!(self.0, "{value}");
    }

    /// A number that JSON can hold, or `null`.
    pub(crate) fn number(&mut self, key: &str, value: Option<f64>) {
        match value.filter(|v| v.is_finite()) {
            Some(number) => self.value(key, format_args!("{number:.6}")),
            None => self.value(key, "null"),
        }
    }

    pub(crate) fn count(&mut self, key: &str, value: Option<u64>) {
        match value {
            Some(count) => self.value(key, count),
            None => self.value(key, "null"),
        }
    }

    pub(crate) fn list(&mut self, key: &str, values: impl IntoIterator<Item = impl Display>) {
        self.key(key);
        let values: Vec<_> = values.into_iter().map(|v| v.to_string()).collect();
        let _ = write!(self.0, "[{}]", values.join(","));
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.0)
    }
}
