//! The embedded CPU codecs: compiled from cargo alone, always there.

#[allow(dead_code, reason = "opened by the selection table")]
mod driver;
#[allow(dead_code, reason = "opened by the selection table")]
mod encode;
#[allow(dead_code, reason = "opened by the selection table")]
mod encode_settings;
#[cfg(test)]
mod encode_tests;
#[allow(dead_code, reason = "opened by the selection table")]
mod sps_timing;

#[allow(unused_imports, reason = "opened by the selection table")]
pub(crate) use encode::{encode_capability, open_encoder};
