//! Hardware video for Rust: decode, encode and transcode on whatever the machine has.
//!
//! Nothing has to be installed to build or to run it: NVIDIA's driver is opened when it is asked for, and decoders and an
//! H.264 encoder for the CPU are in every build. What ran where, and why not elsewhere, is in the [`Receipt`] of every job.
//!
//! # A file into another file
//!
//! [`transcode()`] is the whole job. Sound, times and colours stay as they are.
//!
//! ```
//! # fn main() -> video_hw::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let out = folder.path().join("small.mp4");
//! let report = video_hw::transcode("clips/bars.mp4", &out).bitrate(1_000_000).run()?;
//! println!("{}", report.receipt());
//! # Ok(()) }
//! ```
//!
//! # The frames of a file
//!
//! [`frames()`] gives them in the order in which they are shown, with the container's times: as they are, or scaled, upright,
//! as RGB, from a time on.
//!
//! ```
//! use std::time::Duration;
//!
//! # fn main() -> video_hw::Result<()> {
//! for frame in video_hw::frames("clips/bars.mp4").start(Duration::from_secs(1)).width(160).rgb().open()? {
//!     let frame = frame?;
//!     let bytes = frame.as_host().map_or(0, |host| host.to_packed().len());
//!     println!("{} {} {bytes} bytes of RGB", frame.pts, frame.dimensions);
//! }
//! # Ok(()) }
//! ```
//!
//! # Any frame of a file
//!
//! [`open()`] reads where each frame is, and then gives any of them, by number or time, without decoding from the beginning.
//!
//! ```
//! # fn main() -> video_hw::Result<()> {
//! let mut film = video_hw::open("clips/bars.mp4")?;
//! let last = film.frame(film.len() - 1)?;
//! for frame in film.frames([20, 3, 11])? {
//!     assert!(frame?.pts < last.pts);
//! }
//! # Ok(()) }
//! ```
//!
//! # A stream by hand
//!
//! Sessions take packets and give frames, or the other way round. [`submit`](EncodeSession::submit) never waits:
//! [`Submit::Full`] hands back what there is no room for. Here an encoder that changes its bit rate while it runs; what it
//! cannot do itself is done by another session, at a key frame, and no frame is lost.
//!
//! ```
//! use video_hw::config::{BackendEncodeConfig, RateControl};
//! use video_hw::control::SessionSwitchRequest;
//! use video_hw::{Backend, Codec, CommonEncodeConfig, Dimensions, Frame, HostSurface, PixelFormat, Rational, Submit};
//! use video_hw::{SwitchingEncoder, TimeBase, Timestamp};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let size: Dimensions = "320x180".parse()?;
//! let rate = Rational::new(30, 1).ok_or("a rate")?;
//! let live = CommonEncodeConfig::new(Codec::H264, size, rate).low_latency(true);
//! let at = |bits| live.clone().rate_control(RateControl::Cbr { bitrate_bps: bits });
//! let mut stream = SwitchingEncoder::new(Backend::Auto, at(2_000_000), BackendEncodeConfig::None)?;
//! let mut bytes = Vec::new();
//! for number in 0..60 {
//!     if number == 30 {
//!         stream.request_switch(SessionSwitchRequest::immediate((at(1_000_000), BackendEncodeConfig::None)))?;
//!     }
//!     let grey = vec![128; PixelFormat::I420.frame_bytes(size)];
//!     let picture = HostSurface::from_packed(PixelFormat::I420, size, grey)?;
//!     let mut frame = Frame::host(Timestamp::new(number, TimeBase::from_frame_rate(rate)), picture);
//!     while let Submit::Full(back) = stream.submit(frame)? {
//!         frame = back;
//!         if let Some(packet) = stream.reap_timeout(std::time::Duration::from_millis(10))? {
//!             bytes.extend_from_slice(&packet.data);
//!         }
//!     }
//!     while let Some(packet) = stream.try_reap()? {
//!         bytes.extend_from_slice(&packet.data);
//!     }
//! }
//! for packet in stream.drain()? {
//!     bytes.extend_from_slice(&packet?.data);
//! }
//! assert!(stream.summary().ledger.balances());
//! # Ok(()) }
//! ```
//!
//! Into a file instead: [`container::Track::video`] has the example.
//!
//! # Where to look
//!
//! | for | look at |
//! |---|---|
//! | whole jobs on files; many streams on few engines | [`pipeline`], [`pipeline::scheduler`] |
//! | any frame of a file, exactly | [`reader`] |
//! | packets in and frames out, frames in and packets out | [`session`]; as `Stream` and `Sink`: `asynchronous` (feature `futures`) |
//! | streams that change, and survive their encoder | [`control`] |
//! | settings, and limits on what an input may cost | [`config`], [`limits`] |
//! | who does the work, what they can do, what works here | [`backend`], [`capability`], [`probing`] |
//! | frames, packets, times, colours | [`frame`], [`packet`], [`time`], [`color`], [`pixel`], [`hdr`] |
//! | files and streams; raw pictures and images | [`container`], [`bitstream`], [`rawvideo`] |
//! | conversion and scaling; PSNR and SSIM | [`transform`], [`quality`] |
//! | a robot's cameras into a dataset | [`dataset`] |
//!
//! This crate's own code prints nothing and reads two environment variables: `PATH`, to find an installed ffmpeg, and
//! `CUDA_DEVICE_MAX_CONNECTIONS` in [`backend::dedicate_process`]. Some decoder crates print errors and read debug switches, which
//! `docs/dependencies.md` lists. Errors are of few kinds ([`Error`]), each something that a caller can act on.

#![cfg_attr(
    not(all(feature = "backend-nvidia", feature = "backend-ffmpeg", feature = "backend-software")),
    allow(dead_code, unused_imports, reason = "what only the backends that are left out use")
)]

#[cfg(feature = "futures")]
pub mod asynchronous;
pub mod backend;
mod backend_kind;
pub mod bitstream;
pub mod capability;
pub mod config;
pub mod container;
pub mod control;
pub mod dataset;
pub mod error;
mod failover;
pub mod figures;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod limits;
mod media;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod pipeline;
pub mod probing;
pub mod quality;
pub mod rawvideo;
pub mod reader;
pub mod session;
pub mod transform;
mod util;

use backend::hang;
use limits::memory;
use media::user_sei;
pub use media::{codec, color, dimensions, frame, hdr, packet, pixel, time};
use util::{buffered, cpu_time, queue, sync};
pub use util::{output_file, stages, stream_io};

pub use backend::{Backend, BackendKind, Receipt};
pub use codec::Codec;
pub use color::ColorInfo;
pub use config::{CommonDecodeConfig, CommonEncodeConfig};
pub use control::SwitchingEncoder;
pub use dimensions::Dimensions;
pub use error::{Error, Result};
pub use frame::{DeviceSurface, Frame, HostSurface};
pub use limits::Limits;
pub use packet::{BitstreamLayout, Packet};
pub use pipeline::{frames, remux, transcode};
pub use pixel::PixelFormat;
pub use reader::open;
pub use session::{DecodeSession, EncodeSession, Submit};
pub use time::{Rational, TimeBase, Timestamp};

/// The examples of the README are compiled and run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are those of the overview of the library.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
struct Library;

/// So is that of the document on datasets.
#[cfg(doctest)]
#[doc = include_str!("../docs/dataset.md")]
struct Dataset;

/// So is that of the document on seeking.
#[cfg(doctest)]
#[doc = include_str!("../docs/seeking.md")]
struct Seeking;

/// Compiles the example of the page on images.
#[cfg(doctest)]
#[doc = include_str!("../docs/images.md")]
struct Images;
