//! What happens when a decoder or an encoder cannot start or dies: who goes on, with which settings, and which frames have to
//! be given again.
//!
//! * [`policy`]: the candidates that may go on, in their order, and when it is enough.
//! * [`settings`]: what a candidate is opened with that lacks some of what was asked for, and what frames have to be for it.
//! * [`arranged`]: an encoder that reads frames in another arrangement of their samples.
//! * [`in_flight`]: the frames whose packets are not out. Packets leave in closed groups, so these are always everything from
//!   one frame on, and whoever takes over begins there.
//! * [`encoder`]: the [`FailoverEncoder`](encoder), replaced in the call in which its death shows.
//! * [`decoder`]: the [`FailoverDecoder`], replaced by the source that feeds it; [`fallback`]: a decoder that refuses a stream
//!   that it has already begun.
//! * [`recovery`]: frames that went with their device, decoded once more.
//! * [`log`]: what is told of all that.
//!
//! Nothing here knows where a stream comes from: how an input is read again is handed in as a closure.

mod arranged;
mod decoder;
mod encoder;
mod fallback;
mod in_flight;
mod log;
mod policy;
mod recovery;
mod settings;

pub(crate) use decoder::FailoverDecoder;
pub(crate) use encoder::open_encoder;
pub(crate) use fallback::open_decoder;
pub(crate) use in_flight::InFlight;
pub(crate) use log::FailoverLog;
pub use log::Takeover;
pub use policy::EncoderSource;
pub(crate) use policy::{Deaths, behind, first_that_opens, told};
pub(crate) use recovery::{FrameRecovery, Frames, frame_recovery};
pub(crate) use settings::{Fitting, Target, with_what_it_has};
