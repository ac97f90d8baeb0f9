//! What knows nothing of video: queues and locks, how long stages take, files and streams.

pub(crate) mod buffered;
pub(crate) mod cpu_time;
pub mod output_file;
pub(crate) mod queue;
pub mod stages;
pub mod stream_io;
pub(crate) mod sync;
#[cfg(windows)]
pub(crate) mod windows;
#[cfg(windows)]
pub(crate) mod windows_names;
