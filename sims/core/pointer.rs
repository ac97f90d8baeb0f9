//! Pointers that a client passes to an exported function. Null is looked for; for the rest the client vouches, as it does to the
//! real library (the exported functions are `unsafe` for that reason).

use std::ffi::c_void;

/// A reference to an object, as the client holds it: opaque, never an address of anything.
pub type Ref = *const c_void;

/// No reference.
pub const NULL: Ref = std::ptr::null();

/// Where an answer goes.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Writes the answer; false when the client wants none.
    pub fn put(self, value: T) -> bool {
        if self.0.is_null() {
            return false;
        }
        // SAFETY: not null, and the client vouches for the rest; packed structures may be less aligned than ours.
        unsafe { self.0.write_unaligned(value) };
        true
    }

    /// The place `count` values further on.
    pub fn at(self, count: usize) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The client wants no answer.
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }
}

/// Where an argument is.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct In<T>(*const T);

impl<T: Copy> In<T> {
    /// The argument; none where the client passes null.
    pub fn get(self) -> Option<T> {
        // SAFETY: not null, and the client vouches for the rest.
        (!self.0.is_null()).then(|| unsafe { self.0.read_unaligned() })
    }

    /// A copy of `count` values; none where the client passes null for more than nothing.
    pub fn list(self, count: usize) -> Option<Vec<T>> {
        if count == 0 {
            return Some(Vec::new());
        }
        // SAFETY: not null; that so many values are there, the client vouches for.
        (!self.0.is_null()).then(|| (0..count).map(|at| unsafe { self.0.add(at).read_unaligned() }).collect())
    }

    /// The pointer itself.
    pub fn address(self) -> *const T {
        self.0
    }
}

impl In<u8> {
    /// A copy of `count` bytes; none where the client passes null for more than nothing.
    pub fn bytes(self, count: usize) -> Option<Vec<u8>> {
        if count == 0 {
            return Some(Vec::new());
        }
        // SAFETY: not null; that so many bytes are there, the client vouches for.
        (!self.0.is_null()).then(|| unsafe { std::slice::from_raw_parts(self.0, count) }.to_vec())
    }
}
