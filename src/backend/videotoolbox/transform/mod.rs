//! Conversion to R, G, B on the GPU, by one kernel (kernel.wgsl), to the bytes that [`crate::transform`] makes.

mod plan;
#[cfg(test)]
mod tests;
