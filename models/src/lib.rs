//! Files of the library, taken as they are, and their tests.

#![allow(dead_code, reason = "some parts are used by the library alone")]

/// The two threads of an encode session with a device.
#[path = "../../src/backend/ring/output_ring.rs"]
mod output_ring;

/// The primitives of all of them: the library's, or loom's. (The library has a file of these for the output ring, and one for the
/// others with a part of the same.)
#[cfg_attr(not(loom), path = "../../src/backend/ring/sync.rs")]
#[cfg_attr(loom, path = "loom_sync.rs")]
mod sync;

/// Threads as the library starts them, without its record of the calls that they are in.
#[cfg(not(loom))]
mod hang {
    pub(crate) fn spawn(
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new().name(name.to_owned()).spawn(work)
    }
}

/// The queue between threads.
#[path = "../../src/util/queue.rs"]
pub mod queue;

/// Memory of a ring's frames.
#[path = "../../src/pipeline/buffer_pool.rs"]
mod buffer_pool;

/// Histograms that are written without locks.
#[cfg(not(loom))]
#[path = "../../src/util/stages.rs"]
pub mod stages;

/// How the scheduler of many streams is woken.
#[path = "../../src/pipeline/scheduler/ready_set.rs"]
mod ready_set;

/// What bounds the units of a stream of the scheduler's.
#[path = "../../src/pipeline/scheduler/credits.rs"]
mod credits;

#[cfg(test)]
mod buffer_pool_tests;
#[cfg(test)]
mod order;
#[cfg(test)]
mod output_ring_tests;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod scheduler_tests;
