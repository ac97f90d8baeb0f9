//! What passes between the two threads of an encode session with a device: see [`output_ring`].

pub(crate) mod output_ring;
mod sync;
