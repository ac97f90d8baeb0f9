//! The embedded CPU codecs: compiled from cargo alone, always there.

mod decode;
mod driver;

pub(crate) use decode::{decode_capability, open_decoder};

#[cfg(test)]
mod tests;
