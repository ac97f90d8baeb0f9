//! How close one picture, or one stream of pictures, is to another: PSNR and SSIM.
//!
//! * [`measure()`] compares two pictures, plane by plane. [`Measurer`] does it on worker threads, in order, and first
//!   brings the second picture to the size and format of the first where they differ.
//! * [`StreamScore`] sums pictures up to a stream.
//! * [`Matcher`] finds out which frame of one stream belongs to which frame of another.
//! * [`bd_rate()`] and [`bd_quality`] are the mean distance of two rate-distortion curves.
//!
//! The definitions are those of ffmpeg's filters `psnr` and `ssim`, so that figures can be put side by side:
//!
//! * PSNR is taken from the mean squared error of a plane (`10 log10(peak^2 / mse)`, peak 255 for 8 bit and 1023 for
//!   10), for the whole picture from the mean over all samples of all planes, and for a stream from the mean over all
//!   of its frames: not from the mean of decibels. Pictures without any difference have infinite PSNR.
//! * SSIM (Wang, Bovik, Sheikh and Simoncelli, 2004; K2 = 0.03, K1 = 0.01 with its constant divided by 64, as x264 and
//!   ffmpeg have it) is the mean over all windows of 8x8 samples
//!   at every fourth column and row, each sample with the same weight; for the whole picture the mean of the planes,
//!   weighted by their samples; for a stream the mean of its frames. In decibels it is `-10 log10(1 - ssim)`.
//!
//! Sums are integers and exact. The scores of a pair of pictures do not depend on the number of threads.

mod bd_rate;
mod blocks;
mod components;
mod matching;
mod measure;
mod measurer;
mod prepare;
mod score;
mod window;

pub use bd_rate::{Interpolation, RatePoint, bd_quality, bd_rate};
pub use matching::{MatchBy, Matched, Matcher};
pub use measure::{Metrics, measure};
pub use measurer::{Measured, Measurer};
pub use prepare::{Changes, is_comparable, measured_format};
pub use score::{FrameScore, PlaneScore, StreamScore, Worst, psnr_db, ssim_db};
