//! A simulated VideoToolbox: one shared object that answers Apple's C functions of CoreFoundation, CoreMedia, CoreVideo and
//! VideoToolbox, so that a client can be run, judged and broken on purpose on Linux. Everything that comes out of it is
//! *simulated*. See the README of this member.

pub mod codec;
pub mod core;
pub mod foundation;
pub mod media;
pub mod metal;
pub mod toolbox;
pub mod video;

/// An `OSStatus` or `CVReturn`.
pub type Status = i32;

/// Success.
pub const OK: Status = 0;
