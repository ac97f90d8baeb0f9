//! A simulated oneVPL runtime: one shared object that the dispatcher finds as `libmfx-gen.so.1.2`, so that a client can be run,
//! judged and broken on purpose on machines without an Intel GPU. Everything that comes out of it is *simulated*. See the README
//! of this member.

pub mod abi;
pub mod codec;
pub mod core;
pub mod runtime;
