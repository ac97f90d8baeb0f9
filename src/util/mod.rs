//! What knows nothing of video: queues and locks, memory that may be refused, calls that may hang, files and streams.

pub(crate) mod hang;
pub(crate) mod memory;
pub mod output_file;
pub(crate) mod queue;
pub(crate) mod setters;
pub mod stages;
pub mod stream_io;
pub(crate) mod sync;
