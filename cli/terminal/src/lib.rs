//! What the commands of `video-hw` share with its `bench`: values as people type them, words as they are printed, Ctrl-C.

pub mod cancel;
pub mod parse;
pub mod text;
