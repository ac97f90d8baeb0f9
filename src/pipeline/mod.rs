//! Whole jobs: frames of a file, a file to a file. Bounded queues between threads, flat memory, nothing lost.

mod begin;
mod buffer_pool;
mod carried;
mod control;
mod export;
mod feed;
mod filter;
mod fit;
mod frame_times;
mod frames;
mod hdr;
mod memory;
mod notes;
mod passthrough;
mod reopen;
mod ring;
pub mod scheduler;
mod shape;
mod source;
mod target;
mod threads;
mod transcode;
mod window;

pub use crate::queue::{Received, TrySend};
pub use control::{CancelToken, Progress};
pub use export::{Export, ExportReport, ExportTarget};
pub use filter::{FilterOptions, FilterSummary};
pub use frames::{FramesBuilder, frames};
pub use memory::FrameMemory;
pub use notes::Note;
pub(crate) use reopen::can_be_read_again;
pub use ring::{RingConsumer, RingProducer, RingSlot, RingStats, frame_ring};
pub(crate) use source::{Finish, chosen_video};
pub use source::{FrameSource, SourceInfo, SourceOptions, SourceSummary};
pub use transcode::{Transcode, TranscodeReport, transcode};
