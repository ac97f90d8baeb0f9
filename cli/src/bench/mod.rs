//! `bench`: what this machine does, measured beside a peer, and what comes of it.

pub(crate) mod record;
