//! What the three libraries share: configuration, the way in of every exported function, faults, rules and
//! their breaches, the model of time, and the report at exit.

pub mod call;
pub mod clock;
pub mod config;
mod emulation;
pub mod fault;
pub mod guard;
pub mod report;
pub mod rules;

pub use call::{Call, Status, enter};
pub use config::config;
pub(crate) use emulation::unescape;
pub use guard::guarded;
pub use rules::Rule;
