//! Decoding against the results of reference decoders.

mod assets;
mod harness;
