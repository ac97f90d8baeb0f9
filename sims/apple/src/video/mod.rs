//! CoreVideo: pixel buffers, their pools, and what is in them.

pub mod colours;
pub mod convert;
pub mod memory;
pub mod pixels;
pub mod pool;
