//! Metal and the part of Objective-C's runtime by which C calls it: one device, kernels of integers, which run on the CPU from their own
//! text. Work is done when it is waited for, so that a client that does not wait sees nothing of it.

mod cache;
pub mod compile;
mod methods;
mod runtime;
mod work;
