//! The embedded CPU codecs: compiled from cargo alone, always there.

mod driver;
mod encode;
mod encode_settings;
#[cfg(test)]
mod encode_tests;
mod sps_timing;

pub(crate) use encode::{encode_capability, open_encoder};
