//! Decisions where NVIDIA documents nothing (marked ASSUMED in the semantics list). Each is made here, once, with
//! its reason; the rest of the code refers to these names.

/// What CUDA calls answer after the loss of the device: `CUDA_ERROR_LAUNCH_FAILED`, the sticky error that clients
/// meet in practice when a card falls off the bus or is reset.
pub const CUDA_DEVICE_LOST: u32 = 719;
