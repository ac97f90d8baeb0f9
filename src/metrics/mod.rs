//! Figures of all sessions of a process, for those who watch it: Prometheus, the `metrics` crate, a log.
//!
//! Every session is counted from the moment it opens; there is nothing to switch on but the feature `metrics`. Nobody pays for
//! it frame by frame: sessions keep books anyway, and [`snapshot`] reads them. Names, units and labels: [`names::all`], and
//! `docs/metrics.md`.
//!
//! ```
//! # fn main() -> video_hw::Result<()> {
//! use video_hw::backend::BackendKind;
//! use video_hw::codec::Codec;
//! use video_hw::config::CommonEncodeConfig;
//! use video_hw::dimensions::Dimensions;
//! use video_hw::session::EncodeSession;
//! use video_hw::time::Rational;
//!
//! let size = Dimensions::new(320, 240).ok_or_else(|| video_hw::Error::invalid("size"))?;
//! let mut config = CommonEncodeConfig::new(Codec::H264, size, Rational::ONE);
//! config.stream = Some("camera-left".to_owned());
//! let session = EncodeSession::new(BackendKind::Software, config)?;
//! let text = video_hw::metrics::snapshot().to_prometheus();
//! let line = "encoder_sessions{encoder_type=\"openh264\",backend=\"software\",codec=\"h264\",stream=\"camera-left\"} 1";
//! assert!(text.lines().any(|found| found == line), "{text}");
//! # drop(session);
//! # Ok(()) }
//! ```

mod facade;
mod gpu;
mod hub;
pub mod names;
mod series;

pub use facade::{Publisher, Publishing};
pub use hub::snapshot;
pub(crate) use hub::{Chosen, Identity, Observed, Sample, observe};
pub use names::{Kind, Metric, Unit};
pub use series::{Series, Snapshot, Value};

/// Media type of [`Snapshot::to_prometheus`].
pub const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
