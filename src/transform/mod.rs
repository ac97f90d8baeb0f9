//! Pixel formats, colour and size of pictures in host memory.
//!
//! * [`convert()`] turns a frame into another pixel format. Chroma is taken to be the mean of the luma positions
//!   it covers: it is repeated when it grows and averaged when it shrinks. Both are symmetric filters; a
//!   stream that sites its chroma to the left, as H.264 and HEVC do when they say nothing, is moved by a
//!   quarter of a luma sample, which is what ffmpeg's scaler does by default too.
//! * R, G, B made of Y'CbCr has the same bytes on every machine and from every backend that makes it.
//! * [`scale()`] changes the size, [`crop()`] cuts a part out without copying it, [`extend()`] repeats the last column and row.
//! * [`TransformRequest`] is all of that as one value, [`TransformDispatcher`] does it on worker threads.
//! * [`mod@reference`] is the slow, exact conversion that the others are tested against.

use crate::error::Result;
use crate::frame::Frame;

mod color_plan;
mod convert;
mod crop;
mod deinterlace;
mod dispatcher;
#[cfg(test)]
mod dispatcher_tests;
mod extend;
mod float;
mod linear;
mod matrix;
mod on_device;
mod packed;
pub mod reference;
mod repack;
mod request;
mod resample;
mod rgb;
mod samples;
mod scale;
mod turn;
mod workers;

pub use crate::config::ColorRequest;
pub(crate) use convert::Site;
pub(crate) use convert::color_after;
pub use convert::{Converted, convert};
pub use crop::crop;
pub(crate) use deinterlace::Deinterlacer;
pub use dispatcher::{TransformDispatcher, TransformOptions, TransformStats};
pub use extend::extend;
pub(crate) use linear::Linear;
pub(crate) use repack::split_pairs;
pub use request::{TransformRequest, to_host};
pub(crate) use scale::aspect_ratio;
pub use scale::{ScaleFilter, scale};
pub(crate) use turn::Turn;
pub(crate) use workers::Ticket;

/// Fulfils `request`. A frame that is already as asked for is handed back as it is, without a copy.
///
/// # Errors
/// As [`convert()`].
pub fn apply(frame: Frame, request: ColorRequest) -> Result<Converted> {
    match request.format() {
        Some(format) if format != frame.format => convert(&frame, format),
        _ => Ok(Converted { frame, assumed_color: false, site: Site::Cpu }),
    }
}
