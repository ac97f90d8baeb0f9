//! What all other rooms speak of: plain data, without input or output and without threads.

pub mod codec;
pub mod color;
pub mod dimensions;
pub mod frame;
pub mod hdr;
pub mod packet;
pub mod pixel;
pub mod time;
pub(crate) mod user_sei;
