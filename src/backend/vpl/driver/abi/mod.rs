//! Declarations of oneVPL 2.x: structures and numbers, as 64-bit systems lay them out. Names are ours, with Intel's beside
//! them; `layouts` holds both against the C headers, where those are installed. Values that the runtime writes are plain
//! numbers, never Rust enums: it may know more of them than we do.

#![allow(
    dead_code,
    clippy::struct_field_names,
    reason = "structures are declared whole, by the words of the headers, and some for what is to come"
)]

use std::ffi::c_void;

pub(crate) type Handle = *mut c_void;

/// Size of a structure and places of its fields, with Intel's names, for the test against the headers.
#[cfg(test)]
struct Layout {
    name: &'static str,
    size: usize,
    fields: &'static [(&'static str, usize)],
}

/// Declares structures that may be all zero. A field has each of the names that the headers give to its place.
macro_rules! structures {
    ($($name:ident = $c:literal { $($field:ident $($theirs:literal)*: $type:ty,)* })*) => {
        $(
            #[doc = concat!("`", $c, "`")]
            #[repr(C)]
            #[derive(Clone, Copy)]
            pub(crate) struct $name { $(pub(crate) $field: $type,)* }

            impl Default for $name {
                fn default() -> Self {
                    // SAFETY: integers, raw pointers, optional function pointers, and arrays, unions and structures of
                    // them: zero is a value of each.
                    unsafe { std::mem::zeroed() }
                }
            }
        )*

        #[cfg(test)]
        pub(super) const LAYOUTS: &[super::Layout] = &[$(super::Layout {
            name: $c,
            size: size_of::<$name>(),
            fields: &[$($(($theirs, std::mem::offset_of!($name, $field)),)*)*],
        }),*];
    };
}

mod describe;
mod extend;
#[cfg(all(test, target_pointer_width = "64"))]
mod layouts;
pub(crate) mod names;
mod plain;

pub(crate) use describe::{DeviceId, ImplDescription};
pub(crate) use extend::{
    Av1BitstreamParam, CodingOption, CodingOption2, CodingOption3, EncoderReset, ExtBuffer, Extension,
    VideoSignalInfo, Vp9Param, VppScaling,
};
pub(crate) use plain::{
    Bitstream, EncodeCtrl, FrameData, FrameInfo, FrameSurface, InfoMfx, InitializationParam, Payload,
    SurfaceInterface, Version, VideoParam,
};
