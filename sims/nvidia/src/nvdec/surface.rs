//! What a decoder holds: decode surfaces that pictures are decoded into, output surfaces that frames are mapped from.

use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex};

use super::caps::HISTOGRAM_BINS;
use super::post::Layout;
use crate::codec::decoder::Picture;
use crate::cuda::abi::CuResult;
use crate::cuda::driver::{self, ContextId};

/// A decode surface.
#[derive(Debug, Default, Clone)]
pub(super) struct Slot {
    /// What was decoded last. Frames mapped from it keep it alive: they show what was there when they were mapped.
    pub(super) picture: Option<Arc<Picture>>,
    /// One of `abi::decode_status`, of the picture decoded last.
    pub(super) status: u32,
    /// Pictures (fields) that are queued for this surface or being decoded.
    pub(super) pending: u32,
    /// Something was given to it to decode.
    pub(super) used: bool,
    /// Frames that are mapped from it now.
    pub(super) mapped: u32,
    /// A frame was mapped from it since the last decode.
    pub(super) was_mapped: bool,
}

/// Bytes that the decode surface of a picture of this size takes.
pub(super) fn decode_surface_bytes(width: u32, height: u32, chroma: u32, depth: u32) -> u64 {
    let luma = u64::from(width.next_multiple_of(64)) * u64::from(height.next_multiple_of(32));
    let samples = match chroma {
        400 => luma,
        420 => luma + luma / 2,
        422 => 2 * luma,
        _ => 3 * luma,
    };
    samples * if depth > 8 { 2 } else { 1 }
}

/// The order of the work on an output surface, which may come from several streams: filling it for a frame, wiping
/// it after the frame was unmapped, filling it for the next.
#[derive(Debug, Default)]
pub(super) struct Order {
    state: Mutex<(u64, u64)>,
    changed: Condvar,
}

impl Order {
    /// The number of the next piece of work.
    fn issue(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.0 += 1;
        state.0
    }

    /// Waits for the work before number `number`.
    fn wait_before(&self, number: u64) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while state.1 + 1 < number {
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    fn finish(&self, number: u64) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.1 = state.1.max(number);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for all of it.
    pub(super) fn wait(&self) {
        let issued = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        self.wait_before(issued + 1);
    }
}

/// Finishes a piece of work however it ends, also when it panics or is never run.
struct Finish(Arc<Order>, u64);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.finish(self.1);
    }
}

/// Gives `work` on an output surface to a stream. Answers what the stream answers; the work is not run then.
pub(super) fn enqueue(
    order: &Arc<Order>,
    stream: usize,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), CuResult> {
    let number = order.issue();
    let finish = Finish(order.clone(), number);
    driver::enqueue(
        stream as *mut c_void,
        Box::new(move || {
            finish.0.wait_before(number);
            work();
            drop(finish);
        }),
    )
}

/// Runs `work` on an output surface at once, after what is still to be done on it.
pub(super) fn run(order: &Arc<Order>, work: impl FnOnce()) {
    let finish = Finish(order.clone(), order.issue());
    order.wait_before(finish.1);
    work();
}

/// An output surface.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) address: u64,
    pub(super) layout: Layout,
    pub(super) order: Arc<Order>,
    /// The decode surface shown and the stream the frame was made on, while it is mapped.
    pub(super) mapped: Option<(usize, usize)>,
}

impl Output {
    /// Takes device memory for a frame, and for the histogram behind it.
    pub(super) fn new(context: ContextId, layout: Layout) -> Result<Self, CuResult> {
        let bytes = layout.bytes() as u64 + 4 * HISTOGRAM_BINS as u64;
        let address = driver::allocate(context, bytes, "decoder output surface")?;
        Ok(Self { address, layout, order: Arc::default(), mapped: None })
    }

    /// Address of the histogram.
    pub(super) fn histogram(&self) -> u64 {
        self.address + self.layout.bytes() as u64
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Work that writes into the memory must not outlive it.
        self.order.wait();
        driver::release(self.address);
    }
}
