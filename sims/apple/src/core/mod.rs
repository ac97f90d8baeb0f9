//! What all frameworks share: settings, the way in of every exported function, rules and their breaches, faults on order, and
//! the report at exit. What knows nothing of Apple is in `sims/core/`.

#[path = "../../../core/breaches.rs"]
pub mod breaches;
#[path = "../../../core/call.rs"]
pub mod call;
pub mod config;
pub mod fault;
#[path = "../../../core/pointer.rs"]
pub mod pointer;
#[path = "../../../core/report.rs"]
pub mod report;
pub mod rules;

pub(crate) use crate::foundation::object::leaks;
pub(crate) use breaches::rules as declare_rules;
pub use breaches::{Rule, breach};
pub(crate) use call::{enter, exports};
pub use config::config;
pub use pointer::{In, Out};

/// In front of what is printed.
const NAME: &str = "vtsim";
