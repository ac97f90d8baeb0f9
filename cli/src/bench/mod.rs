//! `bench`: what this machine does, measured beside a peer, and what comes of it.

pub(crate) mod baseline;
mod chart;
mod html;
mod markdown;
pub(crate) mod record;
pub(crate) mod render;
pub(crate) mod report;
pub(crate) mod stats;
