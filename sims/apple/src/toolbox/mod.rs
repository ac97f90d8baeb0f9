//! VideoToolbox: sessions that decode and encode, their properties, and what the machine has.

pub mod coder;
pub mod decode;
pub mod encode;
pub mod list;
pub mod machine;
pub mod properties;
pub mod session;
pub mod status;
pub mod stream;
pub mod transfer;
pub mod worker;
