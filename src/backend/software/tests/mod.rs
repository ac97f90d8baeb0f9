//! Decoding against the results of reference decoders.

mod contract;
mod harness;
mod streams;

mod encoded;
mod measure;
mod raw_macroblocks;
