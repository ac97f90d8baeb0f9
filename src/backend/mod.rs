//! The wing of the vendors: the seam behind which they live (`seam`), the table of what each of them is and can (`vendors`),
//! and the choice among them, which knows none of them by name.
//!
//! A session owns a worker thread and one backend object.

use std::sync::Arc;

use crate::error::{Error, Remedy};

pub(crate) mod admission;
mod demand;
mod fallback;
#[cfg(feature = "backend-ffmpeg")]
mod ffmpeg;
mod formats;
mod lanes;
pub mod mock;
mod nature;
#[cfg(feature = "backend-nvidia")]
mod nvidia;
mod seam;
mod select;
#[cfg(feature = "backend-software")]
mod software;
mod split;
pub(crate) mod vendors;

pub use crate::backend_kind::BackendKind;
pub(crate) use fallback::{SharedReceipt, SinkFactory, open_decoder};
pub(crate) use formats::{FormatQuestion, device_input_formats, pick_input_format};
pub(crate) use nature::for_frames_lost_with_device;
pub(crate) use seam::Download;
pub use seam::{
    CodedUnit, CopyBytes, DecodeEvent, DecodeSink, DecodedPicture, DecoderBackend, DeviceTimes, EncodeEvent,
    EncodeSink, EncodeUnit, EncodedUnit, EncoderBackend, FrameCheck, InPlace,
};
#[cfg(feature = "metrics")]
pub(crate) use select::busy_device;
pub use select::{
    Backend, CANDIDATES, Job, Receipt, Step, Verdict, device_memory, devices, encode_sessions, hold_device,
    query_backend_capability, query_capability, query_device_capability, utilization,
};
pub(crate) use select::{HeldDevice, held_device, in_turn, open_encoder, open_engine};
pub use split::SplitReport;
pub use vendors::Candidate;
#[cfg(feature = "fuzzing")]
pub(crate) use vendors::fuzz_nut;

/// Has drivers start sooner in a process that does nothing else with them; to be called first in `main`. Whether anything
/// was changed: nothing is in a process with other threads, where drivers have been told otherwise, or on systems other
/// than Linux.
///
/// With NVIDIA's it is the number of channels to a device, read from the environment variable
/// `CUDA_DEVICE_MAX_CONNECTIONS` when CUDA starts. This sets it to 1 (8 is the default), for this process and its children:
/// right for copies and conversions of pictures, wrong for a program whose own kernels should run side by side.
pub fn dedicate_process() -> bool {
    vendors::cards().fold(false, |changed, (_, cards)| (cards.dedicate_process)() || changed)
}

/// From now on decoders of cards, and what was made on cards, are left to the system, which takes them back when the process
/// ends.
pub(crate) fn leave_to_exit() {
    vendors::cards().for_each(|(_, cards)| (cards.leave_to_exit)());
}

/// The check of encoders that read host memory and put no messages of the caller's into the stream.
fn plain_host_frames(encoder: &'static str) -> FrameCheck {
    Arc::new(move |frame| {
        if let Some(message) = frame.user_sei.first() {
            return Err(Error::Unsupported {
                feature: format!("a user SEI message (payload type {}) with {encoder}", message.payload_type),
                remedy: Remedy::Allowed("none".to_owned()),
            });
        }
        if frame.as_host().is_none() {
            return Err(Error::invalid(format!(
                "{encoder} reads host memory, and the frame at {} has no picture there; download it before encoding",
                frame.pts
            )));
        }
        Ok(())
    })
}
