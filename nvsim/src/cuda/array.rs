//! Nothing here yet.

use crate::core::report::Leak;

pub(super) fn forget_context(_context: u64) -> Vec<Leak> {
    Vec::new()
}

pub(super) fn peek() -> Vec<Leak> {
    Vec::new()
}
