//! What all frameworks share: settings, the way in of every exported function, rules and their breaches, faults on order, and
//! the report at exit.

pub mod call;
pub mod config;
pub mod fault;
pub mod pointer;
pub mod report;
pub mod rules;

pub(crate) use call::{enter, exports};
pub use config::config;
pub use pointer::{In, Out};
pub use rules::{Rule, breach};
