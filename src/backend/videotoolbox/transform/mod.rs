//! What is done to decoded pictures before they leave the GPU: other sizes ([`scale`]) by the system's own way, and R, G, B
//! ([`frames`]) by one Metal kernel, to the bytes that [`crate::transform`] makes. What fails here the CPU does.

mod frames;
mod plan;
mod scale;
#[cfg(test)]
mod tests;

pub(super) use frames::of_frames;
pub(super) use plan::supported;
pub(super) use scale::Scaler;
