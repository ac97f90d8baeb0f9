//! The runtime: sessions, surfaces, the engines' clock, and the three components.

pub mod bitstream;
pub mod capabilities;
pub mod decode;
pub mod encode;
pub mod encode_plan;
pub mod extension;
pub mod machine;
pub mod pixels;
pub mod sequence;
pub mod session;
pub mod surface;
pub mod task;
pub mod vpp;
pub mod wrap;

use crate::core::report::Leak;

/// What the client has not given back.
pub fn leaks() -> Vec<Leak> {
    let mut leaks = session::leaks();
    leaks.extend(surface::leaks());
    leaks
}
