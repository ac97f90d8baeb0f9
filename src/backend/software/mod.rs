//! The embedded CPU codecs: compiled from cargo alone, always there.

mod decode;
mod driver;
mod encode;
mod encode_settings;
mod rate_guard;
mod sps_timing;

pub(crate) use decode::{decode_capability, open_decoder};
pub(crate) use encode::{encode_capability, open_encoder};

#[cfg(test)]
mod encode_tests;
#[cfg(test)]
mod tests;
