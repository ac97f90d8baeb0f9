//! The wing of the vendors: the seam behind which they live (`seam`), the table of what each of them is and can (`vendors`),
//! and the choice among them, which knows none of them by name.
//!
//! A session owns a worker thread and one backend object.

pub(crate) mod admission;
mod budget;
mod cards;
mod demand;
mod download;
#[cfg(feature = "backend-ffmpeg")]
mod ffmpeg;
mod formats;
pub(crate) mod hang;
mod lanes;
pub mod mock;
#[cfg(feature = "backend-nvidia")]
mod nvidia;
mod receipt;
mod refusals;
#[cfg(any(feature = "backend-nvidia", feature = "backend-vpl"))]
mod ring;
mod seam;
mod select;
#[cfg(feature = "backend-software")]
mod software;
mod split;
mod vendor_facts;
pub(crate) mod vendors;
#[cfg(feature = "backend-vt")]
mod videotoolbox;
#[cfg(feature = "backend-vpl")]
mod vpl;

pub use crate::backend_kind::BackendKind;
pub(crate) use admission::SessionRequest;
pub(crate) use cards::CardRoom;
use download::{Direct, DownloadStage};
pub(crate) use formats::{FormatQuestion, device_input_formats, pick_input_format, rearranged};
pub(crate) use lanes::{Downloads, share_out};
pub(crate) use receipt::SharedReceipt;
pub use receipt::{Receipt, RefusalStep, Verdict};
pub(crate) use refusals::Refusals;
use seam::plain_host_frames;
pub use seam::{
    CodedUnit, CopyBytes, DecodeEvent, DecodeSink, DecodedPicture, DecoderBackend, DeviceTimes, EncodeEvent,
    EncodeSink, EncodeUnit, EncodedUnit, EncoderBackend, FrameCheck, InPlace, Job,
};
pub(crate) use seam::{Download, SinkFactory};
#[cfg(feature = "metrics")]
pub(crate) use select::busy_device;
pub use select::{
    Backend, CANDIDATES, HeldDevice, device_memory, devices, encode_sessions, hold_device,
    query_backend_capability, query_capability, query_device_capability, utilization,
};
pub(crate) use select::{arrangement_note, in_turn, open_decoder_from, open_encoder, open_engine};
pub use split::SplitReport;
pub(crate) use vendor_facts::for_frames_lost_with_device;
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
