//! Files of the library, taken as they are, and their tests.

#![allow(dead_code, reason = "some parts are used by the library alone")]

/// The two threads of an NVENC session.
#[path = "../../src/backend/nvidia/encode/relay.rs"]
mod relay;

/// The primitives of all of them: the library's, or loom's. (The library has a file of these for the relay, and one for the
/// others with a part of the same.)
#[cfg_attr(not(loom), path = "../../src/backend/nvidia/encode/sync.rs")]
#[cfg_attr(loom, path = "loom_sync.rs")]
mod sync;

/// The queue between threads.
#[path = "../../src/util/queue.rs"]
pub mod queue;

/// Memory of a ring's frames.
#[path = "../../src/pipeline/shelf.rs"]
mod shelf;

/// Histograms that are written without locks.
#[cfg(not(loom))]
#[path = "../../src/util/stages.rs"]
pub mod stages;

/// How the scheduler of many streams is woken.
#[path = "../../src/pipeline/scheduler/bell.rs"]
mod bell;

/// What bounds the units of a stream of the scheduler's.
#[path = "../../src/pipeline/scheduler/credits.rs"]
mod credits;

#[cfg(test)]
mod order;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod relay_tests;
#[cfg(test)]
mod scheduler_tests;
#[cfg(test)]
mod shelf_tests;
