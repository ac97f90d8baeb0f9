//! Figures of a job for those who watch it: a page for Prometheus while it runs, a file when it ends, lines on standard error.

mod args;
mod endpoint;
mod export;

pub(crate) use args::MetricsArgs;
pub(crate) use export::{Exporting, json};
