//! The driver's functions by name, and a parser client that writes down what it sees.

mod functions;
mod nvenc;
mod trace;

pub use functions::{Cuda, Cuvid};
pub use nvenc::nvenc_facts;
pub use trace::{Trace, Tracer, access_units};

/// Prints one fact.
pub fn say(name: &str, answer: impl std::fmt::Display) {
    println!("{name} = {answer}");
}
