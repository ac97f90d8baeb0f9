//! Decoding against the results of reference decoders.

mod assets;
mod contract;
mod differential;
mod harness;

mod encoded;
mod measure;
mod raw_macroblocks;
