//! CoreFoundation: objects with reference counts, and the few types that video interfaces take and give.

pub mod collection;
pub mod constants;
pub mod object;
pub mod value;
