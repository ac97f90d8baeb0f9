//! Codec libraries whose interface is C-shaped. All `unsafe` of the software backend is here.
#![allow(unsafe_code)]

pub(super) mod openh264;
pub(super) mod openh264_decoder;
pub(super) mod rav1d;
